//! The threads that read, each with its own connection.

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use compact_str::CompactString;
use parlour_hub::log::{Head, Record, Snapshot, Stored};
use parlour_protocol::content::{Content, Tally};
use parlour_protocol::{Epoch, RoomName, Seq, UserId, limits};
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::oneshot;

use super::super::{Document, Hits, Span, StoreError, within};
use super::append::{self, Batch, OpenRoom};
use super::checksum::{self, RoomChecksum};
use super::columns::{self, COLUMNS, Columns};
use super::fault::Fault;
use super::queue::{EndOfService, Next, Queue};
use super::schema;
use super::search;

const FIND_ROOM: &str = "SELECT id, epoch, head, floor FROM room WHERE name = ?1";
const ROOMS: &str = "SELECT name, epoch, head, floor FROM room WHERE name > ?1 ORDER BY name LIMIT ?2";
const STATE: &str = "SELECT key, value FROM state WHERE room_id = ?1";
const REACTIONS: &str = "SELECT target, emoji, sender FROM reaction WHERE room_id = ?1 \
     AND target BETWEEN ?2 AND ?3 ORDER BY target, seq";
const UNREAD: &str = "SELECT count(*) FROM message WHERE room_id = ?1 AND seq > ?2 AND kind = 0 \
     AND deleted IS NULL AND sender <> ?3";
/// From the prefix on; the end is where a key does not begin with it. `LIKE` would take `%` and `_`
/// for wildcards.
const DOCUMENTS: &str = "SELECT key, value, checksum FROM document WHERE key >= ?1 ORDER BY key \
     LIMIT ?2";

/// Who waits for the answer to a question.
pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What may be asked.
pub(super) enum Query {
    Open { room: RoomName, tail: u32, reply: Reply<Option<Snapshot>> },
    Read { room: RoomName, span: Span, limit: u32, reply: Reply<Vec<Record>> },
    Find { room: RoomName, sender: UserId, cid: CompactString, reply: Reply<Option<Stored>> },
    Search { query: super::super::Query, reply: Reply<Hits> },
    Unread { user: UserId, cursors: Vec<(RoomName, Seq)>, reply: Reply<Vec<u32>> },
    Rooms { after: Option<RoomName>, limit: u32, reply: Reply<Vec<(RoomName, Head)>> },
    Heads { rooms: Vec<RoomName>, reply: Reply<Vec<Option<Head>>> },
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

