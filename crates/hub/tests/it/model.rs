//! What must be true of rooms, worked out a second time and more simply.
//!
//! The model follows inputs and effects. It knows who is a member ([`Truth`]) and what each
//! connection has been told ([`View`]); after every step the two must agree, so every change is told
//! exactly once. Entries must reach each view gap-free, in order, once, and as they are stored.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use parlour_hub::effect::Replayed;
use parlour_hub::input::{Caller, Input, Now};
use parlour_hub::{ConnId, Effect, StoreRequest};
use parlour_protocol::content::{Content, RoleChange};
use parlour_protocol::event::{Change, Event, Joined, Unrecovered};
use parlour_protocol::{ErrorCode, Position, RequestId, RoomName, Seq, UserId};

use crate::world::Seen;
use truth::{RoomState, Step, Truth};
use view::View;

mod truth;
mod view;

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
    /// The join that is being handled.
    at_the_door: Option<RequestId>,
    /// How often each user wants to enter the room that has just opened, but for those turned away.
    entering: HashMap<UserId, usize>,
    /// Who was told an entry, since that was asked last.
    told: Vec<(RoomName, Position, BTreeSet<ConnId>)>,
    texts: Texts,
    /// Joins that were refused and have not been told so yet.
    detoured: HashSet<Option<RequestId>>,
}

/// What became of the texts that somebody wanted stored.
#[derive(Debug, Default)]
struct Texts {
    /// Those whose sender was told that they are not stored.
    refused: HashSet<Arc<str>>,
    /// Those that an attempt has stored, or may have.
    perhaps_stored: HashSet<Arc<str>>,
    /// Those that each request wants to publish.
    publishing: HashMap<RequestId, Vec<Arc<str>>>,
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

    /// Returns what a connection knows of a room, if it is in it.
    pub fn view(&self, conn: ConnId, room: &RoomName) -> Option<&View> {
        self.views.get(&(conn, room.clone()))
    }

    /// Notes that a connection on the list of a room is slow from now on.
    pub fn stall(&mut self, conn: ConnId, room: &RoomName) {
        let view = self.views.get_mut(&(conn, room.clone())).filter(|view| view.is_live);
        let view = view.expect("on the list");
        (view.is_live, view.is_slow) = (false, true);
    }

    /// Whether a room waits for the store.
    pub fn is_opening(&self, room: &RoomName) -> bool {
        matches!(self.rooms.get(room), Some(RoomState::Opening(_)))
    }

    /// Notes that a connection has ended.
    pub fn forget(&mut self, conn: ConnId) {
        self.ended.insert(conn);
        self.views.retain(|(viewer, _), _| *viewer != conn);
    }

    /// Returns who was told entries since this was asked last.
    pub fn take_told(&mut self) -> Vec<(RoomName, Position, BTreeSet<ConnId>)> {
        std::mem::take(&mut self.told)
    }

    /// Notes that users without a role are no longer waited for in a private room.
    pub fn keep_waiting_for(&mut self, room: &RoomName, may_come: impl Fn(&UserId) -> bool) {
        if let Some(RoomState::Open(truth)) = self.rooms.get_mut(room) {
            truth.0.retain(|user, place| place.grace_until.is_none() || may_come(user));
        }
    }

    /// Fails if anybody has not been told the truth about members.
    pub fn assert_told(&self) {
        for ((conn, room), view) in &self.views {
            let Some(RoomState::Open(truth)) = self.rooms.get(room) else {
                panic!("{conn:?} is on the list of {room}, which is not open");
            };
            if let Some(told) = view.members.as_ref().filter(|_| view.is_live) {
                let members = truth.0.iter().filter_map(|(user, p)| Some((user.clone(), p.status?)));
                assert_eq!(*told, members.collect(), "{conn:?} was told something else about {room}");
            }
        }
    }

