//! From instruments to lines of the exposition format.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use super::instrument::{ByWord, Counter, Durations, Gauge, SharedCounter, Sizes, Snapshot};

/// What is known of one metric.
#[derive(Debug)]
pub(super) struct Row {
    /// Without the prefix `parlour_`, and for counters without `_total`.
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    /// Empty for metrics without a label.
    pub(super) label: &'static str,
    pub(super) kind: MetricType,
}

impl Row {
    pub(super) fn markdown(&self) -> String {
        let Self { name, help, label, kind } = self;
        let suffix = if matches!(kind, MetricType::Counter) { "_total" } else { "" };
        let label = if label.is_empty() { String::new() } else { format!("`{label}`") };
        format!("| `parlour_{name}{suffix}` | {} | {label} | {help} |\n", kind.as_str())
    }
}

/// The kind of an instrument.
pub(super) trait Describe {
    const KIND: MetricType;
}

/// Writes the sum of the instruments of all shards.
pub(super) trait Export: Describe + Sized {
    fn export<'a>(
        parts: impl Iterator<Item = &'a Self>,
        row: &Row,
        encoder: &mut DescriptorEncoder<'_>,
    ) -> fmt::Result
    where
        Self: 'a;
}

type NoLabels = [(&'static str, &'static str); 0];

macro_rules! number {
    ($($instrument:ident: $kind:ident, $write:expr;)+) => { $(
        impl Describe for $instrument {
            const KIND: MetricType = MetricType::$kind;
        }

        impl Export for $instrument {
            fn export<'a>(
                parts: impl Iterator<Item = &'a Self>,
                row: &Row,
                encoder: &mut DescriptorEncoder<'_>,
            ) -> fmt::Result {
                let sum: u64 = parts.map(Self::get).sum();
                let mut metric = encoder.encode_descriptor(row.name, row.help, None, Self::KIND)?;
                $write(&mut metric, sum)
            }
        }
    )+ };
}

number! {
    Counter: Counter, write_counter;
    SharedCounter: Counter, write_counter;
    Gauge: Gauge, write_gauge;
}

pub(super) fn write_counter(
    metric: &mut prometheus_client::encoding::MetricEncoder<'_>,
    sum: u64,
) -> fmt::Result {
    metric.encode_counter::<NoLabels, u64, f64>(&sum, None)
}

pub(super) fn write_gauge(
    metric: &mut prometheus_client::encoding::MetricEncoder<'_>,
    sum: u64,
) -> fmt::Result {
    metric.encode_gauge(&i64::try_from(sum).unwrap_or(i64::MAX))
}

impl Describe for ByWord {
    const KIND: MetricType = MetricType::Counter;
}

impl Export for ByWord {
    fn export<'a>(
        parts: impl Iterator<Item = &'a Self>,
        row: &Row,
        encoder: &mut DescriptorEncoder<'_>,
    ) -> fmt::Result {
        let mut sums = BTreeMap::new();
        for (word, count) in parts.flat_map(Self::counts) {
            *sums.entry(word).or_insert(0) += count;
        }
        let mut family = encoder.encode_descriptor(row.name, row.help, None, Self::KIND)?;
        for (word, sum) in sums {
            write_counter(&mut family.encode_family(&[(row.label, word)])?, sum)?;
        }
        Ok(())
    }
}

macro_rules! histogram {
    ($($instrument:ident)+) => { $(
        impl Describe for $instrument {
            const KIND: MetricType = MetricType::Histogram;
        }

        impl Export for $instrument {
            fn export<'a>(
                parts: impl Iterator<Item = &'a Self>,
                row: &Row,
                encoder: &mut DescriptorEncoder<'_>,
            ) -> fmt::Result {
                let mut all = Snapshot::default();
                parts.for_each(|part| all.merge(part.snapshot()));
                let count = all.buckets.iter().map(|(_, count)| count).sum();
                let mut metric = encoder.encode_descriptor(row.name, row.help, None, Self::KIND)?;
                metric.encode_histogram::<NoLabels>(all.sum, count, &all.buckets, None)
            }
        }
    )+ };
}

histogram!(Durations Sizes);
