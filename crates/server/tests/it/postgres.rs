//! What the PostgreSQL store promises beyond the contract: above all when the database misbehaves.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parlour_hub::log::{Draft, Guard, NewEntry, Record, Span, Stored};
use parlour_protocol::content::{Content, Text};
use parlour_protocol::{Epoch, RoomName, Seq, UserId};
use parlour_server::store::postgres::PostgresStore;
use parlour_server::store::{Document, Store, StoreError};

use super::harness::postgres::Database;

mod faults;
mod likeness;
mod opening;

/// How long the database may take to come back: far more than it needs, but not for ever.
const PATIENCE: Duration = Duration::from_secs(60);
/// When the store has to say that the database does not answer.
const SILENCE: Duration = Duration::from_millis(3_000);

fn open(address: &str) -> PostgresStore {
    PostgresStore::open(address).expect("the store opens")
}

fn room(name: &str) -> RoomName {
    RoomName::parse_any(name).expect("a valid room name")
}

fn draft(name: &str, text: &str) -> Draft {
    let entry = NewEntry { cid: None, content: Content::Message(Text::plain(text)) };
    Draft {
        room: room(name),
        new_epoch: Epoch(7),
        sender: UserId::parse("Alice").expect("a valid user id"),
        ts: 1_700_000_000_000,
        guard: Guard::Author,
        entries: vec![entry],
    }
}

async fn say(store: &PostgresStore, name: &str, text: &str) -> Result<Stored, StoreError> {
    let mut answers = store.append(vec![draft(name, text)]).await?;
    Ok(answers.pop().expect("an answer").expect("not refused"))
}

async fn texts(store: &PostgresStore, name: &str) -> Vec<String> {
    let records = until_ok(|| store.read(room(name), Span::After(Seq(0)), u32::MAX)).await;
    let numbers: Vec<_> = records.iter().map(|record| record.seq.0).collect();
    assert_eq!(numbers, (1..=records.len() as u64).collect::<Vec<_>>(), "{name} has no holes");
    records.iter().map(text).collect()
}

fn text(record: &Record) -> String {
    match &record.content {
        Content::Message(Text { text, .. }) => text.to_string(),
        other => panic!("expected a message, got {other:?}"),
    }
}

