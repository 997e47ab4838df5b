//! Commands of a few connections in any order: every request is answered once, and everybody who
//! listens to a room gets its entries with consecutive numbers.
//!
//! A line is said by the connection whose digit it begins with, in JSON. `-` and a digit end a
//! connection, which comes back as another one; `+` and a number let so many milliseconds pass.

use std::collections::{BTreeSet, HashMap};

use parlour_hub::effect::Replayed;
use parlour_hub::input::{Caller, CursorKind, Ending, Input};
use parlour_hub::rules::Pattern;
use parlour_hub::{ConnId, Effect, Rules};
use parlour_protocol::command::{Command, Cursor, SetPresence};
use parlour_protocol::dialect::{Context, DialectId, Payload};
use parlour_protocol::event::Event;
use parlour_protocol::{Position, RequestId, RoomName, Seq, UserId};

use crate::entries::entries;
use crate::world::{self, Seen, World};

/// Users, of whom the first has two connections.
const USERS: [&str; 4] = ["alice", "alice", "bob", "carol"];
/// Longest time that passes at once, in milliseconds.
const LONGEST_MS: u64 = 3_600_000;

/// Plays a conversation.
pub fn check(text: &str) {
    let mut play = Play::new();
    for line in text.lines() {
        play.line(line);
        play.world.assert_all_answered();
    }
}

struct Play {
    world: World,
    views: Views,
    conns: [ConnId; USERS.len()],
    rooms: BTreeSet<RoomName>,
    requests: u64,
}

impl Play {
    fn new() -> Self {
        let quick = Pattern { pattern: "live:*".into(), durable: false, access: None, create: None };
        let rules = Rules { patterns: vec![quick], ..Rules::default() };
        let conns = std::array::from_fn(|number| world::conn(number as u32));
        Self { world: World::new(rules), views: Views::default(), conns, rooms: BTreeSet::new(), requests: 0 }
    }

    fn line(&mut self, line: &str) {
        let number = |text: &str| text.trim().parse::<u64>().ok();
        if let Some(passed_ms) = line.strip_prefix('+').and_then(number) {
            let now_ms = self.world.now.mono_ms + passed_ms.min(LONGEST_MS);
            self.world.advance(now_ms, &mut |seen| self.views.follow(&seen));
        } else if let Some(who) = line.strip_prefix('-').and_then(number) {
            self.end(who as usize % USERS.len());
        } else if let Some(who @ b'0'..=b'9') = line.bytes().next() {
            let who = usize::from(who - b'0') % USERS.len();
            let mut requests = Vec::new();
            let (json, payload) = (DialectId::Json.dialect(), Payload::Text(&line[1..]));
            json.decode(payload, Context::default(), &mut |decoded| requests.extend(decoded));
            requests.into_iter().for_each(|request| self.say(who, request.command));
        }
    }

    /// A connection is lost, and its user comes back with a new one.
    fn end(&mut self, who: usize) {
        let conn = self.conns[who];
        self.views.at.retain(|(viewer, _), _| *viewer != conn);
        for room in self.rooms.clone() {
            self.feed(&room, Input::Detach { conn, user: world::user(USERS[who]), ending: Ending::Lost });
        }
        self.conns[who].generation += 1;
    }

    /// Does what a shard does with a command.
    fn say(&mut self, who: usize, command: Command) {
        let user = world::user(USERS[who]);
        match entries(command, &user, self.world.now.wall_ms) {
            Ok((room, entries)) => {
                let caller = self.caller(who, &user);
                self.feed(&room, Input::Publish { caller, entries });
            }
            Err(Command::Presence(presence)) => {
                for room in self.rooms.clone() {
                    let caller = Caller { request: None, ..self.caller(who, &user) };
                    self.feed(&room, Input::Presence { caller, presence: presence.clone() });
                }
            }
            Err(command) => {
                if let Some((room, input)) = input(command, self.caller(who, &user)) {
                    self.feed(&room, input);
                }
            }
        }
    }

