//! Rooms go to a file and come back as they were; a damaged file does not.

use std::io::Seek as _;
use std::path::Path;

use parlour_hub::log::{Head, Snapshot};
use parlour_protocol::{Epoch, RoomName, Seq};
use parlour_server::archive::{self, Begun, ExportError, FileError, ImportError, Totals};
use parlour_server::store::memory::MemoryStore;
use parlour_server::store::postgres::PostgresStore;
use parlour_server::store::sqlite::{OpenError, SqliteStore};
use parlour_server::store::{Archive as _, Store, StoreError};

use crate::harness::postgres::Database;
use rooms::{fill, message, room, say};

mod rooms;

fn memory() -> MemoryStore {
    MemoryStore::new(64 << 20)
}

fn sqlite(directory: &Path) -> SqliteStore {
    SqliteStore::open(directory).expect("a store")
}

fn postgres(database: &Database) -> PostgresStore {
    PostgresStore::open(&database.address()).expect("a store")
}

/// Exports everything as text.
async fn exported(store: &dyn Store) -> String {
    export_of(store, "*").await
}

async fn export_of(store: &dyn Store, pattern: &str) -> String {
    let mut file = Vec::new();
    let totals = archive::export(store, pattern, Begun::default(), &mut file, &mut |_| {}).await;
    let file = String::from_utf8(file).expect("UTF-8");
    assert_eq!(Ok(totals.expect("exported")), archive::verify(file.as_bytes(), &mut |_| {}).map_err(drop));
    file
}

/// All but the first line, which has a time in it, and the last, which has the checksum of that.
fn rooms_of(file: &str) -> Vec<&str> {
    let lines: Vec<_> = file.lines().collect();
    lines[1..lines.len() - 1].to_vec()
}

#[track_caller]
fn assert_same(one: &str, other: &str) {
    let (one, other) = (rooms_of(one), rooms_of(other));
    let pairs = one.iter().zip(&other).enumerate();
    assert_eq!(pairs.into_iter().find(|(_, (one, other))| one != other), None);
    assert_eq!(one.len(), other.len());
}

async fn import(store: &dyn Store, file: &str) -> Result<Totals, ImportError> {
    archive::import(store, file.as_bytes(), &mut |_| {}).await
}

#[tokio::test]
async fn whatever_rooms_hold_comes_back_to_every_store() {
    let directory = tempfile::tempdir().expect("a directory");
    let source = sqlite(&directory.path().join("source"));
    fill(&source).await;
    let file = exported(&source).await;
    for kind in [
        "message",
        "private",
        "edited",
        "deleted",
        "reacted",
        "pinned",
        "room_changed",
        "role_changed",
        "sanctioned",
    ] {
        assert!(file.contains(&format!("\n{{\"type\":\"{kind}\",\"payload\"")), "no {kind} is exported");
    }
    let database = Database::new();
    let stores: [Box<dyn Store>; 3] = [
        Box::new(memory()),
        Box::new(sqlite(&directory.path().join("target"))),
        Box::new(postgres(&database)),
    ];
    for target in stores {
        let totals = import(&*target, &file).await.expect("imported");
        assert_same(&exported(&*target).await, &file);
        assert_eq!(totals, Totals { rooms: 6, entries: file.lines().count() as u64 - 2 - 2 * 6 });
        goes_on(&source, &*target).await;
    }
}

/// The imported rooms have new epochs and the old state, and take messages where they ended.
async fn goes_on(source: &dyn Store, target: &dyn Store) {
    for (name, Head { epoch, head, floor }) in source.rooms(None, 100).await.expect("listed") {
        let before = source.open(name.clone(), 0).await.expect("read").expect("there");
        let Snapshot { ends, state, .. } = target.open(name.clone(), 0).await.expect("read").expect("there");
        assert_eq!((ends.head, ends.floor, state), (head, floor, before.state), "{name}");
        assert_ne!(ends.epoch, epoch, "{name}: an old position must not be taken for a new one");
        let stored = say(target, name.as_str(), "Alice", vec![message("on")]).await;
        assert_eq!((stored.entries[0].seq, stored.epoch), (head.next(), ends.epoch), "{name}");
    }
}

