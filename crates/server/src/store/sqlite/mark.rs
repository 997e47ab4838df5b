//! How a restored backup is noticed (P10).
//!
//! A random mark stands in the database and in a file beside it, and is drawn anew at every start and
//! end. A database that comes from a backup has an older one than the file; a directory that was
//! restored as a whole does not show it, nor a backup of the same run after a crash: the documentation
//! tells operators to remove the file then.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use super::open::create;
#[cfg(feature = "failpoints")]
use crate::shard::failpoint::{Plant, planted};

/// The file, inside the data directory.
const FILE: &str = "parlour.mark";
/// Becomes the file once it is on the disk.
const NEW_FILE: &str = "parlour.mark.new";

/// Why a mark was not changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum MarkError {
    #[error(transparent)]
    Database(#[from] rusqlite::Error),
    #[error(transparent)]
    File(#[from] io::Error),
}

/// Whether the database is not the one that was here last.
pub(super) fn is_foreign(connection: &Connection, dir: &Path) -> Result<bool, MarkError> {
    #[cfg(feature = "failpoints")]
    if planted(Plant::EpochKept) {
        return Ok(false);
    }
    let noted = match fs::read_to_string(dir.join(FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        noted => noted?,
    };
    Ok(match read(connection)? {
        // Never marked: a new database, or one from before there were marks.
        None => !noted.is_empty(),
        Some(mark) => noted.lines().all(|line| line != mark),
    })
}

/// Draws a new mark. Wherever this is interrupted, the file knows the database.
pub(super) fn renew(connection: &Connection, dir: &Path) -> Result<(), MarkError> {
    let new = uuid::Uuid::new_v4();
    let new_line = new.simple().to_string();
    if let Some(old) = read(connection)? {
        write(dir, &format!("{old}\n{new_line}\n"))?;
    }
    connection.execute("UPDATE lineage SET mark = ?1", [new.into_bytes()])?;
    write(dir, &format!("{new_line}\n"))?;
    Ok(())
}

fn read(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let mark = connection.query_row("SELECT mark FROM lineage", (), |row| row.get::<_, Option<[u8; 16]>>(0));
    let mark = mark.optional()?.flatten();
    Ok(mark.map(|mark| uuid::Uuid::from_bytes(mark).simple().to_string()))
}

fn write(dir: &Path, text: &str) -> io::Result<()> {
    let (path, new) = (dir.join(FILE), dir.join(NEW_FILE));
    let mut file = create(&new)?;
    file.set_len(0)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, &path)?;
    File::open(dir)?.sync_all()
}
