//! Writes effects as the lines that scripts expect.

use std::collections::BTreeSet;
use std::sync::Arc;

use parlour_hub::effect::{DOCUMENT_SEPARATOR, Document};
use parlour_hub::log::{NewEntry, Record, Span};
use parlour_hub::{ConnId, Effect, StoreRequest};
use parlour_protocol::event::{Event, HistoryPage, Joined, Member, MemberList, Receipt, Status};
use parlour_protocol::{Epoch, Refusal, UserId};

use crate::world::WALL_MS;

mod entry;

/// Writes one effect; `list` is who gets a broadcast.
pub fn effect(effect: &Effect, list: &BTreeSet<ConnId>) -> String {
    match effect {
        Effect::Send { to, reply } => format!("{}: {}", at(*to), event(&reply.event)),
        Effect::Attach { to, answer, replay, .. } => {
            let waits = if replay.is_live { "" } else { ", not live" };
            format!("{}: {}{waits}", at(*to), attached(answer, &replay.events))
        }
        Effect::CatchUp { to, after, news, replay, .. } => {
            let rest = if replay.is_live { "" } else { ", not live" };
            let news: String = news.iter().map(|news| format!("{}, ", caught_up(news))).collect();
            format!("{}: {news}left out after {after}: {}{rest}", at(*to), span(&replay.events))
        }
        Effect::Fail { to, cid, refusal, .. } => {
            let cid = cid.as_ref().map_or(String::new(), |cid| format!("{cid} failed, "));
            format!("{}: {cid}{}", at(*to), refused(refusal))
        }
        Effect::Expel { from, room } => format!("{}: expelled from {room}", at(*from)),
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
        Effect::Occupancy { room, is_occupied, position } => {
            let news = if *is_occupied { "occupied" } else { "vacated" };
            format!("{room} is {news} after {position}")
        }
        Effect::Vacated { room } => format!("{room} is gone"),
        Effect::Audit(deed) => {
            let Record { seq, sender, content, .. } = &deed.record;
            format!("audit of {}: {seq} by {sender}: {}", deed.room, entry::content(content))
        }
    }
}

fn at(conn: ConnId) -> String {
    let desk = if conn.is_desk() { "d" } else { "" };
    format!("@{desk}{}", conn.slot)
}

fn event(event: &Event) -> String {
    match event {
        Event::MemberJoined(m) => format!("{} joined, {} here", m.user, m.member_count),
        Event::MemberLeft(m) => format!("{} left, {} here", m.user, m.member_count),
        Event::Typing(t) => format!("{} {}", t.user, if t.active { "types" } else { "stops typing" }),
        Event::Presence(p) => format!("now {}", member(&p.member)),
        Event::Read(r) => format!("{} has read {}, {} of {}", r.user, r.seq, r.count, r.of),
        Event::Delivered(r) => format!("{} has got {}, {} of {}", r.user, r.seq, r.count, r.of),
        Event::Ack(ack) => match &ack.stored {
            Some(stored) => {
                let count = stored.count.map(|count| format!(", {count} entries")).unwrap_or_default();
                format!("ack {}{count}{}", stored.seq, if stored.dup { " again" } else { "" })
            }
            None => "ack".to_owned(),
        },
        Event::Page(page) => format!("page of {}, {} behind", page.replayed, page.behind),
        Event::Status(status) => match &status.stored {
            Some(stored) => format!("{} is stored at {}", status.cid, stored.seq),
            None => format!("{} is not stored", status.cid),
        },
        Event::Info(info) => {
            let holders: Vec<_> = info.roles.iter().map(|h| format!("{} {:?}", h.user, h.role)).collect();
            let pins: Vec<_> = info.pins.iter().map(|seq| seq.to_string()).collect();
            let settings = entry::settings(&info.settings);
            let sanctions: String =
                info.sanctions.iter().map(|one| format!("; {}", entry::sanction(one))).collect();
            let roles = holders.join(", ");
            format!("{}:{settings}; roles: {roles}; pins: {}{sanctions}", info.room, pins.join(" "))
        }
        Event::Receipts(r) => {
            let counts = format!("{} read and {} got {} of {}", r.read, r.delivered, r.seq, r.of);
            format!("{counts}: {}", receipts(&r.receipts))
        }
        Event::Reports(list) => {
            let reports = list.reports.iter().map(|report| {
                let reason = report.reason.as_ref().map_or(String::new(), |reason| format!(" \"{reason}\""));
                format!(" {} by {}{reason}", report.target, report.user)
            });
            format!("reported:{}", reports.collect::<String>())
        }
        Event::Erased(erased) => format!("{} is erased", erased.user),
        Event::Resync(r) => {
            format!(
                "resync {:?} of {} to epoch {} {}-{}",
                r.reason,
                r.room,
                r.epoch.0,
                r.floor.next(),
                r.head
            )
        }
        Event::Members(list) => everybody(list),
        Event::History(page) => history(page),
        Event::Left(left) => format!("left {}", left.room),
        Event::Error(refusal) => refused(refusal),
        other => entry::line(other).unwrap_or_else(|| format!("{other:?}")),
    }
}

