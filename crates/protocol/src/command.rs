//! What clients may say.

use std::sync::Arc;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use crate::name::{RoomName, UserId};
use crate::position::{Position, Seq};

/// A client's own number or text for a request; the answer carries it back unchanged.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RequestId {
    /// A whole number. The binary dialect has only these, up to 2^32-1.
    Number(u64),
    /// A text of 1 to 64 bytes.
    Text(CompactString),
}

/// One command with its request id.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Absent only for commands without an answer ([`Command::has_answer`]).
    pub id: Option<RequestId>,
    /// What is asked.
    pub command: Command,
}

/// The closed vocabulary of clients.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Introduces the client; answered by `welcome`.
    Hello(Hello),
    /// Enters a room; answered by `joined`, followed by the replayed messages.
    Join(Join),
    /// Leaves a room; answered by `left`.
    Leave(InRoom),
    /// Says something in a room; answered by `ack` after it is stored.
    Publish(Publish),
    /// Says something to one user; answered by `ack` after it is stored.
    Private(Private),
    /// Starts or stops a typing notice; has no answer.
    Typing(Typing),
    /// Sets one's own presence; answered by `ack`.
    Presence(SetPresence),
    /// Asks who is in a room; answered by `members`.
    Members(InRoom),
    /// Asks for a page of stored messages; answered by `history`.
    History(HistoryQuery),
    /// Asks for one's rooms and the open ones; answered by `rooms`.
    Rooms,
    /// Moves one's read cursor; answered by `ack`.
    Read(Read),
    /// Asks for a sign of life; answered by `pong`.
    Ping,
}

impl Command {
    /// Whether the server answers this command, and so whether it needs a request id.
    #[must_use]
    pub fn has_answer(&self) -> bool {
        !matches!(self, Self::Typing(_))
    }

    /// Returns the name of the command in the JSON dialect and in metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "hello",
            Self::Join(_) => "join",
            Self::Leave(_) => "leave",
            Self::Publish(_) => "publish",
            Self::Private(_) => "private",
            Self::Typing(_) => "typing",
            Self::Presence(_) => "presence",
            Self::Members(_) => "members",
            Self::History(_) => "history",
            Self::Rooms => "rooms",
            Self::Read(_) => "read",
            Self::Ping => "ping",
        }
    }
}

/// Payload of `hello`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// Credentials, where the server asks for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<CompactString>,
    /// The chosen name, where anonymous access is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// Rooms to enter again, each after the last event seen there. At most 512.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resume: Vec<Resume>,
}

/// One room of [`Hello::resume`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resume {
    /// The room.
    pub room: RoomName,
    /// The last event seen there.
    pub since: Position,
}

/// Payload of `join`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// The room.
    pub room: RoomName,
    /// Resume after this event: every later one is replayed once, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Position>,
    /// Without `since`: how many of the last messages to replay. None unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<u32>,
}

/// Payload of commands that name only a room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InRoom {
    /// The room.
    pub room: RoomName,
}

/// Payload of `publish`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    /// The room, which the connection must have joined.
    pub room: RoomName,
    /// What is said: not empty, without U+0000.
    pub text: Arc<str>,
    /// The client's id of this message, 1 to 64 bytes: the same `cid` is stored once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cid: Option<CompactString>,
}

/// Payload of `private`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Private {
    /// The recipient.
    pub to: UserId,
    /// What is said: not empty, without U+0000.
    pub text: Arc<str>,
    /// The client's id of this message, 1 to 64 bytes: the same `cid` is stored once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cid: Option<CompactString>,
}

/// Payload of `typing`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Typing {
    /// The room.
    pub room: RoomName,
    /// Whether the user is typing now. A notice expires by itself after 6 s.
    pub active: bool,
}

/// What a user may say of their own presence; being offline is seen, not said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Availability {
    /// Here and reachable.
    Online,
    /// Connected, but not at the screen.
    Away,
}

/// Payload of `presence`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetPresence {
    /// The new status, shown in every room that this connection is in.
    pub status: Availability,
    /// A short text beside the status, at most 140 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<CompactString>,
}

/// Payload of `history`. Without `before` and `after` it asks for the newest page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryQuery {
    /// The room, or a private conversation of one's own.
    pub room: RoomName,
    /// Messages older than this one, newest page first. Excludes `after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Seq>,
    /// Messages newer than this one, oldest page first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Seq>,
    /// Most messages in the page: 1 to 500, 50 unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Payload of `read`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// The room, or a private conversation of one's own.
    pub room: RoomName,
    /// The last message that was read.
    pub seq: Seq,
}

impl SetPresence {
    /// The presence of somebody who has said nothing about it.
    #[must_use]
    pub fn online() -> Self {
        Self { status: Availability::Online, text: None }
    }
}
