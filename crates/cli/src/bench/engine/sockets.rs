//! The connections of an engine, found by slot or by name.

use super::connection::{Connection, Id, Phase};

/// The connections, and how far they are.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    /// What a slot holds may have been replaced; an [`Id`] tells.
    pub(crate) slots: Vec<Option<Connection>>,
    free: Vec<usize>,
    /// Connections there ever were.
    pub(crate) opened: u64,
    /// Connections on their way.
    pub(crate) opening: usize,
    /// Connections in their rooms.
    pub(crate) live: usize,
    /// Slots with something to say.
    pub(crate) talking: Vec<usize>,
    /// Slots with more to read.
    pub(crate) waiting: Vec<usize>,
}

impl Sockets {
    /// Returns a slot for the next connection.
    pub(crate) fn free_slot(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        })
    }

    /// Takes a connection that is on its way.
    pub(crate) fn put(&mut self, slot: usize, connection: Connection) {
        self.slots[slot] = Some(connection);
        self.opening += 1;
        self.opened += 1;
    }

    /// Returns a connection, if it is still there.
    pub(crate) fn get(&self, id: Id) -> Option<&Connection> {
        self.slots.get(id.slot)?.as_ref().filter(|connection| connection.serial == id.serial)
    }

    /// The same, to change it.
    pub(crate) fn get_mut(&mut self, id: Id) -> Option<&mut Connection> {
        self.slots.get_mut(id.slot)?.as_mut().filter(|connection| connection.serial == id.serial)
    }

    /// Ends a connection.
    pub(crate) fn remove(&mut self, slot: usize) {
        let Some(connection) = self.slots.get_mut(slot).and_then(Option::take) else {
            return;
        };
        match connection.phase {
            Phase::Live => self.live -= 1,
            Phase::Deaf => {}
            _ => self.opening -= 1,
        }
        self.free.push(slot);
    }

    /// Returns those that are in their rooms.
    pub(crate) fn live_ones(&mut self) -> impl Iterator<Item = &mut Connection> {
        self.slots.iter_mut().flatten().filter(|connection| connection.phase == Phase::Live)
    }
}
