//! A request that has been let in, and how it is answered.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, Response, Uri};
use compact_str::CompactString;
use parlour_protocol::dialect::DialectId;
use parlour_protocol::event::{Event, Reply};
use parlour_protocol::{ErrorCode, Refusal, RoomName, UserId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::body;
use super::desk::Asker;
use super::key::{Key, Scope};
use super::routes::{self, Parts, Route};
use crate::audit::Act;
use crate::logging::Truncated;
use crate::node::Node;

/// The header that names a request, so that it is carried out once.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Longest value of it, in bytes: with a number behind it, it is the id of a message.
pub(super) const KEY_BYTES: usize = 60;

/// A request that has been let in.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) node: &'a Arc<Node>,
    pub(super) key: &'a Key,
    /// The other end, as far as it is known.
    pub(super) address: IpAddr,
    pub(super) parts: Parts,
    pub(super) query: Query,
    /// What `Idempotency-Key` says.
    pub(super) once: Option<CompactString>,
    pub(super) body: Vec<u8>,
}

/// The parameters of a URL.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the parameters that a route knows.
    ///
    /// # Errors
    /// `invalid_parameter` for any other, and for one that is given twice.
    pub(super) fn read(uri: &Uri, route: &Route) -> Result<Self, Refusal> {
        let invalid = |rule: String| Refusal::because(ErrorCode::InvalidParameter, rule);
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|_| invalid("the query of the URL is malformed".into()))?
            .0;
        for (at, (name, _)) in pairs.iter().enumerate() {
            if !route.query.iter().any(|known| known.name == name) {
                let known: Vec<_> = route.query.iter().map(|known| known.name).collect();
                return Err(invalid(format!("the parameters here are: {}", known.join(", "))));
            }
            if pairs[..at].iter().any(|(earlier, _)| earlier == name) {
                return Err(invalid(format!("`{name}` is given twice")));
            }
        }
        Ok(Self(pairs))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns a number.
    ///
    /// # Errors
    /// `invalid_limit` for `limit`, otherwise `invalid_parameter`.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        let parse =
            |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        let code = if name == "limit" { ErrorCode::InvalidLimit } else { ErrorCode::InvalidParameter };
        let invalid = || Refusal::because(code, format!("`{name}` must be a whole number"));
        self.get(name).map(|text| parse(text).ok_or_else(invalid)).transpose()
    }

    /// Returns how long a page is to be.
    ///
    /// # Errors
    /// `invalid_limit`.
    pub(super) fn limit(&self, usual: u32, most: u32) -> Result<u32, Refusal> {
        let limit = self.number("limit")?.unwrap_or(u64::from(usual.min(most)));
        let limit = u32::try_from(limit).ok().filter(|limit| (1..=most).contains(limit));
        limit.ok_or_else(|| Refusal::because(ErrorCode::InvalidLimit, format!("limit is 1 to {most}")))
    }
}

/// Reads `Idempotency-Key`.
///
/// # Errors
/// `bad_request` if it is empty, too long, or holds anything but visible characters of ASCII.
pub(super) fn once(headers: &HeaderMap) -> Result<Option<CompactString>, Refusal> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some(value), None) => value.to_str().ok(),
        (Some(_), Some(_)) => None,
    };
    let is_visible = |value: &&str| value.bytes().all(|byte| byte.is_ascii_graphic());
    let value = value.filter(|value| (1..=KEY_BYTES).contains(&value.len())).filter(is_visible);
    let rule = format!("Idempotency-Key: given once, 1 to {KEY_BYTES} visible characters of ASCII");
    value.map(|value| Some(value.into())).ok_or_else(|| Refusal::because(ErrorCode::BadRequest, rule))
}

impl Call<'_> {
    /// Understands the body.
    ///
    /// # Errors
    /// Those of [`body::parse`].
    pub(super) fn body<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        body::parse(&self.body)
    }

    /// Returns the room of the path.
    ///
    /// # Errors
    /// `invalid_room`, or `forbidden` where the key is not good.
    pub(super) fn room(&self) -> Result<RoomName, Refusal> {
        let room = self.parts.room()?;
        self.covers(&room).map(|()| room)
    }

    /// Checks that the key is good in a room.
    ///
    /// # Errors
    /// `forbidden`.
    pub(super) fn covers(&self, room: &RoomName) -> Result<(), Refusal> {
        match self.key.covers(room) {
            true => Ok(()),
            false => Err(forbidden("this key is not for this room")),
        }
    }

    /// Says in whose name something is done: in that of the key, unless it may act for users.
    ///
    /// # Errors
    /// `forbidden`, or those of user ids.
    pub(super) fn asker(&self, sender: Option<&str>) -> Result<Asker, Refusal> {
        let user = match sender {
            None => self.key.sender.clone(),
            Some(sender) => {
                let user = routes::user("sender", sender)?;
                if user != self.key.sender && !self.key.has(Scope::Users) {
                    return Err(forbidden("to say something in another name, a key needs the scope `users`"));
                }
                user
            }
        };
        Ok(self.as_user(user))
    }

    /// Says who looks into a room: in a conversation one of the two whose it is.
    pub(super) fn reader(&self, room: &RoomName) -> Asker {
        let user = room.participants().map_or_else(|| self.key.sender.clone(), |(one, _)| one);
        self.as_user(user)
    }

    fn as_user(&self, user: UserId) -> Asker {
        Asker { user, grants: Arc::new(self.key.grants()) }
    }

    /// Begins to describe what the key's owner does, for the audit log.
    pub(super) fn act(&self, action: &'static str) -> Act {
        let act = Act::new(format!("key {}", self.key.id), action);
        Act { address: Some(Truncated(self.address).to_string()), ..act }
    }

    /// Returns the id of a message: what the body says, or what `Idempotency-Key` makes of it.
    ///
    /// # Errors
    /// `bad_request` if the two disagree.
    pub(super) fn cid(&self, body: Option<String>) -> Result<Option<CompactString>, Refusal> {
        match (body, &self.once) {
            (Some(cid), Some(once)) if cid != *once => {
                Err(Refusal::because(ErrorCode::BadRequest, "cid: Idempotency-Key says something else"))
            }
            (cid, once) => Ok(cid.map(CompactString::from).or_else(|| once.clone())),
        }
    }
}

fn forbidden(why: &'static str) -> Refusal {
    Refusal::because(ErrorCode::Forbidden, why)
}

/// Answers with JSON.
///
/// # Errors
/// `internal`, if the answer cannot be written, which is a bug.
pub(super) fn json<T: Serialize>(answer: &T) -> Result<Response<Body>, Refusal> {
    let bytes = serde_json::to_vec(answer).map_err(|_| ErrorCode::Internal)?;
    Ok(typed("application/json", bytes))
}

/// Answers with bytes of a type, which nobody is to keep.
pub(super) fn typed(kind: &'static str, bytes: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(bytes.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Returns the payload of an event as the JSON dialect spells it.
///
/// # Errors
/// `internal`, if the event has none, which is a bug.
pub(super) fn payload(event: Event) -> Result<Box<RawValue>, Refusal> {
    #[derive(Deserialize)]
    struct Frame {
        payload: Box<RawValue>,
    }
    let mut bytes = Vec::new();
    DialectId::Json.encode(&Reply::from(event), &mut bytes);
    let frame: Frame = serde_json::from_slice(&bytes).map_err(|_| ErrorCode::Internal)?;
    Ok(frame.payload)
}

/// Says that a room has answered something that was not asked, which is a bug.
pub(super) fn unexpected() -> Refusal {
    ErrorCode::Internal.into()
}
