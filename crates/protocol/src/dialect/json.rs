//! `parlour.json.v1`: objects with `type`, `id` and `payload` in text frames.
//!
//! ```text
//! {"type":"publish","id":7,"payload":{"room":"general","text":"hello"}}
//! ```

mod command;
mod event;
mod object;

use serde::Serialize;

use super::{Context, Decoded, Dialect, EventError, Misunderstood, Payload};
use crate::command::{Command, Request, RequestId};
use crate::error::{ErrorCode, Refusal};
use crate::event::{Event, HistoryPage, Message, Reply, RoomSummary};

/// One message per frame.
#[derive(Debug, Clone, Copy)]
pub struct Json;

/// Messages of a frame are separated by line feeds; empty lines are skipped.
#[derive(Debug, Clone, Copy)]
pub struct JsonLines;

impl Dialect for Json {
    fn decode(&self, payload: Payload<'_>, _: Context<'_>, each: &mut dyn FnMut(Decoded)) {
        match payload {
            Payload::Text(text) => each(command::decode(text)),
            Payload::Binary(_) => each(Err(not_text())),
        }
    }

    fn encode(&self, event: &Event, id: Option<&RequestId>, out: &mut Vec<u8>) {
        encode(event, id, out);
    }

    fn is_binary(&self) -> bool {
        false
    }

    fn separator(&self) -> Option<&'static [u8]> {
        None
    }
}

impl Dialect for JsonLines {
    fn decode(&self, payload: Payload<'_>, _: Context<'_>, each: &mut dyn FnMut(Decoded)) {
        match payload {
            Payload::Text(text) => lines(text).for_each(|line| each(command::decode(line))),
            Payload::Binary(_) => each(Err(not_text())),
        }
    }

    fn encode(&self, event: &Event, id: Option<&RequestId>, out: &mut Vec<u8>) {
        encode(event, id, out);
    }

    fn is_binary(&self) -> bool {
        false
    }

    fn separator(&self) -> Option<&'static [u8]> {
        Some(b"\n")
    }
}

/// Appends a request as a client sends it.
pub fn encode_request(request: &Request, out: &mut Vec<u8>) {
    let (name, id) = (request.command.name(), request.id.as_ref());
    match &request.command {
        Command::Hello(payload) => message(name, id, payload, out),
        Command::Join(payload) => message(name, id, payload, out),
        Command::Publish(payload) => message(name, id, payload, out),
        Command::Private(payload) => message(name, id, payload, out),
        Command::Typing(payload) => message(name, id, payload, out),
        Command::Presence(payload) => message(name, id, payload, out),
        Command::History(payload) => message(name, id, payload, out),
        Command::Batch(payload) => message(name, id, payload, out),
        Command::Edit(payload) => message(name, id, payload, out),
        Command::Delete(payload) => message(name, id, payload, out),
        Command::React(payload) => message(name, id, payload, out),
        Command::Pin(payload) => message(name, id, payload, out),
        Command::Status(payload) => message(name, id, payload, out),
        Command::Role(payload) => message(name, id, payload, out),
        Command::Sanction(payload) => message(name, id, payload, out),
        Command::Report(payload) => message(name, id, payload, out),
        Command::Resolve(payload) => message(name, id, payload, out),
        Command::Search(payload) => message(name, id, payload, out),
        Command::Create(payload) | Command::Configure(payload) => message(name, id, payload, out),
        Command::Read(payload) | Command::Delivered(payload) | Command::Receipts(payload) => {
            message(name, id, payload, out);
        }
        Command::Leave(payload)
        | Command::Members(payload)
        | Command::Info(payload)
        | Command::Reports(payload)
        | Command::More(payload) => message(name, id, payload, out),
        Command::Rooms | Command::Ping => {
            head(name, id, out);
            out.push(b'}');
        }
    }
}

