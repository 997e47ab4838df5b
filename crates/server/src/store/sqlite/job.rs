//! What is asked of the writer, and how each kind of work is done inside its transaction.

use parlour_hub::log::{Draft, Head, NewEntry, Refused, Snapshot, Stored};
use parlour_protocol::content::Content;
use parlour_protocol::{RoomName, UserId};
use rusqlite::{Connection, params};
use tokio::sync::oneshot;

use super::super::{Document, Keep, StoreError};
use super::append::{self, Witness};
use super::checksum;
use super::fault::Fault;
use super::search;
use super::upkeep;

/// Memory that a small value costs beside its bytes.
const OVERHEAD_BYTES: usize = 128;

const PUT: &str = "INSERT INTO document (key, value, checksum) VALUES (?1, ?2, ?3) \
     ON CONFLICT (key) DO UPDATE SET value = excluded.value, checksum = excluded.checksum";
const DELETE: &str = "DELETE FROM document WHERE key = ?1";
const PROBE: &str = "UPDATE probe SET count = count + 1";

/// Messages that one search makes searchable at most.
const INDEX_ROWS: i64 = 20_000;

/// What a [`Job`] came to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Done {
    /// One answer per draft.
    Appended(Vec<Result<Stored, Refused>>),
    /// The ends of the room.
    Ends(Option<Head>),
    /// The rooms that were changed.
    Rooms(Vec<RoomName>),
    /// It is done.
    Nothing,
}

/// The answer to a [`Job`].
pub(super) type Answer = Result<Done, StoreError>;

/// A piece of work, and who waits for it.
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) reply: oneshot::Sender<Answer>,
}

#[derive(Debug)]
pub(super) enum Work {
    Append(Vec<Draft>),
    Put(Vec<Document>),
    Trim(RoomName, Keep),
    Erase(UserId, UserId),
    Restore(RoomName, Snapshot),
    Renew,
    Index,
    Check,
}

/// What a transaction leaves behind for later, if it is committed.
#[derive(Debug, Default)]
pub(super) struct Aftermath {
    /// How to recognise the transaction in a reopened database.
    pub(super) witness: Option<Witness>,
    pub(super) sweeps: Vec<Sweep>,
    /// Whether somebody asked for a check.
    pub(super) checked: bool,
    /// Whether the log must be emptied, because it holds what was erased.
    pub(super) erased: bool,
}

/// Rows below the floor of a room, already invisible, that are still to be deleted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sweep {
    pub(super) room_id: i64,
    pub(super) floor: i64,
}

impl Work {
    /// The rows that the transaction grows by.
    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Append(drafts) => drafts.iter().map(|draft| draft.entries.len()).sum(),
            Self::Put(documents) => documents.len(),
            Self::Restore(_, part) => part.tail.len(),
            Self::Trim(..) | Self::Erase(..) | Self::Renew | Self::Index | Self::Check => 1,
        }
    }

    /// The memory that waits with it in the queue.
    pub(super) fn bytes(&self) -> usize {
        let variable: usize = match self {
            Self::Append(drafts) => drafts.iter().flat_map(|draft| &draft.entries).map(text_bytes).sum(),
            Self::Put(documents) => {
                documents.iter().map(|document| document.key.len() + document.value.len()).sum()
            }
            _ => 0,
        };
        variable + self.rows() * OVERHEAD_BYTES
    }

    /// Does the work inside the transaction that is open on `connection`.
    pub(super) fn run(&self, connection: &Connection, after: &mut Aftermath) -> Result<Done, Fault> {
        match self {
            Self::Append(drafts) => {
                return append::append(connection, drafts, &mut after.witness).map(Done::Appended);
            }
            Self::Trim(room, keep) => {
                let (ends, sweep) = upkeep::trim(connection, room, *keep)?;
                after.sweeps.extend(sweep);
                return Ok(Done::Ends(ends));
            }
            Self::Erase(user, alias) => {
                after.erased = true;
                return upkeep::erase(connection, user, alias).map(Done::Rooms);
            }
            Self::Restore(room, part) => {
                return upkeep::restore(connection, room, part).map(|ends| Done::Ends(Some(ends)));
            }
            Self::Renew => upkeep::renew(connection)?,
            Self::Index => search::index(connection, INDEX_ROWS)?,
            Self::Put(documents) => put(connection, documents)?,
            Self::Check => {
                after.checked = true;
                probe(connection)?;
            }
        }
        Ok(Done::Nothing)
    }
}

fn text_bytes(entry: &NewEntry) -> usize {
    match &entry.content {
        Content::Message(said) => said.text.len(),
        Content::Edit(edit) => edit.text.as_ref().map_or(0, |text| text.len()),
        _ => 0,
    }
}

/// Writes a row that means nothing.
pub(super) fn probe(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached(PROBE)?.execute(()).map(drop)
}

fn put(connection: &Connection, documents: &[Document]) -> Result<(), Fault> {
    let mut put = connection.prepare_cached(PUT)?;
    let mut delete = connection.prepare_cached(DELETE)?;
    for Document { key, value } in documents {
        if value.is_empty() {
            delete.execute([key])?;
        } else {
            put.execute(params![key, value, checksum::of_document(key, value)])?;
        }
    }
    Ok(())
}
