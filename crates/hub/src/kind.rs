//! What differs between kinds of rooms. A new kind is one file beside `chat` and one line here.

use parlour_protocol::{Event, RoomName};

use crate::log::Record;

pub mod chat;

/// The rules of a kind of room.
pub trait Kind {
    /// Turns a stored or ephemeral record into the event that members hear.
    fn event(&self, room: &RoomName, record: Record) -> Event;
}

/// Returns the kind of a room.
#[must_use]
pub fn of(_room: &RoomName) -> &'static dyn Kind {
    &chat::Chat
}
