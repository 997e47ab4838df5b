//! The embedded store: one SQLite file, one thread that writes, two that read.
//!
//! Every acknowledged record is on the disk (`synchronous = FULL`); the cost of that is shared by
//! all that wait for the same commit. The directory belongs to one process at a time.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use compact_str::CompactString;
use parlour_hub::log::{Draft, Head, Record, Refused, Snapshot, Stored};
use parlour_protocol::{RoomName, Seq, UserId};
use rusqlite::Connection;

use super::{Archive, Document, Hits, Keep, Pending, Query, Span, Store, StoreError};
use fault::Fault;
use job::{Aftermath, Job};
pub use open::OpenError;
use open::{create, own, watch_lineage};
use queue::{Bounds, Queue};
use readers::{Question, Readers};
use writer::Writer;

mod append;
mod change;
mod checksum;
mod cids;
mod fault;
mod index;
mod job;
mod mark;
mod open;
mod queue;
mod reader;
mod readers;
mod room;
mod row;
mod schema;
mod search;
mod state;
mod upkeep;
mod writer;

/// The database, inside the data directory. SQLite puts `-wal` and `-shm` beside it.
const DATABASE: &str = "parlour.db";
/// One read of 50 records takes some 20 µs: two threads are for the slow ones.
const READERS: usize = 2;

/// The bounds of a [`SqliteStore`].
#[derive(Debug, Clone)]
pub struct Options {
    /// Most requests that wait for the writer, and most that wait for the readers. Default 1,000.
    pub queue_count: usize,
    /// Most bytes that wait for the writer. Default 16 MiB.
    pub queue_bytes: usize,
    /// Largest database file in bytes, without the write-ahead log (up to 64 MiB more); beyond it
    /// writes answer [`StoreError::Full`]. Default: as large as the disk.
    pub max_bytes: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self { queue_count: 1_000, queue_bytes: 16 << 20, max_bytes: None }
    }
}

/// A [`Store`] in one SQLite file.
///
/// Dropping it waits until all that was asked for is answered, and closes the database in order.
pub struct SqliteStore {
    path: PathBuf,
    writes: Arc<Queue<Job>>,
    reads: Arc<Queue<Question>>,
    writer: Option<JoinHandle<()>>,
    readers: Vec<JoinHandle<()>>,
    /// Released last, when nobody touches the file any more; a view has none.
    _lock: Option<File>,
}

impl SqliteStore {
    /// Opens or creates `parlour.db` in `dir`, with the default [`Options`].
    ///
    /// Blocks while it reads the log of a process that was killed.
    ///
    /// # Errors
    /// Any [`OpenError`]; each names the path and the remedy.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        Self::open_with(dir, &Options::default())
    }

    /// Opens or creates `parlour.db` in `dir`.
    ///
    /// # Errors
    /// Any [`OpenError`]; each names the path and the remedy.
    pub fn open_with(dir: &Path, options: &Options) -> Result<Self, OpenError> {
        let lock = own(dir)?;
        let path = dir.join(DATABASE);
        create(&path).map_err(|source| OpenError::Directory { path: path.clone(), source })?;
        let connection = schema::open_writer(&path, options.max_bytes)?;
        watch_lineage(&connection, dir)?;
        let connections = Readers::open(&path, READERS)
            .map_err(|source| OpenError::Sqlite { path: path.clone(), source })?;
        let connections = Arc::new(connections);
        let bounds = Bounds { count: options.queue_count, bytes: options.queue_bytes };
        let mut store = Self {
            writes: Arc::new(Queue::new(bounds)),
            reads: Arc::new(Queue::new(bounds)),
            writer: None,
            readers: Vec::new(),
            _lock: Some(lock),
            path,
        };
        store.start_readers(&connections, READERS)?;
        let queue = Arc::clone(&store.writes);
        let writer = Writer::new(store.path.clone(), options.max_bytes, queue, connections, connection);
        store.writer = Some(spawn("parlour-write", || writer.run())?);
        Ok(store)
    }

    /// Opens a view of the database as it is now, beside a process that goes on writing to it.
    ///
    /// Writes answer [`StoreError::Unavailable`]. While the view is open the write-ahead log grows.
    ///
    /// # Errors
    /// [`OpenError::Sqlite`], also if there is no database, [`OpenError::NewerSchema`] and
    /// [`OpenError::OlderSchema`].
    pub fn open_read_only(dir: &Path) -> Result<Self, OpenError> {
        let path = dir.join(DATABASE);
        let connections = Readers::around(schema::open_view(&path)?);
        let Options { queue_count: count, queue_bytes: bytes, .. } = Options::default();
        let mut store = Self {
            writes: Arc::new(Queue::new(Bounds { count, bytes })),
            reads: Arc::new(Queue::new(Bounds { count, bytes })),
            writer: None,
            readers: Vec::new(),
            _lock: None,
            path,
        };
        store.writes.close();
        store.start_readers(&Arc::new(connections), 1)?;
        Ok(store)
    }

    fn start_readers(&mut self, connections: &Arc<Readers>, count: usize) -> Result<(), OpenError> {
        for index in 0..count {
            let (connections, queue) = (Arc::clone(connections), Arc::clone(&self.reads));
            let run = move || readers::run(&connections, index, &queue);
            self.readers.push(spawn("parlour-read", run)?);
        }
        Ok(())
    }

    /// Asks the writer for work of so many rows and bytes. It is in the queue when this returns,
    /// whoever drops the future.
    fn write<T: Send + 'static>(
        &self,
        size: (usize, usize),
        work: impl FnMut(&Connection, &mut Aftermath) -> Result<T, Fault> + Send + 'static,
    ) -> Pending<'_, T> {
        let (job, answer) = Job::new(size, work);
        let bytes = job.bytes;
        let queued = self.writes.push(job, bytes);
        Box::pin(async move {
            queued.map_err(|_| StoreError::Unavailable)?;
            // The writer ended without an answer: it may have been in the middle of a commit.
            answer.await.unwrap_or(Err(StoreError::Indeterminate))
        })
    }

    fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Pending<'_, T> {
        let (question, answer) = readers::question(ask);
        let queued = self.reads.push(question, 0);
        Box::pin(async move {
            queued.map_err(|_| StoreError::Unavailable)?;
            answer.await.unwrap_or(Err(StoreError::Unavailable))
        })
    }

    /// Lets all messages be found that were stored before. A full disk leaves some out.
    async fn index(&self) -> Result<(), StoreError> {
        loop {
            match self.write((index::SLICE_ROWS, 0), |connection, _| index::advance(connection)).await {
                Ok(true) => {}
                Ok(false) | Err(StoreError::Full) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

impl Store for SqliteStore {
    fn open(&self, room: RoomName, tail: u32) -> Pending<'_, Option<Snapshot>> {
        self.ask(move |connection| reader::open(connection, &room, tail))
    }

    fn append(&self, batch: Vec<Draft>) -> Pending<'_, Vec<Result<Stored, Refused>>> {
        self.write(job::size_of(&batch), move |connection, after| append::append(connection, &batch, after))
    }

    fn read(&self, room: RoomName, span: Span, limit: u32) -> Pending<'_, Vec<Record>> {
        self.ask(move |connection| reader::read(connection, &room, span, limit))
    }

    fn find(&self, room: RoomName, sender: UserId, cid: CompactString) -> Pending<'_, Option<Stored>> {
        self.ask(move |connection| reader::find(connection, &room, &sender, &cid))
    }

    fn search(&self, query: Query) -> Pending<'_, Hits> {
        Box::pin(async move {
            self.index().await?;
            self.ask(move |connection| search::search(connection, &query)).await
        })
    }

    fn unread(&self, user: UserId, cursors: Vec<(RoomName, Seq)>) -> Pending<'_, Vec<u32>> {
        self.ask(move |connection| reader::unread(connection, &user, &cursors))
    }

    fn put(&self, documents: Vec<Document>) -> Pending<'_, ()> {
        let bytes = documents.iter().map(|document| document.key.len() + document.value.len()).sum();
        self.write((documents.len(), bytes), move |connection, _| job::put(connection, &documents))
    }

    fn documents(&self, prefix: String, limit: u32) -> Pending<'_, Vec<Document>> {
        self.ask(move |connection| reader::documents(connection, &prefix, limit))
    }
}

