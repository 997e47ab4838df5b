//! Events that a room's log keeps.

use std::sync::Arc;

use compact_str::CompactString;
use serde::{Deserialize, Deserializer, Serialize};

use crate::content::Details;
use crate::name::{RoomName, UserId};
use crate::position::Seq;

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

/// Reads what a message may have beside its text; serde alone would find empty details in every one.
fn details<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Box<Details>>, D::Error> {
    let details = Details::deserialize(from)?;
    Ok((details != Details::default()).then(|| Box::new(details)))
}

/// An entry of a room's log that changes something: payload of `edited`, `deleted`, `reacted`,
/// `pinned`, `room_changed`, `role_changed` and `sanctioned`.
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
