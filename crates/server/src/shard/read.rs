//! From bytes to commands.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use parlour_protocol::ErrorCode;
use parlour_protocol::dialect::{self, DialectId, Payload};
use parlour_websocket::{Decoder, Frame, Opcode, Role, encode};
use tokio::io::{AsyncRead, ReadBuf};

use super::Shard;
use super::connection::Phase;
use super::ending::Reason;

/// Reads of one socket before others get their turn.
const READS: usize = 8;
/// Unanswered requests after which a connection is not read any more.
const MOST_IN_FLIGHT: u16 = 1_024;
/// Unanswered requests at which reading goes on.
pub(super) const RESUME_READING: u16 = MOST_IN_FLIGHT / 2;
/// Pings that a client may send within [`PING_WINDOW_MS`].
const MOST_PINGS: u16 = 100;
/// Window of [`MOST_PINGS`], in milliseconds.
const PING_WINDOW_MS: u64 = 10_000;

impl Shard {
    pub(super) fn keep_waker(&mut self, slot: u32, context: &Context<'_>) {
        let waker = &mut self.connections[slot as usize].waker;
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *waker = Some(context.waker().clone());
        }
    }

    /// Reads what has come, as far as is fair to others.
    pub(super) fn read_socket(&mut self, slot: u32, context: &mut Context<'_>) {
        let generation = self.connections[slot as usize].generation;
        for _ in 0..READS {
            if !self.is_current(slot, generation) || self.connections[slot as usize].is_saturated() {
                return;
            }
            let mut buffer = std::mem::take(&mut self.codec.read_buffer);
            let read = read_once(&mut self.connections[slot as usize].stream, context, &mut buffer);
            if let Poll::Ready(Ok(length @ 1..)) = read {
                self.on_bytes(slot, &mut buffer[..length]);
            }
            self.codec.read_buffer = buffer;
            match read {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0) | Err(_)) => return self.end(slot, Reason::Lost),
                Poll::Pending => return,
            }
        }
        context.waker().wake_by_ref();
    }

    /// Writes on when the socket takes more.
    pub(super) fn resume_writing(&mut self, slot: u32, context: &mut Context<'_>) {
        let Some(connection) = self.connections.get(slot as usize).filter(|c| !c.outbox.is_empty()) else {
            return;
        };
        if let Poll::Ready(ready) = connection.stream.poll_write_ready(context) {
            match ready {
                Ok(()) => self.write_outbox(slot),
                Err(_) => self.end(slot, Reason::Lost),
            }
        }
    }

    /// Decodes bytes that have come from a peer.
    pub(super) fn on_bytes(&mut self, slot: u32, mut input: &mut [u8]) {
        self.metrics.bytes_in.add(input.len() as u64);
        let connection = &mut self.connections[slot as usize];
        let generation = connection.generation;
        connection.timing.pinged_ms = None;
        if matches!(connection.phase, Phase::Closed { .. }) {
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
        match (is_mid_message, timing.message_since_ms) {
            (true, None) => {
                timing.message_since_ms = Some(self.now.mono_ms);
                let limit_ms = self.node.timeout_ms(|timeouts| timeouts.message);
                self.check_by(slot, self.now.mono_ms + limit_ms);
            }
            (true, Some(_)) => {}
            (false, _) => timing.message_since_ms = None,
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
            DialectId::Text => connection.rooms.last().map(|membership| membership.room.clone()),
            DialectId::Json | DialectId::JsonLines | DialectId::Binary => None,
        };
        let context = dialect::Context { room: room.as_ref() };
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

fn read_once(
    stream: &mut tokio::net::TcpStream,
    context: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    let mut buffer = ReadBuf::new(buffer);
    Pin::new(stream).poll_read(context, &mut buffer).map_ok(|()| buffer.filled().len())
}

impl super::connection::Connection {
    /// Whether so much is unanswered that reading on would only pile it up.
    fn is_saturated(&self) -> bool {
        self.is_live() && self.in_flight >= MOST_IN_FLIGHT
    }
}
