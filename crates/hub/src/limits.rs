//! Rate limits as arithmetic: one number of state per key, no timer, no clock.

/// The generic cell rate algorithm (ITU-T I.371): a leaky bucket whose whole state is the
/// theoretical arrival time of the next conforming event.
#[derive(Debug, Clone, Copy)]
pub struct Gcra {
    interval_ns: u64,
    tolerance_ns: u64,
}

impl Gcra {
    /// Allows `rate_per_s` events per second in the long run and `burst` at once; a rate of 0
    /// allows everything.
    #[must_use]
    pub fn new(rate_per_s: u32, burst: u32) -> Self {
        let interval_ns = 1_000_000_000_u64.checked_div(u64::from(rate_per_s)).unwrap_or(0);
        Self { interval_ns, tolerance_ns: interval_ns * u64::from(burst.saturating_sub(1)) }
    }

    /// Decides about one event at `now_ns`, given the state `arrival_ns`, which begins at 0.
    ///
    /// # Errors
    /// The time to wait, in milliseconds and at least 1, if the event does not conform.
    pub fn check(&self, arrival_ns: u64, now_ns: u64) -> Result<u64, u32> {
        self.check_all(1, arrival_ns, now_ns)
    }

    /// Decides about `events` at once, all or none. More than a burst never conform.
    ///
    /// # Errors
    /// As [`Gcra::check`].
    pub fn check_all(&self, events: u32, arrival_ns: u64, now_ns: u64) -> Result<u64, u32> {
        let before_last = self.interval_ns.saturating_mul(u64::from(events.saturating_sub(1)));
        let arrival = arrival_ns.max(now_ns).saturating_add(before_last);
        let ahead = arrival - now_ns;
        if ahead > self.tolerance_ns {
            let wait_ms = (ahead - self.tolerance_ns).div_ceil(1_000_000);
            return Err(u32::try_from(wait_ms).unwrap_or(u32::MAX));
        }
        Ok(arrival.saturating_add(self.interval_ns))
    }

    /// Decides about `events` at once like about one, and charges for all of them: what goes beyond the
    /// burst is waited for afterwards.
    ///
    /// # Errors
    /// As [`Gcra::check`].
    pub fn charge(&self, events: u32, arrival_ns: u64, now_ns: u64) -> Result<u64, u32> {
        let rest = self.interval_ns.saturating_mul(u64::from(events.saturating_sub(1)));
        self.check(arrival_ns, now_ns).map(|next| next.saturating_add(rest))
    }

    /// Whether a state says no more than a fresh one, so that it may be forgotten.
    #[must_use]
    pub fn is_idle(&self, arrival_ns: u64, now_ns: u64) -> bool {
        arrival_ns <= now_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn the_21st_of_a_burst_waits_and_the_rate_holds_in_the_long_run() {
        let gcra = Gcra::new(10, 20);
        let mut state = 0;
        for _ in 0..20 {
            state = gcra.check(state, SECOND).expect("within the burst");
        }
        assert_eq!(gcra.check(state, SECOND), Err(100));
        let passed = (1..=1_000).filter(|tick| {
            let next = gcra.check(state, SECOND + tick * SECOND / 100);
            state = next.unwrap_or(state);
            next.is_ok()
        });
        assert_eq!(passed.count(), 100, "ten seconds at ten per second");
    }

    #[test]
    fn a_batch_passes_as_one_and_is_paid_for_afterwards() {
        let gcra = Gcra::new(10, 20);
        let state = gcra.charge(64, 0, SECOND).expect("a fresh budget");
        assert_eq!(gcra.charge(1, state, SECOND), Err(4_500), "64 less the burst, and one more");
        assert!(gcra.charge(64, state, SECOND + 4_500_000_000).is_ok());
    }

    #[test]
    fn a_rate_of_zero_allows_everything() {
        let gcra = Gcra::new(0, 0);
        let state = (0..10_000).try_fold(0, |state, _| gcra.check(state, 5));
        assert!(state.is_ok_and(|state| gcra.is_idle(state, 5)));
    }
}
