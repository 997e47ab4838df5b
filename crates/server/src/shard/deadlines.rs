//! Everything that happens to a connection because time has passed.

use parlour_protocol::ErrorCode;
use parlour_protocol::event::{Event, GoAway};
use parlour_websocket::Opcode;

use super::Shard;
use super::connection::{Moment, Phase};
use super::ending::Reason;
use super::read::RESUME_READING;
use super::wheel::Entry;

/// How long a closing connection waits for unanswered requests while the node drains, in
/// milliseconds.
const DRAIN_PATIENCE_MS: u64 = 2_000;
/// Time between two surveys, in milliseconds.
const SURVEY_MS: u64 = 1_000;
/// Connections of one survey, and surveys in which all connections have their turn if there are more.
const SURVEYED: usize = 1_000;
const SURVEYS: usize = 30;
/// How late a timer may be before its connection counts as forgotten, in milliseconds.
const STALE_MS: u64 = 60_000;

impl Shard {
    /// Asks the wheel to look at a connection no later than `due_ms`.
    pub(super) fn check_by(&mut self, slot: u32, due_ms: u64) {
        let connection = &mut self.connections[slot as usize];
        if due_ms < connection.timing.check_ms {
            connection.timing.check_ms = due_ms;
            let generation = connection.generation;
            self.schedule.wheel.add(Entry { slot, generation, due_ms });
        }
    }

    /// Lets pass what is due: deadlines of connections, and of rooms.
    pub(super) fn tick(&mut self) {
        let mut due = std::mem::take(&mut self.scratch.due);
        self.schedule.wheel.advance(self.now.mono_ms, &mut due);
        for entry in due.drain(..) {
            self.check(entry);
        }
        self.scratch.due = due;
        let mut effects = std::mem::take(&mut self.scratch.effects);
        self.hub.tick(self.now, &mut effects);
        self.carry_out(&mut effects);
        self.scratch.effects = effects;
        if self.now.mono_ms >= self.schedule.next_survey_ms {
            self.schedule.next_survey_ms = self.now.mono_ms + SURVEY_MS;
            self.survey();
        }
    }

    /// Repairs what must not be: a connection that no timer would ever look at again. Each such find is
    /// a bug that is counted (R31).
    fn survey(&mut self) {
        self.remind_rooms();
        self.measure_largest();
        // Part by part: to look at everybody would be most of what idle connections cost.
        let part = (self.connections.capacity() / SURVEYS).max(SURVEYED);
        let end = self.schedule.next_surveyed + part;
        for slot in self.schedule.next_surveyed..end {
            if self.is_stale(slot) {
                self.metrics.stale_reaped.inc();
                self.end(slot as u32, Reason::Lost);
            }
        }
        self.schedule.next_surveyed = if end < self.connections.capacity() { end } else { 0 };
        if self.schedule.next_surveyed == 0 {
            self.give_back();
        }
    }

    /// Gives back the memory of a crowd that has left. Whoever stays keeps their place, so the table ends
    /// behind the last of them.
    fn give_back(&mut self) {
        if self.connections.len() < self.connections.capacity() / 8 {
            self.connections.shrink_to_fit();
        }
    }

    fn is_stale(&self, slot: usize) -> bool {
        self.connections.get(slot).is_some_and(|connection| {
            let check_ms = connection.timing.check_ms;
            check_ms == u64::MAX || check_ms.saturating_add(STALE_MS) < self.now.mono_ms
        })
    }

    fn check(&mut self, entry: Entry) {
        let Entry { slot, generation, due_ms } = entry;
        // An entry that was overtaken by an earlier one is void.
        if !self.is_current(slot, generation) || self.connections[slot as usize].timing.check_ms != due_ms {
            return;
        }
        self.connections[slot as usize].timing.check_ms = u64::MAX;
        let next_ms = match self.connections[slot as usize].phase {
            Phase::Closing { until_ms } | Phase::Closed { until_ms } => match until_ms <= self.now.mono_ms {
                true => return self.end(slot, Reason::Lost),
                false => until_ms,
            },
            Phase::Greeting { until_ms } if until_ms <= self.now.mono_ms => {
                return self.end(slot, Reason::Error(ErrorCode::AuthTimeout));
            }
            Phase::Greeting { until_ms } => until_ms.min(self.check_live(slot)),
            Phase::Open => self.check_live(slot),
        };
        if self.is_current(slot, generation) {
            self.check_by(slot, next_ms);
        }
    }

