//! Older parts of the log while somebody reads them: one read of the store serves all who resume.

use std::collections::BTreeMap;
use std::sync::Arc;

use parlour_protocol::Seq;
use parlour_protocol::event::Event;

use super::ring::weight;
use crate::effect::Replay;

/// Events of one block, and so of one read.
pub(super) const BLOCK: u64 = 128;
/// Most blocks in memory.
const MOST: usize = 8;
/// Most bytes of a block that are kept, as [`weight`] counts them, but for the event that goes beyond.
const KEEP_BYTES: usize = 1024 * 1024;
/// How long a block stays that nobody asks for, in milliseconds.
const KEEP_MS: u64 = 5_000;

/// Blocks of the log that were read lately, and those who wait for one.
#[derive(Debug, Default)]
pub(super) struct Pages {
    blocks: BTreeMap<u64, Block>,
    waiting: BTreeMap<u64, Waiting>,
}

/// Those who wait for a block that is being read.
#[derive(Debug, Default)]
struct Waiting {
    replays: Vec<Replay>,
    worth: Worth,
}

/// What a block is worth that was asked for before something happened to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Worth {
    #[default]
    Kept,
    /// Something in it may have changed: only for those who wait for it, whom the change reaches too.
    Once,
    /// It may be of another lineage.
    Nothing,
}

#[derive(Debug)]
struct Block {
    events: Vec<Arc<Event>>,
    /// 0 for one that only those may have who waited for it.
    until_ms: u64,
}

/// Returns the events after `after`, as many as may be kept.
fn window(mut events: Vec<Arc<Event>>, after: Seq) -> Vec<Arc<Event>> {
    if events.iter().map(|event| weight(event)).sum::<usize>() <= KEEP_BYTES {
        return events;
    }
    events.retain(|event| event.seq() > Some(after));
    let mut bytes = 0;
    let fitting = events.iter().take_while(|event| {
        let fits = bytes < KEEP_BYTES;
        bytes += weight(event);
        fits
    });
    let count = fitting.count();
    events.truncate(count);
    events
}

/// Returns the block that an event belongs to.
fn block_of(seq: Seq) -> u64 {
    seq.0.saturating_sub(1) / BLOCK
}

impl Pages {
    /// Lists what memory has of the block after an event; empty if it does not have the next one.
    pub(super) fn after(&mut self, after: Seq, now_ms: u64) -> &[Arc<Event>] {
        let wanted = after.next();
        let Some(block) = self.blocks.get_mut(&block_of(wanted)) else {
            return &[];
        };
        if block.until_ms > 0 {
            block.until_ms = now_ms + KEEP_MS;
        }
        let first = block.events.iter().position(|event| event.seq() == Some(wanted));
        first.map_or(&[], |first| &block.events[first..])
    }

    /// Adds a reader of the block after its place; returns where to read from, for the first one.
    pub(super) fn wait(&mut self, replay: Replay) -> Option<(u64, Seq)> {
        let block = block_of(replay.after.next());
        let is_first = !self.waiting.contains_key(&block);
        self.waiting.entry(block).or_default().replays.push(replay);
        is_first.then_some((block, Seq(block * BLOCK)))
    }

    /// Takes those who wait for a block that was read, if it must be read again.
    pub(super) fn take_void(&mut self, block: u64) -> Option<Vec<Replay>> {
        let is_void = self.waiting.get(&block)?.worth == Worth::Nothing;
        if is_void { Some(self.failed(block)) } else { None }
    }

    /// Keeps what may be kept of a block that was read, and returns those who wait for it.
    pub(super) fn arrived(&mut self, block: u64, events: Vec<Arc<Event>>, now_ms: u64) -> Vec<Replay> {
        let Waiting { replays, worth } = self.waiting.remove(&block).unwrap_or_default();
        let until_ms = if worth == Worth::Kept { now_ms + KEEP_MS } else { 0 };
        let first = replays.iter().map(|replay| replay.after).min();
        let events = window(events, first.unwrap_or_default());
        while self.blocks.len() >= MOST
            && let Some(oldest) = self.blocks.iter().min_by_key(|(_, block)| block.until_ms)
        {
            let oldest = *oldest.0;
            self.blocks.remove(&oldest);
        }
        self.blocks.insert(block, Block { events, until_ms });
        replays
    }

    /// Returns those who wait for a block that could not be read.
    pub(super) fn failed(&mut self, block: u64) -> Vec<Replay> {
        self.waiting.remove(&block).unwrap_or_default().replays
    }

    /// Forgets all blocks, because something in the log was changed.
    pub(super) fn forget(&mut self) {
        self.blocks.clear();
        let kept = self.waiting.values_mut().filter(|waiting| waiting.worth == Worth::Kept);
        kept.for_each(|waiting| waiting.worth = Worth::Once);
    }

    /// Forgets all blocks, because the log is another one, and returns all those who wait.
    pub(super) fn interrupt(&mut self) -> Vec<Replay> {
        self.blocks.clear();
        self.waiting.values_mut().for_each(|waiting| waiting.worth = Worth::Nothing);
        self.waiting.values_mut().flat_map(|waiting| std::mem::take(&mut waiting.replays)).collect()
    }

    pub(super) fn expire(&mut self, now_ms: u64) {
        self.blocks.retain(|_, block| block.until_ms > now_ms);
    }

    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.blocks.values().map(|block| block.until_ms).min()
    }
}
