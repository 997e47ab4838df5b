//! The header of a frame (RFC 6455 section 5.2): parsing and the rules that need nothing else.

use crate::{DecodeError, Role};

/// The longest header: two bytes, a 64-bit length and a mask.
pub(crate) const MAX_BYTES: usize = 14;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// The next part of a fragmented message.
    Continuation = 0x0,
    /// UTF-8 text.
    Text = 0x1,
    /// Bytes.
    Binary = 0x2,
    /// The end of the connection.
    Close = 0x8,
    /// A request for a pong.
    Ping = 0x9,
    /// The answer to a ping, or an unasked sign of life.
    Pong = 0xa,
}

impl Opcode {
    fn from_bits(bits: u8) -> Result<Self, DecodeError> {
        Ok(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return Err(DecodeError::UnknownOpcode),
        })
    }

    /// Tells whether this is a close, ping or pong frame, which may interrupt a fragmented message.
    pub fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// A complete header that passed the rules of its own bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) fin: bool,
    /// RSV1 of the first frame of a message: its payload is compressed (RFC 7692 section 6).
    pub(crate) compressed: bool,
    pub(crate) opcode: Opcode,
    /// Zero if the frame is not masked.
    pub(crate) key: [u8; 4],
    pub(crate) payload_bytes: u64,
}

impl Header {
    /// Reads a header from the front of `bytes` and says how many bytes it has, or returns `None`
    /// if it is incomplete. The first two bytes are judged as soon as they are there.
    ///
    /// A length in a longer form than necessary is accepted, as every widespread server does.
    pub(crate) fn parse(
        bytes: &[u8],
        role: Role,
        deflate: bool,
    ) -> Result<Option<(Self, usize)>, DecodeError> {
        let Some((&[first, second], rest)) = bytes.split_first_chunk::<2>() else {
            return Ok(None);
        };
        let (fin, masked, short_length) = (first & 0x80 != 0, second & 0x80 != 0, second & 0x7f);
        let opcode = Opcode::from_bits(first & 0x0f)?;
        let compressed = check_reserved(first, opcode, deflate)?;
        if opcode.is_control() {
            check_control(fin, short_length)?;
        }
        check_masked(role, masked)?;

        let Some((payload_bytes, rest)) = parse_length(short_length, rest)? else {
            return Ok(None);
        };
        let (key, rest) = match (masked, rest.split_first_chunk::<4>()) {
            (false, _) => ([0; 4], rest),
            (true, Some((key, rest))) => (*key, rest),
            (true, None) => return Ok(None),
        };
        let header = Self { fin, compressed, opcode, key, payload_bytes };
        Ok(Some((header, bytes.len() - rest.len())))
    }
}

fn check_reserved(first: u8, opcode: Opcode, deflate: bool) -> Result<bool, DecodeError> {
    match first & 0x70 {
        0 => Ok(false),
        // Only the first frame of a message says that it is compressed.
        0x40 if deflate && matches!(opcode, Opcode::Text | Opcode::Binary) => Ok(true),
        _ => Err(DecodeError::ReservedBit),
    }
}

fn check_control(fin: bool, short_length: u8) -> Result<(), DecodeError> {
    if !fin {
        Err(DecodeError::FragmentedControl)
    } else if short_length > 125 {
        Err(DecodeError::ControlTooLong)
    } else {
        Ok(())
    }
}

fn check_masked(role: Role, masked: bool) -> Result<(), DecodeError> {
    match (role, masked) {
        (Role::Server, false) => Err(DecodeError::Unmasked),
        (Role::Client, true) => Err(DecodeError::Masked),
        _ => Ok(()),
    }
}

/// The payload length and what follows it, or `None` if its bytes are not all there.
fn parse_length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, DecodeError> {
    match short {
        126 => {
            Ok(rest.split_first_chunk().map(|(length, rest)| (u64::from(u16::from_be_bytes(*length)), rest)))
        }
        127 => match rest.split_first_chunk() {
            None => Ok(None),
            Some((length, rest)) => match u64::from_be_bytes(*length) {
                length if length >> 63 == 1 => Err(DecodeError::LengthOutOfRange),
                length => Ok(Some((length, rest))),
            },
        },
        length => Ok(Some((u64::from(length), rest))),
    }
}
