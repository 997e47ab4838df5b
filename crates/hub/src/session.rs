//! What one connection may do, decided before a command reaches a room.

use parlour_protocol::{Command, ErrorCode, Refusal, RoomName, limits};

use crate::limits::Gcra;

/// Commands other than messages may come this many times as often as messages.
const COMMANDS_PER_MESSAGE: u32 = 10;
/// Refusals for speed within a minute that count as abuse and end the connection.
const SPEED_ABUSE: u32 = 200;

/// The rates that every session of a node obeys.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Messages, and everything else that is stored.
    pub messages: Gcra,
    /// Everything else.
    pub commands: Gcra,
}

impl Rates {
    /// Derives both rates from the configured one for messages.
    #[must_use]
    pub fn new(rate_per_s: u32, burst: u32) -> Self {
        let commands = Gcra::new(
            rate_per_s.saturating_mul(COMMANDS_PER_MESSAGE),
            burst.saturating_mul(COMMANDS_PER_MESSAGE).max(limits::ROOMS_PER_CONNECTION as u32 + 64),
        );
        Self { messages: Gcra::new(rate_per_s, burst), commands }
    }
}

/// The state of one connection's limits.
#[derive(Debug, Default)]
pub struct Session {
    messages_ns: u64,
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
    /// `user` decides about the budget that all connections of the user share; it is asked only
    /// for messages that this connection's own budget allows. A batch costs as much as its messages.
    ///
    /// # Errors
    /// `rate_limited` with the time to wait.
    pub fn admit(
        &mut self,
        now_ns: u64,
        rates: &Rates,
        command: &Command,
        user: impl FnOnce(&Gcra, u32) -> Result<(), u32>,
    ) -> Result<(), Refusal> {
        let checked = match command {
            // Each of its rooms is entered as by a command of its own.
            Command::Hello(hello) => self.spend(now_ns, rates, 1 + hello.resume.len()),
            _ => match messages(command) {
                0 => self.spend(now_ns, rates, 1),
                messages => {
                    let next = rates.messages.charge(messages, self.messages_ns, now_ns);
                    next.and_then(|next| user(&rates.messages, messages).map(|()| self.messages_ns = next))
                }
            },
        };
        checked.map_err(|wait_ms| Refusal::retry_after(ErrorCode::RateLimited, wait_ms))
    }

    fn spend(&mut self, now_ns: u64, rates: &Rates, commands: usize) -> Result<(), u32> {
        let commands = u32::try_from(commands).unwrap_or(u32::MAX);
        let next = rates.commands.check_all(commands, self.commands_ns, now_ns)?;
        self.commands_ns = next;
        Ok(())
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

/// Counts the entries that a command wants stored.
fn messages(command: &Command) -> u32 {
    match command {
        Command::Batch(batch) => u32::try_from(batch.messages.len()).unwrap_or(u32::MAX),
        Command::Publish(_)
        | Command::Private(_)
        | Command::Edit(_)
        | Command::Delete(_)
        | Command::React(_)
        | Command::Pin(_)
        | Command::Create(_)
        | Command::Configure(_)
        | Command::Role(_) => 1,
        _ => 0,
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

/// What somebody may do in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Be a member.
    Join,
    /// See messages.
    Read,
    /// Write messages.
    Publish,
}

/// Decides what an identity may do. The place where roles will stand.
#[derive(Debug, Clone, Default)]
pub enum Permissions {
    /// Every action in every room; private conversations are for their participants in any case.
    #[default]
    Everything,
    /// Only these actions, in rooms of this name.
    Only(Vec<(RoomName, Action)>),
}

impl Permissions {
    /// Whether an action is allowed in a room.
    #[must_use]
    pub fn allow(&self, action: Action, room: &RoomName) -> bool {
        match self {
            Self::Everything => true,
            Self::Only(grants) => grants.iter().any(|(name, granted)| name == room && *granted == action),
        }
    }
}

#[cfg(test)]
mod tests {
    use parlour_protocol::Position;
    use parlour_protocol::command::{Hello, Resume};

    use super::*;

    #[test]
    fn a_hello_costs_as_much_as_joining_its_rooms() {
        let (rates, mut session) = (Rates::new(10, 20), Session::default());
        let room = RoomName::parse("general").expect("valid");
        let resume = vec![Resume { room, since: Position::default() }; limits::ROOMS_PER_CONNECTION];
        let hello = Command::Hello(Hello { token: None, user: None, resume });
        let mut admit = |now_ns| session.admit(now_ns, &rates, &hello, |_, _| Ok(()));
        assert!(admit(0).is_ok(), "all rooms at once, to begin with");
        let refusal = admit(0).expect_err("the budget is spent");
        assert_eq!(refusal.code, ErrorCode::RateLimited);
        let wait_ms = u64::from(refusal.retry_after_ms.expect("a time"));
        assert!((4_000..6_000).contains(&wait_ms), "{wait_ms}");
        assert!(admit((wait_ms - 1) * 1_000_000).is_err());
        assert!(admit(wait_ms * 1_000_000).is_ok(), "the time was not too short");
    }
}
