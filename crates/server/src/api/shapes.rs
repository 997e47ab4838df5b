//! The bodies of requests and answers. The OpenAPI document is made from them.

use std::collections::BTreeMap;

use parlour_protocol::content::{Role, SanctionKind};
use parlour_protocol::event::Stored;
use parlour_protocol::{Epoch, RoomName, Seq, UserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
#[cfg(test)]
use {super::openapi::shapes as known, schemars::JsonSchema};

/// Something to say.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Say {
    /// What is said: not empty, without U+0000.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub(super) text: String,
    /// In whose name, which needs the scope `users`; otherwise in that of the key's sender.
    pub(super) sender: Option<String>,
    /// An id of the message, 1 to 64 bytes: the same one is stored once. `Idempotency-Key` does the
    /// same.
    #[cfg_attr(test, schemars(length(min = 1, max = 64)))]
    pub(super) cid: Option<String>,
    /// The message that this one answers.
    #[cfg_attr(test, schemars(with = "Option<known::Seq>"))]
    pub(super) reply_to: Option<Seq>,
    /// Users who are meant, at most 50.
    #[serde(default)]
    #[cfg_attr(test, schemars(length(max = 50)))]
    pub(super) mentions: Vec<String>,
}

/// One of several things to say.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Draft {
    /// What is said: not empty, without U+0000.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub(super) text: String,
    /// An id of the message, 1 to 64 bytes: the same one is stored once.
    #[cfg_attr(test, schemars(length(min = 1, max = 64)))]
    pub(super) cid: Option<String>,
    /// The message that this one answers.
    #[cfg_attr(test, schemars(with = "Option<known::Seq>"))]
    pub(super) reply_to: Option<Seq>,
    /// Users who are meant, at most 50.
    #[serde(default)]
    #[cfg_attr(test, schemars(length(max = 50)))]
    pub(super) mentions: Vec<String>,
}

/// Several things to say, all or none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct SayAll {
    /// 1 to 64 messages, which get consecutive numbers.
    #[cfg_attr(test, schemars(length(min = 1, max = 64)))]
    pub(super) messages: Vec<Draft>,
    /// In whose name, which needs the scope `users`; otherwise in that of the key's sender.
    pub(super) sender: Option<String>,
}

/// Something to say in many rooms.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct SayEverywhere {
    /// 1 to 100 rooms, each once.
    #[cfg_attr(test, schemars(length(min = 1, max = 100)))]
    pub(super) rooms: Vec<String>,
    /// What is said: not empty, without U+0000.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub(super) text: String,
    /// In whose name, which needs the scope `users`; otherwise in that of the key's sender.
    pub(super) sender: Option<String>,
    /// An id of the message, 1 to 64 bytes: the same one is stored once per room.
    #[cfg_attr(test, schemars(length(min = 1, max = 64)))]
    pub(super) cid: Option<String>,
}

/// What has become of a broadcast.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Everywhere {
    /// One per room, in the order of the request.
    pub(super) results: Vec<Outcome>,
}

/// What has become of a message in one room: either of the two.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Outcome {
    /// The room.
    #[cfg_attr(test, schemars(with = "String"))]
    pub(super) room: RoomName,
    /// Where the message is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<known::Stored>"))]
    pub(super) stored: Option<Stored>,
    /// Why it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<known::Problem>"))]
    pub(super) problem: Option<Box<RawValue>>,
}

/// Users to look for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct LookFor {
    /// 1 to 100 users.
    #[cfg_attr(test, schemars(length(min = 1, max = 100)))]
    pub(super) users: Vec<String>,
}

/// Which users are here.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Presences {
    /// In the order of the request.
    pub(super) users: Vec<Presence>,
}

/// Whether a user is here.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Presence {
    /// The user.
    #[cfg_attr(test, schemars(with = "String"))]
    pub(super) user: UserId,
    /// `online`, `away` if all connections say so, or `offline`.
    #[cfg_attr(test, schemars(with = "known::Status"))]
    pub(super) status: parlour_protocol::event::Status,
    /// How many connections the user has.
    pub(super) connections: u32,
}

/// A page of rooms, in the byte order of their names.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Rooms {
    /// Those that the key covers; a page may be empty and not the last.
    pub(super) rooms: Vec<Room>,
    /// `cursor` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
}

/// A room.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Room {
    /// Its name.
    #[cfg_attr(test, schemars(with = "String"))]
    pub(super) room: RoomName,
    /// Its lineage.
    #[cfg_attr(test, schemars(with = "String"))]
    pub(super) epoch: Epoch,
    /// The newest event.
    #[cfg_attr(test, schemars(with = "known::Seq"))]
    pub(super) head: Seq,
    /// The oldest event that is kept, less one.
    #[cfg_attr(test, schemars(with = "known::Seq"))]
    pub(super) floor: Seq,
    /// How many users are there.
    pub(super) member_count: u32,
}

/// Where users are moved to or from.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct InRoom {
    /// The room.
    #[cfg_attr(test, schemars(length(min = 1, max = 128)))]
    pub(super) room: String,
}

/// Nothing needs to be said.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Nothing {}

/// How many connections were reached.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Reached {
    /// Connections of the user that were told to.
    pub(super) connections: u32,
}

/// A role to give.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Give {
    /// `member`, `moderator` or `owner`; null or absent: none any more.
    #[cfg_attr(test, schemars(with = "Option<known::Role>"))]
    pub(super) role: Option<Role>,
}

/// Something to do to a user in a room.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Sanction {
    /// `kick`, `mute` or `ban`; `none` takes a mute or a ban back.
    #[cfg_attr(test, schemars(with = "known::SanctionKind"))]
    pub(super) kind: SanctionKind,
    /// Against whom.
    #[cfg_attr(test, schemars(length(min = 1, max = 64)))]
    pub(super) user: String,
    /// How long a mute or a ban lasts, in milliseconds; absent: until it is taken back.
    pub(super) for_ms: Option<u64>,
    /// Why, at most 256 bytes; everybody in the room reads it.
    pub(super) reason: Option<String>,
}

/// For whom a ticket is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Mint {
    /// Who the client will be.
    #[cfg_attr(test, schemars(length(min = 1, max = 64)))]
    pub(super) user: String,
    /// What it may do beyond what everybody may: actions by patterns of rooms, as in tokens.
    #[serde(default)]
    pub(super) rooms: BTreeMap<String, Vec<String>>,
    /// How long its connection may last, in seconds, up to `auth.max_life_s`; as it likes unless told.
    pub(super) session_s: Option<u32>,
}

/// A ticket.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Minted {
    /// The ticket, which works once, on this node: `/ws?ticket=...`.
    pub(super) ticket: String,
    /// How long it can be used, in milliseconds.
    pub(super) valid_ms: u64,
}

/// It was done.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Done {
    /// True.
    pub(super) done: bool,
}

/// What the server does.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Stats {
    /// WebSocket connections open now.
    pub(super) connections: u64,
    /// Rooms in memory now.
    pub(super) rooms: u64,
    /// Memberships of connections in rooms now.
    pub(super) memberships: u64,
    /// Messages received from clients since the start.
    pub(super) messages_received: u64,
    /// Events delivered to single connections since the start.
    pub(super) deliveries: u64,
    /// Messages that wait for the store now.
    pub(super) commit_queue: u64,
    /// Why the node should get no new clients; empty if it should.
    pub(super) unready: Vec<&'static str>,
    /// Since the start, in milliseconds.
    pub(super) uptime_ms: u64,
}
