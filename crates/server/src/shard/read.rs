//! From bytes to commands.

use std::io;
use std::rc::Rc;

use mio::Token;
use mio::event::Event;
use parlour_protocol::ErrorCode;
use parlour_protocol::dialect::{self, DialectId, Payload};
use parlour_websocket::{Decoder, Frame, Opcode, Role, encode};

use super::Shard;
use super::connection::{Moment, Phase};
use super::ending::Reason;
use super::socket::Received;

/// Unanswered requests after which a connection is not read any more.
const MOST_IN_FLIGHT: u16 = 1_024;
/// Unanswered requests at which reading goes on.
pub(super) const RESUME_READING: u16 = MOST_IN_FLIGHT / 2;
/// Pings that a client may send within [`PING_WINDOW_MS`].
const MOST_PINGS: u16 = 100;
/// Window of [`MOST_PINGS`], in milliseconds.
const PING_WINDOW_MS: u64 = 10_000;

/// What is known of the input of a socket. A poll tells only what is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// Everything has been read.
    Drained,
    /// There is more, and the connection waits for its turn.
    Listed,
    /// There is more, but the connection has to wait for answers first.
    Held,
}

/// Names a connection to the poll.
pub(super) fn token(slot: u32, generation: u32) -> Token {
    Token(usize::try_from(u64::from(generation) << 32 | u64::from(slot)).unwrap_or(0))
}

fn named_by(Token(number): Token) -> (u32, u32) {
    let number = number as u64;
    (number as u32, (number >> 32) as u32)
}

