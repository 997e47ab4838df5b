//! A full disk refuses, keeps what it has, and goes on when there is space again (P15).

use std::fs;
use std::path::Path;
use std::process::Command;

use parlour_hub::log::Head;
use parlour_protocol::Seq;
use parlour_server::store::memory::MemoryStore;
use parlour_server::store::sqlite::{Options, SqliteStore};
use parlour_server::store::{Archive as _, Document, Store, StoreError};

use super::{EPOCH, all, append, draft, open, room, seq, texts, trim_to};

/// A file system of 2 MiB, for those who may mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().expect("a directory");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(dir.path()).status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(dir))
    }

    fn ballast(&self) -> std::path::PathBuf {
        self.0.path().join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0.path()).status();
        let gone = unmounted.is_ok_and(|status| status.success());
        assert!(gone || std::thread::panicking(), "{:?} is busy", self.0.path());
    }
}

/// Appends until there is no space; returns how many messages were stored.
async fn fill(store: &dyn Store) -> u64 {
    let batch = vec![draft("lobby", &"x".repeat(4_000)); 8];
    let mut stored = 0;
    loop {
        match store.append(batch.clone()).await {
            Ok(answers) => stored += answers.len() as u64,
            Err(error) => {
                assert_eq!(error, StoreError::Full);
                return stored;
            }
        }
        assert!(stored < 10_000, "the disk has an end");
    }
}

async fn assert_readable(store: &dyn Store, head: u64) {
    let opened = store.open(room("lobby"), 9).await.expect("reads go on").expect("exists");
    assert_eq!((opened.ends.head, opened.tail.len()), (Seq(head), 9), "what was refused left no trace");
}

#[tokio::test]
async fn a_full_disk_refuses_and_recovers() {
    // Without the right to mount, a limit of the database file stands for the small disk.
    let Some(disk) = SmallDisk::mount() else {
        return refuse_and_recover_within_a_limit().await;
    };
    fs::write(disk.ballast(), vec![1; 512 << 10]).expect("ballast");
    let store = SqliteStore::open(&disk.0.path().join("data")).expect("the store opens");
    let head = fill(&store).await;
    assert_readable(&store, head).await;
    let large = draft("other", &"x".repeat(64_000));
    assert_eq!(store.append(vec![large.clone()]).await, Err(StoreError::Full));
    assert_eq!(store.open(room("other"), 9).await, Ok(None));

    fs::remove_file(disk.ballast()).expect("space again");
    let stored = append(&store, vec![draft("lobby", "again"), large]).await;
    assert_eq!(seq(&stored[0]), head + 1);
    assert_eq!(store.check().await, Ok(()));
    drop(store);
    let store = SqliteStore::open(&disk.0.path().join("data")).expect("not corrupt");
    assert_readable(&store, head + 1).await;
}

#[tokio::test]
async fn a_full_database_refuses_and_recovers() {
    refuse_and_recover_within_a_limit().await;
}

async fn refuse_and_recover_within_a_limit() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open_limited(dir.path(), 1 << 20);
    let head = fill(&store).await;
    assert_readable(&store, head).await;

    trim_to(&store, "lobby", head - 9).await;
    // Space returns as the trimmed rows are deleted, which is after the answer.
    store.check().await.expect("commits");
    let stored = append(&store, vec![draft("lobby", "again")]).await;
    assert_eq!(seq(&stored[0]), head + 1);
}

#[tokio::test]
async fn a_message_that_fits_is_stored_beside_one_that_does_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open_limited(dir.path(), 1 << 20);
    append(&store, vec![draft("lobby", "first")]).await;
    // Asked together, so that they may meet in one transaction.
    let large = store.append(vec![draft("lobby", &"x".repeat(2 << 20))]);
    let small = store.append(vec![draft("lobby", "small")]);
    assert_eq!(large.await, Err(StoreError::Full));
    assert!(small.await.is_ok());
    assert_eq!(texts(&all(&store, "lobby").await), ["first", "small"]);
}

fn open_limited(dir: &Path, max_bytes: u64) -> SqliteStore {
    let options = Options { max_bytes: Some(max_bytes), ..Options::default() };
    SqliteStore::open_with(dir, &options).expect("the store opens")
}

#[tokio::test]
async fn memory_forgets_the_oldest_records_of_all_rooms() {
    let store = MemoryStore::new(64 << 10);
    append(&store, vec![draft("idle", "old"), draft("idle", "older")]).await;
    for n in 0..200 {
        append(&store, vec![draft("busy", &format!("{n}{}", "x".repeat(1_000)))]).await;
    }
    let idle = open(&store, "idle").await;
    let ends = |head, floor| Head { epoch: EPOCH, head: Seq(head), floor: Seq(floor) };
    assert_eq!((idle.ends, idle.tail), (ends(2, 2), vec![]));
    let opened = open(&store, "busy").await;
    let (busy, records) = (opened.ends, opened.tail);
    assert_eq!((busy.head, records.len() as u64), (Seq(200), 200 - busy.floor.0));
    assert!((30..64).contains(&records.len()), "{} of about 1.3 KB", records.len());
    assert_eq!(records[0].seq, busy.floor.next());
}

#[tokio::test]
async fn memory_refuses_rooms_and_documents_that_would_fill_it() {
    let store = MemoryStore::new(4 << 10);
    let batch = (0..99).map(|n| draft(&format!("room {n}"), "x")).collect();
    assert_eq!(store.append(batch).await, Err(StoreError::Full));
    assert_eq!(store.open(room("room 0"), 9).await, Ok(None), "none of the batch is stored");
    let document = |value: usize| vec![Document { key: "k".into(), value: vec![1; value] }];
    assert_eq!(store.put(document(5_000)).await, Err(StoreError::Full));
    for _ in 0..9 {
        assert_eq!(store.put(document(1_000)).await, Ok(()), "what is replaced makes place");
    }
    append(&store, vec![draft("lobby", "x")]).await;
}
