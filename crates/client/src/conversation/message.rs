//! One message, and what became of it.

use std::sync::Arc;

use parlour_protocol::content::{Content, Reaction, Tally, Text};
use parlour_protocol::event::Header;
use parlour_protocol::{Seq, UserId, limits};

/// A message as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct Spoken {
    /// Its number in the room.
    pub seq: Seq,
    /// Who said it.
    pub sender: UserId,
    /// When it was stored: milliseconds since the Unix epoch.
    pub ts: i64,
    /// What is said; empty once deleted.
    pub text: Arc<str>,
    /// The message that this one answers.
    pub reply_to: Option<Seq>,
    /// The first message of its thread.
    pub thread: Option<Seq>,
    /// Users who are meant.
    pub mentions: Vec<UserId>,
    /// The entry that changed the text last.
    pub edited: Option<Seq>,
    /// The entry that erased the message.
    pub deleted: Option<Seq>,
    /// Reactions, in the order of their first use.
    pub reactions: Vec<Tally>,
}

/// Where a copy of a message comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// Replayed or live: its reactions are told by the entries behind it.
    Stream,
    /// A page of history: it comes with its reactions.
    Page,
}

impl Spoken {
    /// Takes a copy of a message, of which another one may be known.
    pub(super) fn merge(header: Header, text: Text, known: Option<Self>, source: Source) -> Self {
        let details = text.details.map(|details| *details).unwrap_or_default();
        let told = Self {
            seq: header.seq,
            sender: header.sender,
            ts: header.ts,
            text: text.text,
            reply_to: details.reply_to,
            thread: details.thread,
            mentions: details.mentions,
            edited: details.edited,
            deleted: details.deleted,
            reactions: details.reactions,
        };
        let Some(known) = known else {
            return told;
        };
        let deleted = told.deleted.or(known.deleted);
        let reactions = match source {
            Source::Page => told.reactions.clone(),
            Source::Stream => known.reactions.clone(),
        };
        let latest = if told.edited >= known.edited { told } else { known };
        let mut merged = Self { reactions, ..latest };
        if let Some(by) = deleted {
            merged.delete(by);
        }
        merged
    }

    /// Applies an entry about this message.
    pub(super) fn change(&mut self, seq: Seq, by: &UserId, change: &Content) {
        if self.deleted.is_some() {
            return;
        }
        match change {
            Content::Edit(edit) if Some(seq) > self.edited => {
                if let Some(text) = &edit.text {
                    self.text = Arc::clone(text);
                    self.mentions.clone_from(&edit.mentions);
                    self.edited = Some(seq);
                }
            }
            Content::Delete(_) => self.delete(seq),
            Content::Reaction(reaction) if !reaction.emoji.is_empty() => self.react(by, reaction),
            _ => {}
        }
    }

    fn delete(&mut self, by: Seq) {
        self.text = "".into();
        self.mentions.clear();
        self.reactions.clear();
        self.deleted = Some(by);
    }

    fn react(&mut self, by: &UserId, reaction: &Reaction) {
        let Reaction { emoji, active, count, .. } = reaction;
        if !self.reactions.iter().any(|tally| tally.emoji == *emoji) {
            self.reactions.push(Tally { emoji: emoji.clone(), count: 0, users: Vec::new() });
        }
        for tally in self.reactions.iter_mut().filter(|tally| tally.emoji == *emoji) {
            // The server's count: users beyond those listed are not known.
            tally.count = *count;
            tally.users.retain(|user| user != by);
            if *active && tally.users.len() < limits::REACTION_USERS {
                tally.users.push(by.clone());
            }
        }
        self.reactions.retain(|tally| tally.count > 0);
    }

    /// Forgets what a user said and did here.
    pub(super) fn erase(&mut self, user: &UserId) {
        if self.sender == *user {
            self.delete(self.seq);
        }
        for tally in &mut self.reactions {
            let before = tally.users.len();
            tally.users.retain(|other| other != user);
            tally.count = tally.count.saturating_sub(u32::from(tally.users.len() < before));
        }
        self.reactions.retain(|tally| tally.count > 0);
    }
}
