//! From a store to a file.

use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use parlour_hub::log::{Snapshot, Span};
use parlour_hub::rules::matches;
use parlour_protocol::{RoomName, Seq};
use sha2::{Digest as _, Sha256};

use super::line::{ExportEnd, Frame, Preface, RoomEnd, RoomLine, VERSION, write_entry, write_frame};
use super::reader::{FileError, hex};
use super::resume::{Begun, Place};
use super::{PART, Totals};
use crate::store::{Store, StoreError};

/// Rooms that are listed at once.
const ROOMS: u32 = 500;

/// Why an export ended early. What was written until then stays, and can be continued.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's text names its fields")]
pub enum ExportError {
    /// The list of rooms cannot be read.
    #[error("cannot list the rooms: {0}")]
    List(#[source] StoreError),
    /// A room cannot be read.
    #[error("cannot read the room {room}: {source}")]
    Room { room: RoomName, source: StoreError },
    /// A room lost entries while it was read.
    #[error("the room {0} was trimmed while it was read; export again, with --output to continue")]
    Trimmed(RoomName),
    /// The file cannot be written.
    #[error("cannot write: {0}")]
    Write(#[from] io::Error),
    /// The file to be continued is none of ours, or damaged.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file to be continued is about other rooms.
    #[error("the file is an export of the rooms `{0}`; continue it with that pattern, or write another file")]
    Pattern(String),
}

/// Writes all rooms whose names match `pattern`, a name or a prefix followed by `*`.
///
/// Needs memory for one part of a room at a time. `begun` is what the file holds already, and
/// `progress` is called after every part. The store must not change meanwhile.
///
/// # Errors
/// [`ExportError`].
pub async fn export(
    store: &dyn Store,
    pattern: &str,
    begun: Begun,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(Totals),
) -> Result<Totals, ExportError> {
    let Begun { totals, place, hash } = begun;
    let mut export = Export { store, out, progress, totals, hash, lines: Vec::new() };
    let mut after = match place {
        Place::Nothing => {
            let preface = Preface { version: VERSION, time_ms: now_ms(), rooms: pattern.to_owned() };
            export.frame(&Frame::ParlourExport(preface));
            None
        }
        Place::After(room) => room,
        Place::Within(open) => {
            let room = open.line.room.clone();
            export.entries(open.line, open.last, open.hash).await?;
            Some(room)
        }
        Place::End => return Ok(totals),
    };
    loop {
        let rooms = store.rooms(after, ROOMS).await.map_err(ExportError::List)?;
        let Some((last, _)) = rooms.last() else {
            return export.finish();
        };
        after = Some(last.clone());
        for (room, _) in rooms.into_iter().filter(|(room, _)| matches(pattern, room.as_str())) {
            export.room(room).await?;
        }
    }
}

/// An export that is being written.
struct Export<'a> {
    store: &'a dyn Store,
    out: &'a mut dyn Write,
    progress: &'a mut dyn FnMut(Totals),
    totals: Totals,
    /// Of the lines that belong to no room, and of the last lines of rooms.
    hash: Sha256,
    /// What is not written yet.
    lines: Vec<u8>,
}

impl Export<'_> {
    async fn room(&mut self, room: RoomName) -> Result<(), ExportError> {
        let opened = self.store.open(room.clone(), 0).await;
        let opened = opened.map_err(|source| ExportError::Room { room: room.clone(), source })?;
        let Some(Snapshot { ends, state, .. }) = opened else {
            return Ok(());
        };
        let line = RoomLine::new(room, ends, state);
        let before = self.lines.len();
        write_frame(&Frame::Room(line.clone()), &mut self.lines);
        let hash = Sha256::new().chain_update(&self.lines[before..]);
        self.totals.rooms += 1;
        let floor = line.floor;
        self.entries(line, floor, hash).await
    }

    /// Writes a room's entries after `last`, and its last line.
    async fn entries(&mut self, line: RoomLine, mut last: Seq, mut hash: Sha256) -> Result<(), ExportError> {
        let room = line.room;
        while last < line.head {
            let part = self.store.read(room.clone(), Span::After(last), PART as u32).await;
            let part = part.map_err(|source| ExportError::Room { room: room.clone(), source })?;
            if part.first().is_none_or(|record| record.seq != last.next()) {
                return Err(ExportError::Trimmed(room));
            }
            let before = self.lines.len();
            for record in part.into_iter().take_while(|record| record.seq <= line.head) {
                last = record.seq;
                self.totals.entries += 1;
                write_entry(&room, record, &mut self.lines);
            }
            hash.update(&self.lines[before..]);
            self.flush()?;
        }
        let end = RoomEnd { entries: line.head.0 - line.floor.0, sha256: hex(&hash), room };
        self.frame(&Frame::RoomEnd(end));
        self.flush()
    }

    /// Adds a line that counts for the checksum of the file.
    fn frame(&mut self, frame: &Frame) {
        let before = self.lines.len();
        write_frame(frame, &mut self.lines);
        self.hash.update(&self.lines[before..]);
    }

    fn flush(&mut self) -> Result<(), ExportError> {
        self.out.write_all(&self.lines)?;
        self.lines.clear();
        (self.progress)(self.totals);
        Ok(())
    }

    fn finish(mut self) -> Result<Totals, ExportError> {
        let Totals { rooms, entries } = self.totals;
        let end = ExportEnd { rooms, entries, sha256: hex(&self.hash) };
        write_frame(&Frame::ExportEnd(end), &mut self.lines);
        self.flush()?;
        self.out.flush()?;
        Ok(self.totals)
    }
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
