//! What clients may say.

mod change;
mod query;
mod session;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

pub use self::change::{
    Batch, Configure, Delete, Draft, Edit, Pin, Private, Publish, React, Report, Resolve, SetRole,
    SetSanction,
};
pub use self::query::{Cursor, HistoryQuery, InRoom, Search, StatusQuery};
pub use self::session::{Availability, Hello, Join, Resume, SetPresence, Typing};

/// A client's own number or text for a request; the answer carries it back unchanged.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RequestId {
    /// A whole number. The binary dialect has only these, up to 2^32-1.
    Number(u64),
    /// A text of 1 to 64 bytes.
    Text(CompactString),
}

/// One command with its request id.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Absent only for commands without an answer ([`Command::has_answer`]).
    pub id: Option<RequestId>,
    /// What is asked.
    pub command: Command,
}

/// The closed vocabulary of clients.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Introduces the client; answered by `welcome`.
    Hello(Hello),
    /// Enters a room; answered by `joined`, followed by the replayed messages.
    Join(Join),
    /// Leaves a room; answered by `left`.
    Leave(InRoom),
    /// Says something in a room; answered by `ack` after it is stored.
    Publish(Publish),
    /// Says something to one user; answered by `ack` after it is stored.
    Private(Private),
    /// Starts or stops a typing notice; has no answer.
    Typing(Typing),
    /// Sets one's own presence; answered by `ack`.
    Presence(SetPresence),
    /// Asks who is in a room; answered by `members`.
    Members(InRoom),
    /// Asks for a page of stored messages; answered by `history`.
    History(HistoryQuery),
    /// Asks for one's rooms and the open ones; answered by `rooms`.
    Rooms,
    /// Moves one's read cursor; answered by `ack`.
    Read(Cursor),
    /// Moves one's cursor of what has arrived; answered by `ack`.
    Delivered(Cursor),
    /// Says up to 64 messages at once, all or none; answered by one `ack`.
    Batch(Batch),
    /// Replaces the text of one's own message; answered by `ack`.
    Edit(Edit),
    /// Erases a message; answered by `ack`.
    Delete(Delete),
    /// Adds or takes back a reaction; answered by `ack`.
    React(React),
    /// Pins or unpins a message; answered by `ack`.
    Pin(Pin),
    /// Asks where a message is stored; answered by `status`.
    Status(StatusQuery),
    /// Creates a room with an owner; answered by `ack`.
    Create(Configure),
    /// Changes a room's title, topic, privacy or pace; answered by `ack`.
    Configure(Configure),
    /// Gives a user a role in a room, or takes it; answered by `ack`.
    Role(SetRole),
    /// Puts a user out, silences or bans one, or takes that back; answered by `ack`.
    Sanction(Box<SetSanction>),
    /// Tells the moderators of a message; answered by `ack`.
    Report(Report),
    /// Asks what was reported; answered by `reports`.
    Reports(InRoom),
    /// Takes the reports of a message off the list; answered by `ack`.
    Resolve(Resolve),
    /// Asks for a room's title, topic, roles, sanctions and pins; answered by `info`.
    Info(InRoom),
    /// Asks for the next part of what was missed; answered by `page`.
    More(InRoom),
    /// Asks how far the members have got; answered by `receipts`.
    Receipts(Cursor),
    /// Looks for words in messages; answered by `found`.
    Search(Search),
    /// Asks for a sign of life; answered by `pong`.
    Ping,
}

impl Command {
    /// Whether the server answers this command, and so whether it needs a request id.
    #[must_use]
    pub fn has_answer(&self) -> bool {
        !matches!(self, Self::Typing(_))
    }

    /// Returns the name of the command in the JSON dialect and in metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "hello",
            Self::Join(_) => "join",
            Self::Leave(_) => "leave",
            Self::Publish(_) => "publish",
            Self::Private(_) => "private",
            Self::Typing(_) => "typing",
            Self::Presence(_) => "presence",
            Self::Members(_) => "members",
            Self::History(_) => "history",
            Self::Rooms => "rooms",
            Self::Read(_) => "read",
            Self::Delivered(_) => "delivered",
            Self::Batch(_) => "batch",
            Self::Edit(_) => "edit",
            Self::Delete(_) => "delete",
            Self::React(_) => "react",
            Self::Pin(_) => "pin",
            Self::Status(_) => "status",
            Self::Create(_) => "create",
            Self::Configure(_) => "configure",
            Self::Role(_) => "role",
            Self::Sanction(_) => "sanction",
            Self::Report(_) => "report",
            Self::Reports(_) => "reports",
            Self::Resolve(_) => "resolve",
            Self::Info(_) => "info",
            Self::More(_) => "more",
            Self::Receipts(_) => "receipts",
            Self::Search(_) => "search",
            Self::Ping => "ping",
        }
    }
}
