//! WebSocket framing (RFC 6455) and permessage-deflate (RFC 7692): bytes in, frames out.
//!
//! The codec does no I/O and owns no buffers while a connection is idle. A server reads into one
//! buffer per thread and shows it to the [`Decoder`] of the connection that was readable; whole
//! messages are unmasked in place and lent back, only an incomplete rest is kept:
//!
//! ```
//! use parlour_websocket::{Decoder, Frame, Inflater, Limits, Role, encode};
//!
//! let mut read_buffer = Vec::new();
//! encode::masked_frame(&mut read_buffer, parlour_websocket::Opcode::Text, b"hello", [1, 2, 3, 4]);
//!
//! let mut inflater = Inflater::new(); // one per thread
//! let mut decoder = Decoder::new(Role::Server, false); // one per connection
//! let mut input = &mut read_buffer[..];
//! while let Some(frame) = decoder.decode(&mut input, &Limits::default(), &mut inflater)? {
//!     assert_eq!(frame, Frame::Text("hello"));
//! }
//! assert!(!decoder.is_mid_message());
//! # Ok::<(), parlour_websocket::DecodeError>(())
//! ```
//!
//! Frames of a server are not masked, so bytes written by [`encode`] once may be sent to any number
//! of receivers. Context takeover is never negotiated ([`handshake::deflate`]), so this also holds
//! for compressed frames, and one [`Inflater`] and one [`Deflater`] serve every connection of a
//! thread.
//!
//! Where to read next: `header` (the first bytes of a frame), `decoder` (the journey of the input),
//! `pending` (what is kept of an incomplete message), [`encode`], [`handshake`]; the
//! feature `client` adds the one async part, a stream for clients.

pub mod close;
pub mod encode;
pub mod handshake;
pub mod mask;

#[cfg(feature = "client")]
pub mod client;

mod decoder;
mod deflate;
mod error;
mod header;
mod pending;

pub use decoder::{Decoder, Frame, Limits, Role};
pub use deflate::{Deflater, InflateError, Inflater};
pub use error::DecodeError;
pub use header::Opcode;
