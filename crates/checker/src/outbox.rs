//! What a worker has said and has no final answer to. Whatever fails, it leaves in the same order.

use std::collections::{HashMap, VecDeque};

use crate::record::Said;

/// Everything of one worker, by room.
#[derive(Debug, Default)]
pub(crate) struct Outbox(HashMap<String, Lane>);

#[derive(Debug, Default)]
struct Lane {
    queue: VecDeque<Pending>,
    /// Nothing is repeated before, in microseconds since the run began.
    pause_us: u64,
}

#[derive(Debug)]
struct Pending {
    said: Said,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Sent(u64),
    /// It, and so all behind it, must be sent again.
    Failed,
}

impl Outbox {
    pub(crate) fn push(&mut self, said: Said) {
        let lane = self.0.entry(said.room.clone()).or_default();
        lane.queue.push_back(Pending { said, state: State::Waiting });
    }

    /// Returns how much has no final answer.
    pub(crate) fn len(&self) -> usize {
        self.0.values().map(|lane| lane.queue.len()).sum()
    }

    /// Takes the next saying to a room that may leave now, as the request `id`.
    pub(crate) fn next(&mut self, room: &str, now_us: u64, id: u64) -> Option<Said> {
        let lane = self.0.get_mut(room)?;
        let has = |lane: &Lane, wanted: fn(&State) -> bool| lane.queue.iter().any(|p| wanted(&p.state));
        if has(lane, |state| *state == State::Failed) {
            // Those behind the failure fail as well; only after the last answer is the order known.
            if has(lane, |state| matches!(state, State::Sent(_))) || now_us < lane.pause_us {
                return None;
            }
            lane.queue.iter_mut().for_each(|pending| pending.state = State::Waiting);
        }
        let next = lane.queue.iter_mut().find(|pending| pending.state == State::Waiting)?;
        next.state = State::Sent(id);
        Some(next.said.clone())
    }

    /// Notes a final answer, and returns what it was about.
    pub(crate) fn settle(&mut self, id: u64) -> Option<Said> {
        self.0.values_mut().find_map(|lane| {
            let index = lane.queue.iter().position(|pending| pending.state == State::Sent(id))?;
            lane.queue.remove(index).map(|pending| pending.said)
        })
    }

    /// Notes that something must be repeated, not before `at_us`.
    pub(crate) fn fail(&mut self, id: u64, at_us: u64) {
        for lane in self.0.values_mut() {
            if let Some(pending) = lane.queue.iter_mut().find(|pending| pending.state == State::Sent(id)) {
                pending.state = State::Failed;
                lane.pause_us = lane.pause_us.max(at_us);
            }
        }
    }

    /// Notes that the connection is gone.
    pub(crate) fn lost(&mut self) {
        let pending = self.0.values_mut().flat_map(|lane| &mut lane.queue);
        pending.for_each(|pending| pending.state = State::Waiting);
    }

    /// Forgets a room that the worker may not enter any more.
    pub(crate) fn forget(&mut self, room: &str) {
        self.0.remove(room);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Content;

    fn outbox() -> Outbox {
        let mut outbox = Outbox::default();
        for cid in ["a", "b", "c"] {
            let (room, cid, content) = ("r".to_owned(), cid.to_owned(), Content::text(cid));
            outbox.push(Said { room, cid, content });
        }
        outbox
    }

    fn cid(said: Option<Said>) -> Option<String> {
        said.map(|said| said.cid)
    }

    #[test]
    fn after_a_failure_all_is_repeated_in_order() {
        let mut outbox = outbox();
        assert_eq!(cid(outbox.next("r", 0, 1)).as_deref(), Some("a"));
        assert_eq!(cid(outbox.next("r", 0, 2)).as_deref(), Some("b"));
        outbox.fail(1, 500);
        // "b" is on its way still, so "c" has to wait, and "a" too.
        assert_eq!(cid(outbox.next("r", 900, 3)), None);
        outbox.fail(2, 400);
        assert_eq!(cid(outbox.next("r", 499, 3)), None, "the pause of the first failure");
        for (id, expected) in [(3, "a"), (4, "b"), (5, "c")] {
            assert_eq!(cid(outbox.next("r", 500, id)).as_deref(), Some(expected));
        }
        assert_eq!(cid(outbox.settle(4)).as_deref(), Some("b"));
        assert_eq!(outbox.len(), 2);
    }

    #[test]
    fn a_lost_connection_repeats_what_has_no_answer() {
        let mut outbox = outbox();
        outbox.next("r", 0, 1);
        outbox.next("r", 0, 2);
        outbox.settle(1);
        outbox.lost();
        assert_eq!(cid(outbox.next("r", 0, 1)).as_deref(), Some("b"));
        assert_eq!(cid(outbox.settle(9)), None, "nobody knows this request");
    }
}
