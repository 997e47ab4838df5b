//! What webhooks are told.

use serde::{Deserialize, Serialize};

/// A sort of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A connection of a user began.
    Connected,
    /// A connection of a user ended.
    Disconnected,
    /// The first connection of a user began.
    Online,
    /// The last connection of a user ended and did not come back within the grace.
    Offline,
    /// The first user came into a room.
    RoomOccupied,
    /// The last user left a room and did not come back within the grace.
    RoomVacated,
    /// Something was said in a durable room.
    Message,
    /// A member has read, or got, the messages up to one.
    Receipt,
}

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Connected,
        Self::Disconnected,
        Self::Online,
        Self::Offline,
        Self::RoomOccupied,
        Self::RoomVacated,
        Self::Message,
        Self::Receipt,
    ];

    /// Returns the word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
            Self::Online => "online",
            Self::Offline => "offline",
            Self::RoomOccupied => "room_occupied",
            Self::RoomVacated => "room_vacated",
            Self::Message => "message",
            Self::Receipt => "receipt",
        }
    }
}
