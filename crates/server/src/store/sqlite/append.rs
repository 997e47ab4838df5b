//! Puts drafts into their rooms' logs, inside the writer's transaction.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use parlour_hub::log::{Draft, Guard, NewEntry, Place, Refused, Stored};
use parlour_protocol::content::{Content, Text};
use parlour_protocol::{Epoch, Seq};
use rusqlite::{Connection, OptionalExtension, params};

use super::change;
use super::checksum::RoomChecksum;
use super::columns::{COLUMNS, Columns, kind, seq};
use super::fault::Fault;

const FIND_ROOM: &str = "SELECT id, epoch, head, floor, last_ts FROM room WHERE name = ?1";
const CREATE_ROOM: &str = "INSERT INTO room (name, epoch, head, floor, last_ts) \
     VALUES (?1, ?2, ?4, ?4, ?3) RETURNING id";
const SAVE_ROOM: &str = "UPDATE room SET head = ?2, last_ts = ?3 WHERE id = ?1";
/// The index of the cids finds a duplicate while it takes the new entry: no look-up of its own.
const INSERT: &str = "INSERT INTO message (room_id, seq, ts, sender, cid, body, checksum, kind, target, \
     thread, mentions, active, count, edited, deleted, digest, arrival) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17) \
     ON CONFLICT (room_id, sender, cid) WHERE cid IS NOT NULL DO NOTHING";
const ARRIVE: &str = "INSERT INTO arrival (id, room_id, seq) VALUES (?1, ?2, ?3)";
const REMEMBERED: &str = "SELECT seq, ts, digest FROM cid_memory \
     WHERE room_id = ?1 AND sender = ?2 AND cid = ?3";
const HAS_MEMORY: &str = "SELECT EXISTS (SELECT 1 FROM cid_memory)";
const LAST_ARRIVAL: &str = "SELECT coalesce(max(id), 0) FROM arrival";
const GENERATION: &str = "SELECT generation FROM lineage";

/// One fact by which a reopened database tells whether the transaction was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Witness {
    pub(super) room_id: i64,
    pub(super) head: i64,
}

/// Answers in the middle of a transaction: the store's failure outside, the draft's refusal inside.
type Answer<T> = Result<Result<T, Refused>, Fault>;

/// What all drafts of one transaction have in common.
pub(super) struct Batch<'a> {
    pub(super) connection: &'a Connection,
    generation: u128,
    /// Whether cids of trimmed records are remembered.
    has_memory: bool,
    last_arrival: i64,
}

/// Stores drafts in their order; answers once per draft.
pub(super) fn append(
    connection: &Connection,
    drafts: &[Draft],
    witness: &mut Option<Witness>,
) -> Result<Vec<Result<Stored, Refused>>, Fault> {
    let mut batch = Batch::begin(connection)?;
    let mut rooms = HashMap::new();
    let mut answers = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let room = match rooms.entry(draft.room.as_str()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(OpenRoom::load(&batch, draft)?),
        };
        answers.push(room.store(&mut batch, draft)?);
    }
    for room in rooms.values().filter(|room| room.changed) {
        *witness = Some(room.save(connection)?);
    }
    Ok(answers)
}

/// Returns the number that all epochs are combined with.
pub(super) fn generation(connection: &Connection) -> rusqlite::Result<u128> {
    connection.prepare_cached(GENERATION)?.query_row((), |row| row.get(0).map(u128::from_be_bytes))
}

impl<'a> Batch<'a> {
    pub(super) fn begin(connection: &'a Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            connection,
            generation: generation(connection)?,
            has_memory: connection.prepare_cached(HAS_MEMORY)?.query_row((), |row| row.get(0))?,
            last_arrival: connection.prepare_cached(LAST_ARRIVAL)?.query_row((), |row| row.get(0))?,
        })
    }

    /// Writes the row of an entry; false if its cid is there already.
    pub(super) fn insert(&mut self, room: i64, row: &Columns, checksum: i64) -> Result<bool, Fault> {
        let arrival = (row.kind == kind::MESSAGE).then_some(self.last_arrival + 1);
        let inserted = self.connection.prepare_cached(INSERT)?.execute(params![
            room, row.seq, row.ts, row.sender, row.cid, row.body, checksum, row.kind, row.target, row.thread,
            row.mentions, row.active, row.count, row.edited, row.deleted, row.digest, arrival,
        ])?;
        if let (Some(arrival), true) = (arrival, inserted > 0) {
            self.connection.prepare_cached(ARRIVE)?.execute(params![arrival, room, row.seq])?;
            self.last_arrival = arrival;
        }
        Ok(inserted > 0)
    }
}

/// A room while the transaction lasts.
pub(super) struct OpenRoom {
    pub(super) id: i64,
    epoch: Epoch,
    pub(super) head: i64,
    pub(super) floor: i64,
    pub(super) last_ts: i64,
    pub(super) checksum: RoomChecksum,
    pub(super) changed: bool,
}

