//! One room's log: what a store checks and changes when it appends.

use std::collections::BTreeMap;

use compact_str::CompactString;
use parlour_hub::log::{
    Draft, Guard, Head, NewEntry, Place, Record, Refused, RoomState, Snapshot, Span, Stored,
};
use parlour_protocol::content::{Content, Details, Reaction, Tally, Text};
use parlour_protocol::{Epoch, Seq, UserId, limits};

#[derive(Debug)]
pub struct Log {
    pub epoch: Epoch,
    pub floor: Seq,
    pub records: Vec<Record>,
    state: RoomState,
    /// What was first said under each cid, and where it is.
    cids: BTreeMap<(UserId, CompactString), (Content, Place, i64)>,
}

impl Log {
    pub fn new(epoch: Epoch) -> Self {
        let (state, cids) = (RoomState::default(), BTreeMap::new());
        Self { epoch, floor: Seq(0), records: Vec::new(), state, cids }
    }

    /// Returns the number of the newest record.
    pub fn head(&self) -> Seq {
        Seq(self.floor.0 + self.records.len() as u64)
    }

    pub fn ends(&self) -> Head {
        Head { epoch: self.epoch, head: self.head(), floor: self.floor }
    }

    pub fn snapshot(&self, tail: u32) -> Snapshot {
        let tail = self.read(Span::Before(Seq(u64::MAX)), tail);
        Snapshot { ends: self.ends(), tail, state: self.state.clone() }
    }

    pub fn read(&self, span: Span, limit: u32) -> Vec<Record> {
        let limit = limit as usize;
        let found: Vec<_> = match span {
            Span::After(after) => self.records.iter().filter(|r| r.seq > after).take(limit).collect(),
            Span::Before(before) => {
                let older = self.records.iter().rev().filter(|r| r.seq < before).take(limit);
                older.collect::<Vec<_>>().into_iter().rev().collect()
            }
            Span::Thread { root, after } => {
                let in_thread =
                    |r: &&Record| r.seq == root || details(r).and_then(|d| d.thread) == Some(root);
                self.records.iter().filter(|r| r.seq > after).filter(in_thread).take(limit).collect()
            }
        };
        found.into_iter().cloned().collect()
    }

    pub fn find(&self, sender: &UserId, cid: &CompactString) -> Option<Stored> {
        let (_, place, ts) = self.cids.get(&(sender.clone(), cid.clone()))?;
        Some(Stored { epoch: self.epoch, ts: *ts, dup: true, entries: vec![*place] })
    }

    /// Forgets the records up to and including `upto`.
    pub fn trim(&mut self, upto: Seq) {
        self.records.retain(|record| record.seq > upto);
        self.floor = upto;
    }

    /// Takes back what was stored after `upto`, as a database does that another one replaces.
    pub fn rewind(&mut self, upto: Seq) {
        self.epoch = Epoch(self.epoch.0 + 100);
        self.records.retain(|record| record.seq <= upto);
        self.cids.retain(|_, (_, place, _)| place.seq <= upto);
        self.state = RoomState::default();
        self.records.iter().for_each(|record| self.state.apply(&record.content, record.ts));
    }

    /// Puts an alias in the place of a user and takes away what the user has said.
    pub fn erase(&mut self, user: &UserId, alias: &UserId) {
        for record in self.records.iter_mut().filter(|record| record.sender == *user) {
            (record.sender, record.cid) = (alias.clone(), None);
            if let Content::Message(said) = &mut record.content {
                said.text = "".into();
            }
        }
    }

    /// Stores a draft as a whole, or refuses it as a whole.
    pub fn append(&mut self, draft: &Draft) -> Result<Stored, Refused> {
        if let Some(stored) = self.earlier(draft)? {
            return Ok(stored);
        }
        if draft.guard == Guard::NewRoom && self.head() > Seq(0) {
            return Err(Refused::Exists);
        }
        for entry in &draft.entries {
            self.check(draft, &entry.content)?;
        }
        if let [NewEntry { content: Content::Reaction(reaction), .. }] = &draft.entries[..]
            && reaction.active
            && let Some(on) = self.is_on(&draft.sender, reaction)
        {
            return Ok(on);
        }
        let ts = self.records.last().map_or(draft.ts, |last| last.ts.max(draft.ts));
        let push = |entry: &NewEntry| self.push(&draft.sender, entry.cid.clone(), ts, entry.content.clone());
        let entries = draft.entries.iter().map(push).collect();
        Ok(Stored { epoch: self.epoch, ts, dup: false, entries })
    }

