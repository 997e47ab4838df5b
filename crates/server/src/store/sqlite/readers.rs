//! The threads that read, each with its own connection.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::super::StoreError;
use super::fault::Fault;
use super::queue::{EndOfService, Next, Queue};
use super::schema;

/// A question, to be put to a connection, if there is one at the moment.
pub(super) type Question = Box<dyn FnOnce(Option<&mut Connection>) + Send>;

/// The connections of the readers. Only the writer opens and closes them: after a failed commit
/// nobody may look at the database before it has been verified.
pub(super) struct Readers(Vec<Mutex<Option<Connection>>>);

impl Readers {
    pub(super) fn open(path: &Path, count: usize) -> rusqlite::Result<Self> {
        let readers = Self((0..count).map(|_| Mutex::new(None)).collect());
        readers.reopen(path)?;
        Ok(readers)
    }

    /// The one connection of a view, which is in a transaction.
    pub(super) fn around(connection: Connection) -> Self {
        Self(vec![Mutex::new(Some(connection))])
    }

    pub(super) fn reopen(&self, path: &Path) -> rusqlite::Result<()> {
        for index in 0..self.0.len() {
            *self.connection(index) = Some(schema::open_reader(path)?);
        }
        Ok(())
    }

    /// Closes all connections, after the reads that run. Later reads are `Unavailable`.
    pub(super) fn close(&self) {
        for index in 0..self.0.len() {
            *self.connection(index) = None;
        }
    }

    fn connection(&self, index: usize) -> MutexGuard<'_, Option<Connection>> {
        // A connection is whole after a panic too: its transaction was rolled back on the way.
        self.0[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers questions until the queue is closed.
pub(super) fn run(readers: &Arc<Readers>, index: usize, queue: &Arc<Queue<Question>>) {
    let _end = EndOfService(queue);
    while let Next::Item(question) = queue.pop() {
        question(readers.connection(index).as_mut());
    }
}

/// Wraps what is asked, and returns where the answer comes.
pub(super) fn question<T: Send + 'static>(
    ask: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
) -> (Question, oneshot::Receiver<Result<T, StoreError>>) {
    let (reply, answer) = oneshot::channel();
    // An answer that nobody waits for any more is dropped.
    let question = Box::new(|connection: Option<&mut Connection>| drop(reply.send(put(connection, ask))));
    (question, answer)
}

/// Reads within one transaction, so that a room's ends and its records belong together. A savepoint
/// begins one, except in a view, which has one already.
fn put<T>(
    connection: Option<&mut Connection>,
    ask: impl FnOnce(&Connection) -> Result<T, Fault>,
) -> Result<T, StoreError> {
    let connection = connection.ok_or(StoreError::Unavailable)?;
    let answer = connection.savepoint().map_err(Fault::from).and_then(|savepoint| ask(&savepoint));
    answer.map_err(|fault| {
        tracing::error!(error = %fault, "could not read from the database");
        fault.answer()
    })
}
