//! Puts drafts into their rooms' logs, inside the writer's transaction.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use parlour_hub::log::{Draft, Guard, NewEntry, Place, Refused, Stored};
use parlour_protocol::content::Content;
use parlour_protocol::{Epoch, Seq};
use rusqlite::{CachedStatement, Connection, ErrorCode};

use super::super::digest::digest;
use super::cids;
use super::fault::Fault;
use super::job::Aftermath;
use super::room::Room;
use super::row::{MESSAGE, Row};

/// The index of the cids finds a duplicate while it takes the new entry: no look-up of its own.
pub(super) const INSERT: &str = "INSERT INTO message (room_id, seq, ts, sender, cid, kind, body, mentions, target, \
     thread, active, count, edited, deleted, digest, checksum) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16) \
     ON CONFLICT (room_id, sender, cid) WHERE cid IS NOT NULL DO NOTHING";

/// One fact by which a reopened database tells whether the transaction was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Witness {
    pub(super) room_id: i64,
    pub(super) head: i64,
}

/// What becomes of a draft. The outer error ends the transaction.
type Outcome<T> = Result<Result<T, Refused>, Fault>;

/// Stores drafts in their order; answers once per draft.
pub(super) fn append(
    connection: &Connection,
    drafts: &[Draft],
    after: &mut Aftermath,
) -> Result<Vec<Result<Stored, Refused>>, Fault> {
    let mut insert = connection.prepare_cached(INSERT)?;
    let generation = super::room::generation(connection)?;
    let mut rooms = HashMap::new();
    let mut answers = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let room = match rooms.entry(draft.room.as_str()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Appender::open(connection, draft, generation)?),
        };
        answers.push(room.store(&mut insert, draft, after)?);
    }
    for room in rooms.into_values() {
        let Some(room) = room.room.filter(|found| found.head > room.head) else { continue };
        room.save(connection)?;
        after.witness = Some(Witness { room_id: room.id, head: room.head });
        after.added += room.added;
    }
    Ok(answers)
}

/// A room while the transaction lasts.
struct Appender<'c> {
    connection: &'c Connection,
    /// `None` before its first entry.
    room: Option<Room>,
    /// Where its log ended before.
    head: i64,
    generation: u128,
    /// It contradicts itself: it takes nothing, but the other rooms of the batch do.
    is_damaged: bool,
}

impl<'c> Appender<'c> {
    fn open(connection: &'c Connection, draft: &Draft, generation: u128) -> Result<Self, Fault> {
        let (room, is_damaged) = match Room::find(connection, &draft.room) {
            Ok(room) => (room, false),
            Err(Fault::Sqlite(error)) if error.sqlite_error_code().is_some() => return Err(error.into()),
            Err(_) => (None, true),
        };
        let head = room.as_ref().map_or(0, |room| room.head);
        Ok(Self { connection, room, head, generation, is_damaged })
    }

