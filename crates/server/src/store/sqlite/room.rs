//! A room inside a transaction: its own row, and the rows of its messages.

use parlour_hub::log::{Head, Place};
use parlour_protocol::{Epoch, RoomName};
use rusqlite::{Connection, OptionalExtension, params};

use super::checksum::RoomChecksum;
use super::fault::Fault;
use super::row::{COLUMNS, DELETE, EDIT, Row, seq};

const FIND: &str = "SELECT id, epoch, head, floor, last_ts FROM room WHERE name = ?1";
const CREATE: &str =
    "INSERT INTO room (name, epoch, head, floor, last_ts) VALUES (?1, ?2, 0, 0, ?3) RETURNING id";
const SAVE: &str = "UPDATE room SET head = ?2, floor = ?3, last_ts = ?4 WHERE id = ?1";
const UPDATE: &str = "UPDATE message SET ts = ?3, sender = ?4, cid = ?5, kind = ?6, body = ?7, mentions = ?8, \
     target = ?9, thread = ?10, active = ?11, count = ?12, edited = ?13, deleted = ?14, digest = ?15, \
     checksum = ?16 WHERE room_id = ?1 AND seq = ?2";

#[derive(Debug, Clone)]
pub(super) struct Room {
    pub(super) id: i64,
    /// Its epoch, less the generation.
    pub(super) base: Epoch,
    pub(super) head: i64,
    pub(super) floor: i64,
    pub(super) last_ts: i64,
    /// Messages that were added in this transaction.
    pub(super) added: usize,
    pub(super) checksum: RoomChecksum,
}

/// Reads the part of the epoch that all rooms share.
pub(super) fn generation(connection: &Connection) -> Result<u128, Fault> {
    let mut select = connection.prepare_cached("SELECT generation FROM lineage")?;
    Ok(u128::from_be_bytes(select.query_row((), |row| row.get(0))?))
}

impl Room {
    pub(super) fn find(connection: &Connection, name: &RoomName) -> Result<Option<Self>, Fault> {
        let mut find = connection.prepare_cached(FIND)?;
        let found = find
            .query_row([name.as_str()], |row| {
                let base = Epoch(u128::from_be_bytes(row.get(1)?));
                let checksum = RoomChecksum::new(name, base);
                let (id, head, floor, last_ts) = (row.get(0)?, row.get(2)?, row.get(3)?, row.get(4)?);
                Ok(Self { id, base, head, floor, last_ts, added: 0, checksum })
            })
            .optional()?;
        match found {
            Some(room) if room.floor < 0 || room.head < room.floor => Err(Fault::Corrupt),
            found => Ok(found),
        }
    }

    pub(super) fn create(connection: &Connection, name: &RoomName, base: Epoch) -> Result<Self, Fault> {
        let mut create = connection.prepare_cached(CREATE)?;
        let created = params![name.as_str(), base.0.to_be_bytes(), i64::MIN];
        let id = create.query_row(created, |row| row.get(0))?;
        let checksum = RoomChecksum::new(name, base);
        Ok(Self { id, base, head: 0, floor: 0, last_ts: i64::MIN, added: 0, checksum })
    }

    /// Notes an entry that was added.
    pub(super) fn grow(&mut self, seq: i64, ts: i64, is_message: bool) {
        self.head = seq;
        self.last_ts = self.last_ts.max(ts);
        self.added += usize::from(is_message);
    }

    pub(super) fn save(&self, connection: &Connection) -> Result<(), Fault> {
        let mut save = connection.prepare_cached(SAVE)?;
        save.execute(params![self.id, self.head, self.floor, self.last_ts])?;
        Ok(())
    }

    pub(super) fn epoch(&self, generation: u128) -> Epoch {
        Epoch(self.base.0 ^ generation)
    }

    pub(super) fn ends(&self, generation: u128) -> Result<Head, Fault> {
        Ok(Head { epoch: self.epoch(generation), head: seq(self.head)?, floor: seq(self.floor)? })
    }

    /// Reads a row that is kept.
    pub(super) fn row(&self, connection: &Connection, seq: i64) -> Result<Option<Row<'static>>, Fault> {
        if seq <= self.floor {
            return Ok(None);
        }
        let sql = format!("SELECT {COLUMNS} FROM message WHERE room_id = ?1 AND seq = ?2");
        let mut select = connection.prepare_cached(&sql)?;
        let mut rows = select.query(params![self.id, seq])?;
        rows.next()?.map(|row| Ok(Row::read(row, &self.checksum)?.into_owned())).transpose()
    }

    /// Writes a row that has changed.
    pub(super) fn rewrite(&self, connection: &Connection, row: &Row<'_>) -> Result<(), Fault> {
        row.write(&mut connection.prepare_cached(UPDATE)?, self.id, &self.checksum)?;
        Ok(())
    }

    /// Returns what an answer says about an entry that was stored earlier.
    pub(super) fn place(&self, connection: &Connection, number: i64) -> Result<Place, Fault> {
        match self.row(connection, number)? {
            Some(row) => row.place(),
            None => Ok(Place { seq: seq(number)?, thread: None, count: 0 }),
        }
    }
}

impl Row<'_> {
    /// Returns what an answer says about the entry.
    pub(super) fn place(&self) -> Result<Place, Fault> {
        let count = self.marks.count.unwrap_or_default();
        Ok(Place {
            seq: seq(self.seq)?,
            thread: self.marks.thread.map(seq).transpose()?,
            count: u32::try_from(count).map_err(|_| Fault::Corrupt)?,
        })
    }

    /// Whether an older text goes with it.
    pub(super) fn erases(&self) -> bool {
        matches!(self.kind, EDIT | DELETE)
    }
}
