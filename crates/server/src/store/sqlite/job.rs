//! What is asked of the writer, and how each kind of work is done inside its transaction.

use parlour_hub::log::{Draft, Stored};
use parlour_protocol::{RoomName, Seq};
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::oneshot;

use super::super::{Conflict, Document, StoreError};
use super::append::{self, Witness};
use super::checksum;
use super::fault::Fault;

/// Memory that a small value costs beside its bytes.
const OVERHEAD_BYTES: usize = 128;

const RAISE_FLOOR: &str = "UPDATE room SET floor = max(floor, min(?2, head)) WHERE name = ?1 \
     RETURNING id, floor";
const PUT: &str = "INSERT INTO document (key, value, checksum) VALUES (?1, ?2, ?3) \
     ON CONFLICT (key) DO UPDATE SET value = excluded.value, checksum = excluded.checksum";
const DELETE: &str = "DELETE FROM document WHERE key = ?1";
const PROBE: &str = "UPDATE probe SET count = count + 1";

/// The answer to a [`Job`]; only an append has one per draft.
pub(super) type Answer = Result<Vec<Result<Stored, Conflict>>, StoreError>;

/// A piece of work, and who waits for it.
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) reply: oneshot::Sender<Answer>,
}

#[derive(Debug)]
pub(super) enum Work {
    Append(Vec<Draft>),
    Trim(RoomName, Seq),
    Put(Vec<Document>),
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
            Self::Append(drafts) => drafts.len(),
            Self::Put(documents) => documents.len(),
            Self::Trim(..) | Self::Check => 1,
        }
    }

    /// The memory that waits with it in the queue.
    pub(super) fn bytes(&self) -> usize {
        let variable: usize = match self {
            Self::Append(drafts) => drafts.iter().map(|draft| draft.body.len()).sum(),
            Self::Put(documents) => {
                documents.iter().map(|document| document.key.len() + document.value.len()).sum()
            }
            Self::Trim(..) | Self::Check => 0,
        };
        variable + self.rows() * OVERHEAD_BYTES
    }

    /// Does the work inside the transaction that is open on `connection`.
    pub(super) fn run(
        &self,
        connection: &Connection,
        after: &mut Aftermath,
    ) -> Result<Vec<Result<Stored, Conflict>>, Fault> {
        match self {
            Self::Append(drafts) => return append::append(connection, drafts, &mut after.witness),
            Self::Trim(room, upto) => after.sweeps.extend(raise_floor(connection, room, *upto)?),
            Self::Put(documents) => put(connection, documents)?,
            Self::Check => {
                after.checked = true;
                probe(connection)?;
            }
        }
        Ok(Vec::new())
    }
}

/// Writes a row that means nothing.
pub(super) fn probe(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached(PROBE)?.execute(()).map(drop)
}

fn raise_floor(connection: &Connection, room: &RoomName, upto: Seq) -> Result<Option<Sweep>, Fault> {
    let upto = i64::try_from(upto.0).unwrap_or(i64::MAX);
    let mut raise = connection.prepare_cached(RAISE_FLOOR)?;
    let sweep = raise.query_row(params![room.as_str(), upto], |row| {
        Ok(Sweep { room_id: row.get(0)?, floor: row.get(1)? })
    });
    Ok(sweep.optional()?)
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
