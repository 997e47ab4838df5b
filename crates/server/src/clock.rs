//! The only place that reads a clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use parlour_hub::Now;

/// How far a test has put the wall clock of this process forward, in milliseconds; negative: back.
#[cfg(feature = "failpoints")]
pub(crate) static WALL_OFFSET_MS: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(0);

/// Tells the time since the server began, and the wall clock.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    began: Instant,
}

impl Clock {
    /// Begins at zero.
    #[must_use]
    pub fn start() -> Self {
        Self { began: Instant::now() }
    }

    /// Returns both times.
    #[must_use]
    pub fn now(&self) -> Now {
        // A clock before 1970 is a broken clock; zero is as good as any.
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall_ms = i64::try_from(wall.as_millis()).unwrap_or(i64::MAX);
        #[cfg(feature = "failpoints")]
        let wall_ms = wall_ms + WALL_OFFSET_MS.load(std::sync::atomic::Ordering::Relaxed);
        Now { mono_ms: self.mono_ns() / 1_000_000, wall_ms }
    }

    /// Returns the nanoseconds since the beginning.
    #[must_use]
    pub fn mono_ns(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}
