//! Wrong keys by address: whoever shows many is slowed down.
//!
//! A right key always passes: a secret of 256 bits needs no protection from guessing, and a table
//! that could lock out would itself be a weapon.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parlour_hub::limits::Gcra;

/// Buckets; addresses that fall into the same one share a budget.
const BUCKETS: usize = 4_096;
/// Wrong keys per second in the long run.
const RATE: u32 = 1;
/// Wrong keys at once.
const BURST: u32 = 10;

/// The budgets. As large with a million addresses as with one.
#[derive(Debug)]
pub(super) struct Failures {
    rate: Gcra,
    arrivals: Box<[AtomicU64]>,
    hasher: RandomState,
}

impl Default for Failures {
    fn default() -> Self {
        Self {
            rate: Gcra::new(RATE, BURST),
            arrivals: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
        }
    }
}

impl Failures {
    /// Notes a wrong key.
    ///
    /// # Errors
    /// The time to wait, in milliseconds, if there were too many from this address.
    pub(super) fn note(&self, address: IpAddr, now_ns: u64) -> Result<(), u32> {
        let bucket = &self.arrivals[self.bucket(address)];
        // Two at the same moment may count as one, which is no harm.
        let arrival_ns = self.rate.check(bucket.load(Relaxed), now_ns)?;
        bucket.store(arrival_ns, Relaxed);
        Ok(())
    }

    /// An IPv6 network of 64 bits counts as one address, as everywhere.
    fn bucket(&self, address: IpAddr) -> usize {
        let hash = match address.to_canonical() {
            IpAddr::V4(v4) => self.hasher.hash_one(v4),
            IpAddr::V6(v6) => self.hasher.hash_one(v6.to_bits() >> 64),
        };
        hash as usize % BUCKETS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gets_ten_wrong_keys_and_then_one_a_second() {
        let (failures, now_ns) = (Failures::default(), 1_000_000_000);
        let address = |text: &str| text.parse::<IpAddr>().expect("valid");
        let mut outcomes = (0..12).map(|n| failures.note(address(&format!("2001:db8::{n}")), now_ns));
        assert!(outcomes.by_ref().take(10).all(|outcome| outcome.is_ok()));
        assert!(outcomes.all(|outcome| outcome == Err(1_000)));
        assert!(failures.note(address("2001:db8::1"), 2 * now_ns).is_ok());
    }
}
