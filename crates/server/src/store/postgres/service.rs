//! The connections of a store, by what they are for.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::Config;
use uuid::Uuid;

use super::super::StoreError;
use super::OpenError;
use super::fault::Fault;
use super::link::Link;
use super::session::{Purpose, Session, generation};
use super::writer::Writer;

/// Connections that read side by side. A page of history takes some 300 µs of one.
const READERS: usize = 3;

/// All that lives on the store's thread.
pub(super) struct Service {
    readers: Vec<Link>,
    next_reader: Cell<usize>,
    /// Nothing in a snapshot.
    writing: Option<Writing>,
}

/// Attempts to reach a database that does not answer, while nobody depends on a quick refusal yet: a
/// machine that starts is busy.
const FIRST_ATTEMPTS: u32 = 5;

/// What writes.
pub(super) struct Writing {
    pub(super) writer: Writer,
    /// The generation when the store was opened: the epochs of rooms without a log were chosen under
    /// it. If it changes later, rooms that are made anew get other epochs than were expected, and
    /// never one that was used before.
    pub(super) opened: Cell<Uuid>,
    /// Small writes keep their order.
    desk: Mutex<Link>,
    upkeep: Mutex<Link>,
}

impl Service {
    /// Connects and checks what can be checked.
    pub(super) async fn open(config: Config) -> Result<Self, OpenError> {
        let config = Rc::new(config);
        let link = |purpose| Link::new(Rc::clone(&config), purpose);
        let session = first(&config, Purpose::Append).await?;
        let failed = |fault| match fault {
            Fault::Postgres(error) => OpenError::Postgres(error),
            _ => OpenError::Damaged("its lineage cannot be read"),
        };
        let opened = Cell::new(generation(&session).await.map_err(failed)?);
        Writer::forget_old(&session).await.map_err(failed)?;
        let readers = (0..READERS).map(|_| link(Purpose::Quick)).collect();
        let writing = Writing {
            writer: Writer::new(Rc::clone(&config), session),
            opened,
            desk: Mutex::new(link(Purpose::Quick)),
            upkeep: Mutex::new(link(Purpose::Upkeep)),
        };
        Ok(Self { readers, next_reader: Cell::new(0), writing: Some(writing) })
    }

    /// Connects to read the database as it is at this moment.
    pub(super) async fn open_snapshot(config: Config) -> Result<Self, OpenError> {
        let session = first(&config, Purpose::Snapshot).await?;
        let link = Link::new(Rc::new(config), Purpose::Snapshot);
        link.adopt(session);
        Ok(Self { readers: vec![link], next_reader: Cell::new(0), writing: None })
    }

    /// Returns the connection whose turn it is.
    pub(super) fn reader(&self) -> &Link {
        let next = self.next_reader.get().wrapping_add(1);
        self.next_reader.set(next);
        &self.readers[next % self.readers.len()]
    }

    /// Returns what writes.
    pub(super) fn writing(&self) -> Result<&Writing, StoreError> {
        self.writing.as_ref().ok_or(StoreError::Unavailable)
    }
}

impl Writing {
    /// Writes something small, after all that was asked for before.
    pub(super) async fn desk<T>(
        &self,
        patience: Duration,
        work: impl AsyncFn(&Session) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        in_turn(&self.desk, patience, work).await
    }

    /// Does something that may take long.
    pub(super) async fn maintain<T>(
        &self,
        patience: Duration,
        work: impl AsyncFn(&Session) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        in_turn(&self.upkeep, patience, work).await
    }
}

async fn in_turn<T>(
    link: &Mutex<Link>,
    patience: Duration,
    work: impl AsyncFn(&Session) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let deadline = Instant::now() + patience;
    let link = timeout_at(deadline, link.lock()).await.map_err(|_| Fault::Silent)?;
    link.run(deadline.duration_since(Instant::now()), work).await
}

/// Opens the first connection.
async fn first(config: &Config, purpose: Purpose) -> Result<Session, OpenError> {
    let mut attempts = 1;
    loop {
        match Session::open(config, purpose).await {
            Err(OpenError::Silent) if attempts < FIRST_ATTEMPTS => attempts += 1,
            outcome => return outcome,
        }
    }
}
