//! What the hub and a store say to each other about a room's log.

use std::sync::Arc;

use compact_str::CompactString;
use parlour_protocol::{Epoch, RoomName, Seq, UserId};

/// A message that is to be stored. It has no position yet: the store assigns it in the commit.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// The room or private conversation.
    pub room: RoomName,
    /// The lineage that a room without a log begins with.
    pub new_epoch: Epoch,
    /// Who says it.
    pub sender: UserId,
    /// The sender's id of the message: the same (room, sender, cid) is stored once.
    pub cid: Option<CompactString>,
    /// What is said.
    pub body: Arc<str>,
    /// The wall clock: milliseconds since the Unix epoch. A store never goes back behind the
    /// room's last record.
    pub ts: i64,
}

/// A stored message.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its number in the room.
    pub seq: Seq,
    /// Who said it.
    pub sender: UserId,
    /// The sender's id of the message.
    pub cid: Option<CompactString>,
    /// What was said.
    pub body: Arc<str>,
    /// When it was stored.
    pub ts: i64,
}

/// The ends of a room's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The room's lineage.
    pub epoch: Epoch,
    /// The newest record.
    pub head: Seq,
    /// The oldest record that is still kept, less one.
    pub floor: Seq,
}

/// What became of a draft that the store accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// The room's lineage.
    pub epoch: Epoch,
    /// The record's number.
    pub seq: Seq,
    /// The record's time.
    pub ts: i64,
    /// Whether an earlier draft with the same cid and body had been stored already.
    pub dup: bool,
}
