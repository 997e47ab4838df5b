//! The receiving half of a connection.

use super::outgoing::Outgoing;
use super::{CloseFrame, Message, StreamError};
use crate::{DecodeError, Decoder, Frame, Inflater, Limits, Opcode, Role, encode};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// The room for one read, in bytes: grows from the first to the second while reads fill it.
const ROOM: (usize, usize) = (2 * 1024, 64 * 1024);

/// The receiving half of a connection. Answers pings and close frames while it is read from.
#[derive(Debug)]
pub struct Reader<R = OwnedReadHalf, W = OwnedWriteHalf> {
    input: R,
    /// What was read; the part before `consumed` is decoded.
    buffer: Vec<u8>,
    consumed: usize,
    room: usize,
    decoder: Decoder,
    inflater: Inflater,
    limits: Limits,
    outgoing: Arc<Outgoing<W>>,
    /// An answer to a ping is queued and perhaps not written.
    owes_flush: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    Open,
    /// Our last frame is queued; when it is written the caller learns how the connection ended.
    Ending(End),
    Ended,
}

#[derive(Debug)]
enum End {
    Closed(Option<CloseFrame>),
    Failed(DecodeError),
}

impl<R, W> Reader<R, W> {
    /// `received` is what came together with the handshake.
    pub(super) fn new(input: R, received: Vec<u8>, deflate: bool, outgoing: Arc<Outgoing<W>>) -> Self {
        Self {
            input,
            buffer: received,
            consumed: 0,
            room: ROOM.0,
            decoder: Decoder::new(Role::Client, deflate),
            inflater: Inflater::new(),
            limits: Limits { max_message_bytes: 16 * 1024 * 1024, max_fragments: 65_536 },
            outgoing,
            owes_flush: false,
            state: State::Open,
        }
    }

    /// Changes what the server may send: 16 MiB and 65,536 fragments per message by default.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Reader<R, W> {
    /// Receives the next message; `None` after [`Message::Close`], or when the transport ends
    /// without one. Cancel-safe.
    ///
    /// # Errors
    ///
    /// A failure of the transport, or a violation by the server. Nothing follows an error.
    pub async fn next(&mut self) -> Result<Option<Message>, StreamError> {
        loop {
            match &self.state {
                State::Open => {}
                State::Ending(_) => return self.finish().await,
                State::Ended => return Ok(None),
            }
            if let Some(message) = self.decode() {
                return Ok(Some(message));
            }
            if matches!(self.state, State::Open) {
                self.fill().await?;
            }
        }
    }

    /// Waits for input, and meanwhile writes the answers to pings.
    async fn fill(&mut self) -> Result<(), StreamError> {
        let Self { input, buffer, room, outgoing, owes_flush, .. } = self;
        buffer.reserve(*room);
        tokio::select! {
            biased;
            // If writing fails, reading tells why: the server's close frame may still be there.
            _ = outgoing.flush(), if *owes_flush => *owes_flush = false,
            read = input.read_buf(buffer) => match read {
                Ok(0) => self.state = State::Ended,
                Ok(_) if buffer.len() == buffer.capacity() => *room = (*room * 2).min(ROOM.1),
                Ok(_) => {}
                Err(error) => {
                    self.state = State::Ended;
                    return Err(error.into());
                }
            },
        }
        Ok(())
    }

    /// Decodes until there is something to show, or the input ends.
    fn decode(&mut self) -> Option<Message> {
        let mut input = &mut self.buffer[self.consumed..];
        let message = loop {
            match self.decoder.decode(&mut input, &self.limits, &mut self.inflater) {
                Ok(None) => break None,
                Ok(Some(Frame::Text(text))) => break Some(Message::Text(text.to_owned())),
                Ok(Some(Frame::Binary(bytes))) => break Some(Message::Binary(bytes.to_vec())),
                Ok(Some(Frame::Pong(payload))) => break Some(Message::Pong(payload.to_vec())),
                // After our own close no pong may follow.
                Ok(Some(Frame::Ping(payload))) => {
                    self.owes_flush |= self.outgoing.queue_pong(payload).is_ok();
                }
                Ok(Some(Frame::Close(frame))) => {
                    let payload = frame.map(|(code, _)| encode::close_payload(code, ""));
                    // If we closed first, this is the answer, and there is nothing to answer.
                    let _ = self.outgoing.queue_control(Opcode::Close, &payload.unwrap_or_default());
                    let frame = frame.map(|(code, reason)| CloseFrame { code, reason: reason.to_owned() });
                    self.state = State::Ending(End::Closed(frame));
                    break None;
                }
                Err(error) => {
                    let payload = encode::close_payload(error.close_code(), error.reason());
                    let _ = self.outgoing.queue_control(Opcode::Close, &payload);
                    self.state = State::Ending(End::Failed(error));
                    break None;
                }
            }
        };
        let rest = input.len();
        self.consumed = self.buffer.len() - rest;
        if rest == 0 {
            self.buffer.clear();
            self.consumed = 0;
        }
        message
    }

    async fn finish(&mut self) -> Result<Option<Message>, StreamError> {
        // The server may be gone already; that it closed is what counts.
        let _ = self.outgoing.flush().await;
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Ending(End::Closed(frame)) => Ok(Some(Message::Close(frame))),
            State::Ending(End::Failed(error)) => Err(error.into()),
            State::Open | State::Ended => Ok(None),
        }
    }
}
