//! Telling one connection something.

use std::rc::Rc;
use std::sync::Arc;

use parlour_protocol::dialect::DialectId;
use parlour_protocol::event::{Event, Reply};
use parlour_protocol::{Refusal, RequestId, RoomName, Seq};
use parlour_websocket::Opcode;

use super::Shard;
use super::connection::{Connection, Phase};
use super::fanout::{FULL, append_message, finish};
use super::outbox::Slice;
use super::stream;
use crate::inbox::Mail;
use parlour_hub::Input;
use parlour_hub::input::CursorKind;

/// Most private messages held back while the unread ones are read; more come out of order.
const HELD: usize = 1_000;

impl Shard {
    /// Sends a reply at the end of the turn.
    pub(super) fn send(&mut self, slot: u32, reply: &Reply) {
        if matches!(reply.event, Event::Ack(_)) {
            self.metrics.acks.inc();
        }
        if let Event::Rooms(rooms) = &reply.event {
            let mut rooms = rooms.clone();
            self.mark_joined(slot, &mut rooms);
            return self.encode(slot, &Event::Rooms(rooms), reply.id.as_ref());
        }
        self.encode(slot, &reply.event, reply.id.as_ref());
    }

    /// Sends an event that answers nothing.
    pub(super) fn send_event(&mut self, slot: u32, event: &Event) {
        self.encode(slot, event, None);
    }

    /// Sends an error.
    pub(super) fn refuse(&mut self, slot: u32, id: Option<RequestId>, refusal: Refusal) {
        self.metrics.error(refusal.code);
        self.send(slot, &Reply { id, event: Event::Error(refusal) });
    }

    fn encode(&mut self, slot: u32, event: &Event, id: Option<&RequestId>) {
        let connection = &mut self.connections[slot as usize];
        if !connection.is_live() {
            return;
        }
        let payload = &mut self.scratch.payload;
        payload.clear();
        connection.variant.dialect.dialect().encode(event, id, payload);
        if payload.is_empty() {
            return;
        }
        match connection.stream().map(|stream| stream::place(event, stream.epoch)) {
            None => {
                append_message(&mut connection.own, connection.variant, payload, &mut self.codec.deflater)
            }
            Some(place) => stream::append(&mut connection.own, place, payload),
        }
        self.metrics.messages_out.add(1);
        self.mark_dirty(slot);
    }

    /// Sends a frame that is no message: ping, pong, close, or an echo.
    pub(super) fn send_frame(&mut self, slot: u32, opcode: Opcode, payload: &[u8]) {
        self.close_batch(slot);
        let connection = &mut self.connections[slot as usize];
        match connection.is_stream() {
            false => parlour_websocket::encode::frame(&mut connection.own, opcode, payload),
            true => stream::append_control(&mut connection.own, opcode, payload),
        }
        self.close_batch(slot);
        self.mark_dirty(slot);
    }

    pub(super) fn mark_dirty(&mut self, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        if connection.own.len() >= FULL {
            self.push_own(slot);
        }
        let connection = &mut self.connections[slot as usize];
        if !std::mem::replace(&mut connection.is_dirty, true) {
            self.output.dirty.push(slot);
        }
    }

    /// Ends the open frame of a dialect that gathers several messages in one.
    fn close_batch(&mut self, slot: u32) {
        if self.connections[slot as usize].variant.dialect.dialect().separator().is_some() {
            self.push_own(slot);
        }
    }

    /// Moves a connection's own messages into its outbox, behind what waits there.
    pub(super) fn push_own(&mut self, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        if connection.own.is_empty() {
            return;
        }
        let mut buffer = std::mem::take(&mut connection.own);
        let start = match is_control(&buffer) {
            true => 0,
            false => finish(connection.variant.dialect, &mut buffer),
        };
        connection.outbox.push(
            Slice { buffer: Rc::new(buffer), start },
            self.now.mono_ms,
            &self.output.tally,
        );
    }

