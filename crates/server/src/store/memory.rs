//! A store that forgets: for tests, and for rooms whose history may end with the process.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fmt;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use compact_str::CompactString;
use parlour_hub::log::{Draft, Head, Record, Stored};
use parlour_protocol::{RoomName, Seq, UserId};

use super::{Conflict, Document, Pending, Span, Store, StoreError};

/// Memory that an entry costs beside its text: keys, counters, spare places in the tables.
const OVERHEAD_BYTES: usize = 256;

/// A [`Store`] in the memory of the process, of a limited size.
///
/// When it is full the oldest records of all rooms go, and the floors of their rooms rise. Rooms
/// and documents stay: where they alone would fill it, the answer is [`StoreError::Full`].
pub struct MemoryStore {
    limit_bytes: usize,
    state: Mutex<State>,
}

impl MemoryStore {
    /// Creates a store that holds about `limit_bytes`.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn open(&self, room: RoomName, tail: u32) -> Pending<'_, Option<(Head, Vec<Record>)>> {
        let newest = Span::Before(Seq(u64::MAX));
        let state = self.state();
        ready(Ok(state.rooms.get(&room).map(|room| (room.ends, room.read(newest, tail)))))
    }

    fn append(&self, batch: Vec<Draft>) -> Pending<'_, Vec<Result<Stored, Conflict>>> {
        ready(self.state().append(&batch, self.limit_bytes))
    }

    fn read(&self, room: RoomName, span: Span, limit: u32) -> Pending<'_, Vec<Record>> {
        let state = self.state();
        ready(Ok(state.rooms.get(&room).map_or_else(Vec::new, |room| room.read(span, limit))))
    }

    fn trim(&self, room: RoomName, upto: Seq) -> Pending<'_, ()> {
        self.state().forget(&room, upto);
        ready(Ok(()))
    }

    fn put(&self, documents: Vec<Document>) -> Pending<'_, ()> {
        ready(self.state().put(documents, self.limit_bytes))
    }

    fn documents(&self, prefix: String, limit: u32) -> Pending<'_, Vec<Document>> {
        let state = self.state();
        let from = (Bound::Included(prefix.as_str()), Bound::Unbounded);
        let found = state.documents.range::<str, _>(from);
        let found = found.take_while(|(key, _)| key.starts_with(&prefix)).take(limit as usize);
        let found = found.map(|(key, value)| Document { key: key.clone(), value: value.clone() });
        ready(Ok(found.collect()))
    }

    fn check(&self) -> Pending<'_, ()> {
        ready(Ok(()))
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("limit_bytes", &self.limit_bytes).finish_non_exhaustive()
    }
}

fn ready<'a, T: Send + 'a>(answer: Result<T, StoreError>) -> Pending<'a, T> {
    Box::pin(std::future::ready(answer))
}

#[derive(Default)]
struct State {
    rooms: HashMap<RoomName, Room>,
    documents: BTreeMap<String, Vec<u8>>,
    /// The rooms that have records, by the arrival of their oldest one.
    oldest: BTreeMap<u64, RoomName>,
    arrivals: u64,
    record_bytes: usize,
    /// Rooms and documents.
    lasting_bytes: usize,
}

impl State {
    fn append(&mut self, batch: &[Draft], limit: usize) -> Result<Vec<Result<Stored, Conflict>>, StoreError> {
        let names: HashSet<_> = batch.iter().map(|draft| &draft.room).collect();
        let new = names.iter().filter(|name| !self.rooms.contains_key(**name));
        self.grow(new.map(|name| 2 * name.as_str().len() + OVERHEAD_BYTES).sum(), limit)?;
        let answers = batch.iter().map(|draft| self.store(draft)).collect();
        self.make_place(limit);
        Ok(answers)
    }

    fn store(&mut self, draft: &Draft) -> Result<Stored, Conflict> {
        let room = self.rooms.entry(draft.room.clone()).or_insert_with(|| Room::new(draft));
        let was_empty = room.records.is_empty();
        let stored = room.store(draft, self.arrivals)?;
        if let (false, Some(entry)) = (stored.dup, room.records.back()) {
            self.record_bytes += entry.bytes();
            if was_empty {
                self.oldest.insert(self.arrivals, draft.room.clone());
            }
            self.arrivals += 1;
        }
        Ok(stored)
    }

