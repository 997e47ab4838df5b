//! Answers to commands.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use super::Event;
use super::room::{Member, Receipt};
use crate::content::{Role, Sanction, Settings};
use crate::name::{RoomName, UserId};
use crate::position::{Epoch, Seq};

/// Payload of `ack`: empty where nothing was stored, as for `presence` and `read`.
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
    /// Title, topic, privacy and pace, as far as they are set.
    #[serde(flatten)]
    pub settings: Settings,
    /// Users with a role, at most 500.
    pub roles: Vec<RoleHolder>,
    /// Numbers of pinned messages, in the order of their pinning.
    pub pins: Vec<Seq>,
    /// Mutes and bans that hold, at most 500.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sanctions: Vec<Sanction>,
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

/// Payload of `reports`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportList {
    /// The room.
    pub room: RoomName,
    /// What was reported, in the order of the messages.
    pub reports: Vec<Reported>,
}

/// One report about a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reported {
    /// The message.
    pub target: Seq,
    /// Who reported it.
    pub user: UserId,
    /// When: milliseconds since the Unix epoch.
    pub ts: i64,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<CompactString>,
}
