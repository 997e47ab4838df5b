//! Random histories, compared with the simplest thing that could be right.

use std::collections::BTreeMap;

use parlour_hub::log::{Draft, Head, Record, Stored};
use parlour_protocol::{RoomName, Seq};
use parlour_server::store::{Conflict, Document, Span, Store};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::{EPOCH, Fixture, NOON, room, user};

const ROOMS: [&str; 3] = ["general", "größe", "@Alice,Bob"];
const USERS: [&str; 2] = ["Alice", "Bob"];
const KEYS: [&str; 5] = ["a", "a\u{1f}b", "a%", "a_", "b"];

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<Draft>),
    Trim(RoomName, Seq),
    Read(RoomName, Span, u32),
    Open(RoomName, u32),
    Put(Vec<Document>),
    Documents(&'static str, u32),
}

#[derive(Default)]
struct Model {
    rooms: BTreeMap<RoomName, Room>,
    documents: BTreeMap<String, Vec<u8>>,
}

#[derive(Default)]
struct Room {
    all: Vec<Record>,
    floor: usize,
}

/// Runs random histories against a new store each.
pub(super) fn check<F: Fixture>() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut runner = TestRunner::new(Config { cases: 48, failure_persistence: None, ..Config::default() });
    let histories = prop::collection::vec(step(), 1..40);
    let outcome = runner.run(&histories, |steps| {
        let fixture = F::new();
        runtime.block_on(compare(&*fixture.store(), steps))
    });
    assert!(outcome.is_ok(), "{}", outcome.err().map_or_else(String::new, |failure| failure.to_string()));
}

async fn compare(store: &dyn Store, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Append(batch) => {
                let expected: Vec<_> = batch.iter().map(|draft| model.append(draft)).collect();
                prop_assert_eq!(store.append(batch).await, Ok(expected));
            }
            Step::Trim(room, upto) => {
                model.trim(&room, upto);
                prop_assert_eq!(store.trim(room, upto).await, Ok(()));
            }
            Step::Read(room, span, limit) => {
                let expected = model.read(&room, span, limit as usize);
                prop_assert_eq!(store.read(room, span, limit).await, Ok(expected));
            }
            Step::Open(room, tail) => {
                let newest = model.read(&room, Span::Before(Seq(u64::MAX)), tail as usize);
                let expected = model.rooms.get(&room).map(|room| (room.ends(), newest));
                prop_assert_eq!(store.open(room, tail).await, Ok(expected));
            }
            Step::Put(documents) => {
                model.put(&documents);
                prop_assert_eq!(store.put(documents).await, Ok(()));
            }
            Step::Documents(prefix, limit) => {
                let expected = model.documents(prefix, limit as usize);
                prop_assert_eq!(store.documents(prefix.to_owned(), limit).await, Ok(expected));
            }
        }
    }
    Ok(())
}

impl Model {
    fn append(&mut self, draft: &Draft) -> Result<Stored, Conflict> {
        let room = self.rooms.entry(draft.room.clone()).or_default();
        let kept = &room.all[room.floor..];
        let original = kept.iter().find(|record| {
            record.cid.is_some() && (&record.sender, &record.cid) == (&draft.sender, &draft.cid)
        });
        if let Some(record) = original {
            let dup = Stored { epoch: EPOCH, seq: record.seq, ts: record.ts, dup: true };
            return if record.body == draft.body { Ok(dup) } else { Err(Conflict) };
        }
        let seq = Seq(room.all.len() as u64 + 1);
        let ts = room.all.iter().map(|record| record.ts).fold(draft.ts, i64::max);
        let Draft { sender, cid, body, .. } = draft.clone();
        room.all.push(Record { seq, sender, cid, body, ts });
        Ok(Stored { epoch: EPOCH, seq, ts, dup: false })
    }

    fn trim(&mut self, room: &RoomName, upto: Seq) {
        if let Some(room) = self.rooms.get_mut(room) {
            room.floor = room.floor.max((upto.0 as usize).min(room.all.len()));
        }
    }

    fn read(&self, room: &RoomName, span: Span, limit: usize) -> Vec<Record> {
        let kept = self.rooms.get(room).map_or(&[][..], |room| &room.all[room.floor..]);
        let mut found: Vec<_> = match span {
            Span::After(seq) => kept.iter().filter(|record| record.seq > seq).take(limit).collect(),
            Span::Before(seq) => kept.iter().rev().filter(|record| record.seq < seq).take(limit).collect(),
        };
        found.sort_by_key(|record| record.seq);
        found.into_iter().cloned().collect()
    }

    fn put(&mut self, documents: &[Document]) {
        for Document { key, value } in documents {
            self.documents.insert(key.clone(), value.clone());
        }
        self.documents.retain(|_, value| !value.is_empty());
    }

    fn documents(&self, prefix: &str, limit: usize) -> Vec<Document> {
        let found = self.documents.iter().filter(|(key, _)| key.starts_with(prefix)).take(limit);
        found.map(|(key, value)| Document { key: key.clone(), value: value.clone() }).collect()
    }
}

impl Room {
    fn ends(&self) -> Head {
        Head { epoch: EPOCH, head: Seq(self.all.len() as u64), floor: Seq(self.floor as u64) }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let seq = || (0..30u64).prop_map(Seq);
    let span = prop_oneof![seq().prop_map(Span::After), seq().prop_map(Span::Before)];
    prop_oneof![
        4 => prop::collection::vec(any_draft(), 0..8).prop_map(Step::Append),
        1 => (any_room(), seq()).prop_map(|(room, upto)| Step::Trim(room, upto)),
        2 => (any_room(), span, 0..9u32).prop_map(|(room, span, limit)| Step::Read(room, span, limit)),
        1 => (any_room(), 0..9u32).prop_map(|(room, tail)| Step::Open(room, tail)),
        1 => prop::collection::vec(any_document(), 0..4).prop_map(Step::Put),
        1 => (prop::sample::select(vec!["", "a", "a%", "a_", "b", "c"]), 0..9u32)
            .prop_map(|(prefix, limit)| Step::Documents(prefix, limit)),
    ]
}

fn any_room() -> impl Strategy<Value = RoomName> {
    prop::sample::select(&ROOMS[..]).prop_map(room)
}

/// Few senders, cids and bodies, so that duplicates and conflicts are frequent.
fn any_draft() -> impl Strategy<Value = Draft> {
    let sender = prop::sample::select(&USERS[..]).prop_map(user);
    let cid = prop::option::of((0..6u8).prop_map(|cid| cid.to_string().into()));
    let body = (0..2u8).prop_map(|body| body.to_string().into());
    (any_room(), sender, cid, body, -50..50i64).prop_map(|(room, sender, cid, body, jump)| Draft {
        room,
        new_epoch: EPOCH,
        sender,
        cid,
        body,
        ts: NOON + jump,
    })
}

fn any_document() -> impl Strategy<Value = Document> {
    (prop::sample::select(&KEYS[..]), prop::collection::vec(any::<u8>(), 0..3))
        .prop_map(|(key, value)| Document { key: key.to_owned(), value })
}
