//! The threads that read, each with its own connection.

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parlour_hub::log::{Head, Record};
use parlour_protocol::{Epoch, RoomName, Seq, UserId};
use rusqlite::{Connection, OptionalExtension, Row, params};
use tokio::sync::oneshot;

use super::super::{Document, Span, StoreError};
use super::checksum::{self, Columns, RoomChecksum};
use super::fault::Fault;
use super::queue::{EndOfService, Next, Queue};
use super::schema;

const FIND_ROOM: &str = "SELECT id, epoch, head, floor FROM room WHERE name = ?1";
const RECORDS: &str = "SELECT seq, ts, sender, cid, body, checksum FROM message \
     WHERE room_id = ?1 AND seq >= ?2 AND seq < ?3 ORDER BY seq";
/// From the prefix on; the end is where a key does not begin with it. `LIKE` would take `%` and `_`
/// for wildcards.
const DOCUMENTS: &str = "SELECT key, value, checksum FROM document WHERE key >= ?1 ORDER BY key \
     LIMIT ?2";

/// Who waits for the answer to a question.
pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What may be asked.
pub(super) enum Query {
    Open { room: RoomName, tail: u32, reply: Reply<Option<(Head, Vec<Record>)>> },
    Read { room: RoomName, span: Span, limit: u32, reply: Reply<Vec<Record>> },
    Documents { prefix: String, limit: u32, reply: Reply<Vec<Document>> },
}

/// The connections of the readers. Only the writer opens and closes them: after a failed commit
/// nobody may look at the database before it has been verified.
pub(super) struct Readers(Vec<Mutex<Option<Connection>>>);

impl Readers {
    pub(super) fn open(path: &Path, count: usize) -> rusqlite::Result<Self> {
        let readers = Self((0..count).map(|_| Mutex::new(None)).collect());
        readers.reopen(path)?;
        Ok(readers)
    }

    pub(super) fn reopen(&self, path: &Path) -> rusqlite::Result<()> {
        for index in 0..self.0.len() {
            *self.connection(index) = Some(schema::open_reader(path)?);
        }
        Ok(())
    }

    /// Closes all connections, after the reads that run. Later reads are `Unavailable`.
    pub(super) fn close(&self) {
        for index in 0..self.0.len() {
            *self.connection(index) = None;
        }
    }

    fn connection(&self, index: usize) -> MutexGuard<'_, Option<Connection>> {
        // A connection is whole after a panic too: its transaction was rolled back on the way.
        self.0[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers questions until the queue is closed.
pub(super) fn run(readers: &Arc<Readers>, index: usize, queue: &Arc<Queue<Query>>) {
    let _end = EndOfService(queue);
    while let Next::Item(query) = queue.pop() {
        answer(query, readers.connection(index).as_mut());
    }
}

/// A reply that nobody waits for any more is dropped.
fn answer(query: Query, connection: Option<&mut Connection>) {
    match query {
        Query::Open { room, tail, reply } => {
            drop(reply.send(ask(connection, |connection| open(connection, &room, tail))));
        }
        Query::Read { room, span, limit, reply } => {
            drop(reply.send(ask(connection, |connection| read(connection, &room, span, limit))));
        }
        Query::Documents { prefix, limit, reply } => {
            drop(reply.send(ask(connection, |connection| documents(connection, &prefix, limit))));
        }
    }
}

/// Reads within one transaction, so that a room's ends and its records belong together.
fn ask<T>(
    connection: Option<&mut Connection>,
    question: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, StoreError> {
    let connection = connection.ok_or(StoreError::Unavailable)?;
    let answer = connection.transaction().map_err(Fault::from).and_then(|tx| question(&tx));
    answer.map_err(|fault| {
        tracing::error!(error = %fault, "could not read from the database");
        fault.answer()
    })
}

fn open(connection: &Connection, room: &RoomName, tail: u32) -> Result<Option<(Head, Vec<Record>)>, Fault> {
    let Some((id, ends)) = find_room(connection, room)? else {
        return Ok(None);
    };
    let newest = Span::Before(Seq(u64::MAX)).within(ends, tail);
    let checksum = RoomChecksum::new(room, ends.epoch);
    Ok(Some((ends, records(connection, id, &checksum, newest)?)))
}

fn read(connection: &Connection, room: &RoomName, span: Span, limit: u32) -> Result<Vec<Record>, Fault> {
    let Some((id, ends)) = find_room(connection, room)? else {
        return Ok(Vec::new());
    };
    let checksum = RoomChecksum::new(room, ends.epoch);
    records(connection, id, &checksum, span.within(ends, limit))
}

fn find_room(connection: &Connection, room: &RoomName) -> Result<Option<(i64, Head)>, Fault> {
    let mut find = connection.prepare_cached(FIND_ROOM)?;
    let found = find
        .query_row([room.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .optional()?;
    let Some((id, epoch, head, floor)) = found else {
        return Ok(None);
    };
    let (head, floor) = (number(head)?, number(floor)?);
    if floor > head {
        return Err(Fault::Corrupt);
    }
    let epoch = Epoch(u128::from_be_bytes(epoch));
    Ok(Some((id, Head { epoch, head: Seq(head), floor: Seq(floor) })))
}

/// Reads the records with these numbers; each of them must be there, and intact.
fn records(
    connection: &Connection,
    room_id: i64,
    checksum: &RoomChecksum,
    numbers: Range<u64>,
) -> Result<Vec<Record>, Fault> {
    let mut select = connection.prepare_cached(RECORDS)?;
    let bound = |number| i64::try_from(number).unwrap_or(i64::MAX);
    let mut rows = select.query(params![room_id, bound(numbers.start), bound(numbers.end)])?;
    let mut records = Vec::new();
    for expected in numbers {
        let row = rows.next()?.ok_or(Fault::Corrupt)?;
        records.push(record(row, Seq(expected), checksum)?);
    }
    Ok(records)
}

fn record(row: &Row<'_>, expected: Seq, room: &RoomChecksum) -> Result<Record, Fault> {
    let columns = Columns {
        seq: number(row.get(0)?)?,
        ts: row.get(1)?,
        sender: row.get_ref(2)?.as_bytes()?,
        cid: row.get_ref(3)?.as_bytes_or_null()?,
        body: row.get_ref(4)?.as_bytes()?,
    };
    let checksum: i64 = row.get(5)?;
    if columns.seq != expected.0 || checksum != room.of(&columns) {
        return Err(Fault::Corrupt);
    }
    Ok(Record {
        seq: expected,
        sender: UserId::parse(text(columns.sender)?).map_err(|_| Fault::Corrupt)?,
        cid: columns.cid.map(text).transpose()?.map(Into::into),
        body: text(columns.body)?.into(),
        ts: columns.ts,
    })
}

fn documents(connection: &Connection, prefix: &str, limit: u32) -> Result<Vec<Document>, Fault> {
    let mut select = connection.prepare_cached(DOCUMENTS)?;
    let mut rows = select.query(params![prefix, limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let key = text(row.get_ref(0)?.as_bytes()?)?;
        if !key.starts_with(prefix) {
            break;
        }
        let value = row.get_ref(1)?.as_bytes()?;
        if row.get::<_, i64>(2)? != checksum::of_document(key, value) {
            return Err(Fault::Corrupt);
        }
        found.push(Document { key: key.to_owned(), value: value.to_vec() });
    }
    Ok(found)
}

fn number(column: i64) -> Result<u64, Fault> {
    u64::try_from(column).map_err(|_| Fault::Corrupt)
}

fn text(bytes: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|_| Fault::Corrupt)
}
