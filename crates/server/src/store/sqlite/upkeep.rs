//! Retention, erasure, import and new epochs, inside the writer's transaction.

use std::time::{SystemTime, UNIX_EPOCH};

use parlour_hub::effect::DOCUMENT_SEPARATOR;
use parlour_hub::log::{Head, Record, RoomState, Snapshot};
use parlour_protocol::content::{Content, RoleChange};
use parlour_protocol::{Epoch, RoomName, UserId};
use rusqlite::{Connection, params};

use super::super::Keep;
use super::append::{Batch, OpenRoom};
use super::change;
use super::columns::{COLUMNS, Columns, kind, number, seq, state_rows};
use super::fault::Fault;
use super::job::Sweep;
use super::search;

/// How long the cid of a trimmed record is remembered (P6), in milliseconds.
const REMEMBER_MS: i64 = 30 * 24 * 3_600 * 1_000;

const RAISE_FLOOR: &str = "UPDATE room SET floor = ?2 WHERE id = ?1";
const OLDEST: &str = "SELECT seq, ts FROM message WHERE room_id = ?1 AND seq > ?2 ORDER BY seq";
const SIZES: &str = "SELECT seq, octet_length(body) FROM message WHERE room_id = ?1 AND seq > ?2 ORDER BY seq DESC";
const REMEMBER: &str = "INSERT OR REPLACE INTO cid_memory (room_id, sender, cid, seq, ts, digest, expires_ms) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const EXPIRE: &str = "DELETE FROM cid_memory WHERE expires_ms < ?1";
const REACT: &str = "INSERT OR REPLACE INTO reaction (room_id, target, emoji, sender, seq) \
     VALUES (?1, ?2, ?3, ?4, ?5)";
const UNREACT: &str = "DELETE FROM reaction WHERE room_id = ?1 AND target = ?2 AND emoji = ?3 AND sender = ?4";
const FORGET_REACTIONS: &str = "DELETE FROM reaction WHERE room_id = ?1 AND target = ?2";

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// Raises the floor of a room to what is kept; the rows below are swept later.
pub(super) fn trim(
    connection: &Connection,
    name: &RoomName,
    keep: Keep,
) -> Result<(Option<Head>, Option<Sweep>), Fault> {
    connection.prepare_cached(EXPIRE)?.execute([now_ms()])?;
    let batch = Batch::begin(connection)?;
    let Some(mut room) = OpenRoom::find(&batch, name)? else {
        return Ok((None, None));
    };
    let floor = floor_for(connection, &room, keep)?.min(room.head);
    let sweep = (floor > room.floor).then_some(Sweep { room_id: room.id, floor });
    if sweep.is_some() {
        connection.prepare_cached(RAISE_FLOOR)?.execute([room.id, floor])?;
        room.floor = floor;
    }
    Ok((Some(head(&room)?), sweep))
}

fn head(room: &OpenRoom) -> Result<Head, Fault> {
    Ok(Head { epoch: room.epoch(), head: seq(room.head)?, floor: seq(room.floor)? })
}

fn floor_for(connection: &Connection, room: &OpenRoom, keep: Keep) -> Result<i64, Fault> {
    let mut floor = keep.after.map_or(0, number).max(room.floor);
    if let Some(records) = keep.records {
        floor = floor.max(room.head.saturating_sub(i64::try_from(records).unwrap_or(i64::MAX)));
    }
    if let Some(since) = keep.since_ms {
        let mut oldest = connection.prepare_cached(OLDEST)?;
        let mut rows = oldest.query([room.id, floor])?;
        while let Some(row) = rows.next()? {
            if row.get::<_, i64>(1)? >= since {
                break;
            }
            floor = row.get(0)?;
        }
    }
    if let Some(most) = keep.bytes {
        let mut sizes = connection.prepare_cached(SIZES)?;
        let mut rows = sizes.query([room.id, floor])?;
        let mut bytes = 0_u64;
        while let Some(row) = rows.next()? {
            bytes += row.get::<_, i64>(1)?.unsigned_abs();
            if bytes > most {
                floor = row.get(0)?;
                break;
            }
        }
    }
    Ok(floor)
}