#[tokio::test]
async fn a_pattern_chooses_rooms() {
    let store = memory();
    fill(&store).await;
    let rooms = |file: &str| file.matches("{\"type\":\"room\",").count();
    for (pattern, expected) in [("*", 6), ("general", 1), ("g*", 3), ("@*", 1), ("gener", 0)] {
        assert_eq!(rooms(&export_of(&store, pattern).await), expected, "{pattern}");
    }
}

#[tokio::test]
async fn an_import_that_was_interrupted_anywhere_is_completed_by_the_next_one() {
    let source = memory();
    fill(&source).await;
    let file = exported(&source).await;
    let directory = tempfile::tempdir().expect("a directory");
    let target = directory.path().join("target");
    for percent in [5, 30, 31, 60, 90] {
        let cut = file.floor_char_boundary(file.len() * percent / 100);
        // Each time in a new process, as far as the store can tell.
        let stopped = import(&sqlite(&target), &file[..cut]).await;
        assert!(matches!(stopped, Err(ImportError::File(FileError::Cut { .. }))), "{percent}: {stopped:?}");
    }
    let target = sqlite(&target);
    for _ in 0..2 {
        import(&target, &file).await.expect("imported");
        assert_same(&exported(&target).await, &file);
    }
}

#[tokio::test]
async fn no_damage_goes_unnoticed_and_the_line_is_named() {
    let store = memory();
    fill(&store).await;
    let file = export_of(&store, "g*").await;
    let lines: Vec<&str> = file.lines().collect();
    for at in 0..lines.len() {
        let with = |change: &[&str]| [&lines[..at], change, &lines[at + 1..]].concat().join("\n") + "\n";
        let (line, number) = (lines[at], at as u64 + 1);
        let bent = line.replacen("\"}", "x\"}", 1);
        let damaged =
            [with(&[]), with(&[line, line]), with(&["{\"type\":\"message\"}"]), with(&[&line[1..]])];
        for file in damaged.into_iter().chain((bent != line).then(|| with(&[&bent]))) {
            let wrong = archive::verify(file.as_bytes(), &mut |_| {}).map(|_| file);
            let named = match wrong.expect_err("damaged") {
                FileError::Line { line, .. } | FileError::Cut { line } => {
                    line == number || line == number + 1
                }
                FileError::Checksum { first, last, .. } => (first..=last).contains(&number),
                FileError::Frame { .. } => {
                    ["parlour_export", "room_end", "export_end"].iter().any(|kind| line.contains(kind))
                }
                _ => false,
            };
            assert!(named, "line {number}: {line}");
        }
    }
    for cut in (0..file.len()).step_by(17) {
        let found = archive::verify(&file.as_bytes()[..cut], &mut |_| {});
        assert!(matches!(found, Err(FileError::Cut { .. })), "cut after {cut} bytes: {found:?}");
    }
}

#[tokio::test]
async fn a_damaged_room_is_not_stored_beyond_the_damage() {
    let store = memory();
    fill(&store).await;
    let file = export_of(&store, "g*").await;
    let target = memory();
    let wrong = import(&target, &file.replacen("\"seq\":5,", "\"seq\":6,", 1)).await;
    assert!(matches!(wrong, Err(ImportError::File(FileError::Line { .. }))), "{wrong:?}");
    assert_eq!(target.heads(vec![room("general")]).await, Ok(vec![None]));
}

#[tokio::test]
async fn other_messages_under_the_same_numbers_are_refused_and_kept() {
    let store = memory();
    fill(&store).await;
    let file = export_of(&store, "long").await;
    for (there, differs) in [(vec![message("mine")], 1), (vec![message("line 0"), message("mine")], 2)] {
        let target = memory();
        say(&target, "long", "Alice", there).await;
        let before = exported(&target).await;
        let refused = import(&target, &file).await;
        let is_named = matches!(&refused, Err(ImportError::Differs { seq: Seq(seq), .. }) if *seq == differs);
        assert!(is_named, "{refused:?}");
        assert_same(&exported(&target).await, &before);
    }
    let target = memory();
    say(&target, "old", "Alice", vec![message("a hole would follow")]).await;
    let refused = import(&target, &export_of(&store, "old").await).await;
    assert!(matches!(refused, Err(ImportError::Differs { seq: Seq(2), .. })), "{refused:?}");
}

