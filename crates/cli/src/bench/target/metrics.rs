//! What a server counts, as its administration address tells it.

use std::ops::Sub;

use anyhow::bail;

use super::Target;

/// The metrics of a server at a moment.
#[derive(Debug)]
pub(crate) struct Metrics(pub(super) String);

impl Metrics {
    /// Returns the value of a metric without labels.
    ///
    /// # Errors
    /// A metric that the server does not have.
    pub(crate) fn get(&self, name: &str) -> anyhow::Result<f64> {
        let line = self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let Some(value) = line.and_then(|value| value.split(' ').next()?.parse().ok()) else {
            bail!("the server does not count {name}");
        };
        Ok(value)
    }
}

/// What a server has done with its store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) commits: f64,
    /// In all commits.
    pub(crate) messages: f64,
    /// Questions to the store.
    pub(crate) reads: f64,
}

impl Counts {
    /// Reads the metrics of a server, where they can be asked for.
    ///
    /// # Errors
    /// See [`Target::metrics`] and [`Metrics::get`].
    pub(crate) fn of(target: &Target) -> anyhow::Result<Option<Self>> {
        let counts = |metrics: &Metrics| {
            Ok(Self {
                commits: metrics.get("parlour_commits_total")?,
                messages: metrics.get("parlour_commit_batch_messages_sum")?,
                reads: metrics.get("parlour_store_reads_total")?,
            })
        };
        target.metrics()?.as_ref().map(counts).transpose()
    }
}

impl Sub for Counts {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            commits: self.commits - before.commits,
            messages: self.messages - before.messages,
            reads: self.reads - before.reads,
        }
    }
}
