//! Cursors of what was read and what has arrived, told at most once per second and room.

use std::collections::HashMap;
use std::time::Duration;

use parlour_protocol::command::{self, Command};
use parlour_protocol::{RoomName, Seq};
use tokio::time::Instant;

use super::{Driver, Errand};
use crate::pending::Waiter;

/// How long cursors are gathered.
const GATHER: Duration = Duration::from_secs(1);

/// What is to be told.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    read: HashMap<RoomName, Seq>,
    delivered: HashMap<RoomName, Seq>,
    /// Whether an errand will tell it.
    is_due: bool,
}

impl Cursors {
    pub(super) fn read(&mut self, room: RoomName, seq: Seq) {
        let known = self.read.entry(room).or_default();
        *known = seq.max(*known);
    }

    fn is_empty(&self) -> bool {
        self.read.is_empty() && self.delivered.is_empty()
    }
}

impl Driver {
    pub(super) fn note_read(&mut self, room: RoomName, seq: Seq) {
        self.cursors.read(room, seq);
        if !self.cursors.is_due {
            self.tell_cursors_soon();
        }
    }

    pub(super) fn note_delivered(&mut self, room: &RoomName, seq: Seq) {
        if self.beginning.reports_delivery {
            self.cursors.delivered.insert(room.clone(), seq);
            if !self.cursors.is_due {
                self.tell_cursors_soon();
            }
        }
    }

    /// Begins to gather; what waited for a connection is told with what comes meanwhile.
    pub(super) fn tell_cursors_soon(&mut self) {
        self.cursors.is_due = !self.cursors.is_empty();
        if self.cursors.is_due {
            self.errands.push((Instant::now() + GATHER, Errand::Cursors));
        }
    }

    pub(super) fn tell_cursors(&mut self) {
        self.cursors.is_due = false;
        let is_inside = |room: &RoomName| self.rooms.get(room).is_none_or(|room| room.is_attached);
        let read: Vec<_> = self.cursors.read.extract_if(|room, _| is_inside(room)).collect();
        let delivered: Vec<_> = self.cursors.delivered.extract_if(|room, _| is_inside(room)).collect();
        for (room, seq) in read {
            self.ask(Command::Read(command::Cursor { room, seq }), Waiter::Nobody);
        }
        for (room, seq) in delivered {
            self.ask(Command::Delivered(command::Cursor { room, seq }), Waiter::Nobody);
        }
        // The others wait for their rooms.
        self.tell_cursors_soon();
    }
}
