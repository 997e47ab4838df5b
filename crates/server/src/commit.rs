//! Group commit: the only caller of [`Store::append`].
//!
//! While one transaction is being made durable, the drafts of all shards gather for the next one.
//! So the batch grows with the load and an idle server adds no wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parlour_hub::Input;
use parlour_hub::input::Caller;
use parlour_hub::log::Draft;
use parlour_protocol::ErrorCode;
use tokio::sync::mpsc;

use crate::inbox::Mail;
use crate::node::Node;
use crate::store::StoreError;

/// Most drafts of one transaction (P4).
const BATCH: usize = 512;

/// The way of drafts to the store, bounded in count and bytes.
#[derive(Debug)]
pub struct CommitQueue {
    sender: mpsc::UnboundedSender<Pending>,
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

/// The receiving end of a [`CommitQueue`].
#[derive(Debug)]
pub struct Drafts(mpsc::UnboundedReceiver<Pending>);

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
    /// Gives it back when the queue is full.
    pub fn submit(&self, caller: Caller, draft: Draft) -> Result<(), Box<(Caller, Draft)>> {
        let bytes = cost(&draft);
        let crowded = self.waiting.load(Ordering::Relaxed) >= self.most
            || self.waiting_bytes.load(Ordering::Relaxed) + bytes > self.most_bytes;
        if crowded {
            return Err(Box::new((caller, draft)));
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        let sent = self.sender.send(Pending { caller, draft });
        sent.map_err(|mpsc::error::SendError(pending)| Box::new((pending.caller, pending.draft)))
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
    draft.body.len() + 256
}

/// Stores drafts until the queue is closed, and tells each room what became of its own.
///
/// Not cancellation safe: a batch in flight would go unanswered.
pub async fn run(node: Arc<Node>, mut drafts: Drafts) {
    let mut batch = Vec::with_capacity(BATCH);
    while drafts.0.recv_many(&mut batch, BATCH).await > 0 {
        let began = node.clock.mono_ns();
        let outcome = node.store.append(batch.iter().map(|pending| pending.draft.clone()).collect()).await;
        node.metrics.commit(batch.len(), node.clock.mono_ns() - began, outcome.is_ok());
        node.commits.done(&batch);
        node.metrics.node().commit_queue.set(node.commits.len() as u64);
        answer(&node, &mut batch, outcome);
    }
}

fn answer(
    node: &Node,
    batch: &mut Vec<Pending>,
    outcome: Result<Vec<Result<parlour_hub::log::Stored, crate::store::Conflict>>, StoreError>,
) {
    let mut outcomes = match outcome {
        Ok(outcomes) => outcomes.into_iter(),
        Err(error) => {
            node.note_store_error(error);
            let code = error_code(error);
            return batch.drain(..).for_each(|pending| post(node, pending, Err(code)));
        }
    };
    for pending in batch.drain(..) {
        let outcome = match outcomes.next() {
            Some(Ok(stored)) => Ok(stored),
            Some(Err(crate::store::Conflict)) => Err(ErrorCode::IdempotencyConflict),
            None => Err(ErrorCode::Indeterminate),
        };
        post(node, pending, outcome);
    }
}

fn post(node: &Node, pending: Pending, outcome: Result<parlour_hub::log::Stored, ErrorCode>) {
    let Pending { caller, draft } = pending;
    let room = draft.room.clone();
    let home = node.home(&room);
    node.inboxes[home].post(Mail::Input { room, input: Input::Appended { caller, draft, outcome } });
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
