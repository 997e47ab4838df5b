//! What one connection has got of its room: every message once and in order, or what is wrong.

use std::ops::Range;

/// What a message says about those before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Nothing is wrong.
    InOrder,
    /// These have not come, as far as one can say now.
    Missing(Range<u64>),
    /// These have not come, and the server said that it leaves something out.
    LeftOut(Range<u64>),
    /// This one came before.
    Doubled,
    /// This one was missing: it comes behind a later one.
    Disordered,
    /// The server's number is not the one behind the last: which was due, which came.
    Misnumbered(u64, u64),
}

/// The messages of one connection.
#[derive(Debug, Default)]
pub(crate) struct Track {
    /// The counter that must come next; 0 until the first one came.
    next: u64,
    /// The server's number of the last message; 0 where it is not known.
    seq: u64,
    /// What is missing; empty in a good run, and then not even allocated.
    missing: Vec<Range<u64>>,
    /// Messages that came, or of which the server said that it leaves them out.
    accounted: u64,
    /// Whether the server said that it leaves something out before the next message.
    is_told: bool,
}

impl Track {
    /// Expects the message of this counter next; what came before does not count any more.
    pub(crate) fn expect(&mut self, counter: u64) {
        self.next = counter;
        self.accounted = 0;
        self.missing.clear();
    }

    /// Returns how many of the messages since [`Self::expect`] were neither told to be left out,
    /// nor came, nor were found missing already.
    pub(crate) fn lost_of(&self, messages: u64) -> u64 {
        let missing: u64 = self.missing.iter().map(|missing| missing.end - missing.start).sum();
        if self.is_told { 0 } else { messages.saturating_sub(self.accounted + missing) }
    }

    /// The server said that it leaves something out.
    pub(crate) fn be_told(&mut self) {
        self.seq = 0;
        self.is_told = true;
    }

    /// Takes a message. `seq` is 0 in a dialect without numbers.
    #[inline]
    pub(crate) fn hear(&mut self, counter: u64, seq: u64) -> Finding {
        let is_successor = self.seq == 0 || seq == self.seq + 1;
        if counter == self.next && is_successor {
            self.advance(counter, seq);
            return Finding::InOrder;
        }
        self.judge(counter, seq)
    }

    fn advance(&mut self, counter: u64, seq: u64) {
        self.next = counter + 1;
        self.seq = seq;
        self.accounted += 1;
    }

    #[cold]
    fn judge(&mut self, counter: u64, seq: u64) -> Finding {
        if self.next == 0 {
            // Whoever enters a room in the middle may begin with any message.
            self.advance(counter, seq);
            return Finding::InOrder;
        }
        if counter < self.next {
            return self.judge_old(counter);
        }
        let (last, missing) = (self.seq, self.next..counter);
        self.advance(counter, seq);
        let is_told = std::mem::take(&mut self.is_told);
        match missing.is_empty() {
            true => Finding::Misnumbered(last + 1, seq),
            // Numbers without a hole: the server has never taken what is missing.
            false if last != 0 && seq == last + 1 => Finding::InOrder,
            false if is_told => {
                self.accounted += missing.end - missing.start;
                Finding::LeftOut(missing)
            }
            false => {
                self.missing.push(missing.clone());
                Finding::Missing(missing)
            }
        }
    }

    fn judge_old(&mut self, counter: u64) -> Finding {
        let Some(at) = self.missing.iter().position(|missing| missing.contains(&counter)) else {
            return Finding::Doubled;
        };
        let hole = self.missing.swap_remove(at);
        let parts = [hole.start..counter, counter + 1..hole.end];
        self.missing.extend(parts.into_iter().filter(|part| !part.is_empty()));
        self.accounted += 1;
        Finding::Disordered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hears messages that are numbered 100 above their counter, and returns what is wrong.
    fn findings(counters: &[u64]) -> Vec<Finding> {
        let mut track = Track::default();
        track.expect(1);
        let heard = counters.iter().map(|counter| track.hear(*counter, counter + 100));
        heard.filter(|finding| *finding != Finding::InOrder).collect()
    }

    #[test]
    fn planted_faults_are_found() {
        assert_eq!(findings(&[1, 2, 3]), []);
        assert_eq!(findings(&[1, 2, 2, 3]), [Finding::Doubled]);
        assert_eq!(findings(&[1, 4, 5]), [Finding::Missing(2..4)]);
        assert_eq!(findings(&[2, 3]), [Finding::Missing(1..2)]);
        assert_eq!(findings(&[1, 3, 2, 4]), [Finding::Missing(2..3), Finding::Disordered]);
        let late = [Finding::Missing(2..5), Finding::Disordered, Finding::Disordered, Finding::Doubled];
        assert_eq!(findings(&[1, 5, 3, 2, 3]), late);
    }

    #[test]
    fn numbers_of_the_server_are_checked_where_there_are_some() {
        let mut track = Track::default();
        track.expect(1);
        let heard = [(1, 7), (2, 8), (3, 10), (4, 11)].map(|(counter, seq)| track.hear(counter, seq));
        let wrong = Finding::Misnumbered(9, 10);
        assert_eq!(heard, [Finding::InOrder, Finding::InOrder, wrong, Finding::InOrder]);
        let mut plain = Track::default();
        plain.expect(1);
        assert!([1, 2, 3].iter().all(|counter| plain.hear(*counter, 0) == Finding::InOrder));
        assert_eq!(plain.hear(5, 0), Finding::Missing(4..5));
    }

    #[test]
    fn what_the_server_refused_or_left_out_is_not_lost() {
        let mut track = Track::default();
        track.expect(1);
        // The second was refused, so the third has the next number.
        assert_eq!([track.hear(1, 1), track.hear(3, 2)], [Finding::InOrder, Finding::InOrder]);
        track.be_told();
        assert_eq!(track.hear(6, 5), Finding::LeftOut(4..6));
        assert_eq!(track.hear(8, 7), Finding::Missing(7..8));
        // One was refused, two left out, one missing, four came; the ninth and tenth did not.
        assert_eq!(track.lost_of(9), 2);
    }

    #[test]
    fn whoever_enters_late_begins_anywhere() {
        let mut track = Track::default();
        assert_eq!([track.hear(40, 9), track.hear(41, 10)], [Finding::InOrder, Finding::InOrder]);
        assert_eq!(track.hear(43, 12), Finding::Missing(42..43));
    }
}
