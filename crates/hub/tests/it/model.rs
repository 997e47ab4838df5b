//! What must be true of rooms, worked out a second time and more simply.
//!
//! The model follows inputs and effects. It knows who is a member ([`Truth`]) and what each
//! connection has been told ([`View`]); after every step the two must agree, so every change is told
//! exactly once. Messages must reach each view gap-free, in order, once, and as they were stored.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use parlour_hub::input::{Caller, Ending, Input, Now};
use parlour_hub::{ConnId, Effect, Ticket};
use parlour_protocol::command::Availability;
use parlour_protocol::event::{Event, Joined, Message, Status, Unrecovered};
use parlour_protocol::{ErrorCode, Position, RequestId, RoomName, UserId};

use crate::show::seq;
use crate::world::Seen;

/// Grace in the model's rules, in milliseconds.
pub const GRACE_MS: u64 = 10_000;

#[derive(Debug, Default)]
pub struct Model {
    now: Now,
    rooms: BTreeMap<RoomName, RoomState>,
    views: HashMap<(ConnId, RoomName), View>,
    /// Connections that cannot be told anything any more.
    ended: HashSet<ConnId>,
    /// What joins asked for, by request.
    joins: HashMap<RequestId, (Option<Position>, u32)>,
    /// Texts whose sender was told that they are not stored.
    refused: HashSet<Arc<str>>,
    /// Texts that an attempt has stored, or may have.
    perhaps_stored: HashSet<Arc<str>>,
    /// Messages that every view has been or will be told, as first seen.
    messages: HashMap<(RoomName, Position), Message>,
    /// Texts that each request wants to publish.
    publishing: HashMap<RequestId, Arc<str>>,
}

#[derive(Debug)]
enum RoomState {
    Opening(Vec<Step>),
    Open(Truth),
}

/// Who is in a room.
#[derive(Debug, Default)]
struct Truth(BTreeMap<UserId, Place>);

#[derive(Debug)]
struct Place {
    connections: BTreeMap<ConnId, Availability>,
    grace_until: Option<u64>,
    status: Status,
}

/// What changes who is in a room.
#[derive(Debug, Clone)]
enum Step {
    Enter(UserId, ConnId, Availability),
    Change(UserId, ConnId, Availability),
    Exit(UserId, ConnId, Ending),
}

/// What a connection knows of a room.
#[derive(Debug)]
pub struct View {
    /// The newest message it was told.
    pub position: Position,
    members: BTreeMap<UserId, Status>,
    typing: BTreeSet<UserId>,
}

impl Model {
    /// Follows what is seen; panics where it must not be.
    pub fn follow(&mut self, seen: Seen<'_>) {
        match seen {
            Seen::Tick(now) => self.tick(now),
            Seen::Input(now, room, input) => {
                self.now = now;
                self.input(room, input);
            }
            Seen::Effect(effect, list) => self.effect(effect, list),
        }
    }

    /// Returns what a connection knows of a room, if it is on its list.
    pub fn view(&self, conn: ConnId, room: &RoomName) -> Option<&View> {
        self.views.get(&(conn, room.clone()))
    }

    /// Notes that a connection has ended.
    pub fn forget(&mut self, conn: ConnId) {
        self.ended.insert(conn);
        self.views.retain(|(viewer, _), _| *viewer != conn);
    }

    /// Fails if anybody has not been told the truth about members.
    pub fn assert_told(&self) {
        for ((conn, room), view) in &self.views {
            let Some(RoomState::Open(truth)) = self.rooms.get(room) else {
                panic!("{conn:?} is on the list of {room}, which is not open");
            };
            let members: BTreeMap<_, _> = truth.0.iter().map(|(user, p)| (user.clone(), p.status)).collect();
            assert_eq!(view.members, members, "{conn:?} was told something else about {room}");
        }
    }

    /// Returns the number of users of each open room.
    pub fn counts(&self) -> BTreeMap<&RoomName, usize> {
        let open = self.rooms.iter().filter_map(|(room, state)| match state {
            RoomState::Open(truth) if !room.is_private() => Some((room, truth.0.len())),
            _ => None,
        });
        open.collect()
    }

    fn tick(&mut self, now: Now) {
        self.now = now;
        for state in self.rooms.values_mut() {
            if let RoomState::Open(truth) = state {
                truth.0.retain(|_, place| place.grace_until.is_none_or(|until| until > now.mono_ms));
            }
        }
    }

