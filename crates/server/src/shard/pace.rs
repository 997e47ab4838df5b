//! How long a shard gathers before it writes.
//!
//! An idle shard writes at once. A busy one waits a little, so that more messages share a write:
//! throughput grows with the load, and nobody waits longer than the configured ceiling. A wait that
//! brings nothing together is not repeated for a while.

use std::time::Duration;

use super::fanout::Appended;

/// Time over which the load is judged, in nanoseconds.
const WINDOW_NS: u64 = 10_000_000;
/// Shortest wait, in nanoseconds: what a poll can tell apart.
const STEP_NS: u64 = 1_000_000;
/// Waits in a row that may bring nothing.
const FUTILE: u32 = 3;
/// How long there are no waits after that, in nanoseconds.
const DISCOURAGED_NS: u64 = 1_000_000_000;
/// What a turn may cost before the rest has to wait for the next one, in bytes to write: some 20 ms.
const TURN: u64 = 128 * 1024 * 1024;
/// What a recipient costs beside the bytes of its messages: the price of the write, in bytes.
const RECIPIENT: u64 = 4 * 1024;

/// The pace of one shard.
#[derive(Debug)]
pub(super) struct Pace {
    ceiling_ns: u64,
    delay_ns: u64,
    window: Window,
    /// What waits to be written, if anything does.
    gathering: Option<Gathering>,
    futile: u32,
    discouraged_until_ns: u64,
    spent: u64,
}

#[derive(Debug, Default)]
struct Window {
    began_ns: u64,
    busy_ns: u64,
}

#[derive(Debug, Clone, Copy)]
struct Gathering {
    since_ns: u64,
    /// Events broadcast so far, over all time.
    broadcasts: u64,
}

impl Pace {
    pub(super) fn new(ceiling: Duration) -> Self {
        Self {
            ceiling_ns: u64::try_from(ceiling.as_nanos()).unwrap_or(u64::MAX),
            delay_ns: 0,
            window: Window::default(),
            gathering: None,
            futile: 0,
            discouraged_until_ns: 0,
            spent: 0,
        }
    }

    /// Whether what has been gathered is to be written now. `broadcasts` counts events over all time.
    pub(super) fn is_time(&mut self, now_ns: u64, broadcasts: u64) -> bool {
        let gathering = *self.gathering.get_or_insert(Gathering { since_ns: now_ns, broadcasts });
        if now_ns - gathering.since_ns < self.delay_ns && !self.is_spent() {
            return false;
        }
        self.gathering = None;
        if self.delay_ns > 0 {
            self.learn(now_ns, broadcasts > gathering.broadcasts);
        }
        true
    }

    fn learn(&mut self, now_ns: u64, brought_more: bool) {
        self.futile = if brought_more { 0 } else { self.futile + 1 };
        if self.futile >= FUTILE {
            (self.futile, self.delay_ns) = (0, 0);
            self.discouraged_until_ns = now_ns + DISCOURAGED_NS;
        }
    }

    /// Returns how long the shard may sleep although something waits to be written.
    pub(super) fn patience(&self, now_ns: u64) -> Option<Duration> {
        let due_ns = self.gathering?.since_ns + self.delay_ns;
        Some(Duration::from_nanos(due_ns.saturating_sub(now_ns)))
    }

    /// Adds the cost of a broadcast.
    pub(super) fn spend(&mut self, appended: Appended) {
        let writes = if appended.is_first { appended.members } else { 0 };
        self.spent += appended.bytes as u64 + u64::from(writes) * RECIPIENT;
    }

    /// Whether this turn has cost enough.
    pub(super) fn is_spent(&self) -> bool {
        self.spent >= TURN
    }

    /// Ends a turn, and judges the load.
    pub(super) fn end_turn(&mut self, began_ns: u64, now_ns: u64) {
        self.spent = 0;
        self.window.busy_ns += now_ns - began_ns;
        let length_ns = now_ns - self.window.began_ns;
        if length_ns < WINDOW_NS {
            return;
        }
        let busy_ns = self.window.busy_ns;
        self.window = Window { began_ns: now_ns, busy_ns: 0 };
        self.delay_ns = match () {
            () if now_ns < self.discouraged_until_ns => 0,
            () if busy_ns > length_ns / 2 => (self.delay_ns + STEP_NS).min(self.ceiling_ns),
            () if busy_ns < length_ns / 4 => self.delay_ns.saturating_sub(STEP_NS),
            () => self.delay_ns,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Takes turns of 1 ms with a pause between them, each with `per_turn` broadcasts, for a second.
    /// Returns the longest time from a broadcast to its write, and the number of writes.
    fn play(pace: &mut Pace, pause_ns: u64, per_turn: u64) -> (u64, u32) {
        let (mut now_ns, mut broadcasts, mut writes, mut longest_ns) = (0, 0, 0, 0);
        let mut waiting_since: Option<u64> = None;
        while now_ns < 1_000 * MS {
            let began_ns = now_ns;
            broadcasts += per_turn;
            let since = *waiting_since.get_or_insert(now_ns);
            if pace.is_time(now_ns, broadcasts) {
                longest_ns = longest_ns.max(now_ns - since);
                waiting_since = None;
                writes += 1;
            }
            now_ns += MS;
            pace.end_turn(began_ns, now_ns);
            now_ns += pause_ns;
        }
        (longest_ns, writes)
    }

    #[test]
    fn an_idle_shard_writes_at_once() {
        let (longest_ns, writes) = play(&mut Pace::new(Duration::from_millis(2)), 9 * MS, 1);
        assert_eq!((longest_ns, writes), (0, 100));
    }

    #[test]
    fn a_busy_shard_gathers_within_the_ceiling() {
        let (longest_ns, writes) = play(&mut Pace::new(Duration::from_millis(2)), 0, 1);
        assert_eq!(longest_ns, 2 * MS);
        assert!((300..600).contains(&writes), "{writes} writes in 1,000 turns");
    }

    #[test]
    fn a_ceiling_of_nothing_is_no_wait() {
        let (longest_ns, writes) = play(&mut Pace::new(Duration::ZERO), 0, 1);
        assert_eq!((longest_ns, writes), (0, 1_000));
    }

    #[test]
    fn waits_that_bring_nothing_are_given_up() {
        let mut pace = Pace::new(Duration::from_millis(2));
        let (_, writes) = play(&mut pace, 0, 0);
        assert!(writes > 950, "{writes} writes in 1,000 turns");
    }

    #[test]
    fn a_turn_that_has_cost_enough_is_written_whatever_the_pace() {
        let mut pace = Pace { delay_ns: 2 * MS, ..Pace::new(Duration::from_millis(2)) };
        assert!(!pace.is_time(0, 1));
        pace.spend(Appended { room: 0, members: 100_000, bytes: 0, is_first: true, is_full: false });
        assert!(pace.is_spent());
        assert!(pace.is_time(MS, 2));
        pace.end_turn(0, MS);
        assert!(!pace.is_spent());
    }
}
