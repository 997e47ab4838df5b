//! The one thread that writes: gathers what waits into one transaction, and answers when it is on
//! the disk.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::super::StoreError;
use super::OpenError;
use super::append::Witness;
use super::fault::Fault;
use super::job::{self, Aftermath, Job};
use super::queue::{EndOfService, Next, Queue};
use super::readers::Readers;
use super::{index, mark, schema, upkeep};

/// Rows after which a transaction takes no further job.
pub(super) const GROUP_ROWS: usize = 512;
/// Time after which a transaction takes no further job.
const GROUP_TIME: Duration = Duration::from_millis(2);
/// Trimmed rows that are deleted in one transaction: no longer than a full group takes.
const SWEEP_ROWS: usize = 512;
/// How long nobody may ask for anything before new messages are indexed.
const IDLE: Duration = Duration::from_millis(200);
/// Messages that may wait to be indexed while there is no pause.
const BACKLOG: usize = 20_000;
/// How often a writer without a database tries to open it again.
const REOPEN_EVERY: Duration = Duration::from_secs(1);
/// Length of the write-ahead log from which a check cuts it back, in bytes.
const WAL_LARGE_BYTES: u64 = 32 << 20;

const HEAD: &str = "SELECT head FROM room WHERE id = ?1";

pub(super) struct Writer {
    path: PathBuf,
    max_bytes: Option<u64>,
    queue: Arc<Queue<Job>>,
    readers: Arc<Readers>,
    /// `None` after a failure of the disk, until the database has been opened and verified again.
    connection: Option<Connection>,
    /// Ends a transaction; a failing disk in tests.
    finish: fn(Transaction<'_>) -> rusqlite::Result<()>,
    /// The floors of rooms whose rows below are still to be deleted.
    sweeps: BTreeMap<i64, i64>,
    /// Messages that are not indexed yet, or more.
    backlog: usize,
    /// Whether the write-ahead log may hold texts that were erased.
    is_stale: bool,
    /// The failure that was logged last: a full disk is one line, not one per message.
    failing: Option<StoreError>,
}

/// How a transaction ended that is not known to be committed.
enum Failed {
    /// Rolled back: nothing was stored.
    Undone(Fault),
    /// The commit itself failed: it may be in the database or not.
    Open { fault: Fault, witness: Option<Witness> },
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self::Undone(error.into())
    }
}

impl Writer {
    pub(super) fn new(
        path: PathBuf,
        max_bytes: Option<u64>,
        queue: Arc<Queue<Job>>,
        readers: Arc<Readers>,
        connection: Connection,
    ) -> Self {
        Self {
            path,
            max_bytes,
            queue,
            readers,
            connection: Some(connection),
            finish: |transaction| transaction.commit(),
            sweeps: BTreeMap::new(),
            backlog: 1,
            is_stale: true,
            failing: None,
        }
    }

    /// Writes until the queue is closed and empty, then closes the database in order.
    pub(super) fn run(mut self) {
        let queue = Arc::clone(&self.queue);
        let _end = EndOfService(&queue);
        let mut idle = IDLE;
        loop {
            let next = match self.connection {
                None => queue.pop_within(REOPEN_EVERY),
                Some(_) if !self.sweeps.is_empty() => queue.pop_within(Duration::ZERO),
                Some(_) if self.backlog > 0 => queue.pop_within(idle),
                Some(_) => queue.pop(),
            };
            if self.connection.is_none() {
                self.reopen();
            }
            let is_idle = matches!(next, Next::Nothing);
            match next {
                Next::Item(job) => self.commit(vec![job], Some(&queue)),
                Next::Nothing => {}
                Next::Closed => break,
            }
            if self.backlog > BACKLOG || (is_idle && self.sweeps.is_empty()) {
                self.index();
            }
            // Once it is idle it goes on until all is indexed, or somebody asks.
            idle = if is_idle { Duration::ZERO } else { IDLE };
            self.sweep();
        }
        self.close();
    }

