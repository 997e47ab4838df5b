//! What clients hear.

use std::sync::Arc;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use crate::command::RequestId;
use crate::error::Refusal;
use crate::name::{RoomName, UserId};
use crate::position::{Epoch, Seq};

/// An event for one connection, with the id of the request that it answers, if any.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The request that this answers.
    pub id: Option<RequestId>,
    /// What is said.
    pub event: Event,
}

impl From<Event> for Reply {
    fn from(event: Event) -> Self {
        Self { id: None, event }
    }
}

/// The closed vocabulary of the server.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The client is known; the session has begun.
    Welcome(Box<Welcome>),
    /// The connection is in the room. Replayed messages follow, up to `head`.
    Joined(Box<Joined>),
    /// The connection is no longer in the room.
    Left(Left),
    /// Somebody said something in a room.
    Message(Message),
    /// Somebody who was not in the room is now.
    MemberJoined(Membership),
    /// Somebody's last connection has left the room.
    MemberLeft(Membership),
    /// Somebody said something to this user, or this user to somebody.
    Private(PrivateMessage),
    /// Somebody began or stopped typing.
    Typing(TypingNotice),
    /// Somebody's presence changed.
    Presence(PresenceNotice),
    /// Somebody has read a room up to a message.
    Read(ReadNotice),
    /// A command was carried out.
    Ack(Ack),
    /// Answer to `members`.
    Members(Box<MemberList>),
    /// Answer to `history`.
    History(Box<HistoryPage>),
    /// Answer to `rooms`.
    Rooms(Vec<RoomSummary>),
    /// Answer to `ping`.
    Pong(Pong),
    /// A command was refused, or the connection is about to end.
    Error(Refusal),
    /// The client's copy of a room can no longer be continued: fetch it anew.
    Resync(Box<Resync>),
    /// The server asks the client to reconnect.
    GoAway(GoAway),
}

impl Event {
    /// Returns the name of the event in the JSON dialect and in metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Welcome(_) => "welcome",
            Self::Joined(_) => "joined",
            Self::Left(_) => "left",
            Self::Message(_) => "message",
            Self::MemberJoined(_) => "member_joined",
            Self::MemberLeft(_) => "member_left",
            Self::Private(_) => "private",
            Self::Typing(_) => "typing",
            Self::Presence(_) => "presence",
            Self::Read(_) => "read",
            Self::Ack(_) => "ack",
            Self::Members(_) => "members",
            Self::History(_) => "history",
            Self::Rooms(_) => "rooms",
            Self::Pong(_) => "pong",
            Self::Error(_) => "error",
            Self::Resync(_) => "resync",
            Self::GoAway(_) => "goaway",
        }
    }
}

/// Payload of `welcome`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// Unguessable id of this session; a name, never a credential.
    pub session: CompactString,
    /// Who the server takes the client for.
    pub user: UserId,
    /// The server's clock: milliseconds since the Unix epoch.
    pub server_time_ms: i64,
    /// How often the server pings, in milliseconds.
    pub heartbeat_ms: u64,
    /// What this connection may do.
    pub limits: Limits,
    /// How long to wait before reconnecting after a lost connection.
    pub reconnect: Window,
    /// Whether this is a development server.
    pub dev: bool,
    /// Rooms that are entered again, in the order of `hello.resume`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resuming: Vec<RoomName>,
}

/// Limits of a connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Largest message, in bytes.
    pub message_bytes: u64,
    /// Most rooms at the same time.
    pub rooms: u32,
    /// Commands per second in the long run; 0 means no limit.
    pub rate_per_s: u32,
    /// Commands at once.
    pub burst: u32,
    /// Most messages in one page of history.
    pub history: u32,
}

/// A span from which a client picks a random moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Earliest moment, in milliseconds from now.
    pub min_ms: u32,
    /// Latest moment, in milliseconds from now.
    pub max_ms: u32,
}

/// Payload of `joined`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Joined {
    /// The room.
    pub room: RoomName,
    /// The room's lineage.
    pub epoch: Epoch,
    /// The newest message.
    pub head: Seq,
    /// The oldest message that is still kept, less one.
    pub floor: Seq,
    /// How many messages follow at once: all up to `head`.
    pub replayed: u32,
    /// With `since`: whether all that came after it follows. Without: true.
    pub recovered: bool,
    /// Why not, where `recovered` is false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Unrecovered>,
    /// Whether messages of this room are stored.
    pub durable: bool,
    /// How many users are here.
    pub member_count: u32,
    /// Who is here, at most 500.
    pub members: Vec<Member>,
}

