//! Random histories, compared with the simplest thing that could be right.

use std::collections::BTreeMap;

use parlour_hub::log::{Draft, Head, Place, Record, Refused, Stored};
use parlour_protocol::content::{Content, Details, Tally, Text};
use parlour_protocol::{RoomName, Seq};
use parlour_server::store::{Document, Keep, Span, Store};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::{EPOCH, Fixture, NOON, answer, delete, edit, group, message, pin, reaction, room, with_cid};

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
    Check,
}

#[derive(Default)]
struct Model {
    rooms: BTreeMap<RoomName, Room>,
    documents: BTreeMap<String, Vec<u8>>,
}

/// Everything that was ever said, as it was said; what it has become is found by looking at all of it.
#[derive(Default, Clone)]
struct Room {
    all: Vec<Record>,
    floor: usize,
}

/// Runs random histories against a new store each.
pub(super) fn check<F: Fixture>() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
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
                let ends = model.trim(&room, upto);
                let keep = Keep { after: Some(upto), ..Keep::default() };
                prop_assert_eq!(store.trim(room, keep).await, Ok(ends));
            }
            Step::Read(room, span, limit) => {
                let expected = model.read(&room, span, limit as usize);
                prop_assert_eq!(store.read(room, span, limit).await, Ok(expected));
            }
            Step::Open(room, tail) => {
                let newest = model.read(&room, Span::Before(Seq(u64::MAX)), tail as usize);
                let expected = model.rooms.get(&room).map(|room| (room.ends(), newest, room.pins()));
                let opened = store
                    .open(room, tail)
                    .await
                    .map(|opened| opened.map(|opened| (opened.ends, opened.tail, opened.state.pins)));
                prop_assert_eq!(opened, Ok(expected));
            }
            Step::Put(documents) => {
                model.put(&documents);
                prop_assert_eq!(store.put(documents).await, Ok(()));
            }
            Step::Documents(prefix, limit) => {
                let expected = model.documents(prefix, limit as usize);
                prop_assert_eq!(store.documents(prefix.to_owned(), limit).await, Ok(expected));
            }
            Step::Check => prop_assert_eq!(store.check().await, Ok(())),
        }
    }
    Ok(())
}

impl Model {
    fn append(&mut self, draft: &Draft) -> Result<Stored, Refused> {
        let mut room = self.rooms.get(&draft.room).cloned().unwrap_or_default();
        let stored = room.append(draft)?;
        self.rooms.insert(draft.room.clone(), room);
        Ok(stored)
    }

    fn trim(&mut self, room: &RoomName, upto: Seq) -> Option<Head> {
        let room = self.rooms.get_mut(room)?;
        room.floor = room.floor.max((upto.0 as usize).min(room.all.len()));
        Some(room.ends())
    }

