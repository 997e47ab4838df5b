//! Conversation between people: rooms, and private conversations of two.

use parlour_protocol::event::{Message, PrivateMessage};
use parlour_protocol::{Event, RoomName};

use super::Kind;
use crate::log::Record;

/// The kind of rooms that people talk in.
#[derive(Debug, Clone, Copy)]
pub struct Chat;

impl Kind for Chat {
    fn event(&self, room: &RoomName, record: Record) -> Event {
        let Record { seq, sender, cid, body: text, ts } = record;
        match room.peer_of(&sender) {
            Some(to) => {
                Event::Private(PrivateMessage { room: room.clone(), seq, from: sender, to, text, ts, cid })
            }
            None => Event::Message(Message { room: room.clone(), seq, sender, text, ts, cid }),
        }
    }
}
