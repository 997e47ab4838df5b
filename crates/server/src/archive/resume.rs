//! Where an export that was cut short goes on.

use std::fs::File;
use std::io::{BufReader, Seek as _, SeekFrom};

use parlour_hub::log::Snapshot;
use parlour_protocol::RoomName;
use sha2::Sha256;

use super::Totals;
use super::export::ExportError;
use super::line::RoomLine;
use super::reader::{FileError, Item, OpenRoom, Reader};
use crate::store::Store;

/// What a file holds already.
#[derive(Debug, Default)]
pub struct Begun {
    pub(super) totals: Totals,
    pub(super) place: Place,
    /// Of the lines that belong to no room, and of the last lines of rooms.
    pub(super) hash: Sha256,
}

/// Where the writing goes on.
#[derive(Debug, Default)]
pub(super) enum Place {
    /// At the beginning.
    #[default]
    Nothing,
    /// With the first room after this one, or with the first of all.
    After(Option<RoomName>),
    /// In the middle of a room.
    Within(Box<OpenRoom>),
    /// Nowhere: the file is complete.
    End,
}

/// Reads what a file holds, cuts off what is not whole, and leaves the file at its end.
///
/// A room that was cut short goes on where it ended if nothing was said in it since; every change of
/// a message is an entry too. Otherwise the room is written anew.
///
/// # Errors
/// [`ExportError`]; the file is not changed then.
pub async fn resume(store: &dyn Store, pattern: &str, file: &mut File) -> Result<Begun, ExportError> {
    file.rewind()?;
    let mut reader = Reader::new(BufReader::new(&*file));
    let is_complete = read(&mut reader)?;
    let Reader { totals, newest_room, room: open, offset: mut bytes, pattern: found, hash, .. } = reader;
    if bytes > 0 && found != pattern {
        return Err(ExportError::Pattern(found));
    }
    let mut begun = Begun { totals, place: Place::After(newest_room), hash };
    match open {
        Some(open) if is_unchanged(store, &open.line).await? => begun.place = Place::Within(Box::new(open)),
        Some(open) => {
            bytes = open.first.1;
            begun.totals.rooms -= 1;
            begun.totals.entries -= open.last.0 - open.line.floor.0;
            begun.place = Place::After(open.before);
        }
        None if is_complete => begun.place = Place::End,
        None if bytes == 0 => begun.place = Place::Nothing,
        None => {}
    }
    file.set_len(bytes)?;
    file.seek(SeekFrom::Start(bytes))?;
    Ok(begun)
}

/// Reads up to where the file was cut, or to its end; returns whether it is complete.
fn read(reader: &mut Reader<BufReader<&File>>) -> Result<bool, FileError> {
    let mut next = || {
        reader.preface()?;
        loop {
            if let Item::End = reader.next()? {
                return Ok(true);
            }
        }
    };
    match next() {
        Err(FileError::Cut { .. }) => Ok(false),
        read => read,
    }
}

async fn is_unchanged(store: &dyn Store, line: &RoomLine) -> Result<bool, ExportError> {
    let opened = store.open(line.room.clone(), 0).await;
    let opened = opened.map_err(|source| ExportError::Room { room: line.room.clone(), source })?;
    Ok(opened
        .is_some_and(|Snapshot { ends, state, .. }| RoomLine::new(line.room.clone(), ends, state) == *line))
}
