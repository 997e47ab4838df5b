//! Retention, erasure and import.

use std::collections::BTreeSet;

use parlour_hub::log::{Head, Record, Snapshot};
use parlour_protocol::content::{Content, RoleChange, Sanction, Settings};
use parlour_protocol::{RoomName, Seq, UserId};

use super::super::digest::digest;
use super::super::erasure::{is_about, room_of};
use super::super::{CID_MEMORY_MS, Keep, StoreError};
use super::change::empty_reaction;
use super::room::{Cid, Entry, Given, Known, Room, text_bytes};
use super::state::{State, random};

/// Memory that the cid of a record that was trimmed takes beside its text.
const CID_BYTES: usize = 128;

impl State {
    pub(super) fn trim(&mut self, name: &RoomName, keep: &Keep) -> Option<Head> {
        let expires = super::now_ms() + CID_MEMORY_MS;
        self.with(name, |room| room.trim(room.excess(keep), expires))?;
        self.rooms.get(name).map(|room| self.ends(room))
    }

    pub(super) fn erase(&mut self, user: &UserId, alias: &UserId) -> Vec<RoomName> {
        let names: Vec<_> = self.rooms.keys().cloned().collect();
        let erased = |name: &RoomName| self.with(name, |room| room.erase(user, alias)) == Some(true);
        let mut touched: BTreeSet<_> = names.into_iter().filter(erased).collect();
        for key in self.documents.keys().filter(|key| is_about(key, user)).cloned().collect::<Vec<_>>() {
            self.remove_document(&key);
            touched.extend(room_of(&key));
        }
        touched.into_iter().collect()
    }

    pub(super) fn restore(
        &mut self,
        name: &RoomName,
        part: Snapshot,
        limit: usize,
    ) -> Result<Head, StoreError> {
        if !self.rooms.contains_key(name) {
            self.create(name, part.ends.floor, limit)?;
        }
        for record in part.tail {
            let arrival = self.arrive();
            self.with(name, |room| room.take_over(Entry { arrival, record })).unwrap_or(Ok(()))?;
        }
        self.with(name, |room| room.state = part.state);
        self.make_place(limit);
        Ok(self.rooms.get(name).map_or(part.ends, |room| self.ends(room)))
    }

    pub(super) fn renew(&mut self) {
        self.generation = random();
        self.remove_document(crate::lineage::KEY);
    }
}

impl Room {
    /// Returns the newest record that need not be kept.
    fn excess(&self, keep: &Keep) -> Seq {
        let count = keep.records.map_or(0, |most| self.head.0.saturating_sub(most));
        let mut upto = self.floor.max(Seq(count)).max(keep.after.unwrap_or_default().min(self.head));
        let records = || self.records.iter().map(|entry| &entry.record);
        if let Some(since) = keep.since_ms {
            let first = records().find(|record| record.seq > upto && record.ts >= since);
            upto = first.map_or(self.head, |record| Seq(record.seq.0 - 1));
        }
        let mut left = keep.bytes.unwrap_or(u64::MAX);
        for record in records().rev().take_while(|record| record.seq > upto) {
            match left.checked_sub(text_bytes(&record.content) as u64) {
                Some(rest) => left = rest,
                None => return record.seq,
            }
        }
        upto
    }

    /// Drops the records up to `upto`; remembers their cids until `expires`.
    pub(super) fn trim(&mut self, upto: Seq, expires: i64) {
        let upto = upto.min(self.head);
        while let Some(entry) = self.records.pop_front_if(|entry| entry.record.seq <= upto) {
            self.bytes -= entry.bytes();
            let Some(cid) = entry.record.cid else { continue };
            let cid = (entry.record.sender, cid);
            if let (Some(known), true) = (self.cids.remove(&cid), expires > 0) {
                self.bytes += cid_bytes(&cid);
                self.forgotten.insert(cid, (known, expires));
            }
        }
        self.floor = self.floor.max(upto);
        self.reactions = self.reactions.split_off(&self.floor.next());
        self.state.pins.retain(|pin| *pin > self.floor);
        let now = super::now_ms();
        let bytes = &mut self.bytes;
        self.forgotten.retain(|cid, (_, expires)| {
            *bytes -= if *expires > now { 0 } else { cid_bytes(cid) };
            *expires > now
        });
    }

