//! The rooms of one shard.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use parlour_protocol::event::{Erased, Event, Reply};
use parlour_protocol::{Epoch, ErrorCode, RoomName, Seq};

use crate::effect::{Effect, StoreRequest};
use crate::input::{Caller, Input, Now, Opened};
use crate::rights::{Action, Rights};
use crate::room::join::turn_away;
use crate::room::publish::{fail, first_cid};
use crate::room::ring::RING_EVENTS;
use crate::room::{Glance, Room, Scene, store_refusal};
use crate::rules::Rules;

/// Inputs that wait for a room to open; one more is refused.
const WAITING: usize = 10_000;

/// All rooms whose home is this shard.
///
/// Four verbs drive it: [`Hub::handle`], [`Hub::tick`], [`Hub::next_deadline`], and the effects that
/// the first two append.
#[derive(Debug)]
pub struct Hub {
    rules: Rules,
    rooms: HashMap<RoomName, Slot>,
    /// Rooms by deadline; an entry may be out of date, which the room's own answer shows.
    deadlines: BinaryHeap<Reverse<(u64, RoomName)>>,
    /// What the newest events of all rooms take.
    recent_bytes: usize,
}

#[derive(Debug)]
pub(crate) enum Slot {
    /// The store was asked; inputs wait in order.
    Opening(Vec<Input>),
    Open(Box<Open>),
}

/// A room, and what the hub notes of it.
#[derive(Debug)]
pub(crate) struct Open {
    room: Room,
    /// The earliest deadline that stands in the heap for it.
    scheduled: Option<u64>,
    /// When something happened to it last.
    used_ms: u64,
    /// What its newest events took then.
    recent_bytes: usize,
    /// Whether somebody was there then.
    is_occupied: bool,
}