    fn store(
        &mut self,
        insert: &mut CachedStatement<'_>,
        draft: &Draft,
        after: &mut Aftermath,
    ) -> Outcome<Stored> {
        let stored = match draft.entries.as_slice() {
            _ if self.is_damaged => return Ok(Err(Refused::Corrupt)),
            [entry] if is_plain(entry) && draft.guard != Guard::NewRoom => {
                self.store_plain(insert, draft, entry)
            }
            _ => self.store_group(insert, draft, after),
        };
        match stored {
            Err(Fault::Corrupt) => Ok(Err(Refused::Corrupt)),
            // The head is damaged: its successor is there already.
            Err(Fault::Sqlite(error))
                if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) =>
            {
                self.is_damaged = true;
                tracing::error!(room = %draft.room, "the room is damaged");
                Ok(Err(Refused::Corrupt))
            }
            stored => stored,
        }
    }

    /// Stores a message that nothing has to be looked up for.
    fn store_plain(
        &mut self,
        insert: &mut CachedStatement<'_>,
        draft: &Draft,
        entry: &NewEntry,
    ) -> Outcome<Stored> {
        let room = Self::begun(&mut self.room, self.connection, draft, self.generation)?;
        if let (Some(cid), true) = (&entry.cid, room.floor > 0)
            && let Some(known) = cids::trimmed(self.connection, room.id, &draft.sender, cid)?
        {
            return repeated(self.connection, room, self.generation, draft, &[(0, Some(known))]);
        }
        let (seq, ts) = (room.head + 1, draft.ts.max(room.last_ts));
        let row = Row::new(seq, ts, &draft.sender, entry.cid.as_deref(), &entry.content);
        if row.write(insert, room.id, &room.checksum)? == 0 {
            let cid = entry.cid.as_deref().unwrap_or_default();
            let known = cids::find(self.connection, room, &draft.sender, cid)?;
            return repeated(self.connection, room, self.generation, draft, &[(0, known)]);
        }
        room.grow(seq, ts, row.kind == MESSAGE);
        Ok(Ok(stored(room, self.generation, ts, vec![place(seq)])))
    }

    /// Stores entries of any sort, all or none.
    fn store_group(
        &mut self,
        insert: &mut CachedStatement<'_>,
        draft: &Draft,
        after: &mut Aftermath,
    ) -> Outcome<Stored> {
        let mut seen = HashSet::new();
        if !draft.entries.iter().filter_map(|entry| entry.cid.as_deref()).all(|cid| seen.insert(cid)) {
            return Ok(Err(Refused::Conflict));
        }
        if let Some(room) = &self.room {
            let known = originals(self.connection, room, draft)?;
            if known.iter().any(|(_, known)| known.is_some()) {
                return repeated(self.connection, room, self.generation, draft, &known);
            }
            if draft.guard == Guard::NewRoom && room.head > 0 {
                return Ok(Err(Refused::Exists));
            }
        }
        let before = self.room.clone();
        self.connection.prepare_cached("SAVEPOINT draft")?.execute(())?;
        let outcome = self.store_all(insert, draft, after);
        if !matches!(outcome, Ok(Ok(_))) {
            self.connection.prepare_cached("ROLLBACK TO draft")?.execute(())?;
            self.room = before;
        }
        self.connection.prepare_cached("RELEASE draft")?.execute(())?;
        match outcome? {
            // What is there already cannot be stored together with what is not.
            Ok(stored) if stored.entries.len() < draft.entries.len() => Ok(Err(Refused::Conflict)),
            outcome => Ok(outcome),
        }
    }

    fn store_all(
        &mut self,
        insert: &mut CachedStatement<'_>,
        draft: &Draft,
        after: &mut Aftermath,
    ) -> Outcome<Stored> {
        let needs_target = |entry: &NewEntry| {
            let makes_room =
                matches!(entry.content, Content::Settings(_) | Content::Role(_) | Content::Sanction(_));
            !is_plain(entry) && !makes_room
        };
        if self.room.is_none() && draft.entries.first().is_none_or(needs_target) {
            // What is refused creates no room.
            return Ok(Err(Refused::NoTarget));
        }
        let room = Self::begun(&mut self.room, self.connection, draft, self.generation)?;
        let ts = draft.ts.max(room.last_ts);
        let mut places = Vec::with_capacity(draft.entries.len());
        for entry in &draft.entries {
            let mut row = Row::new(room.head + 1, ts, &draft.sender, entry.cid.as_deref(), &entry.content);
            match room.take_effect(self.connection, &mut row, &entry.content, draft.guard)? {
                Ok(None) => {}
                Ok(Some((ts, earlier))) => {
                    let repeated = stored(room, self.generation, ts, vec![earlier]);
                    // A group with it has fewer places than entries.
                    return Ok(if places.is_empty() {
                        Ok(Stored { dup: true, ..repeated })
                    } else {
                        Err(Refused::Conflict)
                    });
                }
                Err(refused) => return Ok(Err(refused)),
            }
            after.erased |= row.erases();
            row.write(insert, room.id, &room.checksum)?;
            room.grow(row.seq, ts, row.kind == MESSAGE);
            places.push(row.place()?);
        }
        Ok(Ok(stored(room, self.generation, ts, places)))
    }

    /// Returns the room, which is created if it has no log.
    fn begun<'r>(
        room: &'r mut Option<Room>,
        connection: &Connection,
        draft: &Draft,
        generation: u128,
    ) -> Result<&'r mut Room, Fault> {
        match room {
            Some(room) => Ok(room),
            None => {
                Ok(room.insert(Room::create(connection, &draft.room, Epoch(draft.new_epoch.0 ^ generation))?))
            }
        }
    }
}

/// Whether nothing has to be looked up for an entry but its cid.
fn is_plain(entry: &NewEntry) -> bool {
    match &entry.content {
        Content::Message(said) => said.details.as_ref().is_none_or(|details| details.reply_to.is_none()),
        _ => false,
    }
}

/// What is known of the cids of a draft, with the indexes of their entries.
fn originals(
    connection: &Connection,
    room: &Room,
    draft: &Draft,
) -> Result<Vec<(usize, Option<cids::Known>)>, Fault> {
    let given =
        draft.entries.iter().enumerate().filter_map(|(index, entry)| Some((index, entry.cid.as_deref()?)));
    given.map(|(index, cid)| Ok((index, cids::find(connection, room, &draft.sender, cid)?))).collect()
}

/// Answers a draft of which cids are known.
///
/// A damaged original is a conflict: nobody can say that it is the same message.
fn repeated(
    connection: &Connection,
    room: &Room,
    generation: u128,
    draft: &Draft,
    originals: &[(usize, Option<cids::Known>)],
) -> Outcome<Stored> {
    let mut first = None;
    for (index, known) in originals {
        let Some(known) = known else { return Ok(Err(Refused::Conflict)) };
        let offset = i64::try_from(*index).unwrap_or(i64::MAX);
        let (base, _) = *first.get_or_insert((known.seq - offset, known.ts));
        if known.seq - base != offset || known.digest != Some(digest(&draft.entries[*index].content)) {
            return Ok(Err(Refused::Conflict));
        }
    }
    let Some((base, ts)) = first else { return Ok(Err(Refused::Conflict)) };
    // Entries without a cid were stored together with the others.
    let places = (base..).take(draft.entries.len()).map(|seq| room.place(connection, seq));
    let places = places.collect::<Result<_, _>>()?;
    Ok(Ok(Stored { dup: true, ..stored(room, generation, ts, places) }))
}

fn place(seq: i64) -> Place {
    Place { seq: Seq(seq.unsigned_abs()), thread: None, count: 0 }
}

fn stored(room: &Room, generation: u128, ts: i64, entries: Vec<Place>) -> Stored {
    Stored { epoch: room.epoch(generation), ts, dup: false, entries }
}