/// Why a resume is not exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unrecovered {
    /// The wanted messages are no longer kept.
    Expired,
    /// The room has another lineage.
    Epoch,
    /// The client is ahead of the room.
    Ahead,
    /// More than 500 messages were missed: page through `history` from `since`.
    TooFar,
    /// The user may no longer read the room.
    Access,
}

/// Payload of `left`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Left {
    /// The room.
    pub room: RoomName,
}

/// A message of a room, as broadcast, as replayed and in pages of history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// The room.
    pub room: RoomName,
    /// Its number in the room.
    pub seq: Seq,
    /// Who said it; set by the server.
    pub sender: UserId,
    /// What was said.
    pub text: Arc<str>,
    /// When it was stored: milliseconds since the Unix epoch, never going back within a room.
    pub ts: i64,
    /// The sender's id of the message, if it gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cid: Option<CompactString>,
}

/// Payload of `member_joined` and `member_left`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Membership {
    /// The room.
    pub room: RoomName,
    /// Who came or went.
    pub user: UserId,
    /// How many users are here now.
    pub member_count: u32,
}

/// Payload of `private`: a message of a private conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PrivateMessage {
    /// The conversation, which `history` and `read` take as their room.
    pub room: RoomName,
    /// Its number in the conversation.
    pub seq: Seq,
    /// Who said it.
    pub from: UserId,
    /// To whom.
    pub to: UserId,
    /// What was said.
    pub text: Arc<str>,
    /// When it was stored: milliseconds since the Unix epoch.
    pub ts: i64,
    /// The sender's id of the message, if it gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cid: Option<CompactString>,
}

/// Payload of `typing`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TypingNotice {
    /// The room.
    pub room: RoomName,
    /// Who.
    pub user: UserId,
    /// Whether they are typing now.
    pub active: bool,
}

/// What others see of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// At least one connection is here and reachable.
    Online,
    /// All connections say that they are away.
    Away,
    /// No connection.
    Offline,
}

/// A user as seen in a room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Who.
    pub user: UserId,
    /// What others see.
    pub status: Status,
    /// The short text beside the status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<CompactString>,
    /// When the user last did something here: milliseconds since the Unix epoch.
    pub last_active_ms: i64,
}

/// Payload of `presence`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PresenceNotice {
    /// The room.
    pub room: RoomName,
    /// The user's new state.
    #[serde(flatten)]
    pub member: Member,
}

/// Payload of `read`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReadNotice {
    /// The room.
    pub room: RoomName,
    /// Who.
    pub user: UserId,
    /// Up to which message.
    pub seq: Seq,
}

/// Payload of `ack`. For `publish` and `private` it names the stored message; for `presence` and
/// `read` it is empty.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Ack {
    /// Where the message is stored.
    #[serde(default, skip_serializing_if = "Option::is_none", flatten)]
    pub stored: Option<Stored>,
}

/// Where a message is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// The room or conversation.
    pub room: RoomName,
    /// The room's lineage.
    pub epoch: Epoch,
    /// The message's number.
    pub seq: Seq,
    /// When it was stored: milliseconds since the Unix epoch.
    pub ts: i64,
    /// Whether an earlier request with the same `cid` had stored it already.
    pub dup: bool,
}

/// Payload of `members`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemberList {
    /// The room.
    pub room: RoomName,
    /// How many users are here.
    pub member_count: u32,
    /// Who is here, then who was here lately (`offline`), at most 500.
    pub members: Vec<Member>,
}

/// Payload of `history`: a page without holes, oldest message first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryPage {
    /// The room.
    pub room: RoomName,
    /// The room's lineage.
    pub epoch: Epoch,
    /// The newest message of the room.
    pub head: Seq,
    /// The oldest message that is still kept, less one.
    pub floor: Seq,
    /// The messages.
    pub messages: Vec<Message>,
    /// Whether the room has more in the direction of the query.
    pub more: bool,
}

/// One entry of `rooms`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoomSummary {
    /// The room or conversation.
    pub room: RoomName,
    /// How many users are there.
    pub member_count: u32,
    /// Whether this connection is in it.
    pub joined: bool,
    /// For a private conversation: the other user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<UserId>,
}

/// Payload of `pong`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pong {
    /// The server's clock: milliseconds since the Unix epoch.
    pub server_time_ms: i64,
}

/// Payload of `resync`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resync {
    /// The room.
    pub room: RoomName,
    /// Why.
    pub reason: Unrecovered,
    /// The room's lineage now.
    pub epoch: Epoch,
    /// The newest message.
    pub head: Seq,
    /// The oldest message that is still kept, less one.
    pub floor: Seq,
}

/// Payload of `goaway`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GoAway {
    /// Why, in a word.
    pub reason: CompactString,
    /// When to come back.
    pub reconnect: Window,
}
