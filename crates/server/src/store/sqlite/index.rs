//! The index of words. It is behind the log at times, so that storing a message stays fast: the writer
//! brings it up to date while it is idle, and before every search.
//!
//! It holds no texts, so what it knows of a message is taken out with the text that the row still has.

use rusqlite::{Connection, OptionalExtension, params};

use super::super::words;
use super::fault::Fault;
use super::row::{MESSAGE, Row};

/// Messages that are indexed in one transaction: no longer than a full group takes.
pub(super) const SLICE_ROWS: usize = 512;
/// Texts after which a slice ends, in bytes.
const SLICE_BYTES: usize = 4 << 20;
/// Ids are times with this many bits for messages of the same millisecond.
const ID_BITS: u32 = 20;
/// The time of the largest id, in milliseconds since the Unix epoch: 2109.
const LATEST: i64 = (1 << 42) - 1;
/// Begins the word that all messages of a room have. It is no letter, so no other word has it.
const ROOM_MARK: char = '\u{e000}';

const BEHIND: &str = "SELECT id, max(indexed, floor), head FROM room WHERE indexed < head LIMIT ?1";
const MESSAGES: &str =
    "SELECT seq, ts, kind, deleted, body FROM message WHERE room_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
const ADVANCE: &str = "UPDATE room SET indexed = ?2 WHERE id = ?1";
const NEWEST_ID: &str = "SELECT max(id) FROM indexed WHERE id BETWEEN ?1 AND ?2";
const NOTE: &str = "INSERT INTO indexed (id, room_id, seq) VALUES (?1, ?2, ?3)";
const ADD: &str = "INSERT INTO word (rowid, words) VALUES (?1, ?2)";
const REMOVE: &str = "INSERT INTO word (word, rowid, words) VALUES ('delete', ?1, ?2)";
const TAKE: &str = "DELETE FROM indexed WHERE room_id = ?1 AND seq = ?2 RETURNING id";

/// A message that is not in the index yet, in the order of ids.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    ts: i64,
    room_id: i64,
    seq: i64,
    words: String,
}

/// Indexes some messages; returns whether more are waiting.
pub(super) fn advance(connection: &Connection) -> Result<bool, Fault> {
    let (mut rows, mut bytes) = (SLICE_ROWS, SLICE_BYTES);
    let mut waiting = Vec::new();
    for (room_id, after, head) in behind(connection)? {
        let last = gather(connection, room_id, after, (&mut rows, &mut bytes), &mut waiting)?;
        let upto = last.unwrap_or(head);
        connection.prepare_cached(ADVANCE)?.execute([room_id, upto])?;
        if last.is_some() {
            break;
        }
    }
    // In ascending order the index takes them best.
    waiting.sort_unstable();
    for Waiting { ts, room_id, seq, words } in &waiting {
        let id = free_id(connection, *ts)?;
        connection.prepare_cached(NOTE)?.execute([id, *room_id, *seq])?;
        connection.prepare_cached(ADD)?.execute(params![id, words])?;
    }
    Ok(!behind(connection)?.is_empty())
}

fn behind(connection: &Connection) -> Result<Vec<(i64, i64, i64)>, Fault> {
    let mut select = connection.prepare_cached(BEHIND)?;
    let rooms = select.query_map([SLICE_ROWS as i64], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rooms.collect::<Result<_, _>>()?)
}

/// Reads messages of a room; returns where it stopped, if that is not the end.
fn gather(
    connection: &Connection,
    room_id: i64,
    after: i64,
    (rows, bytes): (&mut usize, &mut usize),
    waiting: &mut Vec<Waiting>,
) -> Result<Option<i64>, Fault> {
    let mut select = connection.prepare_cached(MESSAGES)?;
    let mut found = select.query(params![room_id, after, *rows as i64])?;
    while let Some(row) = found.next()? {
        let (seq, ts) = (row.get(0)?, row.get(1)?);
        let is_standing = row.get::<_, i64>(2)? == MESSAGE && row.get::<_, Option<i64>>(3)?.is_none();
        // A body that is no text is damaged; whoever reads it is told.
        if let (true, Ok(body)) = (is_standing, row.get_ref(4)?.as_str()) {
            *bytes = bytes.saturating_sub(body.len());
            waiting.push(Waiting { ts, room_id, seq, words: document(room_id, body) });
        }
        *rows -= 1;
        if *rows == 0 || *bytes == 0 {
            return Ok(Some(seq));
        }
    }
    Ok(None)
}

/// Takes a message out of the index; returns its id if it was there.
pub(super) fn take(connection: &Connection, room_id: i64, row: &Row<'_>) -> Result<Option<i64>, Fault> {
    let id = connection.prepare_cached(TAKE)?.query_row([room_id, row.seq], |row| row.get(0)).optional()?;
    if let Some(id) = id {
        connection.prepare_cached(REMOVE)?.execute(params![id, document(room_id, &row.body)])?;
    }
    Ok(id)
}

/// Puts a message back that [`take`] took out.
pub(super) fn put(connection: &Connection, room_id: i64, id: i64, row: &Row<'_>) -> Result<(), Fault> {
    connection.prepare_cached(NOTE)?.execute([id, room_id, row.seq])?;
    connection.prepare_cached(ADD)?.execute(params![id, document(room_id, &row.body)])?;
    Ok(())
}

/// Returns the word that all messages of a room have.
pub(super) fn room_word(room_id: i64) -> String {
    format!("{ROOM_MARK}{room_id}")
}

fn document(room_id: i64, body: &str) -> String {
    let mut document = room_word(room_id);
    for word in words::distinct(body) {
        document.push(' ');
        document.push_str(&word);
    }
    document
}

fn free_id(connection: &Connection, ts: i64) -> Result<i64, Fault> {
    let mut newest = connection.prepare_cached(NEWEST_ID)?;
    let mut first = ts.clamp(0, LATEST) << ID_BITS;
    loop {
        let last = first | ((1 << ID_BITS) - 1);
        match newest.query_row([first, last], |row| row.get::<_, Option<i64>>(0))? {
            None => return Ok(first),
            Some(id) if id < last => return Ok(id + 1),
            // More than a million in one millisecond, such as from an import: the next has room.
            Some(_) => first = last + 1,
        }
    }
}
