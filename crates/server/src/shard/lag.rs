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
        slow.into_iter().for_each(|slot| self.go_on(slot));
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
        self.go_on(slot);
    }

    /// Asks for more if nothing waits to be written: plain text shows little of some entries.
    fn go_on(&mut self, slot: u32) {
        let connection = self.connections.get(slot as usize);
        if connection.is_some_and(|slow| slow.outbox.is_empty() && slow.own.is_empty()) {
            self.ask_for_left_out(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use parlour_hub::Effect;
    use parlour_protocol::event::{Erased, Resync, TypingNotice, Unrecovered};
    use parlour_protocol::{Epoch, UserId};

    use super::*;
    use crate::shard::measure::FanOut;
    use crate::shard::outbox::Slice;

    const SLOW: u32 = 0;

    /// A room with two members; the first has not read what waits for it.
    fn room() -> FanOut {
        let mut fan_out = FanOut::new(2, "text", None).expect("sockets");
        let FanOut { shard, .. } = &mut fan_out;
        for slot in [SLOW, 1] {
            shard.connections[slot as usize].phase = crate::shard::connection::Phase::Open;
            shard.connections[slot as usize].permit.claim_user(&user()).expect("within the limits");
        }
        let buffer = Rc::new(vec![0; shard.node.config.limits.lag_bytes + 1]);
        shard.connections[SLOW as usize].outbox.push(Slice { buffer, start: 0 }, 0, &shard.output.tally);
        fan_out
    }

    fn user() -> UserId {
        UserId::parse("Alice").expect("valid")
    }

    /// What would be written for the slow member.
    fn told(shard: &mut Shard) -> usize {
        std::mem::take(&mut shard.connections[SLOW as usize].own).len()
    }

    fn is_listed(shard: &Shard) -> bool {
        shard.connections[SLOW as usize].rooms[0].place.is_some()
    }

    /// What the shard has asked the room for since this was looked at last.
    fn asked(shard: &mut Shard) -> Vec<Lag> {
        let lag = |mail| match mail {
            Mail::Input { input: Input::CatchUp { lag, .. }, .. } => Some(lag),
            _ => None,
        };
        shard.mails.come.drain(..).filter_map(lag).collect()
    }

    fn answer(shard: &mut Shard, room: &RoomName, after: u64, upto: u64, is_live: bool) {
        let replay = Replayed { events: Vec::new(), upto: Seq(upto), is_live };
        let (to, room) = (shard.id_of(SLOW), room.clone());
        shard.apply(Effect::CatchUp { to, room, after: Seq(after), news: Vec::new(), replay });
    }

    fn notice(room: &RoomName) -> Event {
        Event::Typing(TypingNotice { room: room.clone(), user: user(), active: true })
    }

    fn resync(room: &RoomName, head: u64) -> Event {
        let (room, head, floor) = (room.clone(), Seq(head), Seq(0));
        Event::Resync(Box::new(Resync { room, reason: Unrecovered::Epoch, epoch: Epoch(1), head, floor }))
    }

    #[tokio::test]
    async fn a_slow_member_is_taken_off_the_list_where_its_last_turn_ended() {
        let FanOut { mut shard, room, event, .. } = room();
        shard.broadcast_here(&room, &event);
        let mut batches = Vec::new();
        shard.fanout.take_turn(&mut batches);
        shard.write_batches(&mut batches);
        assert!(!is_listed(&shard) && shard.connections[1].rooms[0].place.is_some());
        assert_eq!((shard.laggards.count(), shard.laggards.place_count()), (1, 1));
        shard.broadcast_here(&room, &notice(&room));
        shard.ask_for_left_out(SLOW);
        shard.ask_for_left_out(SLOW);
        assert_eq!(asked(&mut shard), [Lag { after: Seq(0), missed_notices: true }], "once");
        answer(&mut shard, &room, 0, 1, true);
        assert!(is_listed(&shard));
        assert_eq!((shard.laggards.count(), shard.laggards.place_count()), (0, 0));
    }

    #[tokio::test]
    async fn an_answer_about_another_place_is_void() {
        let FanOut { mut shard, room, event, .. } = room();
        shard.broadcast_here(&room, &event);
        shard.settle(0);
        answer(&mut shard, &room, 7, 9, true);
        assert!(!is_listed(&shard));
        // A part without anything: the store has failed. It is asked again, but not at once.
        shard.ask_for_left_out(SLOW);
        answer(&mut shard, &room, 0, 0, false);
        shard.ask_for_left_out(SLOW);
        assert_eq!(asked(&mut shard).len(), 1);
        shard.now.mono_ms += AGAIN_MS;
        shard.ask_for_left_out(SLOW);
        assert_eq!(asked(&mut shard).len(), 1);
        let name = room.clone();
        shard.take_off_list(SLOW, &name);
        assert_eq!((shard.laggards.count(), shard.laggards.place_count()), (0, 0));
        answer(&mut shard, &room, 0, 9, true);
        assert!(shard.connections[SLOW as usize].rooms.is_empty());
    }

    #[tokio::test]
    async fn a_slow_member_is_told_of_another_history_and_goes_on_there() {
        let FanOut { mut shard, room, event, .. } = room();
        // Also who is about to be found slow.
        shard.broadcast_here(&room, &resync(&room, 5));
        shard.settle(0);
        assert!(is_listed(&shard));
        shard.broadcast_here(&room, &notice(&room));
        shard.settle(0);
        assert!(!is_listed(&shard));
        shard.broadcast_here(&room, &event);
        assert_eq!(told(&mut shard), 0);
        shard.broadcast_here(&room, &resync(&room, 3));
        assert_ne!(told(&mut shard), 0);
        shard.broadcast_here(&room, &Event::Erased(Erased { room: room.clone(), user: user() }));
        assert_ne!(told(&mut shard), 0);
        shard.ask_for_left_out(SLOW);
        assert_eq!(asked(&mut shard), [Lag { after: Seq(3), missed_notices: false }]);
    }
}
