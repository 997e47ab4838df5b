//! Random users, connections and rooms on a store that is slow and fails, against the model.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use parlour_hub::input::{Caller, CursorKind, Ending, Input};
use parlour_hub::log::{NewEntry, RoomState};
use parlour_hub::rules::Pattern;
use parlour_hub::{ConnId, Rules};
use parlour_protocol::command::{Availability, HistoryQuery, SetPresence};
use parlour_protocol::content::{Content, NewText, Reaction, Role, RoleChange, Settings, Target, Text};
use parlour_protocol::{ErrorCode, Position, RoomName, Seq, UserId};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::model::{GRACE_MS, Model};
use crate::store::{Fault, Hold};
use crate::world::{World, conn, onlooker, room, user};

use op::{MOST_AT_ONCE, Op, PLACES, ROOMS};

mod op;

static USERS: LazyLock<[UserId; 3]> = LazyLock::new(|| ["alice", "bob", "carol"].map(user));
static NAMES: LazyLock<[RoomName; ROOMS as usize]> =
    LazyLock::new(|| ["general", "quiet", "live:rates", CLUB].map(room));
/// A private room, which alice owns.
const CLUB: &str = "club";
/// Its first entries: the settings, and three roles.
const FOUNDING: u64 = 4;
/// Cases per run, or more with `PROPTEST_CASES`; a failure prints the shortest sequence that fails.
const CASES: u32 = 300;

