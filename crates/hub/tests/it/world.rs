//! A hub with its store, and what a shell knows: who is on the list of which room, who is too slow for
//! it, and which requests still wait for their answer.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use parlour_hub::input::{Caller, Input, Lag, Now};
use parlour_hub::{ConnId, Effect, Hub, Rules};
use parlour_protocol::event::Event;
use parlour_protocol::{RequestId, RoomName, Seq, UserId};

use crate::store::Store;

/// Shards that connections are spread over.
const SHARDS: u32 = 3;
/// The wall clock when the monotonic one shows 0, in milliseconds.
pub const WALL_MS: i64 = 1_000_000;

/// What an observer sees, in order.
#[derive(Debug, Clone, Copy)]
pub enum Seen<'a> {
    /// The hub is about to be told the time.
    Tick(Now),
    /// The hub is about to get an input.
    Input(Now, &'a RoomName, &'a Input),
    /// An effect, before it is carried out; and who is on the list of the room of a broadcast.
    Effect(&'a Effect, &'a BTreeSet<ConnId>),
}

pub type Observer<'a> = &'a mut dyn FnMut(Seen<'_>);

#[derive(Debug)]
pub struct World {
    pub hub: Hub,
    pub store: Store,
    pub now: Now,
    lists: BTreeMap<RoomName, BTreeSet<ConnId>>,
    /// The newest entry that was broadcast in a room, or told to who entered.
    positions: BTreeMap<RoomName, Seq>,
    slow: BTreeMap<(RoomName, ConnId), Lag>,
    unanswered: BTreeSet<(ConnId, u64)>,
    ended: HashSet<ConnId>,
    requests: u64,
}

/// Somebody who only looks.
pub fn onlooker(user: &UserId) -> Caller {
    let conn = ConnId { shard: 0, slot: u32::MAX, generation: 0 };
    Caller { conn, user: user.clone(), request: None, grants: None }
}

impl World {
    pub fn new(rules: Rules) -> Self {
        Self {
            hub: Hub::new(rules),
            store: Store::default(),
            now: Now { mono_ms: 0, wall_ms: WALL_MS },
            lists: BTreeMap::new(),
            positions: BTreeMap::new(),
            slow: BTreeMap::new(),
            unanswered: BTreeSet::new(),
            ended: HashSet::new(),
            requests: 0,
        }
    }

    /// Lists the open rooms in memory that a user may enter, with how many are there.
    pub fn counts(&self, user: &UserId) -> BTreeMap<RoomName, usize> {
        self.hub.rooms(&onlooker(user)).map(|(name, glance)| (name.clone(), glance.members)).collect()
    }

    /// Begins a request.
    pub fn caller(&mut self, user: &UserId, conn: ConnId) -> Caller {
        self.requests += 1;
        Caller { conn, user: user.clone(), request: Some(RequestId::Number(self.requests)), grants: None }
    }

    /// Moves the clock, stopping at every deadline on the way, as a shell does.
    pub fn advance(&mut self, mono_ms: u64, see: Observer<'_>) {
        while let Some(deadline) = self.hub.next_deadline().filter(|deadline| *deadline <= mono_ms) {
            self.set_clock(deadline.max(self.now.mono_ms));
            see(Seen::Tick(self.now));
            let mut out = Vec::new();
            self.hub.tick(self.now, &mut out);
            self.carry_out(out, see);
            self.settle(see);
        }
        self.set_clock(mono_ms);
    }

    /// Lets something happen to a room, and everything that follows from it.
    pub fn feed(&mut self, room: &RoomName, input: Input, see: Observer<'_>) {
        match &input {
            Input::Detach { conn, .. } => self.end_everywhere(*conn),
            Input::Join { caller, .. }
            | Input::Leave { caller }
            | Input::Publish { caller, .. }
            | Input::Create { caller, .. }
            | Input::Members { caller }
            | Input::History { caller, .. }
            | Input::Advance { caller, .. }
            | Input::Receipts { caller, .. }
            | Input::Info { caller }
            | Input::Watch { caller, .. }
            | Input::Report { caller, .. }
            | Input::Reports { caller }
            | Input::Resolve { caller, .. }
            | Input::More { caller }
            | Input::Status { caller, .. } => self.unanswered.extend(request_of(caller)),
            _ => {}
        }
        self.handle(room, input, see);
        self.settle(see);
    }

    /// Hands over the answers that the store does not hold.
    pub fn settle(&mut self, see: Observer<'_>) {
        while let Some((room, input)) = self.store.answer() {
            self.handle(&room, input, see);
        }
    }

    /// Hands over an answer that the store held.
    pub fn release(&mut self, index: usize, see: Observer<'_>) {
        if let Some((room, input)) = self.store.release(index) {
            self.handle(&room, input, see);
            self.settle(see);
        }
    }

    /// Leaves out what a room says to a connection on its list, from now on or since an entry; false if
    /// it is not on the list.
    pub fn stall(&mut self, room: &RoomName, conn: ConnId, after: Option<Seq>) -> bool {
        let is_listed = self.lists.get(room).is_some_and(|list| list.contains(&conn));
        if is_listed {
            self.take_off_list(room, conn);
            let lag = Lag { after: after.unwrap_or(self.positions[room]), missed_notices: false };
            self.slow.insert((room.clone(), conn), lag);
        }
        is_listed
    }

    /// Returns what a connection was not given, if it is slow.
    pub fn lag(&self, room: &RoomName, conn: ConnId) -> Option<Lag> {
        self.slow.get(&(room.clone(), conn)).copied()
    }

    /// Ends a connection as the shell does, before the rooms hear of it.
    pub fn end_everywhere(&mut self, conn: ConnId) {
        self.ended.insert(conn);
        self.unanswered.retain(|(waiting, _)| *waiting != conn);
        let slow_in = self.slow.keys().map(|(room, _)| room);
        let rooms: BTreeSet<_> = self.lists.keys().chain(slow_in).cloned().collect();
        rooms.iter().for_each(|room| self.take_off_list(room, conn));
    }

    /// Fails if a living connection still waits for an answer.
    pub fn assert_all_answered(&self) {
        assert!(self.unanswered.is_empty(), "requests without an answer: {:?}", self.unanswered);
    }

    fn set_clock(&mut self, mono_ms: u64) {
        self.now = Now { mono_ms, wall_ms: WALL_MS + mono_ms as i64 };
    }

    fn handle(&mut self, room: &RoomName, input: Input, see: Observer<'_>) {
        see(Seen::Input(self.now, room, &input));
        let mut out = Vec::new();
        self.hub.handle(self.now, room, input, &mut out);
        self.carry_out(out, see);
    }

    fn carry_out(&mut self, effects: Vec<Effect>, see: Observer<'_>) {
        for effect in effects {
            see(Seen::Effect(&effect, self.list_of(&effect)));
            match effect {
                Effect::Store { room, request } => self.store.ask(room, request),
                Effect::Send { to, reply } => self.answered(to, reply.id.as_ref()),
                Effect::Fail { to, request, .. } => self.answered(to, request.as_ref()),
                Effect::Expel { from, room } => self.take_off_list(&room, from),
                Effect::Attach { to, room, request, replay, .. } => {
                    self.answered(to, request.request.as_ref());
                    self.take_off_list(&room, to);
                    if replay.is_live && !self.ended.contains(&to) {
                        self.put_on_list(room, to, replay.upto);
                    }
                }
                Effect::CatchUp { to, room, after, replay, .. } => {
                    let lag = self.slow.get_mut(&(room.clone(), to)).filter(|lag| lag.after == after);
                    match (lag, replay.is_live) {
                        (Some(_), true) => {
                            self.slow.remove(&(room.clone(), to));
                            self.put_on_list(room, to, replay.upto);
                        }
                        (Some(lag), false) => lag.after = replay.upto,
                        (None, _) => {}
                    }
                }
                Effect::Detach { from, room, request, .. } => {
                    self.answered(from, request.request.as_ref());
                    self.take_off_list(&room, from);
                }
                Effect::Broadcast { room, shards, event } => {
                    self.leave_out(&room, &event);
                    let listed = self.lists.get(&room).into_iter().flatten();
                    let missed: Vec<_> = listed.filter(|c| shards.iter().all(|s| s != c.shard)).collect();
                    assert!(missed.is_empty(), "a broadcast of {room} misses {missed:?}");
                }
                Effect::ToUsers { .. }
                | Effect::Unread { .. }
                | Effect::Occupancy { .. }
                | Effect::Audit(_)
                | Effect::Vacated { .. } => {}
            }
        }
    }

    /// Notes what the slow connections of a room are not given.
    fn leave_out(&mut self, room: &RoomName, event: &Event) {
        let position = match event {
            Event::Resync(resync) => Some(resync.head),
            event => event.seq(),
        };
        self.positions.extend(position.map(|position| (room.clone(), position)));
        for (_, lag) in self.slow.iter_mut().filter(|((slow_in, _), _)| slow_in == room) {
            match event {
                // They are told this in any case.
                Event::Resync(resync) => lag.after = resync.head,
                Event::Erased(_) => {}
                event => lag.missed_notices |= event.seq().is_none(),
            }
        }
    }

    fn put_on_list(&mut self, room: RoomName, conn: ConnId, upto: Seq) {
        self.positions.insert(room.clone(), upto);
        self.lists.entry(room).or_default().insert(conn);
    }

    fn list_of(&self, effect: &Effect) -> &BTreeSet<ConnId> {
        static NOBODY: BTreeSet<ConnId> = BTreeSet::new();
        match effect {
            Effect::Broadcast { room, .. } => self.lists.get(room).unwrap_or(&NOBODY),
            _ => &NOBODY,
        }
    }

    fn answered(&mut self, conn: ConnId, request: Option<&RequestId>) {
        if let Some(RequestId::Number(number)) = request {
            let waited = self.unanswered.remove(&(conn, *number));
            assert!(waited || self.ended.contains(&conn), "request {number} of {conn:?} is answered twice");
        }
    }

    fn take_off_list(&mut self, room: &RoomName, conn: ConnId) {
        self.slow.remove(&(room.clone(), conn));
        if let Some(list) = self.lists.get_mut(room) {
            list.remove(&conn);
            if list.is_empty() {
                self.lists.remove(room);
            }
        }
    }
}

fn request_of(caller: &Caller) -> Option<(ConnId, u64)> {
    match caller.request {
        Some(RequestId::Number(number)) => Some((caller.conn, number)),
        _ => None,
    }
}

/// Names the connection with a number.
pub fn conn(number: u32) -> ConnId {
    ConnId { shard: (number % SHARDS) as u16, slot: number, generation: 0 }
}

/// Names somebody who asks without a connection.
pub fn desk(number: u32) -> ConnId {
    ConnId { shard: ConnId::DESK, slot: number, generation: 0 }
}

pub fn user(name: &str) -> UserId {
    UserId::parse(name).expect("a valid user id")
}

pub fn room(name: &str) -> RoomName {
    RoomName::parse_any(name).expect("a valid room name")
}