    /// Judges a live connection; returns when to look again.
    fn check_live(&mut self, slot: u32) -> u64 {
        let now_ms = self.now.mono_ms;
        let timeouts = &self.node.config.timeouts;
        let [message, stall, pong] = [timeouts.message, timeouts.stall, timeouts.pong].map(as_ms);
        let connection = &self.connections[slot as usize];
        // A peer that we do not read cannot show that it is there.
        let pinged = connection.timing.pinged;
        let pinged = pinged.filter(|_| connection.in_flight <= RESUME_READING && !connection.is_consulting());
        let deadlines = [
            (connection.timing.message_since.map(|since| since.ms() + message), ErrorCode::MessageTimeout),
            (connection.outbox.stalled_since().map(|since| since + stall), ErrorCode::SlowConsumer),
            (pinged.map(|since| since.ms() + pong), ErrorCode::HeartbeatTimeout),
            (self.drain_deadline(slot), ErrorCode::Restart),
            (self.expires_at(slot), ErrorCode::TokenExpired),
        ];
        let mut next_ms = u64::MAX;
        for (deadline_ms, code) in deadlines {
            match deadline_ms {
                Some(deadline_ms) if deadline_ms <= now_ms => {
                    self.end(slot, Reason::Error(code));
                    return now_ms + 1_000;
                }
                Some(deadline_ms) => next_ms = next_ms.min(deadline_ms),
                None => {}
            }
        }
        let warned_ms = self.warn_of_expiry(slot).unwrap_or(u64::MAX);
        next_ms.min(warned_ms).min(self.heartbeat(slot))
    }

    /// Sends a ping when it is time; returns when the next one is due.
    fn heartbeat(&mut self, slot: u32) -> u64 {
        let interval_ms = self.ping_interval_ms();
        let pong_ms = self.node.timeout_ms(|timeouts| timeouts.pong);
        let connection = &mut self.connections[slot as usize];
        let (is_stream, timing) = (connection.is_stream(), &mut connection.timing);
        if timing.next_ping_ms > self.now.mono_ms {
            return timing.next_ping_ms;
        }
        timing.next_ping_ms = self.now.mono_ms + interval_ms;
        if !is_stream {
            timing.pinged.get_or_insert(Moment::at(self.now.mono_ms));
        }
        let next_ms = timing.next_ping_ms.min(self.now.mono_ms + pong_ms);
        self.send_frame(slot, Opcode::Ping, b"");
        next_ms
    }

    /// Returns the configured interval less a jitter of up to a tenth, so that the pings of many
    /// connections spread.
    pub(super) fn ping_interval_ms(&self) -> u64 {
        let interval_ms = self.node.timeout_ms(|timeouts| timeouts.ping);
        let spread = interval_ms / 10 + 1;
        interval_ms
            - (u64::from(self.intake.next_generation).wrapping_mul(0x9e37_79b9) ^ self.now.mono_ms) % spread
    }

    fn drain_deadline(&self, slot: u32) -> Option<u64> {
        let connection = &self.connections[slot as usize];
        let drain_ms = connection.timing.drain?.ms();
        // A request in flight is answered before the goodbye.
        match connection.in_flight > 0 && self.now.mono_ms < drain_ms + DRAIN_PATIENCE_MS {
            true => Some(drain_ms.max(self.now.mono_ms + super::wheel::TICK_MS)),
            false => Some(drain_ms),
        }
    }

    /// Tells every connection that the node goes away, and spreads their ends over a time.
    pub(super) fn drain(&mut self, spread_ms: u64) {
        self.schedule.drain_spread_ms = Some(spread_ms);
        let slots: Vec<u32> = self.connections.iter().map(|(slot, _)| slot as u32).collect();
        let count = slots.len().max(1) as u64;
        let goaway = Event::GoAway(GoAway {
            reason: ErrorCode::Restart.word().into(),
            reconnect: self.node.reconnect_window(),
        });
        for (index, slot) in (0..).zip(slots) {
            self.send_event(slot, &goaway);
            let drain_ms = self.now.mono_ms + spread_ms * index / count;
            self.connections[slot as usize].timing.drain = Some(Moment::at(drain_ms));
            self.check_by(slot, drain_ms);
        }
    }
}

fn as_ms(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use crate::shard::ending::Reason;
    use crate::shard::measure::FanOut;

    #[tokio::test]
    async fn a_crowd_that_has_left_leaves_no_memory_behind() {
        let FanOut { mut shard, .. } = FanOut::new(150, "text", None).expect("sockets");
        let crowded = shard.connections.capacity();
        for slot in 1..150 {
            shard.end(slot, Reason::Lost);
        }
        shard.survey();
        assert!(shard.connections.capacity() < crowded / 8, "{}", shard.connections.capacity());
        assert_eq!(shard.connections.iter().map(|(slot, _)| slot).collect::<Vec<_>>(), [0], "who stays");
    }
}