    /// Finds what was stored under the cids of a draft.
    fn earlier(&self, draft: &Draft) -> Result<Option<Stored>, Refused> {
        let mut stored = Stored { epoch: self.epoch, ts: 0, dup: true, entries: Vec::new() };
        let mut dups = 0;
        for NewEntry { cid, content } in &draft.entries {
            let known = cid.as_ref().and_then(|cid| self.cids.get(&(draft.sender.clone(), cid.clone())));
            match known {
                Some((said, ..)) if said != content => return Err(Refused::Conflict),
                Some((_, place, ts)) => {
                    (dups, stored.ts) = (dups + 1, *ts);
                    stored.entries.push(*place);
                }
                // The second entry of `create` has no cid.
                None => {
                    let last = stored.entries.last().map_or(Seq(0), |place| place.seq);
                    stored.entries.push(Place { seq: last.next(), thread: None, count: 0 });
                }
            }
        }
        match draft.entries.iter().filter(|entry| entry.cid.is_some()).count() {
            _ if dups == 0 => Ok(None),
            all if all == dups => Ok(Some(stored)),
            _ => Err(Refused::Conflict),
        }
    }

    fn is_on(&self, sender: &UserId, reaction: &Reaction) -> Option<Stored> {
        let switched = |record: &&Record| {
            let same = |other: &Reaction| other.target == reaction.target && other.emoji == reaction.emoji;
            record.sender == *sender && matches!(&record.content, Content::Reaction(r) if same(r))
        };
        let last = self.records.iter().rev().find(switched)?;
        let Content::Reaction(Reaction { active: true, count, .. }) = last.content else {
            return None;
        };
        let place = Place { seq: last.seq, thread: None, count };
        Some(Stored { epoch: self.epoch, ts: last.ts, dup: true, entries: vec![place] })
    }

    fn check(&self, draft: &Draft, content: &Content) -> Result<(), Refused> {
        match content {
            Content::Message(said) => {
                let reply_to = said.details.as_ref().and_then(|details| details.reply_to);
                reply_to.map_or(Ok(()), |target| self.target(target).map(drop))
            }
            Content::Edit(edit) => self.by_author(draft, edit.target),
            Content::Delete(deletion) if draft.guard == Guard::Moderator => {
                self.target(deletion.target).map(drop)
            }
            Content::Delete(deletion) => self.by_author(draft, deletion.target),
            Content::Reaction(reaction) => {
                let target = self.target(reaction.target)?;
                let tallies = details(target).map_or(&[][..], |details| &details.reactions);
                let tally = tallies.iter().find(|tally| tally.emoji == reaction.emoji);
                let is_on = tally.is_some_and(|tally| tally.users.contains(&draft.sender));
                match reaction.active {
                    true if tally.is_none() && tallies.len() >= limits::EMOJI_PER_MESSAGE => {
                        Err(Refused::TooMany)
                    }
                    false if !is_on => Err(Refused::NoTarget),
                    _ => Ok(()),
                }
            }
            Content::Pin(pin) if pin.active && self.state.pins.len() >= limits::PINS => Err(Refused::TooMany),
            Content::Pin(pin) => self.target(pin.target).map(drop),
            Content::Settings(_) | Content::Role(_) | Content::Sanction(_) => Ok(()),
        }
    }

    fn by_author(&self, draft: &Draft, target: Seq) -> Result<(), Refused> {
        let target = self.target(target)?;
        if target.sender == draft.sender { Ok(()) } else { Err(Refused::NotAuthor) }
    }

