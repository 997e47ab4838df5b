//! Bugs of the committer that a test plants, to see that the checker finds them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parlour_hub::Effect;
use parlour_hub::log::{Head, Place, Stored};
use parlour_protocol::event::{self, Ack, Event, Reply};
use parlour_protocol::{RoomName, Seq};

use super::{Pending, post};
use crate::inbox::Mail;
use crate::node::Node;
use crate::shard::failpoint::{Plant, planted};

/// Time in which a test can kill the process between what is told too early and the commit.
const GAP: Duration = Duration::from_millis(150);

/// Does with a batch what the plant wants; false if it wants nothing.
pub(super) async fn mistreats(node: &Arc<Node>, batch: &mut Vec<Pending>) -> bool {
    if planted(Plant::NoDedup) {
        forget_cids(node, batch).await;
        return false;
    }
    let (acks_early, tells_early) = (planted(Plant::AckBeforeCommit), planted(Plant::BroadcastBeforeCommit));
    if !acks_early && !tells_early {
        return false;
    }
    node.commits.done(batch);
    let guesses = guess(node, batch).await;
    for (pending, guess) in batch.iter().zip(&guesses) {
        if let Some(guess) = guess {
            if acks_early { acknowledge(node, pending, guess) } else { tell(node, pending, guess) }
        }
    }
    tokio::time::sleep(GAP).await;
    for (pending, guess) in batch.drain(..).zip(guesses) {
        let stored = node.store.append(vec![pending.draft.clone()]).await;
        let stored = stored.ok().and_then(|mut answers| answers.pop()).and_then(Result::ok);
        match (stored, guess) {
            (Some(stored), None) => post(node, pending, Ok(stored)),
            (Some(stored), Some(_)) if acks_early => tell(node, &pending, &stored),
            (Some(stored), Some(_)) => acknowledge(node, &pending, &stored),
            (None, _) => {}
        }
    }
    true
}

/// Foretells where new messages will be stored; `None` for what is stored already, or a room without
/// a log.
async fn guess(node: &Node, batch: &[Pending]) -> Vec<Option<Stored>> {
    let rooms: Vec<RoomName> = batch.iter().map(|pending| pending.draft.room.clone()).collect();
    let heads = node.store.heads(rooms.clone()).await.unwrap_or_default();
    let mut ends: HashMap<RoomName, Option<Head>> = rooms.into_iter().zip(heads).collect();
    let mut guesses = Vec::new();
    for pending in batch {
        let is_new = !is_stored(node, pending).await;
        let end = ends.get_mut(&pending.draft.room).and_then(Option::as_mut).filter(|_| is_new);
        guesses.push(end.map(|end| {
            let first = end.head.0 + 1;
            end.head = Seq(end.head.0 + pending.draft.entries.len() as u64);
            let entries = (first..=end.head.0).map(|seq| Place { seq: Seq(seq), thread: None, count: 0 });
            Stored { epoch: end.epoch, ts: pending.draft.ts, dup: false, entries: entries.collect() }
        }));
    }
    guesses
}

async fn is_stored(node: &Node, pending: &Pending) -> bool {
    let draft = &pending.draft;
    let Some(cid) = draft.entries.first().and_then(|entry| entry.cid.clone()) else {
        return false;
    };
    node.store.find(draft.room.clone(), draft.sender.clone(), cid).await.is_ok_and(|found| found.is_some())
}

/// Answers the client, past the room.
fn acknowledge(node: &Node, pending: &Pending, stored: &Stored) {
    let to = pending.caller.conn;
    let ack = event::Stored {
        room: pending.draft.room.clone(),
        epoch: stored.epoch,
        seq: stored.entries[0].seq,
        ts: stored.ts,
        dup: stored.dup,
        count: None,
    };
    let reply = Reply { id: pending.caller.request.clone(), event: Event::Ack(Ack { stored: Some(ack) }) };
    node.inboxes[usize::from(to.shard)].post(Mail::Effect(Effect::Send { to, reply }));
}

/// Tells the room, whose answer then goes to nobody.
fn tell(node: &Node, pending: &Pending, stored: &Stored) {
    let (mut caller, draft) = (pending.caller.clone(), pending.draft.clone());
    caller.conn.generation = u32::MAX;
    post(node, Pending { caller, draft }, Ok(stored.clone()));
}

/// Lets the store take what it has already for something new.
async fn forget_cids(node: &Node, batch: &mut [Pending]) {
    for pending in batch {
        if is_stored(node, pending).await {
            pending.draft.entries.iter_mut().for_each(|entry| entry.cid = None);
        }
    }
}
