//! Disks that fail in the commit. What a real one does is the same to the writer: an error, and a
//! database that holds the transaction or not.

use std::fs::File;
use std::path::Path;

use parlour_hub::log::{Draft, Guard, NewEntry, Place, Refused, Stored};
use parlour_protocol::content::{Content, Text};
use parlour_protocol::{Epoch, RoomName, Seq, UserId};
use rusqlite::ffi;
use tokio::sync::oneshot;

use super::super::append::append;
use super::super::job::{put, size_of};
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

type Answer<T> = Result<T, StoreError>;
type Answers = Vec<Result<Stored, Refused>>;
type Asked<T> = (Job, oneshot::Receiver<Answer<T>>);

fn drafts(texts: &[&str]) -> Asked<Answers> {
    let draft = |text: &&str| Draft {
        room: RoomName::parse("lobby").expect("a name"),
        new_epoch: Epoch(7),
        sender: UserId::parse("Alice").expect("an id"),
        ts: 0,
        guard: Guard::Author,
        entries: vec![NewEntry { cid: None, content: Content::Message(Text::plain(*text)) }],
    };
    let drafts: Vec<_> = texts.iter().map(draft).collect();
    Job::new(size_of(&drafts), move |connection, after| append(connection, &drafts, after))
}

fn ask<T>(writer: &mut Writer, (job, answer): Asked<T>) -> Answer<T> {
    writer.commit(vec![job], None);
    answer.blocking_recv().expect("an answer")
}

fn stored(seq: u64) -> Answer<Answers> {
    let entries = vec![Place { seq: Seq(seq), thread: None, count: 0 }];
    Ok(vec![Ok(Stored { epoch: Epoch(7), ts: 0, dup: false, entries })])
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
        let documents = [Document { key: "k".into(), value: vec![1] }];
        let put = Job::new((1, 0), move |connection, _| put(connection, &documents));
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
    let (second, large) = (drafts(&["2"]), drafts(&["x"; GROUP_ROWS]));
    let (check, checked) = Job::new((1, 0), |connection, _| Ok(job::probe(connection)?));
    for job in [second.0, check, large.0] {
        assert!(queue.push(job, 1).is_ok());
    }
    let (first, answer) = drafts(&["1"]);
    writer.commit(vec![first], Some(&queue));
    assert_eq!(answer.blocking_recv(), Ok(stored(1)));
    assert_eq!(second.1.blocking_recv(), Ok(stored(2)));
    assert_eq!(checked.blocking_recv(), Ok(Ok(())));
    let mut waiting = large.1;
    assert!(waiting.try_recv().is_err(), "the large one waits for the next group");
}