/// Reads the events of one frame, in order: one per line, so it takes both forms of the dialect.
///
/// # Errors
/// Handed to `each` in the place of the event; the other events of the frame are not affected.
pub fn decode_events(payload: Payload<'_>, each: &mut dyn FnMut(Result<Reply, EventError>)) {
    match payload {
        Payload::Text(text) => lines(text).for_each(|line| each(event::decode(line))),
        Payload::Binary(_) => each(Err(EventError::FrameType)),
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').filter(|line| !line.trim_ascii().is_empty())
}

fn not_text() -> Misunderstood {
    let rule = "this connection speaks JSON, which goes into text frames";
    Misunderstood { id: None, refusal: Refusal::because(ErrorCode::UnsupportedData, rule) }
}

fn encode(event: &Event, id: Option<&RequestId>, out: &mut Vec<u8>) {
    let name = event.name();
    match event {
        Event::Message(payload) if payload.details.is_none() => said(id, payload, out),
        Event::Message(payload) => message(name, id, payload, out),
        Event::Edited(payload) => message(name, id, payload, out),
        Event::Deleted(payload) => message(name, id, payload, out),
        Event::Reacted(payload) => message(name, id, payload, out),
        Event::Pinned(payload) => message(name, id, payload, out),
        Event::RoomChanged(payload) => message(name, id, payload, out),
        Event::RoleChanged(payload) => message(name, id, payload, out),
        Event::Sanctioned(payload) => message(name, id, payload, out),
        Event::Welcome(payload) => message(name, id, payload, out),
        Event::Joined(payload) => message(name, id, payload, out),
        Event::Left(payload) => message(name, id, payload, out),
        Event::MemberJoined(payload) | Event::MemberLeft(payload) => message(name, id, payload, out),
        Event::Private(payload) => message(name, id, payload, out),
        Event::Typing(payload) => message(name, id, payload, out),
        Event::Presence(payload) => message(name, id, payload, out),
        Event::Read(payload) | Event::Delivered(payload) => message(name, id, payload, out),
        Event::Ack(payload) => message(name, id, payload, out),
        Event::Members(payload) => message(name, id, payload, out),
        Event::History(page) => history(id, page, out),
        Event::Rooms(rooms) => message(name, id, &Rooms { rooms }, out),
        Event::Pong(payload) => message(name, id, payload, out),
        Event::Page(payload) => message(name, id, payload, out),
        Event::Status(payload) => message(name, id, payload, out),
        Event::Info(payload) => message(name, id, payload, out),
        Event::Receipts(payload) => message(name, id, payload, out),
        Event::Found(payload) => message(name, id, payload, out),
        Event::Reports(payload) => message(name, id, payload, out),
        Event::Erased(payload) => message(name, id, payload, out),
        Event::Resync(payload) => message(name, id, payload, out),
        Event::GoAway(payload) => message(name, id, payload, out),
        Event::TokenExpiring(payload) => message(name, id, payload, out),
        Event::Error(refusal) => write(&Error::new(id, refusal), out),
    }
}

fn message<T: Serialize>(name: &str, id: Option<&RequestId>, payload: &T, out: &mut Vec<u8>) {
    head(name, id, out);
    out.extend_from_slice(b",\"payload\":");
    write(payload, out);
    out.push(b'}');
}

/// Writes a `message` as [`message`] would, in a third of the time: it is what a server mostly says.
fn said(id: Option<&RequestId>, said: &Message, out: &mut Vec<u8>) {
    head("message", id, out);
    out.extend_from_slice(b",\"payload\":{\"room\":");
    string(said.room.as_str(), out);
    out.extend_from_slice(b",\"seq\":");
    write(&said.seq, out);
    out.extend_from_slice(b",\"sender\":");
    string(said.sender.as_str(), out);
    out.extend_from_slice(b",\"text\":");
    string(&said.text, out);
    out.extend_from_slice(b",\"ts\":");
    write(&said.ts, out);
    if let Some(cid) = &said.cid {
        out.extend_from_slice(b",\"cid\":");
        string(cid, out);
    }
    out.extend_from_slice(b"}}");
}

/// Writes a page, whose events are spelled as they were live.
fn history(id: Option<&RequestId>, page: &HistoryPage, out: &mut Vec<u8>) {
    head("history", id, out);
    out.extend_from_slice(b",\"payload\":{\"room\":");
    string(page.room.as_str(), out);
    out.extend_from_slice(b",\"epoch\":");
    write(&page.epoch, out);
    out.extend_from_slice(b",\"head\":");
    write(&page.head, out);
    out.extend_from_slice(b",\"floor\":");
    write(&page.floor, out);
    out.extend_from_slice(b",\"events\":[");
    for (index, event) in page.events.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        encode(event, None, out);
    }
    out.extend_from_slice(b"],\"more\":");
    write(&page.more, out);
    out.extend_from_slice(b"}}");
}

/// Writes a string, at once if nothing in it needs an escape.
fn string(text: &str, out: &mut Vec<u8>) {
    // Without an early exit the compiler checks many bytes at once.
    let is_plain = |byte: u8| (byte >= b' ') & (byte != b'"') & (byte != b'\\');
    if !text.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
        return write(text, out);
    }
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Begins an object; the names of commands and events need no escaping.
fn head(name: &str, id: Option<&RequestId>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(name.as_bytes());
    out.push(b'"');
    if let Some(id) = id {
        out.extend_from_slice(b",\"id\":");
        write(id, out);
    }
}

fn write<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("a Vec takes every byte, and every map here has text keys");
}

#[derive(Serialize)]
struct Rooms<'a> {
    rooms: &'a [RoomSummary],
}

/// An error is flat: what a reader needs stands beside `type`.
#[derive(Serialize)]
struct Error<'a> {
    r#type: &'static str,
    id: Option<&'a RequestId>,
    code: &'static str,
    message: &'a str,
    retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked_by: Option<&'a RequestId>,
}

impl<'a> Error<'a> {
    fn new(id: Option<&'a RequestId>, refusal: &'a Refusal) -> Self {
        Self {
            r#type: "error",
            id,
            code: refusal.code.word(),
            message: &refusal.message,
            retryable: refusal.code.is_retryable(),
            retry_after_ms: refusal.retry_after_ms,
            blocked_by: refusal.blocked_by.as_ref(),
        }
    }
}
