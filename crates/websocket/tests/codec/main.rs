//! The codec as its users see it: bytes in, frames out.

#[cfg(feature = "client")]
mod client;
mod decode_rules;
mod deflate;
mod differential;
mod encode;
mod handshake;
mod memory;
mod properties;
mod support;
