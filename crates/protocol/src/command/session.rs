//! Commands about being here.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use crate::name::{RoomName, UserId};
use crate::position::Position;

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

impl SetPresence {
    /// The presence of somebody who has said nothing about it.
    #[must_use]
    pub fn online() -> Self {
        Self { status: Availability::Online, text: None }
    }
}
