//! Counters that cost a load and a store.
//!
//! A shard is the only writer of its instruments, so no read-modify-write instruction is needed;
//! the thread that scrapes only reads.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that only grows. One thread writes it.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Returns the number.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that only grows. Any thread writes it; not for hot paths.
#[derive(Debug, Default)]
pub struct SharedCounter(AtomicU64);

impl SharedCounter {
    /// Begins at zero.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// Returns the number.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that goes up and down. One thread writes it.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Sets the number.
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.set(self.get().saturating_add(n));
    }

    /// Subtracts `n`, not below zero.
    pub fn sub(&self, n: u64) {
        self.set(self.get().saturating_sub(n));
    }

    /// Returns the number.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Words that a [`ByWord`] can tell apart; more are counted under `other`.
const WORDS: usize = 96;

/// One counter per word of a small, closed set of words. Any thread writes it.
pub struct ByWord([(OnceLock<&'static str>, AtomicU64); WORDS]);

impl ByWord {
    /// Counts one event under `word`.
    pub fn inc(&self, word: &'static str) {
        if let Some((_, count)) = self.0.iter().find(|(taken, _)| *taken.get_or_init(|| word) == word) {
            count.fetch_add(1, Relaxed);
        } else if let Some((_, count)) = self.0.last() {
            count.fetch_add(1, Relaxed);
        }
    }

    /// Returns every word that was counted, with its number.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map_while(|(word, count)| Some((*word.get()?, count.load(Relaxed))))
    }

    /// Returns the number of one word.
    #[must_use]
    pub fn get(&self, word: &str) -> u64 {
        self.counts().find(|(name, _)| *name == word).map_or(0, |(_, count)| count)
    }
}

impl Default for ByWord {
    fn default() -> Self {
        let slots: [_; WORDS] = std::array::from_fn(|_| (OnceLock::new(), AtomicU64::new(0)));
        let _ = slots[WORDS - 1].0.set("other");
        Self(slots)
    }
}

impl fmt::Debug for ByWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.counts()).finish()
    }
}

/// Upper bounds of [`Durations`], in nanoseconds: 50 us to 10 s.
const NANOSECONDS: [u64; 16] = [
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    10_000_000_000,
];

/// Upper bounds of [`Sizes`].
const COUNTS: [u64; 12] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096];

/// A histogram of durations, exported in seconds. One thread writes it.
#[derive(Debug, Default)]
pub struct Durations(Buckets<{ NANOSECONDS.len() }>);

impl Durations {
    /// Notes one duration, in nanoseconds.
    pub fn observe_ns(&self, nanoseconds: u64) {
        self.0.observe(&NANOSECONDS, nanoseconds);
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.0.snapshot(&NANOSECONDS, 1e-9)
    }
}

/// A histogram of counts. One thread writes it.
#[derive(Debug, Default)]
pub struct Sizes(Buckets<{ COUNTS.len() }>);

impl Sizes {
    /// Notes one count.
    pub fn observe(&self, count: u64) {
        self.0.observe(&COUNTS, count);
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.0.snapshot(&COUNTS, 1.0)
    }
}

/// A histogram at one moment: per bucket its upper bound and its own count.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    pub(super) sum: f64,
    pub(super) buckets: Vec<(f64, u64)>,
}

impl Snapshot {
    /// Adds the counts of another histogram of the same shape.
    pub(super) fn merge(&mut self, other: Self) {
        self.sum += other.sum;
        if self.buckets.is_empty() {
            self.buckets = other.buckets;
        } else {
            for (mine, theirs) in self.buckets.iter_mut().zip(other.buckets) {
                mine.1 += theirs.1;
            }
        }
    }
}

#[derive(Debug)]
struct Buckets<const N: usize> {
    counts: [Counter; N],
    beyond: Counter,
    sum: Counter,
}

impl<const N: usize> Default for Buckets<N> {
    fn default() -> Self {
        let counts = std::array::from_fn(|_| Counter::default());
        Self { counts, beyond: Counter::default(), sum: Counter::default() }
    }
}

impl<const N: usize> Buckets<N> {
    fn observe(&self, bounds: &[u64; N], value: u64) {
        let index = bounds.partition_point(|bound| *bound < value);
        self.counts.get(index).unwrap_or(&self.beyond).inc();
        self.sum.add(value);
    }

    fn snapshot(&self, bounds: &[u64; N], scale: f64) -> Snapshot {
        let inner =
            bounds.iter().zip(&self.counts).map(|(bound, count)| (*bound as f64 * scale, count.get()));
        let buckets = inner.chain([(f64::INFINITY, self.beyond.get())]).collect();
        Snapshot { sum: self.sum.get() as f64 * scale, buckets }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted_apart_and_never_run_out() {
        let words = ByWord::default();
        words.inc("peer");
        words.inc("lost");
        words.inc("peer");
        assert_eq!(words.get("peer"), 2);
        assert_eq!(words.get("lost"), 1);
        for number in 0..200 {
            words.inc(Box::leak(format!("word{number}").into_boxed_str()));
        }
        assert_eq!(words.counts().map(|(_, count)| count).sum::<u64>(), 203);
        assert!(words.get("other") > 0);
    }

    #[test]
    fn a_value_falls_into_the_first_bucket_that_holds_it() {
        let sizes = Sizes::default();
        for value in [0, 1, 2, 3, 4096, 5000] {
            sizes.observe(value);
        }
        let snapshot = sizes.snapshot();
        let filled: Vec<_> = snapshot.buckets.iter().filter(|(_, count)| *count > 0).copied().collect();
        assert_eq!(filled, [(1.0, 2), (2.0, 1), (4.0, 1), (4096.0, 1), (f64::INFINITY, 1)]);
        assert!((snapshot.sum - 9102.0).abs() < f64::EPSILON);
    }
}