impl Hub {
    /// Builds a hub without rooms.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self { rules, rooms: HashMap::new(), deadlines: BinaryHeap::new(), recent_bytes: 0 }
    }

    /// Handles what happens to a room, opening it first where that is needed.
    pub fn handle(&mut self, now: Now, name: &RoomName, input: Input, out: &mut Vec<Effect>) {
        match (self.rooms.get_mut(name), input) {
            (_, Input::Late(input)) => self.answer_late(name, *input, out),
            // The same time as for a room that does not exist: a stranger does not learn that it does.
            (Some(Slot::Open(open)), input) if open.room.is_hidden_from(&input) => {
                let request = StoreRequest::Detour { input: Box::new(input) };
                out.push(Effect::Store { room: name.clone(), request });
            }
            (Some(Slot::Open(open)), input) => {
                open.room.handle(Scene { now, rules: &self.rules }, input, out);
                self.settle(now, name, out);
            }
            (Some(Slot::Opening(_)), Input::Opened(opened)) => self.open(now, name, opened, out),
            // A departure is never refused: it would strand a member. Nor is the loss of a right, or news
            // of the log, which the answer of the store may not contain yet.
            (
                Some(Slot::Opening(waiting)),
                input @ (Input::Detach { .. }
                | Input::Leave { .. }
                | Input::Recheck { .. }
                | Input::Surveyed { .. }
                | Input::Erased { .. }),
            ) => waiting.push(input),
            (Some(Slot::Opening(waiting)), input) if waiting.len() < WAITING => waiting.push(input),
            (Some(Slot::Opening(_)), input) => refuse(name, input, ErrorCode::Overloaded, out),
            // Nobody is in a room that is not in memory, and it waits for no answer.
            (
                None,
                Input::Detach { .. }
                | Input::Opened(_)
                | Input::Appended { .. }
                | Input::Fetched { .. }
                | Input::Found { .. }
                | Input::Inquired { .. }
                | Input::CatchUp { .. }
                | Input::Recheck { .. }
                | Input::Surveyed { .. },
            ) => {}
            // The users of a conversation are not in it, and have it in the memory of their clients.
            (None, Input::Erased { user, .. }) => {
                let event = Event::Erased(Erased { room: name.clone(), user });
                out.extend(name.participants().map(|users| Effect::ToUsers { users, event: event.into() }));
            }
            // An empty room answers as well as the real one, and costs no read of the store.
            (None, input) if is_for_members(name, &input) => {
                let empty = Opened::nothing(Epoch::default());
                Room::open(name.clone(), &self.rules, empty).handle(
                    Scene { now, rules: &self.rules },
                    input,
                    out,
                );
            }
            (None, input) => {
                // What only a role may open is not read before it is known who asks.
                let tail = if is_for_anybody(&self.rules, name, &input) { RING_EVENTS as u32 } else { 0 };
                self.rooms.insert(name.clone(), Slot::Opening(vec![input]));
                let request = StoreRequest::Open { durable: self.rules.is_durable(name), tail };
                out.push(Effect::Store { room: name.clone(), request });
            }
        }
    }

    /// Lets expire what has expired by now.
    pub fn tick(&mut self, now: Now, out: &mut Vec<Effect>) {
        while self.deadlines.peek().is_some_and(|Reverse((deadline, _))| *deadline <= now.mono_ms) {
            let Some(Reverse((deadline, name))) = self.deadlines.pop() else {
                break;
            };
            // An entry that is out of date must not be renewed: the heap would only grow.
            if let Some(Slot::Open(open)) = self.rooms.get_mut(&name)
                && open.scheduled == Some(deadline)
            {
                open.scheduled = None;
                open.room.tick(Scene { now, rules: &self.rules }, out);
                self.settle(now, &name, out);
            }
        }
    }

    /// Notes who is in the rooms, because the process ends.
    pub fn note_present(&self, out: &mut Vec<Effect>) {
        for slot in self.rooms.values() {
            if let Slot::Open(open) = slot {
                open.room.note_present(out);
            }
        }
    }

    /// Returns the rules that the rooms obey.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Returns when [`Hub::tick`] may have something to do, on the clock of [`Now::mono_ms`].
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        self.deadlines.peek().map(|Reverse((deadline, _))| *deadline)
    }

    /// Returns the number of rooms in memory.
    #[must_use]
    pub fn room_count(&self) -> usize {
        self.rooms.len()
    }

    /// Returns how many users are in a room, as far as it is in memory.
    #[must_use]
    pub fn member_count(&self, name: &RoomName) -> usize {
        match self.rooms.get(name) {
            Some(Slot::Open(open)) => open.room.member_count(),
            Some(Slot::Opening(_)) | None => 0,
        }
    }

    /// Lists the rooms in memory that somebody may enter, but for private conversations.
    pub fn rooms<'a>(&'a self, caller: &'a Caller) -> impl Iterator<Item = (&'a RoomName, Glance<'a>)> {
        self.rooms.iter().filter_map(move |(name, slot)| match slot {
            Slot::Open(open) if !name.is_private() => Some((name, open.room.glance(caller)?)),
            _ => None,
        })
    }

    /// Lists all rooms in memory whose messages are stored.
    pub fn durable_rooms(&self) -> impl Iterator<Item = &RoomName> {
        self.rooms.keys().filter(|name| self.rules.is_durable(name))
    }

    /// Says that the room does not exist to somebody for whom it did not when they asked.
    fn answer_late(&self, name: &RoomName, input: Input, out: &mut Vec<Effect>) {
        let is_inside = |caller: &Caller| match self.rooms.get(name) {
            Some(Slot::Open(open)) => open.room.has(caller),
            _ => false,
        };
        match input {
            // Another attempt has let it in meanwhile, and this answer must not take it off the list.
            Input::Join { caller, .. } if is_inside(&caller) => {
                let event = Event::Error(ErrorCode::NotFound.into());
                out.push(Effect::Send { to: caller.conn, reply: Reply { id: caller.request, event } });
            }
            input => refuse(name, input, ErrorCode::NotFound, out),
        }
    }

    fn open(&mut self, now: Now, name: &RoomName, opened: Opened, out: &mut Vec<Effect>) {
        let Some(Slot::Opening(waiting)) = self.rooms.remove(name) else {
            return;
        };
        if let Err(code) = opened.log {
            waiting.into_iter().for_each(|input| refuse(name, input, code, out));
            return;
        }
        let mut room = Room::open(name.clone(), &self.rules, opened);
        for input in waiting {
            room.handle(Scene { now, rules: &self.rules }, input, out);
        }
        let open = Open { room, scheduled: None, used_ms: now.mono_ms, recent_bytes: 0, is_occupied: false };
        self.rooms.insert(name.clone(), Slot::Open(Box::new(open)));
        self.settle(now, name, out);
    }

    /// Forgets a room that nobody needs; of any other, notes the deadline and the memory.
    fn settle(&mut self, now: Now, name: &RoomName, out: &mut Vec<Effect>) {
        let Some(Slot::Open(open)) = self.rooms.get_mut(name) else {
            return;
        };
        let before = std::mem::replace(&mut open.recent_bytes, open.room.recent_bytes());
        self.recent_bytes = self.recent_bytes - before + open.recent_bytes;
        open.used_ms = now.mono_ms;
        let is_occupied = open.room.is_occupied();
        if std::mem::replace(&mut open.is_occupied, is_occupied) != is_occupied && self.rules.tells_occupancy
        {
            let (room, position) = (name.clone(), open.room.position());
            out.push(Effect::Occupancy { room, is_occupied, position });
        }
        if open.room.is_vacant() {
            self.recent_bytes -= open.recent_bytes;
            self.rooms.remove(name);
            out.push(Effect::Vacated { room: name.clone() });
            return;
        }
        let (next, scheduled) = (open.room.next_deadline(), &mut open.scheduled);
        if let Some(deadline) = next.filter(|next| scheduled.is_none_or(|at| *next < at)) {
            *scheduled = Some(deadline);
            self.deadlines.push(Reverse((deadline, name.clone())));
        }
        if self.recent_bytes > self.rules.recent_bytes {
            self.forget_recent();
        }
    }

    /// Has rooms forget their newest events, those first in which nothing has happened for longest.
    fn forget_recent(&mut self) {
        let mut idlest: Vec<_> = (self.rooms.values_mut())
            .filter_map(|slot| match slot {
                Slot::Open(open) if open.recent_bytes > 0 => Some(open),
                _ => None,
            })
            .collect();
        idlest.sort_unstable_by_key(|open| open.used_ms);
        // A quarter at once, so that the search is rare.
        let enough = self.rules.recent_bytes / 4 * 3;
        for open in idlest {
            if self.recent_bytes <= enough {
                break;
            }
            self.recent_bytes -= std::mem::take(&mut open.recent_bytes);
            open.room.forget_recent();
        }
    }
}

