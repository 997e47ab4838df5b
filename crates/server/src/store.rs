//! Where rooms are kept. A store orders; it assigns positions inside the commit.
//!
//! Every implementation passes the contract suite in `tests/it/store.rs`. Only this module's children
//! know SQL.

use std::fmt;
use std::ops::Range;
use std::pin::Pin;

use compact_str::CompactString;
pub use parlour_hub::effect::Document;
pub use parlour_hub::log::{Draft, Guard, NewEntry, Refused, Snapshot, Span};
use parlour_hub::log::{Head, Record, Stored};
use parlour_hub::scope::Scope;
use parlour_protocol::event::Hit;
use parlour_protocol::{RoomName, Seq, UserId};

pub mod memory;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "sqlite")]
pub mod sqlite;

mod digest;
mod erasure;
mod sanction;
mod words;

/// How long a cid is remembered after its record was trimmed (P6).
const CID_MEMORY_MS: i64 = 30 * 24 * 3_600 * 1_000;

/// The answer of a store, when it comes.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// What rooms need: a log per room, and small documents.
///
/// All methods may be called from any thread and run side by side; dropping a future does not undo
/// what it asked for.
pub trait Store: Archive {
    /// Reads the ends of a room's log, what its entries have made of it, and its last `tail`
    /// records, oldest first.
    ///
    /// `None` for a room that was never written; asking creates nothing.
    fn open(&self, room: RoomName, tail: u32) -> Pending<'_, Option<Snapshot>>;

    /// Stores drafts in one durable transaction, in their order, with consecutive numbers per room.
    ///
    /// Answers once per draft, in order; a draft is stored as a whole or refused as a whole. The
    /// outer error means that nothing was stored, except for [`StoreError::Indeterminate`], which
    /// means that nobody knows. After `Ok` the drafts that were stored survive the loss of power.
    ///
    /// A cid is remembered as long as its record is kept, and 30 days after that was trimmed. What
    /// was first said under it decides, whatever became of it later.
    fn append(&self, batch: Vec<Draft>) -> Pending<'_, Vec<Result<Stored, Refused>>>;

    /// Reads at most `limit` records of `span`, without holes: the oldest of them, or the newest.
    ///
    /// Records come oldest first in both cases; messages as they are now, with their reactions.
    fn read(&self, room: RoomName, span: Span, limit: u32) -> Pending<'_, Vec<Record>>;

    /// Finds where a sender's cid is stored.
    fn find(&self, room: RoomName, sender: UserId, cid: CompactString) -> Pending<'_, Option<Stored>>;

    /// Looks for words in messages, newest first.
    fn search(&self, query: Query) -> Pending<'_, Hits>;

    /// Counts the messages after each cursor that are not the user's own nor deleted.
    fn unread(&self, user: UserId, cursors: Vec<(RoomName, Seq)>) -> Pending<'_, Vec<u32>>;

    /// Writes documents; an empty value deletes. Durable like [`Store::append`].
    fn put(&self, documents: Vec<Document>) -> Pending<'_, ()>;

    /// Reads at most `limit` documents whose key starts with `prefix`, in the order of their keys.
    fn documents(&self, prefix: String, limit: u32) -> Pending<'_, Vec<Document>>;
}

/// The upkeep of a store: retention, erasure, export and import, health.
pub trait Archive: fmt::Debug + Send + Sync + 'static {
    /// Lists at most `limit` rooms whose names come after `after`, in the byte order of names.
    fn rooms(&self, after: Option<RoomName>, limit: u32) -> Pending<'_, Vec<(RoomName, Head)>>;

    /// Reads the ends of rooms, in the order of the question; `None` for those never written.
    fn heads(&self, rooms: Vec<RoomName>) -> Pending<'_, Vec<Option<Head>>>;

    /// Whether other processes write to the same database.
    fn is_shared(&self) -> bool {
        false
    }

    /// Forgets the oldest records of a room that are beyond what is to be kept, raises its floor
    /// and returns its ends; `None` for a room that was never written.
    fn trim(&self, room: RoomName, keep: Keep) -> Pending<'_, Option<Head>>;

    /// Erases all that a user has said, physically, and puts `alias` in the place of the name.
    ///
    /// Returns the rooms in which something was erased.
    fn erase(&self, user: UserId, alias: UserId) -> Pending<'_, Vec<RoomName>>;

    /// Stores a part of an export: records under their own numbers, exactly as they are, which
    /// follow the room's newest record or begin an empty room after `ends.floor`; records that are
    /// there already are skipped. `state` replaces what the room has; the rest of `ends` is ignored.
    fn restore(&self, room: RoomName, part: Snapshot) -> Pending<'_, Head>;

    /// Gives every room a new epoch: its history may have been rewound (P10).
    ///
    /// Also deletes the document that the epochs of rooms without a log follow from.
    fn renew(&self) -> Pending<'_, ()>;

    /// Checks that the store can commit now, and flushes what it holds back.
    fn check(&self) -> Pending<'_, ()>;
}

/// What retention leaves; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keep {
    /// Records since this time, in milliseconds since the Unix epoch.
    pub since_ms: Option<i64>,
    /// The newest so many records.
    pub records: Option<u64>,
    /// The newest records of together so many bytes of text.
    pub bytes: Option<u64>,
    /// Records after this one.
    pub after: Option<Seq>,
}

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Who asks: rooms whose history this user may not see are left out.
    pub user: UserId,
    /// What beside the log decides about that.
    pub scope: Scope,
    /// Only in this room.
    pub room: Option<RoomName>,
    /// Words, separated by anything that is not a letter or digit; all must occur.
    pub words: CompactString,
    /// Where the page before ended: [`Hits::next`].
    pub before: Option<CompactString>,
    /// Most messages.
    pub limit: u32,
}

/// A page of messages that were found, newest first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Hits {
    /// The messages.
    pub hits: Vec<Hit>,
    /// Where the next page begins, if there may be one.
    pub next: Option<CompactString>,
}

/// Returns the numbers of the records that a read of at most `limit` answers with, in a log with
/// these ends; of a thread, the numbers among which its messages are.
#[must_use]
pub fn within(span: Span, ends: Head, limit: u32) -> Range<u64> {
    let oldest = ends.floor.0.saturating_add(1);
    let end = ends.head.0.saturating_add(1).max(oldest);
    match span {
        Span::After(seq) => {
            let start = seq.0.saturating_add(1).clamp(oldest, end);
            start..end.min(start.saturating_add(limit.into()))
        }
        Span::Before(seq) => {
            let end = seq.0.clamp(oldest, end);
            end.saturating_sub(limit.into()).max(oldest)..end
        }
        Span::Thread { root, after } => root.0.max(after.0.saturating_add(1)).clamp(oldest, end)..end,
    }
}

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The database does not answer, or its queue is full. Nothing was stored.
    #[error("the store does not answer")]
    Unavailable,
    /// There is no space left. Nothing was stored.
    #[error("the disk is full")]
    Full,
    /// The outcome of the commit is not known.
    #[error("the outcome of the commit is not known")]
    Indeterminate,
    /// A row does not match its checksum.
    #[error("a row does not match its checksum")]
    Corrupt,
}
