//! The store of several nodes: a PostgreSQL database.
//!
//! The rules of a log stand in the database itself, as functions that the migrations bring along: so
//! one call is one round trip and one transaction, and a node that freezes holds no room. The store
//! has a thread of its own, because connections belong to a runtime and shards come and go.

use std::fmt;
use std::rc::Rc;
use std::str::FromStr as _;
use std::time::Duration;

use compact_str::CompactString;
use parlour_hub::log::{Draft, Head, Record, Refused, Snapshot, Span, Stored};
use parlour_protocol::{RoomName, Seq, UserId};
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

use super::{Archive, Document, Hits, Keep, Pending, Query, Store, StoreError};
use fault::{Fault, describe};
use link::PATIENCE;
use service::Service;
use session::Session;
use thread::Thread;

mod batch;
mod content;
mod escape;
mod fault;
mod link;
mod reader;
mod schema;
mod search;
mod service;
mod session;
mod thread;
mod upkeep;
mod writer;

/// How long retention, erasure and import of one room may take.
const UPKEEP: Duration = Duration::from_secs(600);

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address is not one.
    #[error("the address of the database is not valid: {}", describe(.0))]
    Address(tokio_postgres::Error),
    /// The address asks for encryption.
    #[error(
        "the address of the database asks for TLS, which this version cannot speak to a database; use \
         `sslmode=disable` over a network that you trust"
    )]
    Encryption,
    /// The database refused, or cannot be reached.
    #[error("cannot use the database: {}", describe(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// There was no answer in time.
    #[error("the database does not answer")]
    Silent,
    /// Commits would not survive the loss of power.
    #[error("commits are not durable: `{setting}` is {value}; set it to `on` in the database")]
    NotDurable {
        /// The setting.
        setting: String,
        /// What it is.
        value: String,
    },
    /// The server is a standby, or set to read only.
    #[error("the database takes no writes: it is a standby, or read only")]
    ReadOnly,
    /// Not every text could be stored.
    #[error("the database has the encoding {0}; create it with UTF8")]
    Encoding(String),
    /// The server is older than what is tested.
    #[error("the server has version {0}; at least PostgreSQL 14 is needed")]
    TooOld(String),
    /// A newer program has written the database.
    #[error(
        "the database has schema {found}, and this program knows up to {known}; start the newer program, \
         or restore a backup from before the upgrade"
    )]
    NewerSchema {
        /// The version in the database.
        found: i32,
        /// The newest version that this program knows.
        known: i32,
    },
    /// The database has not been migrated yet.
    #[error("the database has schema {found}, and this program needs {known}; start a node once")]
    OlderSchema {
        /// The version in the database; 0 for none.
        found: i32,
        /// The version that this program needs.
        known: i32,
    },
    /// The database holds something that was not written by us.
    #[error("the database is damaged: {0}")]
    Damaged(&'static str),
    /// The operating system refused a thread.
    #[error("cannot start a thread for the database: {0}")]
    Thread(std::io::Error),
}

/// A [`Store`] in a PostgreSQL database, which other nodes may use at the same time.
///
/// At most 1,000 requests of together 16 MiB wait; what comes beyond is [`StoreError::Unavailable`] at
/// once, and so is, within 2.5 s, what the database does not answer. Dropping the store waits until all
/// that was asked for is answered.
pub struct PostgresStore {
    thread: Thread<Service>,
    /// Without its password.
    shown: String,
}

impl PostgresStore {
    /// Opens a database by its address, such as `postgres://user:password@host/database`, and brings
    /// its schema up to date. Everything lives in the schema `parlour`.
    ///
    /// Blocks while it does so.
    ///
    /// # Errors
    /// Any [`OpenError`]; none shows the password.
    pub fn open(address: &str) -> Result<Self, OpenError> {
        Self::start(address, Service::open)
    }

    /// Opens a database to read it as it is at this moment, beside the nodes that use it; all writes are
    /// [`StoreError::Unavailable`].
    ///
    /// The database keeps what is deleted meanwhile until the store is dropped.
    ///
    /// # Errors
    /// Any [`OpenError`]; none shows the password.
    pub fn open_read_only(address: &str) -> Result<Self, OpenError> {
        Self::start(address, Service::open_snapshot)
    }

