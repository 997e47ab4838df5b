//! The only place that reads a clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use parlour_hub::Now;

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
        Now {
            mono_ms: self.mono_ns() / 1_000_000,
            wall_ms: i64::try_from(wall.as_millis()).unwrap_or(i64::MAX),
        }
    }

    /// Returns the nanoseconds since the beginning.
    #[must_use]
    pub fn mono_ns(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}