    /// Sends a private message or a notice of a private conversation to one of its participants.
    pub(super) fn send_private(&mut self, slot: u32, event: &Arc<Event>) {
        // Whoever listens to one room hears of nothing else.
        let other = |connection: &&mut Connection| !connection.is_stream();
        let Some(connection) = self.connections.get_mut(slot as usize).filter(other) else {
            return;
        };
        if let Some(gate) = connection.extra.as_mut().and_then(|extra| extra.gate.as_mut())
            && gate.held.len() < HELD
        {
            return gate.held.push(Arc::clone(event));
        }
        self.metrics.deliveries.add(1);
        self.send_event(slot, event);
        self.read_by_sight(slot, event);
    }

    /// Sends what a user had not read of a conversation, and opens the gate after the last one.
    pub(super) fn unread(
        &mut self,
        to: parlour_hub::ConnId,
        room: RoomName,
        upto: Seq,
        events: &[Arc<Event>],
    ) {
        let Some(slot) = self.slot_of(to) else {
            return;
        };
        let Some(gate) = self.connections[slot as usize].extra().gate.as_mut() else {
            return;
        };
        let newest = gate.take_newest(events);
        // What is left out altogether does not hold back what came live.
        gate.sent.push((room, if newest.is_empty() { Seq(0) } else { upto }));
        gate.missing -= 1;
        let is_last = gate.missing == 0;
        for event in newest {
            self.send_event(slot, event);
            self.read_by_sight(slot, event);
        }
        if is_last {
            self.open_gate(slot);
        }
    }

    /// Asks the conversations of a user who has just come for unread messages.
    pub(super) fn conversations(&mut self, conn: parlour_hub::ConnId, cursors: Vec<(RoomName, Seq)>) {
        let Some(slot) =
            self.slot_of(conn).filter(|slot| self.connections[*slot as usize].phase == Phase::Open)
        else {
            return;
        };
        let Some(caller) = self.caller(slot, None) else {
            return;
        };
        match self.connections[slot as usize].extra().gate.as_mut() {
            Some(gate) => gate.missing = cursors.len(),
            None => return,
        }
        if cursors.is_empty() {
            return self.open_gate(slot);
        }
        for (room, read) in cursors {
            self.dispatch(&room, Input::Inbox { caller: caller.clone(), read });
        }
    }

    fn open_gate(&mut self, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        let (user, gate) = (connection.user().cloned(), connection.extra().gate.take());
        connection.tidy();
        let Some(gate) = gate else {
            return;
        };
        for event in gate.held {
            let is_sent = match &*event {
                Event::Private(message) => {
                    let upto =
                        gate.sent.iter().find(|(room, _)| *room == message.room).map(|(_, upto)| *upto);
                    // One's own messages are not among the unread ones.
                    user.as_ref() != Some(&message.from) && upto.is_some_and(|upto| message.seq <= upto)
                }
                _ => false,
            };
            if !is_sent {
                self.send_private(slot, &event);
            }
        }
    }

    /// A plain-text client cannot say what it has read; what it was shown counts as read.
    fn read_by_sight(&mut self, slot: u32, event: &Event) {
        let connection = &self.connections[slot as usize];
        let (DialectId::Text, Event::Private(message), Some(user)) =
            (connection.variant.dialect, event, connection.user().cloned())
        else {
            return;
        };
        if user != message.from
            && connection.is_live()
            && let Some(caller) = self.caller(slot, None)
        {
            let input = Input::Advance { caller, seq: message.seq, cursor: CursorKind::Read };
            let room = message.room.clone();
            // Later: the room may be in the middle of delivering this very message.
            self.post(self.node.home(&room), Mail::Input { room, input });
        }
    }
}

/// Whether a buffer begins with a control frame instead of the space left for a header.
fn is_control(buffer: &[u8]) -> bool {
    buffer.first().is_some_and(|first| *first != 0)
}