impl Shard {
    /// Takes note of what a poll has found out about a socket.
    pub(super) fn on_ready(&mut self, event: &Event) {
        let (slot, generation) = named_by(event.token());
        if !self.is_current(slot, generation) {
            return;
        }
        if event.is_writable() && !self.connections[slot as usize].outbox.is_empty() {
            self.contain(slot, |shard| shard.write_outbox(slot));
        }
        // Writing may have ended it.
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return;
        };
        let is_over = event.is_read_closed() || event.is_error();
        connection.is_over |= is_over;
        if event.is_readable() || is_over {
            self.read_soon(slot);
        }
    }

    /// Gives a connection a turn at being read.
    pub(super) fn read_soon(&mut self, slot: u32) {
        if let Some(connection) = self.connections.get_mut(slot as usize)
            && connection.input != Input::Listed
        {
            connection.input = Input::Listed;
            self.intake.readable.push_back((slot, connection.generation));
        }
    }

    /// Reads each socket that has something once, as far as the turn goes.
    pub(super) fn read_sockets(&mut self) {
        for _ in 0..self.intake.readable.len() {
            if self.pace.is_spent() {
                return;
            }
            if let Some((slot, generation)) = self.intake.readable.pop_front()
                && self.is_current(slot, generation)
            {
                self.contain(slot, |shard| shard.read_socket(slot));
            }
        }
    }

    /// Reads one buffer full, which is fair to others.
    fn read_socket(&mut self, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        if connection.is_saturated() {
            connection.input = Input::Held;
            return;
        }
        connection.input = Input::Drained;
        let (generation, is_over) = (connection.generation, connection.is_over);
        let mut buffer = std::mem::take(&mut self.codec.read_buffer);
        let read = connection.socket.read(&mut buffer);
        if let Ok(Received::Bytes { length: length @ 1.., .. }) = read {
            self.on_bytes(slot, &mut buffer[..length]);
        }
        self.codec.read_buffer = buffer;
        if !self.is_current(slot, generation) {
            return;
        }
        if self.connections[slot as usize].socket.waiting() > 0 {
            // Encryption has something to say by itself, such as new keys.
            self.mark_dirty(slot);
        }
        match read {
            // What comes later is news. Only an end that has been told of already is still to be found.
            Ok(Received::Bytes { is_all: true, .. }) if !is_over => {}
            Ok(Received::Bytes { .. }) => self.read_soon(slot),
            Ok(Received::End) => self.end(slot, Reason::Lost),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.read_soon(slot),
            Err(_) => self.end(slot, Reason::Lost),
        }
    }

    /// Decodes bytes that have come from a peer.
    pub(super) fn on_bytes(&mut self, slot: u32, mut input: &mut [u8]) {
        self.metrics.bytes_in.add(input.len() as u64);
        let connection = &mut self.connections[slot as usize];
        let generation = connection.generation;
        connection.timing.pinged = None;
        if matches!(connection.phase, Phase::Closed { .. }) || connection.is_stream() {
            return;
        }
        // Out of the shard while its frames are borrowed.
        let fresh = Decoder::new(Role::Server, connection.variant.deflate.is_some());
        let mut decoder = std::mem::replace(&mut connection.decoder, fresh);
        let mut inflater = std::mem::take(&mut self.codec.inflater);
        let limits = self.node.frame_limits;
        let failure = loop {
            match decoder.decode(&mut input, &limits, &mut inflater) {
                Ok(Some(frame)) => self.on_frame(slot, frame),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
            if !self.is_current(slot, generation) {
                break None;
            }
        };
        self.codec.inflater = inflater;
        if !self.is_current(slot, generation) {
            return;
        }
        self.note_progress(slot, decoder.is_mid_message());
        self.connections[slot as usize].decoder = decoder;
        if let Some(error) = failure {
            self.end(slot, Reason::Framing(error));
        }
    }

    fn note_progress(&mut self, slot: u32, is_mid_message: bool) {
        let timing = &mut self.connections[slot as usize].timing;
        match (is_mid_message, timing.message_since) {
            (true, None) => {
                timing.message_since = Some(Moment::at(self.now.mono_ms));
                let limit_ms = self.node.timeout_ms(|timeouts| timeouts.message);
                self.check_by(slot, self.now.mono_ms + limit_ms);
            }
            (true, Some(_)) => {}
            (false, _) => timing.message_since = None,
        }
    }

    fn on_frame(&mut self, slot: u32, frame: Frame<'_>) {
        let connection = &self.connections[slot as usize];
        let (is_live, takes_commands) = (connection.is_live(), connection.takes_commands(self.now.mono_ms));
        match frame {
            Frame::Text(text) if takes_commands => self.on_message(slot, Payload::Text(text)),
            Frame::Binary(bytes) if takes_commands => self.on_message(slot, Payload::Binary(bytes)),
            Frame::Ping(payload) if is_live => self.on_ping(slot, payload),
            Frame::Close(close) => self.end(slot, Reason::Peer(close.map(|(code, _)| code))),
            Frame::Text(_) | Frame::Binary(_) | Frame::Ping(_) | Frame::Pong(_) => {}
        }
    }

    fn on_ping(&mut self, slot: u32, payload: &[u8]) {
        let connection = &mut self.connections[slot as usize];
        if self.now.mono_ms - connection.timing.pings_since_ms > PING_WINDOW_MS {
            (connection.timing.pings_since_ms, connection.pings) = (self.now.mono_ms, 0);
        }
        connection.pings += 1;
        if connection.pings > MOST_PINGS && !self.node.is_echo {
            return self.end(slot, Reason::Error(ErrorCode::PingFlood));
        }
        self.send_frame(slot, Opcode::Pong, payload);
    }

    fn on_message(&mut self, slot: u32, payload: Payload<'_>) {
        self.metrics.messages_in.add(1);
        if self.node.is_echo {
            return self.echo(slot, payload);
        }
        #[cfg(feature = "failpoints")]
        super::failpoint::reach(&self.node.config, payload);
        let connection = &self.connections[slot as usize];
        let dialect = connection.variant.dialect;
        // Only plain text needs to know where it is.
        let room = match dialect {
            DialectId::Text => connection.rooms.last().map(|membership| Rc::clone(&membership.room)),
            DialectId::Json | DialectId::JsonLines | DialectId::Binary => None,
        };
        let context = dialect::Context { room: room.as_deref() };
        let generation = connection.generation;
        dialect.dialect().decode(payload, context, &mut |decoded| {
            if self.is_current(slot, generation) && self.connections[slot as usize].is_live() {
                self.on_decoded(slot, decoded);
            }
        });
    }

    /// Sends a message back as it came, for conformance suites.
    fn echo(&mut self, slot: u32, payload: Payload<'_>) {
        let (opcode, bytes) = match payload {
            Payload::Text(text) => (Opcode::Text, text.as_bytes()),
            Payload::Binary(bytes) => (Opcode::Binary, bytes),
        };
        let connection = &mut self.connections[slot as usize];
        match connection.variant.compresses(bytes.len(), &self.codec.deflater) {
            true => encode::compressed_frame(&mut connection.own, &mut self.codec.deflater, opcode, bytes),
            false => encode::frame(&mut connection.own, opcode, bytes),
        }
        self.mark_dirty(slot);
    }
}

impl super::connection::Connection {
    /// Whether so much is unanswered that reading on would only pile it up.
    fn is_saturated(&self) -> bool {
        self.is_live() && (self.in_flight >= MOST_IN_FLIGHT || self.is_consulting())
    }
}
