//! What is asked of the writer: work inside its transaction, and who waits for the outcome.

use parlour_hub::log::Draft;
use parlour_protocol::content::{Content, NewText, Text};
use rusqlite::{Connection, params};
use tokio::sync::oneshot;

use super::super::{Document, StoreError};
use super::append::Witness;
use super::checksum;
use super::fault::Fault;
use super::reader::Reply;

/// Memory that a small value costs beside its bytes.
const OVERHEAD_BYTES: usize = 128;

const PUT: &str = "INSERT INTO document (key, value, checksum) VALUES (?1, ?2, ?3) \
     ON CONFLICT (key) DO UPDATE SET value = excluded.value, checksum = excluded.checksum";
const DELETE: &str = "DELETE FROM document WHERE key = ?1";
const PROBE: &str = "UPDATE probe SET count = count + 1";

/// A piece of work, and who waits for it.
pub(super) struct Job {
    /// The rows that the transaction grows by.
    pub(super) rows: usize,
    /// The memory that waits with it in the queue.
    pub(super) bytes: usize,
    task: Box<dyn Task>,
}

/// What a transaction leaves behind for later, if it is committed.
#[derive(Debug, Default)]
pub(super) struct Aftermath {
    /// How to recognise the transaction in a reopened database.
    pub(super) witness: Option<Witness>,
    pub(super) sweeps: Vec<Sweep>,
    /// New messages, which cannot be found yet.
    pub(super) added: usize,
    /// Whether texts were erased, which the write-ahead log still holds.
    pub(super) erased: bool,
    /// Whether somebody waits until the log holds none of them.
    pub(super) checked: bool,
}

/// Rows below the floor of a room, already invisible, that are still to be deleted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sweep {
    pub(super) room_id: i64,
    pub(super) floor: i64,
}

trait Task: Send {
    fn run(&mut self, connection: &Connection, after: &mut Aftermath) -> Result<(), Fault>;
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

struct Asked<W, T> {
    work: W,
    done: Option<T>,
    reply: Reply<T>,
}

impl<W, T> Task for Asked<W, T>
where
    W: FnMut(&Connection, &mut Aftermath) -> Result<T, Fault> + Send,
    T: Send,
{
    fn run(&mut self, connection: &Connection, after: &mut Aftermath) -> Result<(), Fault> {
        self.done = Some((self.work)(connection, after)?);
        Ok(())
    }

    /// An answer that nobody waits for any more is dropped.
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { done, reply, .. } = *self;
        drop(reply.send(outcome.and_then(|()| done.ok_or(StoreError::Indeterminate))));
    }
}

impl Job {
    /// Asks for work, which may be done again after its transaction was rolled back.
    pub(super) fn new<T: Send + 'static>(
        (rows, bytes): (usize, usize),
        work: impl FnMut(&Connection, &mut Aftermath) -> Result<T, Fault> + Send + 'static,
    ) -> (Self, oneshot::Receiver<Result<T, StoreError>>) {
        let (reply, answer) = oneshot::channel();
        let task = Box::new(Asked { work, done: None, reply });
        (Self { rows, bytes: bytes + rows * OVERHEAD_BYTES, task }, answer)
    }

    /// Does the work inside the transaction that is open on `connection`.
    pub(super) fn run(&mut self, connection: &Connection, after: &mut Aftermath) -> Result<(), Fault> {
        self.task.run(connection, after)
    }

    /// Tells how the transaction ended.
    pub(super) fn answer(self, outcome: Result<(), StoreError>) {
        self.task.answer(outcome);
    }
}

/// The rows and bytes of drafts.
pub(super) fn size_of(drafts: &[Draft]) -> (usize, usize) {
    let entries = || drafts.iter().flat_map(|draft| &draft.entries);
    let bytes = |content: &Content| match content {
        Content::Message(Text { text, .. }) => text.len(),
        Content::Edit(NewText { text, .. }) => text.as_ref().map_or(0, |text| text.len()),
        _ => 0,
    };
    (entries().count(), entries().map(|entry| bytes(&entry.content)).sum())
}

/// Writes a row that means nothing.
pub(super) fn probe(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached(PROBE)?.execute(()).map(drop)
}

pub(super) fn put(connection: &Connection, documents: &[Document]) -> Result<(), Fault> {
    let mut put = connection.prepare_cached(PUT)?;
    let mut delete = connection.prepare_cached(DELETE)?;
    for Document { key, value } in documents {
        if value.is_empty() {
            delete.execute([key])?;
        } else {
            put.execute(params![key, value, checksum::of_document(key, value)])?;
        }
    }
    Ok(())
}
