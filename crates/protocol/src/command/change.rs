//! Commands that add to a room's log.

use std::sync::Arc;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use crate::content::{Role, SanctionKind, Settings};
use crate::name::{RoomName, UserId};
use crate::position::Seq;

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

/// Payload of `sanction`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetSanction {
    /// The room.
    pub room: RoomName,
    /// Against whom.
    pub user: UserId,
    /// What is done.
    pub kind: SanctionKind,
    /// How long a mute or a ban lasts, in milliseconds; absent: until it is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
    /// Why, at most 256 bytes; everybody in the room reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<CompactString>,
    /// The client's id of this change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cid: Option<CompactString>,
}

/// Payload of `report`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The room.
    pub room: RoomName,
    /// The message that moderators should look at.
    pub target: Seq,
    /// Why, at most 256 bytes; only moderators read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<CompactString>,
}

/// Payload of `resolve`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resolve {
    /// The room.
    pub room: RoomName,
    /// The message whose reports have been dealt with.
    pub target: Seq,
}
