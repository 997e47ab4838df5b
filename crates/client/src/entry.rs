//! Entries of a room's log, as events tell them.

use parlour_protocol::event::Event;
use parlour_protocol::{RoomName, Seq};

/// Returns the room and number of an entry; `None` for what is not kept.
pub(crate) fn place_of(event: &Event) -> Option<(&RoomName, Seq)> {
    let room = match event {
        Event::Message(message) => &message.room,
        Event::Private(message) => &message.room,
        Event::Edited(change) => &change.room,
        Event::Deleted(change) => &change.room,
        Event::Reacted(change) => &change.room,
        Event::Pinned(change) => &change.room,
        Event::RoomChanged(change) => &change.room,
        Event::RoleChanged(change) => &change.room,
        Event::Sanctioned(change) => &change.room,
        _ => return None,
    };
    Some((room, event.seq()?))
}
