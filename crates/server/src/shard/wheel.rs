//! One timer wheel per shard instead of a timer per connection.

/// Width of a slot, in milliseconds: deadlines are kept to this precision.
pub(super) const TICK_MS: u64 = 100;
/// Slots of the wheel; a later deadline goes round once more.
const SLOTS: usize = 512;

/// Wakes connections at coarse times.
#[derive(Debug)]
pub(super) struct Wheel {
    slots: Vec<Vec<Entry>>,
    /// Every slot before this tick has been emptied.
    next_tick: u64,
    length: usize,
}

/// A connection and when it wants to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) slot: u32,
    pub(super) generation: u32,
    pub(super) due_ms: u64,
}

impl Wheel {
    pub(super) fn new() -> Self {
        Self { slots: vec![Vec::new(); SLOTS], next_tick: 0, length: 0 }
    }

    /// Adds an entry; one that is due already comes with the next tick.
    pub(super) fn add(&mut self, entry: Entry) {
        let tick = entry.due_ms.div_ceil(TICK_MS).max(self.next_tick);
        self.slots[Self::index(tick)].push(entry);
        self.length += 1;
    }

    /// Moves all entries that are due by `now_ms` into `due`.
    pub(super) fn advance(&mut self, now_ms: u64, due: &mut Vec<Entry>) {
        let (last, before) = (now_ms / TICK_MS, due.len());
        // After a long pause one round visits every slot.
        let first = self.next_tick.max(last.saturating_sub(SLOTS as u64 - 1));
        for tick in first..=last {
            // Taken as a whole: a slot that was emptied would keep its memory for a round.
            for entry in std::mem::take(&mut self.slots[Self::index(tick)]) {
                match entry.due_ms <= now_ms {
                    true => due.push(entry),
                    false => self.slots[Self::index(tick)].push(entry),
                }
            }
        }
        self.next_tick = last + 1;
        self.length -= due.len() - before;
    }

    /// Returns the number of entries.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    fn index(tick: u64) -> usize {
        usize::try_from(tick % SLOTS as u64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_comes_once_and_not_before_its_time() {
        let mut wheel = Wheel::new();
        let dues = [0, 1, 99, 100, 101, 5_000, 51_199, 51_200, 51_300, 120_000];
        for (slot, due_ms) in (0..).zip(dues) {
            wheel.add(Entry { slot, generation: 0, due_ms });
        }
        let mut seen = Vec::new();
        for now_ms in (0..=121_000).step_by(70) {
            let mut due = Vec::new();
            wheel.advance(now_ms, &mut due);
            assert!(due.iter().all(|entry| entry.due_ms <= now_ms), "early at {now_ms}");
            assert!(due.iter().all(|entry| now_ms - entry.due_ms <= 2 * TICK_MS), "late at {now_ms}");
            seen.extend(due.iter().map(|entry| entry.slot));
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..10).collect::<Vec<_>>());
        assert_eq!(wheel.len(), 0);
    }

    #[test]
    fn a_long_pause_loses_nothing() {
        let mut wheel = Wheel::new();
        wheel.add(Entry { slot: 7, generation: 1, due_ms: 4_000 });
        let mut due = Vec::new();
        wheel.advance(10_000_000, &mut due);
        assert_eq!(due.len(), 1);
    }
}
