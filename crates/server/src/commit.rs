//! Group commit: the only caller of [`Store::append`].
//!
//! While one transaction is being made durable, the drafts of all shards gather for the next one.
//! So the batch grows with the load and an idle server adds no wait.
//!
//! When a message is not stored, those that its connection has sent to the same room behind it are
//! not stored either: a client that repeats them all keeps their order (P3).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parlour_hub::input::Caller;
use parlour_hub::log::{Draft, NewEntry, Refused, Stored};
use parlour_hub::room::store_refusal;
use parlour_hub::{ConnId, Input};
use parlour_protocol::content::Content;
use parlour_protocol::{ErrorCode, Refusal, RoomName};
use tokio::sync::mpsc;

use crate::inbox::Mail;
use crate::node::Node;
use crate::store::StoreError;

#[cfg(feature = "failpoints")]
mod planted;

/// Most drafts of one transaction (P4).
const BATCH: usize = 512;

/// The way of drafts to the store, bounded in count and bytes.
#[derive(Debug)]
pub struct CommitQueue {
    sender: mpsc::UnboundedSender<Order>,
    waiting: AtomicUsize,
    waiting_bytes: AtomicUsize,
    most: usize,
    most_bytes: usize,
}

/// A draft and whom to tell about it.
#[derive(Debug)]
pub struct Pending {
    caller: Caller,
    draft: Draft,
}

/// The messages of one connection to one room, which keep their order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pipe {
    conn: ConnId,
    room: RoomName,
}

/// What the committer is told.
#[derive(Debug)]
enum Order {
    Store(Pending),
    /// A draft of this pipe found the queue full; its answer is on the way.
    Block(Pipe, Refusal),
    /// The connection knows of the failure; what follows was let through by it.
    Reopen(Pipe),
}

/// The receiving end of a [`CommitQueue`].
#[derive(Debug)]
pub struct Drafts(mpsc::UnboundedReceiver<Order>);

impl CommitQueue {
    /// Builds a queue for at most `most` drafts of together `most_bytes` bytes.
    #[must_use]
    pub fn new(most: usize, most_bytes: usize) -> (Self, Drafts) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let (waiting, waiting_bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        (Self { sender, waiting, waiting_bytes, most, most_bytes }, Drafts(receiver))
    }

    /// Hands a draft to the committer.
    ///
    /// # Errors
    /// Gives it back when the queue is full; what its connection has sent to the room behind it is
    /// refused too, until the pipe is reopened.
    pub fn submit(&self, caller: Caller, draft: Draft) -> Result<(), Box<(Caller, Draft)>> {
        let bytes = cost(&draft);
        let crowded = self.waiting.load(Ordering::Relaxed) >= self.most
            || self.waiting_bytes.load(Ordering::Relaxed) + bytes > self.most_bytes;
        if crowded {
            let pipe = Pipe::new(caller.conn, draft.room.clone());
            let _ = self.sender.send(Order::Block(pipe, blocked(ErrorCode::Overloaded, &caller)));
            return Err(Box::new((caller, draft)));
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        // The receiver lives as long as the node; after it, nobody is left to tell.
        let _ = self.sender.send(Order::Store(Pending { caller, draft }));
        Ok(())
    }

    /// Lets messages of a pipe pass again, once its connection knows of the failure before them.
    pub fn reopen(&self, pipe: Pipe) {
        let _ = self.sender.send(Order::Reopen(pipe));
    }

    /// Returns how many drafts wait or are being stored.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Whether one more draft would be refused.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len() >= self.most
    }

