//! One binary for all integration tests of the server: they link once.

mod admission;
mod bad_frames;
mod bad_handshake;
mod chat;
mod drain;
mod faults;
mod footprint;
mod harness;
mod heartbeat;
mod interleaving;
mod lifecycle;
mod limits;
mod observe;
mod presence;
mod private;
mod slow;
mod store;
mod text;