    fn read(&self, room: &RoomName, span: Span, limit: usize) -> Vec<Record> {
        let Some(room) = self.rooms.get(room) else { return Vec::new() };
        let kept = &room.all[room.floor..];
        let thread = |record: &Record, root| record.seq == root || room.thread(record.seq) == Some(root);
        let mut found: Vec<_> = match span {
            Span::After(seq) => kept.iter().filter(|record| record.seq > seq).take(limit).collect(),
            Span::Before(seq) => kept.iter().rev().filter(|record| record.seq < seq).take(limit).collect(),
            Span::Thread { root, after } => {
                let messages = kept.iter().filter(|record| matches!(record.content, Content::Message(_)));
                messages.filter(|record| record.seq > after && thread(record, root)).take(limit).collect()
            }
        };
        found.sort_by_key(|record| record.seq);
        found.into_iter().map(|record| room.shown(record)).collect()
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

    fn append(&mut self, draft: &Draft) -> Result<Stored, Refused> {
        let known = |index: usize| {
            let entry = &draft.entries[index];
            let same = |record: &&Record| (&record.sender, &record.cid) == (&draft.sender, &entry.cid);
            entry.cid.as_ref().and_then(|_| self.all.iter().find(same))
        };
        // Groups have no cids here.
        if let Some(record) = known(0) {
            if said(&record.content) != said(&draft.entries[0].content) {
                return Err(Refused::Conflict);
            }
            return Ok(self.stored(
                record.ts,
                true,
                vec![self.place(record.seq, record.seq.0 as usize > self.floor)],
            ));
        }
        let ts = self.all.iter().map(|record| record.ts).fold(draft.ts, i64::max);
        let mut places = Vec::new();
        for entry in &draft.entries {
            let seq = Seq(self.all.len() as u64 + 1);
            let mut record = Record {
                seq,
                sender: draft.sender.clone(),
                cid: entry.cid.clone(),
                ts,
                content: entry.content.clone(),
            };
            if let Some(earlier) = self.check(&mut record)? {
                if draft.entries.len() > 1 {
                    return Err(Refused::Conflict);
                }
                let kept = self.all[self.floor..].iter().find(|record| record.seq == earlier);
                let ts = kept.map_or_else(|| self.all[self.all.len() - 1].ts, |record| record.ts);
                let Content::Reaction(new) = &record.content else { return Err(Refused::NoTarget) };
                let count = self.count(new.target, &new.emoji);
                return Ok(self.stored(ts, true, vec![Place { seq: earlier, thread: None, count }]));
            }
            self.all.push(record);
            places.push(self.place(seq, true));
        }
        Ok(self.stored(ts, false, places))
    }

    fn stored(&self, ts: i64, dup: bool, entries: Vec<Place>) -> Stored {
        Stored { epoch: EPOCH, ts, dup, entries }
    }

    fn place(&self, seq: Seq, is_kept: bool) -> Place {
        let count = match &self.all[seq.0 as usize - 1].content {
            Content::Reaction(reaction) if is_kept => reaction.count,
            _ => 0,
        };
        Place { seq, thread: self.thread(seq).filter(|_| is_kept), count }
    }

    fn target(&self, content: &Content) -> Option<Seq> {
        match content {
            Content::Message(said) => said.details.as_ref()?.reply_to,
            Content::Edit(edit) => Some(edit.target),
            Content::Delete(deletion) => Some(deletion.target),
            Content::Reaction(reaction) => Some(reaction.target),
            Content::Pin(pin) => Some(pin.target),
            Content::Settings(_) | Content::Role(_) | Content::Sanction(_) => None,
        }
    }

    /// Refuses what may not be; returns the entry of a reaction that is there, and completes others.
    fn check(&self, record: &mut Record) -> Result<Option<Seq>, Refused> {
        let Some(target) = self.target(&record.content) else { return Ok(None) };
        let mut kept = self.all[self.floor..].iter();
        let found = kept.find(|older| older.seq == target && matches!(older.content, Content::Message(_)));
        let found = found.filter(|_| self.deleted(target).is_none()).ok_or(Refused::NoTarget)?;
        match &mut record.content {
            Content::Edit(_) | Content::Delete(_) if found.sender != record.sender => Err(Refused::NotAuthor),
            Content::Pin(pin) if !pin.active && !self.pins().contains(&target) => Err(Refused::NoTarget),
            Content::Reaction(new) => {
                let own = self
                    .given(target)
                    .into_iter()
                    .find(|(_, who, emoji)| (*who, *emoji) == (&record.sender, &new.emoji));
                let count = self.count(target, &new.emoji);
                match (new.active, own) {
                    (true, Some((seq, ..))) => return Ok(Some(seq)),
                    (false, None) => return Err(Refused::NoTarget),
                    (true, None) => new.count = count + 1,
                    (false, Some(_)) => new.count = count - 1,
                }
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    fn deleted(&self, target: Seq) -> Option<Seq> {
        let deletes = |record: &&Record| matches!(&record.content, Content::Delete(deletion) if deletion.target == target);
        self.all.iter().find(deletes).map(|record| record.seq)
    }

    /// Returns the newest edit of a message.
    fn edited(&self, target: Seq) -> Option<&Record> {
        let edits =
            |record: &&Record| matches!(&record.content, Content::Edit(edit) if edit.target == target);
        self.all.iter().rfind(edits)
    }

    fn thread(&self, seq: Seq) -> Option<Seq> {
        let above = self.target(&self.all[seq.0 as usize - 1].content)?;
        let is_message = matches!(self.all[seq.0 as usize - 1].content, Content::Message(_));
        is_message.then(|| self.thread(above).unwrap_or(above))
    }

    /// Lists the reactions to a message that are on, by their entries.
    fn given(&self, target: Seq) -> Vec<(Seq, &parlour_protocol::UserId, &compact_str::CompactString)> {
        let mut given = Vec::new();
        for record in &self.all {
            if let Content::Reaction(reaction) = &record.content
                && reaction.target == target
            {
                given.retain(|(_, who, emoji)| (*who, *emoji) != (&record.sender, &reaction.emoji));
                given.extend(reaction.active.then_some((record.seq, &record.sender, &reaction.emoji)));
            }
        }
        given
    }

    fn reactions(&self, target: Seq) -> Vec<Tally> {
        let mut tallies: Vec<Tally> = Vec::new();
        for (_, who, emoji) in self.given(target).into_iter().filter(|_| self.deleted(target).is_none()) {
            match tallies.iter_mut().find(|tally| tally.emoji == *emoji) {
                Some(tally) => {
                    tally.count += 1;
                    tally.users.push(who.clone());
                }
                None => tallies.push(Tally { emoji: emoji.clone(), count: 1, users: vec![who.clone()] }),
            }
        }
        tallies
    }

    fn count(&self, target: Seq, emoji: &str) -> u32 {
        self.reactions(target).iter().find(|tally| tally.emoji == emoji).map_or(0, |tally| tally.count)
    }

    fn pins(&self) -> Vec<Seq> {
        let mut pins = Vec::new();
        for record in &self.all {
            if let Content::Pin(pin) = &record.content {
                pins.retain(|pinned| *pinned != pin.target);
                pins.extend(pin.active.then_some(pin.target));
            }
        }
        pins.retain(|pinned| self.deleted(*pinned).is_none() && pinned.0 as usize > self.floor);
        pins
    }

    /// Shows a record as it is now.
    fn shown(&self, record: &Record) -> Record {
        let mut shown = record.clone();
        match &mut shown.content {
            Content::Message(Text { text, details }) => {
                let edit = self.edited(record.seq);
                let now = Details {
                    reply_to: self.target(&record.content),
                    thread: self.thread(record.seq),
                    mentions: Vec::new(),
                    edited: edit.map(|edit| edit.seq),
                    deleted: self.deleted(record.seq),
                    reactions: self.reactions(record.seq),
                };
                if let Some(Content::Edit(edit)) = edit.map(|edit| &edit.content) {
                    *text = edit.text.clone().unwrap_or_default();
                }
                if now.deleted.is_some() {
                    *text = "".into();
                }
                *details = (now != Details::default()).then(|| Box::new(now));
            }
            Content::Edit(edit) => {
                let is_last = self.edited(edit.target).is_some_and(|last| last.seq == record.seq);
                if !is_last || self.deleted(edit.target).is_some() {
                    edit.text = None;
                }
            }
            Content::Reaction(reaction) if self.deleted(reaction.target).is_some() => {
                reaction.emoji = "".into()
            }
            _ => {}
        }
        shown
    }
}

/// What decides about repetitions: without what is set by the server.
fn said(content: &Content) -> Content {
    let mut said = content.clone();
    if let Content::Reaction(reaction) = &mut said {
        reaction.count = 0;
    }
    said
}

fn step() -> impl Strategy<Value = Step> {
    let seq = || (0..30u64).prop_map(Seq);
    let span = prop_oneof![
        seq().prop_map(Span::After),
        seq().prop_map(Span::Before),
        (0..9u64, 0..9u64).prop_map(|(root, after)| Span::Thread { root: Seq(root), after: Seq(after) }),
    ];
    prop_oneof![
        6 => prop::collection::vec(any_draft(), 0..8).prop_map(Step::Append),
        1 => (any_room(), seq()).prop_map(|(room, upto)| Step::Trim(room, upto)),
        2 => (any_room(), span, 0..9u32).prop_map(|(room, span, limit)| Step::Read(room, span, limit)),
        2 => (any_room(), 0..30u32).prop_map(|(room, tail)| Step::Open(room, tail)),
        1 => prop::collection::vec(any_document(), 0..4).prop_map(Step::Put),
        1 => (prop::sample::select(vec!["", "a", "a%", "a_", "b", "c"]), 0..9u32)
            .prop_map(|(prefix, limit)| Step::Documents(prefix, limit)),
        1 => Just(Step::Check),
    ]
}

fn any_room() -> impl Strategy<Value = RoomName> {
    prop::sample::select(&ROOMS[..]).prop_map(room)
}

/// Few senders, cids, texts and targets, so that duplicates, conflicts and changes are frequent.
fn any_draft() -> impl Strategy<Value = Draft> {
    let sender = || prop::sample::select(&USERS[..]);
    let room = || prop::sample::select(&ROOMS[..]);
    let single = (sender(), room(), prop::option::of(0..6u8), any_content()).prop_map(
        |(sender, room, cid, content)| {
            let draft = group(sender, room, [content]);
            cid.map_or(draft.clone(), |cid| with_cid(draft, &cid.to_string()))
        },
    );
    let several = (sender(), room(), prop::collection::vec(any_content(), 2..4))
        .prop_map(|(sender, room, contents)| group(sender, room, contents));
    (prop_oneof![5 => single, 1 => several], -50..50i64)
        .prop_map(|(draft, jump)| Draft { ts: NOON + jump, ..draft })
}

fn any_content() -> impl Strategy<Value = Content> {
    let target = || 1..9u64;
    let emoji = || prop::sample::select(&["+1", "♥"][..]);
    prop_oneof![
        4 => (0..2u8).prop_map(|text| message(&text.to_string())),
        2 => target().prop_map(|target| answer(target, "re")),
        2 => (target(), 0..2u8).prop_map(|(target, text)| edit(target, &text.to_string())),
        1 => target().prop_map(delete),
        3 => (target(), emoji(), any::<bool>()).prop_map(|(target, emoji, active)| reaction(target, emoji, active)),
        2 => (target(), any::<bool>()).prop_map(|(target, active)| pin(target, active)),
    ]
}

fn any_document() -> impl Strategy<Value = Document> {
    (prop::sample::select(&KEYS[..]), prop::collection::vec(any::<u8>(), 0..3))
        .prop_map(|(key, value)| Document { key: key.to_owned(), value })
}