impl Archive for SqliteStore {
    fn rooms(&self, after: Option<RoomName>, limit: u32) -> Pending<'_, Vec<(RoomName, Head)>> {
        self.ask(move |connection| reader::rooms(connection, after.as_ref(), limit))
    }

    fn heads(&self, rooms: Vec<RoomName>) -> Pending<'_, Vec<Option<Head>>> {
        self.ask(move |connection| reader::heads(connection, &rooms))
    }

    fn trim(&self, room: RoomName, keep: Keep) -> Pending<'_, Option<Head>> {
        let name = room.clone();
        // A reader finds out what is to go: no commit waits for that.
        let excess = self.ask(move |connection| reader::excess(connection, &name, &keep));
        Box::pin(async move {
            let Some(upto) = excess.await? else { return Ok(None) };
            self.write((1, 0), move |connection, after| upkeep::trim(connection, &room, upto, after)).await
        })
    }

    fn erase(&self, user: UserId, alias: UserId) -> Pending<'_, Vec<RoomName>> {
        let whose = user.clone();
        let rooms = self.ask(move |connection| reader::rooms_of(connection, &whose));
        Box::pin(async move {
            let mut touched = BTreeSet::new();
            for room in rooms.await? {
                let (name, user, alias) = (room.clone(), user.clone(), alias.clone());
                let erase = move |connection: &Connection, after: &mut Aftermath| {
                    upkeep::erase(connection, &name, &user, &alias, after)
                };
                // As many rows as make it a transaction of its own.
                if self.write((writer::GROUP_ROWS, 0), erase).await? {
                    touched.insert(room);
                }
            }
            let erase = move |connection: &Connection, after: &mut Aftermath| {
                upkeep::erase_documents(connection, &user, after)
            };
            touched.extend(self.write((writer::GROUP_ROWS, 0), erase).await?);
            // The write-ahead log still holds what was erased.
            self.check().await?;
            Ok(touched.into_iter().collect())
        })
    }

    fn restore(&self, room: RoomName, part: Snapshot) -> Pending<'_, Head> {
        let rows = part.tail.len();
        self.write((rows, 0), move |connection, after| upkeep::restore(connection, &room, &part, after))
    }

    fn renew(&self) -> Pending<'_, ()> {
        self.write((1, 0), |connection, _| Ok(upkeep::renew(connection)?))
    }

    fn check(&self) -> Pending<'_, ()> {
        self.write((1, 0), |connection, after| {
            after.checked = true;
            Ok(job::probe(connection)?)
        })
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.reads.close();
        for reader in self.readers.drain(..) {
            join(reader);
        }
        self.writes.close();
        if let Some(writer) = self.writer.take() {
            join(writer);
        }
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, OpenError> {
    thread::Builder::new().name(name.to_owned()).spawn(run).map_err(OpenError::Thread)
}

fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        tracing::error!("a thread of the database ended by a panic");
    }
}
