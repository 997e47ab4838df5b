//! From an HTTP request to a WebSocket connection (RFC 6455, section 4.2).

use std::net::{IpAddr, TcpStream};

use axum::body::Body;
use axum::http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version};
use parlour_protocol::dialect::DialectId;
use parlour_protocol::{ErrorCode, Position, Refusal, RoomName};
use parlour_websocket::handshake::deflate::{self, DeflateParams};
use parlour_websocket::handshake::{accept_key, validate_key};

use crate::admission::Permit;
use crate::config::{Access, Config};
use crate::tls::channel::Channel;
use crate::verifier::{Credentials, Identity, Verifier};

mod origin;
mod query;

pub(crate) use origin::check as check_origin;
use query::Query;

/// A subprotocol that carries a token, for browsers, which cannot set headers.
const BEARER_SUBPROTOCOL: &str = "parlour.bearer.";

/// A connection right after its upgrade, before its session.
#[derive(Debug)]
pub struct Upgraded {
    /// The socket, which does not block.
    pub stream: TcpStream,
    /// Its encryption, where there is one.
    pub(crate) channel: Option<Box<Channel>>,
    /// Bytes that came together with the request.
    pub early: Vec<u8>,
    /// The other end, as far as it is known.
    pub address: IpAddr,
    /// What the request said.
    pub greeting: Greeting,
    /// The connection's place within the limits; freed when dropped.
    pub permit: Permit,
}

/// What the URL and the headers of an upgrade said.
#[derive(Debug, Clone)]
pub struct Greeting {
    /// The dialect that both will speak.
    pub dialect: DialectId,
    /// The agreement on permessage-deflate, if there is one.
    pub deflate: Option<DeflateParams>,
    /// Who the client is, where the request proved it.
    pub identity: Option<Identity>,
    /// A room to enter at once.
    pub room: Option<RoomName>,
    /// How many of its last messages to replay.
    pub history: u32,
    /// Set if the client only listens to that room, by server-sent events.
    pub listening: Option<Listening>,
}

/// How somebody listens to a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listening {
    /// The last event that was heard.
    pub since: Option<Position>,
}

/// An upgrade that both sides agree on.
#[derive(Debug)]
pub struct Agreement {
    /// What the request said.
    pub greeting: Greeting,
    accept: String,
    /// Whether the client named subprotocols, so that it expects one back.
    names_subprotocol: bool,
}

/// Decides whether a request becomes a WebSocket connection.
///
/// Checks the form of the handshake, then the page that asks, then the parameters, and the
/// credentials last. The host has been checked before.
///
/// # Errors
/// The refusal that answers the request.
pub fn negotiate(head: &Parts, config: &Config, verifier: &dyn Verifier) -> Result<Agreement, Refusal> {
    let key = handshake_key(head)?;
    let offered = Offered::read(&head.headers)?;
    let bearer = bearer(&head.headers).or(offered.token);
    origin::check(head, config, bearer.is_some())?;
    let query = Query::read(&head.uri)?;
    let dialect = query.dialect(offered.dialect)?;
    let token = bearer.or(query_token(&query, &config.access)?);
    let greeting = Greeting {
        dialect,
        deflate: config.compression.then(|| negotiate_deflate(&head.headers)).flatten(),
        identity: identify(&query, dialect, token, config, verifier)?,
        room: query.room(dialect)?,
        history: query.history(dialect, config.limits.history)?,
        listening: None,
    };
    Ok(Agreement { greeting, accept: accept_key(key), names_subprotocol: offered.dialect.is_some() })
}

