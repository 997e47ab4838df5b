//! Events as lines for a person: the ones of the plain-text dialect, with the time in front.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use parlour_client::Update;
use parlour_protocol::RequestId;
use parlour_protocol::dialect::DialectId;
use parlour_protocol::event::Event;

/// One event on the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    time: String,
    text: String,
}

impl Line {
    /// Renders an event; `command` is the word that it answers, such as `/who`. `None` if a person
    /// would not want to see it.
    pub(crate) fn of(event: &Event, command: &str) -> Option<Self> {
        let mut text = Vec::new();
        DialectId::Text.dialect().encode(event, Some(&RequestId::Text(command.into())), &mut text);
        let ts = stored_at(event).unwrap_or_else(now_ms);
        let text = String::from_utf8_lossy(&text).into_owned();
        (!text.is_empty()).then(|| Self { time: clock(ts), text })
    }

    /// Returns the line with the time, and with the name of a room if one is given.
    pub(crate) fn tagged(&self, room: Option<&str>) -> String {
        let tag = room.map(|room| format!("[{room}] ")).unwrap_or_default();
        // The time is dim where that can be seen and is wanted (no-color.org).
        let is_dim = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let (dim, normal) = if is_dim { ("\u{1b}[2m", "\u{1b}[0m") } else { ("", "") };
        format!("{dim}{}{normal} {tag}{}", self.time, self.text)
    }
}

/// Says what happened to the connection or to a room, if a person should know.
pub(crate) fn note(update: &Update) -> Option<String> {
    Some(match update {
        Update::Connected(welcome) => format!("- connected as {}", welcome.user),
        Update::Reconnecting { cause, wait } => {
            let cause = plain(&cause.to_string());
            format!("- connection lost ({cause}); trying again in {:.1} s", wait.as_secs_f32())
        }
        Update::Missed { room, first, last } => {
            format!("- {} entries of {room} are no longer kept", last.0 - first.0 + 1)
        }
        Update::Behind { room, left: left @ 1.. } => format!("- catching up with {room}: {left} to go"),
        Update::Rewound { room, .. } => {
            format!("- the history of {room} was restored; what you saw last may not be in it")
        }
        Update::RoomLost { room, refusal } => {
            format!("- no longer in {room}: {}", plain(&refusal.to_string()))
        }
        Update::Ended(lost) => format!("- the end: {}", plain(&lost.to_string())),
        Update::Event(_) | Update::Rejoined(_) | Update::Behind { .. } => return None,
    })
}

/// Returns when an entry of a room's log was stored.
fn stored_at(event: &Event) -> Option<i64> {
    Some(match event {
        Event::Message(message) => message.ts,
        Event::Private(message) => message.ts,
        Event::Edited(change) => change.ts,
        Event::Deleted(change) => change.ts,
        Event::Reacted(change) => change.ts,
        Event::Pinned(change) => change.ts,
        Event::RoomChanged(change) => change.ts,
        Event::RoleChanged(change) => change.ts,
        Event::Sanctioned(change) => change.ts,
        _ => return None,
    })
}

/// Replaces what would steer the terminal in words that come from a server.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Prints a line; an error means that nobody reads any more.
pub(crate) fn print(line: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Writes the time of day, in UTC.
fn clock(ts: i64) -> String {
    let seconds = ts.div_euclid(1_000).rem_euclid(86_400);
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use parlour_protocol::event::{Message, TypingNotice};
    use parlour_protocol::{RoomName, Seq, UserId};

    use super::*;

    #[test]
    fn a_message_has_its_time_and_its_room_if_wanted() {
        let (room, sender) =
            (RoomName::parse("general").expect("valid"), UserId::parse("Alice").expect("valid"));
        let typing = TypingNotice { room: room.clone(), user: sender.clone(), active: true };
        let ts = 1_767_225_600_000 + 3_723_000;
        let text = "hi\n12:00:00 Bob: forged".into();
        let message = Message { room, seq: Seq(1), sender, text, ts, cid: None, details: None };
        let line = Line::of(&Event::Message(message), "").expect("shown");
        assert_eq!(line.time, "01:02:03");
        assert_eq!(line.text, "Alice: hi ⏎ 12:00:00 Bob: forged");
        assert!(line.tagged(Some("general")).ends_with(" [general] Alice: hi ⏎ 12:00:00 Bob: forged"));
        assert_eq!(Line::of(&Event::Typing(typing), ""), None);
    }

    #[test]
    fn times_before_1970_are_times_too() {
        assert_eq!(clock(-1_000), "23:59:59");
        assert_eq!(clock(0), "00:00:00");
    }
}
