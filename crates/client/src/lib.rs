//! Rust SDK for Parlour: connect, join, publish, and stay connected.
//!
//! ```no_run
//! use parlour_client::{Client, Event, JoinOptions, Update};
//!
//! # async fn example() -> Result<(), parlour_client::Error> {
//! let (client, mut updates) = Client::builder("ws://127.0.0.1:8080/ws").user("Alice").connect().await?;
//! client.join("general", JoinOptions::default()).await?;
//! client.publish("general", "hello").await?;
//! while let Some(update) = updates.next().await {
//!     if let Update::Event(Event::Message(message)) = update {
//!         println!("{}: {}", message.sender, message.text);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! What it promises:
//!
//! - After a lost connection it comes back by itself, at a random moment of the window that the
//!   server gives, and enters its rooms again. Every entry of a room, be it a message or a change,
//!   is handed out once and in order; what cannot be had any more is named by [`Update::Missed`] or
//!   [`Update::Rewound`]. What was missed for long comes in pages, the next one when the reader has
//!   got the last ([`Update::Behind`]).
//! - [`Client::cursors`] and [`Builder::resume_from`] do the same over a restart of the program.
//! - What is said is repeated under the same `cid` after a lost connection, and when the server
//!   asks for patience: it is stored once, and in the order of its saying within a room. Other
//!   requests fail with [`Error::Disconnected`].
//! - Every queue is bounded. Whoever does not read [`Updates`] stops the socket after
//!   [`Builder::capacity`] of them, and then also waits for answers: read them in a task of their
//!   own, or drop them.
//! - One task per client. [`Client::close`] waits for its end.
//!
//! Reading order: `builder`, `client` (the requests), `driver` (the task), `track` (gap-free rooms),
//! `conversation` (a room as it is now).

mod backoff;
mod builder;
mod client;
mod conversation;
mod driver;
mod entry;
mod error;
mod link;
mod pending;
mod token;
mod track;
mod transport;
mod update;

pub use builder::{Builder, Encoding};
pub use client::{Client, JoinOptions, Page};
pub use conversation::{Conversation, Spoken};
pub use error::{Error, Lost};
pub use parlour_protocol::command::{Availability, Command, Draft, Publish};
pub use parlour_protocol::content::{Details, Role, Settings, Tally};
pub use parlour_protocol::event::{
    Change, Event, Found, HistoryPage, Hit, Joined, Member, MemberList, Message, MessageStatus,
    PrivateMessage, Receipt, Receipts, RoomInfo, RoomSummary, Status, Stored, Welcome,
};
pub use parlour_protocol::{Epoch, ErrorCode, Position, Refusal, RoomName, Seq, UserId};
pub use update::{Update, Updates};
