//! Saying things, and reading them back.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use axum::http::Response;
use compact_str::{CompactString, format_compact};
use parlour_hub::Input;
use parlour_protocol::command::{self, Command, HistoryQuery, Private, Publish};
use parlour_protocol::event::{Ack, Event, HistoryPage, Stored};
use parlour_protocol::{ErrorCode, Refusal, RoomName, Seq, UserId, dialect, limits};
use serde_json::value::{RawValue, to_raw_value};

use super::call::{Call, json, payload, unexpected};
use super::cursor;
use super::desk::{Asked, Asker};
use super::routes::{self, MOST_WAIT_MS};
use super::shapes::{Draft, Everywhere, Outcome, Say, SayAll, SayEverywhere};
use crate::http::problem;
use crate::node::Node;
use crate::shard::entries::entries;

/// Most rooms of one broadcast.
const BROADCAST_ROOMS: usize = 100;

/// Says something in a room.
pub(super) async fn publish(call: Call<'_>) -> Result<Response<Body>, Refusal> {
    let room = call.room()?;
    let said: Say = call.body()?;
    let asker = call.asker(said.sender.as_deref())?;
    let Say { text, cid, reply_to, mentions, .. } = said;
    let (cid, mentions) = (call.cid(cid)?, users(&mentions)?);
    let command = Command::Publish(Publish { room, text: text.into(), cid, reply_to, mentions });
    json(&store(call.node, &asker, command).await?)
}

/// Says something to a user.
pub(super) async fn tell(call: Call<'_>) -> Result<Response<Body>, Refusal> {
    let to = call.parts.user()?;
    let said: Say = call.body()?;
    let asker = call.asker(said.sender.as_deref())?;
    let Say { text, cid, reply_to, mentions, .. } = said;
    let (cid, mentions) = (call.cid(cid)?, users(&mentions)?);
    let command = Command::Private(Private { to, text: text.into(), cid, reply_to, mentions });
    json(&store(call.node, &asker, command).await?)
}

/// Says several things in a room, all or none.
pub(super) async fn batch(call: Call<'_>) -> Result<Response<Body>, Refusal> {
    let room = call.room()?;
    let SayAll { messages, sender } = call.body()?;
    let asker = call.asker(sender.as_deref())?;
    let messages = (0..).zip(messages).map(|(number, draft)| {
        let Draft { text, cid, reply_to, mentions } = draft;
        // Each has an id of its own, so that the same request finds all of them again.
        let derived = || Some(format_compact!("{}:{number}", call.once.as_ref()?));
        let cid = cid.map(CompactString::from).or_else(derived);
        Ok(command::Draft { text: text.into(), cid, reply_to, mentions: users(&mentions)? })
    });
    let messages = messages.collect::<Result<_, Refusal>>()?;
    json(&store(call.node, &asker, Command::Batch(command::Batch { room, messages })).await?)
}

/// Says the same in many rooms. What one room refuses does not concern the others.
pub(super) async fn broadcast(call: Call<'_>) -> Result<Response<Body>, Refusal> {
    let SayEverywhere { rooms, text, sender, cid } = call.body()?;
    let (asker, cid) = (call.asker(sender.as_deref())?, call.cid(cid)?);
    let names = rooms.iter().map(|name| routes::room("rooms", name)).collect::<Result<Vec<_>, _>>()?;
    let distinct: BTreeMap<_, _> = names.iter().map(|name| (name, ())).collect();
    if !(1..=BROADCAST_ROOMS).contains(&names.len()) || distinct.len() < names.len() {
        let rule = format!("rooms: 1 to {BROADCAST_ROOMS} rooms, each once");
        return Err(Refusal::because(ErrorCode::BadRequest, rule));
    }
    let text: std::sync::Arc<str> = text.into();
    // All rooms are asked before the first answer is waited for.
    let asked = names.into_iter().map(|room| {
        let asked = call.covers(&room).and_then(|()| {
            let (text, cid) = (text.clone(), cid.clone());
            let said = Publish { room: room.clone(), text, cid, reply_to: None, mentions: Vec::new() };
            begin(call.node, &asker, Command::Publish(said))
        });
        (room, asked)
    });
    let mut results = Vec::with_capacity(asked.len());
    for (room, asked) in asked.collect::<Vec<_>>() {
        let outcome = match asked {
            Ok(asked) => stored(asked.answer().await),
            Err(refusal) => Err(refusal),
        };
        results.push(match outcome {
            Ok(stored) => Outcome { room, stored: Some(stored), problem: None },
            Err(refusal) => Outcome { room, stored: None, problem: Some(problem::json(&refusal)) },
        });
    }
    json(&Everywhere { results })
}

fn users(names: &[String]) -> Result<Vec<UserId>, Refusal> {
    names.iter().map(|name| routes::user("mentions", name)).collect()
}

/// Has what a command says stored.
///
/// # Errors
/// As if a connection had sent the command.
pub(super) async fn store(node: &Node, asker: &Asker, command: Command) -> Result<Stored, Refusal> {
    stored(begin(node, asker, command)?.answer().await)
}

