//! One typed line as a command.

use std::sync::Arc;

use compact_str::CompactString;

use crate::command::{
    Availability, Command, HistoryQuery, InRoom, Join, Private, Publish, RequestId, SetPresence,
};
use crate::dialect::check::{bad_field, bad_name, complete, unknown_command};
use crate::dialect::{Context, Decoded, Misunderstood};
use crate::error::{ErrorCode, Refusal};
use crate::name::{RoomName, UserId};

/// The words after `/`, as [`super::HELP`] explains them.
const COMMANDS: [&str; 10] =
    ["/join", "/leave", "/msg", "/who", "/history", "/rooms", "/away", "/back", "/ping", "/help"];

/// Id of what is no command, or no known one.
const SAID: &str = "say";

/// Reads one line without its line feed.
pub(super) fn decode(line: &str, context: Context<'_>) -> Decoded {
    let (word, command) = match line.strip_prefix('/') {
        None => (SAID, say(line, context)),
        Some(said) if said.starts_with('/') => (SAID, say(said, context)),
        Some(_) => {
            let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let known = COMMANDS.into_iter().find(|known| *known == word);
            (known.unwrap_or(SAID), command(word, rest.trim(), context))
        }
    };
    let id = Some(RequestId::Text(CompactString::const_new(word)));
    match command {
        Ok(command) => complete(id, command),
        Err(refusal) => Err(Misunderstood { id, refusal }),
    }
}

fn say(text: &str, context: Context<'_>) -> Result<Command, Refusal> {
    let room = context.room.cloned();
    let room = room.ok_or_else(|| {
        Refusal::because(ErrorCode::Forbidden, "you are in no room; enter one with /join and its name")
    })?;
    Ok(Command::Publish(Publish {
        room,
        text: Arc::from(text),
        cid: None,
        reply_to: None,
        mentions: Vec::new(),
    }))
}

fn command(word: &str, rest: &str, context: Context<'_>) -> Result<Command, Refusal> {
    Ok(match word {
        "/join" => Command::Join(Join { room: room(rest)?, since: None, history: None }),
        "/leave" => Command::Leave(InRoom { room: room_or_here(rest, context)? }),
        "/msg" => private(rest)?,
        "/who" => Command::Members(InRoom { room: room_or_here(rest, context)? }),
        "/history" => history(rest, context)?,
        "/rooms" => Command::Rooms,
        "/away" => presence(Availability::Away, rest),
        "/back" => presence(Availability::Online, rest),
        // Help is an answer like another; `render` knows it by the word in the id.
        "/ping" | "/help" => Command::Ping,
        unknown => return Err(unknown_command(unknown, &COMMANDS)),
    })
}

fn room(text: &str) -> Result<RoomName, Refusal> {
    let (name, _) = word(text)?;
    RoomName::parse_any(&name).map_err(|error| bad_name("room", error, ErrorCode::InvalidRoom))
}

fn room_or_here(text: &str, context: Context<'_>) -> Result<RoomName, Refusal> {
    match (text, context.room) {
        ("", Some(here)) => Ok(here.clone()),
        ("", None) => Err(bad_field("room", "you are in no room, so name one")),
        _ => room(text),
    }
}

fn private(rest: &str) -> Result<Command, Refusal> {
    let (to, text) = word(rest)?;
    let to = UserId::parse(&to).map_err(|error| bad_name("user", error, ErrorCode::InvalidUser))?;
    Ok(Command::Private(Private {
        to,
        text: Arc::from(text),
        cid: None,
        reply_to: None,
        mentions: Vec::new(),
    }))
}

fn history(rest: &str, context: Context<'_>) -> Result<Command, Refusal> {
    let limit = match rest {
        "" => None,
        count => Some(count.parse().map_err(|_| {
            Refusal::because(ErrorCode::InvalidLimit, "history: the number of messages is 1 to 500")
        })?),
    };
    let room = room_or_here("", context)?;
    Ok(Command::History(HistoryQuery { room, before: None, after: None, thread: None, limit }))
}

fn presence(status: Availability, text: &str) -> Command {
    Command::Presence(SetPresence { status, text: (!text.is_empty()).then(|| text.into()) })
}

/// Splits off the first word. One in quotation marks is read as a JSON string, the way `render`
/// shows unusual names.
fn word(text: &str) -> Result<(String, &str), Refusal> {
    if !text.starts_with('"') {
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        return Ok((word.to_owned(), rest.trim_start()));
    }
    let mut strings = serde_json::Deserializer::from_str(text).into_iter::<String>();
    match strings.next() {
        Some(Ok(word)) => Ok((word, text[strings.byte_offset()..].trim_start())),
        _ => Err(bad_field(
            "name",
            "the quotation mark is not closed, or a \\ in it is not followed by \\ or \"",
        )),
    }
}
