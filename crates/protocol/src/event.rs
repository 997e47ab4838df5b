//! What clients hear.

mod answer;
mod entry;
mod room;
mod session;

use compact_str::CompactString;

pub use self::answer::{
    Ack, Found, HistoryPage, Hit, MemberList, MessageStatus, Receipts, ReplayPage, ReportList, Reported,
    RoleHolder, RoomInfo, RoomSummary, Stored,
};
pub use self::entry::{Change, Message, PrivateMessage};
pub use self::room::{
    CursorNotice, Erased, Joined, Left, Member, Membership, PresenceNotice, Receipt, Resync, Status,
    TypingNotice, Unrecovered,
};
pub use self::session::{GoAway, Limits, Pong, TokenExpiring, Welcome, Window};
use crate::command::RequestId;
use crate::content::{Content, NewText, PinChange, Reaction, RoleChange, Sanction, Settings, Target, Text};
use crate::error::Refusal;
use crate::name::{RoomName, UserId};
use crate::position::Seq;

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
            Content::Settings(what) => Event::RoomChanged(Box::new(self.change(what))),
            Content::Role(what) => Event::RoleChanged(self.change(what)),
            Content::Sanction(what) => Event::Sanctioned(Box::new(self.change(what))),
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
    /// The room's title, topic, privacy or pace changed.
    RoomChanged(Box<Change<Settings>>),
    /// A user got a role, or lost it.
    RoleChanged(Change<RoleChange>),
    /// A user was put out, silenced or banned, or that was taken back.
    Sanctioned(Box<Change<Sanction>>),
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
    /// Answer to `reports`.
    Reports(Box<ReportList>),
    /// What a user said is no longer kept: forget it.
    Erased(Erased),
    /// A command was refused, or the connection is about to end.
    Error(Refusal),
    /// The client's copy of a room can no longer be continued: fetch it anew.
    Resync(Box<Resync>),
    /// The server asks the client to reconnect.
    GoAway(GoAway),
    /// The client's token expires soon: `hello` with a new one keeps the connection.
    TokenExpiring(TokenExpiring),
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
            Self::Sanctioned(_) => "sanctioned",
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
            Self::Reports(_) => "reports",
            Self::Erased(_) => "erased",
            Self::Error(_) => "error",
            Self::Resync(_) => "resync",
            Self::GoAway(_) => "goaway",
            Self::TokenExpiring(_) => "token_expiring",
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
            Self::Sanctioned(change) => change.seq,
            _ => return None,
        })
    }

    /// Takes an entry of a room's log apart, as [`Header::event`] put it together; `None` for what is
    /// not kept.
    #[must_use]
    pub fn into_entry(self) -> Option<(Header, Content)> {
        Some(match self {
            Self::Message(Message { room, seq, sender, text, ts, cid, details }) => {
                (Header { room, seq, sender, ts, cid }, Content::Message(Text { text, details }))
            }
            Self::Private(PrivateMessage { room, seq, from: sender, text, ts, cid, details, .. }) => {
                (Header { room, seq, sender, ts, cid }, Content::Message(Text { text, details }))
            }
            Self::Edited(change) => change.into_entry(Content::Edit),
            Self::Deleted(change) => change.into_entry(Content::Delete),
            Self::Reacted(change) => change.into_entry(Content::Reaction),
            Self::Pinned(change) => change.into_entry(Content::Pin),
            Self::RoomChanged(change) => change.into_entry(Content::Settings),
            Self::RoleChanged(change) => change.into_entry(Content::Role),
            Self::Sanctioned(change) => change.into_entry(Content::Sanction),
            _ => return None,
        })
    }
}

impl<T> Change<T> {
    fn into_entry(self, content: impl FnOnce(T) -> Content) -> (Header, Content) {
        let Self { room, seq, sender, ts, cid, what } = self;
        (Header { room, seq, sender, ts, cid }, content(what))
    }
}
