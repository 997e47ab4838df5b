//! Puts drafts into their rooms' logs, inside the writer's transaction.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use parlour_hub::log::{Draft, Stored};
use parlour_protocol::{Epoch, Seq};
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use super::super::Conflict;
use super::checksum::{Columns, RoomChecksum};
use super::fault::Fault;

const FIND_ROOM: &str = "SELECT id, epoch, head, floor, last_ts FROM room WHERE name = ?1";
const CREATE_ROOM: &str = "INSERT INTO room (name, epoch, head, floor, last_ts) \
     VALUES (?1, ?2, 0, 0, ?3) RETURNING id";
const SAVE_ROOM: &str = "UPDATE room SET head = ?2, last_ts = ?3 WHERE id = ?1";
/// The index of the cids finds a duplicate while it takes the new entry: no look-up of its own.
const INSERT: &str = "INSERT INTO message (room_id, seq, ts, sender, cid, body, checksum) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
     ON CONFLICT (room_id, sender, cid) WHERE cid IS NOT NULL DO NOTHING";
const FIND_CID: &str = "SELECT seq, ts, body, checksum FROM message \
     WHERE room_id = ?1 AND sender = ?2 AND cid = ?3";

/// One fact by which a reopened database tells whether the transaction was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Witness {
    pub(super) room_id: i64,
    pub(super) head: i64,
}

/// Stores drafts in their order; answers once per draft.
pub(super) fn append(
    connection: &Connection,
    drafts: &[Draft],
    witness: &mut Option<Witness>,
) -> Result<Vec<Result<Stored, Conflict>>, Fault> {
    let mut insert = connection.prepare_cached(INSERT)?;
    let mut rooms = HashMap::new();
    let mut answers = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let room = match rooms.entry(draft.room.as_str()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(OpenRoom::load(connection, draft)?),
        };
        answers.push(room.store(connection, &mut insert, draft)?);
    }
    for room in rooms.values().filter(|room| room.changed) {
        *witness = Some(room.save(connection)?);
    }
    Ok(answers)
}

/// A room while the transaction lasts.
struct OpenRoom {
    id: i64,
    epoch: Epoch,
    head: i64,
    last_ts: i64,
    checksum: RoomChecksum,
    changed: bool,
}

impl OpenRoom {
    fn load(connection: &Connection, draft: &Draft) -> Result<Self, Fault> {
        let mut find = connection.prepare_cached(FIND_ROOM)?;
        let found = find
            .query_row([draft.room.as_str()], |row| {
                let epoch = Epoch(u128::from_be_bytes(row.get(1)?));
                Ok((row.get(0)?, epoch, row.get(2)?, row.get(3)?, row.get(4)?))
            })
            .optional()?;
        let (id, epoch, head, floor, last_ts) = match found {
            Some(room) => room,
            None => (create_room(connection, draft)?, draft.new_epoch, 0, 0, i64::MIN),
        };
        if floor < 0 || head < floor {
            return Err(Fault::Corrupt);
        }
        let checksum = RoomChecksum::new(&draft.room, epoch);
        Ok(Self { id, epoch, head, last_ts, checksum, changed: false })
    }

    fn store(
        &mut self,
        connection: &Connection,
        insert: &mut CachedStatement<'_>,
        draft: &Draft,
    ) -> Result<Result<Stored, Conflict>, Fault> {
        let seq = self.head + 1;
        let ts = draft.ts.max(self.last_ts);
        let (sender, cid, body) = (draft.sender.as_str(), draft.cid.as_deref(), &*draft.body);
        let checksum = self.checksum.of(&Columns {
            seq: seq.unsigned_abs(),
            ts,
            sender: sender.as_bytes(),
            cid: cid.map(str::as_bytes),
            body: body.as_bytes(),
        });
        let inserted = insert.execute(params![self.id, seq, ts, sender, cid, body, checksum])?;
        if inserted == 0 {
            return self.original(connection, draft);
        }
        self.head = seq;
        self.last_ts = ts;
        self.changed = true;
        Ok(Ok(self.stored(seq, ts, false)))
    }

    /// Finds the message that has the draft's cid.
    ///
    /// A damaged original is a conflict: nobody can say that it is the same message, and an error
    /// of the whole batch would let one sender who retries stop all the others.
    fn original(&self, connection: &Connection, draft: &Draft) -> Result<Result<Stored, Conflict>, Fault> {
        let (sender, cid) = (draft.sender.as_str(), draft.cid.as_deref());
        let mut find = connection.prepare_cached(FIND_CID)?;
        let mut rows = find.query(params![self.id, sender, cid])?;
        let row = rows.next()?.ok_or(Fault::Corrupt)?;
        let (seq, ts): (i64, i64) = (row.get(0)?, row.get(1)?);
        let body = row.get_ref(2)?.as_bytes()?;
        let columns = Columns {
            seq: seq.unsigned_abs(),
            ts,
            sender: sender.as_bytes(),
            cid: cid.map(str::as_bytes),
            body,
        };
        let intact = row.get::<_, i64>(3)? == self.checksum.of(&columns);
        if !intact {
            tracing::error!(room = %draft.room, seq, "a stored message does not match its checksum");
        }
        let same = intact && body == draft.body.as_bytes();
        Ok(if same { Ok(self.stored(seq, ts, true)) } else { Err(Conflict) })
    }

    fn stored(&self, seq: i64, ts: i64, dup: bool) -> Stored {
        Stored { epoch: self.epoch, seq: Seq(seq.unsigned_abs()), ts, dup }
    }

    fn save(&self, connection: &Connection) -> Result<Witness, Fault> {
        let mut save = connection.prepare_cached(SAVE_ROOM)?;
        save.execute(params![self.id, self.head, self.last_ts])?;
        Ok(Witness { room_id: self.id, head: self.head })
    }
}

fn create_room(connection: &Connection, draft: &Draft) -> Result<i64, Fault> {
    let mut create = connection.prepare_cached(CREATE_ROOM)?;
    let epoch = draft.new_epoch.0.to_be_bytes();
    let created = params![draft.room.as_str(), epoch, i64::MIN];
    Ok(create.query_row(created, |row| row.get(0))?)
}
