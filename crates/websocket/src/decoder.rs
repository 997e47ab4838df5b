//! The journey of the input: header, payload, message.
//!
//! A message that lies whole in the input never touches memory of the decoder; everything that has
//! to be kept is the business of `pending`.

use crate::error::DecodeError;
use crate::header::{Header, Opcode};
use crate::pending::{Pending, Received, take};
use crate::{Inflater, close, deflate, mask};

/// Which end of the connection decodes; the other end is the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Frames of the peer must be masked.
    Server,
    /// Frames of the peer must not be masked.
    Client,
}

/// What a peer may make the decoder keep or produce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest message in bytes, after reassembly and after decompression. 64 KiB by default.
    pub max_message_bytes: usize,
    /// The most frames that one message may consist of. 1,024 by default.
    pub max_fragments: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_message_bytes: 64 * 1024, max_fragments: 1024 }
    }
}

/// A whole message, or a control frame. Borrows from the input if it lies there in one piece and is
/// not compressed, else from the decoder or the inflater.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'f> {
    /// A text message.
    Text(&'f str),
    /// A binary message.
    Binary(&'f [u8]),
    /// A ping of at most 125 bytes, to be answered with a pong of the same bytes.
    Ping(&'f [u8]),
    /// A pong of at most 125 bytes.
    Pong(&'f [u8]),
    /// Code and reason if there are any; a code is always one that may be echoed.
    Close(Option<(u16, &'f str)>),
}

/// The reading half of one connection: 16 bytes and no heap while no message is incomplete.
#[derive(Debug)]
pub struct Decoder {
    role: Role,
    deflate: bool,
    /// After a close frame or an error nothing is read any more.
    ended: bool,
    pending: Option<Box<Pending>>,
}

/// A whole message or control frame whose payload has not been looked at.
struct Arrived<'a> {
    opcode: Opcode,
    compressed: bool,
    payload: Payload<'a>,
}

enum Payload<'a> {
    Input(&'a [u8]),
    /// In [`Pending::lent`].
    Kept,
}

impl Decoder {
    /// Creates a decoder for a connection that passed its handshake; `deflate` tells whether
    /// permessage-deflate was negotiated.
    pub fn new(role: Role, deflate: bool) -> Self {
        Self { role, deflate, ended: false, pending: None }
    }

    /// Returns the next frame and advances `input` behind it; call it until it returns `None`.
    ///
    /// `None` means that all input is consumed: what was incomplete is kept. The bytes of `input`
    /// are unmasked in place. After a close frame (RFC 6455 section 1.4) and after an error all
    /// further input is discarded.
    ///
    /// Kept memory grows with the bytes that arrived, never with a length that was only declared.
    ///
    /// # Errors
    ///
    /// The first violation by the peer, as early as it is certain: the bits of a header with its
    /// second byte, a size with the header that declares it, invalid UTF-8 with its first wrong
    /// byte, also within an incomplete frame (of a compressed message: when it is complete).
    pub fn decode<'f, 'a: 'f>(
        &'f mut self,
        input: &mut &'a mut [u8],
        limits: &Limits,
        inflater: &'f mut Inflater,
    ) -> Result<Option<Frame<'f>>, DecodeError> {
        self.take_back();
        if self.ended {
            *input = &mut [];
            return Ok(None);
        }
        let arrived = match self.advance(input, limits) {
            Ok(Some(arrived)) => arrived,
            Ok(None) => return Ok(None),
            Err(error) => {
                (self.ended, self.pending) = (true, None);
                return Err(error);
            }
        };
        let Self { ended, pending, .. } = self;
        let kept = pending.as_ref().map_or(&[][..], |pending| &pending.lent);
        let frame = arrived.read(kept, limits, inflater);
        *ended = matches!(frame, Err(_) | Ok(Frame::Close(_)));
        frame.map(Some)
    }

    /// Tells whether a frame or message has begun to arrive and is not complete, so that a caller
    /// with a clock can limit how long that may last.
    pub fn is_mid_message(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| !pending.is_empty())
    }

    /// Memory on the heap for what is incomplete, in bytes: 0 when idle, else at most twice of what
    /// arrived and some 200 more.
    pub fn kept_bytes(&self) -> usize {
        self.pending.as_ref().map_or(0, |pending| pending.kept_bytes())
    }

    /// Consumes input until a message or control frame is complete, or the input ends.
    fn advance<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        limits: &Limits,
    ) -> Result<Option<Arrived<'a>>, DecodeError> {
        loop {
            if let Some(open) = self.pending.as_mut().filter(|pending| pending.is_mid_frame()) {
                match open.receive(input)? {
                    Received::Nothing => return Ok(None),
                    Received::Fragment => {}
                    Received::Whole { opcode, compressed, payload } => {
                        open.lent = payload;
                        return Ok(Some(Arrived { opcode, compressed, payload: Payload::Kept }));
                    }
                }
            }
            let Some(header) = self.read_header(input)? else { return Ok(None) };
            self.check_order_and_size(&header, limits)?;
            if let Some(payload) = take_whole(&header, input) {
                let Header { opcode, compressed, .. } = header;
                return Ok(Some(Arrived { opcode, compressed, payload: Payload::Input(payload) }));
            }
            self.pending.get_or_insert_default().begin(&header);
        }
    }

    /// Takes a header from the input, or keeps the beginning of one.
    fn read_header(&mut self, input: &mut &mut [u8]) -> Result<Option<Header>, DecodeError> {
        let kept = self.pending.as_ref().map_or(0, |pending| pending.head.len());
        let bytes = match &mut self.pending {
            Some(pending) if kept > 0 => pending.head.extend(input),
            _ => input,
        };
        let Some((header, length)) = Header::parse(bytes, self.role, self.deflate)? else {
            if kept == 0 && !input.is_empty() {
                self.pending.get_or_insert_default().head.extend(input);
            }
            *input = &mut [];
            return Ok(None);
        };
        take(input, length - kept);
        if let Some(pending) = &mut self.pending {
            pending.head.clear();
        }
        Ok(Some(header))
    }

    /// Judges a header by the message in progress: fragments follow each other (RFC 6455 section
    /// 5.4), and neither their count nor their sum exceeds the limits.
    fn check_order_and_size(&self, header: &Header, limits: &Limits) -> Result<(), DecodeError> {
        if header.opcode.is_control() {
            return Ok(());
        }
        let message = self.pending.as_ref().and_then(|pending| pending.message.as_ref());
        let (compressed, kept_bytes) = match (header.opcode, message) {
            (Opcode::Continuation, None) => return Err(DecodeError::UnexpectedContinuation),
            (Opcode::Continuation, Some(message)) => {
                if message.fragments >= limits.max_fragments {
                    return Err(DecodeError::TooManyFragments);
                }
                (message.compressed, message.len())
            }
            (_, Some(_)) => return Err(DecodeError::ExpectedContinuation),
            (_, None) => (header.compressed, 0),
        };
        let max_bytes = if compressed {
            deflate::max_compressed_bytes(limits.max_message_bytes)
        } else {
            limits.max_message_bytes
        };
        if header.payload_bytes > max_bytes.saturating_sub(kept_bytes) as u64 {
            return Err(DecodeError::MessageTooLarge);
        }
        Ok(())
    }

    /// Frees what the last call has lent, and the memory of what is complete.
    fn take_back(&mut self) {
        if let Some(pending) = &mut self.pending {
            pending.lent = Vec::new();
        }
        self.pending.take_if(|pending| self.ended || pending.is_empty());
    }
}

