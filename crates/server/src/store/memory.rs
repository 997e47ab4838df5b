//! A store that forgets: for tests, and for rooms whose history may end with the process.

use std::fmt;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use compact_str::CompactString;
use parlour_hub::log::{Draft, Head, Record, Refused, Snapshot, Span, Stored};
use parlour_protocol::{RoomName, Seq, UserId};

use super::{Archive, Document, Hits, Keep, Pending, Query, Store, StoreError};
use state::State;

mod append;
mod change;
mod room;
mod search;
mod state;
mod upkeep;

/// A [`Store`] in the memory of the process, of a limited size.
///
/// When it is full the oldest records of all rooms go, and the floors of their rooms rise. Rooms
/// and documents stay: where they alone would fill it, the answer is [`StoreError::Full`].
pub struct MemoryStore {
    limit_bytes: usize,
    state: Mutex<State>,
}

impl MemoryStore {
    /// Creates a store that holds about `limit_bytes`.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn open(&self, room: RoomName, tail: u32) -> Pending<'_, Option<Snapshot>> {
        ready(Ok(self.state().open(&room, tail)))
    }

    fn append(&self, batch: Vec<Draft>) -> Pending<'_, Vec<Result<Stored, Refused>>> {
        ready(self.state().append(&batch, self.limit_bytes))
    }

    fn read(&self, room: RoomName, span: Span, limit: u32) -> Pending<'_, Vec<Record>> {
        let state = self.state();
        ready(Ok(state.rooms.get(&room).map_or_else(Vec::new, |room| room.read(span, limit))))
    }

    fn find(&self, room: RoomName, sender: UserId, cid: CompactString) -> Pending<'_, Option<Stored>> {
        ready(Ok(self.state().find(&room, sender, cid)))
    }

    fn search(&self, query: Query) -> Pending<'_, Hits> {
        ready(Ok(self.state().search(&query)))
    }

    fn unread(&self, user: UserId, cursors: Vec<(RoomName, Seq)>) -> Pending<'_, Vec<u32>> {
        let state = self.state();
        let count = |(room, after): &_| state.rooms.get(room).map_or(0, |room| room.unread(&user, *after));
        ready(Ok(cursors.iter().map(count).collect()))
    }

    fn put(&self, documents: Vec<Document>) -> Pending<'_, ()> {
        ready(self.state().put(documents, self.limit_bytes))
    }

    fn documents(&self, prefix: String, limit: u32) -> Pending<'_, Vec<Document>> {
        let state = self.state();
        let from = (Bound::Included(prefix.as_str()), Bound::Unbounded);
        let found = state.documents.range::<str, _>(from);
        let found = found.take_while(|(key, _)| key.starts_with(&prefix)).take(limit as usize);
        let found = found.map(|(key, value)| Document { key: key.clone(), value: value.clone() });
        ready(Ok(found.collect()))
    }
}

impl Archive for MemoryStore {
    fn rooms(&self, after: Option<RoomName>, limit: u32) -> Pending<'_, Vec<(RoomName, Head)>> {
        let state = self.state();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let listed = state.rooms.range((from, Bound::Unbounded)).take(limit as usize);
        ready(Ok(listed.map(|(name, room)| (name.clone(), state.ends(room))).collect()))
    }

    fn heads(&self, rooms: Vec<RoomName>) -> Pending<'_, Vec<Option<Head>>> {
        let state = self.state();
        ready(Ok(rooms.iter().map(|name| state.rooms.get(name).map(|room| state.ends(room))).collect()))
    }

    fn trim(&self, room: RoomName, keep: Keep) -> Pending<'_, Option<Head>> {
        ready(Ok(self.state().trim(&room, &keep)))
    }

    fn erase(&self, user: UserId, alias: UserId) -> Pending<'_, Vec<RoomName>> {
        ready(Ok(self.state().erase(&user, &alias)))
    }

    fn restore(&self, room: RoomName, part: Snapshot) -> Pending<'_, Head> {
        ready(self.state().restore(&room, part, self.limit_bytes))
    }

    fn renew(&self) -> Pending<'_, ()> {
        self.state().renew();
        ready(Ok(()))
    }

    fn check(&self) -> Pending<'_, ()> {
        ready(Ok(()))
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("limit_bytes", &self.limit_bytes).finish_non_exhaustive()
    }
}

fn ready<'a, T: Send + 'a>(answer: Result<T, StoreError>) -> Pending<'a, T> {
    Box::pin(std::future::ready(answer))
}

/// Milliseconds since the Unix epoch.
fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
