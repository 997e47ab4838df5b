//! What answers hold that the protocol defines, for the OpenAPI document.

#![expect(dead_code, reason = "only their schemas are wanted")]

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The number of an event in its room.
#[derive(Serialize)]
pub(in crate::api) struct Seq;

impl JsonSchema for Seq {
    fn schema_name() -> Cow<'static, str> {
        "Seq".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The number of an event in its room; beyond 2^53-1 as a string.",
            "anyOf": [
                { "type": "integer", "minimum": 0, "maximum": 9_007_199_254_740_991_u64 },
                { "type": "string", "pattern": "^[0-9]{1,20}$" },
            ],
        })
    }
}

/// Where a message is stored.
#[derive(JsonSchema, Serialize)]
pub(in crate::api) struct Stored {
    /// The room or conversation.
    room: String,
    /// The room's lineage.
    epoch: String,
    /// The message's number; of several, that of the first.
    seq: Seq,
    /// When it was stored: milliseconds since the Unix epoch.
    ts: i64,
    /// Whether an earlier request with the same id had stored it already.
    dup: bool,
    /// For a batch: how many messages there are, with consecutive numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u32>,
}

/// Why a request was refused (RFC 9457).
#[derive(JsonSchema, Serialize)]
pub(in crate::api) struct Problem {
    /// `about:blank`.
    #[serde(rename = "type")]
    kind: String,
    /// What the code means.
    title: String,
    /// The HTTP status.
    status: u16,
    /// The word for it, as in docs/protocol.md.
    code: String,
    /// What exactly was wrong.
    detail: String,
    /// Whether the same request may succeed later.
    retryable: bool,
    /// When, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u32>,
}

/// A page without holes, oldest event first.
#[derive(JsonSchema, Serialize)]
pub(in crate::api) struct HistoryPage {
    /// The room.
    room: String,
    /// The room's lineage.
    epoch: String,
    /// The newest event of the room.
    head: Seq,
    /// The oldest event that is kept, less one.
    floor: Seq,
    /// The events, as they were told live; messages as they are now.
    events: Vec<Event>,
    /// Whether the room has more in this direction.
    more: bool,
    /// `cursor` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// An event as docs/protocol.md describes it.
#[derive(JsonSchema, Serialize)]
pub(in crate::api) struct Event {
    /// What it is, such as `message`.
    #[serde(rename = "type")]
    kind: String,
    /// What it says.
    payload: serde_json::Map<String, serde_json::Value>,
}

/// Who is in a room.
#[derive(JsonSchema, Serialize)]
pub(in crate::api) struct Members {
    /// The room.
    room: String,
    /// How many users are here.
    member_count: u32,
    /// Who is here, then who was here lately, at most 500.
    members: Vec<Member>,
}

/// A user as seen in a room.
#[derive(JsonSchema, Serialize)]
pub(in crate::api) struct Member {
    /// Who.
    user: String,
    /// What others see.
    status: Status,
    /// The short text beside the status.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// When the user last did something here: milliseconds since the Unix epoch.
    last_active_ms: i64,
}

/// What others see of a user.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::api) enum Status {
    Online,
    Away,
    Offline,
}

/// What a user may do in a room beyond speaking.
#[derive(JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::api) enum Role {
    Member,
    Moderator,
    Owner,
}

/// What is done to a user.
#[derive(JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::api) enum SanctionKind {
    None,
    Kick,
    Mute,
    Ban,
}

/// Tokens to take back: one of the three, or a user and a time.
#[derive(JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Wish {
    /// The one with this `jti`.
    token: Option<String>,
    /// Those of this user.
    user: Option<String>,
    /// Those issued before this time, in seconds since the Unix epoch.
    issued_before: Option<i64>,
}

/// What a room is about.
#[derive(JsonSchema, Serialize)]
pub(in crate::api) struct Info {
    /// The room.
    room: String,
    /// What people see as its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    /// Whether only users with a role may enter and read.
    #[serde(skip_serializing_if = "Option::is_none")]
    private: Option<bool>,
    /// How long users wait between two messages, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    slow_ms: Option<u32>,
    /// Users with a role, at most 500.
    roles: Vec<RoleHolder>,
    /// Numbers of pinned messages, in the order of their pinning.
    pins: Vec<Seq>,
    /// Mutes and bans that hold, at most 500.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sanctions: Vec<SanctionNow>,
}

/// A mute or a ban.
#[derive(JsonSchema, Serialize)]
pub(in crate::api) struct SanctionNow {
    /// Against whom.
    user: String,
    /// What it is.
    kind: SanctionKind,
    /// When it ends by itself: milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    until_ms: Option<i64>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// A user with a role.
#[derive(JsonSchema, Serialize)]
pub(in crate::api) struct RoleHolder {
    /// The user.
    user: String,
    /// The role.
    role: Role,
}