    fn input(&mut self, room: &RoomName, input: &Input) {
        self.remember_request(input);
        let step = step(input);
        match (self.rooms.get_mut(room), input) {
            (Some(RoomState::Opening(waiting)), Input::Opened(opened)) => {
                let waiting = std::mem::take(waiting);
                if opened.log.is_err() {
                    self.rooms.remove(room);
                    return;
                }
                let mut truth = Truth::default();
                waiting.into_iter().for_each(|step| truth.apply(step, self.now));
                self.rooms.insert(room.clone(), RoomState::Open(truth));
            }
            (Some(RoomState::Opening(waiting)), _) => waiting.extend(step),
            (Some(RoomState::Open(truth)), _) => {
                if let Some(step) = step {
                    truth.apply(step, self.now);
                }
            }
            (None, Input::Join { .. } | Input::History { .. }) => {
                self.rooms.insert(room.clone(), RoomState::Opening(step.into_iter().collect()));
            }
            (None, Input::Publish { .. }) if room.is_private() => {
                self.rooms.insert(room.clone(), RoomState::Opening(Vec::new()));
            }
            (None, _) => {}
        }
    }

    fn remember_request(&mut self, input: &Input) {
        match input {
            Input::Join { caller: Caller { request: Some(id), .. }, since, history, .. } => {
                self.joins.insert(id.clone(), (*since, *history));
            }
            Input::Publish { caller: Caller { request: Some(id), .. }, text, .. } => {
                self.refused.remove(text);
                self.publishing.insert(id.clone(), Arc::clone(text));
            }
            _ => {}
        }
    }

    fn effect(&mut self, effect: &Effect, list: &BTreeSet<ConnId>) {
        match effect {
            Effect::Attach { to, room, joined, request, replay } => {
                self.attach(*to, room, joined, request, replay);
            }
            Effect::Detach { from, room, .. } => {
                self.views.remove(&(*from, room.clone()));
            }
            Effect::Broadcast { room, event, .. } => {
                for conn in list {
                    self.tell(*conn, room, event);
                }
            }
            Effect::Send { reply, .. } => {
                if let Some(text) = reply.id.as_ref().and_then(|id| self.publishing.remove(id)) {
                    self.published(text, &reply.event);
                }
            }
            Effect::ToUsers { users: (a, b), event } => match &**event {
                Event::Private(m) => assert_eq!(RoomName::private(&m.from, &m.to), RoomName::private(a, b)),
                other => panic!("{other:?} is not private"),
            },
            Effect::Vacated { room } => match self.rooms.remove(room) {
                Some(RoomState::Open(truth)) => assert!(truth.0.is_empty(), "{room} is gone with {truth:?}"),
                state => panic!("{room} is gone, but was {state:?}"),
            },
            Effect::Unread { .. } | Effect::Store { .. } => {}
        }
    }

    /// A text is refused if no attempt may have stored it, and none is under way.
    fn published(&mut self, text: Arc<str>, answer: &Event) {
        match answer {
            Event::Error(refusal) if refusal.code != ErrorCode::Indeterminate => {
                if !self.perhaps_stored.contains(&text) && !self.publishing.values().any(|t| *t == text) {
                    self.refused.insert(text);
                }
            }
            _ => {
                self.perhaps_stored.insert(text);
            }
        }
    }

    fn attach(
        &mut self,
        to: ConnId,
        room: &RoomName,
        joined: &Joined,
        request: &Caller,
        replay: &[Arc<Event>],
    ) {
        let id = request.request.as_ref().expect("joins have a request");
        let (since, history) = self.joins.remove(id).expect("asked once");
        assert_eq!(joined.reason, since.and_then(|since| unrecovered(since, joined)), "{since:?} {joined:?}");
        let begin = joined.head.0 - replay.len() as u64;
        assert!(
            (begin + 1..).zip(replay).all(|(next, event)| seq(event) == Some(next)),
            "a hole in a replay"
        );
        match since {
            Some(_) if joined.reason.is_some() => assert_eq!(begin, joined.head.0, "no replay"),
            Some(since) => assert_eq!(begin, since.seq.0, "the replay of {to:?}"),
            // What was said while the store was reading comes on top.
            None => {
                let wish = joined.head.0.saturating_sub(u64::from(history)).max(joined.floor.0);
                assert!(begin <= wish, "the replay of {to:?} begins after {begin}, not {wish}");
            }
        }
        let members = joined.members.iter().map(|member| (member.user.clone(), member.status)).collect();
        let position = Position { epoch: joined.epoch, seq: joined.head };
        replay.iter().for_each(|event| self.same_for_all(room, joined.epoch, event));
        if self.ended.contains(&to) {
            return; // its departure is on the way
        }
        self.views.insert((to, room.clone()), View { position, members, typing: BTreeSet::new() });
    }

