//! The search index: kept behind the messages by the writer, and brought up to date before it is
//! asked.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

use compact_str::ToCompactString as _;
use parlour_protocol::event::Hit;
use parlour_protocol::{Epoch, RoomName};
use rusqlite::{Connection, OptionalExtension, params};

use super::super::words::{distinct, snippet};
use super::super::{Hits, Query};
use super::checksum::RoomChecksum;
use super::columns::{COLUMNS, Columns, seq, user};
use super::fault::Fault;

const ARRIVAL: &str = "SELECT m.arrival FROM message m, lineage \
     WHERE m.room_id = ?1 AND m.seq = ?2 AND m.arrival <= lineage.indexed";
const REMOVE: &str = "INSERT INTO words (words, rowid, text) VALUES ('delete', ?1, ?2)";
const ADD: &str = "INSERT INTO words (rowid, text) VALUES (?1, ?2)";
const NEW: &str = "SELECT a.id, m.body, m.deleted IS NULL FROM arrival a \
     LEFT JOIN message m ON m.room_id = a.room_id AND m.seq = a.seq \
     WHERE a.id > (SELECT indexed FROM lineage) ORDER BY a.id LIMIT ?1";
const NOTE: &str = "UPDATE lineage SET indexed = ?1";
const WAITING: &str = "SELECT (SELECT coalesce(max(id), 0) FROM arrival) > indexed FROM lineage";
const MATCHES: &str = "SELECT a.id, a.room_id, a.seq FROM words w JOIN arrival a ON a.id = w.rowid \
     WHERE w.text MATCH ?1 AND w.rowid < ?2 ORDER BY w.rowid DESC";
const ROOM: &str = "SELECT name, epoch, floor, \
     EXISTS (SELECT 1 FROM state WHERE room_id = room.id AND key = 'private' AND value = 'true') \
     AND NOT EXISTS (SELECT 1 FROM state WHERE room_id = room.id AND key = 'role:' || ?2) \
     FROM room WHERE id = ?1";

/// Takes a text out of the index, because it is about to go or to change.
pub(super) fn forget(connection: &Connection, room_id: i64, row: &Columns) -> Result<(), Fault> {
    if let Some(arrival) = indexed(connection, room_id, row)? {
        connection.prepare_cached(REMOVE)?.execute(params![arrival, row.body])?;
    }
    Ok(())
}

/// Puts the new text of a message into the index.
pub(super) fn renew(connection: &Connection, room_id: i64, row: &Columns) -> Result<(), Fault> {
    if let Some(arrival) = indexed(connection, room_id, row)? {
        connection.prepare_cached(ADD)?.execute(params![arrival, row.body])?;
    }
    Ok(())
}

/// Returns the place of a message in the index, if it is there.
fn indexed(connection: &Connection, room_id: i64, row: &Columns) -> Result<Option<i64>, Fault> {
    let mut find = connection.prepare_cached(ARRIVAL)?;
    let found = find.query_row([room_id, row.seq], |row| row.get(0)).optional()?;
    Ok(found.filter(|_| row.deleted.is_none()))
}

/// Whether messages wait to be indexed.
pub(super) fn is_behind(connection: &Connection) -> rusqlite::Result<bool> {
    connection.prepare_cached(WAITING)?.query_row((), |row| row.get(0))
}

/// Indexes at most `limit` messages that have come since the last time.
pub(super) fn index(connection: &Connection, limit: i64) -> Result<(), Fault> {
    let mut new = connection.prepare_cached(NEW)?;
    let mut rows = new.query([limit])?;
    let mut add = connection.prepare_cached(ADD)?;
    let mut last = None;
    while let Some(row) = rows.next()? {
        let (arrival, text): (i64, Option<String>) = (row.get(0)?, row.get(1)?);
        last = Some(arrival);
        if let Some(text) = text.filter(|_| row.get(2) == Ok(true)) {
            add.execute(params![arrival, text])?;
        }
    }
    if let Some(last) = last {
        connection.prepare_cached(NOTE)?.execute([last])?;
    }
    Ok(())
}

/// A room as the search sees it; `None` if the user may not read it.
type Readable = Option<(RoomName, RoomChecksum, i64)>;

/// Finds messages with all the words, newest first.
pub(super) fn search(connection: &Connection, query: &Query) -> Result<Hits, Fault> {
    let words = distinct(&query.words);
    let before = query.before.as_ref().map_or(i64::MAX, |before| before.parse().unwrap_or(0));
    if words.is_empty() {
        return Ok(Hits::default());
    }
    // Quoted, a word is no operator of the query language.
    let pattern: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
    let mut select = connection.prepare_cached(MATCHES)?;
    let mut rows = select.query(params![pattern.join(" "), before])?;
    let (mut rooms, mut found) = (HashMap::new(), Hits::default());
    while let Some(row) = rows.next()? {
        let (arrival, room_id, number): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let room = match rooms.entry(room_id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(readable(connection, room_id, query)?),
        };
        let Some((name, checksum, _)) = room.as_ref().filter(|(.., floor)| number > *floor) else {
            continue;
        };
        let Some(hit) = hit(connection, room_id, number, (name, checksum), &words)? else {
            continue;
        };
        if found.hits.len() as u64 >= u64::from(query.limit) {
            return Ok(found);
        }
        found.hits.push(hit);
        found.next = Some(arrival.to_compact_string());
    }
    // All were seen, so there is no further page.
    found.next = None;
    Ok(found)
}

fn readable(connection: &Connection, room_id: i64, query: &Query) -> Result<Readable, Fault> {
    let mut find = connection.prepare_cached(ROOM)?;
    let found = find.query_row(params![room_id, query.user.as_str()], |row| {
        let own = Epoch(u128::from_be_bytes(row.get(1)?));
        Ok((row.get::<_, String>(0)?, own, row.get::<_, i64>(2)?, row.get::<_, bool>(3)?))
    });
    let Some((name, own, floor, is_closed)) = found.optional()? else {
        return Ok(None);
    };
    let name = RoomName::parse_any(&name).map_err(|_| Fault::Corrupt)?;
    let is_meant = query.room.as_ref().is_none_or(|only| *only == name);
    let may_read = match name.is_private() {
        true => name.peer_of(&query.user).is_some(),
        false => !is_closed,
    };
    let checksum = RoomChecksum::new(&name, own);
    Ok((is_meant && may_read).then_some((name, checksum, floor)))
}

fn hit(
    connection: &Connection,
    room_id: i64,
    number: i64,
    (name, checksum): (&RoomName, &RoomChecksum),
    words: &BTreeSet<String>,
) -> Result<Option<Hit>, Fault> {
    let sql = format!("SELECT {COLUMNS} FROM message WHERE room_id = ?1 AND seq = ?2");
    let mut find = connection.prepare_cached(&sql)?;
    let mut rows = find.query([room_id, number])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let row = Columns::read(row, checksum)?;
    // The index splits words a little differently.
    if row.deleted.is_some() || !words.is_subset(&distinct(&row.body)) {
        return Ok(None);
    }
    let snippet = snippet(&row.body, words);
    let (room, sender) = (name.clone(), user(&row.sender)?);
    Ok(Some(Hit { room, seq: seq(row.seq)?, sender, ts: row.ts, snippet }))
}
