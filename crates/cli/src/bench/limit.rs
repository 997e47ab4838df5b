//! What a database can do without a server: the same transactions, one after another.

use std::path::Path;
use std::time::{Duration, Instant};

use parlour_protocol::content::{Content, Text};
use parlour_protocol::{Epoch, RoomName, UserId};
use parlour_server::store::postgres::PostgresStore;
use parlour_server::store::sqlite::SqliteStore;
use parlour_server::store::{Draft, Guard, NewEntry, Store};

use super::load::TEXT_BYTES;

/// Opens a new SQLite database.
pub(super) fn sqlite(directory: &Path) -> anyhow::Result<Box<dyn Store>> {
    Ok(Box::new(SqliteStore::open(directory)?))
}

/// Opens a PostgreSQL database. An append is one call over one connection.
pub(super) fn postgres(url: &str) -> anyhow::Result<Box<dyn Store>> {
    Ok(Box::new(PostgresStore::open(url)?))
}

/// Stores messages for a while, so many in each transaction, and returns how many per second.
///
/// The transaction is the one that the server makes; nothing else is in the way, and nobody waits
/// for anything but the transaction before.
pub(super) async fn appends_per_second(
    store: &dyn Store,
    rooms: usize,
    batch: f64,
    span: Duration,
) -> anyhow::Result<f64> {
    let names = (0..rooms).map(|room| RoomName::parse(&format!("limit-{room}")));
    let names = names.collect::<Result<Vec<_>, _>>()?;
    let sender = UserId::parse("bench")?;
    let text = "x".repeat(TEXT_BYTES);
    let (mut stored, mut wanted) = (0, 0.0);
    let began = Instant::now();
    while began.elapsed() < span {
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
    Ok(stored as f64 / began.elapsed().as_secs_f64())
}
