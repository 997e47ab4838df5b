//! Waiting for the next entry without being a member: long polls.

use parlour_protocol::event::{Ack, Event};
use parlour_protocol::{ErrorCode, Refusal, Seq};

use super::{Room, answer, refuse};
use crate::effect::Effect;
use crate::input::Caller;

/// Most who wait for one room at the same time.
const MOST: usize = 1_000;
/// When somebody who finds too many waiting may try again, in milliseconds.
const CROWDED_RETRY_MS: u32 = 1_000;

/// Those who wait. The room stays in memory for them, at most until the last of their deadlines.
#[derive(Debug, Default)]
pub(super) struct Watchers(Vec<Watcher>);

#[derive(Debug)]
struct Watcher {
    caller: Caller,
    after: Seq,
    until_ms: u64,
}

impl Watchers {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.0.iter().map(|watcher| watcher.until_ms).min()
    }
}

impl Room {
    /// Answers once there is an entry after `after`, or at the latest at `until_ms` on the clock of
    /// [`Now::mono_ms`](crate::Now). Whoever is answered reads the log.
    pub(super) fn watch(&mut self, caller: Caller, after: Seq, until_ms: u64, out: &mut Vec<Effect>) {
        if let Err(refusal) = self.may_read_log(&caller) {
            return refuse(&caller, refusal, out);
        }
        if after < self.position {
            return answer(caller, Event::Ack(Ack::default()), out);
        }
        if self.past.watchers.0.len() >= MOST {
            return refuse(&caller, Refusal::retry_after(ErrorCode::Overloaded, CROWDED_RETRY_MS), out);
        }
        self.past.watchers.0.push(Watcher { caller, after, until_ms });
    }

    /// Answers those who have waited long enough, and those who have something to read.
    pub(super) fn tell_watchers(&mut self, now_ms: u64, out: &mut Vec<Effect>) {
        let position = self.position;
        let is_due = |watcher: &mut Watcher| watcher.after < position || watcher.until_ms <= now_ms;
        for watcher in self.past.watchers.0.extract_if(.., is_due) {
            answer(watcher.caller, Event::Ack(Ack::default()), out);
        }
    }
}
