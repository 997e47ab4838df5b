//! One command out of its JSON text.

use std::sync::Arc;

use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::object::{Field, Object};
use crate::command::{
    Availability, Batch, Command, Configure, Cursor, Delete, Draft, Edit, Hello, HistoryQuery, InRoom, Join,
    Pin, Private, Publish, React, Report, Resolve, Resume, Search, SetPresence, SetRole, SetSanction,
    StatusQuery, Typing,
};
use crate::content::{Role, SanctionKind, Settings};
use crate::dialect::check::{bad_field, complete, unknown_command};
use crate::dialect::{Decoded, Misunderstood};
use crate::error::{ErrorCode, Refusal};
use crate::limits::{BATCH_MESSAGES, ROOMS_PER_CONNECTION};

/// Nesting that no command needs; deeper input is refused as [`ErrorCode::InvalidJson`].
const DEPTH: usize = 64;

/// Names of all commands.
const NAMES: [&str; 30] = [
    "hello",
    "join",
    "leave",
    "publish",
    "private",
    "typing",
    "presence",
    "members",
    "history",
    "rooms",
    "read",
    "ping",
    "batch",
    "edit",
    "delete",
    "react",
    "pin",
    "delivered",
    "status",
    "create",
    "configure",
    "role",
    "info",
    "more",
    "receipts",
    "search",
    "sanction",
    "report",
    "reports",
    "resolve",
];

/// Reads one command.
///
/// The frame is split first and read afterwards: `type` may stand behind `payload`, and the id is
/// told back even if everything else is wrong. No step recurses into the input.
pub(super) fn decode(text: &str) -> Decoded {
    let Ok(mut frame) = Object::parse(text, &["type", "id", "payload"]) else {
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
        "rooms" => Object::within(&payload, &[]).map(|_| Command::Rooms)?,
        "read" => Command::Read(cursor(&payload)?),
        "delivered" => Command::Delivered(cursor(&payload)?),
        "batch" => Command::Batch(batch(&payload)?),
        "edit" => Command::Edit(edit(&payload)?),
        "delete" => Command::Delete(delete(&payload)?),
        "react" => Command::React(react(&payload)?),
        "pin" => Command::Pin(pin(&payload)?),
        "status" => Command::Status(status(&payload)?),
        "create" => Command::Create(configure(&payload)?),
        "configure" => Command::Configure(configure(&payload)?),
        "role" => Command::Role(role(&payload)?),
        "info" => Command::Info(in_room(&payload)?),
        "more" => Command::More(in_room(&payload)?),
        "receipts" => Command::Receipts(cursor(&payload)?),
        "search" => Command::Search(search(&payload)?),
        "sanction" => Command::Sanction(Box::new(sanction(&payload)?)),
        "report" => Command::Report(report(&payload)?),
        "reports" => Command::Reports(in_room(&payload)?),
        "resolve" => Command::Resolve(resolve(&payload)?),
        "ping" => Object::within(&payload, &[]).map(|_| Command::Ping)?,
        unknown => return Err(unknown_command(unknown, &NAMES)),
    })
}

fn hello(payload: &Field<'_>) -> Result<Hello, Refusal> {
    let object = Object::within(payload, &["token", "user", "resume"])?;
    Ok(Hello {
        token: object.field("token").optional(Field::compact)?,
        user: object.field("user").optional(Field::user)?,
        resume: object.field("resume").optional(resumes)?.unwrap_or_default(),
    })
}

fn resumes(field: &Field<'_>) -> Result<Vec<Resume>, Refusal> {
    field.list(ROOMS_PER_CONNECTION, "rooms", resume)
}

fn resume(field: &Field<'_>) -> Result<Resume, Refusal> {
    let object = Object::within(field, &["room", "since"])?;
    Ok(Resume { room: object.field("room").room()?, since: object.field("since").position()? })
}

fn join(payload: &Field<'_>) -> Result<Join, Refusal> {
    let object = Object::within(payload, &["room", "since", "history"])?;
    Ok(Join {
        room: object.field("room").room()?,
        since: object.field("since").optional(Field::position)?,
        history: object.field("history").optional(Field::count)?,
    })
}

