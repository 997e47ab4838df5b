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
use super::job::{self, Aftermath, Answer, Job};
use super::queue::{EndOfService, Next, Queue};
use super::reader::Readers;
use super::schema;
use super::search;
use super::upkeep;

/// Rows after which a transaction takes no further job.
const GROUP_ROWS: usize = 512;
/// Time after which a transaction takes no further job.
const GROUP_TIME: Duration = Duration::from_millis(2);
/// Trimmed rows that are deleted in one transaction: no longer than a full group takes.
const SWEEP_ROWS: i64 = 512;
/// Quiet time after which the writer makes new messages searchable: no commit waits for that.
const INDEX_AFTER: Duration = Duration::from_millis(500);
/// Messages that are made searchable in one transaction.
const INDEX_ROWS: i64 = 512;
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
    /// Whether messages have come that cannot be searched yet.
    unindexed: bool,
    /// The failure that was logged last: a full disk is one line, not one per message.
    failing: Option<StoreError>,
}

/// How a transaction ended that is not known to be committed.
enum Failed {
    /// Rolled back: nothing was stored.
    Undone(Fault),
    /// The commit itself failed: it may be in the database or not.
    Open { fault: Fault, answers: Vec<Answer>, witness: Option<Witness> },
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
            unindexed: true,
            failing: None,
        }
    }

    /// Writes until the queue is closed and empty, then closes the database in order.
    pub(super) fn run(mut self) {
        let queue = Arc::clone(&self.queue);
        let _end = EndOfService(&queue);
        loop {
            let next = match self.connection {
                None => queue.pop_within(REOPEN_EVERY),
                Some(_) if !self.sweeps.is_empty() => queue.pop_within(Duration::ZERO),
                Some(_) if self.unindexed => queue.pop_within(INDEX_AFTER),
                Some(_) => queue.pop(),
            };
            if self.connection.is_none() {
                self.reopen();
            }
            match next {
                Next::Item(job) => self.commit(vec![job], Some(&queue)),
                Next::Nothing => self.index(),
                Next::Closed => break,
            }
            self.sweep();
        }
        self.close();
    }

    /// Commits a group that begins with `group` and takes along what waits in `more`; answers all.
    fn commit(&mut self, mut group: Vec<Job>, more: Option<&Queue<Job>>) {
        let Some(connection) = &mut self.connection else {
            return answer_all(group, StoreError::Unavailable);
        };
        match transact(connection, &mut group, more, self.finish) {
            Ok((answers, after)) => {
                answer_each(group, answers);
                self.follow_up(after);
            }
            Err(Failed::Undone(fault)) => self.undone(group, &fault),
            Err(Failed::Open { fault, answers, witness }) => {
                self.note(&fault);
                self.decide(group, answers, witness);
            }
        }
    }

    fn follow_up(&mut self, after: Aftermath) {
        if self.failing.take().is_some() {
            tracing::info!(path = %self.path.display(), "the database takes writes again");
        }
        self.unindexed = true;
        self.sweeps.extend(after.sweeps.into_iter().map(|sweep| (sweep.room_id, sweep.floor)));
        if let (true, Some(connection)) = (after.checked || after.erased, &self.connection) {
            let wal = self.path.with_extension("db-wal");
            let large = wal.metadata().is_ok_and(|file| file.len() > WAL_LARGE_BYTES);
            // A reader in another process may be in the way; the next check tries again.
            if !large && !after.erased {
                return;
            }
            if let Err(error) = truncate_wal(connection) {
                tracing::warn!(%error, path = %wal.display(), "could not truncate the log");
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
            error => answer_all(group, error),
        }
    }

    /// Finds out what became of a group whose commit failed.
    ///
    /// A failed fsync may have lost pages that the kernel now calls clean, so it is never tried
    /// again. The reopened database holds the group or not; either way it is then durable.
    fn decide(&mut self, group: Vec<Job>, answers: Vec<Answer>, witness: Option<Witness>) {
        self.reopen();
        let found = match (&self.connection, witness) {
            (Some(connection), Some(witness)) => committed(connection, witness).ok(),
            _ => None,
        };
        match found {
            Some(true) => answer_each(group, answers),
            Some(false) => answer_all(group, StoreError::Unavailable),
            None => answer_all(group, StoreError::Indeterminate),
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

    /// Makes some new messages searchable.
    fn index(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        match index_some(connection) {
            Ok(is_behind) => self.unindexed = is_behind,
            Err(fault) => {
                // A search asks again, and fails by itself if it must.
                self.unindexed = false;
                self.note(&fault);
                if fault.is_io() {
                    self.reopen();
                }
            }
        }
    }

    /// Deletes some rows that were trimmed.
    fn sweep(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        if self.sweeps.is_empty() {
            return;
        }
        if let Err(error) = delete_some(connection, &mut self.sweeps) {
            // The rows are invisible, and the next trim of their rooms takes them along.
            self.sweeps.clear();
            let fault = Fault::from(error);
            self.note(&fault);
            if fault.is_io() {
                self.reopen();
            }
        }
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
        if let Some(Err(error)) = self.connection.take().map(|connection| truncate_wal(&connection)) {
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
) -> Result<(Vec<Answer>, Aftermath), Failed> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut after = Aftermath::default();
    let answers = run_group(&transaction, group, more, &mut after).map_err(Failed::Undone)?;
    match finish(transaction).map_err(Fault::from) {
        Ok(()) => Ok((answers, after)),
        // The record that commits is the last of the log: it did not find room.
        Err(fault) if fault.answer() == StoreError::Full => Err(Failed::Undone(fault)),
        Err(fault) => Err(Failed::Open { fault, answers, witness: after.witness }),
    }
}

/// Does the jobs of `group`, and adds those that wait while there is room and time for them.
fn run_group(
    connection: &Connection,
    group: &mut Vec<Job>,
    more: Option<&Queue<Job>>,
    after: &mut Aftermath,
) -> Result<Vec<Answer>, Fault> {
    let started = Instant::now();
    let mut answers = Vec::new();
    let mut rows = 0;
    loop {
        for job in &group[answers.len()..] {
            rows += job.work.rows();
            answers.push(Ok(job.work.run(connection, after)?));
        }
        if started.elapsed() >= GROUP_TIME {
            return Ok(answers);
        }
        let next = more.and_then(|queue| queue.pop_if(|job| rows + job.work.rows() <= GROUP_ROWS));
        match next {
            Some(job) => group.push(job),
            None => return Ok(answers),
        }
    }
}

fn committed(connection: &Connection, witness: Witness) -> rusqlite::Result<bool> {
    let head: i64 = connection.query_row(HEAD, [witness.room_id], |row| row.get(0))?;
    Ok(head == witness.head)
}

fn delete_some(connection: &mut Connection, sweeps: &mut BTreeMap<i64, i64>) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut budget = SWEEP_ROWS;
    while let Some(room) = sweeps.first_entry() {
        budget -= upkeep::sweep(&transaction, *room.key(), *room.get(), budget)?;
        if budget <= 0 {
            break;
        }
        room.remove();
    }
    transaction.commit()
}

/// Makes some messages searchable; returns whether there are more.
fn index_some(connection: &mut Connection) -> Result<bool, Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if search::is_behind(&transaction)? {
        search::index(&transaction, INDEX_ROWS)?;
    }
    let is_behind = search::is_behind(&transaction)?;
    transaction.commit()?;
    Ok(is_behind)
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

/// An answer that nobody waits for any more is dropped.
fn answer_each(group: Vec<Job>, answers: Vec<Answer>) {
    for (job, answer) in group.into_iter().zip(answers) {
        drop(job.reply.send(answer));
    }
}

fn answer_all(group: Vec<Job>, error: StoreError) {
    for job in group {
        drop(job.reply.send(Err(error)));
    }
}

#[cfg(test)]
mod tests;
