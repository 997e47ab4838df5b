//! What clients hear.

use std::sync::Arc;

use compact_str::CompactString;
use serde::{Deserialize, Deserializer, Serialize};

use crate::command::RequestId;
use crate::content::{
    Content, Details, NewText, PinChange, Reaction, Role, RoleChange, Settings, Target, Text,
};
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

/// Who says what where: all of an entry but its content.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// The room or conversation.
    pub room: RoomName,
    /// Its number in the room.
    pub seq: Seq,
    /// Who did it.
    pub sender: UserId,
    /// When it was stored: milliseconds since the Unix epoch.
    pub ts: i64,
    /// The sender's id of the entry.
    pub cid: Option<CompactString>,
}

impl Header {
    /// Makes the event of an entry of the log.
    #[must_use]
    pub fn event(self, content: Content) -> Event {
        match content {
            Content::Message(text) => self.message(text),
            Content::Edit(what) => Event::Edited(self.change(what)),
            Content::Delete(what) => Event::Deleted(self.change(what)),
            Content::Reaction(what) => Event::Reacted(self.change(what)),
            Content::Pin(what) => Event::Pinned(self.change(what)),
            Content::Settings(what) => Event::RoomChanged(self.change(what)),
            Content::Role(what) => Event::RoleChanged(self.change(what)),
        }
    }

    fn message(self, Text { text, details }: Text) -> Event {
        let Self { room, seq, sender, ts, cid } = self;
        match room.peer_of(&sender) {
            Some(to) => {
                Event::Private(PrivateMessage { room, seq, from: sender, to, text, ts, cid, details })
            }
            None => Event::Message(Message { room, seq, sender, text, ts, cid, details }),
        }
    }

    fn change<T>(self, what: T) -> Change<T> {
        let Self { room, seq, sender, ts, cid } = self;
        Change { room, seq, sender, ts, cid, what }
    }
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
    Read(CursorNotice),
    /// Messages of a room have arrived at somebody up to this one.
    Delivered(CursorNotice),
    /// A message got another text.
    Edited(Change<NewText>),
    /// A message was erased.
    Deleted(Change<Target>),
    /// Somebody reacted to a message, or took that back.
    Reacted(Change<Reaction>),
    /// A message was pinned or unpinned.
    Pinned(Change<PinChange>),
    /// The room's title, topic or privacy changed.
    RoomChanged(Change<Settings>),
    /// A user got a role, or lost it.
    RoleChanged(Change<RoleChange>),
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
    /// Answer to `more`.
    Page(ReplayPage),
    /// Answer to `status`.
    Status(MessageStatus),
    /// Answer to `info`.
    Info(Box<RoomInfo>),
    /// Answer to `receipts`.
    Receipts(Receipts),
    /// Answer to `search`.
    Found(Box<Found>),
    /// What a user said is no longer kept: forget it.
    Erased(Erased),
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
            Self::Delivered(_) => "delivered",
            Self::Edited(_) => "edited",
            Self::Deleted(_) => "deleted",
            Self::Reacted(_) => "reacted",
            Self::Pinned(_) => "pinned",
            Self::RoomChanged(_) => "room_changed",
            Self::RoleChanged(_) => "role_changed",
            Self::Ack(_) => "ack",
            Self::Members(_) => "members",
            Self::History(_) => "history",
            Self::Rooms(_) => "rooms",
            Self::Pong(_) => "pong",
            Self::Page(_) => "page",
            Self::Status(_) => "status",
            Self::Info(_) => "info",
            Self::Receipts(_) => "receipts",
            Self::Found(_) => "found",
            Self::Erased(_) => "erased",
            Self::Error(_) => "error",
            Self::Resync(_) => "resync",
            Self::GoAway(_) => "goaway",
        }
    }

    /// Returns the number of an entry of a room's log; `None` for what is not kept.
    #[must_use]
    pub fn seq(&self) -> Option<Seq> {
        Some(match self {
            Self::Message(message) => message.seq,
            Self::Private(message) => message.seq,
            Self::Edited(change) => change.seq,
            Self::Deleted(change) => change.seq,
            Self::Reacted(change) => change.seq,
            Self::Pinned(change) => change.seq,
            Self::RoomChanged(change) => change.seq,
            Self::RoleChanged(change) => change.seq,
            _ => return None,
        })
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
    /// How many events follow at once.
    pub replayed: u32,
    /// How many more were missed: ask for them with `more`; live events wait for that.
    #[serde(default)]
    pub behind: u64,
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
    /// How far the members have got, at most 500 of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub receipts: Vec<Receipt>,
}

