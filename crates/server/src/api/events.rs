//! Listening to a room by server-sent events, for clients that cannot hold a WebSocket.

use std::net::IpAddr;

use axum::body::Body;
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ORIGIN, VARY};
use axum::http::request;
use axum::http::{HeaderName, HeaderValue, Method, Response};
use parlour_protocol::dialect::DialectId;
use parlour_protocol::{Epoch, ErrorCode, Position, Refusal, RoomName, Seq, UserId};

use super::call::{Query, typed};
use super::key::{self, Scope};
use super::routes::{self, Parts, Route};
use crate::node::Node;
use crate::upgrade::{self, Greeting, Listening};
use crate::verifier::{Credentials, Identity, Pass};

/// Where a client that comes back says what it heard last.
const LAST_EVENT_ID: &str = "last-event-id";
/// Asks proxies not to keep events back.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Decides whether somebody may listen. The answer's extensions hold the greeting, in a box; the room
/// itself decides later, and says no as an event.
///
/// # Errors
/// The refusal that answers the request.
pub(super) fn answer(
    node: &Node,
    address: IpAddr,
    head: &request::Parts,
    (route, parts): (&Route, &Parts),
) -> Result<Response<Body>, Refusal> {
    if node.shell.health.is_draining() {
        return Err(ErrorCode::NodeFull.into());
    }
    let room = parts.room()?;
    let query = Query::read(&head.uri, route)?;
    let history = u32::try_from(query.number("history")?.unwrap_or(0)).unwrap_or(u32::MAX);
    if history > node.config.limits.history {
        let rule = format!("`history` must be a whole number from 0 to {}", node.config.limits.history);
        return Err(Refusal::because(ErrorCode::InvalidParameter, rule));
    }
    let listening = Listening { since: last_event(head, &query)? };
    let identity = identify(node, address, head, &query, &room)?;
    let mut response = typed("text/event-stream", Body::empty());
    let headers = response.headers_mut();
    headers.insert(BUFFERING, HeaderValue::from_static("no"));
    // A page of another origin, which is on the list by now: it may read what it asked for.
    if let Some(origin) = head.headers.get(ORIGIN) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(VARY, HeaderValue::from_static("origin"));
    }
    if head.method == Method::GET {
        let (dialect, room) = (DialectId::Json, Some(room));
        let identity = Some(identity);
        let greeting =
            Greeting { dialect, deflate: None, identity, room, history, listening: Some(listening) };
        response.extensions_mut().insert(Box::new(greeting));
    }
    Ok(response)
}

/// Reads the last event that was heard, from the header or from `since` of a first request.
fn last_event(head: &request::Parts, query: &Query) -> Result<Option<Position>, Refusal> {
    let header = head.headers.get(LAST_EVENT_ID).map(|value| value.to_str().unwrap_or_default());
    // A browser without one sends an empty one.
    let Some(text) = header.filter(|text| !text.is_empty()).or(query.get("since")) else {
        return Ok(None);
    };
    let rule = "Last-Event-ID: pass on the `id` of an event, as it is";
    position(text).map(Some).ok_or_else(|| Refusal::because(ErrorCode::InvalidCursor, rule))
}

fn position(text: &str) -> Option<Position> {
    let (epoch, seq) = text.split_once('-')?;
    let is_number = !seq.is_empty() && seq.bytes().all(|byte| byte.is_ascii_digit());
    Some(Position { epoch: Epoch::parse(epoch)?, seq: Seq(seq.parse().ok().filter(|_| is_number)?) })
}

/// Finds out who listens: a backend by its key, or a user as for a WebSocket.
fn identify(
    node: &Node,
    address: IpAddr,
    head: &request::Parts,
    query: &Query,
    room: &RoomName,
) -> Result<Identity, Refusal> {
    let token = upgrade::bearer(&head.headers);
    if token.is_some_and(key::is_like_a_key) {
        let key = super::authenticate(node, address, head)?;
        if !key.has(Scope::History) || !key.covers(room) {
            return Err(Refusal::because(ErrorCode::Forbidden, "this key is not for listening to this room"));
        }
        let pass = Pass { grants: key.grants().into(), ..Pass::default() };
        return Ok(Identity { user: key.sender.clone(), pass: Some(pass.into()) });
    }
    let named = query.get("user").filter(|_| node.config.access.anonymous);
    let user: Option<UserId> = named.map(|name| routes::user("user", name)).transpose()?;
    node.shell.verifier.verify(Credentials { token, ticket: query.get("ticket"), user: user.as_ref() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_epoch_and_a_number() {
        let epoch = "0123456789abcdef0123456789abcdef";
        let found = position(&format!("{epoch}-7")).expect("a place");
        assert_eq!((found.epoch.to_string().as_str(), found.seq), (epoch, Seq(7)));
        for bad in [
            "",
            "7",
            "-7",
            epoch,
            "x-7",
            &format!("{epoch}-"),
            &format!("{epoch}-+7"),
            &format!("{epoch}-7-7"),
        ] {
            assert_eq!(position(bad), None, "{bad}");
        }
    }
}
