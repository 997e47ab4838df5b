//! Random users, connections and rooms on a store that is slow and fails, against the model.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use parlour_hub::input::{Caller, Ending, Input};
use parlour_hub::rules::Pattern;
use parlour_hub::{ConnId, Rules};
use parlour_protocol::command::{Availability, HistoryQuery, SetPresence};
use parlour_protocol::{ErrorCode, Position, RoomName, Seq, UserId};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::model::{GRACE_MS, Model};
use crate::store::{Fault, Hold};
use crate::world::{World, conn, room, user};

/// Browser tabs and devices, each with one connection at a time; every third one is of one user.
const PLACES: u8 = 7;
static USERS: LazyLock<[UserId; 3]> = LazyLock::new(|| ["alice", "bob", "carol"].map(user));
static ROOMS: LazyLock<[RoomName; 3]> = LazyLock::new(|| ["general", "quiet", "live:rates"].map(room));
/// Cases per run, or more with `PROPTEST_CASES`; a failure prints the shortest sequence that fails.
const CASES: u32 = 1_500;

/// Something that somebody does.
#[derive(Debug, Clone)]
enum Op {
    Join { place: u8, room: u8, history: u8, away: bool },
    JoinSince { place: u8, room: u8, seq: u8 },
    Resume { place: u8, room: u8 },
    Leave { place: u8, room: u8 },
    End { place: u8, lost: bool },
    Say { place: u8, room: u8 },
    SayAgain { place: u8 },
    Tell { place: u8, to: u8 },
    Type { place: u8, room: u8, active: bool },
    Presence { place: u8, room: u8, away: bool },
    History { place: u8, room: u8 },
    Wait { seconds: u8 },
    Hold(u8),
    Answer { index: u8 },
    Fault(u8),
}

fn op() -> impl Strategy<Value = Op> {
    any::<[u8; 4]>().prop_map(|[kind, a, b, c]| {
        let (place, room, flag) = (a % PLACES, b % 3, c % 3 == 0);
        match kind % 32 {
            0..=5 => Op::Join { place, room, history: c, away: flag },
            6 => Op::JoinSince { place, room, seq: c },
            7..=9 => Op::Resume { place, room },
            10..=11 => Op::Leave { place, room },
            12..=14 => Op::End { place, lost: !flag },
            15..=19 => Op::Say { place, room },
            20 => Op::SayAgain { place },
            21 => Op::Tell { place, to: b },
            22 => Op::Type { place, room, active: !flag },
            23 => Op::Presence { place, room, away: flag },
            24 => Op::History { place, room },
            25 => Op::Wait { seconds: c % 12 },
            26 => Op::Hold(c % 3),
            27..=30 => Op::Answer { index: c },
            _ => Op::Fault(c % 5),
        }
    })
}

