//! Reads an export line by line, and lets nothing through that does not fit.

use std::io::{self, BufRead, Read as _};

use parlour_hub::log::Record;
use parlour_protocol::{RoomName, Seq};
use sha2::{Digest as _, Sha256};

use super::Totals;
use super::line::{self, ExportEnd, Frame, Line, Preface, RoomEnd, RoomLine, VERSION};

/// Longest line: far more than the longest message, far less than memory.
const LINE_BYTES: u64 = 64 * 1024 * 1024;

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's text names its fields")]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read the file: {0}")]
    Read(#[from] io::Error),
    /// It ends too early.
    #[error(
        "the file ends in line {line}, before its end was written; \
         `parlour export --output` with this file completes it"
    )]
    Cut { line: u64 },
    /// One line is wrong.
    #[error("line {line} is damaged: {problem}; copy the file again, or export again")]
    Line { line: u64, problem: Problem },
    /// Something in a room is not as it was written.
    #[error(
        "lines {first} to {last}, the room {room}, do not match their checksum: at least one is \
         damaged; copy the file again, or export again"
    )]
    Checksum { room: RoomName, first: u64, last: u64 },
    /// Something around the rooms is not as it was written.
    #[error(
        "line 1, line {last}, or a `room_end` line does not match the checksum of the file; copy the \
         file again, or export again"
    )]
    Frame { last: u64 },
    /// A newer program wrote it.
    #[error("the file has format {0}, and this program knows format {VERSION}: use a newer program")]
    Version(u32),
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Not JSON, or JSON of something else.
    #[error("it is no line of an export")]
    Unreadable,
    /// A line that may not come here.
    #[error("it does not follow from the line before")]
    Misplaced,
    /// An entry with another number than the next.
    #[error("an entry is missing before it, or comes twice")]
    Gap,
    /// The lines before are fewer or more than it says.
    #[error("the lines before it are not as many as it says")]
    Count,
}

/// What a line means to whoever reads the file.
#[derive(Debug)]
pub(super) enum Item {
    /// A room begins.
    Room(RoomLine),
    /// The next entry of the room.
    Entry(Record),
    /// The room was complete and undamaged.
    RoomEnd,
    /// So was the file.
    End,
}

/// A room whose end has not been read.
#[derive(Debug, Clone)]
pub(super) struct OpenRoom {
    pub(super) line: RoomLine,
    /// The room before this one.
    pub(super) before: Option<RoomName>,
    /// The newest entry so far.
    pub(super) last: Seq,
    pub(super) hash: Sha256,
    /// The first line, by number, and where it begins, in bytes.
    pub(super) first: (u64, u64),
}

/// A file that is being read.
#[derive(Debug)]
pub(super) struct Reader<R> {
    input: R,
    buffer: Vec<u8>,
    /// Lines so far.
    number: u64,
    /// Bytes of the lines that were right.
    pub(super) offset: u64,
    pub(super) totals: Totals,
    pub(super) pattern: String,
    /// Of the lines that belong to no room, and of the last lines of rooms.
    pub(super) hash: Sha256,
    pub(super) room: Option<OpenRoom>,
    pub(super) newest_room: Option<RoomName>,
}

