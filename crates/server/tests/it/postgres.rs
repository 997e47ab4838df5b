//! What the PostgreSQL store promises when the database misbehaves.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parlour_hub::log::{Draft, Guard, NewEntry, Record, Span, Stored};
use parlour_protocol::content::{Content, Text};
use parlour_protocol::{Epoch, RoomName, Seq, UserId};
use parlour_server::store::postgres::{OpenError, PostgresStore};
use parlour_server::store::{Archive, Document, Store, StoreError};
use rustix::process::Signal;

use super::harness::postgres::{Cluster, Database};

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

/// Every text with its answer.
#[derive(Default)]
struct Said(HashMap<String, Result<Vec<u64>, StoreError>>);

impl Said {
    /// Appends batches to two rooms until told to stop, and notes what was answered.
    async fn talk(store: &PostgresStore, who: usize, stop: &AtomicBool) -> Self {
        let mut said = Self::default();
        for n in 0.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let words = ["left", "right", "left"].map(|name| (name, format!("{who} {n} {name}")));
            let batch: Vec<_> = words.iter().map(|(name, words)| draft(name, words)).collect();
            let answer = store.append(batch).await.map(|answers| {
                let seq = |answer: &Result<Stored, _>| answer.as_ref().expect("not refused").entries[0].seq.0;
                answers.iter().map(seq).collect()
            });
            said.0.insert(format!("{who} {n}"), answer);
        }
        said
    }

    /// Asserts that each batch is there as often as was answered, where that was answered.
    async fn verify(&self, store: &PostgresStore) {
        let (left, right) = (texts(store, "left").await, texts(store, "right").await);
        let count = |room: &[String], words: &str| room.iter().filter(|text| *text == words).count();
        for (key, answer) in &self.0 {
            let found = [count(&left, &format!("{key} left")), count(&right, &format!("{key} right"))];
            match answer {
                Ok(seqs) => {
                    assert_eq!(found, [2, 1], "{key} was acknowledged");
                    assert_eq!(right[seqs[1] as usize - 1], format!("{key} right"), "under its number");
                }
                Err(StoreError::Indeterminate) => assert!([[0, 0], [2, 1]].contains(&found), "{key}"),
                Err(_) => assert_eq!(found, [0, 0], "{key} was refused"),
            }
        }
    }

    fn acknowledged(&self) -> usize {
        self.0.values().filter(|answer| answer.is_ok()).count()
    }
}