/// How far one member has got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The member.
    pub user: UserId,
    /// The last event that was read.
    pub read: Seq,
    /// The last event that has arrived.
    pub delivered: Seq,
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
    /// The user may no longer read the room.
    Access,
}

impl Unrecovered {
    /// Returns the word for it in the JSON dialect and in metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Epoch => "epoch",
            Self::Ahead => "ahead",
            Self::Access => "access",
        }
    }
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
    /// Relations, and what became of it.
    #[serde(flatten, deserialize_with = "details", skip_serializing_if = "Option::is_none")]
    pub details: Option<Box<Details>>,
}

/// An entry of a room's log that changes something: payload of `edited`, `deleted`, `reacted`,
/// `pinned`, `room_changed` and `role_changed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change<T> {
    /// The room or conversation.
    pub room: RoomName,
    /// Its number in the room.
    pub seq: Seq,
    /// Who did it; set by the server.
    pub sender: UserId,
    /// When it was stored: milliseconds since the Unix epoch, never going back within a room.
    pub ts: i64,
    /// The sender's id of the change, if it gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cid: Option<CompactString>,
    /// What changed.
    #[serde(flatten)]
    pub what: T,
}

/// Reads what a message may have beside its text; serde alone would find empty details in every one.
fn details<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Box<Details>>, D::Error> {
    let details = Details::deserialize(from)?;
    Ok((details != Details::default()).then(|| Box::new(details)))
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
    /// Relations, and what became of it.
    #[serde(flatten, deserialize_with = "details", skip_serializing_if = "Option::is_none")]
    pub details: Option<Box<Details>>,
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

/// Payload of `read` and `delivered`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CursorNotice {
    /// The room.
    pub room: RoomName,
    /// Who.
    pub user: UserId,
    /// Up to which message.
    pub seq: Seq,
    /// How many members have got that far.
    #[serde(default)]
    pub count: u32,
    /// Of how many.
    #[serde(default)]
    pub of: u32,
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
    /// For `batch`: how many messages there are, with consecutive numbers from `seq` on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
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

/// Payload of `history`: a page without holes, oldest event first.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryPage {
    /// The room.
    pub room: RoomName,
    /// The room's lineage.
    pub epoch: Epoch,
    /// The newest message of the room.
    pub head: Seq,
    /// The oldest message that is still kept, less one.
    pub floor: Seq,
    /// Entries of the log, each as it was told live; messages as they are now.
    pub events: Vec<Event>,
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
    /// Messages of others after one's read cursor.
    #[serde(default)]
    pub unread: u32,
    /// What people see as its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<CompactString>,
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

/// Payload of `page`: as many events follow as it says, then live ones if nothing is left behind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplayPage {
    /// The room.
    pub room: RoomName,
    /// How many events follow.
    pub replayed: u32,
    /// How many are left then.
    pub behind: u64,
}

/// Payload of `status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MessageStatus {
    /// The room or conversation.
    pub room: RoomName,
    /// The client's id of the message.
    pub cid: CompactString,
    /// Where it is stored; absent: it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<Stored>,
}

/// Payload of `info`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoomInfo {
    /// The room.
    pub room: RoomName,
    /// Title, topic and privacy, as far as they are set.
    #[serde(flatten)]
    pub settings: Settings,
    /// Users with a role, at most 500.
    pub roles: Vec<RoleHolder>,
    /// Numbers of pinned messages, in the order of their pinning.
    pub pins: Vec<Seq>,
}

/// One user of [`RoomInfo::roles`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleHolder {
    /// The user.
    pub user: UserId,
    /// The role.
    pub role: Role,
}

/// Payload of `receipts`: how many members have got as far as `seq`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Receipts {
    /// The room.
    pub room: RoomName,
    /// The event that was asked about.
    pub seq: Seq,
    /// How many have read it.
    pub read: u32,
    /// At how many it has arrived.
    pub delivered: u32,
    /// Of how many.
    pub of: u32,
    /// Their cursors, at most 500.
    pub receipts: Vec<Receipt>,
}

/// Payload of `found`, newest message first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The messages.
    pub hits: Vec<Hit>,
    /// `before` of the next page; absent: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<CompactString>,
}

/// A message that was looked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hit {
    /// The room or conversation.
    pub room: RoomName,
    /// Its number there.
    pub seq: Seq,
    /// Who said it.
    pub sender: UserId,
    /// When it was stored: milliseconds since the Unix epoch.
    pub ts: i64,
    /// The part of the text around the words, each of which stands between U+E000 and U+E001.
    pub snippet: CompactString,
}

/// Payload of `erased`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Erased {
    /// The room.
    pub room: RoomName,
    /// Whose entries are empty now.
    pub user: UserId,
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