fn begin<'a>(node: &'a Node, asker: &Asker, command: Command) -> Result<Asked<'a>, Refusal> {
    dialect::check(&command)?;
    let now_ms = node.clock.now().wall_ms;
    let (room, entries) = entries(command, &asker.user, now_ms).map_err(|_| unexpected())?;
    node.pose(&room, asker, |caller| Input::Publish { caller, entries })
}

fn stored(answer: Result<Event, Refusal>) -> Result<Stored, Refusal> {
    match answer? {
        Event::Ack(Ack { stored: Some(stored) }) => Ok(stored),
        _ => Err(unexpected()),
    }
}

/// Reads a page of a room's log.
pub(super) async fn history(call: Call<'_>) -> Result<Response<Body>, Refusal> {
    let room = call.room()?;
    let (query, wait) = (wanted(&call, &room)?, wait(&call)?);
    let direction = Direction::of(&query);
    let (list, reader) = (list(&room, query.thread), call.reader(&room));
    let mut page = page(call.node, &reader, query.clone()).await?;
    if page.events.is_empty() && !wait.is_zero() {
        tokio::select! {
            waited = call.node.wait_for_entry(&room, &reader, page.head, wait) => waited?,
            // Better an empty page than none.
            () = call.node.shell.health.until_draining() => {}
        }
        page = self::page(call.node, &reader, query).await?;
    }
    let next = page.more.then(|| direction.after(&page)).flatten();
    let next = next.map(|place| cursor::write(&list, &place));
    let mut fields: BTreeMap<String, Box<RawValue>> =
        serde_json::from_str(payload(Event::History(page))?.get()).map_err(|_| unexpected())?;
    if let Some(next) = next {
        fields.insert("next".into(), to_raw_value(&next).map_err(|_| unexpected())?);
    }
    json(&fields)
}

async fn page(node: &Node, reader: &Asker, query: HistoryQuery) -> Result<Box<HistoryPage>, Refusal> {
    let room = query.room.clone();
    match node.ask(&room, reader, |caller| Input::History { caller, query }).await? {
        Event::History(page) => Ok(page),
        _ => Err(unexpected()),
    }
}

/// Returns how long to wait for an event if there is none.
fn wait(call: &Call<'_>) -> Result<Duration, Refusal> {
    let Some(wait_ms) = call.query.number("wait_ms")? else {
        return Ok(Duration::ZERO);
    };
    let invalid = |rule: String| Err(Refusal::because(ErrorCode::InvalidParameter, rule));
    match call.query.get("after") {
        None => invalid("`wait_ms` needs `after`".into()),
        Some(_) if wait_ms > MOST_WAIT_MS => invalid(format!("`wait_ms` is 0 to {MOST_WAIT_MS}")),
        Some(_) => Ok(Duration::from_millis(wait_ms)),
    }
}

/// In which direction pages follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Older,
    Newer,
}

impl Direction {
    fn of(query: &HistoryQuery) -> Self {
        match query.after.is_some() || query.thread.is_some() {
            true => Self::Newer,
            false => Self::Older,
        }
    }

    /// Returns the place behind a page.
    fn after(self, page: &HistoryPage) -> Option<String> {
        match self {
            Self::Older => Some(format!("before {}", page.events.first()?.seq()?)),
            Self::Newer => Some(format!("after {}", page.events.last()?.seq()?)),
        }
    }
}

/// A cursor is good for the room and thread that it came from.
fn list(room: &RoomName, thread: Option<Seq>) -> String {
    format!("messages\0{room}\0{}", thread.unwrap_or_default())
}

fn wanted(call: &Call<'_>, room: &RoomName) -> Result<HistoryQuery, Refusal> {
    let most = call.node.config.limits.history;
    let limit = Some(call.query.limit(limits::HISTORY_DEFAULT, most)?);
    let number = |name| call.query.number(name).map(|number| number.map(Seq));
    let (before, after, thread) = (number("before")?, number("after")?, number("thread")?);
    let query = HistoryQuery { room: room.clone(), before, after, thread, limit };
    let query = match call.query.get("cursor") {
        None => query,
        Some(_) if before.is_some() || after.is_some() => {
            let rule = "give `cursor`, or `before` or `after`";
            return Err(Refusal::because(ErrorCode::InvalidParameter, rule));
        }
        Some(cursor) => turned(query, &cursor::read(&list(room, thread), cursor)?)?,
    };
    dialect::check(&Command::History(query.clone()))?;
    Ok(query)
}

/// Goes on at a place.
fn turned(query: HistoryQuery, place: &str) -> Result<HistoryQuery, Refusal> {
    let seq = |text: &str| text.parse().ok().map(Seq);
    match (place.strip_prefix("before ").and_then(seq), place.strip_prefix("after ").and_then(seq)) {
        (Some(before), _) => Ok(HistoryQuery { before: Some(before), ..query }),
        (_, Some(after)) => Ok(HistoryQuery { after: Some(after), ..query }),
        _ => Err(ErrorCode::InvalidCursor.into()),
    }
}