    fn start<F>(address: &str, open: impl FnOnce(Config) -> F + Send + 'static) -> Result<Self, OpenError>
    where
        F: Future<Output = Result<Service, OpenError>>,
    {
        // The library does not know these two, which ask for even more.
        if address.contains("sslmode=verify-ca") || address.contains("sslmode=verify-full") {
            return Err(OpenError::Encryption);
        }
        let mut config = Config::from_str(address).map_err(OpenError::Address)?;
        if config.get_ssl_mode() == SslMode::Require {
            return Err(OpenError::Encryption);
        }
        if config.get_application_name().is_none() {
            config.application_name("parlour");
        }
        let shown = format!("{:?}/{}", config.get_hosts(), config.get_dbname().unwrap_or_default());
        let thread = Thread::start(|| open(config))?;
        Ok(Self { thread, shown })
    }

    fn read<T: Send + 'static>(
        &self,
        question: impl AsyncFn(&Session) -> Result<T, Fault> + Send + 'static,
    ) -> Pending<'_, T> {
        self.thread.ask(0, StoreError::Unavailable, async move |service| {
            service.reader().run(PATIENCE, question).await.map_err(|fault| noted(&fault, "read from"))
        })
    }

    /// Does something small that may be done twice. Where its answer is lost, nobody knows.
    fn write<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl AsyncFn(&Session) -> Result<T, Fault> + Send + 'static,
    ) -> Pending<'_, T> {
        self.thread.ask(bytes, StoreError::Indeterminate, async move |service| {
            service.writing()?.desk(PATIENCE, work).await.map_err(|fault| noted(&fault, "write to"))
        })
    }

    /// Does something that may take long.
    fn maintain<T: Send + 'static>(
        &self,
        work: impl AsyncFn(&Session) -> Result<T, Fault> + Send + 'static,
    ) -> Pending<'_, T> {
        self.thread.ask(0, StoreError::Indeterminate, async move |service| {
            service.writing()?.maintain(UPKEEP, work).await.map_err(|fault| noted(&fault, "maintain"))
        })
    }
}

/// Logs a failure and returns its answer.
fn noted(fault: &Fault, what: &str) -> StoreError {
    tracing::warn!(error = %fault, "could not {what} the database");
    fault.answer()
}

impl Store for PostgresStore {
    fn open(&self, room: RoomName, tail: u32) -> Pending<'_, Option<Snapshot>> {
        self.read(async move |session| reader::open(session, &room, tail).await)
    }

    fn append(&self, batch: Vec<Draft>) -> Pending<'_, Vec<Result<Stored, Refused>>> {
        let bytes = batch.iter().map(batch::bytes).sum();
        self.thread.ask(bytes, StoreError::Indeterminate, async move |service| {
            let writing = service.writing()?;
            writing.writer.append(&batch, writing.opened.get()).await
        })
    }

    fn read(&self, room: RoomName, span: Span, limit: u32) -> Pending<'_, Vec<Record>> {
        self.read(async move |session| reader::read(session, &room, span, limit).await)
    }

    fn find(&self, room: RoomName, sender: UserId, cid: CompactString) -> Pending<'_, Option<Stored>> {
        self.read(async move |session| reader::find(session, &room, &sender, &cid).await)
    }

    fn search(&self, query: Query) -> Pending<'_, Hits> {
        self.read(async move |session| search::find(session, &query).await)
    }

    fn unread(&self, user: UserId, cursors: Vec<(RoomName, Seq)>) -> Pending<'_, Vec<u32>> {
        self.read(async move |session| reader::unread(session, &user, &cursors).await)
    }

    fn put(&self, documents: Vec<Document>) -> Pending<'_, ()> {
        let bytes = documents.iter().map(|document| document.key.len() + document.value.len()).sum();
        self.write(bytes, async move |session| upkeep::put(session, &documents).await)
    }

    fn documents(&self, prefix: String, limit: u32) -> Pending<'_, Vec<Document>> {
        self.read(async move |session| reader::documents(session, &prefix, limit).await)
    }
}

impl Archive for PostgresStore {
    fn rooms(&self, after: Option<RoomName>, limit: u32) -> Pending<'_, Vec<(RoomName, Head)>> {
        self.read(async move |session| reader::rooms(session, after.as_ref(), limit).await)
    }

    fn heads(&self, rooms: Vec<RoomName>) -> Pending<'_, Vec<Option<Head>>> {
        self.read(async move |session| reader::heads(session, &rooms).await)
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn trim(&self, room: RoomName, keep: Keep) -> Pending<'_, Option<Head>> {
        self.maintain(async move |session| upkeep::trim(session, &room, keep).await)
    }

    fn erase(&self, user: UserId, alias: UserId) -> Pending<'_, Vec<RoomName>> {
        self.maintain(async move |session| upkeep::erase(session, &user, &alias).await)
    }

    fn restore(&self, room: RoomName, part: Snapshot) -> Pending<'_, Head> {
        self.maintain(async move |session| upkeep::restore(session, &room, &part).await)
    }

    fn renew(&self) -> Pending<'_, ()> {
        self.thread.ask(0, StoreError::Indeterminate, async move |service: Rc<Service>| {
            let writing = service.writing()?;
            let renewed = writing.desk(PATIENCE, async |session| upkeep::renew(session).await).await;
            // Epochs of new rooms are chosen under it from now on.
            renewed.map(|generation| writing.opened.set(generation)).map_err(|fault| noted(&fault, "renew"))
        })
    }

    fn check(&self) -> Pending<'_, ()> {
        self.write(0, async |session| upkeep::probe(session).await)
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("database", &self.shown).finish_non_exhaustive()
    }
}
