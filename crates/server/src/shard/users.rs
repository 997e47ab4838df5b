//! Which connections of a shard belong to a user.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use parlour_protocol::UserId;
use slab::Slab;

use super::connection::Connection;

/// The connections by their users. The names stand in the connections alone: here a connection costs
/// eight bytes.
#[derive(Debug, Default)]
pub(super) struct Users {
    table: HashTable<Entry>,
    hasher: RandomState,
}

/// A connection, with half of its user's hash.
#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: u32,
    slot: u32,
}

impl Users {
    /// Adds a connection of a user.
    pub(super) fn add(&mut self, user: &UserId, slot: u32) {
        let entry = Entry { hash: self.hash(user), slot };
        self.table.insert_unique(entry.spread(), entry, Entry::spread);
    }

    /// Removes a connection, if it is there.
    pub(super) fn remove(&mut self, user: &UserId, slot: u32) {
        let entry = Entry { hash: self.hash(user), slot };
        if let Ok(found) = self.table.find_entry(entry.spread(), |other| other.slot == slot) {
            found.remove();
        }
        // A table does not shrink by itself after a crowd has left.
        if self.table.len() < self.table.capacity() / 8 {
            self.table.shrink_to(2 * self.table.len(), Entry::spread);
        }
    }

    /// Lists the connections of a user.
    pub(super) fn of<'a>(
        &'a self,
        user: &'a UserId,
        connections: &'a Slab<Connection>,
    ) -> impl Iterator<Item = u32> + 'a {
        let hash = self.hash(user);
        let alike = self.table.iter_hash(Entry { hash, slot: 0 }.spread()).map(|entry| entry.slot);
        alike.filter(move |slot| connections.get(*slot as usize).and_then(Connection::user) == Some(user))
    }

    fn hash(&self, user: &UserId) -> u32 {
        self.hasher.hash_one(user) as u32
    }
}

impl Entry {
    /// The table looks at both ends of a hash.
    fn spread(&self) -> u64 {
        u64::from(self.hash) << 32 | u64::from(self.hash)
    }
}
