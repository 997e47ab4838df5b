//! What a room wants done.

use std::sync::Arc;

use compact_str::CompactString;
use parlour_protocol::command::HistoryQuery;
use parlour_protocol::event::{Event, Reply, Reported};
use parlour_protocol::{Refusal, RequestId, RoomName, Seq, UserId};

use crate::input::{Caller, ConnId, Input, Lag};
use crate::log::{Draft, Record, Span};

/// Something that the shell carries out, in the order given.
#[expect(missing_docs, reason = "each variant's text names its fields")]
#[derive(Debug)]
pub enum Effect {
    /// Tells one connection something.
    Send { to: ConnId, reply: Reply },
    /// Answers with `joined` or `page`, then tells the replay; if that ends at the room's position,
    /// puts the connection on the room's list.
    ///
    /// Events that are broadcast after it is on the list reach the connection; earlier ones are in
    /// the replay. That is the whole seam between history and live.
    Attach { to: ConnId, room: RoomName, answer: Box<Event>, request: Caller, replay: Replayed },
    /// Tells a slow connection the news, then what its shard has left out after `after`; if that ends
    /// at the room's position, the shard puts it on the list again.
    ///
    /// Void if it is on the list by now, or if not all after `after` was left out.
    CatchUp { to: ConnId, room: RoomName, after: Seq, news: Vec<Event>, replay: Replayed },
    /// Tells a connection that what it wanted stored was not.
    Fail {
        to: ConnId,
        room: RoomName,
        request: Option<RequestId>,
        cid: Option<CompactString>,
        refusal: Refusal,
    },
    /// Takes a connection off the room's list and tells it `left`, or why it could not enter.
    Detach { from: ConnId, room: RoomName, request: Caller, refusal: Option<Refusal> },
    /// Takes a connection off the room's list because its user may no longer be there.
    Expel { from: ConnId, room: RoomName },
    /// Tells every connection on the room's list.
    Broadcast { room: RoomName, shards: ShardSet, event: Arc<Event> },
    /// Tells every connection of the participants of a private conversation.
    ToUsers { users: (UserId, UserId), event: Arc<Event> },
    /// Tells one connection what it had not read of a private conversation; everything up to
    /// `upto` is in `events`, or need not be told. 0 if the store could not be asked.
    Unread { to: ConnId, room: RoomName, upto: Seq, events: Vec<Arc<Event>> },
    /// Asks the store; the answer comes back as an input of the same room.
    Store { room: RoomName, request: StoreRequest },
    /// The first user has come into the room, or the last one has gone for good; what was said up to
    /// `position` was said before. Only where [`crate::Rules::tells_occupancy`] says so.
    Occupancy { room: RoomName, is_occupied: bool, position: Seq },
    /// The room has left memory.
    Vacated { room: RoomName },
    /// Notes in the audit log what somebody did to others. Once, on the node that stored it.
    Audit(Box<Deed>),
}

/// What a moderator or an owner did: a role, a sanction, or a deletion by somebody who may erase
/// messages of others.
#[derive(Debug, Clone, PartialEq)]
pub struct Deed {
    /// Where.
    pub room: RoomName,
    /// The entry: who, when, to whom or what, why.
    pub record: Record,
}

/// What a room wants of the store.
#[expect(missing_docs, reason = "each variant's text names its fields")]
#[derive(Debug)]
pub enum StoreRequest {
    /// The ends of the log and its last records; answered by `Input::Opened`.
    Open { durable: bool, tail: u32 },
    /// Storing a message; answered by `Input::Appended`.
    Append { caller: Caller, draft: Draft },
    /// Records; answered by `Input::Fetched`.
    Read { span: Span, limit: u32, ticket: Ticket },
    /// Where a cid is stored; answered by `Input::Found`.
    Find { caller: Caller, cid: CompactString },
    /// As much time as it takes to find out that a room does not exist; answered by `Input::Late`.
    Detour { input: Box<Input> },
    /// The reports of the room ([`report_key`]); answered by `Input::Inquired`.
    Reports { caller: Caller, inquiry: Inquiry },
    /// Small documents; not answered.
    Put { documents: Vec<Document> },
}

/// Why the reports of a room are read.
#[derive(Debug, Clone, PartialEq)]
pub enum Inquiry {
    /// To list them.
    List,
    /// To add one, if there are not too many.
    Report(Reported),
    /// To delete those of a message.
    Resolve(Seq),
}

/// Most reports of a room that nobody has dealt with.
pub const REPORTS: u32 = 1_000;

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

/// Returns the key of a user's cursors among those of a room; with an empty user the prefix of all.
#[must_use]
pub fn cursor_key(room: &RoomName, user: &str) -> String {
    format!("cursor{DOCUMENT_SEPARATOR}{room}{DOCUMENT_SEPARATOR}{user}")
}

/// Returns the key of a user's report of a message, in the order of the messages.
#[must_use]
pub fn report_key(room: &RoomName, target: Seq, user: &str) -> String {
    format!("{}{:020}{DOCUMENT_SEPARATOR}{user}", reports_key(room), target.0)
}

/// Returns the prefix of the keys of all reports of a room.
#[must_use]
pub fn reports_key(room: &RoomName) -> String {
    format!("report{DOCUMENT_SEPARATOR}{room}{DOCUMENT_SEPARATOR}")
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
    /// A block of the log, for joins and resumes that the room's memory does not cover.
    Block(u64),
    /// A page of history.
    History { caller: Caller, query: HistoryQuery },
    /// Unread private messages.
    Inbox { caller: Caller },
    /// A hole between the room's position and an event.
    Heal,
}

/// Somebody who is being told the past.
#[derive(Debug, Clone)]
pub struct Replay {
    /// Who.
    pub caller: Caller,
    /// Why, and so how it ends.
    pub cause: Cause,
    /// The events read so far are complete up to this one.
    pub after: Seq,
    /// The events read so far.
    pub events: Vec<Arc<Event>>,
}

/// Why somebody is told the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It joins and wants the newest events.
    Join,
    /// It joins and wants all that it missed.
    Resume,
    /// It asks for the next part of what it missed.
    More,
    /// It was slow.
    Lag(Lag),
}

/// What a connection is told of the past.
#[derive(Debug, Default)]
pub struct Replayed {
    /// The events, oldest first.
    pub events: Vec<Arc<Event>>,
    /// How far the connection has been told with them.
    pub upto: Seq,
    /// Whether live events follow.
    pub is_live: bool,
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
