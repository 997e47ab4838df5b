//! When the log is not what the room remembers: it was trimmed, or its history was rewound.

use parlour_protocol::event::{Event, Resync, Unrecovered};
use parlour_protocol::{Epoch, ErrorCode, Seq};

use super::access::Reach;
use super::ring::RING_EVENTS;
use super::{Room, STORE_RETRY_MS, Scene};
use crate::effect::{Effect, StoreRequest};
use crate::input::Opened;
use crate::log::{Head, Snapshot};

/// The log is being read anew. Until then nobody is told anything of it.
#[derive(Debug)]
pub(super) struct Reload {
    reason: Unrecovered,
    /// The lineage that was heard of last.
    epoch: Epoch,
    /// Whether the answer that is on its way may be older than that.
    is_late: bool,
    /// The newest event of that lineage that was heard of.
    upto: Seq,
    /// When to ask again, after the store did not help.
    retry_at_ms: Option<u64>,
}

impl Reload {
    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.retry_at_ms
    }

    /// Notes an event that the room would have delivered.
    pub(super) fn note(&mut self, epoch: Epoch, seq: Seq) {
        if epoch == self.epoch {
            self.upto = self.upto.max(seq);
        }
    }
}

impl Room {
    /// Compares the room with the ends of its log.
    pub(super) fn surveyed(&mut self, scene: Scene<'_>, ends: Head, out: &mut Vec<Effect>) {
        if ends.epoch != self.epoch {
            return self.reload(scene, Unrecovered::Epoch, ends.epoch, out);
        }
        if self.errands.reload.is_some() {
            return;
        }
        if ends.floor > self.position {
            // What was not delivered is gone already, and with it what it may have changed.
            return self.reload(scene, Unrecovered::Expired, ends.epoch, out);
        }
        if ends.head > self.position {
            self.heal(ends.head, out);
        }
        if ends.floor > self.floor {
            self.floor = ends.floor;
            self.past.ring.forget(self.floor);
            self.past.pages.forget();
        }
    }

    /// Reads the log anew: what the room remembers may not be what the log says (P10).
    pub(super) fn reload(
        &mut self,
        scene: Scene<'_>,
        reason: Unrecovered,
        epoch: Epoch,
        out: &mut Vec<Effect>,
    ) {
        if let Some(reload) = &mut self.errands.reload {
            if reload.epoch != epoch {
                (reload.epoch, reload.is_late, reload.upto) = (epoch, true, Seq(0));
            }
            return;
        }
        self.errands.reload = Some(Reload { reason, epoch, is_late: false, upto: Seq(0), retry_at_ms: None });
        self.errands.healing = None;
        for replay in self.past.pages.interrupt() {
            self.turn_back(scene, replay, ErrorCode::Unavailable, out);
        }
        self.open_again(out);
    }

    fn open_again(&mut self, out: &mut Vec<Effect>) {
        self.errands.awaited += 1;
        let request = StoreRequest::Open { durable: self.setup.durable, tail: RING_EVENTS as u32 };
        out.push(Effect::Store { room: self.name.clone(), request });
    }

    /// Takes over the log as it is now, and tells everybody to fetch the room anew.
    pub(super) fn reopened(&mut self, scene: Scene<'_>, opened: Opened, out: &mut Vec<Effect>) {
        let Some(mut reload) = self.errands.reload.take() else {
            return;
        };
        self.errands.awaited -= 1;
        let Ok(log) = opened.log else {
            reload.retry_at_ms = Some(scene.now.mono_ms + u64::from(STORE_RETRY_MS));
            self.errands.reload = Some(reload);
            return;
        };
        let snapshot = log.unwrap_or_else(|| Snapshot::nothing(opened.new_epoch));
        if std::mem::take(&mut reload.is_late) && snapshot.ends.epoch != reload.epoch {
            self.errands.reload = Some(reload);
            return self.open_again(out);
        }
        let mut reason = reload.reason;
        if snapshot.ends.epoch != self.epoch {
            reason = Unrecovered::Epoch;
            self.members.lose_places();
        }
        self.load(snapshot);
        // Also roles may be others than they were.
        self.expel(scene, Reach::Everybody, out);
        self.tell_all(self.resync(reason), out);
        if reload.epoch == self.epoch && reload.upto > self.position {
            self.heal(reload.upto, out);
        }
    }

    pub(super) fn retry_reload(&mut self, now_ms: u64, out: &mut Vec<Effect>) {
        if let Some(reload) = &mut self.errands.reload
            && reload.retry_at_ms.take_if(|at| *at <= now_ms).is_some()
        {
            self.open_again(out);
        }
    }

    pub(super) fn resync(&self, reason: Unrecovered) -> Event {
        let (room, epoch, head, floor) = (self.name.clone(), self.epoch, self.position, self.floor);
        Event::Resync(Box::new(Resync { room, reason, epoch, head, floor }))
    }
}
