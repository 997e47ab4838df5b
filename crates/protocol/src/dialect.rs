//! How commands and events are spelled on the wire.
//!
//! A dialect is stateless: the same event gives the same bytes for every connection, so one
//! encoding serves a whole room.

pub mod binary;
pub mod json;
pub mod text;

mod check;

use crate::command::{Command, Request, RequestId};
use crate::error::Refusal;
use crate::event::{Event, Reply};
use crate::name::RoomName;

/// A message as it came out of the WebSocket layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Payload<'a> {
    /// A text message, valid UTF-8.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
}

/// A command that was not understood, with the request id if that much was readable.
#[derive(Debug, Clone, PartialEq)]
pub struct Misunderstood {
    /// The request id, if one was found.
    pub id: Option<RequestId>,
    /// What is wrong. A refusal with a close code ends the connection.
    pub refusal: Refusal,
}

/// Checks the rules of a command that no type can say, for one that came through no dialect.
///
/// # Errors
/// The same as if a dialect had read it.
pub fn check(command: &Command) -> Result<(), Refusal> {
    check::check(Some(&RequestId::Number(0)), command)
}

/// What a dialect may know of the connection that it reads from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Context<'a> {
    /// The room that plain text goes to.
    pub room: Option<&'a RoomName>,
}

/// What one incoming message means, one item per command in it.
pub type Decoded = Result<Request, Misunderstood>;

/// Why a client did not understand an event.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// A frame of a type that the dialect does not use.
    #[error("the frame has a type that this dialect does not use")]
    FrameType,
    /// An event of a newer server; skip it.
    #[error("an event that this version does not know")]
    Unknown,
    /// Not the JSON that the protocol says.
    #[error("malformed event: {0}")]
    Json(#[from] serde_json::Error),
    /// A field is not what the protocol says.
    #[error("malformed event: {}", .0.message)]
    Fields(Refusal),
}

/// Translates between bytes and the two vocabularies. Stateless.
pub trait Dialect: Sync {
    /// Reads the commands of one message, in order, and hands each to `each`.
    fn decode(&self, payload: Payload<'_>, context: Context<'_>, each: &mut dyn FnMut(Decoded));

    /// Appends the event of a room or a connection to `out` as one message.
    ///
    /// Appends nothing where the dialect has no words for the event.
    fn encode(&self, event: &Event, id: Option<&RequestId>, out: &mut Vec<u8>);

    /// Whether messages are sent in binary frames.
    fn is_binary(&self) -> bool;

    /// Joins the last encoded message to the one before it in the same frame, where the dialect
    /// allows several per frame: what must stand between two messages.
    fn separator(&self) -> Option<&'static [u8]>;
}

/// The closed set of dialects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum DialectId {
    /// Lines of plain text.
    Text,
    /// `parlour.json.v1`, one message per frame.
    Json,
    /// `parlour.json.v1` with `batch=ndjson`: messages of a frame are separated by line feeds.
    JsonLines,
    /// `parlour.bin.v1`.
    Binary,
}

impl DialectId {
    /// All dialects; `DialectId as usize` is the index.
    pub const ALL: [Self; 4] = [Self::Text, Self::Json, Self::JsonLines, Self::Binary];

    /// Returns the dialect's translator.
    #[must_use]
    pub fn dialect(self) -> &'static dyn Dialect {
        match self {
            Self::Text => &text::Text,
            Self::Json => &json::Json,
            Self::JsonLines => &json::JsonLines,
            Self::Binary => &binary::Binary,
        }
    }

    /// Returns the dialect for a WebSocket subprotocol.
    #[must_use]
    pub fn from_subprotocol(name: &str) -> Option<Self> {
        match name {
            "parlour.text.v1" => Some(Self::Text),
            "parlour.json.v1" => Some(Self::Json),
            "parlour.bin.v1" => Some(Self::Binary),
            _ => None,
        }
    }

    /// Returns the WebSocket subprotocol of the dialect.
    #[must_use]
    pub fn subprotocol(self) -> &'static str {
        match self {
            Self::Text => "parlour.text.v1",
            Self::Json | Self::JsonLines => "parlour.json.v1",
            Self::Binary => "parlour.bin.v1",
        }
    }

    /// Encodes one reply.
    pub fn encode(self, reply: &Reply, out: &mut Vec<u8>) {
        self.dialect().encode(&reply.event, reply.id.as_ref(), out);
    }
}