    /// Fails if a position names two different messages, or a message that is none.
    fn same_for_all(&mut self, room: &RoomName, epoch: parlour_protocol::Epoch, event: &Event) {
        let Event::Message(message) = event else {
            return;
        };
        let is_filling = message.text.len() > 1_000; // not worth hashing
        assert!(is_filling || !self.refused.contains(&message.text), "{message:?} was refused");
        assert_eq!(message.room, *room);
        let position = Position { epoch, seq: message.seq };
        let first = self.messages.entry((room.clone(), position)).or_insert_with(|| message.clone());
        assert_eq!(first, message, "one position, one message");
    }

    fn tell(&mut self, conn: ConnId, room: &RoomName, event: &Event) {
        let Some(view) = self.views.get_mut(&(conn, room.clone())) else {
            panic!("{conn:?} is told about {room} without being on its list: {event:?}");
        };
        let epoch = view.position.epoch;
        match event {
            Event::Message(message) => {
                assert_eq!(message.seq, view.position.seq.next(), "the next message of {conn:?}");
                view.position.seq = message.seq;
            }
            Event::MemberJoined(news) => {
                let known = view.members.insert(news.user.clone(), Status::Online);
                assert_eq!(known, None, "{conn:?} is told twice that {} joined", news.user);
                assert_eq!(view.members.len(), news.member_count as usize);
            }
            Event::MemberLeft(news) => {
                let known = view.members.remove(&news.user);
                assert!(known.is_some(), "{conn:?} is told twice that {} left", news.user);
                assert!(!view.typing.contains(&news.user), "{} types after leaving", news.user);
            }
            Event::Presence(news) => {
                let known = view.members.insert(news.member.user.clone(), news.member.status);
                assert!(known.is_some_and(|known| known != news.member.status), "no news: {news:?}");
            }
            Event::Typing(news) if news.active => {
                assert!(view.typing.insert(news.user.clone()), "{} types already", news.user);
            }
            Event::Typing(news) => {
                view.typing.remove(&news.user);
            }
            other => panic!("{other:?} is not for everybody"),
        }
        self.same_for_all(room, epoch, event);
    }
}

impl Truth {
    fn apply(&mut self, step: Step, now: Now) {
        match step {
            Step::Enter(user, conn, availability) => {
                let place = self.0.entry(user).or_insert_with(|| Place {
                    connections: BTreeMap::new(),
                    grace_until: None,
                    status: Status::Online,
                });
                place.connections.entry(conn).or_insert(availability);
                place.grace_until = None;
                place.merge();
            }
            Step::Change(user, conn, availability) => {
                if let Some(place) = self.0.get_mut(&user)
                    && let Some(known) = place.connections.get_mut(&conn)
                {
                    *known = availability;
                    place.merge();
                }
            }
            Step::Exit(user, conn, ending) => self.exit(&user, conn, ending, now),
        }
    }

    fn exit(&mut self, user: &UserId, conn: ConnId, ending: Ending, now: Now) {
        let Some(place) = self.0.get_mut(user) else {
            return;
        };
        if place.connections.remove(&conn).is_none() {
            return;
        }
        match (place.connections.is_empty(), ending) {
            (false, _) => place.merge(),
            (true, Ending::Lost) => place.grace_until = Some(now.mono_ms + GRACE_MS),
            (true, Ending::Deliberate) => {
                self.0.remove(user);
            }
        }
    }
}

impl Place {
    fn merge(&mut self) {
        let online = self.connections.values().any(|said| *said == Availability::Online);
        self.status = if online { Status::Online } else { Status::Away };
    }
}

fn step(input: &Input) -> Option<Step> {
    let (caller, step): (&Caller, fn(UserId, ConnId) -> Step) = match input {
        Input::Join { caller, presence, .. } => {
            return Some(Step::Enter(caller.user.clone(), caller.conn, presence.status));
        }
        Input::Presence { caller, presence } => {
            return Some(Step::Change(caller.user.clone(), caller.conn, presence.status));
        }
        Input::Detach { conn, user, ending } => return Some(Step::Exit(user.clone(), *conn, *ending)),
        Input::Leave { caller } => (caller, |user, conn| Step::Exit(user, conn, Ending::Deliberate)),
        // Whose replay cannot be read is not let in.
        Input::Fetched { ticket: Ticket::Replay(replay), records: Err(_) } => {
            (&replay.caller, |user, conn| Step::Exit(user, conn, Ending::Deliberate))
        }
        _ => return None,
    };
    Some(step(caller.user.clone(), caller.conn))
}

/// Why a resume cannot be exact, by the ends of the room as the client sees them.
fn unrecovered(since: Position, joined: &Joined) -> Option<Unrecovered> {
    match since.seq {
        _ if since.epoch != joined.epoch => Some(Unrecovered::Epoch),
        seq if seq > joined.head => Some(Unrecovered::Ahead),
        seq if seq < joined.floor => Some(Unrecovered::Expired),
        seq if joined.head.0 - seq.0 > 500 => Some(Unrecovered::TooFar),
        _ => None,
    }
}
