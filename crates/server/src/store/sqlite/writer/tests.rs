//! Disks that fail in the commit. What a real one does is the same to the writer: an error, and a
//! database that holds the transaction or not.

use std::fs::File;
use std::path::Path;

use parlour_hub::log::{Draft, Stored};
use parlour_protocol::{Epoch, RoomName, Seq, UserId};
use rusqlite::ffi;
use tokio::sync::oneshot;

use super::super::job::Work;
use super::super::queue::Bounds;
use super::*;
use crate::store::Document;

type Finish = fn(Transaction<'_>) -> rusqlite::Result<()>;

const WORKS: Finish = |transaction| transaction.commit();
const FAILS_BEFORE: Finish = |transaction| {
    transaction.rollback()?;
    fsync_failed()
};
const FAILS_AFTER: Finish = |transaction| {
    transaction.commit()?;
    fsync_failed()
};

fn fsync_failed() -> rusqlite::Result<()> {
    Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_IOERR_FSYNC), None))
}

fn writer(dir: &Path) -> Writer {
    let path = dir.join("parlour.db");
    File::create(&path).expect("a file");
    let connection = schema::open_writer(&path, None).expect("a database");
    let readers = Arc::new(Readers::open(&path, 1).expect("a reader"));
    let queue = Arc::new(Queue::new(Bounds { count: 9, bytes: 1 << 20 }));
    Writer::new(path, None, queue, readers, connection)
}

fn drafts(bodies: &[&str]) -> Work {
    let draft = |body: &&str| Draft {
        room: RoomName::parse("lobby").expect("a name"),
        new_epoch: Epoch(7),
        sender: UserId::parse("Alice").expect("an id"),
        cid: None,
        body: (*body).into(),
        ts: 0,
    };
    Work::Append(bodies.iter().map(draft).collect())
}

fn job(work: Work) -> (Job, oneshot::Receiver<Answer>) {
    let (reply, answer) = oneshot::channel();
    (Job { work, reply }, answer)
}

fn ask(writer: &mut Writer, work: Work) -> Answer {
    let (job, answer) = job(work);
    writer.commit(vec![job], None);
    answer.blocking_recv().expect("an answer")
}

fn stored(seq: u64) -> Answer {
    Ok(vec![Ok(Stored { epoch: Epoch(7), seq: Seq(seq), ts: 0, dup: false })])
}

#[test]
fn a_commit_that_failed_and_is_not_found_was_not_stored() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut writer = writer(dir.path());
    assert_eq!(ask(&mut writer, drafts(&["1"])), stored(1));
    writer.finish = FAILS_BEFORE;
    assert_eq!(ask(&mut writer, drafts(&["lost"])), Err(StoreError::Unavailable));
    writer.finish = WORKS;
    assert_eq!(ask(&mut writer, drafts(&["2"])), stored(2));
}

#[test]
fn a_commit_that_failed_and_is_found_is_acknowledged() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut writer = writer(dir.path());
    writer.finish = FAILS_AFTER;
    assert_eq!(ask(&mut writer, drafts(&["1"])), stored(1));
    assert_eq!(ask(&mut writer, drafts(&["2"])), stored(2));
}

#[test]
fn a_commit_that_failed_without_a_trace_is_indeterminate() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut writer = writer(dir.path());
    for finish in [FAILS_BEFORE, FAILS_AFTER] {
        writer.finish = finish;
        let put = Work::Put(vec![Document { key: "k".into(), value: vec![1] }]);
        assert_eq!(ask(&mut writer, put), Err(StoreError::Indeterminate));
    }
}

#[test]
fn a_database_that_cannot_be_reopened_is_unavailable_until_it_can() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut writer = writer(dir.path());
    let path = std::mem::replace(&mut writer.path, dir.path().join("gone"));
    writer.finish = FAILS_AFTER;
    assert_eq!(ask(&mut writer, drafts(&["1"])), Err(StoreError::Indeterminate));
    writer.finish = WORKS;
    assert_eq!(ask(&mut writer, drafts(&["no"])), Err(StoreError::Unavailable));
    writer.path = path;
    writer.reopen();
    assert_eq!(ask(&mut writer, drafts(&["2"])), stored(2), "the first was there after all");
}

#[test]
fn what_waits_goes_along_up_to_the_size_of_a_group() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut writer = writer(dir.path());
    let queue = Arc::clone(&writer.queue);
    let mut answers = Vec::new();
    for work in [drafts(&["2"]), Work::Check, drafts(&["x"; GROUP_ROWS])] {
        let (job, answer) = job(work);
        assert!(queue.push(job, 1).is_ok());
        answers.push(answer);
    }
    let (first, answer) = job(drafts(&["1"]));
    writer.commit(vec![first], Some(&queue));
    assert_eq!(answer.blocking_recv(), Ok(stored(1)));
    assert_eq!(answers.remove(0).blocking_recv(), Ok(stored(2)));
    assert_eq!(answers.remove(0).blocking_recv(), Ok(Ok(vec![])));
    assert!(answers.remove(0).try_recv().is_err(), "the large one waits for the next group");
}
