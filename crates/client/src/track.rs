//! One room as this client has seen it: every entry once, in order, without gaps.

use std::collections::VecDeque;

use parlour_protocol::event::{Event, HistoryPage, Joined, ReplayPage, Unrecovered};
use parlour_protocol::{Epoch, Position, Seq};

/// Live entries that are kept while a gap is filled; later ones are fetched again.
const HELD: usize = 1_000;

/// What was seen of a room.
#[derive(Debug)]
pub(crate) struct Track {
    /// Unknown for a private conversation until a page or an answer tells it.
    epoch: Option<Epoch>,
    last: Seq,
    /// A gap that is being filled from history.
    repair: Option<Repair>,
    /// What the server holds back until it is asked for.
    rest: Option<Rest>,
}

#[derive(Debug, Default)]
struct Repair {
    /// The newest entry known to exist.
    target: Seq,
    held: VecDeque<(Seq, Event)>,
}

#[derive(Debug, Clone, Copy)]
struct Rest {
    /// The last entry of the page that is being told.
    page_end: Seq,
    /// How many follow it.
    behind: u64,
}

/// What to do after something was seen.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Step {
    /// Entries to hand out before anything else.
    pub(crate) entries: Vec<Event>,
    /// Entries that cannot be had any more: the first and the last, handed out before the others.
    pub(crate) missed: Option<(Seq, Seq)>,
    /// Ask for the page after [`Track::last`].
    pub(crate) fetch: bool,
    /// Ask for more once the reader has got what was handed out.
    pub(crate) more: bool,
}

impl Track {
    /// Begins after the last entry that is not replayed.
    pub(crate) fn new(joined: &Joined) -> Self {
        let last = joined.head.0.saturating_sub(joined.behind).saturating_sub(joined.replayed.into());
        Self::at(Position { epoch: joined.epoch, seq: Seq(last) })
    }

    /// Begins after a position.
    pub(crate) fn at(position: Position) -> Self {
        Self { epoch: Some(position.epoch), last: position.seq, repair: None, rest: None }
    }

    /// Begins after an entry of a private conversation, whose lineage is not known yet.
    pub(crate) fn after(seq: Seq) -> Self {
        Self { epoch: None, last: seq, repair: None, rest: None }
    }

    /// Goes on after `since`. Returns `None` if the history is not the one that was seen.
    pub(crate) fn resume(joined: &Joined, since: Position) -> Option<(Self, Step)> {
        let mut track = Self::at(since);
        let step = match joined.reason {
            None => {
                let page_end = Seq(joined.head.0.saturating_sub(joined.behind));
                track.rest = (joined.behind > 0).then_some(Rest { page_end, behind: joined.behind });
                Step { more: track.wants_more(), ..Step::default() }
            }
            Some(reason) => track.catch_up(reason, joined.floor, joined.head)?,
        };
        Some((track, step))
    }

    /// Goes on where the server cannot replay. Returns `None` if the history was rewound.
    pub(crate) fn catch_up(&mut self, reason: Unrecovered, floor: Seq, head: Seq) -> Option<Step> {
        let missed = match reason {
            Unrecovered::Expired => self.skip_to(floor),
            Unrecovered::Epoch | Unrecovered::Ahead | Unrecovered::Access => return None,
        };
        self.rest = None;
        let fetch = self.last < head;
        if fetch {
            self.repair = Some(Repair { target: head, held: VecDeque::new() });
        }
        Some(Step { missed, fetch, ..Step::default() })
    }

    pub(crate) fn last(&self) -> Seq {
        self.last
    }

    pub(crate) fn position(&self) -> Option<Position> {
        Some(Position { epoch: self.epoch?, seq: self.last })
    }

    /// Learns the lineage. Returns whether it is the one that was known, if one was.
    pub(crate) fn confirm(&mut self, epoch: Epoch) -> bool {
        *self.epoch.get_or_insert(epoch) == epoch
    }

    /// Looks for entries that nobody has told, such as those after a lost connection.
    pub(crate) fn check(&mut self) -> Step {
        let fetch = self.repair.is_none();
        self.repair.get_or_insert_default();
        Step { fetch, ..Step::default() }
    }