    fn caller(&mut self, who: usize, user: &UserId) -> Caller {
        self.requests += 1;
        let request = Some(RequestId::Number(self.requests));
        Caller { conn: self.conns[who], user: user.clone(), request, grants: None }
    }

    fn feed(&mut self, room: &RoomName, input: Input) {
        self.rooms.insert(room.clone());
        self.world.feed(room, input, &mut |seen| self.views.follow(&seen));
    }
}

/// Returns what a command is to which room; `None` where the shard itself answers.
fn input(command: Command, caller: Caller) -> Option<(RoomName, Input)> {
    let advance = |Cursor { room, seq }, caller, cursor| (room, Input::Advance { caller, seq, cursor });
    Some(match command {
        Command::Join(join) => {
            let (since, history) = (join.since, join.history.unwrap_or(0));
            (join.room, Input::Join { caller, since, history, presence: SetPresence::online() })
        }
        Command::Leave(leave) => (leave.room, Input::Leave { caller }),
        Command::Create(create) => {
            (create.room, Input::Create { caller, settings: create.settings, cid: create.cid })
        }
        Command::Typing(typing) => {
            // It has no answer.
            let caller = Caller { request: None, ..caller };
            (typing.room, Input::Typing { caller, active: typing.active })
        }
        Command::Members(members) => (members.room, Input::Members { caller }),
        Command::History(query) => (query.room.clone(), Input::History { caller, query }),
        Command::Read(to) => advance(to, caller, CursorKind::Read),
        Command::Delivered(to) => advance(to, caller, CursorKind::Delivered),
        Command::Receipts(Cursor { room, seq }) => (room, Input::Receipts { caller, seq }),
        Command::Info(info) => (info.room, Input::Info { caller }),
        Command::Report(report) => {
            (report.room, Input::Report { caller, target: report.target, reason: report.reason })
        }
        Command::Reports(reports) => (reports.room, Input::Reports { caller }),
        Command::Resolve(resolve) => (resolve.room, Input::Resolve { caller, target: resolve.target }),
        Command::More(more) => (more.room, Input::More { caller }),
        Command::Status(status) => (status.room, Input::Status { caller, cid: status.cid }),
        _ => return None,
    })
}

/// How far those who listen to rooms have got.
#[derive(Default)]
struct Views {
    at: HashMap<(ConnId, RoomName), Position>,
}

impl Views {
    fn follow(&mut self, seen: &Seen<'_>) {
        let Seen::Effect(effect, list) = seen else { return };
        match effect {
            Effect::Attach { to, room, answer, replay, .. } => self.attach(*to, room, answer, replay),
            Effect::Detach { from, room, .. } | Effect::Expel { from, room } => {
                self.at.remove(&(*from, room.clone()));
            }
            Effect::Broadcast { room, event, .. } => {
                let Some(seq) = event.seq() else { return };
                for conn in *list {
                    let at = self.at.get_mut(&(*conn, room.clone())).expect("somebody who was let in");
                    assert_eq!(seq, at.seq.next(), "{conn:?} in {room}");
                    at.seq = seq;
                }
            }
            _ => {}
        }
    }

    fn attach(&mut self, to: ConnId, room: &RoomName, answer: &Event, replay: &Replayed) {
        let numbers: Vec<Seq> = replay.events.iter().filter_map(|event| event.seq()).collect();
        let is_gap_free = numbers.windows(2).all(|pair| pair[1] == pair[0].next());
        assert!(is_gap_free && numbers.iter().all(|seq| *seq <= replay.upto), "{numbers:?} in {room}");
        let (place, seq) = ((to, room.clone()), replay.upto);
        match (answer, replay.is_live) {
            (Event::Joined(joined), true) => {
                self.at.insert(place, Position { epoch: joined.epoch, seq });
            }
            (_, true) => {
                self.at.entry(place).or_default().seq = seq;
            }
            (_, false) => {
                self.at.remove(&place);
            }
        }
    }
}
