//! One typed line as a command.

use std::sync::Arc;

use compact_str::CompactString;

use crate::command::{
    Availability, Command, Configure, Delete, Edit, HistoryQuery, InRoom, Join, Pin, Private, Publish, React,
    Report, RequestId, Resolve, Search, SetPresence, SetRole, SetSanction,
};
use crate::content::{Role, SanctionKind, Settings};
use crate::dialect::check::{bad_field, bad_name, complete, unknown_command};
use crate::dialect::{Context, Decoded, Misunderstood};
use crate::error::{ErrorCode, Refusal};
use crate::name::{RoomName, UserId};
use crate::position::Seq;

/// The words after `/`, as [`super::HELP`] explains them.
const COMMANDS: [&str; 32] = [
    "/join", "/leave", "/msg", "/who", "/history", "/reply", "/edit", "/delete", "/react", "/unreact",
    "/pin", "/unpin", "/search", "/rooms", "/info", "/create", "/title", "/topic", "/role", "/kick", "/mute",
    "/unmute", "/ban", "/unban", "/slow", "/report", "/reports", "/resolve", "/away", "/back", "/ping",
    "/help",
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
        "/reply" | "/edit" | "/delete" | "/react" | "/unreact" | "/pin" | "/unpin" | "/report"
        | "/resolve" => about_message(word, rest, here(context)?)?,
        "/search" => Command::Search(Search { query: rest.into(), room: None, before: None, limit: None }),
        "/rooms" => Command::Rooms,
        "/info" => Command::Info(InRoom { room: room_or_here(rest, context)? }),
        "/create" => {
            Command::Create(Configure { room: room(rest)?, settings: Settings::default(), cid: None })
        }
        "/title" => configure(Settings { title: Some(rest.into()), ..Settings::default() }, context)?,
        "/topic" => configure(Settings { topic: Some(rest.into()), ..Settings::default() }, context)?,
        "/role" => role(rest, here(context)?)?,
        "/kick" | "/mute" | "/unmute" | "/ban" | "/unban" => sanction(word, rest, here(context)?)?,
        "/slow" => slow(rest, context)?,
        "/reports" => Command::Reports(InRoom { room: room_or_here(rest, context)? }),
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
        "/report" => {
            Command::Report(Report { room, target, reason: (!rest.is_empty()).then(|| rest.into()) })
        }
        "/resolve" => Command::Resolve(Resolve { room, target }),
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

fn sanction(verb: &str, rest: &str, room: RoomName) -> Result<Command, Refusal> {
    let (name, rest) = word(rest)?;
    let user = user(&name)?;
    let kind = match verb {
        "/kick" => SanctionKind::Kick,
        "/mute" => SanctionKind::Mute,
        "/ban" => SanctionKind::Ban,
        _ => SanctionKind::None,
    };
    let (first, behind) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let (for_ms, reason) = match duration_ms(first) {
        Some(for_ms) if kind >= SanctionKind::Mute => (Some(for_ms), behind.trim_start()),
        _ => (None, rest),
    };
    let reason = (!reason.is_empty()).then(|| reason.into());
    let sanction = SetSanction { room, user, kind, for_ms, reason, cid: None };
    Ok(Command::Sanction(Box::new(sanction)))
}

/// Reads a time such as `90s`, `10m`, `2h` or `7d`; `None` for any other word.
fn duration_ms(text: &str) -> Option<u64> {
    let unit_ms = match text.chars().last()? {
        's' => 1_000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        _ => return None,
    };
    text[..text.len() - 1].parse::<u64>().ok().map(|count| count.saturating_mul(unit_ms))
}

fn slow(rest: &str, context: Context<'_>) -> Result<Command, Refusal> {
    let seconds: u32 = rest.parse().map_err(|_| bad_field("slow", "give seconds, such as /slow 30"))?;
    configure(Settings { slow_ms: Some(seconds.saturating_mul(1_000)), ..Settings::default() }, context)
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