    /// Returns a message that is kept and was not deleted.
    fn target(&self, seq: Seq) -> Result<&Record, Refused> {
        let message = self.records.iter().find(|record| record.seq == seq);
        let is_there = |record: &&Record| {
            let is_deleted = details(record).is_some_and(|details| details.deleted.is_some());
            matches!(record.content, Content::Message(_)) && !is_deleted
        };
        message.filter(is_there).ok_or(Refused::NoTarget)
    }

    /// Stores an entry, and changes what it is about.
    pub fn push(&mut self, sender: &UserId, cid: Option<CompactString>, ts: i64, content: Content) -> Place {
        let seq = self.head().next();
        let first_said = content.clone();
        let mut place = Place { seq, thread: None, count: 0 };
        let content = match content {
            Content::Message(said) => Content::Message(self.threaded(said, &mut place)),
            Content::Reaction(reaction) => {
                place.count = self.tally(sender, &reaction);
                Content::Reaction(Reaction { count: place.count, ..reaction })
            }
            content => content,
        };
        self.follow(seq, &content);
        self.state.apply(&content, ts);
        if let Some(cid) = cid.clone() {
            self.cids.insert((sender.clone(), cid), (first_said, place, ts));
        }
        self.records.push(Record { seq, sender: sender.clone(), cid, ts, content });
        place
    }

    fn threaded(&self, mut said: Text, place: &mut Place) -> Text {
        if let Some(details) = &mut said.details
            && let Some(reply_to) = details.reply_to
        {
            let parent = self.target(reply_to).ok().and_then(|parent| self::details(parent));
            place.thread = Some(parent.and_then(|parent| parent.thread).unwrap_or(reply_to));
            details.thread = place.thread;
        }
        said
    }

    fn tally(&mut self, sender: &UserId, reaction: &Reaction) -> u32 {
        let tallies = &mut self.details_of(reaction.target).reactions;
        if reaction.active && !tallies.iter().any(|tally| tally.emoji == reaction.emoji) {
            tallies.push(Tally { emoji: reaction.emoji.clone(), count: 0, users: Vec::new() });
        }
        let tally = tallies.iter_mut().find(|tally| tally.emoji == reaction.emoji).expect("checked");
        tally.users.retain(|user| user != sender);
        tally.users.extend(reaction.active.then(|| sender.clone()));
        tally.count = tally.users.len() as u32;
        let count = tally.count;
        tallies.retain(|tally| tally.count > 0);
        count
    }

    /// Lets older rows follow an edit or a deletion.
    fn follow(&mut self, seq: Seq, content: &Content) {
        let target = match content {
            Content::Edit(edit) => edit.target,
            Content::Delete(deletion) => deletion.target,
            _ => return,
        };
        for record in &mut self.records {
            match &mut record.content {
                Content::Edit(old) if old.target == target => {
                    old.text = None;
                    old.mentions.clear();
                }
                Content::Reaction(old) if old.target == target && matches!(content, Content::Delete(_)) => {
                    old.emoji = "".into();
                }
                _ => {}
            }
        }
        let details = self.details_of(target);
        let text = match content {
            Content::Edit(edit) => {
                details.edited = Some(seq);
                details.mentions.clone_from(&edit.mentions);
                edit.text.clone().expect("a new text")
            }
            _ => {
                details.deleted = Some(seq);
                details.mentions.clear();
                details.reactions.clear();
                "".into()
            }
        };
        if let Content::Message(said) = &mut self.row(target).content {
            said.text = text;
        }
    }

    fn details_of(&mut self, seq: Seq) -> &mut Details {
        match &mut self.row(seq).content {
            Content::Message(said) => said.details.get_or_insert_default(),
            other => panic!("{other:?} is no message"),
        }
    }

    fn row(&mut self, seq: Seq) -> &mut Record {
        self.records.iter_mut().find(|record| record.seq == seq).expect("checked")
    }
}

fn details(record: &Record) -> Option<&Details> {
    match &record.content {
        Content::Message(said) => said.details.as_deref(),
        _ => None,
    }
}
