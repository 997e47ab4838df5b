//! permessage-deflate payloads (RFC 7692 section 7.2).
//!
//! Both sides reset the compression state with every message, so one [`Inflater`] and one
//! [`Deflater`] serve all connections of a thread: a state is 47 KiB to inflate and 260 KiB (window
//! of 12 bits) to 370 KiB (15 bits) to deflate, too much to have one for every connection.

use crate::DecodeError;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// The end of every flushed DEFLATE stream, which is not sent (section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// What a message lacks to be a finished stream: the tail, and an empty final block. If the stream
/// ends there and nothing more came out, the message did not end in the middle of a block.
const ENDING: [u8; 6] = [0, 0, 0xff, 0xff, 0x03, 0x00];

/// The output buffer that is kept between messages, in bytes.
const KEPT_OUTPUT: usize = 256 * 1024;

/// Decompresses messages, one after the other, of any number of connections.
///
/// Owns nothing until the first compressed message.
#[derive(Debug, Default)]
pub struct Inflater {
    stream: Option<Decompress>,
    output: Vec<u8>,
}

/// Why a message was not decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    /// It is not DEFLATE data, or ends in the middle of a block.
    #[error("not deflate data")]
    Invalid,
    /// It becomes larger than allowed.
    #[error("larger than allowed")]
    TooLarge,
}

impl From<InflateError> for DecodeError {
    fn from(error: InflateError) -> Self {
        match error {
            InflateError::Invalid => Self::InvalidDeflate,
            InflateError::TooLarge => Self::MessageTooLarge,
        }
    }
}

/// The largest compressed form that a message of `max_message_bytes` may have: the worst case of
/// zlib's fixed codes (9 bits for a byte), and some flushes.
pub(crate) fn max_compressed_bytes(max_message_bytes: usize) -> usize {
    max_message_bytes.saturating_add(max_message_bytes / 8).saturating_add(64)
}

impl Inflater {
    /// Creates an inflater that allocates with its first message.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decompresses the payload of one message, as it was sent without its tail. Output stops to
    /// grow just beyond `max_bytes`.
    ///
    /// # Errors
    ///
    /// Broken or truncated data, and output of more than `max_bytes`.
    pub fn inflate(&mut self, payload: &[u8], max_bytes: usize) -> Result<&[u8], InflateError> {
        self.output.clear();
        self.output.shrink_to(KEPT_OUTPUT);
        let stream = self.stream.get_or_insert_with(|| Decompress::new(false));
        stream.reset(false);

        let mut rest = payload;
        while let Progress::Ended(behind) = feed(stream, rest, &mut self.output, max_bytes)? {
            // A final block (section 7.2.3.4) may end a part of the message or all of it. It has at
            // least ten bits, so each turn consumes something.
            if behind.is_empty() {
                return Ok(&self.output);
            }
            rest = behind;
            stream.reset(false);
        }
        let inflated = self.output.len();
        match feed(stream, &ENDING, &mut self.output, max_bytes)? {
            Progress::Ended([]) if self.output.len() == inflated => Ok(&self.output),
            _ => Err(InflateError::Invalid),
        }
    }
}

enum Progress<'p> {
    /// A final block ended before these bytes.
    Ended(&'p [u8]),
    /// All input is consumed.
    Open,
}

/// Inflates `input` to the end of `output`.
fn feed<'p>(
    stream: &mut Decompress,
    mut input: &'p [u8],
    output: &mut Vec<u8>,
    max_bytes: usize,
) -> Result<Progress<'p>, InflateError> {
    loop {
        if output.len() == output.capacity() {
            // One byte more than allowed, so that the excess shows.
            let wanted = output.len().max(input.len()).max(128);
            output.reserve_exact(wanted.min((max_bytes - output.len()).saturating_add(1)));
        }
        let consumed_before = stream.total_in();
        let status =
            stream.decompress_vec(input, output, FlushDecompress::None).map_err(|_| InflateError::Invalid)?;
        let consumed = (stream.total_in() - consumed_before) as usize;
        input = &input[consumed..];
        if output.len() > max_bytes {
            return Err(InflateError::TooLarge);
        }
        if status == Status::StreamEnd {
            return Ok(Progress::Ended(input));
        }
        // Room is left, so the inflater stopped for want of input.
        if output.len() < output.capacity() {
            return match (input.is_empty(), consumed) {
                (true, _) => Ok(Progress::Open),
                (false, 0) => Err(InflateError::Invalid),
                (false, _) => continue,
            };
        }
    }
}

/// Compresses messages, one after the other, for any number of connections.
#[derive(Debug)]
pub struct Deflater {
    stream: Compress,
    window_bits: u8,
    output: Vec<u8>,
}

impl Deflater {
    /// Creates a deflater of a level from 1 (fast) to 9 (small) and a window of 2^`window_bits`
    /// bytes, from 9 to 15; values outside are clamped.
    pub fn new(level: u32, window_bits: u8) -> Self {
        let window_bits = window_bits.clamp(9, 15);
        let level = Compression::new(level.clamp(1, 9));
        let stream = Compress::new_with_window_bits(level, false, window_bits);
        Self { stream, window_bits, output: Vec::new() }
    }

    /// The window in bits, to be compared with what a peer can receive:
    /// [`DeflateParams::can_receive`](crate::handshake::deflate::DeflateParams::can_receive).
    pub fn window_bits(&self) -> u8 {
        self.window_bits
    }

    /// Compresses one message and returns it without its tail, or `None` if that saves nothing.
    ///
    /// Resetting the state costs some 5 us whatever the size, so short messages are better not
    /// tried.
    pub fn deflate(&mut self, payload: &[u8]) -> Option<&[u8]> {
        self.output.clear();
        self.output.shrink_to(KEPT_OUTPUT);
        self.stream.reset();
        let mut rest = payload;
        loop {
            if self.output.len() == self.output.capacity() {
                self.output.reserve(rest.len() / 4 + 64);
            }
            let consumed_before = self.stream.total_in();
            self.stream.compress_vec(rest, &mut self.output, FlushCompress::Sync).ok()?;
            rest = &rest[(self.stream.total_in() - consumed_before) as usize..];
            if self.output.len() >= payload.len() + TAIL.len() {
                return None;
            }
            if rest.is_empty() && self.output.len() < self.output.capacity() {
                return self.output.strip_suffix(&TAIL);
            }
        }
    }
}
