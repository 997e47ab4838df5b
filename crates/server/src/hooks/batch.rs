//! What one delivery holds, and how it is gathered.

use std::collections::BTreeMap;

use parlour_hub::log::Span;
use parlour_protocol::{RoomName, Seq};
use serde::Serialize;
use serde_json::value::RawValue;

use super::courier::Courier;
use super::entry::{Cursor, Entry, What, message};
use super::event::EventKind;
use super::keys;
use crate::store::{Document, StoreError};

/// Most bytes of events in a delivery, unless one alone has more.
const BYTES: usize = 256 * 1024;
/// Rooms that are looked at in one step.
const ROOMS: u32 = 500;

/// Events for one delivery.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) items: Vec<Item>,
    /// How far rooms are read with it.
    pub(super) cursors: BTreeMap<RoomName, Cursor>,
    /// Entries that mean nothing any more.
    pub(super) void: Vec<String>,
    /// Rooms that were taken from the queue for it.
    pub(super) rooms: Vec<RoomName>,
    /// Whether the last of them has more.
    pub(super) is_cut: bool,
    bytes: usize,
    most: usize,
    /// Events from before this time are too old, in milliseconds since the Unix epoch.
    horizon_ms: i64,
}

/// An event of a [`Batch`].
#[derive(Debug)]
pub(super) struct Item {
    /// The entry that it comes from; `None` for a message of a log.
    pub(super) key: Option<String>,
    pub(super) time_ms: i64,
    event: Box<RawValue>,
    /// What is kept of it if it cannot be delivered.
    pub(super) what: What,
}

#[derive(Serialize)]
struct Body<'a> {
    id: &'a str,
    webhook: &'a str,
    events: Vec<&'a RawValue>,
}

impl Batch {
    fn new(most: usize, horizon_ms: i64) -> Self {
        Self {
            items: Vec::new(),
            cursors: BTreeMap::new(),
            void: Vec::new(),
            rooms: Vec::new(),
            is_cut: false,
            bytes: 0,
            most,
            horizon_ms,
        }
    }

    /// Adds an event; false if it has to wait for the next delivery.
    fn push(&mut self, item: Item) -> bool {
        let bytes = item.event.get().len();
        // What is too old is buried without an attempt, so it does not mix with what is not.
        let fits = self.items.first().is_none_or(|first| {
            self.items.len() < self.most
                && self.bytes + bytes <= BYTES
                && self.is_old(first) == self.is_old(&item)
        });
        if fits {
            self.bytes += bytes;
            self.items.push(item);
        }
        fits
    }

    fn is_old(&self, item: &Item) -> bool {
        item.time_ms < self.horizon_ms
    }

    /// Whether its events are too old to be tried again.
    pub(super) fn is_overdue(&self) -> bool {
        self.items.first().is_some_and(|first| self.is_old(first))
    }

    fn is_empty(&self) -> bool {
        self.items.is_empty() && self.cursors.is_empty() && self.void.is_empty()
    }

    /// Returns the id of the delivery, and what is sent.
    pub(super) fn body(&self, webhook: &str) -> (String, Vec<u8>) {
        let id = uuid::Uuid::new_v4().to_string();
        let events = self.items.iter().map(|item| &*item.event).collect();
        // Texts have no way to fail.
        let body = serde_json::to_vec(&Body { id: &id, webhook, events }).unwrap_or_default();
        (id, body)
    }
}

impl Courier {
    /// Gathers what is to be delivered next; `None` if nothing waits.
    pub(super) async fn next_batch(&mut self) -> Result<Option<Batch>, StoreError> {
        loop {
            let mut batch = Batch::new(self.size, self.horizon_ms());
            let filled = self.fill(&mut batch).await;
            if filled.is_err() {
                self.give_back(&batch);
            }
            filled?;
            if !batch.is_empty() {
                return Ok(Some(batch));
            }
            if !self.look().await? {
                return Ok(None);
            }
        }
    }

    async fn fill(&self, batch: &mut Batch) -> Result<(), StoreError> {
        // First: what is said in a room after an entry about it must not overtake it.
        if !self.take_entries(batch).await? {
            return Ok(());
        }
        while batch.cursors.len() < self.size
            && let Some(room) = self.webhook.next_room()
        {
            batch.rooms.push(room.clone());
            batch.is_cut = !self.read_room(batch, &room, None).await?;
            if batch.is_cut {
                break;
            }
        }
        Ok(())
    }

