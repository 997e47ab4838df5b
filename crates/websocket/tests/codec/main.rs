//! The codec as its users see it: bytes in, frames out.

mod decode_rules;
mod deflate;
mod differential;
mod encode;
mod handshake;
mod memory;
mod properties;
mod support;