/// Repeats something until it succeeds.
async fn until_ok<T, F>(mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, StoreError>>,
{
    let begun = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "still {error} after {PATIENCE:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_that_somebody_holds_does_not_hold_the_others() {
    let database = Database::new();
    let store = Arc::new(open(&database.address()));
    say(&store, "held", "1").await.expect("stored");
    let (cluster, name) = (database.cluster, database.name.clone());
    let holder = std::thread::spawn(move || {
        cluster
            .sql(&name, "BEGIN; SELECT FROM room WHERE name = 'held' FOR UPDATE; SELECT pg_sleep(4); COMMIT");
    });
    let held = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_sleep(4)%' \
                AND wait_event = 'PgSleep'";
    while database.sql(held).trim() != "1" {}
    let begun = Instant::now();
    let (other, held) = tokio::join!(say(&store, "free", "1"), say(&store, "held", "2"));
    assert!(other.is_ok(), "{other:?}");
    assert_eq!(held, Err(StoreError::Unavailable));
    assert!(begun.elapsed() < SILENCE, "after {:?}", begun.elapsed());
    assert!(say(&store, "free", "2").await.is_ok());
    holder.join().expect("the holder");
    until_ok(|| say(&store, "held", "3")).await;
    assert_eq!(texts(&store, "held").await, ["1", "3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_share_rooms_without_holes_or_deadlocks() {
    const EACH: usize = 60;
    let database = Database::new();
    let stores = [(); 3].map(|()| Arc::new(open(&database.address())));
    let nodes: Vec<_> = stores
        .iter()
        .enumerate()
        .map(|(node, store)| {
            let store = Arc::clone(store);
            tokio::spawn(async move {
                for n in 0..EACH {
                    let mut names = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
                    // Rooms that nobody has written yet, too.
                    names.push(format!("new {}", n / 2));
                    names.rotate_left((node + n) % 5);
                    let batch = names.iter().map(|name| draft(name, &format!("{node} {n}"))).collect();
                    let answers = store.append(batch).await.expect("stored");
                    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
                }
            })
        })
        .collect();
    for node in nodes {
        node.await.expect("a node");
    }
    for name in ["a", "b", "c", "d"] {
        assert_eq!(texts(&stores[0], name).await.len(), 3 * EACH, "{name}");
    }
    assert_eq!(texts(&stores[1], "new 0").await.len(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_was_closed_commits_nothing_and_the_next_one_does() {
    let database = Database::new();
    let store = open(&database.address());
    say(&store, "lobby", "1").await.expect("stored");
    database.sql("UPDATE writer SET closed = true");
    assert_eq!(say(&store, "lobby", "2").await.expect("stored").entries[0].seq, Seq(2));
    database.sql("DELETE FROM writer");
    assert_eq!(say(&store, "lobby", "3").await.expect("stored").entries[0].seq, Seq(3));
    assert_eq!(texts(&store, "lobby").await, ["1", "2", "3"]);
}

/// Ends all connections of stores.
fn cut(database: &Database) {
    database.sql(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
         WHERE datname = current_database() AND application_name = 'parlour'",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_row_is_never_served() {
    let database = Database::new();
    let store = open(&database.address());
    for n in 1..=3 {
        say(&store, "lobby", &n.to_string()).await.expect("stored");
    }
    say(&store, "other", "whole").await.expect("stored");
    store.put(vec![Document { key: "k".into(), value: vec![1] }]).await.expect("put");
    for damage in ["body = 'x'", "ts = ts + 1", "sender = 'Bob'", "edited = 3", "cid = ''", "mentions = ''"] {
        database.sql(&format!(
            "CREATE TABLE whole AS SELECT * FROM message; UPDATE message SET {damage} WHERE seq = 2"
        ));
        let read = store.read(room("lobby"), Span::After(Seq(0)), 9).await;
        assert_eq!(read, Err(StoreError::Corrupt), "{damage}");
        assert_eq!(
            store.open(room("lobby"), 1).await.expect("read").expect("exists").tail.len(),
            1,
            "{damage}"
        );
        database.sql("DELETE FROM message; INSERT INTO message SELECT * FROM whole; DROP TABLE whole");
    }
    assert_eq!(texts(&store, "lobby").await, ["1", "2", "3"]);
    database.sql("DELETE FROM message WHERE seq = 2");
    assert_eq!(store.read(room("lobby"), Span::After(Seq(0)), 9).await, Err(StoreError::Corrupt), "a hole");
    assert_eq!(texts(&store, "other").await, ["whole"]);
    database.sql("UPDATE document SET value = '\\x02'");
    assert_eq!(store.documents("k".into(), 9).await, Err(StoreError::Corrupt));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_said_and_passes() {
    let database = Database::new();
    let store = open(&database.address());
    say(&store, "lobby", "1").await.expect("stored");
    // What the database says when it cannot extend a file.
    database.sql(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$; \
         CREATE TRIGGER full_disk BEFORE INSERT ON message EXECUTE FUNCTION refuse(); \
         CREATE TRIGGER full_disk BEFORE INSERT ON document EXECUTE FUNCTION refuse()",
    );
    assert_eq!(say(&store, "lobby", "2").await, Err(StoreError::Full));
    let document = Document { key: "k".into(), value: vec![1] };
    assert_eq!(store.put(vec![document]).await, Err(StoreError::Full));
    assert_eq!(texts(&store, "lobby").await, ["1"], "reading goes on");
    database.sql("DROP FUNCTION refuse CASCADE");
    assert_eq!(say(&store, "lobby", "3").await.expect("stored").entries[0].seq, Seq(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_begin_at_once_agree_on_a_lineage() {
    let database = Database::new();
    let nodes = [open(&database.address()), open(&database.address())];
    let lineage = |value| vec![Document { key: "lineage".into(), value: vec![value] }];
    let puts = tokio::join!(nodes[0].put(lineage(1)), nodes[1].put(lineage(2)));
    assert_eq!(puts, (Ok(()), Ok(())));
    let read = tokio::join!(nodes[0].documents("lineage".into(), 1), nodes[1].documents("lineage".into(), 1));
    assert_eq!(read.0, read.1);
    let later = lineage(3);
    nodes[0].put(later.clone()).await.expect("put");
    assert_eq!(nodes[1].documents("lineage".into(), 1).await, read.0, "the first one decides");
    assert_ne!(read.0, Ok(later));
}
