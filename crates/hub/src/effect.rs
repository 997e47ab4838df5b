//! What a room wants done.

use std::sync::Arc;

use parlour_protocol::command::HistoryQuery;
use parlour_protocol::event::{Event, Joined, Reply};
use parlour_protocol::{Refusal, RoomName, Seq, UserId};

use crate::input::{Caller, ConnId};
use crate::log::Draft;

/// Something that the shell carries out, in the order given.
#[expect(missing_docs, reason = "each variant's text names its fields")]
#[derive(Debug)]
pub enum Effect {
    /// Tells one connection something.
    Send { to: ConnId, reply: Reply },
    /// Puts a connection on the room's list, tells it `joined`, then the replay.
    ///
    /// Events that are broadcast after this effect reach the connection; earlier ones are in the
    /// replay. That is the whole seam between history and live.
    Attach { to: ConnId, room: RoomName, joined: Box<Joined>, request: Caller, replay: Vec<Arc<Event>> },
    /// Takes a connection off the room's list and tells it `left`, or why it could not enter.
    Detach { from: ConnId, room: RoomName, request: Caller, refusal: Option<Refusal> },
    /// Tells every connection on the room's list.
    Broadcast { room: RoomName, shards: ShardSet, event: Arc<Event> },
    /// Tells every connection of the participants of a private conversation.
    ToUsers { users: (UserId, UserId), event: Arc<Event> },
    /// Tells one connection what it had not read of a private conversation; everything up to
    /// `upto` is in `events`, or need not be told. 0 if the store could not be asked.
    Unread { to: ConnId, room: RoomName, upto: Seq, events: Vec<Arc<Event>> },
    /// Asks the store; the answer comes back as an input of the same room.
    Store { room: RoomName, request: StoreRequest },
    /// The room has left memory.
    Vacated { room: RoomName },
}

/// What a room wants of the store.
#[expect(missing_docs, reason = "each variant's text names its fields")]
#[derive(Debug)]
pub enum StoreRequest {
    /// The ends of the log and its last records; answered by `Input::Opened`.
    Open { durable: bool, tail: u32 },
    /// Storing a message; answered by `Input::Appended`.
    Append { caller: Caller, draft: Draft },
    /// Records newer than `after`; answered by `Input::Fetched`.
    After { after: Seq, limit: u32, ticket: Ticket },
    /// Records older than `before`, the newest of them; answered by `Input::Fetched`.
    Before { before: Seq, limit: u32, ticket: Ticket },
    /// Small documents; not answered.
    Put { documents: Vec<Document> },
}

/// A small value under a key. An empty value deletes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Parts separated by [`DOCUMENT_SEPARATOR`], at most 512 bytes in all.
    pub key: String,
    /// At most 64 KiB.
    pub value: Vec<u8>,
}

/// Separates the parts of a document's key; no name contains it.
pub const DOCUMENT_SEPARATOR: char = '\u{1f}';

/// Returns the key of a user's read cursor in a room.
#[must_use]
pub fn read_cursor_key(user: &UserId, room: &str) -> String {
    format!("read{DOCUMENT_SEPARATOR}{user}{DOCUMENT_SEPARATOR}{room}")
}

/// Returns the key of a user's last activity in a room; with an empty user the prefix of all.
#[must_use]
pub fn seen_key(room: &RoomName, user: &str) -> String {
    format!("seen{DOCUMENT_SEPARATOR}{room}{DOCUMENT_SEPARATOR}{user}")
}

/// Why records were asked for.
#[expect(missing_docs, reason = "each variant's text names its fields")]
#[derive(Debug, Clone)]
pub enum Ticket {
    /// A join or resume that the room's memory does not cover.
    Replay(Box<Replay>),
    /// A page of history.
    History { caller: Caller, query: HistoryQuery },
    /// Unread private messages.
    Inbox { caller: Caller },
    /// A hole between the room's position and an event.
    Heal,
}

/// A join that waits for records.
#[derive(Debug, Clone)]
pub struct Replay {
    /// Who joins.
    pub caller: Caller,
    /// Whether the client resumes.
    pub resumes: bool,
    /// The records read so far are complete up to this one.
    pub after: Seq,
    /// The records read so far.
    pub events: Vec<Arc<Event>>,
}

/// A set of shards: those with members of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ShardSet(u64);

impl ShardSet {
    /// Most shards of a node.
    pub const MAX: usize = 64;

    /// Adds a shard.
    pub fn insert(&mut self, shard: u16) {
        self.0 |= 1 << shard;
    }

    /// Removes a shard.
    pub fn remove(&mut self, shard: u16) {
        self.0 &= !(1 << shard);
    }

    /// Whether no shard is in the set.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Lists the shards in ascending order.
    pub fn iter(self) -> impl Iterator<Item = u16> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let shard = rest.trailing_zeros();
            rest &= rest.checked_sub(1)?;
            u16::try_from(shard).ok()
        })
    }
}
