//! Puts drafts into a room's log.

use std::collections::HashSet;

use parlour_hub::log::{Draft, Guard, NewEntry, Place, Record, Refused};
use parlour_protocol::Seq;
use parlour_protocol::content::Content;

use super::super::digest::digest;
use super::room::{Cid, Entry, Known, Room};

/// The time of a draft, whether it was there already, and where.
type Answer = Result<(i64, bool, Vec<Place>), Refused>;

impl Room {
    /// Stores the entries of a draft, all or none. `arrival` is the place of the first one.
    pub(super) fn store(&mut self, draft: &Draft, arrival: u64) -> Answer {
        if let Some(answer) = self.repeated(draft) {
            return answer;
        }
        if draft.guard == Guard::NewRoom && self.head > Seq(0) {
            return Err(Refused::Exists);
        }
        let changes_older = |entry: &NewEntry| {
            matches!(
                entry.content,
                Content::Edit(_) | Content::Delete(_) | Content::Reaction(_) | Content::Pin(_)
            )
        };
        // One entry changes nothing before it is refused; groups that change older entries are rare.
        let is_delicate = draft.entries.len() > 1 && draft.entries.iter().any(changes_older);
        let before = is_delicate.then(|| self.clone());
        let (head, last_ts, state) = (self.head, self.last_ts, self.state.clone());
        let stored = self.store_all(draft, arrival);
        if stored.is_err() {
            self.drop_after(head);
            (self.last_ts, self.state) = (last_ts, state);
            if let Some(before) = before {
                *self = before;
            }
        }
        stored
    }

    /// Answers a draft of which cids are known.
    fn repeated(&self, draft: &Draft) -> Option<Answer> {
        let given = (0u64..)
            .zip(&draft.entries)
            .filter_map(|(index, entry)| Some((index, cid(draft, entry)?, entry)));
        let mut seen = HashSet::new();
        let (mut known, mut first, mut is_same) = (0, None, true);
        for (index, cid, entry) in given {
            if let Some(original) = self.known(&cid) {
                let (base, _) = *first.get_or_insert((original.seq.0.wrapping_sub(index), original.ts));
                is_same &=
                    original.seq.0 == base.wrapping_add(index) && original.digest == digest(&entry.content);
                known += 1;
            }
            if !seen.insert(cid) {
                return Some(Err(Refused::Conflict));
            }
        }
        let (base, ts) = first?;
        if known < seen.len() || !is_same {
            return Some(Err(Refused::Conflict));
        }
        // Entries without a cid were stored together with the others.
        let places = (base..).take(draft.entries.len()).map(|seq| self.place(Seq(seq)));
        Some(Ok((ts, true, places.collect())))
    }

    fn store_all(&mut self, draft: &Draft, arrival: u64) -> Answer {
        let ts = draft.ts.max(self.last_ts);
        let mut places = Vec::with_capacity(draft.entries.len());
        for (arrival, entry) in (arrival..).zip(&draft.entries) {
            let seq = self.head.next();
            let sender = draft.sender.clone();
            let mut record =
                Record { seq, sender, cid: entry.cid.clone(), ts, content: entry.content.clone() };
            if let Some(earlier) = self.take_effect(&mut record, draft.guard)? {
                // What is there already cannot be stored together with what is not.
                if draft.entries.len() > 1 {
                    return Err(Refused::Conflict);
                }
                let ts = self.get(earlier.seq).map_or(self.last_ts, |record| record.ts);
                return Ok((ts, true, vec![earlier]));
            }
            if let Some(cid) = cid(draft, entry) {
                self.cids.insert(cid, Known { seq, ts, digest: digest(&entry.content) });
            }
            self.push(Entry { arrival, record });
            places.push(self.place(seq));
        }
        Ok((ts, false, places))
    }

    /// Adds a record behind the newest one.
    pub(super) fn push(&mut self, entry: Entry) {
        self.head = entry.record.seq;
        self.last_ts = self.last_ts.max(entry.record.ts);
        self.bytes += entry.bytes();
        self.records.push_back(entry);
    }

    fn drop_after(&mut self, head: Seq) {
        while let Some(entry) = self.records.pop_back_if(|entry| entry.record.seq > head) {
            self.bytes -= entry.bytes();
            if let Some(cid) = entry.record.cid {
                self.cids.remove(&(entry.record.sender, cid));
            }
        }
        self.head = head;
    }
}

fn cid(draft: &Draft, entry: &NewEntry) -> Option<Cid> {
    entry.cid.clone().map(|cid| (draft.sender.clone(), cid))
}