#[test]
fn any_network_of_users_keeps_the_promises() {
    let default = ProptestConfig::default();
    let config = ProptestConfig { cases: default.cases.max(CASES), failure_persistence: None, ..default };
    let ops = prop::collection::vec(op::any(), 1..60);
    // Rooms that remember nothing have to read everything.
    let remembered = prop_oneof![Just(0), Just(Rules::default().recent_bytes)];
    TestRunner::new(config)
        .run(&(remembered, ops), |(recent_bytes, ops)| {
            Network::new(recent_bytes).live(&ops);
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

struct Network {
    world: World,
    model: Model,
    /// The connection of each place, a new one after each end.
    conns: Vec<u32>,
    /// What the last connection of a place had seen of a room.
    positions: BTreeMap<(u8, RoomName), Position>,
    /// What each place has said last.
    said: BTreeMap<u8, (RoomName, Vec<NewEntry>)>,
    texts: u32,
}

impl Network {
    fn new(recent_bytes: usize) -> Self {
        let pattern = Pattern { pattern: "live:*".to_owned(), durable: false, access: None, create: None };
        let rules = Rules { grace_ms: GRACE_MS, recent_bytes, patterns: vec![pattern], ..Rules::default() };
        let mut world = World::new(rules);
        // More bytes than the ring and one replay hold.
        world.store.fill(&rooms(0), 20, "alice", 40_000);
        let mut network = Self {
            world,
            model: Model::default(),
            conns: (1..=u32::from(PLACES)).collect(),
            positions: BTreeMap::new(),
            said: BTreeMap::new(),
            texts: 0,
        };
        network.found_club();
        network
    }

    fn found_club(&mut self) {
        let settings = Settings { private: Some(true), ..Settings::default() };
        self.feed(0, 3, |caller| Input::Create { caller, settings, cid: None });
        let (caller, presence) = (self.world.caller(&USERS[0], watcher()), SetPresence::online());
        let watch = Input::Join { caller, since: None, history: 0, presence };
        self.world.feed(&rooms(3), watch, &mut |seen| self.model.follow(seen));
        self.join(0, 3, None, 0, Availability::Online);
        self.perform(&Op::Role { place: 0, of: 1, member: true });
        self.perform(&Op::Role { place: 0, of: 2, member: true });
    }

    fn live(mut self, ops: &[Op]) {
        for op in ops {
            self.perform(op);
            self.check();
        }
        self.recover();
        self.end();
    }

    fn check(&mut self) {
        let hub = &self.world.hub;
        let may_come = |user: &UserId| hub.rooms(&onlooker(user)).any(|(name, _)| name.as_str() == CLUB);
        self.model.keep_waiting_for(&rooms(3), may_come);
        self.model.assert_told();
        assert_eq!(self.world.counts(&USERS[0]), self.model.counts(), "the users of each room");
        self.check_access();
    }

    /// Nobody is told an entry of a private room after losing the role there.
    fn check_access(&mut self) {
        let log = &self.world.store.rooms[&rooms(3)];
        for (name, position, conns) in self.model.take_told() {
            // Roles that were rewound count from when the room has heard of that.
            if name.as_str() != CLUB || position.epoch != log.epoch {
                continue;
            }
            let mut state = RoomState::default();
            let before = log.records.iter().filter(|record| record.seq <= position.seq);
            before.for_each(|record| state.apply(&record.content, record.ts));
            for conn in conns {
                let user = owner(((conn.slot - 1) % u32::from(PLACES)) as u8);
                assert!(state.roles.contains_key(&user), "{user} is told {position:?} without a role");
            }
        }
    }

    /// With a store that works again, everybody gets everything that is stored.
    fn recover(&mut self) {
        self.perform(&Op::Fault(0));
        self.perform(&Op::Hold(0));
        self.advance(5_000);
        for room in 0..ROOMS {
            self.perform(&Op::Survey { room });
            for place in 0..PLACES {
                self.perform(&Op::Say { place, room });
                while let Some(view) =
                    self.model.view(self.conn(place), &rooms(room)).filter(|view| !view.is_live)
                {
                    let is_slow = view.is_slow;
                    self.perform(&if is_slow {
                        Op::CatchUp { place, room }
                    } else {
                        Op::More { place, room }
                    });
                }
            }
        }
        self.check();
        for (place, index) in (0..PLACES).flat_map(|place| (0..ROOMS).map(move |index| (place, index))) {
            let name = rooms(index);
            let view = self.model.view(self.conn(place), &name);
            if let (Some(view), Some(log)) = (view, self.world.store.rooms.get(&name)) {
                let head = Position { epoch: log.epoch, seq: log.head() };
                assert_eq!(view.position, head, "{place} has all of {name}");
                view.assert_shows(&log.records);
            }
        }
        self.world.assert_all_answered();
    }

    /// When everybody is gone, nothing stays in memory.
    fn end(&mut self) {
        let conn = watcher();
        self.model.forget(conn);
        let end = Input::Detach { conn, user: USERS[0].clone(), ending: Ending::Deliberate };
        self.world.feed(&rooms(3), end, &mut |seen| self.model.follow(seen));
        (0..PLACES).for_each(|place| self.perform(&Op::End { place, lost: place % 2 == 0 }));
        self.advance(GRACE_MS);
        assert_eq!(self.world.hub.room_count(), 0, "rooms in memory");
        self.advance(60_000);
        assert_eq!(self.world.hub.next_deadline(), None, "deadlines");
    }

    fn perform(&mut self, op: &Op) {
        match *op {
            Op::Join { place, room, history, away } => {
                self.join(place, room, None, history.into(), availability(away));
            }
            Op::JoinSince { place, room, seq } => {
                let log = self.world.store.rooms.get(&rooms(room));
                let epoch = log.map_or_else(Default::default, |log| log.epoch);
                let since = Position { epoch, seq: Seq(seq.into()) };
                self.join(place, room, Some(since), 0, Availability::Online);
            }
            Op::Resume { place, room } => {
                let since = self.positions.get(&(place, rooms(room))).copied();
                self.join(place, room, since, 0, Availability::Online);
            }
            Op::Leave { place, room } => self.feed(place, room, |caller| Input::Leave { caller }),
            Op::More { place, room } => self.feed(place, room, |caller| Input::More { caller }),
            // A socket is slow for all rooms.
            Op::Stall { place } => {
                for room in (0..ROOMS).map(rooms) {
                    if self.world.stall(&room, self.conn(place), None) {
                        self.model.stall(self.conn(place), &room);
                    }
                }
            }
            Op::CatchUp { place, room } => {
                if let Some(lag) = self.world.lag(&rooms(room), self.conn(place)) {
                    self.feed(place, room, |caller| Input::CatchUp { caller: silent(caller), lag });
                }
            }
            Op::End { place, lost } => self.lose(place, if lost { Ending::Lost } else { Ending::Deliberate }),
            Op::Say { place, room } => self.say(place, &rooms(room), 1),
            Op::Batch { place, room, count } => self.say(place, &rooms(room), count),
            Op::SayAgain { place } => {
                if let Some((room, entries)) = self.said.get(&place).cloned() {
                    self.publish(place, &room, entries);
                }
            }
            Op::Tell { place, to } => self.say(place, &RoomName::private(&owner(place), &owner(to)), 1),
            Op::Edit { .. } | Op::Delete { .. } | Op::React { .. } | Op::Role { .. } => self.change(op),
            Op::Type { place, room, active } => {
                self.feed(place, room, |caller| Input::Typing { caller: silent(caller), active });
            }
            Op::Presence { place, room, away } => {
                let presence = SetPresence { status: availability(away), text: None };
                self.feed(place, room, |caller| Input::Presence { caller: silent(caller), presence });
            }
            Op::Read { place, room, seq } => self.feed(place, room, |caller| Input::Advance {
                caller,
                seq: Seq(seq.into()),
                cursor: CursorKind::Read,
            }),
            Op::History { place, room } => {
                let (before, after, thread, limit) = (None, None, None, Some(20));
                let query = HistoryQuery { room: rooms(room), before, after, thread, limit };
                self.feed(place, room, |caller| Input::History { caller, query });
            }
            Op::Status { place, room } => {
                self.feed(place, room, |caller| Input::Status { caller, cid: "cid1".into() });
            }
            Op::Wait { seconds } => self.advance(u64::from(seconds) * 1_000),
            _ => self.trouble(op),
        }
    }

    /// What the store does by itself.
    fn trouble(&mut self, op: &Op) {
        match *op {
            Op::Hold(kind) => {
                self.world.store.hold = [Hold::Nothing, Hold::Answers, Hold::Requests][usize::from(kind)];
                if kind == 0 {
                    self.world.store.work();
                    self.world.settle(&mut |seen| self.model.follow(seen));
                }
            }
            Op::Answer { index } => {
                self.world.store.work();
                if let Some(index) = usize::from(index).checked_rem(self.world.store.held()) {
                    self.world.release(index, &mut |seen| self.model.follow(seen));
                }
            }
            Op::Fault(kind) => {
                self.world.store.fault = match kind {
                    0..=2 => Fault::None,
                    3 => Fault::Refuses(ErrorCode::Unavailable),
                    _ => Fault::LosesAnswers,
                };
            }
            Op::Trim { room, records } => {
                if let Some(log) = self.world.store.rooms.get_mut(&rooms(room)) {
                    log.trim(Seq(log.floor.0 + u64::from(records)).min(log.head()));
                }
            }
            Op::Rewind { room, records } => {
                if let Some(log) = self.world.store.rooms.get_mut(&rooms(room)) {
                    // The club stays founded.
                    let least = log.floor.max(Seq(if room == 3 { FOUNDING } else { 0 }));
                    log.rewind(Seq(log.head().0.saturating_sub(records.into())).max(least));
                }
                self.perform(&Op::Survey { room });
            }
            // The model takes what waited for a room as one step, without a survey between.
            Op::Survey { room }
                if self.world.store.rooms.contains_key(&rooms(room))
                    && !self.model.is_opening(&rooms(room)) =>
            {
                let input = self.world.store.survey(&rooms(room));
                self.world.feed(&rooms(room), input, &mut |seen| self.model.follow(seen));
            }
            _ => {}
        }
    }

    /// Changes something that was said, or who may be in the club.
    fn change(&mut self, op: &Op) {
        let (place, room, content) = match *op {
            Op::Edit { place, room, seq } => {
                self.texts += 1;
                let text = Some(format!("edit {}", self.texts).into());
                (place, room, Content::Edit(NewText { target: Seq(seq.into()), text, mentions: Vec::new() }))
            }
            Op::Delete { place, room, seq } => {
                (place, room, Content::Delete(Target { target: Seq(seq.into()) }))
            }
            Op::React { place, room, seq, active } => {
                let target = Seq(seq.into());
                (place, room, Content::Reaction(Reaction { target, emoji: "ok".into(), active, count: 0 }))
            }
            Op::Role { place, of, member } => {
                let role = member.then_some(Role::Member);
                (place, 3, Content::Role(RoleChange { user: owner(of), role }))
            }
            _ => return,
        };
        self.publish(place, &rooms(room), vec![NewEntry { cid: None, content }]);
    }

    fn join(&mut self, place: u8, room: u8, since: Option<Position>, history: u32, status: Availability) {
        let presence = SetPresence { status, text: None };
        self.feed(place, room, |caller| Input::Join { caller, since, history, presence });
    }

    fn say(&mut self, place: u8, room: &RoomName, messages: u8) {
        // Large batches are more than a slow connection is told at once.
        let padding = if messages == MOST_AT_ONCE { " ".repeat(20_000) } else { String::new() };
        let entry = |_| {
            self.texts += 1;
            let content = Content::Message(Text::plain(format!("{room}/{}{padding}", self.texts)));
            NewEntry { cid: Some(format!("cid{}", self.texts).into()), content }
        };
        let entries: Vec<_> = (0..messages).map(entry).collect();
        self.said.insert(place, (room.clone(), entries.clone()));
        self.publish(place, room, entries);
    }

    fn publish(&mut self, place: u8, room: &RoomName, entries: Vec<NewEntry>) {
        let caller = self.world.caller(&owner(place), self.conn(place));
        self.world.feed(room, Input::Publish { caller, entries }, &mut |seen| self.model.follow(seen));
    }

    fn feed(&mut self, place: u8, room: u8, input: impl FnOnce(Caller) -> Input) {
        let caller = self.world.caller(&owner(place), self.conn(place));
        self.world.feed(&rooms(room), input(caller), &mut |seen| self.model.follow(seen));
    }

    /// Ends the connection of a place in all rooms; the place gets another one.
    fn lose(&mut self, place: u8, ending: Ending) {
        let conn = self.conn(place);
        for index in 0..ROOMS {
            if let Some(view) = self.model.view(conn, &rooms(index)) {
                self.positions.insert((place, rooms(index)), view.position);
            }
        }
        self.model.forget(conn);
        self.world.end_everywhere(conn);
        for index in 0..ROOMS {
            let input = Input::Detach { conn, user: owner(place), ending };
            self.world.feed(&rooms(index), input, &mut |seen| self.model.follow(seen));
        }
        self.conns[usize::from(place)] += u32::from(PLACES);
    }

    fn advance(&mut self, ms: u64) {
        let at = self.world.now.mono_ms + ms;
        self.world.advance(at, &mut |seen| self.model.follow(seen));
    }

    fn conn(&self, place: u8) -> ConnId {
        conn(self.conns[usize::from(place)])
    }
}

/// Another connection of the first place: it never leaves the club, and so sees all its changes.
fn watcher() -> ConnId {
    conn(1 + 1_000 * u32::from(PLACES))
}

fn rooms(index: u8) -> RoomName {
    NAMES[usize::from(index)].clone()
}

fn owner(place: u8) -> UserId {
    USERS[usize::from(place) % USERS.len()].clone()
}

fn silent(caller: Caller) -> Caller {
    Caller { request: None, ..caller }
}

fn availability(away: bool) -> Availability {
    if away { Availability::Away } else { Availability::Online }
}
