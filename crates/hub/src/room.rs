//! One room on its home shard. It knows nobody's socket and no other room.

use std::sync::Arc;

use compact_str::CompactString;
use parlour_protocol::event::{Event, Member, Membership, Reply};
use parlour_protocol::{Epoch, ErrorCode, Refusal, RoomName, Seq, UserId};

use crate::effect::Effect;
use crate::input::{Caller, Ending, Input, Now, Opened};
use crate::kind;
use crate::log::{Record, RoomState, Snapshot};
use crate::rights::Access;
use crate::rules::Rules;

mod access;
mod catch_up;
mod erase;
mod heal;
mod history;
pub(crate) mod join;
pub mod members;
mod notices;
mod pages;
pub(crate) mod presence;
pub(crate) mod publish;
mod receipts;
mod reports;
pub mod ring;
mod roles;
mod seen;
mod slow;
mod survey;
pub mod typing;
mod watch;

use access::Reach;
use heal::Healing;
use members::{Change, Members};
use pages::Pages;
use receipts::Cursors;
use ring::Ring;
use slow::Slow;
use survey::Reload;
use typing::Typing;
use watch::Watchers;

/// What a room needs to know of the world while it handles an input.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// The time.
    pub now: Now,
    /// The configured rules.
    pub rules: &'a Rules,
}

/// What a list of rooms shows of one.
#[derive(Debug, Clone, Copy)]
pub struct Glance<'a> {
    /// How many users are here.
    pub members: usize,
    /// What people see as its name.
    pub title: Option<&'a CompactString>,
    /// The last event that the user has read, if any.
    pub read: Option<Seq>,
}

/// A room in memory.
#[derive(Debug)]
pub struct Room {
    name: RoomName,
    setup: Setup,
    epoch: Epoch,
    /// The newest event that was delivered; the next one must be its successor.
    position: Seq,
    floor: Seq,
    time: Time,
    state: RoomState,
    past: Past,
    members: Members,
    cursors: Cursors,
    typing: Typing,
    errands: Errands,
}

/// What the configuration says about a room.
#[derive(Debug)]
struct Setup {
    durable: bool,
    /// What every user may do here.
    access: Access,
}

/// When things have happened.
#[derive(Debug, Default)]
struct Time {
    /// Of the newest entry, in milliseconds since the Unix epoch.
    last_ts: i64,
    /// Of the newest input, in milliseconds since the Unix epoch.
    now_ms: i64,
    /// Only where each user speaks once in a while.
    slow: Option<Box<Slow>>,
}

/// What memory has of the log, and who waits for it to go on.
#[derive(Debug, Default)]
struct Past {
    ring: Ring,
    pages: Pages,
    watchers: Watchers,
}

/// What the store is doing for a room.
#[derive(Debug, Default)]
struct Errands {
    /// Answers that are still to come; the room stays in memory for them.
    awaited: u32,
    healing: Option<Healing>,
    reload: Option<Reload>,
    /// Owners whose leaving this role is being stored: they no longer count.
    resigning: Vec<UserId>,
}

impl Room {
    /// Builds a room from what the store knows of it.
    #[must_use]
    pub fn open(name: RoomName, rules: &Rules, opened: Opened) -> Self {
        let mut room = Self {
            setup: Setup { durable: rules.is_durable(&name), access: rules.access(&name) },
            name,
            epoch: Epoch::default(),
            position: Seq(0),
            floor: Seq(0),
            time: Time::default(),
            state: RoomState::default(),
            past: Past::default(),
            members: Members::default(),
            cursors: Cursors::load(&opened.cursors),
            typing: Typing::default(),
            errands: Errands::default(),
        };
        let log = opened.log.ok().flatten();
        room.load(log.unwrap_or_else(|| Snapshot::nothing(opened.new_epoch)));
        let seen =
            opened.seen.iter().filter_map(|document| serde_json::from_slice::<Member>(&document.value).ok());
        seen.for_each(|member| room.members.remember(member));
        room
    }

    /// Takes over a room's log.
    fn load(&mut self, Snapshot { ends, tail, state }: Snapshot) {
        (self.epoch, self.position, self.floor) = (ends.epoch, ends.head, ends.floor);
        self.state = state;
        self.past.ring = Ring::default();
        for record in tail {
            self.time.last_ts = record.ts;
            self.past.ring.push(Arc::new(kind::of(&self.name).event(&self.name, record)));
        }
        self.cursors.clamp(self.position);
    }

