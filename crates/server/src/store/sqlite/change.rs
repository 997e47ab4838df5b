//! What an entry changes beside its own row: the message that it is about, reactions, the room's
//! state and the search index.

use parlour_hub::log::{Guard, Place, Refused};
use parlour_protocol::content::Content;
use parlour_protocol::limits;
use rusqlite::{Connection, OptionalExtension, params};

use super::append::OpenRoom;
use super::columns::{COLUMNS, Columns, kind, seq, state_changes};
use super::fault::Fault;
use super::search;

const WRITE: &str = "UPDATE message SET body = ?3, mentions = ?4, edited = ?5, deleted = ?6, digest = ?7, \
     sender = ?8, cid = ?9, checksum = ?10 WHERE room_id = ?1 AND seq = ?2";
const REACTED: &str = "SELECT r.seq, m.ts FROM reaction r LEFT JOIN message m ON m.room_id = r.room_id \
     AND m.seq = r.seq WHERE r.room_id = ?1 AND r.target = ?2 AND r.emoji = ?3 AND r.sender = ?4";
const TALLY: &str = "SELECT count(*), (SELECT count(DISTINCT emoji) FROM reaction WHERE room_id = ?1 \
     AND target = ?2) FROM reaction WHERE room_id = ?1 AND target = ?2 AND emoji = ?3";
const REACT: &str = "INSERT INTO reaction (room_id, target, emoji, sender, seq) VALUES (?1, ?2, ?3, ?4, ?5)";
const UNREACT: &str = "DELETE FROM reaction WHERE room_id = ?1 AND target = ?2 AND emoji = ?3 AND sender = ?4";
const FORGET_REACTIONS: &str = "DELETE FROM reaction WHERE room_id = ?1 AND target = ?2";
const SET: &str = "INSERT INTO state (room_id, key, value) VALUES (?1, ?2, ?3) \
     ON CONFLICT (room_id, key) DO UPDATE SET value = excluded.value";
const UNSET: &str = "DELETE FROM state WHERE room_id = ?1 AND key = ?2";
const IS_SET: &str = "SELECT 1 FROM state WHERE room_id = ?1 AND key = ?2";
const COUNT_PINS: &str = "SELECT count(*) FROM state WHERE room_id = ?1 AND key >= 'pin:' AND key < 'pin;'";

/// Who changes something, and with what right.
#[derive(Debug, Clone, Copy)]
pub(super) struct By<'a> {
    pub(super) sender: &'a str,
    pub(super) guard: Guard,
}

/// The outcome: nothing special, the entry that had done the same before, or a refusal.
type Outcome = Result<Result<Option<Place>, Refused>, Fault>;

/// Carries out what an entry changes, and completes its own row.
pub(super) fn apply(
    room: &OpenRoom,
    connection: &Connection,
    row: &mut Columns,
    content: &Content,
    by: By<'_>,
) -> Outcome {
    let target = match row.target {
        Some(target) => match message(room, connection, target)? {
            Some(target) => Some(target),
            None => return Ok(Err(Refused::NoTarget)),
        },
        None => None,
    };
    let done = match (row.kind, target) {
        (kind::MESSAGE, Some(target)) => {
            row.thread = target.thread.or(Some(target.seq));
            Ok(None)
        }
        (kind::EDIT, Some(target)) => edit(room, connection, row, target, by)?,
        (kind::DELETE, Some(target)) => delete(room, connection, row, target, by)?,
        (kind::REACTION, Some(target)) => react(room, connection, row, &target, by)?,
        (kind::PIN, Some(_)) => may_pin(room, connection, row)?,
        _ => Ok(None),
    };
    if done == Ok(None) {
        change_state(connection, room.id, content, row.seq)?;
    }
    Ok(done)
}

/// Reads a message that can be changed or answered.
fn message(room: &OpenRoom, connection: &Connection, number: i64) -> Result<Option<Columns>, Fault> {
    let found = find(room, connection, number)?;
    Ok(found.filter(|row| row.seq > room.floor && row.kind == kind::MESSAGE && row.deleted.is_none()))
}

fn find(room: &OpenRoom, connection: &Connection, number: i64) -> Result<Option<Columns>, Fault> {
    let sql = format!("SELECT {COLUMNS} FROM message WHERE room_id = ?1 AND seq = ?2");
    let mut find = connection.prepare_cached(&sql)?;
    let mut rows = find.query([room.id, number])?;
    rows.next()?.map(|row| Columns::read(row, &room.checksum)).transpose()
}

/// Writes what became of an entry.
pub(super) fn write(room: &OpenRoom, connection: &Connection, row: &Columns) -> Result<(), Fault> {
    let checksum = room.checksum.of(row);
    connection.prepare_cached(WRITE)?.execute(params![
        room.id, row.seq, row.body, row.mentions, row.edited, row.deleted, row.digest, row.sender, row.cid,
        checksum,
    ])?;
    Ok(())
}

