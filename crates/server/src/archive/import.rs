//! From a file to a store.

use std::io::BufRead;

use parlour_hub::log::{Head, Record, Snapshot, Span};
use parlour_protocol::content::Content;
use parlour_protocol::{Epoch, RoomName, Seq};

use super::line::RoomLine;
use super::reader::{FileError, Item, Reader};
use super::{PART, Totals};
use crate::store::{Store, StoreError};

/// Text that is stored at once, in bytes.
const PART_BYTES: usize = 1024 * 1024;

/// Why an import ended early. What was stored until then stays, and is skipped the next time.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's text names its fields")]
pub enum ImportError {
    /// The file is damaged, incomplete, or none of ours.
    #[error(transparent)]
    File(#[from] FileError),
    /// The store refuses.
    #[error("cannot store the room {room}: {source}; the import goes on there when it is started again")]
    Store { room: RoomName, source: StoreError },
    /// The database holds something else under the same number.
    #[error(
        "the room {room} has another entry {seq} already: this file is not of this database; import \
         into another database"
    )]
    Differs { room: RoomName, seq: Seq },
}

/// Stores all rooms of a file that [`verify`](super::verify) has found undamaged.
///
/// Entries keep their numbers and times; rooms that are new get new epochs, so that nobody takes an
/// old position for one of theirs. Entries that are there already are compared and skipped.
/// `progress` is called after every part. Needs memory for one part at a time.
///
/// # Errors
/// [`ImportError`].
pub async fn import(
    store: &dyn Store,
    input: impl BufRead,
    progress: &mut dyn FnMut(Totals),
) -> Result<Totals, ImportError> {
    let mut reader = Reader::new(input);
    reader.preface()?;
    let mut room = None;
    loop {
        match reader.next()? {
            Item::Room(line) => room = Some(Room::open(store, line).await?),
            Item::Entry(record) => {
                let Some(room) = &mut room else { continue };
                room.take(record).await?;
            }
            Item::RoomEnd => {
                if let Some(mut room) = room.take() {
                    room.store_part().await?;
                }
            }
            Item::End => return Ok(reader.totals),
        }
        if room.as_ref().is_none_or(|room: &Room<'_>| room.part.is_empty()) {
            progress(reader.totals);
        }
    }
}

/// A room that is being stored.
pub(super) struct Room<'a> {
    store: &'a dyn Store,
    line: RoomLine,
    /// The ends of what the store has.
    known: Option<Head>,
    part: Vec<Record>,
    bytes: usize,
}

impl<'a> Room<'a> {
    pub(super) async fn open(store: &'a dyn Store, line: RoomLine) -> Result<Self, ImportError> {
        let mut room = Self { store, line, known: None, part: Vec::new(), bytes: 0 };
        let heads = store.heads(vec![room.line.room.clone()]).await.map_err(|error| room.failed(error))?;
        room.known = heads.into_iter().next().flatten();
        // A hole between what is there and what comes.
        if let Some(known) = room.known.filter(|known| known.head < room.line.floor) {
            return Err(room.differs(known.head.next()));
        }
        Ok(room)
    }

    pub(super) async fn take(&mut self, record: Record) -> Result<(), ImportError> {
        self.bytes += bytes(&record);
        self.part.push(record);
        if self.part.len() < PART && self.bytes < PART_BYTES {
            return Ok(());
        }
        self.store_part().await
    }

    /// Stores what has been gathered, as far as it is not there; also a room without entries.
    pub(super) async fn store_part(&mut self) -> Result<(), ImportError> {
        self.bytes = 0;
        let mut part = std::mem::take(&mut self.part);
        if let Some(Head { head, floor, .. }) = self.known {
            let new = part.split_off(part.partition_point(|record| record.seq <= head));
            part.retain(|record| record.seq > floor);
            self.compare(&part).await?;
            part = new;
        }
        if part.is_empty() && self.known.is_some() {
            return Ok(());
        }
        let RoomLine { head, floor, .. } = self.line;
        let ends = Head { epoch: Epoch(0), head, floor };
        let snapshot = Snapshot { ends, tail: part, state: self.line.state() };
        let stored = self.store.restore(self.line.room.clone(), snapshot).await;
        self.known = Some(stored.map_err(|error| self.failed(error))?);
        Ok(())
    }

    async fn compare(&self, part: &[Record]) -> Result<(), ImportError> {
        let Some(first) = part.first() else {
            return Ok(());
        };
        let before = Seq(first.seq.0 - 1);
        let read = self.store.read(self.line.room.clone(), Span::After(before), PART as u32).await;
        let there = read.map_err(|error| self.failed(error))?;
        let mut there = there.into_iter().map(bare);
        match part.iter().find(|record| there.next() != Some(bare((*record).clone()))) {
            Some(other) => Err(self.differs(other.seq)),
            None => Ok(()),
        }
    }

    fn failed(&self, source: StoreError) -> ImportError {
        ImportError::Store { room: self.line.room.clone(), source }
    }

    fn differs(&self, seq: Seq) -> ImportError {
        ImportError::Differs { room: self.line.room.clone(), seq }
    }
}

fn bytes(record: &Record) -> usize {
    match &record.content {
        Content::Message(message) => message.text.len(),
        Content::Edit(edit) => edit.text.as_ref().map_or(0, |text| text.len()),
        _ => 0,
    }
}

/// Takes away what later entries say about a record: they may not be there yet.
fn bare(mut record: Record) -> Record {
    if let Content::Message(message) = &mut record.content
        && let Some(details) = &mut message.details
    {
        details.reactions.clear();
        if **details == parlour_protocol::content::Details::default() {
            message.details = None;
        }
    }
    record
}
