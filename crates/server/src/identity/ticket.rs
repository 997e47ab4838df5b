//! Tickets: random texts that stand for an identity once, for clients that can only open a URL.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parlour_protocol::{ErrorCode, Refusal};
use sha2::{Digest as _, Sha256};

use crate::verifier::Identity;

/// How long a ticket can be used unless told otherwise.
pub const TICKET_LIFE: Duration = Duration::from_secs(30);
/// Most tickets that wait to be used.
const MOST: usize = 50_000;
/// When to try again where there are as many, in milliseconds.
const RETRY_MS: u32 = 1_000;

/// Tickets that were not used yet, by the hash of their text: how long a look takes says nothing
/// about which texts there are, and the table holds nothing to steal.
#[derive(Debug, Default)]
pub struct Tickets(Mutex<HashMap<[u8; 32], Held>>);

#[derive(Debug)]
struct Held {
    identity: Identity,
    /// On the clock of the node, in milliseconds.
    until_ms: u64,
}

impl Tickets {
    /// Makes a ticket of 256 random bits for an identity. `now_ms` is on the clock of the node.
    ///
    /// # Errors
    /// `overloaded` with too many unused ones, `internal` without random numbers.
    pub fn mint(&self, identity: Identity, life: Duration, now_ms: u64) -> Result<String, Refusal> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|_| ErrorCode::Internal)?;
        let ticket = URL_SAFE_NO_PAD.encode(random);
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if table.len() >= MOST {
            table.retain(|_, held| held.until_ms > now_ms);
        }
        if table.len() >= MOST {
            return Err(Refusal::retry_after(ErrorCode::Overloaded, RETRY_MS));
        }
        let life_ms = u64::try_from(life.as_millis()).unwrap_or(u64::MAX);
        table.insert(hash(&ticket), Held { identity, until_ms: now_ms.saturating_add(life_ms) });
        Ok(ticket)
    }

    /// Takes a ticket; it cannot be used again.
    #[must_use]
    pub fn redeem(&self, ticket: &str, now_ms: u64) -> Option<Identity> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&hash(ticket))?;
        (held.until_ms > now_ms).then_some(held.identity)
    }
}

fn hash(ticket: &str) -> [u8; 32] {
    Sha256::digest(ticket).into()
}

#[cfg(test)]
mod tests {
    use parlour_protocol::UserId;

    use super::*;

    fn alice() -> Identity {
        Identity { user: UserId::parse("alice").expect("valid"), pass: None }
    }

    #[test]
    fn a_ticket_works_once_and_in_time() {
        let tickets = Tickets::default();
        let [first, second] = [(); 2].map(|()| tickets.mint(alice(), TICKET_LIFE, 0).expect("a ticket"));
        assert_eq!((first.len(), first == second), (43, false));
        assert_eq!(tickets.redeem(&first, 29_999), Some(alice()));
        assert_eq!(tickets.redeem(&first, 29_999), None, "used");
        assert_eq!(tickets.redeem(&second, 30_000), None, "too late");
        assert_eq!(tickets.redeem("", 0), None);
    }

    #[test]
    fn unused_tickets_are_bounded() {
        let tickets = Tickets::default();
        for _ in 0..MOST {
            tickets.mint(alice(), TICKET_LIFE, 0).expect("there is room");
        }
        let refusal = tickets.mint(alice(), TICKET_LIFE, 1).expect_err("there is no room");
        assert_eq!((refusal.code, refusal.retry_after_ms), (ErrorCode::Overloaded, Some(RETRY_MS)));
        assert!(tickets.mint(alice(), TICKET_LIFE, 30_000).is_ok(), "the old ones are over");
    }
}
