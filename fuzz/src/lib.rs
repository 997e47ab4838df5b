//! What must hold for any bytes that a peer sends.

pub mod config;
pub mod hub;
pub mod identity;
pub mod protocol;
pub mod upgrade;
pub mod websocket;

/// How a shard turns commands into entries.
#[path = "../../crates/server/src/shard/entries.rs"]
mod entries;
/// What the hub's own tests play with: a store, and what a shell knows.
#[path = "../../crates/hub/tests/it"]
#[expect(dead_code, reason = "those tests need more of it")]
mod it {
    pub mod store;
    pub mod world;
}

use it::{store, world};