    /// Whether every draft has been answered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn done(&self, drafts: &[Pending]) {
        let bytes: usize = drafts.iter().map(|pending| cost(&pending.draft)).sum();
        self.waiting.fetch_sub(drafts.len(), Ordering::Relaxed);
        self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What a draft counts for in the bound of the queue, in bytes.
fn cost(draft: &Draft) -> usize {
    let text = |entry: &NewEntry| match &entry.content {
        Content::Message(said) => said.text.len(),
        Content::Edit(edit) => edit.text.as_ref().map_or(0, |text| text.len()),
        _ => 0,
    };
    draft.entries.iter().map(|entry| text(entry) + 256).sum()
}

/// The refusal of what stands behind a failure.
fn blocked(code: ErrorCode, failed: &Caller) -> Refusal {
    Refusal { blocked_by: failed.request.clone(), ..code.into() }
}

/// Stores drafts until the queue is closed, and tells each room what became of its own.
///
/// Not cancellation safe: a batch in flight would go unanswered.
pub async fn run(node: Arc<Node>, mut drafts: Drafts) {
    let (mut orders, mut batch) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
    let mut blocked = HashMap::new();
    while drafts.0.recv_many(&mut orders, BATCH).await > 0 {
        sort_out(&node, &mut orders, &mut blocked, &mut batch);
        if batch.is_empty() {
            continue;
        }
        #[cfg(feature = "failpoints")]
        if planted::mistreats(&node, &mut batch).await {
            continue;
        }
        let began = node.clock.mono_ns();
        let outcome = node.store.append(batch.iter().map(|pending| pending.draft.clone()).collect()).await;
        node.metrics.commit(batch.len(), node.clock.mono_ns() - began, outcome.is_ok());
        node.commits.done(&batch);
        node.metrics.node().commit_queue.set(node.commits.len() as u64);
        match outcome {
            Ok(outcomes) => answer(&node, &mut batch, outcomes),
            Err(error) => fail(&node, &mut batch, error, &mut blocked),
        }
    }
}

/// Puts what may be stored into `batch`, and refuses what stands behind a failure.
fn sort_out(
    node: &Node,
    orders: &mut Vec<Order>,
    blocked: &mut HashMap<Pipe, Refusal>,
    batch: &mut Vec<Pending>,
) {
    for order in orders.drain(..) {
        match order {
            Order::Store(pending) if blocked.is_empty() => batch.push(pending),
            Order::Store(pending) => match blocked.get(&pending.pipe()) {
                Some(refusal) => {
                    node.commits.done(std::slice::from_ref(&pending));
                    post(node, pending, Err(refusal.clone()));
                }
                None => batch.push(pending),
            },
            Order::Block(pipe, refusal) => {
                blocked.entry(pipe).or_insert(refusal);
            }
            Order::Reopen(pipe) => drop(blocked.remove(&pipe)),
        }
    }
}

fn answer(node: &Node, batch: &mut Vec<Pending>, outcomes: Vec<Result<Stored, Refused>>) {
    let mut outcomes = outcomes.into_iter();
    for pending in batch.drain(..) {
        let outcome = match outcomes.next() {
            Some(Ok(stored)) => {
                node.hooks.stored(&pending.draft.room);
                Ok(stored)
            }
            Some(Err(refused)) => Err(refusal(refused)),
            None => Err(ErrorCode::Indeterminate.into()),
        };
        post(node, pending, outcome);
    }
}

/// Refuses a batch, and blocks its pipes until their connections know.
fn fail(node: &Node, batch: &mut Vec<Pending>, error: StoreError, blocked: &mut HashMap<Pipe, Refusal>) {
    let code = node.note_store_error(error);
    for pending in batch.drain(..) {
        if error == StoreError::Indeterminate {
            node.hooks.stored(&pending.draft.room);
        }
        let refusal = match blocked.entry(pending.pipe()) {
            Entry::Occupied(entry) => entry.get().clone(),
            Entry::Vacant(entry) => {
                entry.insert(self::blocked(code, &pending.caller));
                store_refusal(code)
            }
        };
        post(node, pending, Err(refusal));
    }
}

impl Pending {
    fn pipe(&self) -> Pipe {
        Pipe::new(self.caller.conn, self.draft.room.clone())
    }
}

impl Pipe {
    /// Names what a connection sends to a room.
    #[must_use]
    pub fn new(conn: ConnId, room: RoomName) -> Self {
        Self { conn, room }
    }
}

fn post(node: &Node, pending: Pending, outcome: Result<Stored, Refusal>) {
    let Pending { caller, draft } = pending;
    let room = draft.room.clone();
    let home = node.home(&room);
    node.inboxes[home].post(Mail::Input { room, input: Input::Appended { caller, draft, outcome } });
}

/// Says why a draft was refused that the store looked at.
fn refusal(refused: Refused) -> Refusal {
    match refused {
        Refused::Conflict => ErrorCode::IdempotencyConflict.into(),
        Refused::NoTarget => {
            Refusal::because(ErrorCode::NotFound, "target: there is no such message here, or not any more")
        }
        Refused::NotAuthor => {
            Refusal::because(ErrorCode::Forbidden, "the message is somebody else's; moderators may delete it")
        }
        Refused::Exists => ErrorCode::Exists.into(),
        Refused::TooMany => {
            Refusal::because(ErrorCode::LimitExceeded, "there are as many reactions or pins as may be")
        }
        Refused::Corrupt => ErrorCode::Corrupt.into(),
    }
}

/// Returns the row of the error table for a store's failure.
#[must_use]
pub fn error_code(error: StoreError) -> ErrorCode {
    match error {
        StoreError::Unavailable => ErrorCode::Unavailable,
        StoreError::Full => ErrorCode::StorageFull,
        StoreError::Indeterminate => ErrorCode::Indeterminate,
        StoreError::Corrupt => ErrorCode::Corrupt,
    }
}
