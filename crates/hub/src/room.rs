//! One room on its home shard. It knows nobody's socket and no other room.

use std::sync::Arc;

use compact_str::CompactString;
use parlour_protocol::command::{Availability, SetPresence};
use parlour_protocol::event::{
    Ack, Event, Member, MemberList, Membership, PresenceNotice, Reply, Stored as StoredAt, TypingNotice,
};
use parlour_protocol::{Epoch, ErrorCode, Refusal, RoomName, Seq, UserId, limits};

use crate::effect::{Effect, StoreRequest};
use crate::input::{Caller, Ending, Input, Now, Opened};
use crate::kind;
use crate::log::{Draft, Record, Stored};
use crate::rules::Rules;

mod heal;
mod history;
pub(crate) mod join;
pub mod members;
pub mod ring;
mod seen;
pub mod typing;

use heal::Healing;
use members::{Change, Members};
use ring::Ring;
use typing::Typing;

/// What a room needs to know of the world while it handles an input.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// The time.
    pub now: Now,
    /// The configured rules.
    pub rules: &'a Rules,
}

/// A room in memory.
#[derive(Debug)]
pub struct Room {
    name: RoomName,
    durable: bool,
    epoch: Epoch,
    /// The newest event that was delivered; the next one must be its successor.
    position: Seq,
    floor: Seq,
    last_ts: i64,
    ring: Ring,
    members: Members,
    typing: Typing,
    /// Answers of the store that are still to come; the room stays in memory for them.
    awaited: u32,
    healing: Option<Healing>,
}

impl Room {
    /// Builds a room from what the store knows of it.
    #[must_use]
    pub fn open(name: RoomName, durable: bool, opened: Opened) -> Self {
        let mut room = Self {
            name,
            durable,
            epoch: opened.new_epoch,
            position: Seq(0),
            floor: Seq(0),
            last_ts: 0,
            ring: Ring::default(),
            members: Members::default(),
            typing: Typing::default(),
            awaited: 0,
            healing: None,
        };
        if let Ok(Some((head, tail))) = opened.log {
            (room.epoch, room.position, room.floor) = (head.epoch, head.head, head.floor);
            for record in tail {
                room.last_ts = record.ts;
                let event = Arc::new(kind::of(&room.name).event(&room.name, record));
                room.ring.push(event);
            }
        }
        let seen =
            opened.seen.iter().filter_map(|document| serde_json::from_slice::<Member>(&document.value).ok());
        seen.for_each(|member| room.members.remember(member));
        room
    }