    fn put(&mut self, documents: Vec<Document>, limit: usize) -> Result<(), StoreError> {
        let kept = documents.iter().filter(|document| !document.value.is_empty());
        self.grow(kept.map(|document| document_bytes(&document.key, &document.value)).sum(), limit)?;
        for Document { key, value } in documents {
            let replaced = self.documents.remove(&key);
            self.lasting_bytes -= replaced.map_or(0, |old| document_bytes(&key, &old));
            if !value.is_empty() {
                self.documents.insert(key, value);
            }
        }
        self.make_place(limit);
        Ok(())
    }

    /// Counts what will stay; refuses what could not be made place for by forgetting records.
    fn grow(&mut self, bytes: usize, limit: usize) -> Result<(), StoreError> {
        if bytes > 0 && self.lasting_bytes.saturating_add(bytes) > limit {
            return Err(StoreError::Full);
        }
        self.lasting_bytes += bytes;
        Ok(())
    }

    fn make_place(&mut self, limit: usize) {
        while self.record_bytes + self.lasting_bytes > limit {
            let Some((_, name)) = self.oldest.first_key_value() else { return };
            let name = name.clone();
            let floor = self.rooms.get(&name).map_or(Seq(0), |room| room.ends.floor);
            self.forget(&name, floor.next());
        }
    }

    fn forget(&mut self, name: &RoomName, upto: Seq) {
        let Some(room) = self.rooms.get_mut(name) else { return };
        if let Some(first) = room.records.front() {
            self.oldest.remove(&first.arrival);
        }
        self.record_bytes -= room.forget(upto);
        if let Some(first) = room.records.front() {
            self.oldest.insert(first.arrival, name.clone());
        }
    }
}

struct Room {
    ends: Head,
    last_ts: i64,
    records: VecDeque<Entry>,
    cids: HashMap<(UserId, CompactString), Seq>,
}

impl Room {
    fn new(draft: &Draft) -> Self {
        let ends = Head { epoch: draft.new_epoch, head: Seq(0), floor: Seq(0) };
        Self { ends, last_ts: i64::MIN, records: VecDeque::new(), cids: HashMap::new() }
    }

    fn store(&mut self, draft: &Draft, arrival: u64) -> Result<Stored, Conflict> {
        let key = draft.cid.clone().map(|cid| (draft.sender.clone(), cid));
        let original = key.as_ref().and_then(|key| self.cids.get(key));
        if let Some(record) = original.and_then(|seq| self.get(*seq)) {
            let dup = Stored { epoch: self.ends.epoch, seq: record.seq, ts: record.ts, dup: true };
            return if record.body == draft.body { Ok(dup) } else { Err(Conflict) };
        }
        let seq = self.ends.head.next();
        let ts = draft.ts.max(self.last_ts);
        let (sender, cid, body) = (draft.sender.clone(), draft.cid.clone(), draft.body.clone());
        self.records.push_back(Entry { arrival, record: Record { seq, sender, cid, body, ts } });
        self.cids.extend(key.map(|key| (key, seq)));
        self.ends.head = seq;
        self.last_ts = ts;
        Ok(Stored { epoch: self.ends.epoch, seq, ts, dup: false })
    }

    fn read(&self, span: Span, limit: u32) -> Vec<Record> {
        let numbers = span.within(self.ends, limit);
        numbers.filter_map(|seq| self.get(Seq(seq)).cloned()).collect()
    }

    fn get(&self, seq: Seq) -> Option<&Record> {
        let index = seq.0.checked_sub(self.ends.floor.0 + 1)?;
        self.records.get(usize::try_from(index).ok()?).map(|entry| &entry.record)
    }

    /// Drops the records up to `upto`, and returns the bytes that this frees.
    fn forget(&mut self, upto: Seq) -> usize {
        let upto = upto.min(self.ends.head);
        let mut freed = 0;
        while let Some(entry) = self.records.pop_front_if(|entry| entry.record.seq <= upto) {
            freed += entry.bytes();
            if let Some(cid) = entry.record.cid {
                self.cids.remove(&(entry.record.sender, cid));
            }
        }
        self.ends.floor = self.ends.floor.max(upto);
        freed
    }
}

struct Entry {
    /// Its place among the records of all rooms.
    arrival: u64,
    record: Record,
}

impl Entry {
    fn bytes(&self) -> usize {
        let names = self.record.sender.as_str().len() + self.record.cid.as_deref().map_or(0, str::len);
        OVERHEAD_BYTES + 2 * names + self.record.body.len()
    }
}

fn document_bytes(key: &str, value: &[u8]) -> usize {
    OVERHEAD_BYTES + key.len() + value.len()
}
