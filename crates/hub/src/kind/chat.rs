//! Conversation between people: rooms, and private conversations of two.

use parlour_protocol::event::Header;
use parlour_protocol::{Event, RoomName};

use super::Kind;
use crate::log::Record;

/// The kind of rooms that people talk in.
#[derive(Debug, Clone, Copy)]
pub struct Chat;

impl Kind for Chat {
    fn event(&self, room: &RoomName, record: Record) -> Event {
        let Record { seq, sender, cid, ts, content } = record;
        Header { room: room.clone(), seq, sender, ts, cid }.event(content)
    }
}
