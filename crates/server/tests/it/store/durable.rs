//! What SQLite keeps beyond the life of a process, and who may open it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::task::{Context, Poll, Waker};

use parlour_hub::log::Draft;
use parlour_protocol::{Epoch, Seq};
use parlour_server::store::sqlite::{OpenError, Options, SqliteStore};
use parlour_server::store::{Archive as _, Document, Span, Store as _, StoreError};
use rusqlite::Connection;

use super::{NOON, all, append, append_many, draft, draft_with_cid, room, seq, texts, trim_to};

fn open(dir: &Path) -> SqliteStore {
    SqliteStore::open(dir).expect("the store opens")
}

/// A connection behind the store's back.
pub(super) fn raw(dir: &Path) -> Connection {
    Connection::open(dir.join("parlour.db")).expect("the database opens")
}

#[tokio::test]
async fn all_is_there_after_it_was_closed_and_opened() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    append(&store, vec![draft_with_cid("lobby", "one", "1"), draft("lobby", "2")]).await;
    append_many(&store, "lobby", 3..=5).await;
    trim_to(&store, "lobby", 2).await;
    let document = Document { key: "k".into(), value: vec![1] };
    store.put(vec![document.clone()]).await.expect("put");
    let before = store.open(room("lobby"), 9).await;
    drop(store);
    assert!(!dir.path().join("parlour.db-wal").exists(), "an orderly end leaves no log behind");

    let store = open(dir.path());
    assert_eq!(store.open(room("lobby"), 9).await, before);
    assert_eq!(store.documents("k".into(), 9).await, Ok(vec![document]));
    let late = Draft { new_epoch: Epoch(8), ts: NOON - 9, ..draft("lobby", "6") };
    let stored = &append(&store, vec![late]).await[0];
    assert_eq!((stored.epoch, seq(stored), stored.ts), (super::EPOCH, 6, NOON));
}

#[tokio::test]
async fn what_was_asked_for_is_done_before_the_store_closes() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    for n in 0..50 {
        drop(store.append(vec![draft("lobby", &n.to_string())]));
    }
    drop(store);
    assert_eq!(super::open(&open(dir.path()), "lobby").await.ends.head, Seq(50));
}

#[test]
fn a_second_process_is_refused_while_the_first_lives() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = open(dir.path());
    let refused = SqliteStore::open(dir.path()).expect_err("the directory is taken");
    assert!(matches!(&refused, OpenError::Locked { path } if *path == dir.path().join("parlour.lock")));
    assert!(refused.to_string().contains("parlour.lock is locked by another process"), "{refused}");
    drop(first);
    open(dir.path());
}

#[test]
fn a_newer_schema_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    drop(open(dir.path()));
    raw(dir.path()).execute("INSERT INTO schema_version VALUES (999)", ()).expect("written");
    let refused = SqliteStore::open(dir.path()).expect_err("too new");
    assert!(matches!(&refused, OpenError::NewerSchema { found: 999, known: 2, .. }), "{refused:?}");
    let text = refused.to_string();
    assert!(text.contains("parlour.db has schema 999, and this program knows up to 2"), "{text}");
}

#[test]
fn what_is_not_a_database_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("parlour.db"), "not a database".repeat(99)).expect("written");
    let refused = SqliteStore::open(dir.path()).expect_err("no database");
    assert!(refused.to_string().contains("parlour.db: file is not a database"), "{refused}");
    let file = dir.path().join("parlour.db");
    let refused = SqliteStore::open(&file).expect_err("no directory");
    assert!(matches!(refused, OpenError::Directory { path, .. } if path == file));
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    append_many(&store, "lobby", 0..1).await;
    for name in ["parlour.db", "parlour.db-wal", "parlour.db-shm", "parlour.lock", "parlour.mark"] {
        let mode = dir.path().join(name).metadata().expect(name).permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn trimmed_rows_are_deleted_in_the_course_of_time() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    append_many(&store, "lobby", 0..2_000).await;
    append_many(&store, "other", 0..10).await;
    trim_to(&store, "lobby", 1_990).await;
    let rows = || {
        let count = "SELECT count(*) FROM message";
        raw(dir.path()).query_row(count, (), |row| row.get::<_, i64>(0)).expect("a count")
    };
    // Some go after every transaction: no transaction is long.
    for _ in 0..6 {
        store.check().await.expect("commits");
    }
    assert_eq!(rows(), 20);
    assert_eq!(all(&store, "lobby").await.len(), 10);
}

/// Polls once, without a runtime.
fn first_poll<T>(future: &mut std::pin::Pin<Box<dyn Future<Output = T> + Send + '_>>) -> Poll<T> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn a_full_queue_answers_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = Options { queue_count: 4, ..Options::default() };
    let store = SqliteStore::open_with(dir.path(), &options).expect("the store opens");
    append_many(&store, "lobby", 0..1).await;
    let blocker = raw(dir.path());
    blocker.execute_batch("BEGIN IMMEDIATE").expect("locked");
    let mut accepted = Vec::new();
    let refused = loop {
        let mut asked = store.append(vec![draft("lobby", "x")]);
        match first_poll(&mut asked) {
            Poll::Ready(answer) => break answer,
            Poll::Pending => accepted.push(asked),
        }
        assert!(accepted.len() <= 5, "four wait, and one is in the writer's hands");
    };
    assert_eq!(refused, Err(StoreError::Unavailable));
    assert!(store.read(room("lobby"), Span::After(Seq(0)), 9).await.is_ok(), "reads go on");
    blocker.execute_batch("COMMIT").expect("released");
    for asked in accepted {
        asked.await.expect("stored");
    }
}

const CHILD: &str = "PARLOUR_TEST_APPEND_INTO";

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    if let Some(dir) = std::env::var_os(CHILD) {
        return append_until_killed(Path::new(&dir)).await;
    }
    let dir = tempfile::tempdir().expect("a directory");
    for (round, acknowledgements) in [1, 40, 150].into_iter().enumerate() {
        let acknowledged = run_and_kill(dir.path(), acknowledgements);
        let store = open(dir.path());
        let records = store.read(room("lobby"), Span::After(Seq(0)), u32::MAX).await.expect("read");
        assert!(records.len() as u64 >= acknowledged, "round {round}: {acknowledged} were promised");
        let expected: Vec<_> = (1..=records.len()).map(|n| n.to_string()).collect();
        assert_eq!(texts(&records), expected);
    }
}

/// Appends numbered messages for ever, and says which are stored.
async fn append_until_killed(dir: &Path) {
    let store = open(dir);
    let opened = store.open(room("lobby"), 0).await.expect("read");
    let mut head = opened.map_or(0, |opened| opened.ends.head.0);
    for size in (1..=20).cycle() {
        let batch = (head + 1..=head + size).map(|n| draft("lobby", &n.to_string())).collect();
        append(&store, batch).await;
        head += size;
        println!("\nacknowledged {head}");
    }
}

/// Starts this test again as a child, kills it, and returns the last number that it was promised.
fn run_and_kill(dir: &Path, acknowledgements: usize) -> u64 {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["store::durable::what_was_acknowledged_survives_kill_9", "--exact", "--nocapture"])
        .env(CHILD, dir)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child");
    let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let numbers = lines.filter_map(|line| line.ok()?.strip_prefix("acknowledged ")?.parse().ok());
    let mut last = 0;
    for (count, number) in (1..).zip(numbers) {
        last = number;
        if count == acknowledgements {
            child.kill().expect("killed");
        }
    }
    let status = child.wait().expect("its end");
    assert!(!status.success() && last > 0, "killed in the middle, {status}");
    last
}
