//! Who is online: users across all their connections to this node.

use std::collections::{BTreeSet, HashMap};

use parlour_hub::input::Ending;
use parlour_protocol::UserId;

/// Users with a connection, and those who may come back.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    users: HashMap<UserId, Standing>,
    /// Users without a connection, by the end of their grace.
    grace: BTreeSet<(u64, UserId)>,
}

#[derive(Debug, Clone, Copy)]
enum Standing {
    Here { connections: u32 },
    Lost { until_ms: u64 },
}

impl Crowd {
    /// Notes a new connection; returns whether the user was offline before.
    pub(super) fn came(&mut self, user: &UserId) -> bool {
        let before = match self.users.get(user) {
            Some(Standing::Here { connections }) => *connections,
            Some(Standing::Lost { until_ms }) => {
                self.grace.remove(&(*until_ms, user.clone()));
                0
            }
            None => 0,
        };
        self.users.insert(user.clone(), Standing::Here { connections: before + 1 }).is_none()
    }

    /// Notes the end of a connection; returns whether the user is offline now. Who lost the last
    /// connection may come back until `until_ms`.
    pub(super) fn went(&mut self, user: &UserId, ending: Ending, until_ms: u64) -> bool {
        match self.users.get_mut(user) {
            Some(Standing::Here { connections }) if *connections > 1 => {
                *connections -= 1;
                false
            }
            Some(Standing::Here { .. }) if ending == Ending::Lost => {
                self.await_until(user.clone(), until_ms);
                false
            }
            Some(Standing::Here { .. }) => self.users.remove(user).is_some(),
            Some(Standing::Lost { .. }) | None => false,
        }
    }

    /// Waits for a user who was online, and has no connection.
    pub(super) fn await_until(&mut self, user: UserId, until_ms: u64) {
        self.grace.insert((until_ms, user.clone()));
        self.users.insert(user, Standing::Lost { until_ms });
    }

    /// Removes and returns the next user whose grace has passed.
    pub(super) fn expire(&mut self, now_ms: u64) -> Option<UserId> {
        self.next_deadline().filter(|until_ms| *until_ms <= now_ms)?;
        let (_, user) = self.grace.pop_first()?;
        self.users.remove(&user);
        // A table does not shrink by itself after a crowd has left.
        if self.users.len() < self.users.capacity() / 8 {
            self.users.shrink_to(2 * self.users.len());
        }
        Some(user)
    }

    /// Returns the earliest end of a grace.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.grace.first().map(|(until_ms, _)| *until_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice() -> UserId {
        UserId::parse("Alice").expect("valid")
    }

    #[test]
    fn several_connections_are_one_user() {
        let mut crowd = Crowd::default();
        assert!(crowd.came(&alice()));
        assert!(!crowd.came(&alice()));
        assert!(!crowd.went(&alice(), Ending::Deliberate, 10));
        assert!(crowd.went(&alice(), Ending::Deliberate, 10));
        assert!(!crowd.went(&alice(), Ending::Deliberate, 10), "only once");
        assert!(crowd.came(&alice()), "and anew");
    }

    #[test]
    fn who_comes_back_within_the_grace_was_never_away() {
        let mut crowd = Crowd::default();
        assert!(crowd.came(&alice()));
        assert!(!crowd.went(&alice(), Ending::Lost, 10));
        assert_eq!((crowd.next_deadline(), crowd.expire(9)), (Some(10), None));
        assert!(!crowd.came(&alice()));
        assert_eq!((crowd.next_deadline(), crowd.expire(10)), (None, None));
        assert!(!crowd.went(&alice(), Ending::Lost, 20));
        assert_eq!((crowd.expire(20), crowd.expire(20)), (Some(alice()), None));
        assert!(crowd.came(&alice()));
    }
}
