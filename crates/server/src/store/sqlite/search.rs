//! Looking for words, on a connection that reads.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use compact_str::CompactString;
use parlour_protocol::RoomName;
use parlour_protocol::event::Hit;
use rusqlite::{Connection, OptionalExtension, params};

use super::super::{Hits, Query, words};
use super::fault::Fault;
use super::index;
use super::room::Room;
use super::row::{seq, user};
use super::state;

/// Messages with the words that one page looks at, whoever may read them.
const LOOKED_AT: usize = 50_000;

const FOUND: &str = "SELECT indexed.id, indexed.room_id, indexed.seq FROM word \
     JOIN indexed ON indexed.id = word.rowid \
     WHERE word MATCH ?1 AND word.rowid < ?2 ORDER BY word.rowid DESC LIMIT ?3";
const NAME: &str = "SELECT name FROM room WHERE id = ?1";
const ID: &str = "SELECT id FROM room WHERE name = ?1";

/// Looks for messages, newest first. A damaged one is left out, and logged.
pub(super) fn search(connection: &Connection, query: &Query) -> Result<Hits, Fault> {
    let before = query.before.as_deref().map_or(Ok(i64::MAX), str::parse);
    let (Some(expression), Ok(mut before)) = (expression(connection, query)?, before) else {
        return Ok(Hits::default());
    };
    let wanted = words::distinct(&query.words);
    let mut rooms = HashMap::new();
    let mut hits = Vec::new();
    let mut select = connection.prepare_cached(FOUND)?;
    let mut found = select.query(params![expression, before, LOOKED_AT as i64])?;
    for _ in 0..LOOKED_AT {
        let Some(row) = found.next()? else { return Ok(Hits { hits, next: None }) };
        // One more than fits has been found: there is a next page.
        if hits.len() == query.limit as usize {
            return Ok(Hits { hits, next: Some(cursor(before)) });
        }
        let (id, room_id, number): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        before = id;
        let room = match rooms.entry(room_id) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(readable(connection, room_id, query)?),
        };
        let Some((name, room)) = room else { continue };
        match room.row(connection, number) {
            Ok(Some(row)) if row.is_standing() => hits.push(Hit {
                room: name.clone(),
                seq: seq(row.seq)?,
                sender: user(&row.sender)?,
                ts: row.ts,
                snippet: words::snippet(&row.body, &wanted),
            }),
            Err(Fault::Corrupt) => {
                tracing::error!(room = %name, seq = number, "a stored message does not match its checksum")
            }
            other => drop(other?),
        }
    }
    Ok(Hits { hits, next: Some(cursor(before)) })
}

fn cursor(before: i64) -> CompactString {
    compact_str::format_compact!("{before}")
}

/// Returns what the index is asked for; `None` where nothing can be found.
fn expression(connection: &Connection, query: &Query) -> Result<Option<String>, Fault> {
    let mut wanted: Vec<_> = words::distinct(&query.words).into_iter().collect();
    if wanted.is_empty() {
        return Ok(None);
    }
    if let Some(room) = &query.room {
        let mut find = connection.prepare_cached(ID)?;
        let Some(id) = find.query_row([room.as_str()], |row| row.get(0)).optional()? else {
            return Ok(None);
        };
        wanted.push(index::room_word(id));
    }
    // Letters and digits only: nothing in a word ends the quotes.
    Ok(Some(wanted.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" ")))
}

/// Returns a room if the user may see its history.
fn readable(connection: &Connection, id: i64, query: &Query) -> Result<Option<(RoomName, Room)>, Fault> {
    let name: String = connection.prepare_cached(NAME)?.query_row([id], |row| row.get(0))?;
    let name = RoomName::parse_any(&name).map_err(|_| Fault::Corrupt)?;
    let Some(room) = Room::find(connection, &name)? else { return Ok(None) };
    let state = state::read(connection, &room)?;
    Ok(query.scope.allows(&name, &state, &query.user).then_some((name, room)))
}
