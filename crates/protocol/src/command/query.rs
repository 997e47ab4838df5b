//! Commands that ask.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use crate::name::RoomName;
use crate::position::Seq;

/// Payload of commands that name only a room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InRoom {
    /// The room.
    pub room: RoomName,
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

/// Payload of `status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusQuery {
    /// The room or private conversation.
    pub room: RoomName,
    /// One's own id of a message.
    pub cid: CompactString,
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
