//! Where rooms are kept. A store orders; it assigns positions inside the commit.
//!
//! Every implementation passes the contract suite in `tests/it/store.rs`. Only this module's children
//! know SQL.

use std::fmt;
use std::ops::Range;
use std::pin::Pin;

pub use parlour_hub::effect::Document;
use parlour_hub::log::{Draft, Head, Record, Stored};
use parlour_protocol::{RoomName, Seq};

pub mod memory;
#[cfg(feature = "sqlite")]
pub mod sqlite;

/// The answer of a store, when it comes.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// A log per room, and small documents.
///
/// All methods may be called from any thread and run side by side; dropping a future does not undo
/// what it asked for.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Reads the ends of a room's log and its last `tail` records, oldest first.
    ///
    /// `None` for a room that was never written; asking creates nothing.
    fn open(&self, room: RoomName, tail: u32) -> Pending<'_, Option<(Head, Vec<Record>)>>;

    /// Stores drafts in one durable transaction, in their order, with consecutive numbers per room.
    ///
    /// Answers once per draft, in order. The outer error means that nothing was stored, except for
    /// [`StoreError::Indeterminate`], which means that nobody knows. After `Ok` the drafts that were
    /// stored survive the loss of power.
    ///
    /// A cid is remembered at least as long as its record is kept. A record that has the cid but is
    /// damaged is a [`Conflict`].
    fn append(&self, batch: Vec<Draft>) -> Pending<'_, Vec<Result<Stored, Conflict>>>;

    /// Reads at most `limit` records of `span`, without holes: the oldest of them, or the newest.
    ///
    /// Records come oldest first in both cases.
    fn read(&self, room: RoomName, span: Span, limit: u32) -> Pending<'_, Vec<Record>>;

    /// Forgets the records of a room up to and including `upto`, and raises its floor.
    fn trim(&self, room: RoomName, upto: Seq) -> Pending<'_, ()>;

    /// Writes documents; an empty value deletes. Durable like [`Store::append`].
    fn put(&self, documents: Vec<Document>) -> Pending<'_, ()>;

    /// Reads at most `limit` documents whose key starts with `prefix`, in the order of their keys.
    fn documents(&self, prefix: String, limit: u32) -> Pending<'_, Vec<Document>>;

    /// Checks that the store can commit now, and flushes what it holds back.
    fn check(&self) -> Pending<'_, ()>;
}

/// Which records to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// Newer than this one, oldest first.
    After(Seq),
    /// Older than this one, the newest of them.
    Before(Seq),
}

impl Span {
    /// Returns the numbers of the records that a read of at most `limit` answers with, in a log
    /// with these ends.
    #[must_use]
    pub fn within(self, ends: Head, limit: u32) -> Range<u64> {
        let oldest = ends.floor.0.saturating_add(1);
        let end = ends.head.0.saturating_add(1).max(oldest);
        match self {
            Self::After(seq) => {
                let start = seq.0.saturating_add(1).clamp(oldest, end);
                start..end.min(start.saturating_add(limit.into()))
            }
            Self::Before(seq) => {
                let end = seq.0.clamp(oldest, end);
                end.saturating_sub(limit.into()).max(oldest)..end
            }
        }
    }
}

/// The cid of a draft was used for another message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cid was used for another message")]
pub struct Conflict;

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