/// Takes the unmasked payload of a frame that is all of its message, if all of it is there.
fn take_whole<'a>(header: &Header, input: &mut &'a mut [u8]) -> Option<&'a [u8]> {
    if !header.fin || header.opcode == Opcode::Continuation {
        return None;
    }
    let length = usize::try_from(header.payload_bytes).ok()?;
    if length > input.len() {
        return None;
    }
    let payload = take(input, length);
    mask::apply(payload, header.key);
    Some(payload)
}

impl Arrived<'_> {
    /// Looks at the payload: decompresses it, checks its text.
    fn read<'f>(
        self,
        kept: &'f [u8],
        limits: &Limits,
        inflater: &'f mut Inflater,
    ) -> Result<Frame<'f>, DecodeError>
    where
        Self: 'f,
    {
        let mut payload = match self.payload {
            Payload::Input(payload) => payload,
            Payload::Kept => kept,
        };
        if self.compressed {
            payload = inflater.inflate(payload, limits.max_message_bytes)?;
        }
        Ok(match self.opcode {
            Opcode::Text => {
                Frame::Text(simdutf8::basic::from_utf8(payload).map_err(|_| DecodeError::InvalidUtf8)?)
            }
            Opcode::Binary | Opcode::Continuation => Frame::Binary(payload),
            Opcode::Ping => Frame::Ping(payload),
            Opcode::Pong => Frame::Pong(payload),
            Opcode::Close => Frame::Close(close::parse(payload)?),
        })
    }
}
