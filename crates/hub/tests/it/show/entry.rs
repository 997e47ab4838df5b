//! Writes entries of the log as the lines that scripts expect.

use parlour_protocol::content::{
    Content, Details, NewText, PinChange, Reaction, RoleChange, Sanction, Settings, Target,
};
use parlour_protocol::event::{Change, Event};

use crate::world::WALL_MS;

/// Writes an entry; `None` for other events.
pub fn line(event: &Event) -> Option<String> {
    Some(match event {
        Event::Message(m) => {
            let (text, details) = (m.text.trim_end(), details(m.details.as_deref()));
            format!("message {} from {} \"{text}\"{details}", m.seq, m.sender)
        }
        Event::Private(m) => {
            let details = details(m.details.as_deref());
            format!("private {} from {} to {} \"{}\"{details}", m.seq, m.from, m.to, m.text)
        }
        Event::Edited(change) => changed(change, &edit(&change.what)),
        Event::Deleted(change) => changed(change, &deletion(change.what)),
        Event::Reacted(change) => {
            let count = change.what.count;
            changed(change, &format!("{}, {count} now", reaction(&change.what)))
        }
        Event::Pinned(change) => changed(change, &pin(change.what)),
        Event::RoomChanged(change) => changed(change, &format!("room{}", settings(&change.what))),
        Event::RoleChanged(change) => changed(change, &role(&change.what)),
        Event::Sanctioned(change) => changed(change, &sanction(&change.what)),
        _ => return None,
    })
}

/// Whether an event is a message and nothing but its text, of somebody who was not erased.
pub fn is_plain(event: &Event) -> bool {
    match event {
        Event::Message(m) => m.details.is_none() && !m.sender.as_str().starts_with("erased-"),
        Event::Private(m) => m.details.is_none(),
        _ => false,
    }
}

/// Writes what somebody wants stored.
pub fn content(content: &Content) -> String {
    match content {
        Content::Message(said) => format!("\"{}\"{}", said.text, details(said.details.as_deref())),
        Content::Edit(what) => edit(what),
        Content::Delete(what) => deletion(*what),
        Content::Reaction(what) => reaction(what),
        Content::Pin(what) => pin(*what),
        Content::Settings(what) => format!("room{}", settings(what)),
        Content::Role(what) => role(what),
        Content::Sanction(what) => sanction(what),
    }
}

/// Writes settings, those that are set.
pub fn settings(settings: &Settings) -> String {
    let mut text = String::new();
    if let Some(title) = &settings.title {
        text += &format!(" title \"{title}\"");
    }
    if let Some(topic) = &settings.topic {
        text += &format!(" topic \"{topic}\"");
    }
    if let Some(private) = settings.private {
        text += if private { " private" } else { " open" };
    }
    if let Some(slow_ms) = settings.slow_ms {
        text += &format!(" slow {slow_ms}");
    }
    text
}

fn changed<T>(change: &Change<T>, what: &str) -> String {
    format!("entry {} by {}: {what}", change.seq, change.sender)
}

fn edit(NewText { target, text, mentions }: &NewText) -> String {
    let text = text.as_ref().map_or("nothing".to_owned(), |text| format!("\"{text}\""));
    format!("{target} is now {text}{}", list(" for", mentions))
}

fn deletion(Target { target }: Target) -> String {
    format!("{target} is deleted")
}

fn reaction(Reaction { target, emoji, active, .. }: &Reaction) -> String {
    format!("{}{emoji} to {target}", if *active { "" } else { "no " })
}

fn pin(PinChange { target, active }: PinChange) -> String {
    format!("{target} is {}", if active { "pinned" } else { "unpinned" })
}

fn role(RoleChange { user, role }: &RoleChange) -> String {
    match role {
        Some(role) => format!("{user} is {}", format!("{role:?}").to_lowercase()),
        None => format!("{user} has no role"),
    }
}

pub fn sanction(Sanction { user, kind, until_ms, reason }: &Sanction) -> String {
    let until = until_ms.map_or(String::new(), |until| format!(" until {}", until - WALL_MS));
    let reason = reason.as_ref().map_or(String::new(), |reason| format!(" \"{reason}\""));
    format!("{} {user}{until}{reason}", kind.word())
}

fn details(details: Option<&Details>) -> String {
    let Some(details) = details else {
        return String::new();
    };
    let mut text = list(" for", &details.mentions);
    let numbers = [
        (" re", details.reply_to),
        (" thread", details.thread),
        (" edited", details.edited),
        (" deleted", details.deleted),
    ];
    for (word, seq) in numbers {
        text += &seq.map(|seq| format!("{word} {seq}")).unwrap_or_default();
    }
    for tally in &details.reactions {
        text += &list(&format!(" {} {}:", tally.count, tally.emoji), &tally.users);
    }
    text
}

fn list(head: &str, users: &[parlour_protocol::UserId]) -> String {
    match users {
        [] => String::new(),
        users => format!("{head} {}", users.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")),
    }
}
