//! What an engine has counted, and what was wrong.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

/// Examples of what was wrong that a report names.
const EXAMPLES: usize = 10;
/// Longest latency that is told apart, in microseconds.
const LONGEST_US: u64 = 600_000_000;

/// Everything that one engine has counted.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Of the rooms of each group.
    pub(crate) groups: Vec<Deliveries>,
    pub(crate) faults: Faults,
    /// Messages of our publishers that came in order, since the engine began.
    pub(crate) delivered: u64,
    /// Acknowledgements and pongs.
    pub(crate) answered: u64,
    /// Commands that were refused.
    pub(crate) refused: u64,
    /// Messages that the server said it leaves out.
    pub(crate) left_out: u64,
    /// Connections that ended from the other side, by reason.
    pub(crate) closed: BTreeMap<String, u64>,
    /// Bytes of the newest message, with its header.
    pub(crate) frame_bytes: usize,
    /// Bytes that came over the network, with all that TLS adds.
    pub(crate) bytes: u64,
    /// Frames of any message.
    pub(crate) messages: u64,
    /// Those that were compressed.
    pub(crate) compressed: u64,
}

/// Deliveries to one group of rooms.
#[derive(Debug)]
pub(crate) struct Deliveries {
    /// Of messages that were due since `from_us`, in microseconds.
    latencies: Histogram<u64>,
    /// The same, of the present second.
    second: Histogram<u64>,
    /// Messages that were due earlier belong to a warm-up.
    from_us: u64,
    /// Each second so far.
    pub(crate) seconds: Vec<Second>,
}

/// One second of deliveries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Second {
    /// Its end, in seconds since the measurement began.
    pub(crate) at_s: f64,
    pub(crate) deliveries: u64,
    /// Of those deliveries.
    pub(crate) p99_ms: f64,
}

impl Tally {
    pub(crate) fn new(groups: usize) -> anyhow::Result<Self> {
        let groups = (0..groups).map(|_| Deliveries::new()).collect::<anyhow::Result<_>>()?;
        Ok(Self {
            groups,
            faults: Faults::default(),
            delivered: 0,
            answered: 0,
            refused: 0,
            left_out: 0,
            closed: BTreeMap::new(),
            frame_bytes: 0,
            bytes: 0,
            messages: 0,
            compressed: 0,
        })
    }
}

impl Deliveries {
    fn new() -> anyhow::Result<Self> {
        let empty = Histogram::new_with_bounds(1, LONGEST_US, 3)?;
        Ok(Self { latencies: empty.clone(), second: empty, from_us: 0, seconds: Vec::new() })
    }

    /// Forgets what was, and takes only messages that are due from a moment on.
    pub(crate) fn begin(&mut self, from_us: u64) {
        self.latencies.reset();
        self.second.reset();
        self.seconds.clear();
        self.from_us = from_us;
    }

    #[inline]
    pub(crate) fn record(&mut self, due_us: u64, now_us: u64) {
        if due_us >= self.from_us {
            self.second.saturating_record(now_us.saturating_sub(due_us));
        }
    }

    /// Ends a second, or what there is of it.
    pub(crate) fn end_second(&mut self, now_us: u64) -> anyhow::Result<()> {
        if self.second.is_empty() && now_us < self.from_us {
            return Ok(());
        }
        self.latencies.add(&self.second)?;
        self.seconds.push(Second {
            at_s: now_us.saturating_sub(self.from_us) as f64 / 1e6,
            deliveries: self.second.len(),
            p99_ms: self.second.value_at_quantile(0.99) as f64 / 1e3,
        });
        self.second.reset();
        Ok(())
    }

    /// Returns how many there were up to the last second that ended.
    pub(crate) fn len(&self) -> u64 {
        self.latencies.len()
    }

    /// Returns the latency that this share of the deliveries did not exceed, in milliseconds.
    pub(crate) fn quantile_ms(&self, quantile: f64) -> f64 {
        self.latencies.value_at_quantile(quantile) as f64 / 1e3
    }
}

/// What must not happen, with how often it did.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    counts: BTreeMap<&'static str, u64>,
    examples: Vec<String>,
}

impl Faults {
    /// Notes what is wrong with so many messages or connections.
    #[cold]
    pub(crate) fn note(&mut self, what: &'static str, times: u64, example: impl FnOnce() -> String) {
        *self.counts.entry(what).or_default() += times;
        if self.examples.len() < EXAMPLES {
            self.examples.push(format!("{what}: {}", example()));
        }
    }

    /// Returns a line for each kind, and the examples.
    pub(crate) fn lines(&self) -> Vec<String> {
        let counts = self.counts.iter().map(|(what, times)| format!("{times} x {what}"));
        counts.chain(self.examples.iter().cloned()).collect()
    }
}