/// Deletes at most `limit` rows below the floor of a room, and what hangs on them; returns how many.
pub(super) fn sweep(connection: &Connection, room_id: i64, floor: i64, limit: i64) -> rusqlite::Result<i64> {
    let sql = format!(
        "SELECT {COLUMNS}, arrival FROM message WHERE room_id = ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3"
    );
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query([room_id, floor, limit])?;
    let (mut count, mut last) = (0, 0);
    let expires_ms = now_ms() + REMEMBER_MS;
    while let Some(row) = rows.next()? {
        (count, last) = (count + 1, row.get(0)?);
        let columns = unchecked(row)?;
        if columns.kind == kind::MESSAGE {
            // Also what is damaged must go.
            let _ = search::forget(connection, room_id, &columns);
            let arrival: Option<i64> = row.get(15)?;
            connection.prepare_cached("DELETE FROM arrival WHERE id = ?1")?.execute([arrival])?;
            connection.prepare_cached(FORGET_REACTIONS)?.execute([room_id, columns.seq])?;
        }
        if let Some(cid) = &columns.cid {
            let digest = columns.digest.clone().unwrap_or_else(|| columns.digest_of());
            let values =
                params![room_id, columns.sender, cid, columns.seq, columns.ts, digest, expires_ms];
            connection.prepare_cached(REMEMBER)?.execute(values)?;
        }
    }
    connection
        .prepare_cached("DELETE FROM message WHERE room_id = ?1 AND seq <= ?2")?
        .execute([room_id, last])?;
    Ok(count)
}

/// Reads columns that are about to go, whatever their checksum says.
fn unchecked(row: &rusqlite::Row<'_>) -> rusqlite::Result<Columns> {
    Ok(Columns {
        seq: row.get(0)?,
        ts: row.get(1)?,
        sender: row.get(2)?,
        cid: row.get(3)?,
        body: row.get(4)?,
        kind: row.get(5)?,
        target: row.get(6)?,
        mentions: row.get(8)?,
        active: row.get(9)?,
        deleted: row.get(12)?,
        digest: row.get(13)?,
        ..Columns::default()
    })
}

/// Empties all that a user has said, and puts another name in its place.
pub(super) fn erase(connection: &Connection, user: &UserId, alias: &UserId) -> Result<Vec<RoomName>, Fault> {
    let mut touched = erase_documents(connection, user)?;
    let batch = Batch::begin(connection)?;
    for name in rooms_of(connection, user)? {
        if let Some(room) = OpenRoom::find(&batch, &name)? {
            erase_in(connection, &room, user, alias)?;
            touched.push(name);
        }
    }
    for sql in ["DELETE FROM reaction WHERE sender = ?1", "DELETE FROM cid_memory WHERE sender = ?1"] {
        connection.execute(sql, [user.as_str()])?;
    }
    let (old, new) = (format!("role:{user}"), format!("role:{alias}"));
    connection.execute("UPDATE state SET key = ?2 WHERE key = ?1", [old, new])?;
    touched.sort_unstable();
    touched.dedup();
    Ok(touched)
}

/// Lists the rooms with entries of a user, or about one. Reads the whole log: it is asked rarely.
fn rooms_of(connection: &Connection, user: &UserId) -> Result<Vec<RoomName>, Fault> {
    let sql = "SELECT DISTINCT room.name FROM message JOIN room ON room.id = message.room_id \
         WHERE sender = ?1 OR instr(mentions, ?2) > 0 OR (kind = 6 AND instr(body, ?2) > 0)";
    let mut select = connection.prepare(sql)?;
    let rows = select.query_map(params![user.as_str(), quoted(user)], |row| row.get::<_, String>(0))?;
    rows.map(|name| RoomName::parse_any(&name?).map_err(|_| Fault::Corrupt)).collect()
}

/// Returns the name as JSON spells it.
fn quoted(user: &UserId) -> String {
    serde_json::to_string(user).unwrap_or_default()
}

fn erase_in(connection: &Connection, room: &OpenRoom, user: &UserId, alias: &UserId) -> Result<(), Fault> {
    let sql = format!(
        "SELECT {COLUMNS} FROM message WHERE room_id = ?1 AND (sender = ?2 OR instr(mentions, ?3) > 0 \
         OR (kind = 6 AND instr(body, ?3) > 0))"
    );
    let mut select = connection.prepare(&sql)?;
    let mut rows = select.query(params![room.id, user.as_str(), quoted(user)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Columns::read(row, &room.checksum)?);
    }
    for mut row in found {
        unmention(&mut row, user, alias)?;
        if row.sender == user.as_str() {
            if row.kind == kind::MESSAGE {
                search::forget(connection, room.id, &row)?;
            }
            if matches!(row.kind, kind::MESSAGE | kind::EDIT | kind::REACTION) {
                row.body.clear();
                row.mentions = None;
            }
            row.sender = alias.as_str().into();
            (row.cid, row.digest) = (None, None);
            change::write(room, connection, &row)?;
            if row.kind == kind::MESSAGE {
                search::renew(connection, room.id, &row)?;
            }
        } else {
            change::write(room, connection, &row)?;
        }
    }
    Ok(())
}

