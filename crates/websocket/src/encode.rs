//! Bytes of frames. Everything appends to a buffer, so that many frames can go out in one write.
//!
//! All frames are whole messages: nothing here fragments.

use crate::{Deflater, Opcode, close, mask};

/// The longest header of a frame without a mask, in bytes.
pub const MAX_HEADER: usize = 10;

/// Returns the header of an unmasked frame, and how many of the bytes it has. `rsv1` marks a
/// compressed payload (RFC 7692 section 6).
pub fn header_bytes(opcode: Opcode, payload_bytes: usize, rsv1: bool) -> ([u8; MAX_HEADER], usize) {
    let mut bytes = [0; MAX_HEADER];
    bytes[0] = 0x80 | (u8::from(rsv1) << 6) | opcode as u8;
    let length = match payload_bytes {
        0..=125 => {
            bytes[1] = payload_bytes as u8;
            2
        }
        126..=0xffff => {
            bytes[1] = 126;
            bytes[2..4].copy_from_slice(&(payload_bytes as u16).to_be_bytes());
            4
        }
        _ => {
            bytes[1] = 127;
            bytes[2..].copy_from_slice(&(payload_bytes as u64).to_be_bytes());
            MAX_HEADER
        }
    };
    (bytes, length)
}

/// Appends the header of an unmasked frame.
pub fn header(out: &mut Vec<u8>, opcode: Opcode, payload_bytes: usize, rsv1: bool) {
    let (bytes, length) = header_bytes(opcode, payload_bytes, rsv1);
    out.extend_from_slice(&bytes[..length]);
}

/// Writes the header of the payload `buffer[payload_at..]` right in front of it, and returns where
/// the frame begins. Whoever builds a payload in place leaves [`MAX_HEADER`] bytes free before it.
///
/// # Panics
///
/// If `payload_at` is less than the header is long, or beyond the end of the buffer.
pub fn header_before(buffer: &mut [u8], payload_at: usize, opcode: Opcode) -> usize {
    let (bytes, length) = header_bytes(opcode, buffer.len() - payload_at, false);
    let start = payload_at - length;
    buffer[start..payload_at].copy_from_slice(&bytes[..length]);
    start
}

/// Appends an unmasked frame, as servers send it.
pub fn frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    out.reserve(MAX_HEADER + payload.len());
    header(out, opcode, payload.len(), false);
    out.extend_from_slice(payload);
}

/// Appends an unmasked compressed message, or a plain one where compression saves nothing.
pub fn compressed_frame(out: &mut Vec<u8>, deflater: &mut Deflater, opcode: Opcode, payload: &[u8]) {
    match deflater.deflate(payload) {
        Some(compressed) => {
            out.reserve(MAX_HEADER + compressed.len());
            header(out, opcode, compressed.len(), true);
            out.extend_from_slice(compressed);
        }
        None => frame(out, opcode, payload),
    }
}

/// Appends a masked frame, as clients send it. The key must not be predictable for whoever chose
/// the payload (RFC 6455 section 10.3).
pub fn masked_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], key: [u8; 4]) {
    masked(out, opcode, payload, key, false);
}

/// Appends a masked compressed message, or a plain one where compression saves nothing.
pub fn masked_compressed_frame(
    out: &mut Vec<u8>,
    deflater: &mut Deflater,
    opcode: Opcode,
    payload: &[u8],
    key: [u8; 4],
) {
    match deflater.deflate(payload) {
        Some(compressed) => masked(out, opcode, compressed, key, true),
        None => masked(out, opcode, payload, key, false),
    }
}

fn masked(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], key: [u8; 4], rsv1: bool) {
    let (mut bytes, length) = header_bytes(opcode, payload.len(), rsv1);
    bytes[1] |= 0x80;
    out.reserve(length + key.len() + payload.len());
    out.extend_from_slice(&bytes[..length]);
    out.extend_from_slice(&key);
    let payload_at = out.len();
    out.extend_from_slice(payload);
    mask::apply(&mut out[payload_at..], key);
}

/// Appends an unmasked close frame. The reason is cut to [`close::MAX_REASON`] bytes at a character
/// boundary.
pub fn close(out: &mut Vec<u8>, code: u16, reason: &str) {
    frame(out, Opcode::Close, &close_payload(code, reason));
}

/// Returns the payload of a close frame, for those who mask it.
pub fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(close::fit_reason(reason).as_bytes());
    payload
}

/// Appends an unmasked ping of at most 125 bytes; longer payloads are cut.
pub fn ping(out: &mut Vec<u8>, payload: &[u8]) {
    frame(out, Opcode::Ping, &payload[..payload.len().min(125)]);
}

/// Appends an unmasked pong of at most 125 bytes; longer payloads are cut.
pub fn pong(out: &mut Vec<u8>, payload: &[u8]) {
    frame(out, Opcode::Pong, &payload[..payload.len().min(125)]);
}