#[test]
fn any_network_of_users_keeps_the_promises() {
    let default = ProptestConfig::default();
    let config = ProptestConfig { cases: default.cases.max(CASES), failure_persistence: None, ..default };
    let ops = prop::collection::vec(op(), 1..60);
    TestRunner::new(config)
        .run(&ops, |ops| {
            Network::new().live(&ops);
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
    /// The last message of each place.
    said: BTreeMap<u8, (RoomName, Arc<str>, String)>,
    texts: u32,
}

impl Network {
    fn new() -> Self {
        let pattern = Pattern { pattern: "live:*".to_owned(), durable: false };
        let rules = Rules { grace_ms: GRACE_MS, patterns: vec![pattern], ..Rules::default() };
        let mut world = World::new(rules);
        // More bytes than the ring holds, so that some replays need the store; few enough for one replay.
        world.store.fill(&rooms(0), 10, "alice", 40_000);
        Self {
            world,
            model: Model::default(),
            conns: (1..=u32::from(PLACES)).collect(),
            positions: BTreeMap::new(),
            said: BTreeMap::new(),
            texts: 0,
        }
    }

    fn live(mut self, ops: &[Op]) {
        for op in ops {
            self.perform(op);
            self.check();
        }
        self.recover();
        self.end();
    }

    fn check(&self) {
        self.model.assert_told();
        let counts: BTreeMap<_, _> = self.world.hub.rooms().collect();
        assert_eq!(counts, self.model.counts(), "the users of each room");
    }

    /// With a store that works again, everybody gets everything that is stored.
    fn recover(&mut self) {
        self.perform(&Op::Fault(0));
        self.perform(&Op::Hold(0));
        self.advance(5_000);
        for (place, index) in (0..PLACES).flat_map(|place| (0..3).map(move |index| (place, index))) {
            self.perform(&Op::Say { place, room: index });
        }
        self.check();
        for (place, index) in (0..PLACES).flat_map(|place| (0..3).map(move |index| (place, index))) {
            let name = rooms(index);
            let view = self.model.view(self.conn(place), &name);
            if let (Some(view), Some(log)) = (view, self.world.store.rooms.get(&name)) {
                let head = Position { epoch: log.epoch, seq: log.head() };
                assert_eq!(view.position, head, "{place} has all of {name}");
            }
        }
        self.world.assert_all_answered();
    }

    /// When everybody is gone, nothing stays in memory.
    fn end(&mut self) {
        (0..PLACES).for_each(|place| self.perform(&Op::End { place, lost: place % 2 == 0 }));
        self.advance(GRACE_MS);
        assert_eq!(self.world.hub.room_count(), 0, "rooms in memory");
        assert_eq!(self.world.hub.next_deadline(), None, "deadlines");
    }

    fn perform(&mut self, op: &Op) {
        match *op {
            Op::Join { place, room, history, away } => {
                let history = u32::from(history) % 16;
                self.join(place, room, None, history, availability(away));
            }
            Op::JoinSince { place, room, seq } => {
                let epoch =
                    self.world.store.rooms.get(&rooms(room)).map_or_else(Default::default, |log| log.epoch);
                let since = Position { epoch, seq: Seq(u64::from(seq) % 16) };
                self.join(place, room, Some(since), 0, Availability::Online);
            }
            Op::Resume { place, room } => {
                let since = self.positions.get(&(place, rooms(room))).copied();
                self.join(place, room, since, 0, Availability::Online);
            }
            Op::Leave { place, room } => self.feed(place, room, |caller| Input::Leave { caller }),
            Op::End { place, lost } => self.lose(place, if lost { Ending::Lost } else { Ending::Deliberate }),
            Op::Say { place, room } => self.say(place, &rooms(room)),
            Op::SayAgain { place } => {
                if let Some((room, text, cid)) = self.said.get(&place).cloned() {
                    self.publish(place, &room, text, &cid);
                }
            }
            Op::Tell { place, to } => {
                self.say(place, &RoomName::private(&owner(place), &owner(to)));
            }
            Op::Type { place, room, active } => {
                self.feed(place, room, |caller| Input::Typing { caller: silent(caller), active });
            }
            Op::Presence { place, room, away } => {
                let presence = SetPresence { status: availability(away), text: None };
                self.feed(place, room, |caller| Input::Presence { caller: silent(caller), presence });
            }
            Op::History { place, room } => self.feed(place, room, |caller| Input::History {
                caller,
                query: HistoryQuery { room: rooms(room), before: None, after: None, limit: Some(20) },
            }),
            Op::Wait { seconds } => self.advance(u64::from(seconds) * 1_000),
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
        }
    }

    fn join(&mut self, place: u8, room: u8, since: Option<Position>, history: u32, status: Availability) {
        let presence = SetPresence { status, text: None };
        self.feed(place, room, |caller| Input::Join { caller, since, history, presence });
    }

    fn say(&mut self, place: u8, room: &RoomName) {
        self.texts += 1;
        let text: Arc<str> = format!("{room}/{}", self.texts).into();
        let cid = format!("cid{}", self.texts);
        self.said.insert(place, (room.clone(), Arc::clone(&text), cid.clone()));
        self.publish(place, room, text, &cid);
    }

    fn publish(&mut self, place: u8, room: &RoomName, text: Arc<str>, cid: &str) {
        let caller = self.world.caller(&owner(place), self.conn(place));
        let input = Input::Publish { caller, cid: Some(cid.into()), text };
        self.world.feed(room, input, &mut |seen| self.model.follow(seen));
    }

    fn feed(&mut self, place: u8, room: u8, input: impl FnOnce(Caller) -> Input) {
        let caller = self.world.caller(&owner(place), self.conn(place));
        self.world.feed(&rooms(room), input(caller), &mut |seen| self.model.follow(seen));
    }

    /// Ends the connection of a place in all rooms; the place gets another one.
    fn lose(&mut self, place: u8, ending: Ending) {
        let conn = self.conn(place);
        for index in 0..3 {
            if let Some(view) = self.model.view(conn, &rooms(index)) {
                self.positions.insert((place, rooms(index)), view.position);
            }
        }
        self.model.forget(conn);
        self.world.end_everywhere(conn);
        for index in 0..3 {
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

fn rooms(index: u8) -> RoomName {
    ROOMS[usize::from(index)].clone()
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