    /// Commits a group that begins with `group` and takes along what waits in `more`; answers all.
    fn commit(&mut self, mut group: Vec<Job>, more: Option<&Queue<Job>>) {
        let Some(connection) = &mut self.connection else {
            return answer_all(group, Err(StoreError::Unavailable));
        };
        match transact(connection, &mut group, more, self.finish) {
            Ok(after) => {
                self.follow_up(after);
                answer_all(group, Ok(()));
            }
            Err(Failed::Undone(fault)) => self.undone(group, &fault),
            Err(Failed::Open { fault, witness }) => {
                self.note(&fault);
                self.decide(group, witness);
            }
        }
    }

    fn follow_up(&mut self, after: Aftermath) {
        if self.failing.take().is_some() {
            tracing::info!(path = %self.path.display(), "the database takes writes again");
        }
        self.sweeps.extend(after.sweeps.into_iter().map(|sweep| (sweep.room_id, sweep.floor)));
        self.backlog += after.added;
        self.is_stale |= after.erased;
        if let (true, Some(connection)) = (after.checked, &self.connection) {
            let wal = self.path.with_extension("db-wal");
            let is_large = || wal.metadata().is_ok_and(|file| file.len() > WAL_LARGE_BYTES);
            if self.is_stale || is_large() {
                match truncate_wal(connection) {
                    Ok(()) => self.is_stale = false,
                    // A reader in another process may be in the way; the next check tries again.
                    Err(error) => tracing::warn!(%error, path = %wal.display(), "could not truncate the log"),
                }
            }
        }
    }

    /// Answers a group that was rolled back.
    ///
    /// One job that cannot be done must not fail its neighbours: each is tried again alone.
    fn undone(&mut self, group: Vec<Job>, fault: &Fault) {
        self.note(fault);
        if fault.is_io() {
            self.reopen();
        }
        match fault.answer() {
            StoreError::Full | StoreError::Corrupt if group.len() > 1 => {
                group.into_iter().for_each(|job| self.commit(vec![job], None));
            }
            error => answer_all(group, Err(error)),
        }
    }

    /// Finds out what became of a group whose commit failed.
    ///
    /// A failed fsync may have lost pages that the kernel now calls clean, so it is never tried
    /// again. The reopened database holds the group or not; either way it is then durable.
    fn decide(&mut self, group: Vec<Job>, witness: Option<Witness>) {
        self.reopen();
        let found = match (&self.connection, witness) {
            (Some(connection), Some(witness)) => committed(connection, witness).ok(),
            _ => None,
        };
        match found {
            Some(true) => answer_all(group, Ok(())),
            Some(false) => answer_all(group, Err(StoreError::Unavailable)),
            None => answer_all(group, Err(StoreError::Indeterminate)),
        }
    }

    /// Closes all connections and opens them again, if the database proves to be whole.
    fn reopen(&mut self) {
        self.readers.close();
        let first_try = self.connection.take().is_some();
        match self.open_verified() {
            Ok(connection) => self.connection = Some(connection),
            Err(error) if first_try => tracing::error!(%error, "could not reopen the database"),
            Err(error) => tracing::debug!(%error, "still cannot reopen the database"),
        }
    }

    fn open_verified(&self) -> Result<Connection, OpenError> {
        let connection = schema::open_writer(&self.path, self.max_bytes)?;
        // The commit makes the directory durable, and the checkpoint all that the log holds: it
        // writes it anew into the database file, so that no page of the failed fsync matters.
        job::probe(&connection)
            .and_then(|()| truncate_wal(&connection))
            .and_then(|()| self.readers.reopen(&self.path))
            .map_err(|source| OpenError::Sqlite { path: self.path.clone(), source })?;
        Ok(connection)
    }

    /// Deletes some rows that were trimmed.
    fn sweep(&mut self) {
        if self.sweeps.is_empty() {
            return;
        }
        let mut sweeps = std::mem::take(&mut self.sweeps);
        let swept = self.in_background(|connection| upkeep::sweep(connection, &mut sweeps, SWEEP_ROWS));
        // After a failure the rows are invisible, and the next trim of their rooms takes them along.
        if swept.is_some() {
            self.sweeps = sweeps;
            self.is_stale = true;
        }
    }

