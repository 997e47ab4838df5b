//! One room: its records, and what can be asked about them.

use std::collections::{BTreeMap, HashMap, VecDeque};

use compact_str::CompactString;
use parlour_hub::log::{Head, Place, Record, RoomState, Span};
use parlour_protocol::content::{Content, Tally, Text};
use parlour_protocol::limits::REACTION_USERS;
use parlour_protocol::{Epoch, Seq, UserId};

use super::super::within;
use super::state::OVERHEAD_BYTES;

/// A sender and its id of an entry.
pub(super) type Cid = (UserId, CompactString);

#[derive(Clone)]
pub(super) struct Room {
    /// Its epoch, less the store's generation.
    pub(super) base: Epoch,
    pub(super) head: Seq,
    pub(super) floor: Seq,
    pub(super) last_ts: i64,
    pub(super) records: VecDeque<Entry>,
    pub(super) cids: HashMap<Cid, Known>,
    /// The cids of records that were trimmed, with the times when they are forgotten.
    pub(super) forgotten: HashMap<Cid, (Known, i64)>,
    pub(super) reactions: BTreeMap<Seq, Vec<Given>>,
    pub(super) state: RoomState,
    pub(super) bytes: usize,
}

#[derive(Clone)]
pub(super) struct Entry {
    /// Its place among the records of all rooms.
    pub(super) arrival: u64,
    pub(super) record: Record,
}

/// What is known of a cid.
#[derive(Clone, Copy)]
pub(super) struct Known {
    pub(super) seq: Seq,
    pub(super) ts: i64,
    pub(super) digest: i64,
}

/// A reaction that is on.
#[derive(Clone)]
pub(super) struct Given {
    pub(super) emoji: CompactString,
    pub(super) user: UserId,
    /// The entry that did it.
    pub(super) seq: Seq,
}

impl Room {
    pub(super) fn new(base: Epoch) -> Self {
        Self {
            base,
            head: Seq(0),
            floor: Seq(0),
            last_ts: i64::MIN,
            records: VecDeque::new(),
            cids: HashMap::new(),
            forgotten: HashMap::new(),
            reactions: BTreeMap::new(),
            state: RoomState::default(),
            bytes: 0,
        }
    }

    pub(super) fn read(&self, span: Span, limit: u32) -> Vec<Record> {
        let ends = Head { epoch: self.base, head: self.head, floor: self.floor };
        let records = within(span, ends, limit).filter_map(|seq| self.get(Seq(seq)));
        let shown = |record: &Record| self.shown(record);
        match span {
            Span::After(_) | Span::Before(_) => records.map(shown).collect(),
            Span::Thread { root, .. } => {
                let belongs = |record: &&Record| record.seq == root || thread_of(record) == Some(root);
                let messages = records.filter(|record| matches!(record.content, Content::Message(_)));
                messages.filter(belongs).take(limit as usize).map(shown).collect()
            }
        }
    }

    /// Copies a record, with the reactions to it.
    fn shown(&self, record: &Record) -> Record {
        let mut record = record.clone();
        if let (Content::Message(said), Some(given)) = (&mut record.content, self.reactions.get(&record.seq))
        {
            let tallies = &mut said.details.get_or_insert_default().reactions;
            for Given { emoji, user, .. } in given {
                let known = tallies.iter().position(|tally| tally.emoji == *emoji);
                let index = known.unwrap_or_else(|| {
                    tallies.push(Tally { emoji: emoji.clone(), count: 0, users: Vec::new() });
                    tallies.len() - 1
                });
                tallies[index].count += 1;
                if tallies[index].users.len() < REACTION_USERS {
                    tallies[index].users.push(user.clone());
                }
            }
        }
        record
    }

    pub(super) fn get(&self, seq: Seq) -> Option<&Record> {
        self.records.get(self.index(seq)?).map(|entry| &entry.record)
    }

    fn index(&self, seq: Seq) -> Option<usize> {
        usize::try_from(seq.0.checked_sub(self.floor.0 + 1)?).ok()
    }

    /// Changes a record, if it is kept.
    pub(super) fn amend(&mut self, seq: Seq, change: impl FnOnce(&mut Record)) {
        let Some(entry) = self.index(seq).and_then(|index| self.records.get_mut(index)) else { return };
        let bytes = entry.bytes();
        change(&mut entry.record);
        self.bytes = self.bytes + entry.bytes() - bytes;
    }

    pub(super) fn unread(&self, user: &UserId, after: Seq) -> u32 {
        let start = after.0.saturating_sub(self.floor.0);
        let newer = self.records.iter().skip(usize::try_from(start).unwrap_or(usize::MAX));
        let counts = |entry: &&Entry| is_standing(&entry.record) && entry.record.sender != *user;
        u32::try_from(newer.filter(counts).count()).unwrap_or(u32::MAX)
    }

    pub(super) fn known(&self, cid: &Cid) -> Option<&Known> {
        let remembered = || self.forgotten.get(cid).filter(|(_, expires)| *expires > super::now_ms());
        self.cids.get(cid).or_else(|| remembered().map(|(known, _)| known))
    }

    /// Returns what an answer says about an entry.
    pub(super) fn place(&self, seq: Seq) -> Place {
        let record = self.get(seq);
        let count = match record.map(|record| &record.content) {
            Some(Content::Reaction(reaction)) => reaction.count,
            _ => 0,
        };
        Place { seq, thread: record.and_then(thread_of), count }
    }

    /// Returns the arrival of the oldest record.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.records.front().map(|entry| entry.arrival)
    }
}

impl Entry {
    pub(super) fn bytes(&self) -> usize {
        let Record { sender, cid, content, .. } = &self.record;
        OVERHEAD_BYTES
            + 2 * (sender.as_str().len() + cid.as_deref().map_or(0, str::len))
            + text_bytes(content)
    }
}

/// The bytes that retention counts.
pub(super) fn text_bytes(content: &Content) -> usize {
    match content {
        Content::Message(said) => said.text.len(),
        Content::Edit(edit) => edit.text.as_ref().map_or(0, |text| text.len()),
        Content::Reaction(reaction) => reaction.emoji.len(),
        Content::Settings(settings) => {
            [&settings.title, &settings.topic].into_iter().flatten().map(|t| t.len()).sum()
        }
        Content::Sanction(sanction) => sanction.reason.as_ref().map_or(0, |reason| reason.len()),
        Content::Delete(_) | Content::Pin(_) | Content::Role(_) => 0,
    }
}

pub(super) fn thread_of(record: &Record) -> Option<Seq> {
    match &record.content {
        Content::Message(Text { details: Some(details), .. }) => details.thread,
        _ => None,
    }
}

/// Whether a record is a message that was not deleted.
pub(super) fn is_standing(record: &Record) -> bool {
    match &record.content {
        Content::Message(said) => said.details.as_ref().is_none_or(|details| details.deleted.is_none()),
        _ => false,
    }
}
