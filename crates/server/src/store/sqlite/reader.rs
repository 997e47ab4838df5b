//! What can be asked of the database, on a connection that reads.

use std::collections::BTreeSet;
use std::ops::Range;

use parlour_hub::log::{Head, Record, Snapshot, Span, Stored};
use parlour_protocol::content::{Content, Tally, Text};
use parlour_protocol::limits::REACTION_USERS;
use parlour_protocol::{Epoch, RoomName, Seq, UserId};
use rusqlite::{Connection, params};
use tokio::sync::oneshot;

use super::super::{Document, Keep, StoreError, within};
use super::fault::Fault;
use super::room::{Room, generation};
use super::row::{COLUMNS, MESSAGE, Row, column, seq, user};
use super::{checksum, cids, state};

const REACTIONS: &str = "SELECT target, emoji, sender, seq, checksum FROM reaction \
     WHERE room_id = ?1 AND target >= ?2 AND target < ?3 ORDER BY target, seq";
const UNREAD: &str = "SELECT count(*) FROM message \
     WHERE room_id = ?1 AND seq > ?2 AND kind = 0 AND deleted IS NULL AND sender <> ?3";
/// From the prefix on; the end is where a key does not begin with it. `LIKE` would take `%` and `_`
/// for wildcards.
const DOCUMENTS: &str = "SELECT key, value, checksum FROM document WHERE key >= ?1 ORDER BY key LIMIT ?2";
const ROOMS: &str = "SELECT name, epoch, head, floor FROM room WHERE name > ?1 ORDER BY name LIMIT ?2";
const SINCE: &str =
    "SELECT seq - 1 FROM message WHERE room_id = ?1 AND seq > ?2 AND ts >= ?3 ORDER BY seq LIMIT 1";
const SIZES: &str =
    "SELECT seq, octet_length(body) FROM message WHERE room_id = ?1 AND seq > ?2 ORDER BY seq DESC";
/// The names of users stand in the JSON of roles and sanctions in quotes.
const ROOMS_OF: &str = "SELECT name FROM room WHERE id IN (\
     SELECT room_id FROM message WHERE sender = ?1 OR (kind IN (6, 7) AND instr(body, ?2)) \
     UNION SELECT room_id FROM reaction WHERE sender = ?1 \
     UNION SELECT room_id FROM cid_memory WHERE sender = ?1 \
     UNION SELECT room_id FROM state WHERE key IN (?3, ?4))";

/// Who waits for the answer to a question.
pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// Reads a room as it is at one moment.
pub(super) fn open(connection: &Connection, name: &RoomName, tail: u32) -> Result<Option<Snapshot>, Fault> {
    let Some(room) = Room::find(connection, name)? else { return Ok(None) };
    let ends = room.ends(generation(connection)?)?;
    let newest = within(Span::Before(Seq(u64::MAX)), ends, tail);
    let tail = records(connection, &room, newest)?;
    Ok(Some(Snapshot { ends, tail, state: state::read(connection, &room)? }))
}

/// Reads records of a room.
pub(super) fn read(
    connection: &Connection,
    name: &RoomName,
    span: Span,
    limit: u32,
) -> Result<Vec<Record>, Fault> {
    let Some(room) = Room::find(connection, name)? else { return Ok(Vec::new()) };
    let numbers = within(span, room.ends(0)?, limit);
    match span {
        Span::After(_) | Span::Before(_) => records(connection, &room, numbers),
        Span::Thread { root, .. } => thread(connection, &room, root, numbers, limit),
    }
}