    /// Adds entries; returns whether these were all.
    async fn take_entries(&self, batch: &mut Batch) -> Result<bool, StoreError> {
        let prefix = keys::entries(&self.webhook.rule.name);
        let entries = self.node.store.documents(prefix, self.size as u32).await?;
        let are_all = entries.len() < self.size;
        for Document { key, value } in entries {
            let Ok(Entry { time_ms, what, .. }) = serde_json::from_slice(&value) else {
                batch.void.push(key);
                continue;
            };
            let event = match &what {
                What::Event { event, after } => {
                    if let Some((room, seq)) = after
                        && self.webhook.rule.wants(EventKind::Message, Some(room))
                        && !self.read_room(batch, room, Some(*seq)).await?
                    {
                        return Ok(false);
                    }
                    event.clone()
                }
                What::Message { room, seq } => match self.read_one(room, *seq).await? {
                    Some(event) => event,
                    None => {
                        batch.void.push(key);
                        continue;
                    }
                },
            };
            if !batch.push(Item { key: Some(key), time_ms, event, what }) {
                return Ok(false);
            }
        }
        Ok(are_all)
    }

    /// Reads a message again, if it is still there.
    async fn read_one(&self, room: &RoomName, seq: Seq) -> Result<Option<Box<RawValue>>, StoreError> {
        let Some(ends) = self.node.store.heads(vec![room.clone()]).await?.pop().flatten() else {
            return Ok(None);
        };
        let span = Span::After(Seq(seq.0.saturating_sub(1)));
        let record = self.node.store.read(room.clone(), span, 1).await?.pop();
        Ok(record.filter(|record| record.seq == seq).and_then(|record| message(room, ends.epoch, record)))
    }

    /// Adds what was said in a room, up to an entry or all; returns whether it fitted.
    async fn read_room(
        &self,
        batch: &mut Batch,
        room: &RoomName,
        upto: Option<Seq>,
    ) -> Result<bool, StoreError> {
        let store = &self.node.store;
        let Some(ends) = store.heads(vec![room.clone()]).await?.pop().flatten() else {
            return Ok(true);
        };
        let known = match batch.cursors.get(room) {
            Some(cursor) => Some(*cursor),
            None => Cursor::load(&self.node, &self.webhook.rule.name, room).await?,
        };
        let mut cursor = known.map_or_else(|| Cursor::at(ends.epoch, ends.floor), |c| c.in_log(ends));
        let end = upto.map_or(ends.head, |upto| upto.min(ends.head));
        while cursor.seq < end {
            let records = store.read(room.clone(), Span::After(cursor.seq), self.size as u32).await?;
            if records.is_empty() {
                break;
            }
            for record in records.into_iter().take_while(|record| record.seq <= end) {
                let (seq, ts) = (record.seq, record.ts);
                let event = if cursor.has_told(ts) { None } else { message(room, ends.epoch, record) };
                if let Some(event) = event {
                    let what = What::Message { room: room.clone(), seq };
                    if !batch.push(Item { key: None, time_ms: ts, event, what }) {
                        return Ok(false);
                    }
                }
                cursor = cursor.advanced(seq, ts);
                batch.cursors.insert(room.clone(), cursor);
            }
        }
        Ok(true)
    }

    /// Looks at some rooms, if it is not known where messages wait; returns whether it did.
    async fn look(&mut self) -> Result<bool, StoreError> {
        let after = match self.looked.take() {
            Some(after) => after,
            None if self.webhook.must_look() => None,
            None => return Ok(false),
        };
        self.looked = Some(after.clone());
        let rooms = self.node.store.rooms(after, ROOMS).await?;
        let last = rooms.last().map(|(room, _)| room.clone());
        for (room, ends) in rooms {
            if self.webhook.rule.wants(EventKind::Message, Some(&room)) {
                let cursor = Cursor::load(&self.node, &self.webhook.rule.name, &room).await?;
                if cursor.is_none_or(|cursor| cursor.epoch != ends.epoch || cursor.seq < ends.head) {
                    self.webhook.note_room(&room);
                }
            }
        }
        self.looked = last.map(Some);
        Ok(true)
    }
}
