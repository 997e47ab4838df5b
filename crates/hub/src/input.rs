//! What can happen to a room.

use std::sync::Arc;

use compact_str::CompactString;
use parlour_protocol::command::{HistoryQuery, SetPresence};
use parlour_protocol::{ErrorCode, Position, RequestId, Seq, UserId};

use crate::effect::{Document, Ticket};
use crate::log::{Draft, Head, Record, Stored};
use parlour_protocol::Epoch;

/// The time, as the caller sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Milliseconds since the process began; never goes back. Deadlines use only this.
    pub mono_ms: u64,
    /// Milliseconds since the Unix epoch; may jump. Only shown to people.
    pub wall_ms: i64,
}

/// Names a connection of this node. A slot is used again with another generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId {
    /// The shard that the connection lives on.
    pub shard: u16,
    /// Its place there.
    pub slot: u32,
    /// Which of the connections that had this place.
    pub generation: u32,
}

/// Who asks, and where the answer goes.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The connection.
    pub conn: ConnId,
    /// Its user.
    pub user: UserId,
    /// The request to answer, if the client gave one.
    pub request: Option<RequestId>,
}

/// Something that happens to one room.
#[expect(missing_docs, reason = "each variant's text names its fields")]
#[derive(Debug)]
pub enum Input {
    /// A connection enters.
    Join { caller: Caller, since: Option<Position>, history: u32, presence: SetPresence },
    /// A connection leaves by command.
    Leave { caller: Caller },
    /// A connection ended.
    Detach { conn: ConnId, user: UserId, ending: Ending },
    /// Somebody says something. In a private conversation the participants need not have joined.
    Publish { caller: Caller, cid: Option<CompactString>, text: Arc<str> },
    /// Somebody starts or stops typing.
    Typing { caller: Caller, active: bool },
    /// A connection sets its presence.
    Presence { caller: Caller, presence: SetPresence },
    /// Somebody asks who is here.
    Members { caller: Caller },
    /// Somebody asks for a page of history.
    History { caller: Caller, query: HistoryQuery },
    /// Somebody has read up to a message.
    Read { caller: Caller, seq: Seq },
    /// A user came online and wants what they have not read of this private conversation.
    Inbox { caller: Caller, read: Seq },
    /// The store has opened the room.
    Opened(Opened),
    /// The store has decided about a draft.
    Appended { caller: Caller, draft: Draft, outcome: Result<Stored, ErrorCode> },
    /// The store has read records.
    Fetched { ticket: Ticket, records: Result<Vec<Record>, ErrorCode> },
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The client said goodbye: others are told at once.
    Deliberate,
    /// The connection was lost: others are told if it has not come back within the grace period.
    Lost,
}

/// What the store knows of a room.
#[derive(Debug)]
pub struct Opened {
    /// The log's ends and newest records; `None` for a room without a log.
    pub log: Result<Option<(Head, Vec<Record>)>, ErrorCode>,
    /// Who was here lately ([`crate::room`] writes them).
    pub seen: Vec<Document>,
    /// Random lineage for a room without a log.
    pub new_epoch: Epoch,
}
