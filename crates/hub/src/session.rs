//! What one connection may do, decided before a command reaches a room.

use parlour_protocol::command::Batch;
use parlour_protocol::{Command, ErrorCode, Refusal, limits};

use crate::limits::Gcra;

/// Commands other than messages may come this many times as often as messages.
const COMMANDS_PER_MESSAGE: u32 = 10;
/// Refusals for speed within a minute that count as abuse and end the connection.
const SPEED_ABUSE: u32 = 200;

/// The rates that the sessions and users of a node obey.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Messages, and everything else that is stored.
    pub messages: Gcra,
    /// Bytes of their texts.
    pub bytes: Gcra,
    /// What makes the server look into the store: pages of history, searches, lists of rooms.
    pub reads: Gcra,
    /// Entering rooms.
    pub joins: Gcra,
    /// Everything, of one connection.
    pub commands: Gcra,
}

impl Rates {
    /// Returns the rate for commands of any kind beside a rate for messages.
    #[must_use]
    pub fn commands_beside(rate_per_s: u32, burst: u32) -> Gcra {
        Gcra::new(
            rate_per_s.saturating_mul(COMMANDS_PER_MESSAGE),
            burst.saturating_mul(COMMANDS_PER_MESSAGE).max(limits::ROOMS_PER_CONNECTION as u32 + 64),
        )
    }

    /// Takes what a command costs out of a budget; returns what is left of it.
    ///
    /// # Errors
    /// `rate_limited`, with the rate that does not hold and the time to wait. Nothing is taken then.
    pub fn charge(&self, cost: &Cost, budget: Budget, now_ns: u64) -> Result<Budget, Refusal> {
        let Budget { messages, bytes, reads, joins } = budget;
        Ok(Budget {
            messages: charge(&self.messages, cost.messages, messages, now_ns, "messages")?,
            bytes: charge(&self.bytes, cost.bytes, bytes, now_ns, "bytes of messages")?,
            reads: charge(&self.reads, cost.reads, reads, now_ns, "reads of the store")?,
            joins: charge(&self.joins, cost.joins, joins, now_ns, "joins")?,
        })
    }
}

fn charge(rate: &Gcra, events: u32, full_ns: u64, now_ns: u64, what: &str) -> Result<u64, Refusal> {
    match events {
        0 => Ok(full_ns),
        _ => rate.charge(events, full_ns, now_ns).map_err(|wait_ms| Refusal {
            message: format!("Too many {what}; wait for retry_after_ms.").into(),
            ..Refusal::retry_after(ErrorCode::RateLimited, wait_ms)
        }),
    }
}

/// When each part of a budget is full again, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budget {
    /// That of messages.
    pub messages: u64,
    /// That of bytes.
    pub bytes: u64,
    /// That of reads.
    pub reads: u64,
    /// That of joins.
    pub joins: u64,
}

/// What a command costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Entries that it wants stored.
    pub messages: u32,
    /// Bytes of their texts.
    pub bytes: u32,
    /// Reads of the store.
    pub reads: u32,
    /// Rooms that it enters.
    pub joins: u32,
}

impl Cost {
    /// Returns the cost of a command.
    #[must_use]
    pub fn of(command: &Command) -> Self {
        let stored = |messages, bytes: usize| Self { messages, bytes: count(bytes), ..Self::default() };
        match command {
            Command::Batch(Batch { messages, .. }) => {
                stored(count(messages.len()), messages.iter().map(|message| message.text.len()).sum())
            }
            Command::Publish(publish) => stored(1, publish.text.len()),
            Command::Private(private) => stored(1, private.text.len()),
            Command::Edit(edit) => stored(1, edit.text.len()),
            Command::Delete(_)
            | Command::React(_)
            | Command::Pin(_)
            | Command::Create(_)
            | Command::Configure(_)
            | Command::Role(_) => stored(1, 0),
            Command::History(_)
            | Command::Search(_)
            | Command::Rooms
            | Command::Receipts(_)
            | Command::Status(_) => Self { reads: 1, ..Self::default() },
            Command::Join(_) => Self { joins: 1, ..Self::default() },
            // Each of its rooms is entered as by a command of its own.
            Command::Hello(hello) => Self { joins: count(hello.resume.len()), ..Self::default() },
            _ => Self::default(),
        }
    }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// The state of one connection's limits.
#[derive(Debug, Default)]
pub struct Session {
    budget: Budget,
    commands_ns: u64,
    bad: Count,
    fast: Count,
}

/// Events within the current minute.
#[derive(Debug, Default)]
struct Count {
    since_s: u32,
    events: u32,
}

impl Session {
    /// Decides whether a command may go on.
    ///
    /// `user` decides about the budget that all connections of the user share; it is asked only about
    /// what this connection's own budget allows. A batch costs as much as its messages.
    ///
    /// # Errors
    /// `rate_limited` with the time to wait.
    pub fn admit(
        &mut self,
        now_ns: u64,
        rates: &Rates,
        command: &Command,
        user: impl FnOnce(&Cost) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let cost = Cost::of(command);
        let commands_ns = match command {
            _ if cost.messages > 0 => self.commands_ns,
            Command::Hello(_) => self.spend(now_ns, rates, 1 + cost.joins)?,
            _ => self.spend(now_ns, rates, 1)?,
        };
        let budget = rates.charge(&cost, self.budget, now_ns)?;
        user(&cost)?;
        (self.budget, self.commands_ns) = (budget, commands_ns);
        Ok(())
    }

