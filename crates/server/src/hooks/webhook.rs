//! One webhook: what the rest of the server knows of it.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use parlour_protocol::RoomName;
use serde::Serialize;
use tokio::sync::Notify;

use super::event::EventKind;
use crate::config::WebhookRule;

/// Rooms in which something was said that are remembered by name; beyond, all rooms are looked at.
const MOST_ROOMS: usize = 10_000;

/// A webhook and what waits for it.
#[derive(Debug)]
pub(super) struct Webhook {
    pub(super) rule: WebhookRule,
    /// There is something to do.
    pub(super) wake: Notify,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rooms: Rooms,
    status: Status,
}

/// Rooms in which something was said.
#[derive(Debug, Default)]
struct Rooms {
    queue: VecDeque<RoomName>,
    known: HashSet<RoomName>,
    /// There may be more than those.
    is_incomplete: bool,
}

/// What an operator wants to know.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Status {
    /// Events that wait, without messages: those wait in the logs of their rooms.
    pub(super) waiting: usize,
    /// Rooms with messages that wait, as far as they are known.
    pub(super) rooms_behind: usize,
    /// Events that could not be delivered and can be replayed.
    pub(super) dead: usize,
    /// Events delivered since the server began.
    pub(super) delivered: u64,
    /// What is wrong; `None` if nothing is.
    pub(super) failing: Option<Failing>,
}

/// An endpoint that does not take what it is sent.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Failing {
    /// Since when, in milliseconds since the Unix epoch.
    pub(super) since_ms: i64,
    /// Why, as of the last attempt.
    pub(super) error: String,
    /// Attempts for the event that is next.
    pub(super) attempts: u32,
}

impl Webhook {
    pub(super) fn new(rule: WebhookRule) -> Self {
        // Whatever was said before the process began may not have been told.
        let rooms = Rooms { is_incomplete: rule.events.contains(&EventKind::Message), ..Rooms::default() };
        let state = Mutex::new(State { rooms, status: Status::default() });
        Self { rule, wake: Notify::new(), state }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that something was said in a room.
    pub(super) fn note_room(&self, room: &RoomName) {
        let rooms = &mut self.lock().rooms;
        if rooms.known.contains(room) {
            return;
        }
        if rooms.queue.len() >= MOST_ROOMS {
            rooms.is_incomplete = true;
            return;
        }
        rooms.known.insert(room.clone());
        rooms.queue.push_back(room.clone());
        self.wake.notify_one();
    }

    /// Takes the room that has waited longest.
    pub(super) fn next_room(&self) -> Option<RoomName> {
        let rooms = &mut self.lock().rooms;
        let room = rooms.queue.pop_front()?;
        rooms.known.remove(&room);
        Some(room)
    }

    /// Whether all rooms have to be looked at; to be asked once per look.
    pub(super) fn must_look(&self) -> bool {
        std::mem::take(&mut self.lock().rooms.is_incomplete)
    }

    pub(super) fn status(&self) -> Status {
        let state = self.lock();
        Status { rooms_behind: state.rooms.queue.len(), ..state.status.clone() }
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Status) -> T) -> T {
        change(&mut self.lock().status)
    }
}
