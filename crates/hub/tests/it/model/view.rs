//! What one connection knows of a room.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use compact_str::CompactString;
use parlour_hub::log::Record;
use parlour_protocol::content::Content;
use parlour_protocol::event::{Event, Joined, Status};
use parlour_protocol::{Position, Seq, UserId};

#[derive(Debug)]
pub struct View {
    /// The newest entry it was told.
    pub position: Position,
    /// Whether it is on the list.
    pub is_live: bool,
    /// Whether its shard leaves out what is broadcast; nothing else has to be asked for then.
    pub is_slow: bool,
    /// Unknown to whoever was behind: notices do not wait.
    pub members: Option<BTreeMap<UserId, Status>>,
    typing: BTreeSet<UserId>,
    /// The texts that it shows.
    texts: BTreeMap<Seq, Arc<str>>,
    /// How many reactions it shows, of those that changed before its eyes.
    counts: BTreeMap<(Seq, CompactString), u32>,
}

impl View {
    pub fn new(joined: &Joined, is_live: bool) -> Self {
        let begin = Seq(joined.head.0 - joined.behind - u64::from(joined.replayed));
        let members = joined.members.iter().map(|member| (member.user.clone(), member.status)).collect();
        Self {
            position: Position { epoch: joined.epoch, seq: begin },
            is_live,
            is_slow: false,
            members: is_live.then_some(members),
            typing: BTreeSet::new(),
            texts: BTreeMap::new(),
            counts: BTreeMap::new(),
        }
    }

    /// Begins anew at a position.
    pub fn resync(&mut self, position: Position) {
        self.position = position;
        self.texts.clear();
        self.counts.clear();
    }

    /// Takes over who is here.
    pub fn meet(&mut self, joined: &Joined) {
        let members = joined.members.iter().map(|member| (member.user.clone(), member.status));
        self.members = Some(members.collect());
        self.typing.clear();
    }

    /// Takes over what it is told; panics where that is no news or leaves a hole.
    pub fn tell(&mut self, event: &Event) {
        if let Some(seq) = event.seq() {
            assert_eq!(seq, self.position.seq.next(), "the entry after {:?}: {event:?}", self.position);
            self.position.seq = seq;
            return self.fold(seq, event);
        }
        let Some(members) = &mut self.members else {
            return;
        };
        match event {
            Event::MemberJoined(news) => {
                let known = members.insert(news.user.clone(), Status::Online);
                assert_eq!(known, None, "it is told twice that {} joined", news.user);
                assert_eq!(members.len(), news.member_count as usize);
            }
            Event::MemberLeft(news) => {
                let known = members.remove(&news.user);
                assert!(known.is_some(), "it is told twice that {} left", news.user);
                assert!(!self.typing.contains(&news.user), "{} types after leaving", news.user);
            }
            Event::Presence(news) => {
                let known = members.insert(news.member.user.clone(), news.member.status);
                assert!(known.is_some_and(|known| known != news.member.status), "no news: {news:?}");
            }
            Event::Typing(news) if news.active => {
                assert!(self.typing.insert(news.user.clone()), "{} types already", news.user);
            }
            Event::Typing(news) => {
                self.typing.remove(&news.user);
            }
            Event::Read(_) | Event::Delivered(_) => {}
            other => panic!("{other:?} is not for everybody"),
        }
    }

    fn fold(&mut self, seq: Seq, event: &Event) {
        match event {
            Event::Message(message) => {
                self.texts.insert(seq, Arc::clone(&message.text));
            }
            Event::Edited(change) => {
                let shown = self.texts.get_mut(&change.what.target);
                if let (Some(shown), Some(text)) = (shown, &change.what.text) {
                    *shown = Arc::clone(text);
                }
            }
            Event::Deleted(change) => {
                let target = change.what.target;
                self.texts.get_mut(&target).into_iter().for_each(|shown| *shown = "".into());
                self.counts.retain(|(seq, _), _| *seq != target);
            }
            Event::Reacted(change) if !change.what.emoji.is_empty() => {
                let key = (change.what.target, change.what.emoji.clone());
                self.counts.insert(key, change.what.count);
            }
            _ => {}
        }
    }

    /// Compares what it shows with what is stored; it must have been told everything.
    pub fn assert_shows(&self, records: &[Record]) {
        for Record { seq, content, .. } in records {
            let Content::Message(said) = content else {
                continue;
            };
            let shown = self.texts.get(seq);
            assert!(shown.is_none_or(|shown| *shown == said.text), "{seq}: {shown:?}, not {:?}", said.text);
            let tallies = said.details.as_ref().map_or(&[][..], |details| &details.reactions);
            for ((_, emoji), shown) in self.counts.iter().filter(|((target, _), _)| target == seq) {
                let tally = tallies.iter().find(|tally| tally.emoji == *emoji);
                assert_eq!(*shown, tally.map_or(0, |tally| tally.count), "{emoji} to {seq}");
            }
        }
    }
}
