//! What a database can do without a server: the same transactions, one after another.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use parlour_protocol::content::{Content, Text};
use parlour_protocol::{Epoch, RoomName, UserId};
use parlour_server::store::postgres::PostgresStore;
use parlour_server::store::sqlite::SqliteStore;
use parlour_server::store::{Draft, Guard, NewEntry, Store};

use super::load::TEXT_BYTES;
use super::process::Measured;

/// What to store.
#[derive(Debug, Args)]
pub(super) struct LimitArgs {
    #[arg(long)]
    rooms: usize,
    /// Messages of a transaction
    #[arg(long)]
    batch: f64,
    #[arg(long)]
    seconds: f64,
    /// A directory for SQLite, or the URL of a PostgreSQL database
    #[arg(long)]
    database: String,
}

/// Where a database is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place<'a> {
    Directory(&'a Path),
    Url(&'a str),
}

/// Measures in a process of its own, on the core of the server; returns messages per second.
pub(super) fn measure(
    program: &Path,
    place: Place<'_>,
    rooms: usize,
    batch: f64,
    span: Duration,
) -> anyhow::Result<f64> {
    let database = match place {
        Place::Directory(directory) => directory.to_string_lossy(),
        Place::Url(url) => url.into(),
    };
    let (rooms, batch, seconds) = (rooms.to_string(), batch.to_string(), span.as_secs_f64().to_string());
    let options = ["--rooms", &rooms, "--batch", &batch, "--seconds", &seconds, "--database", &database];
    let mut process = Measured::start(program, &[&["bench", "limit"], &options[..]].concat())?;
    Ok(process.line_with("stored per second: ")?.parse()?)
}

/// Stores messages for a while, so many in each transaction.
///
/// The transaction is the one that the server makes; nothing else is in the way, and nobody waits
/// for anything but the transaction before.
pub(super) async fn run(args: LimitArgs) -> anyhow::Result<()> {
    let LimitArgs { rooms, batch, seconds, database } = args;
    let store: Box<dyn Store> = match database.contains("://") {
        true => Box::new(PostgresStore::open(&database)?),
        false => Box::new(SqliteStore::open(&PathBuf::from(database))?),
    };
    let names = (0..rooms).map(|room| RoomName::parse(&format!("limit-{room}")));
    let names = names.collect::<Result<Vec<_>, _>>()?;
    let sender = UserId::parse("bench")?;
    let text = "x".repeat(TEXT_BYTES);
    let (mut stored, mut wanted) = (0, 0.0);
    let began = Instant::now();
    while began.elapsed().as_secs_f64() < seconds {
        // Batches of 3.5 are of 3 and of 4 in turn.
        wanted += batch.max(1.0);
        let drafts = (stored..wanted as usize).map(|number| Draft {
            room: names[number % rooms].clone(),
            new_epoch: Epoch(1),
            sender: sender.clone(),
            ts: 0,
            guard: Guard::Author,
            entries: vec![NewEntry { cid: None, content: Content::Message(Text::plain(text.as_str())) }],
        });
        let drafts: Vec<_> = drafts.collect();
        stored += drafts.len();
        for answer in store.append(drafts).await? {
            answer?;
        }
    }
    println!("stored per second: {}", stored as f64 / began.elapsed().as_secs_f64());
    Ok(())
}