/// Reads the records with these numbers; each of them must be there, and intact.
fn records(connection: &Connection, room: &Room, numbers: Range<u64>) -> Result<Vec<Record>, Fault> {
    let sql =
        format!("SELECT {COLUMNS} FROM message WHERE room_id = ?1 AND seq >= ?2 AND seq < ?3 ORDER BY seq");
    let mut select = connection.prepare_cached(&sql)?;
    let bounds = (bound(numbers.start), bound(numbers.end));
    let mut rows = select.query(params![room.id, bounds.0, bounds.1])?;
    let mut records = Vec::new();
    for expected in numbers {
        let row = rows.next()?.ok_or(Fault::Corrupt)?;
        let record = Row::read(row, &room.checksum)?.record()?;
        if record.seq != Seq(expected) {
            return Err(Fault::Corrupt);
        }
        records.push(record);
    }
    tally(connection, room, bounds, &mut records)?;
    Ok(records)
}

fn thread(
    connection: &Connection,
    room: &Room,
    root: Seq,
    numbers: Range<u64>,
    limit: u32,
) -> Result<Vec<Record>, Fault> {
    // Two parts, so that each has its index.
    let part = format!("SELECT {COLUMNS} FROM message WHERE room_id = ?1 AND kind = {MESSAGE}");
    let sql = format!(
        "{part} AND seq = ?4 AND seq >= ?2 AND seq < ?3 UNION ALL \
         {part} AND thread IS NOT NULL AND thread = ?4 AND seq >= ?2 AND seq < ?3 ORDER BY seq LIMIT ?5"
    );
    let mut select = connection.prepare_cached(&sql)?;
    let bounds = (bound(numbers.start), bound(numbers.end));
    let mut rows = select.query(params![room.id, bounds.0, bounds.1, column(root), limit])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(Row::read(row, &room.checksum)?.record()?);
    }
    tally(connection, room, bounds, &mut records)?;
    Ok(records)
}

/// Puts the reactions to messages with numbers in a range into their records.
fn tally(
    connection: &Connection,
    room: &Room,
    (start, end): (i64, i64),
    records: &mut [Record],
) -> Result<(), Fault> {
    let mut select = connection.prepare_cached(REACTIONS)?;
    let mut rows = select.query(params![room.id, start, end])?;
    while let Some(row) = rows.next()? {
        let (target, by): (i64, i64) = (row.get(0)?, row.get(3)?);
        let (emoji, sender) = (row.get_ref(1)?.as_str()?, row.get_ref(2)?.as_str()?);
        if row.get::<_, i64>(4)? != room.reaction_checksum(target, emoji, sender, by) {
            return Err(Fault::Corrupt);
        }
        let Ok(index) = records.binary_search_by_key(&seq(target)?, |record| record.seq) else { continue };
        let Content::Message(Text { details, .. }) = &mut records[index].content else {
            return Err(Fault::Corrupt);
        };
        count(&mut details.get_or_insert_default().reactions, emoji, user(sender)?);
    }
    Ok(())
}

/// Adds a reaction to the tallies of a message.
fn count(tallies: &mut Vec<Tally>, emoji: &str, user: UserId) {
    let known = tallies.iter().position(|tally| tally.emoji == emoji);
    let index = known.unwrap_or_else(|| {
        tallies.push(Tally { emoji: emoji.into(), count: 0, users: Vec::new() });
        tallies.len() - 1
    });
    tallies[index].count += 1;
    if tallies[index].users.len() < REACTION_USERS {
        tallies[index].users.push(user);
    }
}

/// Finds where a cid is stored.
pub(super) fn find(
    connection: &Connection,
    name: &RoomName,
    sender: &UserId,
    cid: &str,
) -> Result<Option<Stored>, Fault> {
    let Some(room) = Room::find(connection, name)? else { return Ok(None) };
    let Some(known) = cids::find(connection, &room, sender, cid)? else { return Ok(None) };
    let entries = vec![room.place(connection, known.seq)?];
    Ok(Some(Stored { epoch: room.epoch(generation(connection)?), ts: known.ts, dup: true, entries }))
}

