//! Connections with the settings that the promises need, and the migrations of the database.

use std::cmp::Ordering;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::OpenError;

/// The migrations in their order; the number of a file is its place here, from 1.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_rooms_and_documents.sql"),
    include_str!("migrations/0002_entries_and_search.sql"),
];

/// How long to wait for another process that holds the database, such as a backup.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// Pages in the write-ahead log before they are moved into the database: 16 MiB. Fewer pages would
/// make a commit pay more often for a second fsync.
const CHECKPOINT_PAGES: i64 = 4_000;

/// Size to which a write-ahead log that has grown is cut back, in bytes.
const WAL_KEPT_BYTES: i64 = 64 << 20;

/// `PRAGMA synchronous` that makes every commit wait for the disk.
const SYNCHRONOUS_FULL: i64 = 2;

/// Opens the one connection that writes, and brings the schema up to date.
pub(super) fn open_writer(path: &Path, max_bytes: Option<u64>) -> Result<Connection, OpenError> {
    let failed = |source| OpenError::Sqlite { path: path.to_owned(), source };
    let mut connection = connect(path).map_err(failed)?;
    let (mode, synchronous) = make_durable(&connection).map_err(failed)?;
    if mode != "wal" || synchronous < SYNCHRONOUS_FULL {
        return Err(OpenError::NotDurable { path: path.to_owned(), mode, synchronous });
    }
    if let Some(bytes) = max_bytes {
        limit_size(&connection, bytes).map_err(failed)?;
    }
    migrate(&mut connection, path)?;
    Ok(connection)
}

/// Opens a connection that only reads.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(path)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "cache_size", -8_192)?;
    Ok(connection)
}

/// Opens a connection that sees the database as it is now, whatever is written later.
pub(super) fn open_view(path: &Path) -> Result<Connection, OpenError> {
    let view = || {
        let connection = open_reader(path)?;
        // The first question decides about the moment.
        connection.execute_batch("BEGIN")?;
        let found = connection.query_row("SELECT max(version) FROM schema_version", (), |row| row.get(0))?;
        Ok((connection, found))
    };
    let (connection, found): (_, u32) =
        view().map_err(|source| OpenError::Sqlite { path: path.to_owned(), source })?;
    let (path, known) = (path.to_owned(), MIGRATIONS.len() as u32);
    match found.cmp(&known) {
        Ordering::Less => Err(OpenError::OlderSchema { path }),
        Ordering::Greater => Err(OpenError::NewerSchema { path, found, known }),
        Ordering::Equal => Ok(connection),
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    // Without SQLITE_OPEN_URI: a directory named `file:x?mode=memory` is a directory.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(connection)
}

/// Sets what makes commits durable, and returns what SQLite made of it.
fn make_durable(connection: &Connection) -> rusqlite::Result<(String, i64)> {
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    // Elsewhere these change nothing; on macOS a plain fsync does not reach the disk.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", WAL_KEPT_BYTES)?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    // What is deleted is overwritten, in pages that stay and in those that become free.
    connection.pragma_update(None, "secure_delete", true)?;
    let mode = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    let synchronous = connection.pragma_query_value(None, "synchronous", |row| row.get(0))?;
    Ok((mode, synchronous))
}

fn limit_size(connection: &Connection, bytes: u64) -> rusqlite::Result<()> {
    let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let pages = i64::try_from(bytes).unwrap_or(i64::MAX) / page.max(1);
    // SQLite does not go below what the database already has.
    connection.pragma_update(None, "max_page_count", pages.max(1))
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::Sqlite { path: path.to_owned(), source };
    let found = migrate_from(connection).map_err(failed)?;
    let known = MIGRATIONS.len() as u32;
    if found > known {
        return Err(OpenError::NewerSchema { path: path.to_owned(), found, known });
    }
    Ok(())
}

/// Runs the migrations that are missing, all or none, and returns the version that was found.
fn migrate_from(connection: &mut Connection) -> rusqlite::Result<u32> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction
        .execute_batch("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY) STRICT")?;
    let found = "SELECT coalesce(max(version), 0) FROM schema_version";
    let found: u32 = transaction.query_row(found, (), |row| row.get(0))?;
    for (version, sql) in (1..).zip(MIGRATIONS).skip(found as usize) {
        transaction.execute_batch(sql)?;
        transaction.execute("INSERT INTO schema_version (version) VALUES (?1)", [version])?;
    }
    transaction.commit()?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_migration_file_is_listed_in_its_place() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/sqlite/migrations");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .expect("the folder of migrations")
            .map(|entry| entry.expect("an entry").path())
            .collect();
        files.sort();
        let texts: Vec<_> = files.iter().map(|file| std::fs::read_to_string(file).expect("text")).collect();
        assert_eq!(texts, MIGRATIONS);
        for (index, file) in files.iter().enumerate() {
            let name = file.file_name().and_then(|name| name.to_str()).expect("a name");
            assert!(name.starts_with(&format!("{:04}_", index + 1)), "{name}");
        }
    }
}
