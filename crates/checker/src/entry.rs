//! Entries out of the JSON of the protocol, read without a line of the server or the SDK.

use serde_json::Value;

use crate::record::{Content, Entry, History};

/// Reads an event that is an entry of a room's log; `None` for every other event.
#[must_use]
pub fn entry_of(event: &Value) -> Option<Entry> {
    let payload = &event["payload"];
    let number = |name: &str| number(&payload[name]);
    let text = |name: &str| payload[name].as_str().map(str::to_owned);
    let active = payload["active"].as_bool();
    let content = match event["type"].as_str()? {
        "message" | "private" => Content::Message {
            text: text("text").unwrap_or_default(),
            edited: number("edited"),
            deleted: number("deleted"),
        },
        "edited" => Content::Edit { target: number("target")?, text: text("text") },
        "deleted" => Content::Delete { target: number("target")? },
        "reacted" => Content::Reaction { target: number("target")?, active: active? },
        "pinned" => Content::Pin { target: number("target")?, active: active? },
        "room_changed" => Content::Settings { private: payload["private"].as_bool() },
        "role_changed" => Content::Role { user: text("user")?, role: text("role") },
        _ => return None,
    };
    Some(Entry {
        room: text("room")?,
        seq: number("seq")?,
        sender: text("sender").or_else(|| text("from"))?,
        cid: text("cid"),
        ts: payload["ts"].as_i64()?,
        content,
    })
}

/// Reads the answer to `history`, and whether there is more of it.
#[must_use]
pub fn page_of(event: &Value) -> Option<(History, bool)> {
    let payload = &event["payload"];
    let entries = payload["events"].as_array()?.iter().map(entry_of).collect::<Option<_>>()?;
    let page = History {
        room: payload["room"].as_str()?.to_owned(),
        epoch: payload["epoch"].as_str()?.to_owned(),
        head: number(&payload["head"])?,
        floor: number(&payload["floor"])?,
        entries,
    };
    Some((page, payload["more"].as_bool()?))
}

/// Reads a number of an entry, which is a string beyond 2^53-1.
pub(crate) fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}
