//! The embedded store: one SQLite file, one thread that writes, two that read.
//!
//! Every acknowledged record is on the disk (`synchronous = FULL`); the cost of that is shared by
//! all that wait for the same commit. The directory belongs to one process at a time.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use compact_str::CompactString;
use parlour_hub::log::{Draft, Head, Record, Refused, Snapshot, Stored};
use parlour_protocol::{RoomName, Seq, UserId};
use tokio::sync::oneshot;

use super::{Archive, Document, Hits, Keep, Pending, Span, Store, StoreError};
use job::{Done, Job, Work};
pub use mark::MarkError;
use queue::{Bounds, Queue};
use reader::{Query, Readers, Reply};
use writer::Writer;

mod append;
mod change;
mod checksum;
mod columns;
mod fault;
mod job;
mod mark;
mod queue;
mod reader;
mod schema;
mod search;
mod upkeep;
mod writer;

/// The database, inside the data directory. SQLite puts `-wal` and `-shm` beside it.
const DATABASE: &str = "parlour.db";
/// Locked by the process that owns the directory. The file stays; only the lock counts.
const LOCK: &str = "parlour.lock";
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

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory or one of its files cannot be created or opened.
    #[error("cannot use {path}: {source}; the data directory must exist or be creatable, and be writable")]
    Directory {
        /// The directory or the file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// Another process owns the directory.
    #[error("{path} is locked by another process; stop that one, or choose another data directory")]
    Locked {
        /// The file that is locked.
        path: PathBuf,
    },
    /// SQLite cannot open, migrate or verify the database.
    #[error("cannot use the database {path}: {source}; if it is damaged, restore a backup")]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// Commits would not survive the loss of power.
    #[error(
        "commits to {path} are not durable (journal_mode={mode}, synchronous={synchronous}); put \
         the data directory on a local disk"
    )]
    NotDurable {
        /// The database.
        path: PathBuf,
        /// `PRAGMA journal_mode`, which must be `wal`.
        mode: String,
        /// `PRAGMA synchronous`, which must be at least 2.
        synchronous: i64,
    },
    /// An older program has written the database, and only a server may change it.
    #[error("{path} was written by an older program; start the server once, which brings it up to date")]
    OlderSchema {
        /// The database.
        path: PathBuf,
    },
    /// A newer program has written the database.
    #[error(
        "{path} has schema {found}, and this program knows up to {known}; start the newer program, \
         or restore a backup from before the upgrade"
    )]
    NewerSchema {
        /// The database.
        path: PathBuf,
        /// The version in the database.
        found: u32,
        /// The newest version that this program knows.
        known: u32,
    },
    /// It cannot be found out whether the database is an older copy.
    #[error("cannot compare {path} with the file parlour.mark beside it: {source}")]
    Mark {
        /// The database.
        path: PathBuf,
        /// What went wrong.
        source: MarkError,
    },
    /// The operating system refused a thread.
    #[error("cannot start a thread for the database: {0}")]
    Thread(io::Error),
}

/// A [`Store`] in one SQLite file.
///
/// Dropping it waits until all that was asked for is answered, and closes the database in order.
pub struct SqliteStore {
    path: PathBuf,
    writes: Arc<Queue<Job>>,
    reads: Arc<Queue<Query>>,
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
        mark::compare(&connection, dir).map_err(|source| OpenError::Mark { path: path.clone(), source })?;
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
            let run = move || reader::run(&connections, index, &queue);
            self.readers.push(spawn("parlour-read", run)?);
        }
        Ok(())
    }

    /// Asks the writer. The work is in the queue when this returns, whoever drops the future.
    fn write(&self, work: Work) -> Pending<'_, Done> {
        let (reply, answer) = oneshot::channel();
        let bytes = work.bytes();
        let queued = self.writes.push(Job { work, reply }, bytes);
        Box::pin(async move {
            queued.map_err(|_| StoreError::Unavailable)?;
            // The writer ended without an answer: it may have been in the middle of a commit.
            answer.await.unwrap_or(Err(StoreError::Indeterminate))
        })
    }

    /// Asks the writer for work that has no answer but that it is done.
    fn finish(&self, work: Work) -> Pending<'_, ()> {
        let done = self.write(work);
        Box::pin(async { done.await.map(drop) })
    }

    fn ask<T: Send + 'static>(&self, query: impl FnOnce(Reply<T>) -> Query) -> Pending<'_, T> {
        let (reply, answer) = oneshot::channel();
        let queued = self.reads.push(query(reply), 0);
        Box::pin(async move {
            queued.map_err(|_| StoreError::Unavailable)?;
            answer.await.unwrap_or(Err(StoreError::Unavailable))
        })
    }
}

