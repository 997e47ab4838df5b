//! What an entry of a room's log says.

use std::sync::Arc;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use crate::name::UserId;
use crate::position::Seq;

/// What an entry says. Every entry has a number of its own; all but messages change something.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Somebody said something.
    Message(Text),
    /// The author replaced the text of a message.
    Edit(NewText),
    /// A message was erased; its number stays.
    Delete(Target),
    /// Somebody reacted to a message, or took that back.
    Reaction(Reaction),
    /// A message was pinned or unpinned.
    Pin(PinChange),
    /// The room's title, topic or privacy changed.
    Settings(Settings),
    /// A user got a role, or lost it.
    Role(RoleChange),
    /// A user was put out, silenced or banned, or that was taken back.
    Sanction(Sanction),
}

/// A message as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    /// What is said; empty once deleted.
    pub text: Arc<str>,
    /// What most messages do not have.
    pub details: Option<Box<Details>>,
}

impl Text {
    /// A message that is nothing but its text.
    #[must_use]
    pub fn plain(text: impl Into<Arc<str>>) -> Self {
        Self { text: text.into(), details: None }
    }
}

/// What most messages do not have: relations to others, and what became of the message later.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Details {
    /// The message that this one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Seq>,
    /// The first message of the thread; set by the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<Seq>,
    /// Users who are meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<UserId>,
    /// The entry that changed the text last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited: Option<Seq>,
    /// The entry that erased the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Seq>,
    /// Reactions, in the order of their first use. Only in pages of history.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reactions: Vec<Tally>,
}

/// All reactions of one sort to a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// The reaction.
    pub emoji: CompactString,
    /// How many users.
    pub count: u32,
    /// Who, at most 20.
    pub users: Vec<UserId>,
}

/// Content of an edit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewText {
    /// The message that is changed.
    pub target: Seq,
    /// Its new text; absent once the message was changed again or deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Arc<str>>,
    /// Users who are meant now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<UserId>,
}

/// Content of a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The message.
    pub target: Seq,
}

/// Content of a reaction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reaction {
    /// The message.
    pub target: Seq,
    /// The reaction; empty once the message was deleted.
    pub emoji: CompactString,
    /// Whether it was added or taken back.
    pub active: bool,
    /// How many users had reacted like this then; set by the server.
    #[serde(default)]
    pub count: u32,
}

/// Content of a pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinChange {
    /// The message.
    pub target: Seq,
    /// Whether it was pinned or unpinned.
    pub active: bool,
}

/// A room's settings; what is absent stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Settings {
    /// What people see as its name, at most 128 bytes; empty: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<CompactString>,
    /// What it is about, at most 1,024 bytes; empty: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<CompactString>,
    /// Whether only users with a role may enter and read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private: Option<bool>,
    /// How long a user waits between two messages, in milliseconds, at most 6 hours; 0: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_ms: Option<u32>,
}

/// Content of a change of roles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleChange {
    /// Whose role.
    pub user: UserId,
    /// The role; absent: none any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
}

/// What a user may do in a room beyond speaking, in ascending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// May enter a private room.
    Member,
    /// May also erase messages of others, pin, and let members in and out.
    Moderator,
    /// May also change settings and give every role.
    Owner,
}

/// Content of a sanction. A user has at most one that lasts: the last one counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sanction {
    /// Against whom.
    pub user: UserId,
    /// What it is.
    pub kind: SanctionKind,
    /// When a mute or a ban ends: milliseconds since the Unix epoch; absent: when it is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<i64>,
    /// Why, at most 256 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<CompactString>,
}

impl Sanction {
    /// Whether it still holds.
    #[must_use]
    pub fn is_in_force(&self, now_ms: i64) -> bool {
        self.kind >= SanctionKind::Mute && self.until_ms.is_none_or(|until| now_ms < until)
    }
}

/// What is done to a user, in ascending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SanctionKind {
    /// Nothing any more.
    None,
    /// Put out of the room, once.
    Kick,
    /// May only listen.
    Mute,
    /// May not enter.
    Ban,
}

impl SanctionKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::None, Self::Kick, Self::Mute, Self::Ban];

    /// Returns the word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Kick => "kick",
            Self::Mute => "mute",
            Self::Ban => "ban",
        }
    }

    /// Finds the kind of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}
