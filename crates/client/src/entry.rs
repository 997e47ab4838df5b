//! Entries of a room's log, as events tell them.

use parlour_protocol::content::{Content, Text};
use parlour_protocol::event::{Change, Event, Header, Message, PrivateMessage};
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
        _ => return None,
    };
    Some((room, event.seq()?))
}

/// Takes an entry apart; `None` for what is not kept.
pub(crate) fn content_of(event: &Event) -> Option<(Header, Content)> {
    Some(match event {
        Event::Message(message) => {
            let Message { room, seq, sender, text, ts, cid, details } = message.clone();
            (Header { room, seq, sender, ts, cid }, Content::Message(Text { text, details }))
        }
        Event::Private(message) => {
            let PrivateMessage { room, seq, from, text, ts, cid, details, .. } = message.clone();
            (Header { room, seq, sender: from, ts, cid }, Content::Message(Text { text, details }))
        }
        Event::Edited(change) => changed(change, Content::Edit),
        Event::Deleted(change) => changed(change, Content::Delete),
        Event::Reacted(change) => changed(change, Content::Reaction),
        Event::Pinned(change) => changed(change, Content::Pin),
        Event::RoomChanged(change) => changed(change, Content::Settings),
        Event::RoleChanged(change) => changed(change, Content::Role),
        _ => return None,
    })
}

fn changed<T: Clone>(change: &Change<T>, content: impl FnOnce(T) -> Content) -> (Header, Content) {
    let Change { room, seq, sender, ts, cid, what } = change.clone();
    (Header { room, seq, sender, ts, cid }, content(what))
}
