//! Drafts as the arguments of `append`, and its result as their answers.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use parlour_hub::log::{Draft, Guard, Place, Refused, Stored};
use parlour_protocol::content::{Content, NewText, Text};
use parlour_protocol::{Epoch, Seq};
use tokio_postgres::{Client, Row, Statement};
use uuid::Uuid;

use super::super::digest::digest;
use super::content::{Columns, seq};
use super::escape::escape;
use super::fault::Fault;

/// One argument per array; the order is that of the function.
pub(super) const APPEND: &str = "SELECT * FROM append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, \
     $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)";

/// What is answered to the drafts of a batch.
pub(super) type Answers = Vec<Result<Stored, Refused>>;

/// The arguments of `append`, by what they are about.
pub(super) struct Batch<'a> {
    rooms: Rooms<'a>,
    drafts: Drafts<'a>,
    entries: Entries<'a>,
}

/// In the order of their names, in which they are locked.
#[derive(Default)]
struct Rooms<'a> {
    names: Vec<&'a str>,
    epochs: Vec<Uuid>,
    plain: Vec<bool>,
    added: Vec<i32>,
    latest: Vec<i64>,
}

#[derive(Default)]
struct Drafts<'a> {
    room: Vec<i32>,
    sender: Vec<&'a str>,
    ts: Vec<i64>,
    guard: Vec<i16>,
    first: Vec<i32>,
    count: Vec<i32>,
}

#[derive(Default)]
struct Entries<'a> {
    draft: Vec<i32>,
    cid: Vec<Option<Cow<'a, str>>>,
    kind: Vec<i16>,
    target: Vec<Option<i64>>,
    body: Vec<Option<Cow<'a, str>>>,
    mentions: Vec<Option<String>>,
    active: Vec<Option<bool>>,
    digest: Vec<i64>,
    extra: Vec<Option<String>>,
}

impl<'a> Batch<'a> {
    /// Prepares drafts. `opened` is the generation under which the epochs of new rooms were chosen.
    pub(super) fn new(drafts: &'a [Draft], opened: Uuid) -> Self {
        let mut batch =
            Self { rooms: Rooms::of(drafts, opened), drafts: Drafts::default(), entries: Entries::default() };
        let mut cids = HashSet::new();
        for draft in drafts {
            batch.push(draft, &mut cids);
        }
        batch
    }

    fn push(&mut self, draft: &'a Draft, cids: &mut HashSet<(&'a str, &'a str, &'a str)>) {
        // It is there: the rooms were gathered from the same drafts.
        let room = self.rooms.names.partition_point(|name| *name < draft.room.as_str());
        let place = self.drafts.room.len() + 1;
        self.drafts.first.push(int(self.entries.cid.len() + 1));
        self.drafts.count.push(int(draft.entries.len()));
        self.drafts.room.push(int(room + 1));
        self.drafts.sender.push(draft.sender.as_str());
        self.drafts.ts.push(draft.ts);
        self.drafts.guard.push(guard(draft));
        self.rooms.plain[room] &= draft.guard != Guard::NewRoom;
        self.rooms.added[room] += int(draft.entries.len());
        self.rooms.latest[room] = self.rooms.latest[room].max(draft.ts);
        for entry in &draft.entries {
            let columns = Columns::of(&entry.content);
            let key = entry.cid.as_deref().map(|cid| (draft.room.as_str(), draft.sender.as_str(), cid));
            let is_repeated = key.is_some_and(|key| !cids.insert(key));
            self.rooms.plain[room] &= columns.is_plain() && !is_repeated;
            self.entries.push(place, entry.cid.as_deref(), digest(&entry.content), columns);
        }
    }

    /// Appends on a connection, as the `number`th batch of a writer.
    pub(super) async fn send(
        &self,
        client: &Client,
        statement: &Statement,
        writer: Uuid,
        number: i64,
    ) -> Result<Row, tokio_postgres::Error> {
        let Self { rooms, drafts, entries } = self;
        client
            .query_one(
                statement,
                &[
                    &writer,
                    &number,
                    &rooms.names,
                    &rooms.epochs,
                    &rooms.plain,
                    &rooms.added,
                    &rooms.latest,
                    &drafts.room,
                    &drafts.sender,
                    &drafts.ts,
                    &drafts.guard,
                    &drafts.first,
                    &drafts.count,
                    &entries.draft,
                    &entries.cid,
                    &entries.kind,
                    &entries.target,
                    &entries.body,
                    &entries.mentions,
                    &entries.active,
                    &entries.digest,
                    &entries.extra,
                ],
            )
            .await
    }
}

impl<'a> Rooms<'a> {
    fn of(drafts: &'a [Draft], opened: Uuid) -> Self {
        let mut epochs = BTreeMap::new();
        for draft in drafts {
            epochs.entry(draft.room.as_str()).or_insert(draft.new_epoch);
        }
        let mut rooms = Self::default();
        for (name, Epoch(epoch)) in epochs {
            rooms.names.push(name);
            rooms.epochs.push(Uuid::from_u128(epoch ^ opened.as_u128()));
        }
        rooms.plain = vec![true; rooms.names.len()];
        rooms.added = vec![0; rooms.names.len()];
        rooms.latest = vec![i64::MIN; rooms.names.len()];
        rooms
    }
}

impl<'a> Entries<'a> {
    fn push(&mut self, draft: usize, cid: Option<&'a str>, digest: i64, columns: Columns<'a>) {
        self.draft.push(int(draft));
        self.cid.push(cid.map(escape));
        self.digest.push(digest);
        self.kind.push(columns.kind);
        self.target.push(columns.target);
        self.body.push(columns.body);
        self.mentions.push(columns.mentions);
        self.active.push(columns.active);
        self.extra.push(columns.extra);
    }
}