    /// Handles one input.
    pub fn handle(&mut self, scene: Scene<'_>, input: Input, out: &mut Vec<Effect>) {
        self.time.now_ms = scene.now.wall_ms;
        match input {
            Input::Join { caller, since, history, presence } => {
                self.join(scene, caller, since, history, presence, out);
            }
            Input::Leave { caller } => self.leave(scene, caller, out),
            Input::Detach { conn, user, ending } => self.remove(scene, &user, conn, ending, out),
            Input::Publish { caller, entries } => self.publish(scene, caller, entries, out),
            Input::Create { caller, settings, cid } => self.create(scene, caller, settings, cid, out),
            Input::Typing { caller, active } => self.set_typing(scene, &caller, active, out),
            // The hub answers it.
            Input::Late(_) => {}
            Input::Recheck { caller } => self.recheck(scene, &caller, out),
            Input::Presence { caller, presence } => self.set_presence(scene, &caller, presence, out),
            Input::Members { caller } => self.list_members(caller, out),
            Input::History { caller, query } => self.history(scene, caller, query, out),
            Input::Advance { caller, seq, cursor } => self.advance(scene, caller, seq, cursor, out),
            Input::Receipts { caller, seq } => self.tell_receipts(caller, seq, out),
            Input::Report { caller, target, reason } => self.report(scene, caller, target, reason, out),
            Input::Reports { caller } => self.list_reports(caller, out),
            Input::Resolve { caller, target } => self.resolve(caller, target, out),
            Input::Inquired { caller, inquiry, found } => self.inquired(caller, inquiry, found, out),
            Input::Info { caller } => self.info(caller, out),
            Input::Watch { caller, after, until_ms } => self.watch(caller, after, until_ms, out),
            Input::More { caller } => self.more(scene, caller, out),
            Input::CatchUp { caller, lag } => self.catch_up(scene, caller, lag, out),
            Input::Status { caller, cid } => self.status(caller, cid, out),
            Input::Found { caller, cid, found } => {
                self.errands.awaited -= 1;
                self.found(caller, cid, found, out);
            }
            Input::Surveyed { ends } => self.surveyed(scene, ends, out),
            Input::Erased { user, alias } => self.erased(&user, &alias, out),
            Input::Inbox { caller, read } => self.inbox(caller, read, out),
            Input::Appended { caller, draft, outcome } => self.appended(scene, caller, draft, outcome, out),
            Input::Fetched { ticket, records } => self.fetched(scene, ticket, records, out),
            Input::Opened(opened) => self.reopened(scene, opened, out),
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
        self.past.pages.expire(scene.now.mono_ms);
        self.tell_watchers(scene.now.mono_ms, out);
        self.retry_heal(scene.now.mono_ms, out);
        self.retry_reload(scene.now.mono_ms, out);
    }

    /// Returns when [`Room::tick`] has something to do next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        let heal = self.errands.healing.as_ref().and_then(Healing::next_deadline);
        let (members, typing) = (self.members.next_deadline(), self.typing.next_deadline());
        let reload = self.errands.reload.as_ref().and_then(Reload::next_deadline);
        let (pages, watchers) = (self.past.pages.next_deadline(), self.past.watchers.next_deadline());
        [members, typing, heal, reload, pages, watchers].into_iter().flatten().min()
    }

    /// Whether nobody needs the room in memory any more.
    #[must_use]
    pub fn is_vacant(&self) -> bool {
        self.members.is_empty() && self.errands.awaited == 0 && self.past.watchers.is_empty()
    }

    /// Whether a user is here, or may come back within the grace.
    #[must_use]
    pub fn is_occupied(&self) -> bool {
        !self.members.is_empty()
    }

    /// Returns the number of users here.
    #[must_use]
    pub fn member_count(&self) -> usize {
        self.members.count()
    }

    /// Returns the newest event that was delivered.
    #[must_use]
    pub fn position(&self) -> Seq {
        self.position
    }

    /// Returns about how much memory the newest events take, in bytes.
    #[must_use]
    pub fn recent_bytes(&self) -> usize {
        self.past.ring.memory_bytes()
    }

    /// Forgets the newest events. A durable room has them in the store; of another one they are gone.
    pub fn forget_recent(&mut self) {
        self.past.ring = Ring::default();
        if !self.setup.durable {
            self.floor = self.position;
        }
    }

    /// Shows the room to somebody who may enter it.
    #[must_use]
    pub fn glance(&self, caller: &Caller) -> Option<Glance<'_>> {
        self.may_read(caller).ok()?;
        let title = self.state.settings.title.as_ref().filter(|title| !title.is_empty());
        Some(Glance { members: self.members.count(), title, read: self.cursors.read_by(&caller.user) })
    }

    /// The one door: every event with a position passes here, committed, announced or replayed.
    ///
    /// An event that was delivered already is dropped. One that comes too early waits in the store
    /// while the room fetches what is missing.
    pub fn deliver(&mut self, scene: Scene<'_>, record: Record, out: &mut Vec<Effect>) {
        if record.seq <= self.position {
            return;
        }
        if record.seq != self.position.next() {
            self.heal(record.seq, out);
            return;
        }
        self.position = record.seq;
        self.time.last_ts = self.time.last_ts.max(record.ts);
        self.amend(&record);
        self.state.apply(&record.content, record.ts);
        let reach = Reach::of(&record.content);
        let event = Arc::new(kind::of(&self.name).event(&self.name, record));
        self.past.ring.push(Arc::clone(&event));
        if !self.setup.durable {
            self.floor = Seq(self.position.0 - self.past.ring.len() as u64);
        }
        self.tell_all(event, out);
        self.tell_watchers(scene.now.mono_ms, out);
        if let Some(reach) = reach {
            self.expel(scene, reach, out);
        }
    }

    /// Tells everybody whom the room concerns.
    fn tell_all(&self, event: impl Into<Arc<Event>>, out: &mut Vec<Effect>) {
        let event = event.into();
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

    fn may_speak(&self, caller: &Caller) -> bool {
        match self.name.is_private() {
            true => self.name.peer_of(&caller.user).is_some(),
            false => caller.conn.is_desk() || self.members.contains(&caller.user, caller.conn),
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

/// Says that the store failed, and when to try again.
#[must_use]
pub fn store_refusal(code: ErrorCode) -> Refusal {
    match code.is_retryable() {
        true => Refusal::retry_after(code, STORE_RETRY_MS),
        false => code.into(),
    }
}