/// Lets two callers append while something is done to the database; returns what they were told.
async fn talk_during(store: &Arc<PostgresStore>, disturbance: impl FnOnce() + Send + 'static) -> Said {
    let stop = Arc::new(AtomicBool::new(false));
    let talkers: Vec<_> = (0..2)
        .map(|who| {
            let (store, stop) = (Arc::clone(store), Arc::clone(&stop));
            tokio::spawn(async move { Said::talk(&store, who, &stop).await })
        })
        .collect();
    tokio::task::spawn_blocking(disturbance).await.expect("the disturbance");
    // The database works again.
    until_ok(|| say(store, "after", "works again")).await;
    stop.store(true, Ordering::Relaxed);
    let mut said = Said::default();
    for talker in talkers {
        said.0.extend(talker.await.expect("a talker").0);
    }
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_of_the_database_loses_nothing_and_doubles_nothing() {
    let cluster = Arc::new(Cluster::start(&[]));
    let name = cluster.database();
    let store = Arc::new(open(&cluster.address(&name)));
    say(&store, "left", "0").await.expect("stored");
    let victim = Arc::clone(&cluster);
    let said = talk_during(&store, move || {
        for _ in 0..3 {
            victim.crash();
            victim.await_ready();
            let connected = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'parlour'";
            let begun = Instant::now();
            while victim.administer("postgres", connected).trim() == "0" {
                assert!(begun.elapsed() < PATIENCE, "the store connects again");
            }
        }
    })
    .await;
    assert!(said.acknowledged() > 0);
    said.verify(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_during_a_commit_lose_and_double_nothing() {
    let database = Database::new();
    let store = Arc::new(open(&database.address()));
    let (cluster, name) = (database.cluster, database.name.clone());
    let said = talk_during(&store, move || {
        let cut = "DO $$ BEGIN FOR n IN 1..150 LOOP \
                   PERFORM pg_terminate_backend(pid) FROM pg_stat_activity \
                       WHERE datname = current_database() AND pid <> pg_backend_pid() \
                       AND query LIKE 'SELECT * FROM append(%' AND state = 'active'; \
                   PERFORM pg_sleep(0.06 * random()); PERFORM pg_stat_clear_snapshot(); \
                   END LOOP; END $$";
        cluster.sql(&name, cut);
    })
    .await;
    assert!(said.acknowledged() > 50, "{} were acknowledged", said.acknowledged());
    let unknown = said.0.values().filter(|answer| **answer == Err(StoreError::Indeterminate)).count();
    assert_eq!(unknown, 0, "the store finds out itself");
    said.verify(&store).await;
    assert!(database.sql("SELECT count(*) FROM writer WHERE closed").trim() != "0", "some were cut");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_database_is_unavailable_in_time_and_then_works_again() {
    let cluster = Cluster::start(&[]);
    let store = Arc::new(open(&cluster.address(&cluster.database())));
    say(&store, "left", "before").await.expect("stored");
    texts(&store, "left").await;
    cluster.signal_all(Signal::STOP);

    let in_flight = tokio::spawn({
        let store = Arc::clone(&store);
        async move { say(&store, "left", "in flight").await }
    });
    let begun = Instant::now();
    let put = store.put(vec![Document { key: "k".into(), value: vec![1] }]);
    let (read, behind, check, put) = tokio::join!(
        store.open(room("left"), 1),
        // Behind the one in flight, whose fate is not known yet.
        async {
            tokio::task::yield_now().await;
            say(&store, "left", "behind").await
        },
        store.check(),
        put,
    );
    assert!(begun.elapsed() < SILENCE * 2, "answered after {:?}", begun.elapsed());
    let unavailable = StoreError::Unavailable;
    assert_eq!((read, check, put), (Err(unavailable), Err(unavailable), Err(unavailable)));
    assert!(behind.is_err(), "{behind:?}");

    let crowd: Vec<_> = (0..1_100).map(|_| store.open(room("left"), 1)).collect();
    let begun = Instant::now();
    let mut at_once = 0;
    for asked in crowd {
        assert_eq!(asked.await, Err(StoreError::Unavailable));
        at_once += usize::from(begun.elapsed() < Duration::from_millis(500));
    }
    assert!(begun.elapsed() < SILENCE * 2, "all are answered after {:?}", begun.elapsed());
    assert!(at_once < 1_100, "those that wait are waited for");

    cluster.signal_all(Signal::CONT);
    let in_flight = in_flight.await.expect("an answer");
    until_ok(|| say(&store, "left", "after")).await;
    let texts = texts(&store, "left").await;
    let count = |words: &str| texts.iter().filter(|text| *text == words).count();
    assert_eq!([count("before"), count("after")], [1, 1]);
    match in_flight {
        Ok(_) => assert_eq!(count("in flight"), 1),
        Err(StoreError::Indeterminate) => assert!(count("in flight") < 2),
        Err(_) => assert_eq!(count("in flight"), 0),
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_lose_messages_are_refused_at_every_connection() {
    let unsafe_cluster = Cluster::start(&["fsync=off"]);
    let refused = PostgresStore::open(&unsafe_cluster.address(&unsafe_cluster.database()));
    assert!(
        matches!(&refused, Err(OpenError::NotDurable { setting, .. }) if setting == "fsync"),
        "{refused:?}"
    );

    let database = Database::new();
    let store = open(&database.address());
    say(&store, "lobby", "1").await.expect("stored");
    for (value, is_safe) in
        [("off", false), ("local", false), ("remote_write", false), ("remote_apply", true)]
    {
        let name = &database.name;
        database.sql(&format!("ALTER DATABASE {name} SET synchronous_commit = {value}"));
        let opened = PostgresStore::open(&database.address());
        assert_eq!(opened.is_ok(), is_safe, "{value}");
        assert!(opened.err().is_none_or(|error| error.to_string().contains("`synchronous_commit` is")));
    }
    database.sql(&format!("ALTER DATABASE {} SET synchronous_commit = off", database.name));
    cut(&database);
    assert_eq!(say(&store, "lobby", "2").await, Err(StoreError::Unavailable));
    database.sql(&format!("ALTER DATABASE {} RESET synchronous_commit", database.name));
    until_ok(|| say(&store, "lobby", "3")).await;
    assert_eq!(texts(&store, "lobby").await, ["1", "3"]);
}

/// Ends all connections of stores.
fn cut(database: &Database) {
    database.sql(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
         WHERE datname = current_database() AND application_name = 'parlour'",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_not_the_same_any_more_gets_new_epochs() {
    let database = Database::new();
    let store = open(&database.address());
    say(&store, "lobby", "1").await.expect("stored");
    let document = Document { key: "lineage".into(), value: vec![1] };
    store.put(vec![document.clone()]).await.expect("put");
    drop(store);
    let epoch = async |store: &PostgresStore| {
        let opened = until_ok(|| store.open(room("lobby"), 0)).await;
        opened.expect("it exists").ends.epoch
    };
    let store = open(&database.address());
    assert_eq!(epoch(&store).await, Epoch(7), "a restart changes nothing");
    assert_eq!(store.documents("lineage".into(), 1).await, Ok(vec![document]));

    // As after the promotion of a standby: the connections end, and the timeline is another one.
    database.sql("UPDATE lineage SET identity = 'another'");
    cut(&database);
    let renewed = epoch(&store).await;
    assert_ne!(renewed, Epoch(7), "found out while it runs");
    assert_eq!(
        store.documents("lineage".into(), 1).await,
        Ok(vec![]),
        "nor are the epochs of empty rooms kept"
    );
    assert_eq!(say(&store, "lobby", "2").await.expect("stored").epoch, renewed);
    // The others took their epoch from the old lineage: none of those may come again.
    assert_ne!(say(&store, "made anew", "1").await.expect("stored").epoch, Epoch(7));
    drop(store);

    let copy = format!("{}_copy", database.name);
    database
        .cluster
        .administer("postgres", &format!("CREATE DATABASE {copy} TEMPLATE {} OWNER parlour", database.name));
    let copied = open(&database.cluster.address(&copy));
    assert_ne!(epoch(&copied).await, renewed, "a copy is not the original");
    assert_eq!(epoch(&open(&database.address())).await, renewed);
    assert_eq!(texts(&copied, "lobby").await, ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_used_is_refused_with_a_reason() {
    let database = Database::new();
    drop(open(&database.address()));
    for mode in ["require", "verify-ca", "verify-full"] {
        let refused = PostgresStore::open(&format!("{}?sslmode={mode}", database.address()));
        assert!(matches!(refused, Err(OpenError::Encryption)), "{mode}: {refused:?}");
    }
    let refused = PostgresStore::open("postgres://parlour:s3cret@127.0.0.1:x/db").expect_err("refused");
    assert!(!format!("{refused} {refused:?}").contains("s3cret"), "{refused:?}");
    database.sql("INSERT INTO schema_version VALUES (999)");
    let refused = PostgresStore::open(&database.address());
    assert!(matches!(refused, Err(OpenError::NewerSchema { found: 999, .. })), "{refused:?}");

    let (administrate, name) = (|sql: &str| database.cluster.administer("postgres", sql), &database.name);
    administrate(&format!(
        "CREATE DATABASE {name}_latin OWNER parlour ENCODING LATIN1 TEMPLATE template0 LOCALE 'C'"
    ));
    let refused = PostgresStore::open(&database.cluster.address(&format!("{name}_latin")));
    assert!(matches!(&refused, Err(OpenError::Encoding(encoding)) if encoding == "LATIN1"), "{refused:?}");
    administrate(&format!("CREATE DATABASE {name}_ro OWNER parlour"));
    administrate(&format!("ALTER DATABASE {name}_ro SET default_transaction_read_only = on"));
    let refused = PostgresStore::open(&database.cluster.address(&format!("{name}_ro")));
    assert!(matches!(refused, Err(OpenError::ReadOnly)), "{refused:?}");
    let refused = PostgresStore::open(&format!("postgres://parlour@127.0.0.1:{}/x", free_port()));
    assert!(matches!(refused, Err(OpenError::Postgres(_))), "{refused:?}");
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
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
async fn a_snapshot_shows_one_moment_and_takes_no_writes() {
    let database = Database::new();
    let refused = PostgresStore::open_read_only(&database.address());
    assert!(matches!(refused, Err(OpenError::OlderSchema { found: 0, .. })), "{refused:?}");
    let store = open(&database.address());
    say(&store, "lobby", "before").await.expect("stored");
    let snapshot = PostgresStore::open_read_only(&database.address()).expect("the snapshot opens");
    let before = snapshot.open(room("lobby"), 9).await.expect("read");
    say(&store, "lobby", "after").await.expect("stored");
    say(&store, "other", "after").await.expect("stored");
    assert_eq!(snapshot.open(room("lobby"), 9).await, Ok(before));
    assert_eq!(snapshot.rooms(None, 9).await.expect("read").len(), 1);
    assert_eq!(texts(&store, "lobby").await, ["before", "after"]);
    assert_eq!(say(&snapshot, "lobby", "x").await, Err(StoreError::Unavailable));
    assert_eq!(snapshot.check().await, Err(StoreError::Unavailable));
    cut(&database);
    assert_eq!(snapshot.rooms(None, 9).await, Err(StoreError::Unavailable), "never another moment");
}