    /// Forgets the cids of the records that were trimmed.
    pub(super) fn forget_cids(&mut self) {
        let forgotten = std::mem::take(&mut self.forgotten);
        self.bytes -= forgotten.keys().map(cid_bytes).sum::<usize>();
    }

    /// Empties what a user said; returns whether there was anything.
    fn erase(&mut self, user: &UserId, alias: &UserId) -> bool {
        let mut is_touched = false;
        for index in 0..self.records.len() {
            let seq = Seq(self.floor.0 + 1 + index as u64);
            let mut silent = None;
            self.amend(seq, |record| {
                silent = reason_by(record, user);
                is_touched |= erase_record(record, user, alias);
            });
            if let Some(sanction) = silent.and_then(|whose| self.state.sanctions.get_mut(&whose)) {
                sanction.reason = None;
            }
        }
        self.cids.retain(|(sender, _), _| sender != user);
        let bytes = &mut self.bytes;
        self.forgotten.retain(|cid, _| {
            *bytes -= if cid.0 == *user { cid_bytes(cid) } else { 0 };
            cid.0 != *user
        });
        for given in self.reactions.values_mut() {
            given.retain(|given| given.user != *user);
        }
        self.reactions.retain(|_, given| !given.is_empty());
        if let Some(role) = self.state.roles.remove(user) {
            self.state.roles.insert(alias.clone(), role);
            is_touched = true;
        }
        if let Some(sanction) = self.state.sanctions.remove(user) {
            let sanction = Sanction { user: alias.clone(), reason: None, ..sanction };
            self.state.sanctions.insert(alias.clone(), sanction);
            is_touched = true;
        }
        is_touched
    }

    /// Adds a record of an export, if it is new.
    fn take_over(&mut self, mut entry: Entry) -> Result<(), StoreError> {
        let Record { seq, sender, cid, ts, content } = &mut entry.record;
        if *seq <= self.head {
            return Ok(());
        }
        if *seq != self.head.next() {
            return Err(StoreError::Corrupt);
        }
        match content {
            Content::Message(said) => {
                // They follow from the reactions.
                said.details.iter_mut().for_each(|details| details.reactions.clear());
            }
            Content::Reaction(reaction) if !reaction.emoji.is_empty() && reaction.target > self.floor => {
                let given = self.reactions.entry(reaction.target).or_default();
                given.retain(|given| given.emoji != reaction.emoji || given.user != *sender);
                let new = Given { emoji: reaction.emoji.clone(), user: sender.clone(), seq: *seq };
                given.extend(reaction.active.then_some(new));
                self.reactions.retain(|_, given| !given.is_empty());
            }
            _ => {}
        }
        if let Some(cid) = cid {
            let known = Known { seq: *seq, ts: *ts, digest: digest(content) };
            self.cids.insert((sender.clone(), cid.clone()), known);
        }
        self.push(entry);
        Ok(())
    }
}

fn cid_bytes((sender, cid): &Cid) -> usize {
    CID_BYTES + sender.as_str().len() + cid.len()
}

/// Returns against whom a sanction of a user was.
fn reason_by(record: &Record, user: &UserId) -> Option<UserId> {
    match &record.content {
        Content::Sanction(sanction) if record.sender == *user => Some(sanction.user.clone()),
        _ => None,
    }
}

fn erase_record(record: &mut Record, user: &UserId, alias: &UserId) -> bool {
    let is_own = record.sender == *user;
    if is_own {
        record.sender = alias.clone();
        record.cid = None;
        match &mut record.content {
            Content::Message(said) => {
                said.text = "".into();
                said.details.iter_mut().for_each(|details| details.mentions.clear());
                said.details.take_if(|details| **details == Default::default());
            }
            Content::Edit(edit) => {
                edit.text = None;
                edit.mentions.clear();
            }
            Content::Settings(settings) => *settings = Settings::default(),
            Content::Reaction(_) => empty_reaction(record),
            Content::Sanction(sanction) => sanction.reason = None,
            Content::Delete(_) | Content::Pin(_) | Content::Role(_) => {}
        }
    }
    match &mut record.content {
        Content::Role(RoleChange { user: named, .. }) if named == user => {
            *named = alias.clone();
            true
        }
        Content::Sanction(Sanction { user: named, reason, .. }) if named == user => {
            (*named, *reason) = (alias.clone(), None);
            true
        }
        _ => is_own,
    }
}
