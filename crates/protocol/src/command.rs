//! What clients may say.

use std::sync::Arc;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use crate::content::{Role, Settings};
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
    Read(Cursor),
    /// Moves one's cursor of what has arrived; answered by `ack`.
    Delivered(Cursor),
    /// Says up to 64 messages at once, all or none; answered by one `ack`.
    Batch(Batch),
    /// Replaces the text of one's own message; answered by `ack`.
    Edit(Edit),
    /// Erases a message; answered by `ack`.
    Delete(Delete),
    /// Adds or takes back a reaction; answered by `ack`.
    React(React),
    /// Pins or unpins a message; answered by `ack`.
    Pin(Pin),
    /// Asks where a message is stored; answered by `status`.
    Status(StatusQuery),
    /// Creates a room with an owner; answered by `ack`.
    Create(Configure),
    /// Changes a room's title, topic or privacy; answered by `ack`.
    Configure(Configure),
    /// Gives a user a role in a room, or takes it; answered by `ack`.
    Role(SetRole),
    /// Asks for a room's title, topic, roles and pins; answered by `info`.
    Info(InRoom),
    /// Asks for the next part of what was missed; answered by `page`.
    More(InRoom),
    /// Asks how far the members have got; answered by `receipts`.
    Receipts(Cursor),
    /// Looks for words in messages; answered by `found`.
    Search(Search),
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
            Self::Delivered(_) => "delivered",
            Self::Batch(_) => "batch",
            Self::Edit(_) => "edit",
            Self::Delete(_) => "delete",
            Self::React(_) => "react",
            Self::Pin(_) => "pin",
            Self::Status(_) => "status",
            Self::Create(_) => "create",
            Self::Configure(_) => "configure",
            Self::Role(_) => "role",
            Self::Info(_) => "info",
            Self::More(_) => "more",
            Self::Receipts(_) => "receipts",
            Self::Search(_) => "search",
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
    /// The message that this one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Seq>,
    /// Users who are meant, at most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<UserId>,
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
    /// The message that this one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Seq>,
    /// Users who are meant, at most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<UserId>,
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
    /// Only the messages of the thread that begins with this one. Excludes `before`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<Seq>,
    /// Most events in the page: 1 to 500, 50 unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Payload of `read`, `delivered` and `receipts`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    /// The room, or a private conversation of one's own.
    pub room: RoomName,
    /// The last event that was read, has arrived, or is asked about.
    pub seq: Seq,
}

/// Payload of `batch`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// The room, which the connection must have joined.
    pub room: RoomName,
    /// 1 to 64 messages, which get consecutive numbers.
    pub messages: Vec<Draft>,
}

/// One message of a [`Batch`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// What is said: not empty, without U+0000.
    pub text: Arc<str>,
    /// The client's id of this message, 1 to 64 bytes: the same `cid` is stored once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cid: Option<CompactString>,
    /// The message that this one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Seq>,
    /// Users who are meant, at most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<UserId>,
}

/// Payload of `edit`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// The room or private conversation.
    pub room: RoomName,
    /// The message to change.
    pub target: Seq,
    /// Its new text: not empty, without U+0000.
    pub text: Arc<str>,
    /// The client's id of this change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cid: Option<CompactString>,
    /// Users who are meant now, at most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<UserId>,
}

/// Payload of `delete`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delete {
    /// The room or private conversation.
    pub room: RoomName,
    /// The message to erase.
    pub target: Seq,
    /// The client's id of this change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cid: Option<CompactString>,
}

/// Payload of `react`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct React {
    /// The room or private conversation.
    pub room: RoomName,
    /// The message.
    pub target: Seq,
    /// The reaction: 1 to 32 bytes without spaces and control characters.
    pub emoji: CompactString,
    /// Whether it is added or taken back.
    pub active: bool,
    /// The client's id of this change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cid: Option<CompactString>,
}

/// Payload of `pin`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// The room.
    pub room: RoomName,
    /// The message.
    pub target: Seq,
    /// Whether it is pinned or unpinned.
    pub active: bool,
    /// The client's id of this change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cid: Option<CompactString>,
}

/// Payload of `status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusQuery {
    /// The room or private conversation.
    pub room: RoomName,
    /// One's own id of a message.
    pub cid: CompactString,
}

/// Payload of `create` and `configure`; what is absent stays as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Configure {
    /// The room.
    pub room: RoomName,
    /// What changes.
    #[serde(flatten)]
    pub settings: Settings,
    /// The client's id of this change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cid: Option<CompactString>,
}

/// Payload of `role`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetRole {
    /// The room.
    pub room: RoomName,
    /// Whose role.
    pub user: UserId,
    /// The role; absent: none any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The client's id of this change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cid: Option<CompactString>,
}

/// Payload of `search`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// Words that must all occur, 1 to 256 bytes.
    pub query: CompactString,
    /// Only in this room; otherwise in all that the user may read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<RoomName>,
    /// Where the page before ended: `found.next`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<CompactString>,
    /// Most messages in the page: 1 to 100, 20 unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

impl SetPresence {
    /// The presence of somebody who has said nothing about it.
    #[must_use]
    pub fn online() -> Self {
        Self { status: Availability::Online, text: None }
    }
}
