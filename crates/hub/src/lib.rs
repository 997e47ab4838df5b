//! The rules of rooms. Pure: time, seeds and the answers of a store are arguments.
//!
//! Reading order:
//!
//! 1. [`hub`]: the rooms of one shard; [`Input`]s go in, [`Effect`]s come out.
//! 2. [`room`]: one room, its members, its position and [`room::Room::deliver`], the one door that
//!    every event passes.
//! 3. [`session`]: what one connection may do, checked before a command reaches a room.
//! 4. [`rights`]: what credentials, configuration and roles allow in a room.
//! 5. [`filter`]: words that may not be said.
//! 6. [`kind`]: what differs between kinds of rooms.

pub mod effect;
pub mod filter;
pub mod hub;
pub mod input;
pub mod kind;
pub mod limits;
pub mod log;
pub mod rights;
pub mod room;
pub mod rules;
pub mod scope;
pub mod session;
#[cfg(test)]
mod sizes;

pub use effect::{Effect, ShardSet, StoreRequest, Ticket};
pub use hub::Hub;
pub use input::{ConnId, Input, Now};
pub use rules::Rules;
pub use session::Session;
