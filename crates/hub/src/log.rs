//! What the hub and a store say to each other about a room's log.

use std::collections::BTreeMap;

use compact_str::CompactString;
use parlour_protocol::content::{Content, PinChange, Role, RoleChange, Sanction, SanctionKind, Settings};
use parlour_protocol::{Epoch, RoomName, Seq, UserId};

/// Entries that are to be stored, all or none, with consecutive numbers. They have no position yet:
/// the store assigns it in the commit.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// The room or private conversation.
    pub room: RoomName,
    /// The lineage that a room without a log begins with.
    pub new_epoch: Epoch,
    /// Who says it.
    pub sender: UserId,
    /// The wall clock: milliseconds since the Unix epoch. A store never goes back behind the
    /// room's last record.
    pub ts: i64,
    /// What only the commit can check.
    pub guard: Guard,
    /// 1 to 64 entries.
    pub entries: Vec<NewEntry>,
}

/// One entry of a [`Draft`].
#[derive(Debug, Clone, PartialEq)]
pub struct NewEntry {
    /// The sender's id of the entry: the same (room, sender, cid) is stored once.
    pub cid: Option<CompactString>,
    /// What it says. What the server sets in it (thread, count) is ignored.
    pub content: Content,
}

/// What the commit checks beside the rules that follow from the contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Guard {
    /// The sender may change only messages of its own.
    #[default]
    Author,
    /// The sender may also erase messages of others.
    Moderator,
    /// The room must have no log yet.
    NewRoom,
}

/// A stored entry, as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its number in the room.
    pub seq: Seq,
    /// Who said it.
    pub sender: UserId,
    /// The sender's id of the entry.
    pub cid: Option<CompactString>,
    /// When it was stored.
    pub ts: i64,
    /// What it says.
    pub content: Content,
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

/// Which records to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// Newer than this one, oldest first.
    After(Seq),
    /// Older than this one, the newest of them.
    Before(Seq),
    /// The messages of a thread that are newer than `after`, and its first message if that is;
    /// oldest first.
    Thread {
        /// The first message of the thread.
        root: Seq,
        /// Where the page before ended.
        after: Seq,
    },
}

/// A room as a store opens it.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The ends of its log.
    pub ends: Head,
    /// Its newest records, oldest first.
    pub tail: Vec<Record>,
    /// What its entries have made of it.
    pub state: RoomState,
}

impl Snapshot {
    /// A room that was never written.
    #[must_use]
    pub fn nothing(epoch: Epoch) -> Self {
        let ends = Head { epoch, head: Seq(0), floor: Seq(0) };
        Self { ends, tail: Vec::new(), state: RoomState::default() }
    }
}

/// What became of a draft that the store accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The room's lineage.
    pub epoch: Epoch,
    /// The time of the records.
    pub ts: i64,
    /// Whether an earlier draft with the same cids and contents had been stored already, or the
    /// reaction is there.
    pub dup: bool,
    /// One per entry.
    pub entries: Vec<Place>,
}

/// Where an entry was stored, and what the store knows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its number.
    pub seq: Seq,
    /// The first message of the thread that a message belongs to.
    pub thread: Option<Seq>,
    /// How many users have reacted like this now.
    pub count: u32,
}

/// Why a store refuses a draft; others of the same batch are not affected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A cid was used for another entry.
    #[error("the cid was used for another message")]
    Conflict,
    /// There is no message with the number of the target that could be changed or answered.
    #[error("there is no such message")]
    NoTarget,
    /// The message is somebody else's.
    #[error("the message is somebody else's")]
    NotAuthor,
    /// The room has a log already.
    #[error("the room exists already")]
    Exists,
    /// The message has as many different reactions, or the room as many pins, as may be.
    #[error("there are too many")]
    TooMany,
    /// The room, or the message that is meant, does not match its checksum.
    #[error("the room is damaged")]
    Corrupt,
}

/// What a room's entries have made of it: settings, roles, sanctions and pins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoomState {
    /// Title, topic, privacy and pace, as far as they were set.
    pub settings: Settings,
    /// Users with a role.
    pub roles: BTreeMap<UserId, Role>,
    /// Users who were silenced or banned, also those whose time is over until the next sanction.
    pub sanctions: BTreeMap<UserId, Sanction>,
    /// Pinned messages, in the order of their pinning.
    pub pins: Vec<Seq>,
}

impl RoomState {
    /// Takes over what an entry of this time changes.
    pub fn apply(&mut self, content: &Content, ts: i64) {
        match content {
            Content::Settings(change) => self.configure(change),
            Content::Role(RoleChange { user, role: Some(role) }) => {
                self.roles.insert(user.clone(), *role);
            }
            Content::Role(RoleChange { user, role: None }) => {
                self.roles.remove(user);
            }
            Content::Sanction(sanction) => self.sanction(sanction, ts),
            Content::Pin(PinChange { target, active }) => {
                self.pins.retain(|pinned| pinned != target);
                self.pins.extend(active.then_some(*target));
            }
            Content::Delete(target) => self.pins.retain(|pinned| *pinned != target.target),
            Content::Message(_) | Content::Edit(_) | Content::Reaction(_) => {}
        }
    }

    fn sanction(&mut self, sanction: &Sanction, ts: i64) {
        // So that they do not gather for ever.
        self.sanctions.retain(|_, older| older.is_in_force(ts));
        match sanction.kind {
            SanctionKind::None => drop(self.sanctions.remove(&sanction.user)),
            SanctionKind::Kick => {}
            SanctionKind::Mute | SanctionKind::Ban => {
                self.sanctions.insert(sanction.user.clone(), sanction.clone());
            }
        }
    }

    fn configure(&mut self, change: &Settings) {
        let Settings { title, topic, private, slow_ms } = change.clone();
        let settings = &mut self.settings;
        settings.title = title.or(settings.title.take());
        settings.topic = topic.or(settings.topic.take());
        settings.private = private.or(settings.private);
        settings.slow_ms = slow_ms.or(settings.slow_ms);
    }

    /// Whether only users with a role may enter and read.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.settings.private == Some(true)
    }
}
