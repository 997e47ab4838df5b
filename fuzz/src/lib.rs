//! What must hold for any bytes that a peer sends.

pub mod identity;
pub mod protocol;
pub mod websocket;