    fn spend(&self, now_ns: u64, rates: &Rates, commands: u32) -> Result<u64, Refusal> {
        let next = rates.commands.check_all(commands, self.commands_ns, now_ns);
        next.map_err(|wait_ms| Refusal::retry_after(ErrorCode::RateLimited, wait_ms))
    }

    /// Notes a refusal; returns the error that ends the connection when there were too many.
    pub fn note_refusal(&mut self, now_ms: u64, code: ErrorCode) -> Option<ErrorCode> {
        match code {
            ErrorCode::RateLimited => {
                self.fast.exceeds(now_ms, SPEED_ABUSE).then_some(ErrorCode::RateLimited)
            }
            code if is_bad_command(code) => {
                self.bad.exceeds(now_ms, limits::BAD_COMMANDS).then_some(ErrorCode::TooManyErrors)
            }
            _ => None,
        }
    }
}

impl Count {
    fn exceeds(&mut self, now_ms: u64, most: u32) -> bool {
        let now_s = u32::try_from(now_ms / 1_000).unwrap_or(u32::MAX);
        if u64::from(now_s.saturating_sub(self.since_s)) * 1_000 > limits::BAD_COMMAND_WINDOW_MS {
            *self = Self { since_s: now_s, events: 0 };
        }
        self.events += 1;
        self.events >= most
    }
}

/// Whether an error shows a client that does not know the protocol, rather than bad luck.
fn is_bad_command(code: ErrorCode) -> bool {
    (ErrorCode::InvalidJson as u16..=ErrorCode::InvalidCursor as u16).contains(&(code as u16))
}

#[cfg(test)]
mod tests {
    use parlour_protocol::command::{Hello, Publish, Resume};
    use parlour_protocol::{Position, RoomName};

    use super::*;

    fn rates() -> Rates {
        Rates {
            messages: Gcra::new(10, 20),
            bytes: Gcra::new(1_000, 2_000),
            reads: Gcra::new(1, 2),
            joins: Gcra::new(0, 1),
            commands: Rates::commands_beside(10, 20),
        }
    }

    fn room() -> RoomName {
        RoomName::parse("general").expect("valid")
    }

    #[test]
    fn a_hello_costs_as_much_as_joining_its_rooms() {
        let mut session = Session::default();
        let resume = vec![Resume { room: room(), since: Position::default() }; limits::ROOMS_PER_CONNECTION];
        let hello = Command::Hello(Hello { token: None, user: None, resume });
        let mut admit = |now_ns| session.admit(now_ns, &rates(), &hello, |_| Ok(()));
        assert!(admit(0).is_ok(), "all rooms at once, to begin with");
        let refusal = admit(0).expect_err("the budget is spent");
        assert_eq!(refusal.code, ErrorCode::RateLimited);
        let wait_ms = u64::from(refusal.retry_after_ms.expect("a time"));
        assert!((4_000..6_000).contains(&wait_ms), "{wait_ms}");
        assert!(admit((wait_ms - 1) * 1_000_000).is_err());
        assert!(admit(wait_ms * 1_000_000).is_ok(), "the time was not too short");
    }

    #[test]
    fn each_rate_is_named_where_it_does_not_hold() {
        let publish = |bytes: usize| {
            let text = "x".repeat(bytes).into();
            Command::Publish(Publish { room: room(), text, cid: None, reply_to: None, mentions: Vec::new() })
        };
        for (commands, word) in [
            (vec![publish(1); 21], "messages;"),
            (vec![publish(1_500), publish(1_500), publish(1)], "bytes of messages"),
            (vec![Command::Rooms; 3], "reads"),
        ] {
            let mut session = Session::default();
            let (last, allowed) = commands.split_last().expect("some");
            let mut admit = |command| session.admit(5, &rates(), command, |_| Ok(()));
            allowed.iter().for_each(|command| assert_eq!(admit(command), Ok(()), "{word}"));
            let refusal = admit(last).expect_err("one too many");
            assert!(refusal.message.contains(word) && refusal.retry_after_ms.is_some(), "{refusal}");
        }
    }

    #[test]
    fn what_the_user_may_not_costs_the_connection_nothing() {
        let mut session = Session::default();
        let refuse = |_: &Cost| Err(ErrorCode::RateLimited.into());
        assert!(session.admit(5, &rates(), &Command::Rooms, refuse).is_err());
        assert_eq!(session.budget, Budget::default());
    }
}
