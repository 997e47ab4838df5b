//! The words of Parlour: what clients may say, what they hear, and how each dialect spells it.
//!
//! This crate knows no socket, clock or store. Reading order:
//!
//! 1. [`name`]: room names and user ids, parsed once and valid ever after.
//! 2. [`position`]: where an event stands in its room.
//! 3. [`command`] and [`event`]: the two closed vocabularies; [`content`]: what a room keeps.
//! 4. [`error`]: the one table of errors and close codes.
//! 5. [`dialect`]: plain text, JSON and binary.

pub mod command;
pub mod content;
pub mod dialect;
pub mod error;
pub mod event;
pub mod limits;
pub mod name;
pub mod position;

pub use command::{Command, Request, RequestId};
pub use content::Content;
pub use error::{ErrorCode, Refusal};
pub use event::{Event, Reply};
pub use name::{RoomName, UserId};
pub use position::{Epoch, Position, Seq};
