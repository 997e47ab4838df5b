//! One room as this client has seen it: every message once, in order, without gaps.

use std::collections::VecDeque;

use parlour_protocol::event::{HistoryPage, Joined, Message, Unrecovered};
use parlour_protocol::{Epoch, Position, Seq};

/// Live messages that are kept while a gap is filled; later ones are fetched again.
const HELD: usize = 1_000;

/// What was seen of a room.
#[derive(Debug)]
pub(crate) struct Track {
    epoch: Epoch,
    last: Seq,
    /// A gap that is being filled from history.
    repair: Option<Repair>,
}

#[derive(Debug, Default)]
struct Repair {
    /// The newest message known to exist.
    target: Seq,
    held: VecDeque<Message>,
}

/// What to do after something was seen.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Step {
    /// Messages to hand out before anything else.
    pub(crate) messages: Vec<Message>,
    /// Messages that cannot be had any more: the first and the last, handed out before the others.
    pub(crate) missed: Option<(Seq, Seq)>,
    /// Ask for the page after [`Track::position`].
    pub(crate) fetch: bool,
}

impl Track {
    /// Begins after the last event that is not replayed.
    pub(crate) fn new(joined: &Joined) -> Self {
        let last = Seq(joined.head.0.saturating_sub(joined.replayed.into()));
        Self::at(Position { epoch: joined.epoch, seq: last })
    }

    /// Begins after a position.
    pub(crate) fn at(position: Position) -> Self {
        Self { epoch: position.epoch, last: position.seq, repair: None }
    }

    /// Goes on after `since`. Returns `None` if the history is not the one that was seen.
    pub(crate) fn resume(joined: &Joined, since: Position) -> Option<(Self, Step)> {
        let mut track = Self::at(since);
        let step = match joined.reason {
            None => Step::default(),
            Some(reason) => track.catch_up(reason, joined.floor, joined.head)?,
        };
        Some((track, step))
    }

    /// Goes on where the server cannot replay. Returns `None` if the history was rewound.
    pub(crate) fn catch_up(&mut self, reason: Unrecovered, floor: Seq, head: Seq) -> Option<Step> {
        let missed = match reason {
            Unrecovered::TooFar => None,
            Unrecovered::Expired => self.skip_to(floor),
            Unrecovered::Epoch | Unrecovered::Ahead | Unrecovered::Access => return None,
        };
        let fetch = self.last < head;
        if fetch {
            self.repair = Some(Repair { target: head, held: VecDeque::new() });
        }
        Some(Step { missed, fetch, ..Step::default() })
    }

    pub(crate) fn position(&self) -> Position {
        Position { epoch: self.epoch, seq: self.last }
    }

    /// Takes a live or replayed message.
    pub(crate) fn message(&mut self, message: Message) -> Step {
        if let Some(repair) = &mut self.repair {
            repair.target = repair.target.max(message.seq);
            if repair.held.len() < HELD {
                repair.held.push_back(message);
            }
            return Step::default();
        }
        if message.seq <= self.last {
            return Step::default();
        }
        if message.seq == self.last.next() {
            self.last = message.seq;
            return Step { messages: vec![message], ..Step::default() };
        }
        self.repair = Some(Repair { target: message.seq, held: VecDeque::from([message]) });
        Step { fetch: true, ..Step::default() }
    }

    /// Takes the page that a step asked for.
    pub(crate) fn page(&mut self, page: HistoryPage) -> Step {
        let begin = self.last;
        let mut step = Step::default();
        if page.epoch == self.epoch {
            step.missed = self.skip_to(page.floor);
            page.messages.into_iter().for_each(|message| self.take_next(message, &mut step));
        }
        self.release(&mut step);
        let target = self.repair.as_ref().map_or(Seq(0), |repair| repair.target);
        if self.last >= target {
            self.repair = None;
        } else if self.last > begin {
            step.fetch = true;
        } else {
            return self.give_up();
        }
        step
    }

    /// Goes on without what history does not give.
    pub(crate) fn give_up(&mut self) -> Step {
        let mut step = Step::default();
        let Some(Repair { target, held }) = self.repair.take() else {
            return step;
        };
        let next = held.front().map_or(target, |message| Seq(message.seq.0 - 1));
        step.missed = self.skip_to(next);
        held.into_iter().for_each(|message| self.take_next(message, &mut step));
        step
    }

    fn take_next(&mut self, message: Message, step: &mut Step) {
        if message.seq == self.last.next() {
            self.last = message.seq;
            step.messages.push(message);
        }
    }

    /// Hands out what was held, as far as it goes on without a gap.
    fn release(&mut self, step: &mut Step) {
        let Some(mut repair) = self.repair.take() else {
            return;
        };
        while let Some(message) = repair.held.pop_front_if(|held| held.seq <= self.last.next()) {
            self.take_next(message, step);
        }
        self.repair = Some(repair);
    }