fn in_room(payload: &Field<'_>) -> Result<InRoom, Refusal> {
    let object = Object::within(payload, &["room"])?;
    Ok(InRoom { room: object.field("room").room()? })
}

fn publish(payload: &Field<'_>) -> Result<Publish, Refusal> {
    let object = Object::within(payload, &["room", "text", "cid", "reply_to", "mentions"])?;
    Ok(Publish {
        room: object.field("room").room()?,
        text: Arc::from(object.field("text").text()?),
        cid: object.field("cid").optional(Field::compact)?,
        reply_to: object.field("reply_to").optional(Field::seq)?,
        mentions: object.field("mentions").optional(Field::mentions)?.unwrap_or_default(),
    })
}

fn private(payload: &Field<'_>) -> Result<Private, Refusal> {
    let object = Object::within(payload, &["to", "text", "cid", "reply_to", "mentions"])?;
    Ok(Private {
        to: object.field("to").user()?,
        text: Arc::from(object.field("text").text()?),
        cid: object.field("cid").optional(Field::compact)?,
        reply_to: object.field("reply_to").optional(Field::seq)?,
        mentions: object.field("mentions").optional(Field::mentions)?.unwrap_or_default(),
    })
}

fn batch(payload: &Field<'_>) -> Result<Batch, Refusal> {
    let object = Object::within(payload, &["room", "messages"])?;
    Ok(Batch {
        room: object.field("room").room()?,
        messages: object.field("messages").list(BATCH_MESSAGES, "messages", draft)?,
    })
}

fn draft(message: &Field<'_>) -> Result<Draft, Refusal> {
    let object = Object::within(message, &["text", "cid", "reply_to", "mentions"])?;
    Ok(Draft {
        text: Arc::from(object.field("text").text()?),
        cid: object.field("cid").optional(Field::compact)?,
        reply_to: object.field("reply_to").optional(Field::seq)?,
        mentions: object.field("mentions").optional(Field::mentions)?.unwrap_or_default(),
    })
}

fn edit(payload: &Field<'_>) -> Result<Edit, Refusal> {
    let object = Object::within(payload, &["room", "target", "text", "cid", "mentions"])?;
    Ok(Edit {
        room: object.field("room").room()?,
        target: object.field("target").seq()?,
        text: Arc::from(object.field("text").text()?),
        cid: object.field("cid").optional(Field::compact)?,
        mentions: object.field("mentions").optional(Field::mentions)?.unwrap_or_default(),
    })
}

fn delete(payload: &Field<'_>) -> Result<Delete, Refusal> {
    let object = Object::within(payload, &["room", "target", "cid"])?;
    Ok(Delete {
        room: object.field("room").room()?,
        target: object.field("target").seq()?,
        cid: object.field("cid").optional(Field::compact)?,
    })
}

fn react(payload: &Field<'_>) -> Result<React, Refusal> {
    let object = Object::within(payload, &["room", "target", "emoji", "active", "cid"])?;
    Ok(React {
        room: object.field("room").room()?,
        target: object.field("target").seq()?,
        emoji: object.field("emoji").compact()?,
        active: object.field("active").flag()?,
        cid: object.field("cid").optional(Field::compact)?,
    })
}

fn pin(payload: &Field<'_>) -> Result<Pin, Refusal> {
    let object = Object::within(payload, &["room", "target", "active", "cid"])?;
    Ok(Pin {
        room: object.field("room").room()?,
        target: object.field("target").seq()?,
        active: object.field("active").flag()?,
        cid: object.field("cid").optional(Field::compact)?,
    })
}

fn typing(payload: &Field<'_>) -> Result<Typing, Refusal> {
    let object = Object::within(payload, &["room", "active"])?;
    Ok(Typing { room: object.field("room").room()?, active: object.field("active").flag()? })
}

fn presence(payload: &Field<'_>) -> Result<SetPresence, Refusal> {
    let object = Object::within(payload, &["status", "text"])?;
    let status = match &*object.field("status").text()? {
        "online" => Availability::Online,
        "away" => Availability::Away,
        _ => return Err(bad_field("status", "must be \"online\" or \"away\"")),
    };
    Ok(SetPresence { status, text: object.field("text").optional(Field::compact)? })
}

