//! When to try again: full jitter, so that ten thousand clients do not come back at once.

use std::time::Duration;

use parlour_protocol::event::Window;

/// The window before a server has named one.
const FIRST: Window = Window { min_ms: 500, max_ms: 5_000 };
/// The window never ends later, in milliseconds.
const LONGEST_MS: u32 = 60_000;

/// The windows of one outage after the other.
#[derive(Debug)]
pub(crate) struct Backoff {
    window: Window,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { window: FIRST, failures: 0 }
    }

    /// Takes over the window that a server names.
    pub(crate) fn follow(&mut self, window: Window) {
        self.window = window;
    }

    /// Notes a connection that came about.
    pub(crate) fn succeed(&mut self) {
        self.failures = 0;
    }

    /// Picks the next wait; each failure in a row doubles the end of the window.
    pub(crate) fn next(&mut self, random: u32) -> Duration {
        let Window { min_ms, max_ms } = self.window;
        let doubled = max_ms.max(1).saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = (self.failures + 1).min(31);
        let end_ms = doubled.min(LONGEST_MS.max(max_ms)).max(min_ms);
        let span = u64::from(end_ms - min_ms) + 1;
        Duration::from_millis(u64::from(min_ms) + u64::from(random) * span / (1 << 32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(backoff: &mut Backoff) -> (u128, u128) {
        let failures = backoff.failures;
        let low = backoff.next(0).as_millis();
        backoff.failures = failures;
        (low, backoff.next(u32::MAX).as_millis())
    }

    #[test]
    fn the_window_doubles_up_to_a_minute_and_starts_anew() {
        let mut backoff = Backoff::new();
        backoff.follow(Window { min_ms: 100, max_ms: 10_000 });
        for end in [10_000, 20_000, 40_000, 60_000, 60_000] {
            assert_eq!(bounds(&mut backoff), (100, end));
        }
        (0..100).for_each(|_| _ = backoff.next(0));
        backoff.succeed();
        assert_eq!(bounds(&mut backoff), (100, 10_000));
    }

    #[test]
    fn a_window_of_the_server_is_kept_even_if_it_is_long_or_strange() {
        let mut backoff = Backoff::new();
        backoff.follow(Window { min_ms: 1_000, max_ms: 300_000 });
        assert_eq!(bounds(&mut backoff), (1_000, 300_000));
        let mut backoff = Backoff::new();
        backoff.follow(Window { min_ms: 7, max_ms: 0 });
        assert_eq!(bounds(&mut backoff), (7, 7));
    }
}