    fn skip_to(&mut self, seq: Seq) -> Option<(Seq, Seq)> {
        if seq <= self.last {
            return None;
        }
        let first = self.last.next();
        self.last = seq;
        Some((first, seq))
    }
}

#[cfg(test)]
mod tests {
    use parlour_protocol::{RoomName, UserId};

    use super::*;

    const EPOCH: Epoch = Epoch(7);

    fn room() -> RoomName {
        RoomName::parse("general").expect("valid")
    }

    fn message(seq: u64) -> Message {
        let sender = UserId::parse("Bob").expect("valid");
        Message { room: room(), seq: Seq(seq), sender, text: "x".into(), ts: 0, cid: None }
    }

    fn joined(head: u64, replayed: u32, reason: Option<Unrecovered>) -> Joined {
        Joined {
            room: room(),
            epoch: EPOCH,
            head: Seq(head),
            floor: Seq(0),
            replayed,
            recovered: reason.is_none(),
            reason,
            durable: true,
            member_count: 1,
            members: Vec::new(),
        }
    }

    fn page(range: std::ops::RangeInclusive<u64>, floor: u64) -> HistoryPage {
        let messages = range.map(message).collect();
        HistoryPage { room: room(), epoch: EPOCH, head: Seq(99), floor: Seq(floor), messages, more: true }
    }

    fn seqs(step: &Step) -> Vec<u64> {
        step.messages.iter().map(|message| message.seq.0).collect()
    }

    #[test]
    fn each_message_is_handed_out_once_and_in_order() {
        let mut track = Track::new(&joined(5, 2, None));
        let handed: Vec<_> = [4, 5, 5, 3, 6].map(|seq| seqs(&track.message(message(seq)))).concat();
        assert_eq!(handed, [4, 5, 6]);
    }

    #[test]
    fn a_gap_is_filled_before_what_came_after_it() {
        let mut track = Track::new(&joined(1, 0, None));
        assert!(track.message(message(4)).fetch);
        assert_eq!(track.message(message(5)), Step::default(), "held, and asked for once");
        let step = track.page(page(2..=2, 0));
        assert_eq!((seqs(&step), step.fetch), (vec![2], true));
        let step = track.page(page(3..=4, 0));
        assert_eq!((seqs(&step), step.fetch), (vec![3, 4, 5], false));
        assert_eq!(seqs(&track.message(message(6))), [6]);
    }

    #[test]
    fn what_was_too_far_is_paged_while_live_messages_wait() {
        let since = Position { epoch: EPOCH, seq: Seq(1) };
        let (mut track, step) =
            Track::resume(&joined(4, 0, Some(Unrecovered::TooFar)), since).expect("same history");
        assert!(step.fetch);
        assert_eq!(track.message(message(5)), Step::default());
        assert_eq!(seqs(&track.page(page(2..=4, 0))), [2, 3, 4, 5]);
    }

    #[test]
    fn what_is_no_longer_kept_is_named() {
        let since = Position { epoch: EPOCH, seq: Seq(1) };
        let expired = Joined { floor: Seq(7), ..joined(9, 0, Some(Unrecovered::Expired)) };
        let (mut track, step) = Track::resume(&expired, since).expect("same history");
        assert_eq!((step.missed, step.fetch), (Some((Seq(2), Seq(7))), true));
        assert_eq!(seqs(&track.page(page(8..=9, 7))), [8, 9]);

        let mut track = Track::new(&joined(1, 0, None));
        assert!(track.message(message(5)).fetch);
        let step = track.page(HistoryPage { messages: Vec::new(), ..page(0..=0, 0) });
        assert_eq!((step.missed, seqs(&step)), (Some((Seq(2), Seq(4))), vec![5]));
    }

    #[test]
    fn a_flood_during_a_repair_is_fetched_again() {
        let mut track = Track::new(&joined(0, 0, None));
        let end = HELD as u64 + 10;
        for seq in 2..=end {
            track.message(message(seq));
        }
        let step = track.page(page(1..=1, 0));
        assert!(step.fetch, "what did not fit was dropped");
        assert_eq!(step.messages.len(), HELD + 1);
        let step = track.page(page(HELD as u64 + 2..=end, 0));
        assert_eq!((step.messages.len(), step.fetch), (9, false));
    }

    #[test]
    fn a_rewound_history_is_not_continued() {
        let since = Position { epoch: EPOCH, seq: Seq(1) };
        for reason in [Unrecovered::Epoch, Unrecovered::Ahead, Unrecovered::Access] {
            assert!(Track::resume(&joined(4, 0, Some(reason)), since).is_none());
        }
    }
}
