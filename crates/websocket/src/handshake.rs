//! The opening handshake (RFC 6455 section 4) without its transport: keys, extensions, and the
//! client's side as text.

pub mod client;
pub mod deflate;
mod extensions;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha1::{Digest as _, Sha1};

/// Appended to the key before hashing (section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Returns the `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key` (section 4.2.2).
///
/// ```
/// use parlour_websocket::handshake::accept_key;
/// assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
pub fn accept_key(key: &str) -> String {
    BASE64_STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

/// Returns the `Sec-WebSocket-Key` of 16 random bytes (section 4.1).
pub fn key(nonce: [u8; 16]) -> String {
    BASE64_STANDARD.encode(nonce)
}

/// Tells whether `key` is 16 bytes in base64, as a `Sec-WebSocket-Key` must be (section 4.1).
pub fn validate_key(key: &str) -> bool {
    let mut nonce = [0; 18];
    key.len() == 24 && BASE64_STANDARD.decode_slice(key, &mut nonce) == Ok(16)
}