    /// Indexes some messages.
    fn index(&mut self) {
        if self.backlog == 0 {
            return;
        }
        // After a failure the next message, or the next search, tries again.
        match self.in_background(index::advance) {
            Some(true) => self.backlog = self.backlog.saturating_sub(index::SLICE_ROWS).max(1),
            Some(false) | None => self.backlog = 0,
        }
    }

    /// Does work that nobody waits for in a transaction of its own; `None` if it failed.
    fn in_background<T>(&mut self, work: impl FnOnce(&Connection) -> Result<T, Fault>) -> Option<T> {
        let done = do_in_transaction(self.connection.as_mut()?, work);
        done.map_err(|fault| {
            self.note(&fault);
            if fault.is_io() {
                self.reopen();
            }
        })
        .ok()
    }

    fn note(&mut self, fault: &Fault) {
        let answer = fault.answer();
        if self.failing.replace(answer) != Some(answer) {
            let path = self.path.display();
            tracing::error!(error = %fault, %path, "the database does not take writes");
        }
    }

    fn close(&mut self) {
        self.readers.close();
        let Some(connection) = self.connection.take() else { return };
        if let Some(dir) = self.path.parent()
            && let Err(error) = mark::renew(&connection, dir)
        {
            tracing::warn!(%error, path = %dir.display(), "could not mark the database");
        }
        if let Err(error) = truncate_wal(&connection) {
            // Nothing is lost: the next start reads the log.
            tracing::warn!(%error, "could not move the log into the database");
        }
    }
}

fn transact(
    connection: &mut Connection,
    group: &mut Vec<Job>,
    more: Option<&Queue<Job>>,
    finish: fn(Transaction<'_>) -> rusqlite::Result<()>,
) -> Result<Aftermath, Failed> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut after = Aftermath::default();
    run_group(&transaction, group, more, &mut after).map_err(Failed::Undone)?;
    match finish(transaction).map_err(Fault::from) {
        Ok(()) => Ok(after),
        // The record that commits is the last of the log: it did not find room.
        Err(fault) if fault.answer() == StoreError::Full => Err(Failed::Undone(fault)),
        Err(fault) => Err(Failed::Open { fault, witness: after.witness }),
    }
}

/// Does the jobs of `group`, and adds those that wait while there is room and time for them.
fn run_group(
    connection: &Connection,
    group: &mut Vec<Job>,
    more: Option<&Queue<Job>>,
    after: &mut Aftermath,
) -> Result<(), Fault> {
    let started = Instant::now();
    let (mut done, mut rows) = (0, 0);
    loop {
        for job in &mut group[done..] {
            rows += job.rows;
            job.run(connection, after)?;
        }
        done = group.len();
        if started.elapsed() >= GROUP_TIME {
            return Ok(());
        }
        match more.and_then(|queue| queue.pop_if(|job| rows + job.rows <= GROUP_ROWS)) {
            Some(job) => group.push(job),
            None => return Ok(()),
        }
    }
}

fn committed(connection: &Connection, witness: Witness) -> rusqlite::Result<bool> {
    let head: i64 = connection.query_row(HEAD, [witness.room_id], |row| row.get(0))?;
    Ok(head == witness.head)
}

fn do_in_transaction<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = work(&transaction)?;
    transaction.commit()?;
    Ok(done)
}

/// Moves the write-ahead log into the database file and empties it.
fn truncate_wal(connection: &Connection) -> rusqlite::Result<()> {
    let busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get(0))?;
    if busy {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
        return Err(rusqlite::Error::SqliteFailure(code, None));
    }
    Ok(())
}

fn answer_all(group: Vec<Job>, outcome: Result<(), StoreError>) {
    group.into_iter().for_each(|job| job.answer(outcome));
}

#[cfg(test)]
mod tests;
