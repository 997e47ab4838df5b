//! A hub with its store, and what a shell knows: who is on the list of which room, and which
//! requests still wait for their answer.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use parlour_hub::input::{Caller, Input, Now};
use parlour_hub::{ConnId, Effect, Hub, Rules};
use parlour_protocol::{RequestId, RoomName, UserId};

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
    unanswered: BTreeSet<(ConnId, u64)>,
    ended: HashSet<ConnId>,
    requests: u64,
}

impl World {
    pub fn new(rules: Rules) -> Self {
        Self {
            hub: Hub::new(rules),
            store: Store::default(),
            now: Now { mono_ms: 0, wall_ms: WALL_MS },
            lists: BTreeMap::new(),
            unanswered: BTreeSet::new(),
            ended: HashSet::new(),
            requests: 0,
        }
    }

    /// Lists the open rooms in memory that a user may enter, with how many are there.
    pub fn counts(&self, user: &UserId) -> BTreeMap<RoomName, usize> {
        self.hub.rooms(user).map(|(name, glance)| (name.clone(), glance.members)).collect()
    }

    /// Begins a request.
    pub fn caller(&mut self, user: &UserId, conn: ConnId) -> Caller {
        self.requests += 1;
        Caller { conn, user: user.clone(), request: Some(RequestId::Number(self.requests)) }
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

    /// Ends a connection as the shell does, before the rooms hear of it.
    pub fn end_everywhere(&mut self, conn: ConnId) {
        self.ended.insert(conn);
        self.unanswered.retain(|(waiting, _)| *waiting != conn);
        let rooms: Vec<_> = self.lists.keys().cloned().collect();
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
                    match replay.is_live && !self.ended.contains(&to) {
                        true => drop(self.lists.entry(room).or_default().insert(to)),
                        false => self.take_off_list(&room, to),
                    }
                }
                Effect::Detach { from, room, request, .. } => {
                    self.answered(from, request.request.as_ref());
                    self.take_off_list(&room, from);
                }
                Effect::Broadcast { room, shards, .. } => {
                    let listed = self.lists.get(&room).into_iter().flatten();
                    let missed: Vec<_> = listed.filter(|c| shards.iter().all(|s| s != c.shard)).collect();
                    assert!(missed.is_empty(), "a broadcast of {room} misses {missed:?}");
                }
                Effect::ToUsers { .. } | Effect::Unread { .. } | Effect::Vacated { .. } => {}
            }
        }
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

pub fn user(name: &str) -> UserId {
    UserId::parse(name).expect("a valid user id")
}

pub fn room(name: &str) -> RoomName {
    RoomName::parse_any(name).expect("a valid room name")
}
