//! A bounded queue between those who ask and the threads that answer.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The largest queue: whoever comes when it is full is turned away at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) count: usize,
    pub(super) bytes: usize,
}

/// The queue is full, or nobody serves it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused;

/// What a consumer finds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<T> {
    Item(T),
    Nothing,
    Closed,
}

pub(super) struct Queue<T> {
    bounds: Bounds,
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    waiting: VecDeque<(T, usize)>,
    bytes: usize,
    closed: bool,
}

impl<T> Queue<T> {
    pub(super) fn new(bounds: Bounds) -> Self {
        let state = State { waiting: VecDeque::new(), bytes: 0, closed: false };
        Self { bounds, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Adds an item that holds `bytes`.
    ///
    /// An empty queue takes an item of any size: otherwise a large one could never pass.
    pub(super) fn push(&self, item: T, bytes: usize) -> Result<(), Refused> {
        let mut state = self.lock();
        let full =
            state.waiting.len() >= self.bounds.count || state.bytes.saturating_add(bytes) > self.bounds.bytes;
        if state.closed || (full && !state.waiting.is_empty()) {
            return Err(Refused);
        }
        state.bytes += bytes;
        state.waiting.push_back((item, bytes));
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for the next item. A closed queue is emptied first.
    pub(super) fn pop(&self) -> Next<T> {
        let idle = |state: &mut State<T>| state.waiting.is_empty() && !state.closed;
        let state = self.changed.wait_while(self.lock(), idle);
        state.unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits for the next item, but not longer than `patience`.
    pub(super) fn pop_within(&self, patience: Duration) -> Next<T> {
        let idle = |state: &mut State<T>| state.waiting.is_empty() && !state.closed;
        let waited = self.changed.wait_timeout_while(self.lock(), patience, idle);
        waited.unwrap_or_else(PoisonError::into_inner).0.take()
    }

    /// Takes the next item if it is there and `fits`.
    pub(super) fn pop_if(&self, fits: impl FnOnce(&T) -> bool) -> Option<T> {
        let mut state = self.lock();
        if !state.waiting.front().is_some_and(|(item, _)| fits(item)) {
            return None;
        }
        match state.take() {
            Next::Item(item) => Some(item),
            Next::Nothing | Next::Closed => None,
        }
    }

    /// Takes no more items; those that wait are still served.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing panics while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    fn take(&mut self) -> Next<T> {
        match self.waiting.pop_front() {
            Some((item, bytes)) => {
                self.bytes -= bytes;
                Next::Item(item)
            }
            None if self.closed => Next::Closed,
            None => Next::Nothing,
        }
    }
}

/// Closes and empties the queue when its consumer ends, also by a panic: nobody waits in vain.
pub(super) struct EndOfService<'a, T>(pub(super) &'a Queue<T>);

impl<T> Drop for EndOfService<'_, T> {
    fn drop(&mut self) {
        self.0.close();
        let abandoned = std::mem::take(&mut self.0.lock().waiting);
        drop(abandoned);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(count: usize, bytes: usize) -> Queue<u8> {
        Queue::new(Bounds { count, bytes })
    }

    #[test]
    fn is_bounded_in_count_and_bytes() {
        let by_count = queue(2, 100);
        assert_eq!([1, 2, 3].map(|n| by_count.push(n, 1)), [Ok(()), Ok(()), Err(Refused)]);
        let by_bytes = queue(9, 10);
        assert_eq!([1, 2, 3].map(|n| by_bytes.push(n, 5)), [Ok(()), Ok(()), Err(Refused)]);
        assert_eq!(by_bytes.pop(), Next::Item(1));
        assert_eq!(by_bytes.push(3, 5), Ok(()), "what was taken makes room");
    }

    #[test]
    fn an_item_larger_than_the_bound_passes_alone() {
        let queue = queue(9, 10);
        assert_eq!([queue.push(1, 11), queue.push(2, 1)], [Ok(()), Err(Refused)]);
    }

    #[test]
    fn a_closed_queue_is_emptied_first() {
        let queue = queue(9, 10);
        assert_eq!(queue.push(1, 1), Ok(()));
        queue.close();
        assert_eq!(queue.push(2, 1), Err(Refused));
        assert_eq!([queue.pop(), queue.pop()], [Next::Item(1), Next::Closed]);
    }

    #[test]
    fn the_end_of_its_consumer_refuses_all_that_wait() {
        let queue = queue(9, 10);
        assert_eq!(queue.push(1, 1), Ok(()));
        drop(EndOfService(&queue));
        assert_eq!(queue.push(2, 1), Err(Refused));
        assert_eq!(queue.pop(), Next::Closed);
    }
}