impl OpenRoom {
    fn load(batch: &Batch<'_>, draft: &Draft) -> Result<Self, Fault> {
        let own = Epoch(draft.new_epoch.0 ^ batch.generation);
        match Self::find(batch, &draft.room)? {
            Some(room) => Ok(room),
            None => Self::create(batch, &draft.room, own, 0),
        }
    }

    pub(super) fn find(batch: &Batch<'_>, name: &parlour_protocol::RoomName) -> Result<Option<Self>, Fault> {
        let mut find = batch.connection.prepare_cached(FIND_ROOM)?;
        let found = find.query_row([name.as_str()], |row| {
            Ok((row.get(0)?, row.get(1).map(u128::from_be_bytes)?, row.get(2)?, row.get(3)?, row.get(4)?))
        });
        let Some((id, own, head, floor, last_ts)) = found.optional()? else {
            return Ok(None);
        };
        if floor < 0 || head < floor {
            return Err(Fault::Corrupt);
        }
        let (epoch, checksum) = (Epoch(own ^ batch.generation), RoomChecksum::new(name, Epoch(own)));
        Ok(Some(Self { id, epoch, head, floor, last_ts, checksum, changed: false }))
    }

    /// Creates a room whose first record follows `floor`.
    pub(super) fn create(
        batch: &Batch<'_>,
        name: &parlour_protocol::RoomName,
        own: Epoch,
        floor: i64,
    ) -> Result<Self, Fault> {
        let mut create = batch.connection.prepare_cached(CREATE_ROOM)?;
        let values = params![name.as_str(), own.0.to_be_bytes(), i64::MIN, floor];
        let id = create.query_row(values, |row| row.get(0))?;
        let (epoch, checksum) = (Epoch(own.0 ^ batch.generation), RoomChecksum::new(name, own));
        Ok(Self { id, epoch, head: floor, floor, last_ts: i64::MIN, checksum, changed: false })
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn store(&mut self, batch: &mut Batch<'_>, draft: &Draft) -> Answer<Stored> {
        if let [entry] = &draft.entries[..]
            && is_plain(&entry.content)
            && draft.guard != Guard::NewRoom
            && !(batch.has_memory && entry.cid.is_some())
        {
            return self.store_plain(batch, draft, entry);
        }
        match self.earlier(batch, draft)? {
            Ok(None) => {}
            Ok(Some(stored)) => return Ok(Ok(stored)),
            Err(refused) => return Ok(Err(refused)),
        }
        if draft.guard == Guard::NewRoom && self.head > 0 {
            return Ok(Err(Refused::Exists));
        }
        self.store_all(batch, draft)
    }

    /// Stores a message that is nothing but its text, as nearly all are.
    fn store_plain(&mut self, batch: &mut Batch<'_>, draft: &Draft, entry: &NewEntry) -> Answer<Stored> {
        let ts = draft.ts.max(self.last_ts);
        let mut row = Columns::of(&entry.content);
        self.complete(&mut row, draft, entry, ts);
        if !batch.insert(self.id, &row, self.checksum.of(&row))? {
            let stored = self.earlier(batch, draft)?;
            return Ok(stored.and_then(|stored| stored.ok_or(Refused::Conflict)));
        }
        self.note(row.seq, ts);
        Ok(Ok(self.stored(ts, false, vec![Place { seq: seq(row.seq)?, thread: None, count: 0 }])))
    }

    /// Stores all entries, or leaves no trace of any.
    fn store_all(&mut self, batch: &mut Batch<'_>, draft: &Draft) -> Answer<Stored> {
        let (head, last_ts, changed, arrival) = (self.head, self.last_ts, self.changed, batch.last_arrival);
        let ts = draft.ts.max(self.last_ts);
        let mut places = Vec::with_capacity(draft.entries.len());
        let mut dup = false;
        batch.connection.execute_batch("SAVEPOINT draft")?;
        for entry in &draft.entries {
            match self.store_one(batch, draft, entry, ts)? {
                Ok((place, is_new)) => {
                    dup |= !is_new;
                    places.push(place);
                }
                Err(refused) => {
                    batch.connection.execute_batch("ROLLBACK TO draft; RELEASE draft")?;
                    (self.head, self.last_ts, self.changed) = (head, last_ts, changed);
                    batch.last_arrival = arrival;
                    return Ok(Err(refused));
                }
            }
        }
        batch.connection.execute_batch("RELEASE draft")?;
        Ok(Ok(self.stored(ts, dup, places)))
    }

    /// Stores one entry and what follows from it; false if it changes nothing.
    fn store_one(
        &mut self,
        batch: &mut Batch<'_>,
        draft: &Draft,
        entry: &NewEntry,
        ts: i64,
    ) -> Answer<(Place, bool)> {
        let mut row = Columns::of(&entry.content);
        self.complete(&mut row, draft, entry, ts);
        let by = change::By { sender: draft.sender.as_str(), guard: draft.guard };
        match change::apply(self, batch.connection, &mut row, &entry.content, by)? {
            Ok(None) => {}
            Ok(Some(earlier)) => return Ok(Ok((earlier, false))),
            Err(refused) => return Ok(Err(refused)),
        }
        if !batch.insert(self.id, &row, self.checksum.of(&row))? {
            return Ok(Err(Refused::Conflict));
        }
        self.note(row.seq, ts);
        Ok(Ok((place(&row)?, true)))
    }

    /// Fills in the columns that do not follow from the content.
    fn complete(&self, row: &mut Columns, draft: &Draft, entry: &NewEntry, ts: i64) {
        (row.seq, row.ts) = (self.head + 1, ts);
        row.sender = draft.sender.as_str().into();
        row.cid = entry.cid.as_deref().map(Into::into);
        row.digest = row.cid.is_some().then(|| row.digest_of());
    }

    fn note(&mut self, head: i64, ts: i64) {
        (self.head, self.last_ts, self.changed) = (head, ts, true);
    }

    /// Finds a draft that was stored before, by its cids.
    ///
    /// A damaged original is a conflict: nobody can say that it is the same message, and an error
    /// of the whole batch would let one sender who retries stop all the others.
    fn earlier(&self, batch: &Batch<'_>, draft: &Draft) -> Answer<Option<Stored>> {
        let (mut first, mut is_new, mut ts, mut places) = (None, false, 0, Vec::new());
        for (index, entry) in (0..).zip(&draft.entries) {
            let Some(cid) = entry.cid.as_deref() else {
                continue;
            };
            let new = Columns::of(&entry.content);
            let original = match self.original(batch, draft.sender.as_str(), cid)? {
                Some(original) if original.said_first(&new) => original,
                Some(_) => return Ok(Err(Refused::Conflict)),
                None => {
                    is_new = true;
                    continue;
                }
            };
            let begin = original.seq - index;
            if *first.get_or_insert(begin) != begin {
                return Ok(Err(Refused::Conflict));
            }
            ts = original.ts;
            places.push(place(&original)?);
        }
        let Some(first) = first else {
            return Ok(Ok(None));
        };
        if is_new {
            return Ok(Err(Refused::Conflict));
        }
        let mut known = places.into_iter().peekable();
        let entries = (first..).zip(&draft.entries).map(|(number, _)| {
            let here = Seq(number.unsigned_abs());
            known.next_if(|place| place.seq == here).unwrap_or(Place { seq: here, thread: None, count: 0 })
        });
        let entries = entries.collect();
        Ok(Ok(Some(self.stored(ts, true, entries))))
    }

    /// Finds what was first said under a cid; a damaged row is said to have been something else.
    pub(super) fn original(&self, batch: &Batch<'_>, sender: &str, cid: &str) -> Result<Option<Columns>, Fault> {
        let sql = format!("SELECT {COLUMNS} FROM message WHERE room_id = ?1 AND sender = ?2 AND cid = ?3");
        let mut find = batch.connection.prepare_cached(&sql)?;
        let mut rows = find.query(params![self.id, sender, cid])?;
        if let Some(row) = rows.next()? {
            let number: i64 = row.get(0)?;
            return Ok(Some(Columns::read(row, &self.checksum).unwrap_or_else(|_| {
                tracing::error!(room_id = self.id, seq = number, "a stored message does not match its checksum");
                Columns { seq: number, kind: -1, ..Columns::default() }
            })));
        }
        if !batch.has_memory {
            return Ok(None);
        }
        let mut find = batch.connection.prepare_cached(REMEMBERED)?;
        let remembered = find.query_row(params![self.id, sender, cid], |row| {
            Ok(Columns { seq: row.get(0)?, ts: row.get(1)?, digest: Some(row.get(2)?), ..Columns::default() })
        });
        Ok(remembered.optional()?)
    }

    fn stored(&self, ts: i64, dup: bool, entries: Vec<Place>) -> Stored {
        Stored { epoch: self.epoch, ts, dup, entries }
    }

    pub(super) fn save(&self, connection: &Connection) -> Result<Witness, Fault> {
        let mut save = connection.prepare_cached(SAVE_ROOM)?;
        save.execute(params![self.id, self.head, self.last_ts])?;
        Ok(Witness { room_id: self.id, head: self.head })
    }
}

fn is_plain(content: &Content) -> bool {
    matches!(content, Content::Message(Text { details, .. })
        if details.as_ref().is_none_or(|details| details.reply_to.is_none()))
}

/// Returns where an entry is, and what the log knows of it.
pub(super) fn place(row: &Columns) -> Result<Place, Fault> {
    let count = row.count.and_then(|count| count.try_into().ok()).unwrap_or(0);
    Ok(Place { seq: seq(row.seq)?, thread: row.thread.map(seq).transpose()?, count })
}