fn history(payload: &Field<'_>) -> Result<HistoryQuery, Refusal> {
    let object = Object::within(payload, &["room", "before", "after", "thread", "limit"])?;
    Ok(HistoryQuery {
        room: object.field("room").room()?,
        before: object.field("before").optional(Field::seq)?,
        after: object.field("after").optional(Field::seq)?,
        thread: object.field("thread").optional(Field::seq)?,
        limit: object.field("limit").optional(Field::count)?,
    })
}

fn cursor(payload: &Field<'_>) -> Result<Cursor, Refusal> {
    let object = Object::within(payload, &["room", "seq"])?;
    Ok(Cursor { room: object.field("room").room()?, seq: object.field("seq").seq()? })
}

fn status(payload: &Field<'_>) -> Result<StatusQuery, Refusal> {
    let object = Object::within(payload, &["room", "cid"])?;
    Ok(StatusQuery { room: object.field("room").room()?, cid: object.field("cid").compact()? })
}

fn configure(payload: &Field<'_>) -> Result<Configure, Refusal> {
    let object = Object::within(payload, &["room", "title", "topic", "private", "slow_ms", "cid"])?;
    let settings = Settings {
        title: object.field("title").optional(Field::compact)?,
        topic: object.field("topic").optional(Field::compact)?,
        private: object.field("private").optional(Field::flag)?,
        slow_ms: object.field("slow_ms").optional(Field::milliseconds)?,
    };
    Ok(Configure {
        room: object.field("room").room()?,
        settings,
        cid: object.field("cid").optional(Field::compact)?,
    })
}

fn role(payload: &Field<'_>) -> Result<SetRole, Refusal> {
    let object = Object::within(payload, &["room", "user", "role", "cid"])?;
    let role = object.field("role").optional(|field| match &*field.text()? {
        "member" => Ok(Role::Member),
        "moderator" => Ok(Role::Moderator),
        "owner" => Ok(Role::Owner),
        _ => Err(bad_field("role", "must be \"member\", \"moderator\", \"owner\" or absent")),
    })?;
    Ok(SetRole {
        room: object.field("room").room()?,
        user: object.field("user").user()?,
        role,
        cid: object.field("cid").optional(Field::compact)?,
    })
}

fn sanction(payload: &Field<'_>) -> Result<SetSanction, Refusal> {
    let object = Object::within(payload, &["room", "user", "kind", "for_ms", "reason", "cid"])?;
    let kind = SanctionKind::parse(&object.field("kind").text()?)
        .ok_or_else(|| bad_field("kind", "must be \"none\", \"kick\", \"mute\" or \"ban\""))?;
    Ok(SetSanction {
        room: object.field("room").room()?,
        user: object.field("user").user()?,
        kind,
        for_ms: object.field("for_ms").optional(Field::milliseconds)?,
        reason: object.field("reason").optional(Field::compact)?,
        cid: object.field("cid").optional(Field::compact)?,
    })
}

fn report(payload: &Field<'_>) -> Result<Report, Refusal> {
    let object = Object::within(payload, &["room", "target", "reason"])?;
    Ok(Report {
        room: object.field("room").room()?,
        target: object.field("target").seq()?,
        reason: object.field("reason").optional(Field::compact)?,
    })
}

fn resolve(payload: &Field<'_>) -> Result<Resolve, Refusal> {
    let object = Object::within(payload, &["room", "target"])?;
    Ok(Resolve { room: object.field("room").room()?, target: object.field("target").seq()? })
}

fn search(payload: &Field<'_>) -> Result<Search, Refusal> {
    let object = Object::within(payload, &["query", "room", "before", "limit"])?;
    Ok(Search {
        query: object.field("query").compact()?,
        room: object.field("room").optional(Field::room)?,
        before: object.field("before").optional(Field::compact)?,
        limit: object.field("limit").optional(Field::count)?,
    })
}
