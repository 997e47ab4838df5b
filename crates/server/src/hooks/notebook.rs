//! Where shards leave what webhooks are to hear of.
//!
//! Nothing here waits: a notice is a few words under a short lock. What becomes of it is the
//! [recorder](super::recorder)'s work. Without a webhook that wants it, a notice costs one comparison.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parlour_hub::input::{CursorKind, Ending};
use parlour_hub::{ConnId, Now};
use parlour_protocol::event::CursorNotice;
use parlour_protocol::{RoomName, Seq, UserId};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::crowd::Crowd;
use super::event::EventKind;
use super::keys;
use crate::config::Config;
use crate::metrics::Metrics;

/// Most notices that wait for the store; more are dropped and counted.
const MOST: usize = 20_000;

/// Something that webhooks are to hear of.
#[derive(Debug, Clone)]
pub(super) struct Notice {
    pub(super) kind: EventKind,
    /// Where it stands among all.
    pub(super) number: u64,
    /// Names it for ever.
    pub(super) id: uuid::Uuid,
    pub(super) time_ms: i64,
    pub(super) user: Option<UserId>,
    /// The room that it is about, and the newest message that was said there before.
    pub(super) room: Option<(RoomName, Seq)>,
    pub(super) payload: Value,
    /// What is true from now on: a key that is there, or not any more.
    pub(super) mark: Option<(String, bool)>,
}

/// What is true when a process begins, because it was told before the one before ended.
#[derive(Debug, Default)]
pub(super) struct Recalled {
    pub(super) connections: Vec<(UserId, String)>,
    pub(super) users: Vec<UserId>,
    pub(super) rooms: Vec<RoomName>,
    /// A number that is not below any that was used.
    pub(super) next_number: u64,
}

/// Takes notices.
#[derive(Debug)]
pub(super) struct Notebook {
    /// Which kinds anybody wants.
    wanted: Vec<EventKind>,
    grace_ms: u64,
    /// Tells the connections of this run from those of others.
    run: String,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    crowd: Crowd,
    /// Rooms that were occupied when the process before ended, and when nobody is waited for there.
    empty: BTreeMap<RoomName, u64>,
    waiting: VecDeque<Notice>,
    next_number: u64,
}

impl Notice {
    fn new(kind: EventKind, now: Now, payload: Value) -> Self {
        let (id, time_ms) = (uuid::Uuid::new_v4(), now.wall_ms);
        Self { kind, number: 0, id, time_ms, user: None, room: None, payload, mark: None }
    }

    /// About a user.
    fn user(kind: EventKind, now: Now, user: &UserId, mark: (String, bool), payload: Value) -> Self {
        Self { user: Some(user.clone()), mark: Some(mark), ..Self::new(kind, now, payload) }
    }

    /// About whether somebody is in a room.
    fn occupancy(now: Now, room: RoomName, is_occupied: bool, position: Seq) -> Self {
        let kind = if is_occupied { EventKind::RoomOccupied } else { EventKind::RoomVacated };
        let (payload, mark) = (json!({ "room": room }), (keys::room(&room), is_occupied));
        Self { room: Some((room, position)), mark: Some(mark), ..Self::new(kind, now, payload) }
    }
}

impl State {
    fn take_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }
}

impl Notebook {
    pub(super) fn new(config: &Config, metrics: Arc<Metrics>) -> Self {
        let rules = &config.backend.webhooks;
        let wanted = EventKind::ALL.into_iter().filter(|kind| rules.iter().any(|r| r.events.contains(kind)));
        Self {
            wanted: wanted.collect(),
            grace_ms: u64::try_from(config.timeouts.grace.as_millis()).unwrap_or(u64::MAX),
            run: uuid::Uuid::new_v4().simple().to_string(),
            metrics,
            state: Mutex::default(),
            arrived: Notify::new(),
        }
    }

