//! The mail between threads: the only way into a shard.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use parlour_hub::input::Caller;
use parlour_hub::{ConnId, Effect, Input};
use parlour_protocol::event::{Event, RoomSummary};
use parlour_protocol::{RoomName, Seq, UserId};
use tokio::sync::oneshot;

use crate::hooks::gate::Verdict;
use crate::identity::Revocation;
use crate::upgrade::Upgraded;

/// Mails that may wait before a node refuses new work with `overloaded`.
const CROWDED: usize = 50_000;
/// Mails for which an empty inbox keeps memory.
const KEPT: usize = 1_024;

/// What can wake a shard from outside.
#[derive(Debug)]
#[expect(missing_docs, reason = "each variant's text names its fields")]
pub enum Mail {
    /// A new connection.
    Adopt(Box<Upgraded>),
    /// Something happens to a room whose home is this shard.
    Input { room: RoomName, input: Input },
    /// A room of another shard wants something done for connections of this one.
    Effect(Effect),
    /// An event for the members here of a room of another shard.
    Broadcast { room: RoomName, event: Arc<Event> },
    /// A connection asks every shard for its rooms.
    ListRooms(Arc<RoomList>),
    /// The node wants to know which stored rooms are here.
    NameRooms(oneshot::Sender<Vec<RoomName>>),
    /// The HTTP API wants to know or do something on every shard.
    Inquiry(Inquiry),
    /// The private conversations of a user who has just come.
    Conversations { conn: ConnId, cursors: Vec<(RoomName, Seq)> },
    /// A connection knows of a failure and holds back what must not pass it; what the room sends
    /// from now on may be stored again.
    Reopen(crate::commit::Pipe),
    /// What the hooks say about a wish of a connection.
    Verdict { conn: ConnId, verdict: Verdict },
    /// All outboxes together are too large, and the largest one seems to be here.
    KeepBudget,
    /// Credentials were taken back: connections that came with them end.
    Revoke(Arc<Revocation>),
    /// The node is shutting down: close connections over this time.
    Drain { spread_ms: u64 },
    /// The thread ends after this turn.
    Stop,
}

/// What the HTTP API asks every shard. A shard that ends drops the question, which answers it too.
#[derive(Debug)]
#[expect(missing_docs, reason = "each variant's text names its fields")]
pub enum Inquiry {
    /// How many users are in each of these rooms, as far as they live here.
    Members { rooms: Arc<[RoomName]>, answer: oneshot::Sender<Vec<u32>> },
    /// How many connections each of these users has here.
    Presence { users: Arc<[UserId]>, answer: oneshot::Sender<Seen> },
    /// Something is to be done with all connections of a user; answered by how many there are here.
    Act { user: UserId, act: Act, answer: oneshot::Sender<u32> },
}

/// Connections of users, in the order of the question.
#[derive(Debug)]
pub struct Seen {
    /// All of them.
    pub connections: Vec<u32>,
    /// Those that do not say that their user is away.
    pub online: Vec<u32>,
}

/// What is done with a user's connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// They enter a room, if the user may.
    Subscribe(RoomName),
    /// They leave a room.
    Unsubscribe(RoomName),
    /// They end.
    Disconnect,
}

/// An answer to `rooms` that the shards fill in one after another.
#[derive(Debug)]
pub struct RoomList {
    /// Who asked.
    pub caller: Caller,
    /// What has been collected, with the last event that the caller has read there.
    pub rooms: Mutex<Vec<(RoomSummary, Option<Seq>)>>,
    /// Shards that have not answered yet.
    pub missing: AtomicUsize,
}

/// A queue into one shard.
///
/// Its length is bounded where work enters: a shard refuses commands while an inbox is crowded
/// ([`Inbox::is_crowded`]). What is on its way then (answers, departures, committed events) is
/// bounded by the connections and by the commit queue, and is never dropped.
#[derive(Debug, Default)]
pub struct Inbox {
    queue: Mutex<Vec<Mail>>,
    length: AtomicUsize,
    /// Ends the shard's waiting for its sockets; there once its thread runs.
    waker: OnceLock<mio::Waker>,
}

impl Inbox {
    /// Has `waker` called when mail comes. To be called once, before the first [`Inbox::take`].
    pub fn listen(&self, waker: mio::Waker) {
        // A second waker would be a second thread for the same shard.
        let _ = self.waker.set(waker);
    }

    /// Adds a mail and wakes the shard.
    pub fn post(&self, mail: Mail) {
        self.post_all([mail]);
    }

    /// Adds several mails and wakes the shard once.
    pub fn post_all(&self, mails: impl IntoIterator<Item = Mail>) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever came first has woken it.
        let is_first = queue.is_empty();
        queue.extend(mails);
        self.length.store(queue.len(), Ordering::Relaxed);
        drop(queue);
        if is_first
            && let Some(waker) = self.waker.get()
            && let Err(error) = waker.wake()
        {
            // The shard looks at its mail with every tick, too.
            tracing::error!(kind = %error.kind(), "a shard could not be woken");
        }
    }

    /// Moves all mail behind what is in `into`, in the order of posting.
    pub fn take(&self, into: &mut VecDeque<Mail>) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        into.extend(queue.drain(..));
        // A burst is over; its memory need not stay.
        queue.shrink_to(KEPT);
        self.length.store(0, Ordering::Relaxed);
    }

    /// Whether so much waits that no new work should be accepted for this shard.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        self.length.load(Ordering::Relaxed) >= CROWDED
    }

    /// Returns how many mails wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length.load(Ordering::Relaxed)
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
