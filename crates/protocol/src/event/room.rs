//! Events about a room and who is in it.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use crate::name::{RoomName, UserId};
use crate::position::{Epoch, Seq};

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

/// Payload of `presence`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PresenceNotice {
    /// The room.
    pub room: RoomName,
    /// The user's new state.
    #[serde(flatten)]
    pub member: Member,
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
