//! The lines of an export.

use std::collections::BTreeMap;

use parlour_hub::log::{Head, Record, RoomState};
use parlour_protocol::content::{Role, Sanction, Settings};
use parlour_protocol::dialect::json::{Json, decode_events};
use parlour_protocol::dialect::{Dialect as _, Payload};
use parlour_protocol::event::{Event, Header};
use parlour_protocol::{RoomName, Seq, UserId};
use serde::{Deserialize, Serialize};

/// The version of the format that this program writes.
pub(super) const VERSION: u32 = 1;

/// A line that is not an entry.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Frame {
    ParlourExport(Preface),
    Room(RoomLine),
    RoomEnd(RoomEnd),
    ExportEnd(ExportEnd),
}

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Preface {
    pub(super) version: u32,
    /// When the export began, in milliseconds since the Unix epoch.
    pub(super) time_ms: i64,
    /// The pattern of the names of the rooms.
    pub(super) rooms: String,
}

/// The first line of a room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct RoomLine {
    pub(super) room: RoomName,
    pub(super) head: Seq,
    pub(super) floor: Seq,
    pub(super) state: State,
}

/// What a room's entries have made of it; those that made it may be gone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    #[serde(flatten)]
    pub(super) settings: Settings,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) roles: BTreeMap<UserId, Role>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) pins: Vec<Seq>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) sanctions: Vec<Sanction>,
}

/// The last line of a room.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RoomEnd {
    pub(super) room: RoomName,
    pub(super) entries: u64,
    /// Of all lines of the room before this one, with their line feeds.
    pub(super) sha256: String,
}

/// The last line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ExportEnd {
    pub(super) rooms: u64,
    pub(super) entries: u64,
    /// Of the first line and all `room_end` lines, with their line feeds.
    pub(super) sha256: String,
}

/// A line of a file.
#[derive(Debug)]
pub(super) enum Line {
    Frame(Frame),
    Entry(RoomName, Record),
}

impl RoomLine {
    pub(super) fn new(room: RoomName, ends: Head, state: RoomState) -> Self {
        let RoomState { settings, roles, pins, sanctions } = state;
        let sanctions = sanctions.into_values().collect();
        Self { room, head: ends.head, floor: ends.floor, state: State { settings, roles, pins, sanctions } }
    }

    pub(super) fn state(&self) -> RoomState {
        let State { settings, roles, pins, sanctions } = self.state.clone();
        let sanctions = sanctions.into_iter().map(|sanction| (sanction.user.clone(), sanction)).collect();
        RoomState { settings, roles, pins, sanctions }
    }
}

/// Appends a line that is not an entry.
pub(super) fn write_frame(frame: &Frame, out: &mut Vec<u8>) {
    serde_json::to_writer(&mut *out, frame).expect("a Vec takes every byte, and every map has text keys");
    out.push(b'\n');
}

/// Appends an entry as clients hear it.
pub(super) fn write_entry(room: &RoomName, record: Record, out: &mut Vec<u8>) {
    let Record { seq, sender, cid, ts, content } = record;
    let event = Header { room: room.clone(), seq, sender, ts, cid }.event(content);
    Json.encode(&event, None, out);
    out.push(b'\n');
}

/// Reads a line; `None` for what no export says.
pub(super) fn parse(text: &str) -> Option<Line> {
    #[derive(Deserialize)]
    struct Kind<'a> {
        #[serde(borrow, rename = "type")]
        name: std::borrow::Cow<'a, str>,
    }
    let kind: Kind<'_> = serde_json::from_str(text).ok()?;
    if matches!(&*kind.name, "parlour_export" | "room" | "room_end" | "export_end") {
        return serde_json::from_str(text).ok().map(Line::Frame);
    }
    let mut event = None;
    decode_events(Payload::Text(text), &mut |reply| event = reply.ok().map(|reply| reply.event));
    let (Header { room, seq, sender, ts, cid }, content) = Event::into_entry(event?)?;
    Some(Line::Entry(room, Record { seq, sender, cid, ts, content }))
}
