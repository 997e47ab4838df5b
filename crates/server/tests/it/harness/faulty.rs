//! A store that fails or waits when it is told to.

use std::sync::Arc;

use compact_str::CompactString;
use parlour_hub::log::{Draft, Head, Record, Refused, Snapshot, Stored};
use parlour_protocol::{RoomName, Seq, UserId};
use parlour_server::store::memory::MemoryStore;
use parlour_server::store::{Archive, Document, Hits, Keep, Pending, Query, Span, Store, StoreError};
use tokio::sync::watch;

/// What a [`FaultyStore`] does with requests of one sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Carries them out.
    Well,
    /// Leaves them waiting until the mood changes.
    Stuck,
    /// Refuses them.
    Failing(StoreError),
    /// Refuses the next one and carries out those behind it.
    FailingOnce(StoreError),
}

/// Keeps rooms in memory, as reliably as the test wants.
#[derive(Debug, Clone)]
pub(crate) struct FaultyStore {
    inner: Arc<MemoryStore>,
    appends: watch::Sender<Mood>,
    reads: watch::Sender<Mood>,
}

impl FaultyStore {
    pub(crate) fn new() -> Self {
        let mood = || watch::channel(Mood::Well).0;
        Self { inner: Arc::new(MemoryStore::new(64 << 20)), appends: mood(), reads: mood() }
    }

    /// Decides what happens to messages that are to be stored.
    pub(crate) fn appends(&self, mood: Mood) {
        self.appends.send_replace(mood);
    }

    /// Waits until the store holds a request that it leaves waiting.
    pub(crate) async fn stuck_append(&self) {
        while self.appends.receiver_count() == 0 {
            tokio::task::yield_now().await;
        }
    }

    /// Decides what happens to records that are asked for, after a room was opened.
    pub(crate) fn reads(&self, mood: Mood) {
        self.reads.send_replace(mood);
    }
}

/// Waits while stuck, then answers for the mood.
async fn pass(mood: &watch::Sender<Mood>) -> Result<(), StoreError> {
    let mut changes = mood.subscribe();
    let settled = changes.wait_for(|mood| *mood != Mood::Stuck).await.map(|mood| *mood);
    match settled {
        Ok(Mood::Failing(error)) => Err(error),
        Ok(Mood::FailingOnce(error)) => {
            mood.send_replace(Mood::Well);
            Err(error)
        }
        Ok(Mood::Well | Mood::Stuck) => Ok(()),
        Err(_) => Err(StoreError::Unavailable),
    }
}

impl Store for FaultyStore {
    fn open(&self, room: RoomName, tail: u32) -> Pending<'_, Option<Snapshot>> {
        self.inner.open(room, tail)
    }

    fn append(&self, batch: Vec<Draft>) -> Pending<'_, Vec<Result<Stored, Refused>>> {
        Box::pin(async move {
            pass(&self.appends).await?;
            self.inner.append(batch).await
        })
    }

    fn read(&self, room: RoomName, span: Span, limit: u32) -> Pending<'_, Vec<Record>> {
        Box::pin(async move {
            pass(&self.reads).await?;
            self.inner.read(room, span, limit).await
        })
    }

    fn find(&self, room: RoomName, sender: UserId, cid: CompactString) -> Pending<'_, Option<Stored>> {
        self.inner.find(room, sender, cid)
    }

    fn search(&self, query: Query) -> Pending<'_, Hits> {
        self.inner.search(query)
    }

    fn unread(&self, user: UserId, cursors: Vec<(RoomName, Seq)>) -> Pending<'_, Vec<u32>> {
        self.inner.unread(user, cursors)
    }

    fn put(&self, documents: Vec<Document>) -> Pending<'_, ()> {
        self.inner.put(documents)
    }

    fn documents(&self, prefix: String, limit: u32) -> Pending<'_, Vec<Document>> {
        self.inner.documents(prefix, limit)
    }
}

impl Archive for FaultyStore {
    fn rooms(&self, after: Option<RoomName>, limit: u32) -> Pending<'_, Vec<(RoomName, Head)>> {
        self.inner.rooms(after, limit)
    }

    fn heads(&self, rooms: Vec<RoomName>) -> Pending<'_, Vec<Option<Head>>> {
        self.inner.heads(rooms)
    }

    fn trim(&self, room: RoomName, keep: Keep) -> Pending<'_, Option<Head>> {
        self.inner.trim(room, keep)
    }

    fn erase(&self, user: UserId, alias: UserId) -> Pending<'_, Vec<RoomName>> {
        self.inner.erase(user, alias)
    }

    fn restore(&self, room: RoomName, part: Snapshot) -> Pending<'_, Head> {
        self.inner.restore(room, part)
    }

    fn renew(&self) -> Pending<'_, ()> {
        self.inner.renew()
    }

    fn check(&self) -> Pending<'_, ()> {
        self.inner.check()
    }
}