/// Checks the form of the opening handshake and returns its key.
fn handshake_key(head: &Parts) -> Result<&str, Refusal> {
    let refuse = |message| Err(Refusal::because(ErrorCode::BadHandshake, message));
    if head.method != Method::GET {
        return Err(ErrorCode::MethodNotAllowed.into());
    }
    if head.version != Version::HTTP_11 {
        return refuse("a WebSocket begins with HTTP/1.1");
    }
    let headers = &head.headers;
    if !has_token(headers, &UPGRADE, "websocket") || !has_token(headers, &CONNECTION, "upgrade") {
        return Err(ErrorCode::UpgradeRequired.into());
    }
    if only(headers, &SEC_WEBSOCKET_VERSION) != Some("13") {
        return Err(ErrorCode::UpgradeRequired.into());
    }
    if headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING) {
        return refuse("an opening handshake has no body");
    }
    match only(headers, &SEC_WEBSOCKET_KEY) {
        Some(key) if validate_key(key) => Ok(key),
        _ => refuse("`Sec-WebSocket-Key` must be given once: 16 bytes in base64"),
    }
}

/// What `Sec-WebSocket-Protocol` offers.
#[derive(Debug, Default)]
struct Offered<'a> {
    dialect: Option<DialectId>,
    token: Option<&'a str>,
}

impl<'a> Offered<'a> {
    fn read(headers: &'a HeaderMap) -> Result<Self, Refusal> {
        let mut offered = Self::default();
        let mut names = 0;
        for name in list(headers, &SEC_WEBSOCKET_PROTOCOL) {
            if let Some(token) = name.strip_prefix(BEARER_SUBPROTOCOL) {
                offered.token = offered.token.or(Some(token));
            } else {
                names += 1;
                offered.dialect = offered.dialect.or(DialectId::from_subprotocol(name));
            }
        }
        match offered.dialect {
            None if names > 0 => Err(ErrorCode::UnknownSubprotocol.into()),
            _ => Ok(offered),
        }
    }
}

/// Returns the token of the `Authorization` header (RFC 6750, section 2.1).
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = only(headers, &AUTHORIZATION)?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

fn query_token<'a>(query: &'a Query, access: &Access) -> Result<Option<&'a str>, Refusal> {
    match query.get("token") {
        Some(_) if !access.token_in_query => Err(ErrorCode::TokenInQuery.into()),
        token => Ok(token),
    }
}

/// Finds out who asks. Plain text has no `hello`, so there the request must prove it; elsewhere
/// it may.
fn identify(
    query: &Query,
    dialect: DialectId,
    token: Option<&str>,
    config: &Config,
    verifier: &dyn Verifier,
) -> Result<Option<Identity>, Refusal> {
    let is_text = dialect == DialectId::Text;
    let ticket = query.get("ticket");
    // Where names are believed and no token can be checked, a token proves nothing.
    let reads_tokens = config.auth.has_keys() || !config.access.anonymous;
    let proves = ticket.is_some() || (token.is_some() && reads_tokens);
    let named = match config.access.anonymous && !proves {
        true => query.user(dialect)?,
        false => None,
    };
    if !is_text && named.is_none() && !proves {
        return Ok(None);
    }
    let identity = verifier.verify(Credentials { token, ticket, user: named.as_ref() })?;
    if is_text {
        query::check_text_user(&identity.user)?;
    }
    Ok(Some(identity))
}

fn negotiate_deflate(headers: &HeaderMap) -> Option<DeflateParams> {
    let offers = headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter().filter_map(|value| value.to_str().ok());
    deflate::negotiate(offers)
}

impl Agreement {
    /// Builds the answer. Its extensions hold the greeting, in a box.
    #[must_use]
    pub fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        let values = [
            (SEC_WEBSOCKET_ACCEPT, Some(self.accept)),
            (SEC_WEBSOCKET_EXTENSIONS, self.greeting.deflate.map(|params| params.to_string())),
        ];
        for (name, value) in values {
            if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
                headers.insert(name, value);
            }
        }
        if self.names_subprotocol {
            let name = self.greeting.dialect.subprotocol();
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(name));
        }
        response.extensions_mut().insert(Box::new(self.greeting));
        response
    }
}

/// Returns the value of a header that is given exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok().map(str::trim),
        _ => None,
    }
}

/// Returns the elements of a header whose value is a list.
fn list<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|item| !item.is_empty())
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    list(headers, name).any(|item| item.eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests;