/// Takes a user out of what an entry says of others.
fn unmention(row: &mut Columns, user: &UserId, alias: &UserId) -> Result<(), Fault> {
    if let Some(mentions) = &row.mentions {
        let mut users: Vec<UserId> = serde_json::from_str(mentions).map_err(|_| Fault::Corrupt)?;
        users.retain(|mentioned| mentioned != user);
        row.mentions = (!users.is_empty()).then(|| serde_json::to_string(&users).unwrap_or_default());
    }
    if row.kind == kind::ROLE {
        let mut change: RoleChange = serde_json::from_str(&row.body).map_err(|_| Fault::Corrupt)?;
        if change.user == *user {
            change.user = alias.clone();
            row.body = serde_json::to_string(&change).unwrap_or_default();
        }
    }
    Ok(())
}

/// Deletes the documents about a user; returns the rooms that they were about.
fn erase_documents(connection: &Connection, user: &UserId) -> Result<Vec<RoomName>, Fault> {
    let mut select = connection.prepare("SELECT key FROM document WHERE instr(key, ?1) > 0")?;
    let keys = select.query_map([user.as_str()], |row| row.get::<_, String>(0))?;
    let mut rooms = Vec::new();
    for key in keys.collect::<Result<Vec<_>, _>>()? {
        let parts: Vec<_> = key.split(DOCUMENT_SEPARATOR).collect();
        let room = match parts[..] {
            ["read", name, room] if name == user.as_str() => room,
            ["cursor" | "seen", room, name] if name == user.as_str() => room,
            _ => continue,
        };
        rooms.extend(RoomName::parse_any(room));
        connection.execute("DELETE FROM document WHERE key = ?1", [&key])?;
    }
    Ok(rooms)
}

/// Stores a part of an export.
pub(super) fn restore(connection: &Connection, name: &RoomName, part: &Snapshot) -> Result<Head, Fault> {
    let mut batch = Batch::begin(connection)?;
    let mut room = match OpenRoom::find(&batch, name)? {
        Some(room) => room,
        None => {
            let own = Epoch(uuid::Uuid::new_v4().as_u128());
            OpenRoom::create(&batch, name, own, number(part.ends.floor))?
        }
    };
    for record in &part.tail {
        if number(record.seq) == room.head + 1 {
            restore_one(&mut batch, &mut room, record)?;
        }
    }
    replace_state(connection, room.id, &part.state)?;
    room.save(connection)?;
    head(&room)
}

fn restore_one(batch: &mut Batch<'_>, room: &mut OpenRoom, record: &Record) -> Result<(), Fault> {
    let mut row = Columns::of(&record.content);
    (row.seq, row.ts) = (number(record.seq), record.ts);
    row.sender = record.sender.as_str().into();
    row.cid = record.cid.as_deref().map(Into::into);
    row.digest = row.cid.is_some().then(|| row.digest_of());
    batch.insert(room.id, &row, room.checksum.of(&row))?;
    (room.head, room.last_ts) = (row.seq, room.last_ts.max(row.ts));
    match &record.content {
        Content::Reaction(reaction) if reaction.active && !reaction.emoji.is_empty() => {
            let react = params![room.id, row.target, row.body, row.sender, row.seq];
            batch.connection.prepare_cached(REACT)?.execute(react)?;
        }
        Content::Reaction(_) => {
            let unreact = params![room.id, row.target, row.body, row.sender];
            batch.connection.prepare_cached(UNREACT)?.execute(unreact)?;
        }
        Content::Delete(_) => {
            batch.connection.prepare_cached(FORGET_REACTIONS)?.execute(params![room.id, row.target])?;
        }
        _ => {}
    }
    Ok(())
}

fn replace_state(connection: &Connection, room_id: i64, state: &RoomState) -> Result<(), Fault> {
    connection.execute("DELETE FROM state WHERE room_id = ?1", [room_id])?;
    for (key, value) in state_rows(state) {
        let sql = "INSERT INTO state (room_id, key, value) VALUES (?1, ?2, ?3)";
        connection.execute(sql, params![room_id, key, value])?;
    }
    Ok(())
}

/// Gives every room a new epoch.
pub(super) fn renew(connection: &Connection) -> Result<(), Fault> {
    connection.execute("UPDATE lineage SET generation = randomblob(16)", ())?;
    connection.execute("DELETE FROM document WHERE key = 'lineage'", ())?;
    Ok(())
}