    /// Takes the answer to `more`; its entries follow.
    pub(crate) fn paged(&mut self, page: &ReplayPage) -> Step {
        if let Some(rest) = self.rest.take() {
            let page_end = Seq(rest.page_end.0 + u64::from(page.replayed));
            self.rest = (page.behind > 0).then_some(Rest { page_end, behind: page.behind });
        }
        Step { more: self.wants_more(), ..Step::default() }
    }

    /// Returns how many entries are left behind the page that is being told.
    pub(crate) fn behind(&self) -> u64 {
        self.rest.map_or(0, |rest| rest.behind)
    }

    fn wants_more(&self) -> bool {
        self.rest.is_some_and(|rest| self.last >= rest.page_end)
    }

    /// Takes a live or replayed entry.
    pub(crate) fn entry(&mut self, seq: Seq, entry: Event) -> Step {
        if let Some(repair) = &mut self.repair {
            repair.target = repair.target.max(seq);
            if repair.held.len() < HELD {
                repair.held.push_back((seq, entry));
            }
            return Step::default();
        }
        if seq <= self.last {
            return Step::default();
        }
        if seq == self.last.next() {
            self.last = seq;
            return Step { entries: vec![entry], more: self.wants_more(), ..Step::default() };
        }
        self.repair = Some(Repair { target: seq, held: VecDeque::from([(seq, entry)]) });
        Step { fetch: true, ..Step::default() }
    }

    /// Takes the page that a step asked for, of the lineage that was confirmed.
    pub(crate) fn page(&mut self, page: HistoryPage) -> Step {
        let begin = self.last;
        let mut step = Step { missed: self.skip_to(page.floor), ..Step::default() };
        for entry in page.events {
            if let Some(seq) = entry.seq() {
                self.take_next(seq, entry, &mut step);
            }
        }
        self.release(&mut step);
        if let Some(repair) = &mut self.repair {
            repair.target = repair.target.max(page.head);
        }
        let target = self.repair.as_ref().map_or(Seq(0), |repair| repair.target);
        if self.last >= target {
            self.repair = None;
            step.more = self.wants_more();
        } else if self.last > begin {
            step.fetch = true;
        } else {
            let Step { missed, mut entries, .. } = self.give_up();
            step.missed = step.missed.or(missed);
            step.entries.append(&mut entries);
        }
        step
    }

    /// Goes on without what history does not give.
    pub(crate) fn give_up(&mut self) -> Step {
        let mut step = Step::default();
        let Some(Repair { target, held }) = self.repair.take() else {
            return step;
        };
        let next = held.front().map_or(target, |(seq, _)| Seq(seq.0 - 1));
        step.missed = self.skip_to(next);
        held.into_iter().for_each(|(seq, entry)| self.take_next(seq, entry, &mut step));
        step.more = self.wants_more();
        step
    }

    fn take_next(&mut self, seq: Seq, entry: Event, step: &mut Step) {
        if seq == self.last.next() {
            self.last = seq;
            step.entries.push(entry);
        }
    }

