//! A database that comes from elsewhere begins new epochs (P10, P24).

use std::fs;
use std::path::Path;

use parlour_protocol::{Epoch, Seq};
use parlour_server::store::Archive as _;
use parlour_server::store::sqlite::SqliteStore;

use super::{EPOCH, append_many, open, room, texts};

fn start(dir: &Path) -> SqliteStore {
    SqliteStore::open(dir).expect("the store opens")
}

/// Starts, reads the epoch of the lobby, and stops.
async fn epoch(dir: &Path) -> Epoch {
    open(&start(dir), "lobby").await.ends.epoch
}

async fn new_database(messages: usize) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    append_many(&start(dir.path()), "lobby", 0..messages).await;
    dir
}

fn copy(from: &Path, to: &Path) {
    fs::copy(from.join("parlour.db"), to.join("parlour.db")).expect("copied");
}

#[tokio::test]
async fn epochs_stay_over_starts() {
    let dir = new_database(3).await;
    for _ in 0..3 {
        assert_eq!(epoch(dir.path()).await, EPOCH);
    }
    // A process that was killed has left what is here.
    let store = start(dir.path());
    append_many(&store, "lobby", 3..4).await;
    std::mem::forget(store);
    fs::remove_file(dir.path().join("parlour.lock")).expect("the lock of the dead");
    assert_eq!(epoch(dir.path()).await, EPOCH);
}

#[tokio::test]
async fn a_restored_backup_begins_new_epochs() {
    let dir = new_database(3).await;
    let backup = tempfile::tempdir().expect("a directory");
    copy(dir.path(), backup.path());
    append_many(&start(dir.path()), "lobby", 3..9).await;
    copy(backup.path(), dir.path());
    let new = epoch(dir.path()).await;
    assert_ne!(new, EPOCH, "numbers 4 to 9 will have other contents");
    assert_eq!(epoch(dir.path()).await, new, "only once");
    let opened = open(&start(dir.path()), "lobby").await;
    assert_eq!((opened.ends.head, texts(&opened.tail)), (Seq(3), vec!["0", "1", "2"]));
}

#[tokio::test]
async fn a_backup_of_the_last_run_begins_new_epochs() {
    let dir = new_database(3).await;
    let store = start(dir.path());
    store.check().await.expect("commits");
    let backup = tempfile::tempdir().expect("a directory");
    let raw = super::durable::raw(dir.path());
    raw.execute("VACUUM INTO ?1", [backup.path().join("parlour.db").to_str()]).expect("a backup");
    drop(raw);
    append_many(&store, "lobby", 3..9).await;
    drop(store);
    copy(backup.path(), dir.path());
    assert_ne!(epoch(dir.path()).await, EPOCH);
}

#[tokio::test]
async fn a_database_without_its_mark_begins_new_epochs() {
    let dir = new_database(3).await;
    fs::remove_file(dir.path().join("parlour.mark")).expect("removed");
    let new = epoch(dir.path()).await;
    assert_ne!(new, EPOCH);
    assert_eq!(epoch(dir.path()).await, new);
}

#[tokio::test]
async fn a_new_database_in_place_of_a_lost_one_has_another_generation() {
    let dir = new_database(3).await;
    fs::remove_file(dir.path().join("parlour.db")).expect("lost");
    let store = start(dir.path());
    assert_eq!(store.heads(vec![room("lobby")]).await, Ok(vec![None]));
    append_many(&store, "lobby", 0..1).await;
    assert_eq!(open(&store, "lobby").await.ends.epoch, EPOCH, "who opens a room chooses its epoch");
}

#[tokio::test]
async fn an_interrupted_change_of_the_mark_is_no_exchange() {
    let dir = new_database(3).await;
    let mark = || fs::read_to_string(dir.path().join("parlour.mark")).expect("a mark");
    let old = mark();
    // Stopped before the database took the new mark, and before the file forgot the old one.
    fs::write(dir.path().join("parlour.mark"), format!("{old}{}\n", "0".repeat(32))).expect("written");
    assert_eq!(epoch(dir.path()).await, EPOCH);
    let stored = mark();
    fs::write(dir.path().join("parlour.mark"), format!("{}\n{stored}", "0".repeat(32))).expect("written");
    assert_eq!(epoch(dir.path()).await, EPOCH);
    assert_eq!(mark().lines().count(), 1);
}