    /// The one connection of a view, which is in a transaction.
    pub(super) fn around(connection: Connection) -> Self {
        Self(vec![Mutex::new(Some(connection))])
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

fn answer(query: Query, connection: Option<&mut Connection>) {
    match query {
        Query::Open { room, tail, reply } => tell(reply, connection, |c| open(c, &room, tail)),
        Query::Read { room, span, limit, reply } => tell(reply, connection, |c| read(c, &room, span, limit)),
        Query::Find { room, sender, cid, reply } => tell(reply, connection, |c| find(c, &room, &sender, &cid)),
        Query::Search { query, reply } => tell(reply, connection, |c| search::search(c, &query)),
        Query::Unread { user, cursors, reply } => tell(reply, connection, |c| unread(c, &user, &cursors)),
        Query::Rooms { after, limit, reply } => tell(reply, connection, |c| rooms(c, after.as_ref(), limit)),
        Query::Heads { rooms, reply } => tell(reply, connection, |c| heads(c, &rooms)),
        Query::Documents { prefix, limit, reply } => tell(reply, connection, |c| documents(c, &prefix, limit)),
    }
}

/// Answers a question; a reply that nobody waits for any more is dropped.
fn tell<T>(
    reply: Reply<T>,
    connection: Option<&mut Connection>,
    question: impl FnOnce(&Connection) -> Result<T, Fault>,
) {
    drop(reply.send(ask(connection, question)));
}

/// Reads within one transaction, so that a room's ends and its records belong together. A savepoint
/// begins one, except in a view, which has one already.
fn ask<T>(
    connection: Option<&mut Connection>,
    question: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, StoreError> {
    let connection = connection.ok_or(StoreError::Unavailable)?;
    let answer = connection.savepoint().map_err(Fault::from).and_then(|tx| question(&tx));
    answer.map_err(|fault| {
        tracing::error!(error = %fault, "could not read from the database");
        fault.answer()
    })
}

/// A room's row, and what belongs to it.
struct Room {
    id: i64,
    ends: Head,
    checksum: RoomChecksum,
}

fn open(connection: &Connection, room: &RoomName, tail: u32) -> Result<Option<Snapshot>, Fault> {
    let Some(room) = find_room(connection, room)? else {
        return Ok(None);
    };
    let tail = records(connection, &room, within(Span::Before(Seq(u64::MAX)), room.ends, tail))?;
    let mut select = connection.prepare_cached(STATE)?;
    let rows = select.query_map([room.id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let state = columns::state(rows.collect::<Result<_, _>>()?)?;
    Ok(Some(Snapshot { ends: room.ends, tail, state }))
}

fn read(connection: &Connection, room: &RoomName, span: Span, limit: u32) -> Result<Vec<Record>, Fault> {
    let Some(room) = find_room(connection, room)? else {
        return Ok(Vec::new());
    };
    let numbers = within(span, room.ends, limit);
    match span {
        Span::Thread { root, .. } => thread(connection, &room, columns::number(root), numbers, limit),
        Span::After(_) | Span::Before(_) => records(connection, &room, numbers),
    }
}

fn find_room(connection: &Connection, name: &RoomName) -> Result<Option<Room>, Fault> {
    let mut find = connection.prepare_cached(FIND_ROOM)?;
    let found = find
        .query_row([name.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .optional()?;
    let Some((id, own, head, floor)) = found else {
        return Ok(None);
    };
    let own = u128::from_be_bytes(own);
    let ends = ends(own ^ append::generation(connection)?, head, floor)?;
    Ok(Some(Room { id, ends, checksum: RoomChecksum::new(name, Epoch(own)) }))
}

fn ends(epoch: u128, head: i64, floor: i64) -> Result<Head, Fault> {
    let (head, floor) = (columns::seq(head)?, columns::seq(floor)?);
    match floor > head {
        true => Err(Fault::Corrupt),
        false => Ok(Head { epoch: Epoch(epoch), head, floor }),
    }
}

/// Reads the records with these numbers; each of them must be there, and intact.
fn records(connection: &Connection, room: &Room, numbers: Range<u64>) -> Result<Vec<Record>, Fault> {
    let sql = format!("SELECT {COLUMNS} FROM message WHERE room_id = ?1 AND seq >= ?2 AND seq < ?3 ORDER BY seq");
    let mut select = connection.prepare_cached(&sql)?;
    let bound = |number| i64::try_from(number).unwrap_or(i64::MAX);
    let mut rows = select.query(params![room.id, bound(numbers.start), bound(numbers.end)])?;
    let mut records = Vec::new();
    for expected in numbers {
        let row = Columns::read(rows.next()?.ok_or(Fault::Corrupt)?, &room.checksum)?;
        if row.seq.unsigned_abs() != expected {
            return Err(Fault::Corrupt);
        }
        records.push(row.record()?);
    }
    with_reactions(connection, room, records)
}

/// Reads the messages of a thread among these numbers.
fn thread(
    connection: &Connection,
    room: &Room,
    root: i64,
    numbers: Range<u64>,
    limit: u32,
) -> Result<Vec<Record>, Fault> {
    let sql = format!(
        "SELECT {COLUMNS} FROM message WHERE room_id = ?1 AND seq >= ?2 AND thread = ?3 UNION ALL \
         SELECT {COLUMNS} FROM message WHERE room_id = ?1 AND seq >= ?2 AND seq = ?3 AND kind = 0 \
         ORDER BY seq LIMIT ?4"
    );
    let mut select = connection.prepare_cached(&sql)?;
    let start = i64::try_from(numbers.start).unwrap_or(i64::MAX);
    let mut rows = select.query(params![room.id, start, root, limit])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(Columns::read(row, &room.checksum)?.record()?);
    }
    with_reactions(connection, room, records)
}

/// Adds to messages how people react to them now.
fn with_reactions(connection: &Connection, room: &Room, mut records: Vec<Record>) -> Result<Vec<Record>, Fault> {
    let (Some(first), Some(last)) = (records.first(), records.last()) else {
        return Ok(records);
    };
    let (first, last) = (columns::number(first.seq), columns::number(last.seq));
    let mut select = connection.prepare_cached(REACTIONS)?;
    let mut rows = select.query([room.id, first, last])?;
    while let Some(row) = rows.next()? {
        let (target, emoji) = (columns::seq(row.get(0)?)?, row.get::<_, String>(1)?);
        let sender = columns::user(row.get_ref(2)?.as_str()?)?;
        let place = records.binary_search_by_key(&target, |record| record.seq);
        if let Ok(place) = place
            && let Content::Message(said) = &mut records[place].content
        {
            tally(&mut said.details.get_or_insert_default().reactions, emoji.into(), sender);
        }
    }
    Ok(records)
}

fn tally(tallies: &mut Vec<Tally>, emoji: CompactString, user: UserId) {
    match tallies.iter_mut().find(|tally| tally.emoji == emoji) {
        Some(tally) => {
            tally.count += 1;
            if tally.users.len() < limits::REACTION_USERS {
                tally.users.push(user);
            }
        }
        None => tallies.push(Tally { emoji, count: 1, users: vec![user] }),
    }
}

fn find(connection: &Connection, name: &RoomName, sender: &UserId, cid: &str) -> Result<Option<Stored>, Fault> {
    let batch = Batch::begin(connection)?;
    let Some(room) = OpenRoom::find(&batch, name)? else {
        return Ok(None);
    };
    let Some(row) = room.original(&batch, sender.as_str(), cid)? else {
        return Ok(None);
    };
    let entries = vec![append::place(&row)?];
    Ok(Some(Stored { epoch: room.epoch(), ts: row.ts, dup: true, entries }))
}

fn unread(connection: &Connection, user: &UserId, cursors: &[(RoomName, Seq)]) -> Result<Vec<u32>, Fault> {
    let mut count = connection.prepare_cached(UNREAD)?;
    let mut counts = Vec::with_capacity(cursors.len());
    for (name, cursor) in cursors {
        let room = find_room(connection, name)?;
        let unread = match room.filter(|room| room.ends.head > *cursor) {
            Some(room) => {
                let after = columns::number((*cursor).max(room.ends.floor));
                count.query_row(params![room.id, after, user.as_str()], |row| row.get(0))?
            }
            None => 0,
        };
        counts.push(unread);
    }
    Ok(counts)
}

fn rooms(connection: &Connection, after: Option<&RoomName>, limit: u32) -> Result<Vec<(RoomName, Head)>, Fault> {
    let generation = append::generation(connection)?;
    let mut select = connection.prepare_cached(ROOMS)?;
    let mut rows = select.query(params![after.map_or("", RoomName::as_str), limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let name = RoomName::parse_any(row.get_ref(0)?.as_str()?).map_err(|_| Fault::Corrupt)?;
        let own = u128::from_be_bytes(row.get(1)?);
        found.push((name, ends(own ^ generation, row.get(2)?, row.get(3)?)?));
    }
    Ok(found)
}

fn heads(connection: &Connection, rooms: &[RoomName]) -> Result<Vec<Option<Head>>, Fault> {
    rooms.iter().map(|name| Ok(find_room(connection, name)?.map(|room| room.ends))).collect()
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

fn text(bytes: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|_| Fault::Corrupt)
}
