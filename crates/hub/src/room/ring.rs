//! The newest events of a room, in memory: what most joins and resumes need.

use std::collections::VecDeque;
use std::sync::Arc;

use parlour_protocol::event::Event;
use parlour_protocol::{Seq, UserId};

/// Most events kept.
pub const RING_EVENTS: usize = 256;
/// Most bytes kept, as [`weight`] counts them.
const RING_BYTES: usize = 256 * 1024;
/// What an event takes beyond its weight: itself, its counts, its place, and what the allocator adds.
const EVENT_BYTES: usize = size_of::<Event>() + 40;

/// A gap-free tail of the log that ends at the room's position.
#[derive(Debug, Default)]
pub struct Ring {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
}

impl Ring {
    /// Adds the event that follows the newest one.
    pub fn push(&mut self, event: Arc<Event>) {
        let bytes = weight(&event);
        // Before it is added: the queue would double for the one too many.
        while self.events.len() >= RING_EVENTS || self.bytes + bytes > RING_BYTES {
            let Some(oldest) = self.events.pop_front() else {
                break;
            };
            self.bytes -= weight(&oldest);
        }
        self.bytes += bytes;
        self.events.push_back(event);
    }

    /// Forgets the events up to and including `floor`.
    pub fn forget(&mut self, floor: Seq) {
        while let Some(oldest) = self.events.pop_front_if(|event| event.seq() <= Some(floor)) {
            self.bytes -= weight(&oldest);
        }
    }

    /// Changes an event, if it is here.
    pub fn amend(&mut self, seq: Seq, change: impl FnOnce(&mut Event)) {
        let first = self.events.front().and_then(|event| event.seq());
        let index = first.and_then(|first| usize::try_from(seq.0.checked_sub(first.0)?).ok());
        if let Some(event) = index.and_then(|index| self.events.get_mut(index)) {
            self.bytes -= weight(event);
            change(Arc::make_mut(event));
            self.bytes += weight(event);
        }
    }

    /// Lists the numbers of the events for which `is_meant` holds.
    pub fn find(&self, is_meant: impl Fn(&Event) -> bool) -> Vec<Seq> {
        self.events.iter().filter(|event| is_meant(event)).filter_map(|event| event.seq()).collect()
    }

    /// Returns the number of events.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Returns about how much memory the events take, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.bytes + self.events.len() * EVENT_BYTES
    }

    /// Whether the ring holds all events after `after`, up to the room's position `head`.
    #[must_use]
    pub fn covers(&self, after: Seq, head: Seq) -> bool {
        head.0.saturating_sub(after.0) <= self.events.len() as u64
    }

    /// Lists the events after `after`, which the ring must cover.
    pub fn after(&self, after: Seq, head: Seq) -> impl Iterator<Item = &Arc<Event>> {
        let wanted = head.0.saturating_sub(after.0);
        let skip = self.events.len().saturating_sub(usize::try_from(wanted).unwrap_or(usize::MAX));
        self.events.iter().skip(skip)
    }

    /// Lists all events, newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &Arc<Event>> {
        self.events.iter().rev()
    }
}

/// Size of the parts of an entry that vary, in bytes.
#[must_use]
pub fn weight(event: &Event) -> usize {
    let (text, details) = match event {
        Event::Message(message) => (&message.text, &message.details),
        Event::Private(message) => (&message.text, &message.details),
        Event::Edited(change) => {
            return change.what.text.as_ref().map_or(0, |text| text.len()) + names(&change.what.mentions);
        }
        _ => return 0,
    };
    let Some(details) = details else {
        return text.len();
    };
    let tallies = details.reactions.iter().map(|tally| tally.emoji.len() + names(&tally.users));
    text.len() + names(&details.mentions) + tallies.sum::<usize>()
}

fn names(users: &[UserId]) -> usize {
    users.iter().map(|user| user.as_str().len()).sum()
}
