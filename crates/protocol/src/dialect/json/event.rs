//! Events out of their JSON text, for clients.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::object::{Field, Words};
use crate::command::RequestId;
use crate::dialect::EventError;
use crate::error::{ErrorCode, Refusal};
use crate::event::{Event, HistoryPage, Reply, RoomSummary};
use crate::name::RoomName;
use crate::position::{Epoch, Seq};

/// One frame of the server. Fields of a newer server are ignored.
#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow, rename = "type")]
    name: Words<'a>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
}

/// The fields of an `error` beside its id.
#[derive(Deserialize)]
struct Error {
    code: String,
    message: String,
    #[serde(default)]
    retryable: bool,
    #[serde(default)]
    retry_after_ms: Option<u32>,
    #[serde(default)]
    blocked_by: Option<RequestId>,
}

#[derive(Deserialize)]
struct Rooms {
    rooms: Vec<RoomSummary>,
}

/// A page of history; its events are frames without an id.
#[derive(Deserialize)]
struct Page<'a> {
    room: RoomName,
    epoch: Epoch,
    head: Seq,
    floor: Seq,
    #[serde(borrow)]
    events: Vec<Frame<'a>>,
    more: bool,
}

/// Reads one event.
pub(super) fn decode(text: &str) -> Result<Reply, EventError> {
    let frame: Frame<'_> = serde_json::from_str(text)?;
    let id = Field { name: "id", raw: frame.id }.optional(Field::request_id);
    let id = id.map_err(EventError::Fields)?;
    let event = if &*frame.name.0 == "error" {
        Event::Error(serde_json::from_str::<Error>(text)?.into())
    } else {
        event(&frame.name.0, frame.payload.map_or("{}", RawValue::get))?
    };
    Ok(Reply { id, event })
}

fn event(name: &str, payload: &str) -> Result<Event, EventError> {
    Ok(match name {
        "welcome" => Event::Welcome(read(payload)?),
        "joined" => Event::Joined(read(payload)?),
        "left" => Event::Left(read(payload)?),
        "member_joined" => Event::MemberJoined(read(payload)?),
        "member_left" => Event::MemberLeft(read(payload)?),
        "typing" => Event::Typing(read(payload)?),
        "presence" => Event::Presence(read(payload)?),
        "read" => Event::Read(read(payload)?),
        "delivered" => Event::Delivered(read(payload)?),
        "ack" => Event::Ack(read(payload)?),
        "members" => Event::Members(read(payload)?),
        "history" => Event::History(Box::new(history(payload)?)),
        "rooms" => Event::Rooms(read::<Rooms>(payload)?.rooms),
        "pong" => Event::Pong(read(payload)?),
        "page" => Event::Page(read(payload)?),
        "status" => Event::Status(read(payload)?),
        "info" => Event::Info(read(payload)?),
        "receipts" => Event::Receipts(read(payload)?),
        "found" => Event::Found(read(payload)?),
        "reports" => Event::Reports(read(payload)?),
        "erased" => Event::Erased(read(payload)?),
        "resync" => Event::Resync(read(payload)?),
        "goaway" => Event::GoAway(read(payload)?),
        "token_expiring" => Event::TokenExpiring(read(payload)?),
        _ => entry(name, payload)?,
    })
}

/// Reads what the log of a room keeps.
fn entry(name: &str, payload: &str) -> Result<Event, EventError> {
    Ok(match name {
        "message" => Event::Message(read(payload)?),
        "private" => Event::Private(read(payload)?),
        "edited" => Event::Edited(read(payload)?),
        "deleted" => Event::Deleted(read(payload)?),
        "reacted" => Event::Reacted(read(payload)?),
        "pinned" => Event::Pinned(read(payload)?),
        "room_changed" => Event::RoomChanged(read(payload)?),
        "role_changed" => Event::RoleChanged(read(payload)?),
        "sanctioned" => Event::Sanctioned(read(payload)?),
        _ => return Err(EventError::Unknown),
    })
}

fn history(payload: &str) -> Result<HistoryPage, EventError> {
    let Page { room, epoch, head, floor, events, more } = serde_json::from_str(payload)?;
    let entries = events.iter().map(|frame| entry(&frame.name.0, frame.payload.map_or("{}", RawValue::get)));
    Ok(HistoryPage { room, epoch, head, floor, events: entries.collect::<Result<_, _>>()?, more })
}

fn read<T: DeserializeOwned>(payload: &str) -> Result<T, EventError> {
    Ok(serde_json::from_str(payload)?)
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let Error { code: word, message, retryable, retry_after_ms, blocked_by } = error;
        match ErrorCode::parse(&word) {
            Some(code) => Self { code, message: message.into(), retry_after_ms, blocked_by },
            // A row that only a newer table has: what counts is whether a retry makes sense.
            None => {
                let code = if retryable { ErrorCode::Internal } else { ErrorCode::BadRequest };
                Self { code, message: format!("{word}: {message}").into(), retry_after_ms, blocked_by }
            }
        }
    }
}
