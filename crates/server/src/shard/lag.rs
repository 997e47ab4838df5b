//! Members that read more slowly than their rooms speak.
//!
//! What a room says is not queued for them without end. A member whose outbox is full enough is taken
//! off the room's list, and the position is noted; once its socket has taken everything, the room is
//! asked for what was left out, a part at a time. Notices have no position: who has missed some is told
//! anew who is here. The room's home knows nothing of all this: its events come to this shard as
//! before, so an answer that ends at the room's position puts the member back without a seam.

use std::collections::HashMap;
use std::rc::Rc;

use parlour_hub::effect::Replayed;
use parlour_hub::input::Lag;
use parlour_hub::{ConnId, Input};
use parlour_protocol::event::Event;
use parlour_protocol::{RoomName, Seq};

use super::Shard;
use super::fanout::Place;
use crate::inbox::Mail;

/// How long an answer of a room is awaited before it is asked again, in milliseconds: the store may
/// have failed.
const AGAIN_MS: u64 = 2_000;

/// The slow members of rooms on this shard.
#[derive(Debug, Default)]
pub(super) struct Laggards {
    /// What each slow connection was not given.
    left_out: HashMap<u32, Vec<LeftOut>>,
    /// The slow connections of each room.
    rooms: HashMap<Rc<RoomName>, Vec<u32>>,
    /// Members that were found to be slow while the lists must not change: the connection, the number
    /// of the room, and the position up to which it was given everything.
    found: Vec<(u32, u32, Seq)>,
    places: u64,
}

/// What a connection was not given of a room.
#[derive(Debug)]
struct LeftOut {
    room: Rc<RoomName>,
    lag: Lag,
    /// When the room was last asked for it; 0 for never.
    asked_ms: u64,
    is_awaited: bool,
}

impl Laggards {
    /// Returns the number of slow connections.
    pub(super) fn count(&self) -> u64 {
        self.left_out.len() as u64
    }

    /// Returns the number of memberships in which connections are slow.
    pub(super) fn place_count(&self) -> u64 {
        self.places
    }

    /// Notes that a member was found to be slow; to be followed by [`Shard::unlist_slow`].
    pub(super) fn find(&mut self, slot: u32, room: u32, since: Seq) {
        self.found.push((slot, room, since));
    }

    /// Forgets that a connection is slow in a room.
    pub(super) fn forget(&mut self, slot: u32, room: &RoomName) {
        let Some(left_out) = self.left_out.get_mut(&slot) else {
            return;
        };
        let before = left_out.len();
        left_out.retain(|left_out| *left_out.room != *room);
        self.places -= (before - left_out.len()) as u64;
        if left_out.is_empty() {
            self.left_out.remove(&slot);
        }
        if let Some(slots) = self.rooms.get_mut(room) {
            slots.retain(|slow| *slow != slot);
            if slots.is_empty() {
                self.rooms.remove(room);
            }
        }
    }

    fn note(&mut self, slot: u32, room: Rc<RoomName>, after: Seq) {
        self.rooms.entry(Rc::clone(&room)).or_default().push(slot);
        let lag = Lag { after, missed_notices: false };
        self.left_out.entry(slot).or_default().push(LeftOut { room, lag, asked_ms: 0, is_awaited: false });
        self.places += 1;
    }

    fn of(&mut self, slot: u32, room: &RoomName) -> Option<&mut LeftOut> {
        self.left_out.get_mut(&slot)?.iter_mut().find(|left_out| *left_out.room == *room)
    }
}

impl Shard {
    /// Takes off the lists whoever was found to be slow.
    pub(super) fn unlist_slow(&mut self) {
        while let Some((slot, room, since)) = self.laggards.found.pop() {
            if let Some(room) = self.unlist(slot, |place| place.room == room) {
                self.laggards.note(slot, room, since);
                self.metrics.lags.inc();
            }
        }
    }

    /// Takes a member off the list of a room, though it stays a member.
    fn unlist(&mut self, slot: u32, is_meant: impl Fn(&Place) -> bool) -> Option<Rc<RoomName>> {
        let memberships = &mut self.connections.get_mut(slot as usize)?.rooms;
        let membership =
            memberships.iter_mut().find(|member| member.place.as_ref().is_some_and(&is_meant))?;
        let (room, place) = (Rc::clone(&membership.room), membership.place.take()?);
        self.vacate(&room, place);
        Some(room)
    }

    /// Takes note of an event that is not given to slow members; tells them what they must know.
    pub(super) fn leave_out(&mut self, room: &RoomName, event: &Event) {
        if event.seq().is_some() {
            return; // it is told with all that follows their position
        }
        let Some(slots) = self.laggards.rooms.get(room) else {
            return;
        };
        for slot in slots.clone() {
            let Some(left_out) = self.laggards.of(slot, room) else {
                continue;
            };
            match event {
                // It goes on after the end of the other history, whatever was asked for.
                Event::Resync(resync) => {
                    (left_out.lag.after, left_out.is_awaited) = (resync.head, false);
                    self.send_event(slot, event);
                }
                Event::Erased(_) => self.send_event(slot, event),
                _ => {
                    left_out.lag.missed_notices = true;
                    self.metrics.notices_left_out.inc();
                }
            }
        }
    }

    /// Asks for the next part of what was left out, now that the socket has taken everything.
    pub(super) fn ask_for_left_out(&mut self, slot: u32) {
        let now_ms = self.now.mono_ms;
        let Some(left_out) = self.laggards.left_out.get_mut(&slot) else {
            return;
        };
        // One room at a time: all together would be too much again.
        if left_out.iter().any(|left_out| left_out.is_awaited && now_ms < left_out.asked_ms + AGAIN_MS) {
            return;
        }
        let Some(next) = left_out.iter_mut().min_by_key(|left_out| left_out.asked_ms) else {
            return;
        };
        (next.asked_ms, next.is_awaited) = (now_ms, true);
        let (room, lag) = (RoomName::clone(&next.room), next.lag);
        if let Some(caller) = self.caller(slot, None) {
            let home = self.node.home(&room);
            // Even to this shard by mail: others get their turn between two parts.
            self.post(home, Mail::Input { room, input: Input::CatchUp { caller, lag } });
        }
    }

    /// Asks again for what did not come.
    pub(super) fn remind_rooms(&mut self) {
        let slow: Vec<u32> = self.laggards.left_out.keys().copied().collect();
        for slot in slow {
            let connection = self.connections.get(slot as usize);
            if connection.is_some_and(|slow| slow.outbox.is_empty() && slow.own.is_empty()) {
                self.ask_for_left_out(slot);
            }
        }
    }

    /// Gives a slow member what was left out, and puts it back on the list if that is all.
    pub(super) fn catch_up(
        &mut self,
        to: ConnId,
        room: &RoomName,
        after: Seq,
        news: &[Event],
        replay: &Replayed,
    ) {
        let Some(slot) = self.slot_of(to) else {
            return;
        };
        // Otherwise it has left or entered since, or the history has become another one.
        let Some(left_out) = self.laggards.of(slot, room).filter(|left_out| left_out.lag.after == after)
        else {
            return;
        };
        left_out.lag.after = replay.upto;
        // Nothing came: the store has failed, and is asked again after a while.
        left_out.is_awaited = replay.events.is_empty();
        if replay.is_live {
            self.laggards.forget(slot, room);
            self.put_on_list(slot, room, replay.upto);
        }
        news.iter().for_each(|news| self.count_inexact(news));
        for event in news.iter().chain(replay.events.iter().map(|event| &**event)) {
            self.send_event(slot, event);
        }
    }
}
