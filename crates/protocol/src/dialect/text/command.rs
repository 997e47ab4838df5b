//! One typed line as a command.

use std::sync::Arc;

use compact_str::CompactString;

use crate::command::{
    Availability, Command, Configure, Delete, Edit, HistoryQuery, InRoom, Join, Pin, Private, Publish, React,
    RequestId, Search, SetPresence, SetRole,
};
use crate::content::{Role, Settings};
use crate::dialect::check::{bad_field, bad_name, complete, unknown_command};
use crate::dialect::{Context, Decoded, Misunderstood};
use crate::error::{ErrorCode, Refusal};
use crate::name::{RoomName, UserId};
use crate::position::Seq;

/// The words after `/`, as [`super::HELP`] explains them.
const COMMANDS: [&str; 23] = [
    "/join", "/leave", "/msg", "/who", "/history", "/reply", "/edit", "/delete", "/react", "/unreact",
    "/pin", "/unpin", "/search", "/rooms", "/info", "/create", "/title", "/topic", "/role", "/away", "/back",
    "/ping", "/help",
];

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
    let room = here(context)?;
    let text = Arc::from(text);
    Ok(Command::Publish(Publish { room, text, cid: None, reply_to: None, mentions: Vec::new() }))
}

fn here(context: Context<'_>) -> Result<RoomName, Refusal> {
    context.room.cloned().ok_or_else(|| {
        Refusal::because(ErrorCode::Forbidden, "you are in no room; enter one with /join and its name")
    })
}

fn command(word: &str, rest: &str, context: Context<'_>) -> Result<Command, Refusal> {
    Ok(match word {
        "/join" => Command::Join(Join { room: room(rest)?, since: None, history: None }),
        "/leave" => Command::Leave(InRoom { room: room_or_here(rest, context)? }),
        "/msg" => private(rest)?,
        "/who" => Command::Members(InRoom { room: room_or_here(rest, context)? }),
        "/history" => history(rest, context)?,
        "/reply" | "/edit" | "/delete" | "/react" | "/unreact" | "/pin" | "/unpin" => {
            about_message(word, rest, here(context)?)?
        }
        "/search" => Command::Search(Search { query: rest.into(), room: None, before: None, limit: None }),
        "/rooms" => Command::Rooms,
        "/info" => Command::Info(InRoom { room: room_or_here(rest, context)? }),
        "/create" => {
            Command::Create(Configure { room: room(rest)?, settings: Settings::default(), cid: None })
        }
        "/title" => configure(Settings { title: Some(rest.into()), ..Settings::default() }, context)?,
        "/topic" => configure(Settings { topic: Some(rest.into()), ..Settings::default() }, context)?,
        "/role" => role(rest, here(context)?)?,
        "/away" => presence(Availability::Away, rest),
        "/back" => presence(Availability::Online, rest),
        // Help is an answer like another; `render` knows it by the word in the id.
        "/ping" | "/help" => Command::Ping,
        unknown => return Err(unknown_command(unknown, &COMMANDS)),
    })
}

/// Reads a command whose first word is the number of a message.
fn about_message(word: &str, rest: &str, room: RoomName) -> Result<Command, Refusal> {
    let (number, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let number = number.strip_prefix('#').unwrap_or(number).parse();
    let target = number.map(Seq).map_err(|_| {
        bad_field("message", format_args!("give its number, such as {word} 7; /history shows the numbers"))
    })?;
    let (rest, mentions, cid) = (rest.trim_start(), Vec::new(), None);
    Ok(match word {
        "/reply" => {
            Command::Publish(Publish { room, text: Arc::from(rest), cid, reply_to: Some(target), mentions })
        }
        "/edit" => Command::Edit(Edit { room, target, text: Arc::from(rest), cid, mentions }),
        "/delete" => Command::Delete(Delete { room, target, cid }),
        "/pin" | "/unpin" => Command::Pin(Pin { room, target, active: word == "/pin", cid }),
        _ => Command::React(React { room, target, emoji: rest.into(), active: word == "/react", cid }),
    })
}

fn configure(settings: Settings, context: Context<'_>) -> Result<Command, Refusal> {
    Ok(Command::Configure(Configure { room: here(context)?, settings, cid: None }))
}

fn role(rest: &str, room: RoomName) -> Result<Command, Refusal> {
    let (name, role) = word(rest)?;
    let user = user(&name)?;
    let role = match role {
        "member" => Some(Role::Member),
        "moderator" => Some(Role::Moderator),
        "owner" => Some(Role::Owner),
        "none" => None,
        _ => return Err(bad_field("role", "must be member, moderator, owner or none")),
    };
    Ok(Command::Role(SetRole { room, user, role, cid: None }))
}

fn user(name: &str) -> Result<UserId, Refusal> {
    UserId::parse(name).map_err(|error| bad_name("user", error, ErrorCode::InvalidUser))
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
    let to = user(&to)?;
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

#[cfg(test)]
mod tests {
    use super::COMMANDS;

    #[test]
    fn help_explains_every_command_but_itself() {
        for command in COMMANDS.into_iter().filter(|command| *command != "/help") {
            let is_explained = super::super::HELP.split([' ', ',', ';']).any(|word| word == command);
            assert!(is_explained, "{command}");
        }
    }
}
