//! Holes: an event came before those that precede it, and the store is asked for them.

use parlour_protocol::event::Unrecovered;
use parlour_protocol::{Seq, limits};

use super::{Room, STORE_RETRY_MS, Scene};
use crate::effect::{Effect, Ticket};
use crate::log::{Record, Span};

/// A hole after the room's position.
#[derive(Debug)]
pub(super) struct Healing {
    /// The newest event that came too early.
    upto: Seq,
    /// When to ask again, after the store did not help.
    retry_at_ms: Option<u64>,
}

impl Healing {
    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.retry_at_ms
    }
}

impl Room {
    /// Asks for what is missing before `upto`, once for any number of events that came too early.
    pub(super) fn heal(&mut self, upto: Seq, out: &mut Vec<Effect>) {
        match &mut self.errands.healing {
            Some(Healing { upto: known, retry_at_ms: None }) => *known = upto.max(*known),
            // News show that the store works again.
            waiting => {
                let known = waiting.as_ref().map_or(Seq(0), |healing| healing.upto);
                *waiting = Some(Healing { upto: upto.max(known), retry_at_ms: None });
                self.read(Span::After(self.position), limits::HISTORY_MESSAGES, Ticket::Heal, out);
            }
        }
    }

    pub(super) fn healed(&mut self, scene: Scene<'_>, records: Vec<Record>, out: &mut Vec<Effect>) {
        let Some(Healing { upto, .. }) = self.errands.healing.take() else {
            return;
        };
        let helped = !records.is_empty();
        if records.first().is_some_and(|first| first.seq > self.position.next()) {
            // The store has forgotten the rest, and with it what it may have changed.
            return self.reload(scene, Unrecovered::Expired, self.epoch, out);
        }
        records.into_iter().for_each(|record| self.deliver(scene, record, out));
        if upto <= self.position {
            return;
        }
        if helped {
            self.heal(upto, out);
        } else {
            let retry_at_ms = Some(scene.now.mono_ms + u64::from(STORE_RETRY_MS));
            self.errands.healing = Some(Healing { upto, retry_at_ms });
        }
    }

    pub(super) fn retry_heal(&mut self, now_ms: u64, out: &mut Vec<Effect>) {
        let is_due = |healing: &Healing| healing.retry_at_ms.is_some_and(|at| at <= now_ms);
        if let Some(Healing { upto, .. }) = self.errands.healing.take_if(|healing| is_due(healing)) {
            self.heal(upto, out);
        }
    }
}