    /// Whether anybody wants to hear of one of these.
    pub(super) fn wants(&self, kinds: [EventKind; 2]) -> bool {
        self.wanted.iter().any(|wanted| kinds.contains(wanted))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection's user is known.
    pub(super) fn connected(&self, now: Now, conn: ConnId, user: &UserId) {
        let mut state = self.lock();
        if self.wants([EventKind::Connected, EventKind::Disconnected]) {
            let connection = self.name(conn);
            let mark = (keys::connection(user, &connection), true);
            let payload = json!({ "user": user, "connection": connection });
            self.add(&mut state, Notice::user(EventKind::Connected, now, user, mark, payload));
        }
        if self.wants([EventKind::Online, EventKind::Offline]) && state.crowd.came(user) {
            let (mark, payload) = ((keys::user(user), true), json!({ "user": user }));
            self.add(&mut state, Notice::user(EventKind::Online, now, user, mark, payload));
        }
    }

    /// A connection of a known user has ended.
    pub(super) fn disconnected(
        &self,
        now: Now,
        conn: ConnId,
        user: &UserId,
        (reason, ending): (&'static str, Ending),
    ) {
        let mut state = self.lock();
        if self.wants([EventKind::Connected, EventKind::Disconnected]) {
            self.gone(&mut state, now, user, &self.name(conn), reason);
        }
        if self.wants([EventKind::Online, EventKind::Offline]) {
            let until_ms = now.mono_ms.saturating_add(self.grace_ms);
            match state.crowd.went(user, ending, until_ms) {
                true => self.offline(&mut state, now, user),
                // The recorder has to look at the clock then.
                false => self.arrived.notify_one(),
            }
        }
    }

    fn gone(&self, state: &mut State, now: Now, user: &UserId, connection: &str, reason: &'static str) {
        let mark = (keys::connection(user, connection), false);
        let payload = json!({ "user": user, "connection": connection, "reason": reason });
        self.add(state, Notice::user(EventKind::Disconnected, now, user, mark, payload));
    }

    fn offline(&self, state: &mut State, now: Now, user: &UserId) {
        let (mark, payload) = ((keys::user(user), false), json!({ "user": user }));
        self.add(state, Notice::user(EventKind::Offline, now, user, mark, payload));
    }

    /// The first user has come into a room, or the last one has gone for good.
    pub(super) fn occupancy(&self, now: Now, room: RoomName, is_occupied: bool, position: Seq) {
        let mut state = self.lock();
        // Whoever was told before the restart that it is occupied knows that already.
        if state.empty.remove(&room).is_none() || !is_occupied {
            self.add(&mut state, Notice::occupancy(now, room, is_occupied, position));
        }
    }

    /// A member has got further.
    pub(super) fn receipt(&self, now: Now, kind: CursorKind, notice: &CursorNotice) {
        let kind = match kind {
            CursorKind::Read => "read",
            CursorKind::Delivered => "delivered",
        };
        let CursorNotice { room, user, seq, .. } = notice;
        let payload = json!({ "room": room, "user": user, "seq": seq, "kind": kind });
        let notice = Notice {
            user: Some(user.clone()),
            room: Some((room.clone(), *seq)),
            ..Notice::new(EventKind::Receipt, now, payload)
        };
        self.add(&mut self.lock(), notice);
    }

    fn add(&self, state: &mut State, mut notice: Notice) {
        let node = self.metrics.node();
        if state.waiting.len() >= MOST {
            return node.webhook_dropped.add(1);
        }
        node.webhook_events.inc(notice.kind.word());
        notice.number = state.take_number();
        state.waiting.push_back(notice);
        self.arrived.notify_one();
    }

    /// Returns a number that nothing else has.
    pub(super) fn next_number(&self) -> u64 {
        self.lock().take_number()
    }

    /// Takes over what is true at the beginning. Connections have ended with the process; users and
    /// rooms have their grace.
    pub(super) fn recall(&self, now: Now, recalled: Recalled) {
        let mut state = self.lock();
        let until_ms = now.mono_ms.saturating_add(self.grace_ms);
        state.next_number = recalled.next_number;
        for (user, connection) in recalled.connections {
            self.gone(&mut state, now, &user, &connection, "server_ended");
        }
        recalled.users.into_iter().for_each(|user| state.crowd.await_until(user, until_ms));
        state.empty = recalled.rooms.into_iter().map(|room| (room, until_ms)).collect();
    }

    /// Lets expire what has expired, and copies at most `most` notices, which count as waiting until
    /// [`Notebook::forget`].
    pub(super) fn waiting(&self, now: Now, most: usize) -> Vec<Notice> {
        let mut state = self.lock();
        while let Some(user) = state.crowd.expire(now.mono_ms) {
            self.offline(&mut state, now, &user);
        }
        if state.empty.values().next().is_some_and(|until_ms| *until_ms <= now.mono_ms) {
            for room in std::mem::take(&mut state.empty).into_keys() {
                // Nothing was said there since the process began, or somebody would be there.
                self.add(&mut state, Notice::occupancy(now, room, false, Seq(0)));
            }
        }
        state.waiting.iter().take(most).cloned().collect()
    }

    /// Forgets the `count` oldest notices.
    pub(super) fn forget(&self, count: usize) {
        let mut state = self.lock();
        state.waiting.drain(..count);
        state.waiting.shrink_to(1_024);
    }

    /// Waits until there may be something to do. Cancellation safe.
    pub(super) async fn wait(&self, now: Now) {
        let deadline = {
            let state = self.lock();
            let empty = state.empty.values().next().copied();
            [state.crowd.next_deadline(), empty].into_iter().flatten().min()
        };
        match deadline {
            None => self.arrived.notified().await,
            Some(deadline) => {
                let left = std::time::Duration::from_millis(deadline.saturating_sub(now.mono_ms));
                // Past the deadline without a notice is news, too.
                drop(tokio::time::timeout(left, self.arrived.notified()).await);
            }
        }
    }

    fn name(&self, ConnId { shard, slot, generation }: ConnId) -> String {
        format!("{}-{shard}-{slot}-{generation}", self.run)
    }
}