    /// Handles one input.
    pub fn handle(&mut self, scene: Scene<'_>, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Join { caller, since, history, presence } => {
                self.join(scene, caller, since, history, presence, out);
            }
            Input::Leave { caller } => self.leave(scene, caller, out),
            Input::Detach { conn, user, ending } => self.remove(scene, &user, conn, ending, out),
            Input::Publish { caller, cid, text } => self.publish(scene, caller, cid, text, out),
            Input::Typing { caller, active } => self.set_typing(scene, &caller, active, out),
            Input::Presence { caller, presence } => self.set_presence(scene, &caller, presence, out),
            Input::Members { caller } => self.list_members(caller, out),
            Input::History { caller, query } => self.history(scene, caller, query, out),
            Input::Read { caller, seq } => self.read(scene, caller, seq, out),
            Input::Inbox { caller, read } => self.inbox(caller, read, out),
            Input::Appended { caller, draft, outcome } => self.appended(scene, caller, draft, outcome, out),
            Input::Fetched { ticket, records } => self.fetched(scene, ticket, records, out),
            // The hub opens a room once, before it hands over other inputs.
            Input::Opened(_) => {}
        }
    }

    /// Lets expire what has expired.
    pub fn tick(&mut self, scene: Scene<'_>, out: &mut Vec<Effect>) {
        for user in self.members.expire(scene.now.mono_ms) {
            self.announce_left(scene, &user, out);
        }
        for user in self.typing.expire(scene.now.mono_ms) {
            self.tell_typing(scene, user, false, out);
        }
        self.retry_heal(scene.now.mono_ms, out);
    }

    /// Returns when [`Room::tick`] has something to do next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        let heal = self.healing.as_ref().and_then(Healing::next_deadline);
        [self.members.next_deadline(), self.typing.next_deadline(), heal].into_iter().flatten().min()
    }

    /// Whether nobody needs the room in memory any more.
    #[must_use]
    pub fn is_vacant(&self) -> bool {
        self.members.is_empty() && self.awaited == 0
    }

    /// Returns the number of users who are here.
    #[must_use]
    pub fn member_count(&self) -> usize {
        self.members.count()
    }

    /// The one door: every event with a position passes here, committed, announced or replayed.
    ///
    /// An event that was delivered already is dropped. One that comes too early waits in the store
    /// while the room fetches what is missing.
    pub fn deliver(&mut self, record: Record, out: &mut Vec<Effect>) {
        if record.seq <= self.position {
            return;
        }
        if record.seq != self.position.next() {
            self.heal(record.seq, out);
            return;
        }
        self.position = record.seq;
        self.last_ts = self.last_ts.max(record.ts);
        let event = Arc::new(kind::of(&self.name).event(&self.name, record));
        self.ring.push(Arc::clone(&event));
        if !self.durable {
            self.floor = Seq(self.position.0 - self.ring.len() as u64);
        }
        match self.name.participants() {
            Some(users) => out.push(Effect::ToUsers { users, event }),
            None => self.broadcast(event, out),
        }
    }

    fn broadcast(&self, event: Arc<Event>, out: &mut Vec<Effect>) {
        let shards = self.members.shards();
        if !shards.is_empty() {
            out.push(Effect::Broadcast { room: self.name.clone(), shards, event });
        }
    }

    fn publish(
        &mut self,
        scene: Scene<'_>,
        caller: Caller,
        cid: Option<CompactString>,
        text: Arc<str>,
        out: &mut Vec<Effect>,
    ) {
        if !self.may_speak(&caller) {
            return refuse(
                &caller,
                Refusal::because(ErrorCode::Forbidden, "join the room before publishing in it"),
                out,
            );
        }
        self.members.touch(&caller.user, scene.now.wall_ms);
        if self.typing.stop(&caller.user) {
            self.tell_typing(scene, caller.user.clone(), false, out);
        }
        let (room, sender, ts) = (self.name.clone(), caller.user.clone(), scene.now.wall_ms);
        let draft = Draft { room, new_epoch: self.epoch, sender, cid, body: text, ts };
        if self.durable {
            self.awaited += 1;
            out.push(Effect::Store {
                room: self.name.clone(),
                request: StoreRequest::Append { caller, draft },
            });
        } else {
            let outcome = self.number(&draft);
            self.acknowledge(caller, draft, outcome, out);
        }
    }

    /// Numbers a message of a room without a log, as a store would.
    fn number(&self, draft: &Draft) -> Result<Stored, ErrorCode> {
        let earlier = draft.cid.as_ref().and_then(|_| {
            self.ring.newest_first().find_map(|event| match &**event {
                Event::Message(m) if m.cid == draft.cid && m.sender == draft.sender => Some(m),
                _ => None,
            })
        });
        match earlier {
            Some(m) if m.text == draft.body => {
                Ok(Stored { epoch: self.epoch, seq: m.seq, ts: m.ts, dup: true })
            }
            Some(_) => Err(ErrorCode::IdempotencyConflict),
            None => {
                let (seq, ts) = (self.position.next(), draft.ts.max(self.last_ts));
                Ok(Stored { epoch: self.epoch, seq, ts, dup: false })
            }
        }
    }

    fn appended(
        &mut self,
        scene: Scene<'_>,
        caller: Caller,
        draft: Draft,
        outcome: Result<Stored, ErrorCode>,
        out: &mut Vec<Effect>,
    ) {
        self.awaited -= 1;
        self.acknowledge(caller, draft, outcome, out);
        self.tick(scene, out);
    }

    fn acknowledge(
        &mut self,
        caller: Caller,
        draft: Draft,
        outcome: Result<Stored, ErrorCode>,
        out: &mut Vec<Effect>,
    ) {
        let Stored { epoch, seq, ts, dup } = match outcome {
            Ok(stored) => stored,
            Err(code) => return refuse(&caller, store_refusal(code), out),
        };
        self.epoch = epoch;
        // Also a duplicate may be news: the answer to the first attempt may have been lost.
        if seq > self.position {
            if seq == Seq(1) && self.name.is_private() {
                self.begin_inbox(out);
            }
            let Draft { sender, cid, body, .. } = draft;
            self.deliver(Record { seq, sender, cid, body, ts }, out);
        }
        let stored = StoredAt { room: self.name.clone(), epoch, seq, ts, dup };
        answer(caller, Event::Ack(Ack { stored: Some(stored) }), out);
    }

    fn may_speak(&self, caller: &Caller) -> bool {
        match self.name.is_private() {
            true => self.name.peer_of(&caller.user).is_some(),
            false => self.members.contains(&caller.user, caller.conn),
        }
    }

    fn leave(&mut self, scene: Scene<'_>, caller: Caller, out: &mut Vec<Effect>) {
        let Caller { conn, user, .. } = caller.clone();
        out.push(Effect::Detach { from: conn, room: self.name.clone(), request: caller, refusal: None });
        self.remove(scene, &user, conn, Ending::Deliberate, out);
    }

    fn remove(
        &mut self,
        scene: Scene<'_>,
        user: &UserId,
        conn: crate::ConnId,
        ending: Ending,
        out: &mut Vec<Effect>,
    ) {
        let grace_until = scene.now.mono_ms + scene.rules.grace_ms;
        match self.members.leave(user, conn, ending, grace_until) {
            Change::Left => self.announce_left(scene, user, out),
            Change::Presence => self.tell_presence(scene, user, out),
            Change::Nothing | Change::Joined => {}
        }
    }

    fn announce_left(&mut self, scene: Scene<'_>, user: &UserId, out: &mut Vec<Effect>) {
        if self.typing.stop(user) {
            self.tell_typing(scene, user.clone(), false, out);
        }
        self.notice(scene, Event::MemberLeft(self.membership(user)), out);
        let member = self.members.describe(user);
        self.note_seen(member, out);
    }

    fn membership(&self, user: &UserId) -> Membership {
        Membership { room: self.name.clone(), user: user.clone(), member_count: self.count_u32() }
    }

    fn count_u32(&self) -> u32 {
        u32::try_from(self.members.count()).unwrap_or(u32::MAX)
    }

    /// Tells members something that is not worth its price in a very large room.
    fn notice(&self, scene: Scene<'_>, event: Event, out: &mut Vec<Effect>) {
        if self.members.count() <= scene.rules.notice_members {
            self.broadcast(Arc::new(event), out);
        }
    }

    fn set_typing(&mut self, scene: Scene<'_>, caller: &Caller, active: bool, out: &mut Vec<Effect>) {
        if !self.members.contains(&caller.user, caller.conn) {
            return refuse(
                caller,
                Refusal::because(ErrorCode::Forbidden, "join the room before typing in it"),
                out,
            );
        }
        self.members.touch(&caller.user, scene.now.wall_ms);
        let news = match active {
            true => self.typing.start(&caller.user, scene.now.mono_ms + scene.rules.typing_ms),
            false => self.typing.stop(&caller.user),
        };
        if news {
            self.tell_typing(scene, caller.user.clone(), active, out);
        }
    }

    fn tell_typing(&self, scene: Scene<'_>, user: UserId, active: bool, out: &mut Vec<Effect>) {
        self.notice(scene, Event::Typing(TypingNotice { room: self.name.clone(), user, active }), out);
    }

    fn set_presence(
        &mut self,
        scene: Scene<'_>,
        caller: &Caller,
        presence: SetPresence,
        out: &mut Vec<Effect>,
    ) {
        let is_active = presence.status == Availability::Online;
        let change = self.members.set_presence(&caller.user, caller.conn, presence);
        if is_active {
            self.members.touch(&caller.user, scene.now.wall_ms);
        }
        if change == Change::Presence {
            self.tell_presence(scene, &caller.user, out);
        }
    }

    fn tell_presence(&self, scene: Scene<'_>, user: &UserId, out: &mut Vec<Effect>) {
        if let Some(member) = self.members.describe(user) {
            self.notice(scene, Event::Presence(PresenceNotice { room: self.name.clone(), member }), out);
        }
    }

    fn list_members(&self, caller: Caller, out: &mut Vec<Effect>) {
        if !self.members.contains(&caller.user, caller.conn) {
            return refuse(
                &caller,
                Refusal::because(ErrorCode::Forbidden, "join the room to see its members"),
                out,
            );
        }
        let members = self.members.list(limits::MEMBERS_LISTED);
        let list = MemberList { room: self.name.clone(), member_count: self.count_u32(), members };
        answer(caller, Event::Members(Box::new(list)), out);
    }
}

/// Answers a request.
fn answer(caller: Caller, event: Event, out: &mut Vec<Effect>) {
    out.push(Effect::Send { to: caller.conn, reply: Reply { id: caller.request, event } });
}

/// Refuses a request.
fn refuse(caller: &Caller, refusal: Refusal, out: &mut Vec<Effect>) {
    answer(caller.clone(), Event::Error(refusal), out);
}

/// How long a client should wait for a store that does not answer, in milliseconds.
const STORE_RETRY_MS: u32 = 1_000;

pub(crate) fn store_refusal(code: ErrorCode) -> Refusal {
    match code.is_retryable() {
        true => Refusal::retry_after(code, STORE_RETRY_MS),
        false => code.into(),
    }
}
