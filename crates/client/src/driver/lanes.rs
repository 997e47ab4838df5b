//! What is said keeps its order, also when some of it fails (P3).
//!
//! Each room is a lane. What is said there goes out at once, one behind the other. When something
//! fails for now, the server fails what stands behind it too, so the lane waits until all of that
//! has come back, and then repeats it in the old order under the same cids.

use std::time::Duration;

use parlour_protocol::command::{Batch, Command};
use parlour_protocol::{Refusal, RoomName, UserId};
use tokio::time::Instant;

use super::{Driver, Errand, random};
use crate::pending::Asked;

/// The first wait before something is said again, in milliseconds; it doubles up to the longest.
const FIRST_MS: u64 = 100;
const LONGEST_MS: u64 = 10_000;

/// A lane in which something failed.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    attempts: u32,
    /// When to try again; `None` while an attempt is on its way.
    until: Option<Instant>,
}

/// Returns the lane of what is said: its room.
pub(crate) fn lane_of(command: &Command, user: &UserId) -> Option<RoomName> {
    let room = match command {
        Command::Publish(said) => &said.room,
        Command::Private(said) => return Some(RoomName::private(user, &said.to)),
        Command::Batch(Batch { room, .. }) => room,
        Command::Edit(edit) => &edit.room,
        Command::Delete(delete) => &delete.room,
        Command::React(react) => &react.room,
        Command::Pin(pin) => &pin.room,
        Command::Create(create) => &create.room,
        Command::Configure(configure) => &configure.room,
        Command::Role(role) => &role.room,
        _ => return None,
    };
    Some(room.clone())
}

impl Driver {
    /// Sends what waits in a lane, unless it must wait on.
    pub(super) fn run_lane(&mut self, lane: &RoomName) {
        let is_paused = self.pauses.get(lane).is_some_and(|pause| pause.until.is_some());
        let is_outside = self.rooms.get(lane).is_some_and(|room| !room.is_attached);
        if is_paused || is_outside {
            return;
        }
        for id in self.pending.unsent(Some(lane)) {
            self.outbox.extend(self.pending.send(id));
        }
    }

    /// Takes the refusal of something that may be accepted later.
    pub(super) fn fail_for_now(&mut self, id: u32, asked: Asked, refusal: &Refusal) {
        let Some(lane) = asked.lane.clone() else {
            return;
        };
        self.pending.put_back(id, asked);
        let pause = self.pauses.entry(lane.clone()).or_default();
        if pause.until.is_none() {
            let wait_ms = (FIRST_MS << pause.attempts.min(10)).min(LONGEST_MS);
            let jitter_ms = u64::from(random()) * wait_ms / (1 << 32);
            let wait_ms = (wait_ms + jitter_ms).max(refusal.retry_after_ms.unwrap_or(0).into());
            let until = Instant::now() + Duration::from_millis(wait_ms);
            pause.attempts += 1;
            pause.until = Some(until);
            self.errands.push((until, Errand::Repeat(lane)));
        }
    }

    /// Repeats what failed, once all of it has come back.
    pub(super) fn repeat(&mut self, lane: &RoomName) {
        if self.pending.is_busy(lane) {
            // The answers to what stood behind the failure come soon: they need no store.
            let soon = Instant::now() + Duration::from_millis(FIRST_MS);
            self.errands.push((soon, Errand::Repeat(lane.clone())));
            return;
        }
        if let Some(pause) = self.pauses.get_mut(lane) {
            pause.until = None;
        }
        self.run_lane(lane);
    }

    /// Notes that a lane is open again.
    pub(super) fn succeed(&mut self, lane: &RoomName) {
        if self.pauses.get(lane).is_some_and(|pause| pause.until.is_none()) {
            self.pauses.remove(lane);
        }
    }
}