/// Returns the guard as `append` knows it.
fn guard(draft: &Draft) -> i16 {
    /// A draft that contradicts itself.
    const CONFLICT: i16 = 3;
    let mut cids = HashSet::new();
    let mut given = draft.entries.iter().filter_map(|entry| entry.cid.as_deref());
    if !given.all(|cid| cids.insert(cid)) {
        return CONFLICT;
    }
    match draft.guard {
        Guard::Author => 0,
        Guard::Moderator => 1,
        Guard::NewRoom => 2,
    }
}

/// Returns an index or a count as PostgreSQL counts; a batch is far smaller than this can hold.
fn int(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// Reads what became of drafts from the row of the writer that stored them.
pub(super) fn answers(drafts: &[Draft], row: &Row) -> Result<Answers, Fault> {
    let mut names: Vec<_> = drafts.iter().map(|draft| draft.room.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let mut result = Outcome::read(row)?;
    let rooms = result.rooms.len();
    if rooms != names.len() {
        return Err(Fault::Corrupt);
    }
    let answer = |draft: &Draft| {
        let room = names.partition_point(|name| *name < draft.room.as_str());
        if result.rooms[room].is_plain {
            Ok(Ok(result.plain(room, draft)))
        } else {
            result.looked_at(room, draft)
        }
    };
    drafts.iter().map(answer).collect()
}

/// The row of a writer.
struct Outcome {
    rooms: Vec<Before>,
    outcomes: std::vec::IntoIter<i16>,
    given: std::vec::IntoIter<Given>,
}

/// A room before the batch; moved on while the answers are read.
struct Before {
    epoch: Epoch,
    head: u64,
    ts: i64,
    is_plain: bool,
}

struct Given {
    ts: i64,
    place: Place,
}

impl Outcome {
    fn read(row: &Row) -> Result<Self, Fault> {
        let generation: Uuid = row.try_get("generation")?;
        let (epochs, heads): (Vec<Uuid>, Vec<i64>) = (row.try_get("epochs")?, row.try_get("heads")?);
        let (times, plain): (Vec<i64>, Vec<bool>) = (row.try_get("times")?, row.try_get("plain")?);
        let rooms = epochs.iter().zip(heads).zip(times).zip(plain).map(|(((epoch, head), ts), is_plain)| {
            let epoch = Epoch(epoch.as_u128() ^ generation.as_u128());
            Ok(Before { epoch, head: seq(head)?.0, ts, is_plain })
        });
        let (entry_ts, seqs): (Vec<i64>, Vec<i64>) = (row.try_get("entry_ts")?, row.try_get("seqs")?);
        let threads: Vec<Option<i64>> = row.try_get("threads")?;
        let counts: Vec<i32> = row.try_get("counts")?;
        let given =
            entry_ts.iter().zip(seqs).zip(threads).zip(counts).map(|(((ts, number), thread), count)| {
                let place = Place {
                    seq: seq(number)?,
                    thread: thread.map(seq).transpose()?,
                    count: u32::try_from(count).map_err(|_| Fault::Corrupt)?,
                };
                Ok(Given { ts: *ts, place })
            });
        let outcomes: Vec<i16> = row.try_get("outcomes")?;
        Ok(Self {
            rooms: rooms.collect::<Result<_, Fault>>()?,
            outcomes: outcomes.into_iter(),
            given: given.collect::<Result<Vec<_>, Fault>>()?.into_iter(),
        })
    }

    /// A plain room only counts: the same as in `store_plain`.
    fn plain(&mut self, room: usize, draft: &Draft) -> Stored {
        let room = &mut self.rooms[room];
        room.ts = room.ts.max(draft.ts);
        let mut place = || {
            room.head += 1;
            Place { seq: Seq(room.head), thread: None, count: 0 }
        };
        let entries = draft.entries.iter().map(|_| place()).collect();
        Stored { epoch: room.epoch, ts: room.ts, dup: false, entries }
    }

    fn looked_at(&mut self, room: usize, draft: &Draft) -> Result<Result<Stored, Refused>, Fault> {
        let outcome = self.outcomes.next().ok_or(Fault::Corrupt)?;
        let refused = match outcome {
            0 | 1 => return self.stored(room, draft, outcome == 1).map(Ok),
            2 => Refused::Conflict,
            3 => Refused::NoTarget,
            4 => Refused::NotAuthor,
            5 => Refused::Exists,
            6 => Refused::TooMany,
            7 => Refused::Corrupt,
            _ => return Err(Fault::Corrupt),
        };
        Ok(Err(refused))
    }

    fn stored(&mut self, room: usize, draft: &Draft, dup: bool) -> Result<Stored, Fault> {
        let given: Vec<_> = self.given.by_ref().take(draft.entries.len()).collect();
        if given.len() != draft.entries.len() {
            return Err(Fault::Corrupt);
        }
        let ts = given.first().map_or(draft.ts, |given| given.ts);
        let entries = given.into_iter().map(|given| given.place).collect();
        Ok(Stored { epoch: self.rooms[room].epoch, ts, dup, entries })
    }
}

/// Returns the memory that a draft needs while it waits.
pub(super) fn bytes(draft: &Draft) -> usize {
    /// Names, numbers, places in tables.
    const OVERHEAD: usize = 256;
    let texts = draft.entries.iter().map(|entry| match &entry.content {
        Content::Message(Text { text, .. }) => text.len(),
        Content::Edit(NewText { text, .. }) => text.as_ref().map_or(0, |text| text.len()),
        _ => 0,
    });
    texts.map(|text| text + OVERHEAD).sum()
}