    /// Returns the number of users of each open room.
    pub fn counts(&self) -> BTreeMap<RoomName, usize> {
        let open = self.rooms.iter().filter_map(|(room, state)| match state {
            RoomState::Open(truth) if !room.is_private() => Some((room.clone(), truth.0.len())),
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
        let step = Step::of(input);
        match (self.rooms.get_mut(room), input) {
            (Some(RoomState::Opening(waiting)), Input::Opened(opened)) => {
                let waiting = std::mem::take(waiting);
                if opened.log.is_err() {
                    self.rooms.remove(room);
                    return;
                }
                let mut truth = Truth::default();
                for user in waiting.iter().filter_map(Step::enters) {
                    *self.entering.entry(user.clone()).or_default() += 1;
                }
                waiting.into_iter().for_each(|step| truth.apply(step, self.now));
                self.rooms.insert(room.clone(), RoomState::Open(truth));
            }
            (Some(RoomState::Opening(waiting)), _) => waiting.extend(step),
            (Some(RoomState::Open(truth)), _) => {
                if let Some(step) = step {
                    truth.apply(step, self.now);
                }
            }
            (
                None,
                Input::Join { .. } | Input::History { .. } | Input::Status { .. } | Input::Create { .. },
            ) => {
                self.rooms.insert(room.clone(), RoomState::Opening(step.into_iter().collect()));
            }
            (None, Input::Publish { .. }) if room.is_private() => {
                self.rooms.insert(room.clone(), RoomState::Opening(Vec::new()));
            }
            (None, _) => {}
        }
    }

    fn remember_request(&mut self, input: &Input) {
        self.at_the_door = None;
        self.entering.clear();
        match input {
            Input::Join { caller: Caller { request: Some(id), .. }, since, history, .. } => {
                self.joins.insert(id.clone(), (*since, *history));
                self.at_the_door = Some(id.clone());
            }
            Input::Publish { caller: Caller { request: Some(id), .. }, entries } => {
                let texts = entries.iter().filter_map(|entry| text_of(&entry.content));
                self.texts.begin(id.clone(), texts.cloned().collect());
            }
            _ => {}
        }
    }

    fn turn_away(&mut self, room: &RoomName, caller: &Caller) {
        let Some(RoomState::Open(truth)) = self.rooms.get_mut(room) else { return };
        let waited = self.entering.get_mut(&caller.user);
        let at_the_door = waited.is_some() || self.at_the_door == caller.request;
        truth.turn_away(&caller.user, caller.conn, at_the_door, self.now);
        if let Some(wishes) = waited {
            *wishes -= 1;
            if *wishes == 0 {
                truth.forget_waiting(&caller.user);
            }
        }
    }

    fn effect(&mut self, effect: &Effect, list: &BTreeSet<ConnId>) {
        match effect {
            Effect::Attach { to, room, answer, request, replay } => match &**answer {
                Event::Joined(joined) => self.enter(*to, room, joined, request, replay),
                answer => self.go_on(*to, room, answer, replay),
            },
            Effect::CatchUp { to, room, after, news, replay } => {
                self.catch_up(*to, room, *after, news, replay);
            }
            Effect::Detach { from, room, request, refusal } => {
                self.views.remove(&(*from, room.clone()));
                if refusal.is_some() && !self.detoured.remove(&request.request) {
                    self.turn_away(room, request);
                }
            }
            // It is not let in, and only hears of it later.
            Effect::Store { room, request: StoreRequest::Detour { input } } => {
                if let Input::Join { caller, .. } = &**input {
                    self.turn_away(room, caller);
                    self.detoured.insert(caller.request.clone());
                }
            }
            Effect::Expel { from, room } => {
                self.views.remove(&(*from, room.clone()));
                if let Some(RoomState::Open(truth)) = self.rooms.get_mut(room) {
                    truth.expel(*from, self.now);
                }
            }
            Effect::Broadcast { room, event, .. } => {
                for conn in list {
                    self.tell(*conn, room, event);
                }
                self.tell_slow(room, event);
                if let Event::RoleChanged(Change { what: RoleChange { user, role: None }, .. }) = &**event {
                    self.keep_waiting_for(room, |waiting| waiting != user);
                }
            }
            Effect::Send { reply, .. } => self.texts.answered(reply.id.as_ref(), None),
            Effect::Fail { request, refusal, .. } => {
                self.texts.answered(request.as_ref(), Some(refusal.code));
            }
            Effect::ToUsers { users: (a, b), event } => match &**event {
                Event::Private(m) => assert_eq!(RoomName::private(&m.from, &m.to), RoomName::private(a, b)),
                other => panic!("{other:?} is not private"),
            },
            Effect::Vacated { room } => match self.rooms.remove(room) {
                Some(RoomState::Open(truth)) => assert!(truth.0.is_empty(), "{room} is gone with {truth:?}"),
                state => panic!("{room} is gone, but was {state:?}"),
            },
            Effect::Unread { .. } | Effect::Store { .. } | Effect::Occupancy { .. } | Effect::Audit(_) => {}
        }
    }

    fn enter(&mut self, to: ConnId, room: &RoomName, joined: &Joined, request: &Caller, replay: &Replayed) {
        let id = request.request.as_ref().expect("joins have a request");
        let (since, history) = self.joins.remove(id).expect("asked once");
        assert_eq!(joined.reason, since.and_then(|since| unrecovered(since, joined)), "{since:?} {joined:?}");
        let mut view = View::new(joined, replay.is_live);
        let begin = view.position.seq.0;
        assert_eq!(replay.is_live, joined.behind == 0, "live events wait for the rest");
        match since {
            Some(_) if joined.reason.is_some() => assert_eq!(begin, joined.head.0, "no replay"),
            Some(since) => assert_eq!(begin, since.seq.0, "the replay of {to:?}"),
            // What was said while the store was reading comes on top.
            None => {
                let wish = joined.head.0.saturating_sub(u64::from(history)).max(joined.floor.0);
                assert!(begin <= wish, "the replay of {to:?} begins after {begin}, not {wish}");
            }
        }
        self.follow_replay(to, room, &mut view, replay);
        if !self.ended.contains(&to) {
            self.views.insert((to, room.clone()), view);
        } // else its departure is on the way
    }

    /// Follows the answer to `more`.
    fn go_on(&mut self, to: ConnId, room: &RoomName, answer: &Event, replay: &Replayed) {
        let Some(mut view) = self.views.remove(&(to, room.clone())) else {
            assert!(self.ended.contains(&to), "{to:?} is told about {room} without being in it");
            return;
        };
        assert!(!view.is_live, "nothing was missing");
        match answer {
            Event::Page(page) => assert_eq!(replay.is_live, page.behind == 0, "{page:?}"),
            Event::Resync(news) => view.resync(Position { epoch: news.epoch, seq: news.head }),
            other => panic!("{other:?} answers no `more`"),
        }
        view.is_live = replay.is_live;
        self.follow_replay(to, room, &mut view, replay);
        self.views.insert((to, room.clone()), view);
    }

    /// Follows the answer to what a slow connection was not given, unless it came too late.
    fn catch_up(&mut self, to: ConnId, room: &RoomName, after: Seq, news: &[Event], replay: &Replayed) {
        let is_meant = |view: &View| view.is_slow && view.position.seq == after;
        let Some(mut view) = self.views.remove(&(to, room.clone())) else {
            return;
        };
        if is_meant(&view) {
            for event in news {
                match event {
                    Event::Joined(joined) => view.meet(joined),
                    Event::Resync(news) => view.resync(Position { epoch: news.epoch, seq: news.head }),
                    other => panic!("{other:?} is no news for {to:?}"),
                }
            }
            (view.is_live, view.is_slow) = (replay.is_live, !replay.is_live);
            self.follow_replay(to, room, &mut view, replay);
            assert_eq!(view.position.seq, replay.upto, "told up to there");
        }
        self.views.insert((to, room.clone()), view);
    }

    /// Follows what a shard tells its slow connections in any case.
    fn tell_slow(&mut self, room: &RoomName, event: &Event) {
        if let Event::Resync(news) = event {
            let slow = self.views.iter_mut().filter(|((_, slow_in), view)| slow_in == room && view.is_slow);
            slow.for_each(|(_, view)| view.resync(Position { epoch: news.epoch, seq: news.head }));
        }
    }

    fn follow_replay(&mut self, to: ConnId, room: &RoomName, view: &mut View, replay: &Replayed) {
        for event in &replay.events {
            self.texts.check(event);
            view.tell(event);
        }
        self.told.push((room.clone(), view.position, BTreeSet::from([to])));
    }

    fn tell(&mut self, conn: ConnId, room: &RoomName, event: &Event) {
        let Some(view) = self.views.get_mut(&(conn, room.clone())).filter(|view| view.is_live) else {
            panic!("{conn:?} is told about {room} without being on its list: {event:?}");
        };
        self.texts.check(event);
        if let Event::Resync(news) = event {
            return view.resync(Position { epoch: news.epoch, seq: news.head });
        }
        view.tell(event);
        if event.seq().is_some() {
            // What came before this entry decides who may be told it.
            let before = Position { seq: Seq(view.position.seq.0 - 1), ..view.position };
            self.told.push((room.clone(), before, BTreeSet::from([conn])));
        }
    }
}

impl Texts {
    fn begin(&mut self, request: RequestId, texts: Vec<Arc<str>>) {
        self.refused.retain(|text| !texts.contains(text));
        self.publishing.insert(request, texts);
    }

    /// A text is refused if no attempt may have stored it, and none is under way.
    fn answered(&mut self, request: Option<&RequestId>, error: Option<ErrorCode>) {
        let Some(texts) = request.and_then(|id| self.publishing.remove(id)) else {
            return;
        };
        for text in texts {
            let is_under_way = self.publishing.values().flatten().any(|other| *other == text);
            match error {
                None | Some(ErrorCode::Indeterminate) => drop(self.perhaps_stored.insert(text)),
                Some(_) if !is_under_way && !self.perhaps_stored.contains(&text) => {
                    self.refused.insert(text);
                }
                Some(_) => {}
            }
        }
    }

    /// Fails if an entry says what its sender believes is not stored.
    fn check(&self, event: &Event) {
        let text = match event {
            Event::Message(message) => Some(&message.text),
            Event::Edited(change) => change.what.text.as_ref(),
            _ => None,
        };
        // Long texts fill rooms; nobody refuses them.
        let text = text.filter(|text| text.len() < 1_000);
        assert!(text.is_none_or(|text| !self.refused.contains(text)), "{event:?} was refused");
    }
}

fn text_of(content: &Content) -> Option<&Arc<str>> {
    match content {
        Content::Message(said) => Some(&said.text),
        Content::Edit(edit) => edit.text.as_ref(),
        _ => None,
    }
}

/// Why a resume cannot be exact, by the ends of the room as the client sees them.
fn unrecovered(since: Position, joined: &Joined) -> Option<Unrecovered> {
    match since.seq {
        _ if since.epoch != joined.epoch => Some(Unrecovered::Epoch),
        seq if seq > joined.head => Some(Unrecovered::Ahead),
        seq if seq < joined.floor => Some(Unrecovered::Expired),
        _ => None,
    }
}
