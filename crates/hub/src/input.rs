//! What can happen to a room.

use std::sync::Arc;

use compact_str::CompactString;
use parlour_protocol::command::{HistoryQuery, SetPresence};
use parlour_protocol::content::Settings;
use parlour_protocol::{Epoch, ErrorCode, Position, Refusal, RequestId, RoomName, Seq, UserId};

use crate::effect::{Document, Inquiry, Ticket};
use crate::log::{Draft, Head, NewEntry, Record, Snapshot, Stored};
use crate::rights::{Grants, Rights};

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

impl ConnId {
    /// The shard of those who ask without a connection: they are in no room, ask once, and need not have
    /// joined.
    pub const DESK: u16 = u16::MAX;

    /// Whether somebody asks without a connection.
    #[must_use]
    pub fn is_desk(self) -> bool {
        self.shard == Self::DESK
    }
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
    /// What the credentials allow beyond what everybody may.
    pub grants: Option<Arc<Grants>>,
}

impl Caller {
    /// Returns what the credentials allow in a room.
    #[must_use]
    pub fn rights_in(&self, room: &RoomName) -> Rights {
        self.grants.as_ref().map_or(Rights::NONE, |grants| grants.in_room(room))
    }
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
    /// Somebody says or changes something: 1 to 64 entries, all or none. In a private conversation
    /// the participants need not have joined.
    Publish { caller: Caller, entries: Vec<NewEntry> },
    /// Somebody creates a room, to be its owner.
    Create { caller: Caller, settings: Settings, cid: Option<CompactString> },
    /// Somebody starts or stops typing.
    Typing { caller: Caller, active: bool },
    /// A connection has new credentials, which may allow less.
    Recheck { caller: Caller },
    /// A connection sets its presence.
    Presence { caller: Caller, presence: SetPresence },
    /// Somebody asks who is here.
    Members { caller: Caller },
    /// Somebody asks for a page of history.
    History { caller: Caller, query: HistoryQuery },
    /// Somebody has read up to an event, or got the events up to it.
    Advance { caller: Caller, seq: Seq, cursor: CursorKind },
    /// Somebody asks how far the members have got.
    Receipts { caller: Caller, seq: Seq },
    /// Somebody tells the moderators of a message.
    Report { caller: Caller, target: Seq, reason: Option<CompactString> },
    /// Somebody asks what was reported.
    Reports { caller: Caller },
    /// Somebody has dealt with what was reported of a message.
    Resolve { caller: Caller, target: Seq },
    /// Somebody asks for title, topic, roles, pins and sanctions.
    Info { caller: Caller },
    /// Somebody wants to know as soon as there is an entry after this one, or at that time.
    Watch { caller: Caller, after: Seq, until_ms: u64 },
    /// A connection that is still behind asks for the next part of what it missed.
    More { caller: Caller },
    /// The socket of a slow connection takes more again, and its shard wants what it has left out.
    /// Answered by `Effect::CatchUp`, unless the connection has left, or asks with `more` by now.
    CatchUp { caller: Caller, lag: Lag },
    /// Somebody asks where a cid is stored.
    Status { caller: Caller, cid: CompactString },
    /// A user came online and wants what they have not read of this private conversation.
    Inbox { caller: Caller, read: Seq },
    /// The store has opened the room.
    Opened(Opened),
    /// The store has decided about a draft.
    Appended { caller: Caller, draft: Draft, outcome: Result<Stored, Refusal> },
    /// The store has read records.
    Fetched { ticket: Ticket, records: Result<Vec<Record>, ErrorCode> },
    /// The store has looked for a cid.
    Found { caller: Caller, cid: CompactString, found: Result<Option<Stored>, ErrorCode> },
    /// What somebody asked for whom the room does not exist; as much time has gone by as if it did not.
    Late(Box<Input>),
    /// The store has read the reports.
    Inquired { caller: Caller, inquiry: Inquiry, found: Result<Vec<Document>, ErrorCode> },
    /// The ends of the log as the store has them now: retention, another node or a restored backup
    /// may have moved them.
    Surveyed { ends: Head },
    /// What a user said was erased from the store; `alias` stands in the place of the name.
    Erased { user: UserId, alias: UserId },
}

impl Input {
    /// Returns who asks something that strangers may ask too.
    #[must_use]
    pub fn asker(&self) -> Option<&Caller> {
        match self {
            Self::Join { caller, .. }
            | Self::History { caller, .. }
            | Self::Info { caller }
            | Self::Status { caller, .. }
            | Self::Report { caller, .. }
            | Self::Reports { caller }
            | Self::Watch { caller, .. }
            | Self::Resolve { caller, .. } => Some(caller),
            _ => None,
        }
    }
}

/// Which of a member's cursors moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CursorKind {
    /// What the user has seen.
    Read,
    /// What has arrived at one of the user's devices.
    Delivered,
}

/// What a shard has not given to one of its connections, whose socket was slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// All entries after this one.
    pub after: Seq,
    /// Whether there were notices, too: of who came and went, and of how far members have got.
    pub missed_notices: bool,
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
    pub log: Result<Option<Snapshot>, ErrorCode>,
    /// Who was here lately ([`crate::room`] writes them).
    pub seen: Vec<Document>,
    /// How far its members have got ([`crate::room`] writes them).
    pub cursors: Vec<Document>,
    /// Random lineage for a room without a log.
    pub new_epoch: Epoch,
}

impl Opened {
    /// A room that the store does not know.
    #[must_use]
    pub fn nothing(new_epoch: Epoch) -> Self {
        Self { log: Ok(None), seen: Vec::new(), cursors: Vec::new(), new_epoch }
    }
}
