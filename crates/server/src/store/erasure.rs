//! Which documents are about a user.

use parlour_hub::effect::DOCUMENT_SEPARATOR;
use parlour_protocol::{RoomName, UserId};

/// Whether a document is about a user: `read`, the user and a room; `seen` or `cursor`, a room and the
/// user; `report`, a room, a message and the user; what webhooks were `told` of a user; or what waits for
/// a `webhook`: its name, a word, a number and the user.
pub(super) fn is_about(key: &str, user: &UserId) -> bool {
    let mut parts = key.split(DOCUMENT_SEPARATOR);
    let whose = match parts.next() {
        Some("read") => parts.next(),
        Some("seen" | "cursor") => parts.nth(1),
        Some("report") => parts.nth(2),
        Some("told") => parts.next().filter(|what| *what != "room").and_then(|_| parts.next()),
        Some("webhook") => parts.nth(3),
        _ => None,
    };
    whose == Some(user.as_str())
}

/// Returns the room that knows what a document says.
pub(super) fn room_of(key: &str) -> Option<RoomName> {
    let mut parts = key.split(DOCUMENT_SEPARATOR);
    let is_of_room = matches!(parts.next(), Some("seen" | "cursor"));
    parts.next().filter(|_| is_of_room).and_then(|room| RoomName::parse_any(room).ok())
}