/// Whether who asks may enter the room without a role there, as far as its name says.
fn is_for_anybody(rules: &Rules, room: &RoomName, input: &Input) -> bool {
    let granted = input.asker().map_or(Rights::ALL, |caller| caller.rights_in(room));
    (rules.access(room).rights() | granted).has(Action::Join)
}

/// Whether only somebody who has joined gets anything but a refusal.
fn is_for_members(room: &RoomName, input: &Input) -> bool {
    match input {
        Input::Leave { .. } | Input::Typing { .. } | Input::Presence { .. } | Input::More { .. } => true,
        Input::Members { caller } => !caller.conn.is_desk(),
        Input::Publish { caller, .. } => !room.is_private() && !caller.conn.is_desk(),
        Input::Advance { .. } | Input::Receipts { .. } => !room.is_private(),
        _ => false,
    }
}

/// Answers an input that cannot be handled because its room cannot be opened.
fn refuse(room: &RoomName, input: Input, code: ErrorCode, out: &mut Vec<Effect>) {
    let refusal = store_refusal(code);
    let caller: Caller = match input {
        Input::Join { caller, .. } => return turn_away(room, caller, refusal, out),
        Input::Publish { caller, entries } => {
            return fail(room, caller, first_cid(&entries), refusal, out);
        }
        Input::Create { caller, cid, .. } => return fail(room, caller, cid, refusal, out),
        Input::Members { caller }
        | Input::Watch { caller, .. }
        | Input::Info { caller }
        | Input::More { caller }
        | Input::Status { caller, .. }
        | Input::Receipts { caller, .. }
        | Input::History { caller, .. }
        | Input::Report { caller, .. }
        | Input::Reports { caller }
        | Input::Resolve { caller, .. }
        | Input::Advance { caller, .. }
        | Input::Typing { caller, .. } => caller,
        // The connection holds back newer messages until it hears about the older ones.
        Input::Inbox { caller, .. } => {
            let (to, room) = (caller.conn, room.clone());
            return out.push(Effect::Unread { to, room, upto: Seq(0), events: Vec::new() });
        }
        // It is as good as gone.
        Input::Leave { caller } => {
            let (from, room) = (caller.conn, room.clone());
            return out.push(Effect::Detach { from, room, request: caller, refusal: None });
        }
        Input::Presence { .. }
        | Input::Detach { .. }
        | Input::Opened(_)
        | Input::Appended { .. }
        | Input::Fetched { .. }
        | Input::Found { .. }
        | Input::Inquired { .. }
        | Input::Late(_)
        | Input::CatchUp { .. }
        | Input::Recheck { .. }
        | Input::Surveyed { .. }
        | Input::Erased { .. } => return,
    };
    out.push(Effect::Send {
        to: caller.conn,
        reply: Reply { id: caller.request, event: Event::Error(refusal) },
    });
}
