//! Writes effects as the lines that scripts expect.

use std::collections::BTreeSet;
use std::sync::Arc;

use parlour_hub::effect::{DOCUMENT_SEPARATOR, Document};
use parlour_hub::{ConnId, Effect, StoreRequest};
use parlour_protocol::event::{Event, HistoryPage, Joined, Member, MemberList, Status};
use parlour_protocol::{Epoch, Refusal, UserId};

use crate::world::WALL_MS;

/// Writes one effect; `list` is who gets a broadcast.
pub fn effect(effect: &Effect, list: &BTreeSet<ConnId>) -> String {
    match effect {
        Effect::Send { to, reply } => format!("{}: {}", at(*to), event(&reply.event)),
        Effect::Attach { to, joined, replay, .. } => format!("{}: {}", at(*to), entered(joined, replay)),
        Effect::Detach { from, room, refusal: None, .. } => format!("{}: left {room}", at(*from)),
        Effect::Detach { from, room, refusal: Some(refusal), .. } => {
            format!("{}: turned away from {room}, {}", at(*from), refused(refusal))
        }
        Effect::Broadcast { room, event: news, .. } => {
            let mut listed: Vec<_> = list.iter().map(|conn| at(*conn)).collect();
            listed.sort();
            format!("{room} to {}: {}", listed.join(" "), event(news))
        }
        Effect::ToUsers { users: (a, b), event: news } => format!("users {a} and {b}: {}", event(news)),
        Effect::Unread { to, room, upto, events } => {
            format!("{}: unread of {room} up to {upto}: {}", at(*to), span(events))
        }
        Effect::Store { room, request } => format!("store: {} {room}{}", verb(request), detail(request)),
        Effect::Vacated { room } => format!("{room} is gone"),
    }
}

fn at(conn: ConnId) -> String {
    format!("@{}", conn.slot)
}

fn event(event: &Event) -> String {
    match event {
        Event::Message(m) => format!("message {} from {} \"{}\"", m.seq, m.sender, m.text.trim_end()),
        Event::Private(m) => format!("private {} from {} to {} \"{}\"", m.seq, m.from, m.to, m.text),
        Event::MemberJoined(m) => format!("{} joined, {} here", m.user, m.member_count),
        Event::MemberLeft(m) => format!("{} left, {} here", m.user, m.member_count),
        Event::Typing(t) => format!("{} {}", t.user, if t.active { "types" } else { "stops typing" }),
        Event::Presence(p) => format!("now {}", member(&p.member)),
        Event::Read(r) => format!("{} has read {}", r.user, r.seq),
        Event::Ack(ack) => match &ack.stored {
            Some(stored) => format!("ack {}{}", stored.seq, if stored.dup { " again" } else { "" }),
            None => "ack".to_owned(),
        },
        Event::Members(list) => everybody(list),
        Event::History(page) => history(page),
        Event::Left(left) => format!("left {}", left.room),
        Event::Error(refusal) => refused(refusal),
        other => format!("{other:?}"),
    }
}

fn refused(refusal: &Refusal) -> String {
    let retry = refusal.retry_after_ms.map(|wait| format!(", retry in {wait} ms")).unwrap_or_default();
    format!("error {}{retry}", refusal.code.word())
}

fn entered(joined: &Joined, replay: &[Arc<Event>]) -> String {
    let mut text = format!("joined {} at {}", joined.room, joined.head);
    if joined.epoch != Epoch(1) {
        text += &format!(" of epoch {}", joined.epoch.0);
    }
    if joined.floor.0 > 0 {
        text += &format!(", floor {}", joined.floor);
    }
    if !joined.durable {
        text += ", ephemeral";
    }
    if let Some(reason) = joined.reason {
        text += &format!(", not recovered: {reason:?}");
    }
    assert_eq!(joined.recovered, joined.reason.is_none(), "a reason for what is not recovered");
    assert_eq!(joined.replayed as usize, replay.len(), "`replayed` counts the replay");
    if !replay.is_empty() {
        text += &format!(", replay {}", span(replay));
    }
    format!("{text}, {} here: {}", joined.member_count, members(&joined.members))
}

/// Writes which messages these are; they must follow one another.
fn span(events: &[Arc<Event>]) -> String {
    let numbers: Vec<u64> = events.iter().map(|event| seq(event).expect("a message")).collect();
    match &numbers[..] {
        [] => "none".to_owned(),
        [only] => only.to_string(),
        [first, .., last] if numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]) => {
            format!("{first}-{last}")
        }
        _ => format!("{numbers:?}"),
    }
}

/// Returns the number of a message.
pub fn seq(event: &Event) -> Option<u64> {
    match event {
        Event::Message(message) => Some(message.seq.0),
        Event::Private(message) => Some(message.seq.0),
        _ => None,
    }
}

fn everybody(list: &MemberList) -> String {
    format!("{} here: {}", list.member_count, members(&list.members))
}

fn members(members: &[Member]) -> String {
    let mut names: Vec<_> = members.iter().map(member).collect();
    names.sort();
    names.join(", ")
}

fn member(member: &Member) -> String {
    let mut text = member.user.to_string();
    match member.status {
        Status::Online => {}
        Status::Away => text += " (away)",
        Status::Offline => {
            let active_ms = member.last_active_ms - WALL_MS;
            text += &format!(" (offline, active at {}.{})", active_ms / 1_000, active_ms % 1_000 / 100);
        }
    }
    if let Some(says) = &member.text {
        text += &format!(" \"{says}\"");
    }
    text
}

fn history(page: &HistoryPage) -> String {
    let messages: Vec<_> = page.messages.iter().map(|m| Arc::new(Event::Message(m.clone()))).collect();
    let more = if page.more { ", more" } else { "" };
    format!("history {}{more}, the room has {}-{}", span(&messages), page.floor.next(), page.head)
}

fn verb(request: &StoreRequest) -> &'static str {
    match request {
        StoreRequest::Open { .. } => "open",
        StoreRequest::Append { .. } => "append to",
        StoreRequest::After { .. } | StoreRequest::Before { .. } => "read",
        StoreRequest::Put { .. } => "put for",
    }
}

fn detail(request: &StoreRequest) -> String {
    match request {
        StoreRequest::Open { durable, .. } => if *durable { "" } else { ", ephemeral" }.to_owned(),
        StoreRequest::Append { draft, .. } => format!(" \"{}\"", draft.body),
        StoreRequest::After { after, limit, .. } => format!(" after {after}, {limit} at most"),
        StoreRequest::Before { before, limit, .. } => format!(" before {before}, {limit} at most"),
        StoreRequest::Put { documents } => {
            let keys: Vec<_> = documents.iter().map(document).collect();
            format!(" {}", keys.join(", "))
        }
    }
}

/// Writes what a document is about: the kind, whose it is, and the value of a read cursor.
fn document(document: &Document) -> String {
    let mut parts = document.key.split(DOCUMENT_SEPARATOR);
    let (kind, one, other) = (parts.next(), parts.next(), parts.next());
    let text = std::str::from_utf8(&document.value).expect("a value of text");
    match (kind, one, other) {
        (Some("read"), Some(user), Some(_)) => format!("{user} has read {text}"),
        (Some("seen"), Some(_), Some(user)) if UserId::parse(user).is_ok() => format!("{user} was seen"),
        parts => panic!("an unknown document {parts:?}"),
    }
}