fn refused(refusal: &Refusal) -> String {
    let retry = refusal.retry_after_ms.map(|wait| format!(", retry in {wait} ms")).unwrap_or_default();
    format!("error {}{retry}", refusal.code.word())
}

/// Writes the answer to a join or to `more`, with what follows it.
fn attached(answer: &Event, replay: &[Arc<Event>]) -> String {
    match answer {
        Event::Joined(joined) => entered(joined, replay),
        Event::Page(page) => {
            assert_eq!(page.replayed as usize, replay.len(), "`replayed` counts the replay");
            format!("{}, replay {}", event(answer), span(replay))
        }
        other => event(other),
    }
}

/// Writes news for a slow connection.
fn caught_up(news: &Event) -> String {
    match news {
        Event::Joined(joined) => format!("{} here: {}", joined.member_count, members(&joined.members)),
        other => event(other),
    }
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
    if joined.behind > 0 {
        text += &format!(", {} behind", joined.behind);
    }
    if !joined.receipts.is_empty() {
        text += &format!(", receipts: {}", receipts(&joined.receipts));
    }
    format!("{text}, {} here: {}", joined.member_count, members(&joined.members))
}

/// Writes which entries these are, those that are more than their text in full.
fn span(events: &[Arc<Event>]) -> String {
    let numbers: Vec<u64> = events.iter().map(|event| event.seq().expect("an entry").0).collect();
    let span = match &numbers[..] {
        [] => "none".to_owned(),
        [only] => only.to_string(),
        [first, .., last] if numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]) => {
            format!("{first}-{last}")
        }
        _ => format!("{numbers:?}"),
    };
    let special =
        events.iter().filter(|event| !entry::is_plain(event)).filter_map(|event| entry::line(event));
    let special: Vec<_> = special.collect();
    if special.is_empty() { span } else { format!("{span} ({})", special.join("; ")) }
}

fn receipts(receipts: &[Receipt]) -> String {
    let mut texts: Vec<_> =
        receipts.iter().map(|r| format!("{} read {} got {}", r.user, r.read, r.delivered)).collect();
    texts.sort();
    texts.join(", ")
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
    let events: Vec<_> = page.events.iter().cloned().map(Arc::new).collect();
    let more = if page.more { ", more" } else { "" };
    format!("history {}{more}, the room has {}-{}", span(&events), page.floor.next(), page.head)
}

fn verb(request: &StoreRequest) -> &'static str {
    match request {
        StoreRequest::Open { .. } => "open",
        StoreRequest::Append { .. } => "append to",
        StoreRequest::Read { .. } => "read",
        StoreRequest::Find { .. } => "look in",
        StoreRequest::Reports { .. } => "reports of",
        StoreRequest::Detour { .. } => "detour for",
        StoreRequest::Put { .. } => "put for",
    }
}

fn detail(request: &StoreRequest) -> String {
    match request {
        StoreRequest::Open { durable, .. } => if *durable { "" } else { ", ephemeral" }.to_owned(),
        StoreRequest::Append { draft, .. } => {
            let entries: Vec<_> = draft.entries.iter().map(drafted).collect();
            format!(" {}", entries.join(" + "))
        }
        StoreRequest::Read { span, limit, .. } => {
            let from = match span {
                Span::After(after) => format!("after {after}"),
                Span::Before(before) => format!("before {before}"),
                Span::Thread { root, after } => format!("thread {root} after {after}"),
            };
            format!(" {from}, {limit} at most")
        }
        StoreRequest::Find { cid, .. } => format!(" for {cid}"),
        StoreRequest::Reports { .. } | StoreRequest::Detour { .. } => String::new(),
        StoreRequest::Put { documents } => {
            let keys: Vec<_> = documents.iter().map(document).collect();
            format!(" {}", keys.join(", "))
        }
    }
}

fn drafted(entry: &NewEntry) -> String {
    let cid = entry.cid.as_ref().map(|cid| format!(" cid {cid}")).unwrap_or_default();
    format!("{}{cid}", entry::content(&entry.content))
}

/// Writes what a document is about: the kind, whose it is, and the value of a cursor.
fn document(document: &Document) -> String {
    let mut parts = document.key.split(DOCUMENT_SEPARATOR);
    let (kind, one, other) = (parts.next(), parts.next(), parts.next());
    let text = std::str::from_utf8(&document.value).expect("a value of text");
    match (kind, one, other) {
        (Some("read"), Some(user), Some(_)) => format!("{user} has read {text}"),
        (Some("cursor"), Some(_), Some(_)) => receipts(&[serde_json::from_str(text).expect("a receipt")]),
        (Some("seen"), Some(_), Some(user)) if UserId::parse(user).is_ok() => format!("{user} was seen"),
        (Some("report"), Some(_), Some(target)) => {
            let is = if text.is_empty() { " is dealt with" } else { " is reported" };
            format!("{}{is}", target.trim_start_matches('0'))
        }
        parts => panic!("an unknown document {parts:?}"),
    }
}
