//! The numbers and patterns that rooms obey.

use parlour_protocol::{RoomName, limits};

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
}

/// Rooms whose name matches a pattern.
#[derive(Debug, Clone)]
pub struct Pattern {
    /// A name, or a prefix followed by `*`.
    pub pattern: String,
    /// Whether their messages are stored before they are broadcast.
    pub durable: bool,
}

impl Pattern {
    fn matches(&self, name: &str) -> bool {
        match self.pattern.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == self.pattern,
        }
    }
}

impl Rules {
    /// Whether messages of a room are stored before they are broadcast.
    #[must_use]
    pub fn is_durable(&self, room: &RoomName) -> bool {
        let rule = self.patterns.iter().find(|rule| rule.matches(room.as_str()));
        room.is_private() || rule.is_none_or(|rule| rule.durable)
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
        }
    }
}
