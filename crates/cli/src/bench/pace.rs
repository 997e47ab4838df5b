//! When which room is spoken in: evenly spread, so that no two rooms speak at the same moment.

use std::time::Duration;

/// Messages that are due at a fixed rate, whatever becomes of those before (open loop).
#[derive(Debug)]
pub(crate) struct Pace {
    begin_us: u64,
    /// Of all rooms together.
    per_second: f64,
    rooms: u64,
    next: u64,
    messages: u64,
}

impl Pace {
    /// Begins at a moment and lasts for a time.
    pub(crate) fn new(begin_us: u64, per_second: f64, rooms: usize, span: Duration) -> Self {
        let messages = (per_second * span.as_secs_f64()).round() as u64;
        Self { begin_us, per_second, rooms: rooms as u64, next: 0, messages }
    }

    /// Returns when the next message is due, in microseconds; `None` after the last.
    pub(crate) fn due_us(&self) -> Option<u64> {
        let after_us = self.next as f64 / self.per_second * 1e6;
        (self.next < self.messages).then_some(self.begin_us + after_us as u64)
    }

    /// Takes the next message and returns its room.
    pub(crate) fn take(&mut self) -> usize {
        let room = self.next % self.rooms;
        self.next += 1;
        room as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_take_turns_at_even_distances() {
        let mut pace = Pace::new(1_000, 4.0, 2, Duration::from_secs(1));
        let mut all = Vec::new();
        while let Some(due_us) = pace.due_us() {
            all.push((due_us, pace.take()));
        }
        assert_eq!(all, [(1_000, 0), (251_000, 1), (501_000, 0), (751_000, 1)]);
    }
}