#[tokio::test]
async fn an_export_that_was_cut_anywhere_is_completed() {
    let store = memory();
    fill(&store).await;
    let whole = exported(&store).await;
    for percent in [0, 1, 20, 50, 80, 99, 100] {
        let mut file = tempfile::tempfile().expect("a file");
        std::io::Write::write_all(&mut file, &whole.as_bytes()[..whole.len() * percent / 100])
            .expect("written");
        assert_same(&complete(&store, &mut file).await, &whole);
    }
}

#[tokio::test]
async fn a_room_that_changed_after_the_cut_is_exported_anew() {
    let store = memory();
    fill(&store).await;
    let whole = exported(&store).await;
    let mut file = tempfile::tempfile().expect("a file");
    let cut = whole.find("line 550").expect("in the middle of a room");
    std::io::Write::write_all(&mut file, &whole.as_bytes()[..cut]).expect("written");
    say(&store, "long", "Alice", vec![message("one more")]).await;
    assert_same(&complete(&store, &mut file).await, &exported(&store).await);
    file.set_len(cut as u64).expect("cut");
    let other = archive::resume(&store, "g*", &mut file).await;
    assert!(matches!(&other, Err(ExportError::Pattern(pattern)) if pattern == "*"), "{other:?}");
}

async fn complete(store: &dyn Store, file: &mut std::fs::File) -> String {
    let begun = archive::resume(store, "*", file).await.expect("one of ours");
    let totals = archive::export(store, "*", begun, file, &mut |_| {}).await.expect("exported");
    file.rewind().expect("rewound");
    let text = std::io::read_to_string(&*file).expect("UTF-8");
    assert_eq!(archive::verify(text.as_bytes(), &mut |_| {}).expect("complete"), totals);
    text
}

#[tokio::test]
async fn an_export_beside_a_server_shows_one_moment() {
    let directory = tempfile::tempdir().expect("a directory");
    let missing = SqliteStore::open_read_only(directory.path()).map(drop);
    assert!(matches!(missing, Err(OpenError::Sqlite { .. })), "nothing is created: {missing:?}");
    let store = sqlite(directory.path());
    fill(&store).await;
    let moment = exported(&store).await;
    let view = SqliteStore::open_read_only(directory.path()).expect("beside the one that writes");
    stays(&view, &store, &moment).await;
    assert!(matches!(SqliteStore::open(directory.path()), Err(OpenError::Locked { .. })));

    let database = Database::new();
    let store = postgres(&database);
    fill(&store).await;
    let moment = exported(&store).await;
    let view = PostgresStore::open_read_only(&database.address()).expect("beside the one that writes");
    stays(&view, &store, &moment).await;
}

/// The view shows the moment, whatever is said later.
async fn stays(view: &dyn Store, store: &dyn Store, moment: &str) {
    say(store, "general", "Alice", vec![message("later")]).await;
    say(store, "later", "Alice", vec![message("too")]).await;
    assert_same(&exported(view).await, moment);
    assert_ne!(rooms_of(&exported(store).await), rooms_of(moment));
    let refused = view.append(vec![rooms::draft("general", "Alice", vec![message("no")])]).await;
    assert_eq!(refused, Err(StoreError::Unavailable), "it is for reading");
}

#[tokio::test]
async fn a_room_without_entries_keeps_its_numbers() {
    let store = memory();
    let ends = Head { epoch: Epoch(0), head: Seq(7), floor: Seq(7) };
    let part = Snapshot { ends, tail: Vec::new(), state: Default::default() };
    let restored = store.restore(RoomName::parse("gone").expect("a name"), part).await.expect("restored");
    assert_eq!((restored.head, restored.floor), (Seq(7), Seq(7)));
}
