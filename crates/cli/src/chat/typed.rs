//! What a typed line means.

use parlour_protocol::command::{Command, Request, RequestId};
use parlour_protocol::dialect::{Context, DialectId, Misunderstood, Payload};
use parlour_protocol::event::{Event, Pong};
use parlour_protocol::{Refusal, RoomName};

/// What a typed line means.
#[derive(Debug, PartialEq)]
pub(super) enum Typed {
    /// An empty line.
    Nothing,
    /// The person leaves.
    Quit,
    /// The person asks for the commands.
    Help,
    /// A command and its word, such as `/who`.
    Command(Command, String),
    /// A command that is not understood.
    Wrong(Refusal),
}

/// Reads a line, said in `room` if it is no command.
pub(super) fn read(line: &str, room: Option<&RoomName>) -> Typed {
    match line.trim() {
        "" => return Typed::Nothing,
        "/quit" => return Typed::Quit,
        "/help" => return Typed::Help,
        _ => {}
    }
    let mut typed = Typed::Nothing;
    DialectId::Text.dialect().decode(Payload::Text(line), Context { room }, &mut |decoded| {
        typed = match decoded {
            Ok(Request { id: Some(RequestId::Text(word)), command }) => {
                Typed::Command(command, word.into_string())
            }
            Ok(Request { command, .. }) => Typed::Command(command, String::new()),
            Err(Misunderstood { refusal, .. }) => Typed::Wrong(refusal),
        };
    });
    typed
}

/// Returns the event that the plain-text dialect shows as its help.
pub(super) fn help() -> Event {
    Event::Pong(Pong { server_time_ms: 0 })
}

#[cfg(test)]
mod tests {
    use parlour_protocol::ErrorCode;

    use super::*;

    #[test]
    fn lines_are_said_and_commands_are_carried_out() {
        let room = RoomName::parse("general").expect("valid");
        let here = Some(&room);
        assert_eq!(read("  ", here), Typed::Nothing);
        assert_eq!(read("/quit", here), Typed::Quit);
        assert_eq!(read("/help ", here), Typed::Help);
        assert!(
            matches!(read("hello", here), Typed::Command(Command::Publish(said), _) if &*said.text == "hello")
        );
        assert!(
            matches!(read("/edit 7 hi", here), Typed::Command(Command::Edit(edit), _) if edit.target.0 == 7)
        );
        assert!(matches!(read("/who", here), Typed::Command(Command::Members(_), word) if word == "/who"));
        assert!(matches!(read("hello", None), Typed::Wrong(refusal) if refusal.code == ErrorCode::Forbidden));
        assert!(
            matches!(read("/qit", here), Typed::Wrong(refusal) if refusal.code == ErrorCode::UnknownCommand)
        );
    }
}