fn edit(
    room: &OpenRoom,
    connection: &Connection,
    row: &Columns,
    mut target: Columns,
    by: By<'_>,
) -> Outcome {
    if target.sender != by.sender {
        return Ok(Err(Refused::NotAuthor));
    }
    supersede(room, connection, target.seq)?;
    search::forget(connection, room.id, &target)?;
    keep_digest(&mut target);
    target.body.clone_from(&row.body);
    target.mentions.clone_from(&row.mentions);
    target.edited = Some(row.seq);
    write(room, connection, &target)?;
    search::renew(connection, room.id, &target)?;
    Ok(Ok(None))
}

fn delete(
    room: &OpenRoom,
    connection: &Connection,
    row: &Columns,
    mut target: Columns,
    by: By<'_>,
) -> Outcome {
    if target.sender != by.sender && by.guard != Guard::Moderator {
        return Ok(Err(Refused::NotAuthor));
    }
    supersede(room, connection, target.seq)?;
    silence(room, connection, target.seq)?;
    search::forget(connection, room.id, &target)?;
    connection.prepare_cached(FORGET_REACTIONS)?.execute([room.id, target.seq])?;
    keep_digest(&mut target);
    target.body.clear();
    target.mentions = None;
    target.deleted = Some(row.seq);
    write(room, connection, &target)?;
    Ok(Ok(None))
}

/// A row of the first schema decides by its body, which is about to go.
fn keep_digest(row: &mut Columns) {
    if row.cid.is_some() && row.digest.is_none() {
        row.digest = Some(row.digest_of());
    }
}

/// Empties the edits of a message.
fn supersede(room: &OpenRoom, connection: &Connection, target: i64) -> Result<(), Fault> {
    for mut row in changes(room, connection, target)? {
        let is_gone = row.body.is_empty() && row.mentions.is_none();
        if row.kind == kind::EDIT && !is_gone {
            row.body.clear();
            row.mentions = None;
            write(room, connection, &row)?;
        }
    }
    Ok(())
}

/// Reads the edits of a message and the reactions to it.
fn changes(room: &OpenRoom, connection: &Connection, target: i64) -> Result<Vec<Columns>, Fault> {
    let sql = format!("SELECT {COLUMNS} FROM message WHERE room_id = ?1 AND target = ?2 AND kind IN (1, 3)");
    let mut find = connection.prepare_cached(&sql)?;
    let mut rows = find.query([room.id, target])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Columns::read(row, &room.checksum)?);
    }
    Ok(found)
}

/// Empties the reactions to a message that is deleted.
fn silence(room: &OpenRoom, connection: &Connection, target: i64) -> Result<(), Fault> {
    for mut row in changes(room, connection, target)? {
        if row.kind == kind::REACTION && !row.body.is_empty() {
            row.body.clear();
            write(room, connection, &row)?;
        }
    }
    Ok(())
}

fn react(
    room: &OpenRoom,
    connection: &Connection,
    row: &mut Columns,
    target: &Columns,
    by: By<'_>,
) -> Outcome {
    let names = params![room.id, target.seq, row.body, by.sender];
    let earlier: Option<(i64, Option<i64>)> = connection
        .prepare_cached(REACTED)?
        .query_row(names, |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (count, emoji): (i64, i64) = connection
        .prepare_cached(TALLY)?
        .query_row(params![room.id, target.seq, row.body], |row| Ok((row.get(0)?, row.get(1)?)))?;
    match (row.active == Some(true), earlier) {
        (true, Some((earlier, _))) => {
            let place = Place { seq: seq(earlier)?, thread: None, count: u32::try_from(count).unwrap_or(0) };
            return Ok(Ok(Some(place)));
        }
        (true, None) if count == 0 && emoji >= limits::EMOJI_PER_MESSAGE as i64 => {
            return Ok(Err(Refused::TooMany));
        }
        (true, None) => {
            let react = params![room.id, target.seq, row.body, by.sender, row.seq];
            connection.prepare_cached(REACT)?.execute(react)?;
            row.count = Some(count + 1);
        }
        (false, None) => return Ok(Err(Refused::NoTarget)),
        (false, Some(_)) => {
            connection.prepare_cached(UNREACT)?.execute(names)?;
            row.count = Some(count - 1);
        }
    }
    Ok(Ok(None))
}

fn may_pin(room: &OpenRoom, connection: &Connection, row: &Columns) -> Outcome {
    let key = format!("pin:{}", row.target.unwrap_or_default());
    let is_pinned = connection.prepare_cached(IS_SET)?.exists(params![room.id, key])?;
    if row.active == Some(false) {
        return Ok(if is_pinned { Ok(None) } else { Err(Refused::NoTarget) });
    }
    let pins: i64 = connection.prepare_cached(COUNT_PINS)?.query_row([room.id], |row| row.get(0))?;
    let is_full = !is_pinned && pins >= limits::PINS as i64;
    Ok(if is_full { Err(Refused::TooMany) } else { Ok(None) })
}

/// Takes over what an entry changes in the room's state.
fn change_state(connection: &Connection, room_id: i64, content: &Content, number: i64) -> Result<(), Fault> {
    for (key, value) in state_changes(content, number) {
        match value {
            Some(value) => connection.prepare_cached(SET)?.execute(params![room_id, key, value])?,
            None => connection.prepare_cached(UNSET)?.execute(params![room_id, key])?,
        };
    }
    Ok(())
}
