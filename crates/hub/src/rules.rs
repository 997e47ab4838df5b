//! The numbers and patterns that rooms obey.

use parlour_protocol::{RoomName, limits};

use crate::filter::Filter;
use crate::rights::Access;

/// What the configuration says about rooms.
#[derive(Debug, Clone)]
pub struct Rules {
    /// How long a lost connection may come back without a notice, in milliseconds.
    pub grace_ms: u64,
    /// How long a typing notice lives, in milliseconds.
    pub typing_ms: u64,
    /// Most users in one room.
    pub members_per_room: usize,
    /// Rooms with more users give no join, leave, typing and presence notices.
    pub notice_members: usize,
    /// Most messages in one page of history or one replay on join.
    pub history: u32,
    /// Most memory that the newest events of all rooms of a hub take, in bytes. Beyond it, they are
    /// forgotten in the rooms in which nothing has happened for longest.
    pub recent_bytes: usize,
    /// Kinds of rooms by name; the first match counts, and without one a room is durable.
    pub patterns: Vec<Pattern>,
    /// What every user may do in rooms about which no pattern says it.
    pub access: Access,
    /// Whether somebody wants to know which rooms are empty.
    pub tells_occupancy: bool,
    /// Words that may not be said; all filters that are about a room count.
    pub filters: Vec<Filter>,
}

/// Rooms whose name matches a pattern.
#[derive(Debug, Clone)]
pub struct Pattern {
    /// A name, or a prefix followed by `*`.
    pub pattern: String,
    /// Whether their messages are stored before they are broadcast.
    pub durable: bool,
    /// What every user may do there; `None`: as everywhere.
    pub access: Option<Access>,
    /// Whether every user may create rooms of this name; `None`: those who may publish there.
    pub create: Option<bool>,
}

/// Whether a room's name is the pattern, or begins with what stands before its `*`.
#[must_use]
pub fn matches(pattern: &str, room: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => room.starts_with(prefix),
        None => room == pattern,
    }
}

/// As [`matches`]; but private conversations are meant only by patterns that say so.
#[must_use]
pub(crate) fn applies(pattern: &str, room: &RoomName) -> bool {
    matches(pattern, room.as_str()) && (!room.is_private() || pattern.starts_with('@'))
}

impl Rules {
    /// Whether messages of a room are stored before they are broadcast.
    #[must_use]
    pub fn is_durable(&self, room: &RoomName) -> bool {
        room.is_private() || self.pattern(room).is_none_or(|rule| rule.durable)
    }

    /// What every user may do in a room; in a private conversation, its participants.
    #[must_use]
    pub fn access(&self, room: &RoomName) -> Access {
        let told = self.pattern(room).and_then(|rule| rule.access);
        told.unwrap_or(if room.is_private() { Access::Public } else { self.access })
    }

    /// Whether every user may create a room of this name; `None`: those who may publish there.
    #[must_use]
    pub fn may_create(&self, room: &RoomName) -> Option<bool> {
        self.pattern(room).and_then(|rule| rule.create)
    }

    fn pattern(&self, room: &RoomName) -> Option<&Pattern> {
        self.patterns.iter().find(|rule| applies(&rule.pattern, room))
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            grace_ms: 10_000,
            typing_ms: limits::TYPING_MS,
            members_per_room: 100_000,
            notice_members: 250,
            history: limits::HISTORY_MESSAGES,
            recent_bytes: 128 * 1024 * 1024,
            patterns: Vec::new(),
            access: Access::Public,
            tells_occupancy: false,
            filters: Vec::new(),
        }
    }
}
