//! What a connection keeps of an incomplete header, frame or message.
//!
//! It exists only while something is incomplete, and grows only with bytes that arrived: `Vec`
//! doubles, so it never holds more than twice of them.

use crate::header::{self, Header};
use crate::{DecodeError, Opcode, mask};

/// The incomplete parts. A control frame may arrive between the fragments of a message, and in
/// pieces, so both are kept side by side.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub(crate) head: Head,
    pub(crate) message: Option<Message>,
    frame: Option<OpenFrame>,
    control: Vec<u8>,
    /// The message that the last call lent to its caller, if it had to be kept; the next call frees
    /// it, and callers call until there is nothing more.
    pub(crate) lent: Vec<u8>,
}

/// The first bytes of a header whose rest has not arrived.
#[derive(Debug, Default)]
pub(crate) struct Head {
    bytes: [u8; header::MAX_BYTES],
    length: usize,
}

/// A frame whose payload has not arrived entirely.
#[derive(Debug)]
struct OpenFrame {
    opcode: Opcode,
    fin: bool,
    key: [u8; 4],
    missing_bytes: u64,
}

/// A message of which at least one header has arrived.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) fragments: u32,
    pub(crate) compressed: bool,
    payload: Vec<u8>,
    opcode: Opcode,
    /// So many bytes of a text are known to be UTF-8; at most three more can be without a verdict.
    checked: usize,
}

/// What came of the input.
pub(crate) enum Received {
    /// All input is consumed and the frame is still incomplete.
    Nothing,
    /// A fragment is complete, its message is not.
    Fragment,
    /// A message or control frame is complete.
    Whole { opcode: Opcode, compressed: bool, payload: Vec<u8> },
}

impl Pending {
    pub(crate) fn is_empty(&self) -> bool {
        self.head.length == 0 && self.frame.is_none() && self.message.is_none()
    }

    pub(crate) fn kept_bytes(&self) -> usize {
        let payload = self.message.as_ref().map_or(0, |message| message.payload.capacity());
        size_of::<Self>() + self.control.capacity() + self.lent.capacity() + payload
    }

    pub(crate) fn is_mid_frame(&self) -> bool {
        self.frame.is_some()
    }

    /// Opens the frame of a header that passed all checks.
    pub(crate) fn begin(&mut self, header: &Header) {
        let Header { fin, opcode, key, payload_bytes, compressed } = *header;
        self.frame = Some(OpenFrame { opcode, fin, key, missing_bytes: payload_bytes });
        match (opcode.is_control(), &mut self.message) {
            (true, _) => {}
            (false, Some(message)) => message.fragments += 1,
            (false, none) => {
                *none = Some(Message { fragments: 1, compressed, payload: Vec::new(), opcode, checked: 0 });
            }
        }
    }

    /// Takes payload of the open frame from the front of `input`.
    pub(crate) fn receive(&mut self, input: &mut &mut [u8]) -> Result<Received, DecodeError> {
        let Some(frame) = &mut self.frame else { return Ok(Received::Nothing) };
        let taken = usize::try_from(frame.missing_bytes).unwrap_or(usize::MAX).min(input.len());
        let chunk = take(input, taken);
        mask::apply(chunk, frame.key);
        frame.key = mask::advance(frame.key, taken);
        frame.missing_bytes -= taken as u64;
        let (opcode, fin, complete) = (frame.opcode, frame.fin, frame.missing_bytes == 0);

        if opcode.is_control() {
            self.control.extend_from_slice(chunk);
        } else if let Some(message) = &mut self.message {
            message.append(chunk)?;
        }
        if !complete {
            return Ok(Received::Nothing);
        }
        self.frame = None;
        if opcode.is_control() {
            let payload = std::mem::take(&mut self.control);
            return Ok(Received::Whole { opcode, compressed: false, payload });
        }
        Ok(match self.message.take_if(|_| fin) {
            Some(Message { opcode, compressed, payload, .. }) => {
                Received::Whole { opcode, compressed, payload }
            }
            None => Received::Fragment,
        })
    }
}

impl Head {
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn clear(&mut self) {
        self.length = 0;
    }

    /// Appends as much of `input` as a header may have, and returns all bytes.
    pub(crate) fn extend(&mut self, input: &[u8]) -> &[u8] {
        let taken = input.len().min(header::MAX_BYTES - self.length);
        self.bytes[self.length..self.length + taken].copy_from_slice(&input[..taken]);
        self.length += taken;
        &self.bytes[..self.length]
    }
}

impl Message {
    /// Bytes kept so far.
    pub(crate) fn len(&self) -> usize {
        self.payload.len()
    }

    fn append(&mut self, chunk: &[u8]) -> Result<(), DecodeError> {
        self.payload.extend_from_slice(chunk);
        if self.opcode != Opcode::Text || self.compressed {
            return Ok(());
        }
        match simdutf8::compat::from_utf8(&self.payload[self.checked..]) {
            Ok(_) => self.checked = self.payload.len(),
            // A character that may still be completed by the next bytes.
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(DecodeError::InvalidUtf8),
        }
        Ok(())
    }
}

/// Splits `length` bytes off the front of `input`; `length` must not exceed it.
pub(crate) fn take<'a>(input: &mut &'a mut [u8], length: usize) -> &'a mut [u8] {
    let (front, rest) = std::mem::take(input).split_at_mut(length);
    *input = rest;
    front
}
