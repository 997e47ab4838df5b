//! Finds out whether the database is the one that was closed last, or an older copy (P10).
//!
//! A random mark stands in the database and in a file beside it. A backup that is put back has the
//! mark of its own time. The file names the old and the new mark while the database changes from one
//! to the other, so that a crash in between is no difference.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::upkeep;
#[cfg(feature = "failpoints")]
use crate::shard::failpoint::{Plant, planted};

/// The file, inside the data directory.
const MARK: &str = "parlour.mark";

/// Why the marks cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum MarkError {
    /// SQLite refused.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The file cannot be written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}

/// Compares the marks, renews the epochs of all rooms if they differ, and writes a new mark.
pub(super) fn compare(connection: &Connection, dir: &Path) -> Result<(), MarkError> {
    let path = dir.join(MARK);
    let known = fs::read_to_string(&path).unwrap_or_default();
    let sql = "SELECT lower(hex(mark)), EXISTS (SELECT 1 FROM room) FROM lineage";
    let (mark, has_rooms): (Option<String>, bool) =
        connection.query_row(sql, (), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mark = mark.filter(|mark| !mark.is_empty());
    let is_known = mark.as_ref().is_some_and(|mark| known.lines().any(|line| line == mark));
    #[cfg(feature = "failpoints")]
    let is_known = is_known || planted(Plant::EpochKept);
    // Without a mark it is from before there were marks.
    if has_rooms && mark.is_some() && !is_known {
        tracing::warn!(path = %path.display(), "the database is not the one that was closed last: all rooms begin new epochs");
        let renewed = upkeep::renew(connection);
        renewed.map_err(|_| rusqlite::Error::InvalidQuery)?;
    }
    let new = uuid::Uuid::new_v4().simple().to_string();
    write(&path, &format!("{}\n{new}\n", mark.unwrap_or_default()))?;
    connection.execute("UPDATE lineage SET mark = unhex(?1)", [&new])?;
    write(&path, &format!("{new}\n"))
}

fn write(path: &Path, text: &str) -> Result<(), MarkError> {
    let write = || {
        let unfinished = path.with_extension("mark-new");
        let mut file = File::create(&unfinished)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
    };
    write().map_err(|source| MarkError::File { path: path.to_owned(), source })
}