/// Counts what a user has not read.
pub(super) fn unread(
    connection: &Connection,
    whose: &UserId,
    cursors: &[(RoomName, Seq)],
) -> Result<Vec<u32>, Fault> {
    let mut select = connection.prepare_cached(UNREAD)?;
    let mut count = |(name, after): &(RoomName, Seq)| {
        let Some(room) = Room::find(connection, name)? else { return Ok(0) };
        let after = column(*after).max(room.floor);
        Ok(select.query_row(params![room.id, after, whose.as_str()], |row| row.get(0))?)
    };
    cursors.iter().map(&mut count).collect()
}

/// Lists documents by the beginning of their keys.
pub(super) fn documents(connection: &Connection, prefix: &str, limit: u32) -> Result<Vec<Document>, Fault> {
    let mut select = connection.prepare_cached(DOCUMENTS)?;
    let mut rows = select.query(params![prefix, limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let key = row.get_ref(0)?.as_str()?;
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

/// Lists rooms in the order of their names.
pub(super) fn rooms(
    connection: &Connection,
    after: Option<&RoomName>,
    limit: u32,
) -> Result<Vec<(RoomName, Head)>, Fault> {
    let generation = generation(connection)?;
    let mut select = connection.prepare_cached(ROOMS)?;
    let mut rows = select.query(params![after.map_or("", RoomName::as_str), limit])?;
    let mut listed = Vec::new();
    while let Some(row) = rows.next()? {
        let name = RoomName::parse_any(row.get_ref(0)?.as_str()?).map_err(|_| Fault::Corrupt)?;
        let epoch = Epoch(u128::from_be_bytes(row.get(1)?) ^ generation);
        listed.push((name, Head { epoch, head: seq(row.get(2)?)?, floor: seq(row.get(3)?)? }));
    }
    Ok(listed)
}

/// Reads the ends of rooms, in the order of the question.
pub(super) fn heads(connection: &Connection, rooms: &[RoomName]) -> Result<Vec<Option<Head>>, Fault> {
    let generation = generation(connection)?;
    let ends = |name| Room::find(connection, name)?.map(|room| room.ends(generation)).transpose();
    rooms.iter().map(ends).collect()
}

/// Returns the newest record of a room that need not be kept.
pub(super) fn excess(connection: &Connection, name: &RoomName, keep: &Keep) -> Result<Option<Seq>, Fault> {
    let Some(room) = Room::find(connection, name)? else { return Ok(None) };
    let count = keep.records.map_or(0, |most| room.head.saturating_sub(bound(most)));
    let after = keep.after.map_or(0, column).min(room.head);
    let mut upto = room.floor.max(count).max(after);
    if let Some(since) = keep.since_ms {
        let mut select = connection.prepare_cached(SINCE)?;
        let mut rows = select.query([room.id, upto, since])?;
        upto = rows.next()?.map_or(Ok(room.head), |row| row.get(0))?;
    }
    if let Some(mut left) = keep.bytes {
        let mut select = connection.prepare_cached(SIZES)?;
        let mut rows = select.query([room.id, upto])?;
        while let Some(row) = rows.next()? {
            match left.checked_sub(row.get::<_, i64>(1)?.unsigned_abs()) {
                Some(rest) => left = rest,
                None => {
                    upto = row.get(0)?;
                    break;
                }
            }
        }
    }
    seq(upto).map(Some)
}

/// Lists the rooms that know something of a user.
pub(super) fn rooms_of(connection: &Connection, whose: &UserId) -> Result<BTreeSet<RoomName>, Fault> {
    let quoted = super::row::json(whose);
    let mut select = connection.prepare_cached(ROOMS_OF)?;
    let keys = (state::role_key(whose), state::sanction_key(whose));
    let mut rows = select.query(params![whose.as_str(), quoted, keys.0, keys.1])?;
    let mut found = BTreeSet::new();
    while let Some(row) = rows.next()? {
        found.insert(RoomName::parse_any(row.get_ref(0)?.as_str()?).map_err(|_| Fault::Corrupt)?);
    }
    Ok(found)
}

fn bound(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
