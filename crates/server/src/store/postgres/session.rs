//! Connections that promise what the store promises, checked each time one is made.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::{Client, Config, NoTls, Row, Statement};
use uuid::Uuid;

use super::fault::Fault;
use super::{OpenError, schema};

/// How long it may take to connect and to check.
const CONNECT: Duration = Duration::from_secs(2);
/// How long it may take to migrate, which waits for other nodes that do.
const MIGRATE: Duration = Duration::from_secs(60);
/// The oldest version of the server that is tested, and still maintained.
const OLDEST: i32 = 14_0000;

/// Reads from here on see one moment.
const SNAPSHOT: &str = "SET idle_in_transaction_session_timeout = 0; \
     BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT FROM lineage";

/// What a connection is for: how long the database lets it work and wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Appending. Without a limit of time: a statement that is cancelled while it waits for a standby
    /// is committed and not replicated. Our own patience ends first.
    Append,
    /// Asking for the fate of a batch, which may hold its lock for long.
    Resolve,
    /// Everything that is quick.
    Quick,
    /// Retention, erasure and the like.
    Upkeep,
    /// Reading the database as it was at one moment, for as long as that takes.
    Snapshot,
}

impl Purpose {
    /// Returns `statement_timeout` and `lock_timeout` in milliseconds; 0 is without limit.
    fn limits_ms(self) -> (u32, u32) {
        match self {
            Self::Append => (0, 2_000),
            Self::Resolve => (0, 0),
            Self::Quick => (2_000, 2_000),
            Self::Upkeep => (600_000, 10_000),
            Self::Snapshot => (60_000, 2_000),
        }
    }
}

/// A connection that has been checked.
pub(super) struct Session {
    pub(super) client: Client,
    /// Whether it is within a transaction that lasts as long as it does.
    pub(super) is_snapshot: bool,
    statements: RefCell<HashMap<String, Statement>>,
}

impl Session {
    /// Connects, brings the schema up to date and checks that commits are durable.
    ///
    /// Must be called on the store's own runtime, which then carries the connection.
    pub(super) async fn open(config: &Config, purpose: Purpose) -> Result<Self, OpenError> {
        let (mut client, connection) =
            timeout(CONNECT, config.connect(NoTls)).await.map_err(|_| OpenError::Silent)??;
        // It ends when the client is dropped, or with an error that the client gets too.
        tokio::task::spawn_local(async { drop(connection.await) });
        timeout(CONNECT, prepare(&client, purpose)).await.map_err(|_| OpenError::Silent)??;
        let is_snapshot = purpose == Purpose::Snapshot;
        if is_snapshot {
            schema::require(&client).await?;
            client.batch_execute(SNAPSHOT).await?;
            return Ok(Self { client, is_snapshot, statements: RefCell::default() });
        }
        timeout(MIGRATE, schema::migrate(&mut client)).await.map_err(|_| OpenError::Silent)??;
        timeout(CONNECT, recognise(&client)).await.map_err(|_| OpenError::Silent)??;
        Ok(Self { client, is_snapshot, statements: RefCell::default() })
    }

    /// Whether the connection has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Returns a statement, prepared once per connection.
    pub(super) async fn prepared(&self, sql: &str) -> Result<Statement, Fault> {
        let known = self.statements.borrow().get(sql).cloned();
        if let Some(statement) = known {
            return Ok(statement);
        }
        let statement = self.client.prepare(sql).await?;
        self.statements.borrow_mut().insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

/// Sets up a session and refuses one whose commits could be lost (P5).
async fn prepare(client: &Client, purpose: Purpose) -> Result<(), OpenError> {
    let (statement_ms, lock_ms) = purpose.limits_ms();
    // All of our queries are look-ups by an index: plans must not depend on whether statistics have
    // been gathered, and to make or to compile them anew would cost more than they do.
    let settings = format!(
        "SET search_path = parlour; SET statement_timeout = {statement_ms}; SET lock_timeout = {lock_ms}; \
         SET idle_in_transaction_session_timeout = 2000; SET enable_seqscan = off; SET jit = off; \
         SET plan_cache_mode = force_generic_plan; \
         SET client_min_messages = warning; SET timezone = 'UTC'"
    );
    client.batch_execute(&settings).await?;
    if purpose == Purpose::Snapshot {
        // Whoever only reads loses nothing, and may do so from a standby.
        return Ok(());
    }
    let settings = client
        .query(
            "SELECT name, setting FROM pg_settings WHERE name IN \
             ('fsync', 'full_page_writes', 'synchronous_commit', 'server_encoding', 'server_version_num', \
              'transaction_read_only')",
            &[],
        )
        .await?;
    settings.iter().try_for_each(check)
}

/// Refuses a setting that breaks a promise.
fn check(row: &Row) -> Result<(), OpenError> {
    let (name, value): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
    let is_safe = match name {
        "fsync" | "full_page_writes" => value == "on",
        "synchronous_commit" => matches!(value, "on" | "remote_apply"),
        "server_encoding" if value != "UTF8" => return Err(OpenError::Encoding(value.to_owned())),
        "server_version_num" if value.parse().is_ok_and(|version: i32| version < OLDEST) => {
            return Err(OpenError::TooOld(value.to_owned()));
        }
        "transaction_read_only" if value == "on" => return Err(OpenError::ReadOnly),
        _ => true,
    };
    if is_safe {
        return Ok(());
    }
    Err(OpenError::NotDurable { setting: name.to_owned(), value: value.to_owned() })
}

/// Gives all rooms new epochs if this is not the database that it was: a copy, a standby that was
/// promoted, or a new one (P10).
async fn recognise(client: &Client) -> Result<(), OpenError> {
    let identity = client.query_one(
        "SELECT concat_ws(' ', (SELECT system_identifier FROM pg_control_system()), \
         left(pg_walfile_name(pg_current_wal_insert_lsn()), 8), \
         (SELECT oid FROM pg_database WHERE datname = current_database()), \
         pg_relation_filenode('message')), (SELECT identity FROM lineage)",
        &[],
    );
    let identity = identity.await?;
    let (now, known): (String, Option<String>) = (identity.try_get(0)?, identity.try_get(1)?);
    if known.as_ref() == Some(&now) {
        return Ok(());
    }
    let renewed = client
        .execute(
            "WITH gone AS (DELETE FROM document WHERE key = $2) \
             INSERT INTO lineage (generation, identity) VALUES (gen_random_uuid(), $1) \
             ON CONFLICT (only_row) DO UPDATE SET generation = gen_random_uuid(), identity = $1 \
             WHERE lineage.identity IS DISTINCT FROM $1",
            &[&now, &crate::lineage::KEY],
        )
        .await?;
    if renewed > 0 && known.is_some() {
        tracing::error!(
            "this is another database than before: its history may have been rewound, so every room gets \
             a new epoch"
        );
    }
    Ok(())
}

/// Reads what the epochs of rooms are combined with.
pub(super) async fn generation(session: &Session) -> Result<Uuid, Fault> {
    let row = session.client.query_one("SELECT generation FROM lineage", &[]).await?;
    Ok(row.try_get(0)?)
}
