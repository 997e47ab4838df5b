//! What a room's log keeps, as a part of a line.

use super::line::{name, put, quoted, visible};
use crate::content::{
    Details, NewText, PinChange, Reaction, Role, RoleChange, Sanction, SanctionKind, Settings,
};
use crate::event::{Change, Event};

/// Appends who did what. The number stands before it where numbers are shown.
pub(super) fn entry(event: &Event, out: &mut Vec<u8>) {
    match event {
        Event::Message(message) => {
            said(message.sender.as_str(), &message.text, message.details.as_deref(), out);
        }
        Event::Private(message) => {
            put("[private] ", out);
            name(message.from.as_str(), out);
            put(" > ", out);
            said(message.to.as_str(), &message.text, message.details.as_deref(), out);
        }
        Event::Edited(change) => edited(change, out),
        Event::Deleted(change) => {
            name(change.sender.as_str(), out);
            put(&format!(" erased #{}", change.what.target), out);
        }
        Event::Reacted(change) => reacted(change, out),
        Event::Pinned(change) => {
            let PinChange { target, active } = change.what;
            name(change.sender.as_str(), out);
            put(&format!(" {} #{target}", if active { "pinned" } else { "unpinned" }), out);
        }
        Event::RoomChanged(change) => {
            name(change.sender.as_str(), out);
            put(" changed the room", out);
            settings(&change.what, out);
        }
        Event::RoleChanged(change) => role_changed(change, out),
        Event::Sanctioned(change) => sanctioned(change, out),
        _ => {}
    }
}

fn said(by: &str, text: &str, details: Option<&Details>, out: &mut Vec<u8>) {
    name(by, out);
    if let Some(details) = details {
        notes(details, out);
        if details.deleted.is_some() {
            return;
        }
    }
    put(": ", out);
    visible(text, out);
}

/// Appends what is known of a message beside its text. A name never has this form: one with a
/// parenthesis is quoted.
fn notes(details: &Details, out: &mut Vec<u8>) {
    let mut between = " (";
    let mut note = |words: &str, out: &mut Vec<u8>| {
        put(between, out);
        put(words, out);
        between = ", ";
    };
    if let Some(first) = details.reply_to {
        note(&format!("to #{first}"), out);
    }
    if details.edited.is_some() {
        note("changed", out);
    }
    if details.deleted.is_some() {
        note("erased", out);
    }
    for tally in &details.reactions {
        note(&format!("{} ", tally.count), out);
        emoji(&tally.emoji, out);
    }
    if between == ", " {
        put(")", out);
    }
}

fn edited(change: &Change<NewText>, out: &mut Vec<u8>) {
    name(change.sender.as_str(), out);
    put(&format!(" changed #{}", change.what.target), out);
    if let Some(text) = &change.what.text {
        put(" to: ", out);
        visible(text, out);
    }
}

fn reacted(change: &Change<Reaction>, out: &mut Vec<u8>) {
    let Reaction { target, emoji: sign, active, .. } = &change.what;
    name(change.sender.as_str(), out);
    put(if *active { " reacted with " } else { " took back " }, out);
    emoji(sign, out);
    put(&format!(" {} #{target}", if *active { "to" } else { "from" }), out);
}

fn role_changed(change: &Change<RoleChange>, out: &mut Vec<u8>) {
    name(change.sender.as_str(), out);
    put(if change.what.role.is_some() { " made " } else { " took the role of " }, out);
    name(change.what.user.as_str(), out);
    if let Some(given) = change.what.role {
        put(&format!(" {}", role(given)), out);
    }
}

fn sanctioned(change: &Change<Sanction>, out: &mut Vec<u8>) {
    let Sanction { user, kind, until_ms, reason } = &change.what;
    name(change.sender.as_str(), out);
    let done = match kind {
        SanctionKind::None => " took back what was done to ",
        SanctionKind::Kick => " put out ",
        SanctionKind::Mute => " silenced ",
        SanctionKind::Ban => " banned ",
    };
    put(done, out);
    name(user.as_str(), out);
    if let Some(until) = until_ms {
        let minutes = until.saturating_sub(change.ts).max(0).unsigned_abs().div_ceil(60_000);
        put(&format!(" for {minutes} min"), out);
    }
    if let Some(reason) = reason {
        put(": ", out);
        visible(reason, out);
    }
}

/// Appends settings, each after a comma.
pub(super) fn settings(settings: &Settings, out: &mut Vec<u8>) {
    for (what, text) in [("title", &settings.title), ("topic", &settings.topic)] {
        if let Some(text) = text {
            put(&format!(", {what} "), out);
            quoted(text, out);
        }
    }
    if let Some(private) = settings.private {
        put(if private { ", private" } else { ", open" }, out);
    }
    match settings.slow_ms {
        Some(0) => put(", not slow", out),
        Some(slow_ms) => put(&format!(", one message in {} s", slow_ms.div_ceil(1_000)), out),
        None => {}
    }
}

pub(super) fn role(role: Role) -> &'static str {
    match role {
        Role::Member => "member",
        Role::Moderator => "moderator",
        Role::Owner => "owner",
    }
}

/// Appends a reaction. Whatever could be read as words is quoted.
fn emoji(emoji: &str, out: &mut Vec<u8>) {
    if emoji.is_empty() || emoji.bytes().any(|byte| byte.is_ascii()) {
        quoted(emoji, out)
    } else {
        visible(emoji, out)
    }
}