impl Store for SqliteStore {
    fn open(&self, room: RoomName, tail: u32) -> Pending<'_, Option<Snapshot>> {
        self.ask(|reply| Query::Open { room, tail, reply })
    }

    fn append(&self, batch: Vec<Draft>) -> Pending<'_, Vec<Result<Stored, Refused>>> {
        let done = self.write(Work::Append(batch));
        Box::pin(async {
            match done.await? {
                Done::Appended(answers) => Ok(answers),
                _ => Err(StoreError::Indeterminate),
            }
        })
    }

    fn read(&self, room: RoomName, span: Span, limit: u32) -> Pending<'_, Vec<Record>> {
        self.ask(|reply| Query::Read { room, span, limit, reply })
    }

    fn find(&self, room: RoomName, sender: UserId, cid: CompactString) -> Pending<'_, Option<Stored>> {
        self.ask(|reply| Query::Find { room, sender, cid, reply })
    }

    fn search(&self, query: super::Query) -> Pending<'_, Hits> {
        let indexed = self.write(Work::Index);
        Box::pin(async move {
            indexed.await?;
            self.ask(|reply| Query::Search { query, reply }).await
        })
    }

    fn unread(&self, user: UserId, cursors: Vec<(RoomName, Seq)>) -> Pending<'_, Vec<u32>> {
        self.ask(|reply| Query::Unread { user, cursors, reply })
    }

    fn put(&self, documents: Vec<Document>) -> Pending<'_, ()> {
        self.finish(Work::Put(documents))
    }

    fn documents(&self, prefix: String, limit: u32) -> Pending<'_, Vec<Document>> {
        self.ask(|reply| Query::Documents { prefix, limit, reply })
    }
}

impl Archive for SqliteStore {
    fn rooms(&self, after: Option<RoomName>, limit: u32) -> Pending<'_, Vec<(RoomName, Head)>> {
        self.ask(|reply| Query::Rooms { after, limit, reply })
    }

    fn heads(&self, rooms: Vec<RoomName>) -> Pending<'_, Vec<Option<Head>>> {
        self.ask(|reply| Query::Heads { rooms, reply })
    }

    fn trim(&self, room: RoomName, keep: Keep) -> Pending<'_, Option<Head>> {
        let done = self.write(Work::Trim(room, keep));
        Box::pin(async {
            match done.await? {
                Done::Ends(ends) => Ok(ends),
                _ => Err(StoreError::Indeterminate),
            }
        })
    }

    fn erase(&self, user: UserId, alias: UserId) -> Pending<'_, Vec<RoomName>> {
        let done = self.write(Work::Erase(user, alias));
        Box::pin(async {
            match done.await? {
                Done::Rooms(rooms) => Ok(rooms),
                _ => Err(StoreError::Indeterminate),
            }
        })
    }

    fn restore(&self, room: RoomName, part: Snapshot) -> Pending<'_, Head> {
        let done = self.write(Work::Restore(room, part));
        Box::pin(async {
            match done.await? {
                Done::Ends(Some(ends)) => Ok(ends),
                _ => Err(StoreError::Indeterminate),
            }
        })
    }

    fn renew(&self) -> Pending<'_, ()> {
        self.finish(Work::Renew)
    }

    fn check(&self) -> Pending<'_, ()> {
        self.finish(Work::Check)
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

/// Creates the directory and takes its lock, which the process holds while the file is open.
fn own(dir: &Path) -> Result<File, OpenError> {
    create_dir(dir).map_err(|source| OpenError::Directory { path: dir.to_owned(), source })?;
    let path = dir.join(LOCK);
    match create(&path).map(|file| (file.try_lock(), file)) {
        Ok((Ok(()), file)) => Ok(file),
        Ok((Err(TryLockError::WouldBlock), _)) => Err(OpenError::Locked { path }),
        Ok((Err(TryLockError::Error(source)), _)) | Err(source) => Err(OpenError::Directory { path, source }),
    }
}

/// Creates the directory so that it survives the loss of power, as far as its parents may be opened.
/// SQLite does the same for the files in it.
fn create_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir)?;
    for parent in dir.canonicalize()?.ancestors().skip(1) {
        File::open(parent).and_then(|parent| parent.sync_all()).unwrap_or_default();
    }
    Ok(())
}

/// Opens a file that only its owner may read; SQLite gives its own files the same mode.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, OpenError> {
    thread::Builder::new().name(name.to_owned()).spawn(run).map_err(OpenError::Thread)
}

fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        tracing::error!("a thread of the database ended by a panic");
    }
}
