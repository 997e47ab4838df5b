//! When the log is not what the room remembers: it was trimmed, or its history was rewound.

use std::sync::Arc;

use parlour_protocol::Epoch;
use parlour_protocol::event::{Event, Resync, Unrecovered};

use super::ring::{RING_EVENTS, Ring};
use super::{Cursors, Room};
use crate::effect::{Effect, StoreRequest};
use crate::input::Opened;
use crate::log::{Head, Snapshot};

impl Room {
    /// Compares the room with the ends of its log.
    pub(super) fn surveyed(&mut self, ends: Head, out: &mut Vec<Effect>) {
        if ends.epoch != self.epoch {
            return self.rewound(ends.epoch, out);
        }
        if ends.head > self.position {
            self.heal(ends.head, out);
        }
        if ends.floor > self.floor {
            self.floor = ends.floor.min(self.position);
            self.ring.forget(self.floor);
            self.pages.forget();
        }
    }

    /// Another epoch: what the room remembers may not be what the log says (P10).
    pub(super) fn rewound(&mut self, epoch: Epoch, out: &mut Vec<Effect>) {
        // Until the log has been read again, nothing old is told under the new name.
        self.epoch = epoch;
        self.ring = Ring::default();
        self.pages.forget();
        self.awaited += 1;
        let request = StoreRequest::Open { durable: self.durable, tail: RING_EVENTS as u32 };
        out.push(Effect::Store { room: self.name.clone(), request });
    }

    /// Takes over the log as it is now, and tells everybody to fetch the room anew.
    pub(super) fn reopened(&mut self, opened: Opened, out: &mut Vec<Effect>) {
        self.awaited = self.awaited.saturating_sub(1);
        match opened.log {
            Ok(Some(snapshot)) => self.load(snapshot),
            Ok(None) => self.load(Snapshot::nothing(opened.new_epoch)),
            // Asked again with the next survey, which still finds another epoch.
            Err(_) => return self.epoch = Epoch::default(),
        }
        self.cursors = Cursors::load(&opened.cursors);
        let resync = self.resync(Unrecovered::Epoch);
        self.broadcast(Arc::new(resync), out);
    }

    pub(super) fn resync(&self, reason: Unrecovered) -> Event {
        let (room, epoch, head, floor) = (self.name.clone(), self.epoch, self.position, self.floor);
        Event::Resync(Box::new(Resync { room, reason, epoch, head, floor }))
    }
}
