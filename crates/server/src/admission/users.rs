//! The users that are counted, and the budgets that they keep for a while after they have gone.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use parlour_hub::session::{Budget, Cost, Rates};
use parlour_protocol::{Refusal, UserId};

/// The users who are counted, by name.
#[derive(Debug, Default)]
pub(super) struct Users {
    entries: HashSet<Entry>,
    /// The table is searched for idle entries when it has grown to this.
    sweep_at: usize,
}

#[derive(Debug)]
struct Entry(Arc<User>);

/// A user, and what all connections of the user share on this node.
#[derive(Debug)]
pub(super) struct User {
    pub(super) id: UserId,
    connections: AtomicU32,
    /// When each part of the budget is full again, in nanoseconds.
    full_ns: Parts,
}

/// A [`Budget`] that several shards spend from.
#[derive(Debug, Default)]
struct Parts {
    messages: AtomicU64,
    bytes: AtomicU64,
    reads: AtomicU64,
    joins: AtomicU64,
}

impl Parts {
    fn each(&self) -> [&AtomicU64; 4] {
        let Self { messages, bytes, reads, joins } = self;
        [messages, bytes, reads, joins]
    }
}

impl Users {
    /// Finds or creates a user's entry; `None` if there are too many users to remember.
    pub(super) fn entry(&mut self, id: &UserId, now_ns: u64, most: usize) -> Option<Arc<User>> {
        if let Some(Entry(user)) = self.entries.get(id) {
            return Some(Arc::clone(user));
        }
        if self.entries.len() >= self.sweep_at {
            self.entries.retain(|Entry(user)| !user.is_forgettable(now_ns));
            // Twice what is left: the search costs a constant per new user.
            self.sweep_at = (2 * self.entries.len()).max(1_024).min(most);
        }
        if self.entries.len() >= most {
            return None;
        }
        let user = Arc::new(User { id: id.clone(), connections: 0.into(), full_ns: Parts::default() });
        self.entries.insert(Entry(Arc::clone(&user)));
        Some(user)
    }

    /// Counts a connection less, and forgets a user without connections whose budget is full.
    pub(super) fn release(&mut self, user: &User, now_ns: u64) {
        user.connections.fetch_sub(1, Relaxed);
        if user.is_forgettable(now_ns) {
            self.entries.remove(&user.id);
        }
        // A table does not shrink by itself after a crowd has left.
        if self.entries.len() < self.entries.capacity() / 8 {
            self.entries.shrink_to(2 * self.entries.len());
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl User {
    /// Counts a connection more, unless there are `most`. Only under the lock of the table, so that
    /// the count and the entry's life agree.
    pub(super) fn count(&self, most: usize) -> bool {
        let may = (self.connections.load(Relaxed) as usize) < most;
        self.connections.fetch_add(u32::from(may), Relaxed);
        may
    }

    /// Takes what a command costs out of the budget.
    ///
    /// Two connections on two shards that spend at the same moment may both pass; the budget is
    /// charged for both.
    ///
    /// # Errors
    /// `rate_limited` with the time to wait.
    pub(super) fn spend(&self, rates: &Rates, cost: &Cost, now_ns: u64) -> Result<(), Refusal> {
        let [messages, bytes, reads, joins] = self.full_ns.each().map(|part| part.load(Relaxed));
        let before = Budget { messages, bytes, reads, joins };
        let after = rates.charge(cost, before, now_ns)?;
        let more = [
            after.messages.saturating_sub(messages),
            after.bytes.saturating_sub(bytes),
            after.reads.saturating_sub(reads),
            after.joins.saturating_sub(joins),
        ];
        for (part, more) in self.full_ns.each().into_iter().zip(more).filter(|(_, more)| *more > 0) {
            part.fetch_add(more, Relaxed);
        }
        Ok(())
    }

    fn is_forgettable(&self, now_ns: u64) -> bool {
        let is_full = self.full_ns.each().into_iter().all(|part| part.load(Relaxed) <= now_ns);
        self.connections.load(Relaxed) == 0 && is_full
    }
}

impl Borrow<UserId> for Entry {
    fn borrow(&self) -> &UserId {
        &self.0.id
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for Entry {}

impl Hash for Entry {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        UserId::parse(name).expect("valid")
    }

    #[test]
    fn refilled_budgets_are_swept_and_the_table_has_a_cap() {
        let mut users = Users::default();
        let spent = |user: &User, until_ns| user.full_ns.messages.store(until_ns, Relaxed);
        for number in 0..2_000 {
            let user = users.entry(&user(&format!("u{number}")), 0, 2_000).expect("below the cap");
            spent(&user, 10);
        }
        let late = users.entry(&user("late"), 10, 2_000).expect("all are refilled at 10");
        spent(&late, 99);
        assert_eq!(users.entries.len(), 1);
        for number in 0..1_999 {
            let user = users.entry(&user(&format!("v{number}")), 10, 2_000).expect("below the cap");
            spent(&user, 99);
        }
        assert!(users.entry(&user("too late"), 20, 2_000).is_none());
    }

    #[test]
    fn the_table_shrinks_after_a_crowd_has_left() {
        let mut users = Users::default();
        let crowd: Vec<_> = (0..2_000)
            .filter_map(|number| users.entry(&user(&format!("u{number}")), 0, 10_000))
            .inspect(|user| assert!(user.count(1)))
            .collect();
        assert!(users.entries.capacity() >= 2_000);
        crowd.iter().for_each(|user| users.release(user, 0));
        assert!(users.is_empty());
        assert_eq!(users.entries.capacity(), 0);
    }
}
