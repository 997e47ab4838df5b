//! One command out of its JSON text.

use std::sync::Arc;

use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::object::{Field, Object};
use crate::command::{
    Availability, Command, Hello, HistoryQuery, InRoom, Join, Private, Publish, Read, Resume, SetPresence,
    Typing,
};
use crate::dialect::check::{bad_field, complete, unknown_command};
use crate::dialect::{Decoded, Misunderstood};
use crate::error::{ErrorCode, Refusal};
use crate::limits::ROOMS_PER_CONNECTION;

/// Nesting that no command needs; deeper input is refused as [`ErrorCode::InvalidJson`].
const DEPTH: usize = 64;

/// Names of all commands.
const NAMES: [&str; 12] = [
    "hello", "join", "leave", "publish", "private", "typing", "presence", "members", "history", "rooms",
    "read", "ping",
];

/// Reads one command.
///
/// The frame is split first and read afterwards: `type` may stand behind `payload`, and the id is
/// told back even if everything else is wrong. No step recurses into the input.
pub(super) fn decode(text: &str) -> Decoded {
    let Ok(mut frame) = Object::parse(text, ["type", "id", "payload"]) else {
        return Err(Misunderstood { id: None, refusal: explain(text) });
    };
    let id = frame.field("id").optional(Field::request_id);
    let known_id = id.as_ref().ok().cloned().flatten();
    let command = match frame.take_fault() {
        Some(fault) => Err(fault),
        None => id.and_then(|_| command(&frame)),
    };
    match command {
        Ok(command) => complete(known_id, command),
        Err(refusal) => {
            let refusal = if is_deep(text) { too_deep() } else { refusal };
            Err(Misunderstood { id: known_id, refusal })
        }
    }
}

/// Says why a text is not an object: the rare case, so it may cost a second look.
fn explain(text: &str) -> Refusal {
    if is_deep(text) {
        return too_deep();
    }
    match serde_json::from_str::<IgnoredAny>(text) {
        Err(error) => Refusal::because(ErrorCode::InvalidJson, format!("this is not JSON: {error}")),
        Ok(_) => Refusal::because(
            ErrorCode::BadRequest,
            "a command is an object such as {\"type\":\"ping\",\"id\":1}, its keys without lone surrogates",
        ),
    }
}

fn too_deep() -> Refusal {
    Refusal::because(ErrorCode::InvalidJson, "the JSON is nested deeper than 64 levels")
}

fn is_deep(text: &str) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH {
            return true;
        }
    }
    false
}

fn command(frame: &Object<'_, 3>) -> Result<Command, Refusal> {
    let name = frame.field("type").text()?;
    let mut payload = frame.field("payload");
    if payload.raw.is_none() {
        payload.raw = serde_json::from_str::<&RawValue>("{}").ok();
    }
    Ok(match &*name {
        "hello" => Command::Hello(hello(&payload)?),
        "join" => Command::Join(join(&payload)?),
        "leave" => Command::Leave(in_room(&payload)?),
        "publish" => Command::Publish(publish(&payload)?),
        "private" => Command::Private(private(&payload)?),
        "typing" => Command::Typing(typing(&payload)?),
        "presence" => Command::Presence(presence(&payload)?),
        "members" => Command::Members(in_room(&payload)?),
        "history" => Command::History(history(&payload)?),
        "rooms" => Object::within(&payload, []).map(|_| Command::Rooms)?,
        "read" => Command::Read(read(&payload)?),
        "ping" => Object::within(&payload, []).map(|_| Command::Ping)?,
        unknown => return Err(unknown_command(unknown, &NAMES)),
    })
}

fn hello(payload: &Field<'_>) -> Result<Hello, Refusal> {
    let object = Object::within(payload, ["token", "user", "resume"])?;
    Ok(Hello {
        token: object.field("token").optional(Field::compact)?,
        user: object.field("user").optional(Field::user)?,
        resume: object.field("resume").optional(resume)?.unwrap_or_default(),
    })
}

fn resume(field: &Field<'_>) -> Result<Vec<Resume>, Refusal> {
    let raw = field.raw.map(RawValue::get).unwrap_or_default();
    let rooms: Vec<&RawValue> =
        serde_json::from_str(raw).map_err(|_| bad_field(field.name, "must be a list of objects"))?;
    // Before the rooms are read: a hostile list is refused by its length alone.
    if rooms.len() > ROOMS_PER_CONNECTION {
        return Err(bad_field(field.name, "at most 512 rooms"));
    }
    rooms.into_iter().map(|raw| one_resume(&Field { name: field.name, raw: Some(raw) })).collect()
}

fn one_resume(field: &Field<'_>) -> Result<Resume, Refusal> {
    let object = Object::within(field, ["room", "since"])?;
    Ok(Resume { room: object.field("room").room()?, since: object.field("since").position()? })
}

fn join(payload: &Field<'_>) -> Result<Join, Refusal> {
    let object = Object::within(payload, ["room", "since", "history"])?;
    Ok(Join {
        room: object.field("room").room()?,
        since: object.field("since").optional(Field::position)?,
        history: object.field("history").optional(Field::count)?,
    })
}

fn in_room(payload: &Field<'_>) -> Result<InRoom, Refusal> {
    let object = Object::within(payload, ["room"])?;
    Ok(InRoom { room: object.field("room").room()? })
}

fn publish(payload: &Field<'_>) -> Result<Publish, Refusal> {
    let object = Object::within(payload, ["room", "text", "cid"])?;
    Ok(Publish {
        room: object.field("room").room()?,
        text: Arc::from(object.field("text").text()?),
        cid: object.field("cid").optional(Field::compact)?,
    })
}

fn private(payload: &Field<'_>) -> Result<Private, Refusal> {
    let object = Object::within(payload, ["to", "text", "cid"])?;
    Ok(Private {
        to: object.field("to").user()?,
        text: Arc::from(object.field("text").text()?),
        cid: object.field("cid").optional(Field::compact)?,
    })
}

fn typing(payload: &Field<'_>) -> Result<Typing, Refusal> {
    let object = Object::within(payload, ["room", "active"])?;
    Ok(Typing { room: object.field("room").room()?, active: object.field("active").flag()? })
}

fn presence(payload: &Field<'_>) -> Result<SetPresence, Refusal> {
    let object = Object::within(payload, ["status", "text"])?;
    let status = match &*object.field("status").text()? {
        "online" => Availability::Online,
        "away" => Availability::Away,
        _ => return Err(bad_field("status", "must be \"online\" or \"away\"")),
    };
    Ok(SetPresence { status, text: object.field("text").optional(Field::compact)? })
}

fn history(payload: &Field<'_>) -> Result<HistoryQuery, Refusal> {
    let object = Object::within(payload, ["room", "before", "after", "limit"])?;
    Ok(HistoryQuery {
        room: object.field("room").room()?,
        before: object.field("before").optional(Field::seq)?,
        after: object.field("after").optional(Field::seq)?,
        limit: object.field("limit").optional(Field::count)?,
    })
}

fn read(payload: &Field<'_>) -> Result<Read, Refusal> {
    let object = Object::within(payload, ["room", "seq"])?;
    Ok(Read { room: object.field("room").room()?, seq: object.field("seq").seq()? })
}
