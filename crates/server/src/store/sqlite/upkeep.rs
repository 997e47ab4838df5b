//! Retention, erasure, import and new epochs, inside the writer's transaction.

use std::borrow::Cow;
use std::collections::BTreeMap;

use parlour_hub::log::{Head, Record, Snapshot};
use parlour_protocol::content::{Content, RoleChange, Sanction};
use parlour_protocol::{Epoch, RoomName, Seq, UserId};
use rusqlite::{Connection, params};

use super::super::erasure::{is_about, room_of};
use super::append::INSERT;
use super::fault::Fault;
use super::job::{Aftermath, Sweep};
use super::room::{Room, generation};
use super::row::{COLUMNS, EDIT, MESSAGE, ROLE, Row, SANCTION, SETTINGS, column, json, parse};
use super::{cids, index, state};

const FORGET_PINS: &str = "DELETE FROM state WHERE room_id = ?1 AND key GLOB 'pin:*' \
     AND CAST(substr(key, 5) AS INTEGER) <= ?2";
const NAME: &str = "SELECT name FROM room WHERE id = ?1";
const SWEEP: &str = "DELETE FROM message WHERE room_id = ?1 AND seq <= ?2";
const SWEEP_REACTIONS: &str = "DELETE FROM reaction WHERE room_id = ?1 AND target <= ?2";
const ROWS_OF: &str = "SELECT seq FROM message WHERE room_id = ?1 \
     AND (sender = ?2 OR (kind IN (6, 7) AND instr(body, ?3)))";
/// What nobody can read any more is erased too; it stays damaged.
const ERASE_DAMAGED: &str = "UPDATE message SET sender = ?3, cid = NULL, body = '', mentions = NULL \
     WHERE room_id = ?1 AND seq = ?2";
const ERASE_REACTIONS: &str = "DELETE FROM reaction WHERE room_id = ?1 AND sender = ?2";
const ERASE_CIDS: &str = "DELETE FROM cid_memory WHERE room_id = ?1 AND sender = ?2";

/// Raises the floor of a room to `upto`, and returns its ends.
pub(super) fn trim(
    connection: &Connection,
    name: &RoomName,
    upto: Seq,
    after: &mut Aftermath,
) -> Result<Option<Head>, Fault> {
    let Some(mut room) = Room::find(connection, name)? else { return Ok(None) };
    let floor = column(upto).min(room.head);
    if floor > room.floor {
        room.floor = floor;
        room.save(connection)?;
        connection.prepare_cached(FORGET_PINS)?.execute([room.id, floor])?;
        after.erased = true;
    }
    after.sweeps.push(Sweep { room_id: room.id, floor: room.floor });
    room.ends(generation(connection)?).map(Some)
}

/// Deletes some rows below the floors of rooms, and remembers their cids. Rooms without such rows are
/// taken off the list.
pub(super) fn sweep(
    connection: &Connection,
    sweeps: &mut BTreeMap<i64, i64>,
    mut budget: usize,
) -> Result<(), Fault> {
    cids::forget(connection)?;
    while let Some(next) = sweeps.first_entry() {
        let deleted = sweep_room(connection, *next.key(), *next.get(), budget)?;
        budget -= deleted;
        if budget == 0 {
            break;
        }
        next.remove();
    }
    Ok(())
}

fn sweep_room(connection: &Connection, id: i64, floor: i64, budget: usize) -> Result<usize, Fault> {
    let name: String = connection.prepare_cached(NAME)?.query_row([id], |row| row.get(0))?;
    let name = RoomName::parse_any(&name).map_err(|_| Fault::Corrupt)?;
    let Some(room) = Room::find(connection, &name)? else { return Ok(0) };
    let sql = format!("SELECT {COLUMNS} FROM message WHERE room_id = ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3");
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query(params![id, floor, budget as i64])?;
    let (mut count, mut last) = (0, 0);
    while let Some(row) = rows.next()? {
        (count, last) = (count + 1, row.get(0)?);
        // The cid of a damaged row says nothing.
        if let Ok(row) = Row::read(row, &room.checksum) {
            cids::remember(connection, id, &row)?;
            index::take(connection, id, &row)?;
        }
    }
    drop(rows);
    connection.prepare_cached(SWEEP)?.execute([id, last])?;
    connection.prepare_cached(SWEEP_REACTIONS)?.execute([id, last])?;
    Ok(count)
}

/// Empties what a user said in a room; returns whether there was anything.
pub(super) fn erase(
    connection: &Connection,
    name: &RoomName,
    user: &UserId,
    alias: &UserId,
    after: &mut Aftermath,
) -> Result<bool, Fault> {
    let Some(mut room) = Room::find(connection, name)? else { return Ok(false) };
    // Rows that were trimmed and are still there are erased too.
    room.floor = 0;
    let mut rows = connection.prepare_cached(ROWS_OF)?;
    let rows = rows.query_map(params![room.id, user.as_str(), json(user)], |row| row.get(0))?;
    let mut is_touched = false;
    for seq in rows.collect::<Result<Vec<i64>, _>>()? {
        match room.row(connection, seq) {
            Ok(Some(row)) => is_touched |= erase_row(connection, &room, row, user, alias)?,
            Ok(None) => {}
            Err(Fault::Corrupt) => {
                connection.prepare_cached(ERASE_DAMAGED)?.execute(params![room.id, seq, alias.as_str()])?;
                is_touched = true;
            }
            Err(fault) => return Err(fault),
        }
    }
    let whose = params![room.id, user.as_str()];
    is_touched |= connection.prepare_cached(ERASE_REACTIONS)?.execute(whose)? > 0;
    is_touched |= connection.prepare_cached(ERASE_CIDS)?.execute(whose)? > 0;
    is_touched |= rename(connection, &room, user, alias)?;
    after.erased |= is_touched;
    Ok(is_touched)
}

