//! Which entries have been stored already: by their cids, also those of rows that were trimmed.

use std::time::{SystemTime, UNIX_EPOCH};

use parlour_protocol::UserId;
use rusqlite::{Connection, OptionalExtension, params};

use super::super::CID_MEMORY_MS;
use super::fault::Fault;
use super::room::Room;
use super::row::{COLUMNS, Row};

const TRIMMED: &str = "SELECT seq, ts, digest FROM cid_memory \
     WHERE room_id = ?1 AND sender = ?2 AND cid = ?3 AND expires > ?4";
const REMEMBER: &str = "INSERT INTO cid_memory (room_id, sender, cid, seq, ts, digest, expires) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (room_id, sender, cid) \
     DO UPDATE SET seq = excluded.seq, ts = excluded.ts, digest = excluded.digest, expires = excluded.expires";
const FORGET: &str = "DELETE FROM cid_memory WHERE expires <= ?1";

/// What is known of a cid.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) seq: i64,
    pub(super) ts: i64,
    /// Of what was said first; `None` if the row is damaged.
    pub(super) digest: Option<i64>,
}

/// Finds an entry by its cid.
pub(super) fn find(
    connection: &Connection,
    room: &Room,
    sender: &UserId,
    cid: &str,
) -> Result<Option<Known>, Fault> {
    let sql = format!("SELECT {COLUMNS} FROM message WHERE room_id = ?1 AND sender = ?2 AND cid = ?3");
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query(params![room.id, sender.as_str(), cid])?;
    let Some(row) = rows.next()? else {
        return trimmed(connection, room.id, sender, cid);
    };
    let (seq, ts) = (row.get(0)?, row.get(1)?);
    let digest = Row::read(row, &room.checksum).and_then(|row| row.digest());
    if digest.is_err() {
        tracing::error!(room_id = room.id, seq, "a stored message does not match its checksum");
    }
    Ok(Some(Known { seq, ts, digest: digest.ok() }))
}

/// Finds an entry that was trimmed by its cid.
pub(super) fn trimmed(
    connection: &Connection,
    room_id: i64,
    sender: &UserId,
    cid: &str,
) -> Result<Option<Known>, Fault> {
    let mut select = connection.prepare_cached(TRIMMED)?;
    let known = select.query_row(params![room_id, sender.as_str(), cid, now_ms()], |row| {
        Ok(Known { seq: row.get(0)?, ts: row.get(1)?, digest: Some(row.get(2)?) })
    });
    Ok(known.optional()?)
}

/// Remembers the cid of a row that is about to be deleted.
pub(super) fn remember(connection: &Connection, room_id: i64, row: &Row<'_>) -> Result<(), Fault> {
    if let Some(cid) = &row.cid {
        let mut remember = connection.prepare_cached(REMEMBER)?;
        let expires = now_ms() + CID_MEMORY_MS;
        remember.execute(params![room_id, row.sender, cid, row.seq, row.ts, row.digest()?, expires])?;
    }
    Ok(())
}

/// Forgets the cids whose time is over.
pub(super) fn forget(connection: &Connection) -> Result<(), Fault> {
    connection.prepare_cached(FORGET)?.execute([now_ms()])?;
    Ok(())
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
