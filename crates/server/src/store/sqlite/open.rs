//! Taking possession of a data directory, and why that may fail.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::mark::{self, MarkError};
use super::{DATABASE, upkeep};

/// How long a lock is waited for. Whoever held it may just be ending, or have begun another program,
/// which holds a copy of all files until it runs.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
/// Locked by the process that owns the directory. The file stays; only the lock counts.
const LOCK: &str = "parlour.lock";

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory or one of its files cannot be created or opened.
    #[error("cannot use {path}: {source}; the data directory must exist or be creatable, and be writable")]
    Directory {
        /// The directory or the file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// Another process owns the directory.
    #[error("{path} is locked by another process; stop that one, or choose another data directory")]
    Locked {
        /// The file that is locked.
        path: PathBuf,
    },
    /// SQLite cannot open, migrate or verify the database.
    #[error("cannot use the database {path}: {source}; if it is damaged, restore a backup")]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// Commits would not survive the loss of power.
    #[error(
        "commits to {path} are not durable (journal_mode={mode}, synchronous={synchronous}); put \
         the data directory on a local disk"
    )]
    NotDurable {
        /// The database.
        path: PathBuf,
        /// `PRAGMA journal_mode`, which must be `wal`.
        mode: String,
        /// `PRAGMA synchronous`, which must be at least 2.
        synchronous: i64,
    },
    /// An older program has written the database, and only a server may change it.
    #[error("{path} was written by an older program; start the server once, which brings it up to date")]
    OlderSchema {
        /// The database.
        path: PathBuf,
    },
    /// A newer program has written the database.
    #[error(
        "{path} has schema {found}, and this program knows up to {known}; start the newer program, \
         or restore a backup from before the upgrade"
    )]
    NewerSchema {
        /// The database.
        path: PathBuf,
        /// The version in the database.
        found: u32,
        /// The newest version that this program knows.
        known: u32,
    },
    /// The operating system refused a thread.
    #[error("cannot start a thread for the database: {0}")]
    Thread(io::Error),
}

/// Gives all rooms new epochs if the database is not the one that was here last (P10), and marks it.
pub(super) fn watch_lineage(connection: &Connection, dir: &Path) -> Result<(), OpenError> {
    let database = |source| OpenError::Sqlite { path: dir.join(DATABASE), source };
    let is_foreign = mark::is_foreign(connection, dir).map_err(|error| match error {
        MarkError::Database(source) => database(source),
        MarkError::File(source) => OpenError::Directory { path: dir.to_owned(), source },
    })?;
    if is_foreign {
        tracing::warn!(path = %dir.display(), "the database was exchanged: all rooms get new epochs");
        upkeep::renew(connection).map_err(database)?;
    }
    // A full disk must not keep a server from reading; the old mark stays then.
    if let Err(error) = mark::renew(connection, dir) {
        tracing::warn!(%error, path = %dir.display(), "could not mark the database");
    }
    Ok(())
}

/// Creates the directory and takes its lock, which the process holds while the file is open.
pub(super) fn own(dir: &Path) -> Result<File, OpenError> {
    create_dir(dir).map_err(|source| OpenError::Directory { path: dir.to_owned(), source })?;
    let path = dir.join(LOCK);
    let give_up = Instant::now() + LOCK_PATIENCE;
    loop {
        match create(&path).map(|file| (file.try_lock(), file)) {
            Ok((Ok(()), file)) => return Ok(file),
            Ok((Err(TryLockError::WouldBlock), _)) if Instant::now() < give_up => {
                thread::sleep(Duration::from_millis(20));
            }
            Ok((Err(TryLockError::WouldBlock), _)) => return Err(OpenError::Locked { path }),
            Ok((Err(TryLockError::Error(source)), _)) | Err(source) => {
                return Err(OpenError::Directory { path, source });
            }
        }
    }
}

/// Creates the directory so that it survives the loss of power, as far as its parents may be opened.
/// SQLite does the same for the files in it.
fn create_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir)?;
    for parent in dir.canonicalize()?.ancestors().skip(1) {
        File::open(parent).and_then(|parent| parent.sync_all()).unwrap_or_default();
    }
    Ok(())
}

/// Opens a file that only its owner may read; SQLite gives its own files the same mode.
pub(super) fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