/// Passes role and sanction of a user on to an alias; returns whether there was anything.
fn rename(connection: &Connection, room: &Room, user: &UserId, alias: &UserId) -> Result<bool, Fault> {
    let state = state::read(connection, room)?;
    let (role, sanction) = (state.roles.get(user), state.sanctions.get(user));
    if let Some(role) = role {
        let given = Content::Role(RoleChange { user: alias.clone(), role: Some(*role) });
        state::set(connection, room, &state::role_key(user), None)?;
        state::apply(connection, room, &given, 0)?;
    }
    if let Some(sanction) = sanction {
        let sanction = Sanction { user: alias.clone(), reason: None, ..sanction.clone() };
        state::set(connection, room, &state::sanction_key(user), None)?;
        state::set_sanction(connection, room, &sanction)?;
    }
    Ok(role.is_some() || sanction.is_some())
}

fn erase_row<'a>(
    connection: &Connection,
    room: &Room,
    mut row: Row<'a>,
    user: &UserId,
    alias: &'a UserId,
) -> Result<bool, Fault> {
    let is_own = row.sender == user.as_str();
    if is_own {
        let id = if row.kind == MESSAGE { index::take(connection, room.id, &row)? } else { None };
        row.sender = Cow::Borrowed(alias.as_str());
        row.cid = None;
        row.mentions = None;
        row.marks.digest = None;
        match row.kind {
            SETTINGS => row.body = Cow::Borrowed("{}"),
            ROLE => {}
            SANCTION => {
                let sanction: Sanction = parse(&row.body)?;
                state::silence(connection, room, &sanction.user)?;
                row.body = json(&Sanction { reason: None, ..sanction });
            }
            _ => row.body = Cow::Borrowed(""),
        }
        if row.kind == EDIT {
            row.marks.deleted = row.marks.deleted.or(Some(row.seq));
        }
        if let Some(id) = id {
            index::put(connection, room.id, id, &row)?;
        }
    }
    let mut is_touched = is_own;
    if row.kind == ROLE {
        let mut change: RoleChange = parse(&row.body)?;
        if change.user == *user {
            change.user = alias.clone();
            row.body = json(&change);
            is_touched = true;
        }
    }
    if row.kind == SANCTION {
        let sanction: Sanction = parse(&row.body)?;
        if sanction.user == *user {
            row.body = json(&Sanction { user: alias.clone(), reason: None, ..sanction });
            is_touched = true;
        }
    }
    room.rewrite(connection, &row)?;
    Ok(is_touched)
}

/// Deletes the documents about a user; returns the rooms that know what they say.
pub(super) fn erase_documents(
    connection: &Connection,
    user: &UserId,
    after: &mut Aftermath,
) -> Result<Vec<RoomName>, Fault> {
    let mut keys = connection.prepare_cached("SELECT key FROM document")?;
    let keys = keys.query_map((), |row| row.get::<_, String>(0))?;
    let mut rooms = Vec::new();
    for key in
        keys.filter(|key| key.as_ref().is_ok_and(|key| is_about(key, user))).collect::<Result<Vec<_>, _>>()?
    {
        connection.prepare_cached("DELETE FROM document WHERE key = ?1")?.execute([&key])?;
        rooms.extend(room_of(&key));
        after.erased = true;
    }
    Ok(rooms)
}

/// Stores a part of an export.
pub(super) fn restore(
    connection: &Connection,
    name: &RoomName,
    part: &Snapshot,
    after: &mut Aftermath,
) -> Result<Head, Fault> {
    let mut room = match Room::find(connection, name)? {
        Some(room) => room,
        None => {
            let mut room = Room::create(connection, name, Epoch(uuid::Uuid::new_v4().as_u128()))?;
            (room.head, room.floor) = (column(part.ends.floor), column(part.ends.floor));
            room
        }
    };
    let mut insert = connection.prepare_cached(INSERT)?;
    let head = room.head;
    for record in part.tail.iter().filter(|record| column(record.seq) > head) {
        let row = restored(record);
        // A record is missing, or its cid was used before.
        if row.seq != room.head + 1 || row.write(&mut insert, room.id, &room.checksum)? == 0 {
            return Err(Fault::Corrupt);
        }
        room.replay_reaction(connection, &row)?;
        room.grow(row.seq, row.ts, row.kind == MESSAGE);
    }
    room.save(connection)?;
    state::replace(connection, &room, &part.state)?;
    after.added += room.added;
    room.ends(generation(connection)?)
}

/// Builds the row of an exported record, with what became of it.
fn restored(record: &Record) -> Row<'_> {
    let mut row =
        Row::new(column(record.seq), record.ts, &record.sender, record.cid.as_deref(), &record.content);
    if let Content::Message(said) = &record.content
        && let Some(details) = &said.details
    {
        row.marks.thread = details.thread.map(column);
        row.marks.edited = details.edited.map(column);
        row.marks.deleted = details.deleted.map(column);
    }
    row
}

/// Gives all rooms new epochs, together with those that have no log yet.
pub(super) fn renew(connection: &Connection) -> rusqlite::Result<()> {
    let generation = uuid::Uuid::new_v4().into_bytes();
    // The second first: without a transaction around, what is done by halves is done again.
    connection.execute("DELETE FROM document WHERE key = ?1", [crate::lineage::KEY])?;
    connection.execute("UPDATE lineage SET generation = ?1", [generation])?;
    Ok(())
}
