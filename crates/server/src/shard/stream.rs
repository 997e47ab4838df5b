//! Server-sent events: connections whose clients only listen (HTML, section 9.2).
//!
//! To everything else they are connections as any other: what their room says, how far they lag and how
//! they end is decided as for a WebSocket. Only the bytes differ, and what comes in means nothing.

use std::io::Write as _;

use parlour_hub::Input;
use parlour_protocol::event::{Event, Joined};
use parlour_protocol::{Epoch, ErrorCode, Position, Seq};
use parlour_websocket::Opcode;

use super::Shard;
use super::ending::Reason;
use crate::inbox::Mail;

/// What is kept of a connection that only listens.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Stream {
    /// The lineage of its room, once that is known.
    pub(super) epoch: Epoch,
    /// Whether there is more of what it missed, to be asked for when it has taken the last part.
    pub(super) is_behind: bool,
}

/// Appends a message, with the place after which a client that comes back goes on.
pub(super) fn append(out: &mut Vec<u8>, place: Option<Position>, payload: &[u8]) {
    // Writing to a Vec does not fail.
    if let Some(Position { epoch, seq }) = place {
        let _ = writeln!(out, "id: {epoch}-{seq}");
    }
    // JSON has no line breaks of its own.
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\n\n");
}

/// Appends what a frame that is no message means here: a comment as a sign of life, or the last event.
pub(super) fn append_control(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    match (opcode, payload.split_first_chunk()) {
        (Opcode::Ping, _) => out.extend_from_slice(b":\n\n"),
        (Opcode::Close, Some((code, reason))) => {
            let (code, reason) = (u16::from_be_bytes(*code), String::from_utf8_lossy(reason));
            let _ = write!(out, "event: close\ndata: {{\"code\":{code},\"reason\":{reason:?}}}\n\n");
        }
        _ => {}
    }
}

/// Returns the place after an event, for a client that has got everything up to it.
pub(super) fn place(event: &Event, epoch: Epoch) -> Option<Position> {
    let seq = match event {
        // What is replayed comes after it.
        Event::Joined(joined) => before_replay(joined),
        event => event.seq()?,
    };
    Some(Position { epoch, seq })
}

fn before_replay(joined: &Joined) -> Seq {
    Seq(joined.head.0.saturating_sub(u64::from(joined.replayed)).saturating_sub(joined.behind))
}

impl Shard {
    /// Returns the lineage under which a connection that only listens gets the events of its room.
    pub(super) fn stream_epoch(&self, slot: u32) -> Option<Epoch> {
        self.connections[slot as usize].stream().map(|stream| stream.epoch)
    }

    /// Notes what a room has answered to a connection that only listens.
    pub(super) fn note_stream(&mut self, slot: u32, answer: &Event, is_live: bool) {
        let extra = self.connections[slot as usize].extra.as_mut();
        if let Some(stream) = extra.and_then(|extra| extra.stream.as_mut()) {
            if let Event::Joined(joined) = answer {
                stream.epoch = joined.epoch;
            }
            stream.is_behind = !is_live;
        }
    }

    /// Asks for the next part of what a connection missed that cannot ask itself.
    pub(super) fn ask_for_stream(&mut self, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        let stream = connection.extra.as_mut().and_then(|extra| extra.stream.as_mut());
        if !stream.is_some_and(|stream| std::mem::take(&mut stream.is_behind)) {
            return;
        }
        let room = connection.room_names().pop();
        if let (Some(room), Some(caller)) = (room, self.caller(slot, None)) {
            self.connections[slot as usize].in_flight += 1;
            let home = self.node.home(&room);
            // Even to this shard by mail: others get their turn between two parts.
            self.post(home, Mail::Input { room, input: Input::More { caller } });
        }
    }

    /// Ends the connections that only listen to a room whose history has become another one: they come
    /// back by themselves, and learn what they have missed.
    pub(super) fn end_streams(&mut self, room: u32) {
        for slot in self.fanout.streams(room) {
            self.end(slot, Reason::Error(ErrorCode::Restart));
        }
    }
}

#[cfg(test)]
mod tests {
    use parlour_protocol::RoomName;

    use super::*;

    fn text(append: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        append(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn an_event_is_a_block_of_lines() {
        let position = Position { epoch: Epoch(10), seq: Seq(7) };
        let block = text(|out| append(out, Some(position), br#"{"type":"message"}"#));
        let id = "0".repeat(31);
        assert_eq!(block, format!("id: {id}a-7\ndata: {{\"type\":\"message\"}}\n\n"));
        assert_eq!(text(|out| append(out, None, b"{}")), "data: {}\n\n");
        assert_eq!(text(|out| append_control(out, Opcode::Ping, b"")), ":\n\n");
        assert_eq!(
            text(|out| append_control(out, Opcode::Close, b"\x03\xf4restart")),
            "event: close\ndata: {\"code\":1012,\"reason\":\"restart\"}\n\n"
        );
        assert_eq!(text(|out| append_control(out, Opcode::Pong, b"")), "");
    }

    /// Whoever leaves between `joined` and what it replays must get the replay again.
    #[test]
    fn a_client_goes_on_before_what_is_replayed() {
        let joined = Event::Joined(Box::new(Joined {
            room: RoomName::parse("a").expect("valid"),
            epoch: Epoch(1),
            head: Seq(10),
            floor: Seq(0),
            replayed: 3,
            behind: 2,
            recovered: true,
            reason: None,
            durable: true,
            member_count: 0,
            members: Vec::new(),
            receipts: Vec::new(),
        }));
        assert_eq!(place(&joined, Epoch(1)), Some(Position { epoch: Epoch(1), seq: Seq(5) }));
        assert_eq!(place(&Event::Rooms(Vec::new()), Epoch(1)), None);
    }
}
