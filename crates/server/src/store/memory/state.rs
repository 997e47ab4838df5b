//! All rooms and documents, and the memory that they take.

use std::collections::{BTreeMap, BTreeSet};

use compact_str::CompactString;
use parlour_hub::log::{Draft, Head, Refused, Snapshot, Span, Stored};
use parlour_protocol::{Epoch, RoomName, Seq, UserId};

use super::super::{Document, StoreError};
use super::room::Room;

/// Memory that an entry costs beside its text: keys, counters, spare places in the tables.
pub(super) const OVERHEAD_BYTES: usize = 256;

#[derive(Default)]
pub(super) struct State {
    pub(super) rooms: BTreeMap<RoomName, Room>,
    pub(super) documents: BTreeMap<String, Vec<u8>>,
    /// Part of the epoch of every room.
    pub(super) generation: u128,
    /// The rooms that have records, by the arrival of their oldest one.
    oldest: BTreeMap<u64, RoomName>,
    arrivals: u64,
    /// Of all rooms.
    record_bytes: usize,
    /// The names of rooms, and documents.
    pub(super) lasting_bytes: usize,
}

impl State {
    pub(super) fn ends(&self, room: &Room) -> Head {
        Head { epoch: Epoch(room.base.0 ^ self.generation), head: room.head, floor: room.floor }
    }

    pub(super) fn open(&self, name: &RoomName, tail: u32) -> Option<Snapshot> {
        let room = self.rooms.get(name)?;
        let tail = room.read(Span::Before(Seq(u64::MAX)), tail);
        Some(Snapshot { ends: self.ends(room), tail, state: room.state.clone() })
    }

    pub(super) fn find(&self, name: &RoomName, sender: UserId, cid: CompactString) -> Option<Stored> {
        let room = self.rooms.get(name)?;
        let known = *room.known(&(sender, cid))?;
        let entries = vec![room.place(known.seq)];
        Some(Stored { epoch: self.ends(room).epoch, ts: known.ts, dup: true, entries })
    }

    pub(super) fn append(
        &mut self,
        batch: &[Draft],
        limit: usize,
    ) -> Result<Vec<Result<Stored, Refused>>, StoreError> {
        let names: BTreeSet<_> = batch.iter().map(|draft| &draft.room).collect();
        let new = names.iter().filter(|name| !self.rooms.contains_key(**name));
        self.grow(new.map(|name| room_bytes(name)).sum(), limit)?;
        let answers = batch.iter().map(|draft| self.store(draft)).collect();
        for name in names {
            // What was refused creates no room.
            if self.rooms.get(name).is_some_and(|room| room.head == Seq(0)) {
                self.rooms.remove(name);
                self.lasting_bytes -= room_bytes(name);
            }
        }
        self.make_place(limit);
        Ok(answers)
    }

    fn store(&mut self, draft: &Draft) -> Result<Stored, Refused> {
        let (generation, arrival) = (self.generation, self.arrivals);
        let base = Epoch(draft.new_epoch.0 ^ generation);
        self.rooms.entry(draft.room.clone()).or_insert_with(|| Room::new(base));
        let answer = self.with(&draft.room, |room| room.store(draft, arrival));
        let (ts, dup, entries) = answer.unwrap_or(Err(Refused::Corrupt))?;
        if !dup {
            self.arrivals += entries.len() as u64;
        }
        let epoch = self.rooms.get(&draft.room).map_or(draft.new_epoch, |room| self.ends(room).epoch);
        Ok(Stored { epoch, ts, dup, entries })
    }

    /// Changes a room, and keeps account of its memory.
    pub(super) fn with<T>(&mut self, name: &RoomName, change: impl FnOnce(&mut Room) -> T) -> Option<T> {
        let room = self.rooms.get_mut(name)?;
        let (bytes, oldest) = (room.bytes, room.oldest());
        let outcome = change(room);
        self.record_bytes = self.record_bytes + room.bytes - bytes;
        if oldest != room.oldest() {
            if let Some(arrival) = oldest {
                self.oldest.remove(&arrival);
            }
            self.oldest.extend(room.oldest().map(|arrival| (arrival, name.clone())));
        }
        Some(outcome)
    }

    /// Creates a room of an export.
    pub(super) fn create(&mut self, name: &RoomName, floor: Seq, limit: usize) -> Result<(), StoreError> {
        self.grow(room_bytes(name), limit)?;
        let mut room = Room::new(Epoch(random()));
        (room.head, room.floor) = (floor, floor);
        self.rooms.insert(name.clone(), room);
        Ok(())
    }

    /// Returns the place of a record among those of all rooms.
    pub(super) fn arrive(&mut self) -> u64 {
        self.arrivals += 1;
        self.arrivals - 1
    }

    pub(super) fn put(&mut self, documents: Vec<Document>, limit: usize) -> Result<(), StoreError> {
        let kept = documents.iter().filter(|document| !document.value.is_empty());
        self.grow(kept.map(|document| document_bytes(&document.key, &document.value)).sum(), limit)?;
        for Document { key, value } in documents {
            self.remove_document(&key);
            if !value.is_empty() {
                self.documents.insert(key, value);
            }
        }
        self.make_place(limit);
        Ok(())
    }

    pub(super) fn remove_document(&mut self, key: &str) {
        let removed = self.documents.remove(key);
        self.lasting_bytes -= removed.map_or(0, |value| document_bytes(key, &value));
    }

    /// Counts what will stay; refuses what could not be made place for by forgetting records.
    fn grow(&mut self, bytes: usize, limit: usize) -> Result<(), StoreError> {
        if bytes > 0 && self.lasting_bytes.saturating_add(bytes) > limit {
            return Err(StoreError::Full);
        }
        self.lasting_bytes += bytes;
        Ok(())
    }

    /// Forgets the oldest records until all fits, and at last the cids of those trimmed earlier.
    pub(super) fn make_place(&mut self, limit: usize) {
        while self.record_bytes + self.lasting_bytes > limit {
            let Some(name) = self.oldest.first_key_value().map(|(_, name)| name.clone()) else {
                let names: Vec<_> = self.rooms.keys().cloned().collect();
                for name in names {
                    self.with(&name, Room::forget_cids);
                }
                return;
            };
            self.with(&name, |room| {
                room.trim(room.floor.next(), 0);
                room.forget_cids();
            });
        }
    }
}

pub(super) fn random() -> u128 {
    uuid::Uuid::new_v4().as_u128()
}

fn room_bytes(name: &RoomName) -> usize {
    2 * name.as_str().len() + OVERHEAD_BYTES
}

fn document_bytes(key: &str, value: &[u8]) -> usize {
    OVERHEAD_BYTES + key.len() + value.len()
}