    /// Hands out what was held, as far as it goes on without a gap.
    fn release(&mut self, step: &mut Step) {
        let Some(mut repair) = self.repair.take() else {
            return;
        };
        while let Some((seq, entry)) = repair.held.pop_front_if(|(seq, _)| *seq <= self.last.next()) {
            self.take_next(seq, entry, step);
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
    use parlour_protocol::content::{Content, Target, Text};
    use parlour_protocol::event::Header;
    use parlour_protocol::{RoomName, UserId};

    use super::*;

    const EPOCH: Epoch = Epoch(7);

    fn room() -> RoomName {
        RoomName::parse("general").expect("valid")
    }

    /// Every third entry is no message: all have numbers, and all count.
    fn entry(seq: u64) -> Event {
        let sender = UserId::parse("Bob").expect("valid");
        let header = Header { room: room(), seq: Seq(seq), sender, ts: 0, cid: None };
        header.event(match seq % 3 {
            0 => Content::Delete(Target { target: Seq(1) }),
            _ => Content::Message(Text::plain("x")),
        })
    }

    fn take(track: &mut Track, seq: u64) -> Step {
        track.entry(Seq(seq), entry(seq))
    }

    fn joined(head: u64, replayed: u32, reason: Option<Unrecovered>) -> Joined {
        Joined {
            room: room(),
            epoch: EPOCH,
            head: Seq(head),
            floor: Seq(0),
            replayed,
            behind: 0,
            recovered: reason.is_none(),
            reason,
            durable: true,
            member_count: 1,
            members: Vec::new(),
            receipts: Vec::new(),
        }
    }

    fn page(range: std::ops::RangeInclusive<u64>, floor: u64) -> HistoryPage {
        let events = range.map(entry).collect();
        HistoryPage { room: room(), epoch: EPOCH, head: Seq(0), floor: Seq(floor), events, more: true }
    }

    fn seqs(step: &Step) -> Vec<u64> {
        step.entries.iter().filter_map(Event::seq).map(|seq| seq.0).collect()
    }

    #[test]
    fn each_message_is_handed_out_once_and_in_order() {
        let mut track = Track::new(&joined(5, 2, None));
        let handed: Vec<_> = [4, 5, 5, 3, 6].map(|seq| seqs(&take(&mut track, seq))).concat();
        assert_eq!(handed, [4, 5, 6]);
    }

    #[test]
    fn a_gap_is_filled_before_what_came_after_it() {
        let mut track = Track::new(&joined(1, 0, None));
        assert!(take(&mut track, 4).fetch);
        assert_eq!(take(&mut track, 5), Step::default(), "held, and asked for once");
        let step = track.page(page(2..=2, 0));
        assert_eq!((seqs(&step), step.fetch), (vec![2], true));
        let step = track.page(page(3..=4, 0));
        assert_eq!((seqs(&step), step.fetch), (vec![3, 4, 5], false));
        assert_eq!(seqs(&take(&mut track, 6)), [6]);
    }

    #[test]
    fn what_was_missed_comes_in_pages_and_each_is_asked_for_once() {
        let since = Position { epoch: EPOCH, seq: Seq(1) };
        let missed = Joined { behind: 3, ..joined(6, 2, None) };
        let (mut track, step) = Track::resume(&missed, since).expect("same history");
        assert_eq!((step.more, track.behind()), (false, 3), "its entries follow first");
        assert!(!take(&mut track, 2).more);
        assert!(take(&mut track, 3).more);
        let page = |replayed, behind| ReplayPage { room: room(), replayed, behind };
        assert!(!track.paged(&page(2, 2)).more, "one more was said meanwhile");
        assert!(!take(&mut track, 4).more);
        assert!(take(&mut track, 5).more);
        assert!(!track.paged(&page(2, 0)).more);
        assert_eq!(
            (seqs(&take(&mut track, 6)), seqs(&take(&mut track, 7)), track.behind()),
            (vec![6], vec![7], 0)
        );
        assert!(!take(&mut track, 8).more);
    }

    #[test]
    fn what_is_no_longer_kept_is_named() {
        let since = Position { epoch: EPOCH, seq: Seq(1) };
        let expired = Joined { floor: Seq(7), ..joined(9, 0, Some(Unrecovered::Expired)) };
        let (mut track, step) = Track::resume(&expired, since).expect("same history");
        assert_eq!((step.missed, step.fetch), (Some((Seq(2), Seq(7))), true));
        assert_eq!(seqs(&track.page(page(8..=9, 7))), [8, 9]);

        let mut track = Track::new(&joined(1, 0, None));
        assert!(take(&mut track, 5).fetch);
        let step = track.page(HistoryPage { events: Vec::new(), ..page(0..=0, 0) });
        assert_eq!((step.missed, seqs(&step)), (Some((Seq(2), Seq(4))), vec![5]));
    }

    #[test]
    fn a_flood_during_a_repair_is_fetched_again() {
        let mut track = Track::new(&joined(0, 0, None));
        let end = HELD as u64 + 10;
        for seq in 2..=end {
            take(&mut track, seq);
        }
        let step = track.page(page(1..=1, 0));
        assert!(step.fetch, "what did not fit was dropped");
        assert_eq!(step.entries.len(), HELD + 1);
        let step = track.page(page(HELD as u64 + 2..=end, 0));
        assert_eq!((step.entries.len(), step.fetch), (9, false));
    }

    #[test]
    fn a_rewound_history_is_not_continued() {
        let since = Position { epoch: EPOCH, seq: Seq(1) };
        for reason in [Unrecovered::Epoch, Unrecovered::Ahead, Unrecovered::Access] {
            assert!(Track::resume(&joined(4, 0, Some(reason)), since).is_none());
        }
    }
}