impl<R: BufRead> Reader<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            buffer: Vec::new(),
            number: 0,
            offset: 0,
            totals: Totals::default(),
            pattern: String::new(),
            hash: Sha256::new(),
            room: None,
            newest_room: None,
        }
    }

    /// Reads the first line.
    ///
    /// # Errors
    /// [`FileError`]; also if it is missing.
    pub(super) fn preface(&mut self) -> Result<(), FileError> {
        match self.line()? {
            Line::Frame(Frame::ParlourExport(Preface { version: VERSION, rooms, .. })) => {
                self.pattern = rooms;
                self.pass();
                Ok(())
            }
            Line::Frame(Frame::ParlourExport(preface)) => Err(FileError::Version(preface.version)),
            _ => Err(self.wrong(Problem::Unreadable)),
        }
    }

    /// Reads the next line after the first.
    ///
    /// # Errors
    /// [`FileError`]; the reader is of no use afterwards, except for what it has counted.
    pub(super) fn next(&mut self) -> Result<Item, FileError> {
        let item = match self.line()? {
            Line::Entry(room, record) => self.entry(&room, record)?,
            Line::Frame(Frame::Room(room)) => self.begin(room)?,
            Line::Frame(Frame::RoomEnd(end)) => self.end_room(&end)?,
            Line::Frame(Frame::ExportEnd(end)) => self.end(&end)?,
            Line::Frame(Frame::ParlourExport(_)) => return Err(self.wrong(Problem::Misplaced)),
        };
        self.pass();
        Ok(item)
    }

    fn line(&mut self) -> Result<Line, FileError> {
        self.buffer.clear();
        self.number += 1;
        self.input.by_ref().take(LINE_BYTES).read_until(b'\n', &mut self.buffer)?;
        let Some(text) = self.buffer.strip_suffix(b"\n") else {
            let is_endless = self.buffer.len() as u64 == LINE_BYTES;
            let cut = FileError::Cut { line: self.number };
            return Err(if is_endless { self.wrong(Problem::Unreadable) } else { cut });
        };
        let text = std::str::from_utf8(text).ok();
        text.and_then(line::parse).ok_or_else(|| self.wrong(Problem::Unreadable))
    }

    /// Counts a line that was right.
    fn pass(&mut self) {
        self.offset += self.buffer.len() as u64;
        let hash = self.room.as_mut().map_or(&mut self.hash, |room| &mut room.hash);
        hash.update(&self.buffer);
    }

    fn begin(&mut self, line: RoomLine) -> Result<Item, FileError> {
        let follows = self.newest_room.as_ref().is_none_or(|before| before.as_str() < line.room.as_str());
        if self.room.is_some() || !follows || line.floor > line.head {
            return Err(self.wrong(Problem::Misplaced));
        }
        self.totals.rooms += 1;
        let before = self.newest_room.replace(line.room.clone());
        let (last, first) = (line.floor, (self.number, self.offset));
        self.room = Some(OpenRoom { line: line.clone(), before, last, hash: Sha256::new(), first });
        Ok(Item::Room(line))
    }

    fn entry(&mut self, name: &RoomName, record: Record) -> Result<Item, FileError> {
        let Some(room) = self.room.as_mut().filter(|room| room.line.room == *name) else {
            return Err(self.wrong(Problem::Misplaced));
        };
        // The second: a number that has no successor.
        if record.seq.0.checked_sub(1) != Some(room.last.0) || record.seq > room.line.head {
            return Err(self.wrong(Problem::Gap));
        }
        room.last = record.seq;
        self.totals.entries += 1;
        Ok(Item::Entry(record))
    }

    fn end_room(&mut self, end: &RoomEnd) -> Result<Item, FileError> {
        let Some(room) = self.room.take().filter(|room| room.line.room == end.room) else {
            return Err(self.wrong(Problem::Misplaced));
        };
        if room.last != room.line.head || end.entries != room.last.0 - room.line.floor.0 {
            return Err(self.wrong(Problem::Count));
        }
        if hex(&room.hash) != end.sha256 {
            let (first, last) = (room.first.0, self.number);
            return Err(FileError::Checksum { room: room.line.room, first, last });
        }
        Ok(Item::RoomEnd)
    }

    fn end(&mut self, end: &ExportEnd) -> Result<Item, FileError> {
        let Totals { rooms, entries } = self.totals;
        let is_last = self.room.is_none() && self.input.fill_buf()?.is_empty();
        if !is_last {
            return Err(self.wrong(Problem::Misplaced));
        }
        if (end.rooms, end.entries) != (rooms, entries) {
            return Err(self.wrong(Problem::Count));
        }
        if hex(&self.hash) != end.sha256 {
            return Err(FileError::Frame { last: self.number });
        }
        Ok(Item::End)
    }

    fn wrong(&self, problem: Problem) -> FileError {
        FileError::Line { line: self.number, problem }
    }
}

/// Writes a checksum in hexadecimal digits.
pub(super) fn hex(hash: &Sha256) -> String {
    use std::fmt::Write as _;
    hash.clone().finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Checks that a file is complete and undamaged.
///
/// `progress` is called after every room and some hundred entries.
///
/// # Errors
/// [`FileError`], which says where the file is wrong and what to do.
pub fn verify(input: impl BufRead, progress: &mut dyn FnMut(Totals)) -> Result<Totals, FileError> {
    let mut reader = Reader::new(input);
    reader.preface()?;
    loop {
        match reader.next()? {
            Item::End => return Ok(reader.totals),
            Item::Entry(record) if record.seq.0 % super::PART as u64 != 0 => {}
            Item::Entry(_) | Item::Room(_) | Item::RoomEnd => progress(reader.totals),
        }
    }
}
