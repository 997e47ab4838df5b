//! Events out of their JSON text, for clients.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::object::{Field, Words};
use crate::dialect::EventError;
use crate::error::{ErrorCode, Refusal};
use crate::event::{Event, Reply, RoomSummary};

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
}

#[derive(Deserialize)]
struct Rooms {
    rooms: Vec<RoomSummary>,
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
        "message" => Event::Message(read(payload)?),
        "member_joined" => Event::MemberJoined(read(payload)?),
        "member_left" => Event::MemberLeft(read(payload)?),
        "private" => Event::Private(read(payload)?),
        "typing" => Event::Typing(read(payload)?),
        "presence" => Event::Presence(read(payload)?),
        "read" => Event::Read(read(payload)?),
        "ack" => Event::Ack(read(payload)?),
        "members" => Event::Members(read(payload)?),
        "history" => Event::History(read(payload)?),
        "rooms" => Event::Rooms(read::<Rooms>(payload)?.rooms),
        "pong" => Event::Pong(read(payload)?),
        "resync" => Event::Resync(read(payload)?),
        "goaway" => Event::GoAway(read(payload)?),
        _ => return Err(EventError::Unknown),
    })
}

fn read<T: DeserializeOwned>(payload: &str) -> Result<T, EventError> {
    Ok(serde_json::from_str(payload)?)
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let Error { code: word, message, retryable, retry_after_ms } = error;
        match ErrorCode::parse(&word) {
            Some(code) => Self { code, message: message.into(), retry_after_ms },
            // A row that only a newer table has: what counts is whether a retry makes sense.
            None => {
                let code = if retryable { ErrorCode::Internal } else { ErrorCode::BadRequest };
                Self { code, message: format!("{word}: {message}").into(), retry_after_ms }
            }
        }
    }
}
