//! The one table of routes. The router, the OpenAPI document and `docs/http-api.md` follow it.

use axum::http::Uri;
use parlour_protocol::{ErrorCode, Refusal, RoomName, UserId};

use super::key::Scope;

/// Where the API begins.
pub(crate) const BASE: &str = "/api/v1";

/// Longest wait for an event, in milliseconds.
pub(super) const MOST_WAIT_MS: u64 = 60_000;

/// A parameter of a query.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    /// Smallest and largest number; `None` for texts.
    #[cfg_attr(not(test), expect(dead_code, reason = "only the document says it beforehand"))]
    pub(super) range: Option<(u64, u64)>,
    #[cfg_attr(not(test), expect(dead_code, reason = "only the document says it"))]
    pub(super) about: &'static str,
}

const fn number(name: &'static str, least: u64, most: u64, about: &'static str) -> Parameter {
    Parameter { name, range: Some((least, most)), about }
}

const fn text(name: &'static str, about: &'static str) -> Parameter {
    Parameter { name, range: None, about }
}

/// A row of the table.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) operation: Operation,
    pub(super) method: &'static str,
    /// Below [`BASE`]; `{room}` and `{user}` stand for one part each.
    pub(super) path: &'static str,
    /// What the key must be good for; `None`: nothing in particular.
    pub(super) scope: Option<Scope>,
    pub(super) query: &'static [Parameter],
    #[cfg_attr(not(test), expect(dead_code, reason = "only the document says it"))]
    pub(super) summary: &'static str,
}

macro_rules! routes {
    ($($operation:ident: $method:literal $path:literal, $scope:expr, [$($parameter:expr),*], $summary:literal;)+) => {
        /// What a request wants.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Operation { $(#[doc = $summary] $operation,)+ }

        /// All routes.
        pub(super) const ROUTES: &[Route] = &[$(Route {
            operation: Operation::$operation,
            method: $method,
            path: $path,
            scope: $scope,
            query: &[$($parameter),*],
            summary: $summary,
        },)+];
    };
}

routes! {
    Publish: "POST" "/rooms/{room}/messages", Some(Scope::Publish), [],
        "Say something in a room";
    Batch: "POST" "/rooms/{room}/batch", Some(Scope::Publish), [],
        "Say up to 64 things in a room at once, all or none";
    Broadcast: "POST" "/broadcast", Some(Scope::Publish), [],
        "Say the same in up to 100 rooms";
    Tell: "POST" "/users/{user}/messages", Some(Scope::Users), [],
        "Say something to a user, in their private conversation with the sender";
    History: "GET" "/rooms/{room}/messages", Some(Scope::History), [
            number("limit", 1, 1_000, "Most events of the page, 50 unless told; at most `limits.history`"),
            text("cursor", "`next` of the page before"),
            number("before", 1, u64::MAX, "Only events before this number, newest page first"),
            number("after", 0, u64::MAX, "Only events after this number, oldest page first"),
            number("thread", 1, u64::MAX, "Only the thread that begins with this message"),
            number("wait_ms", 0, MOST_WAIT_MS, "With `after`: how long to wait for an event if there is none yet")
        ],
        "Read the log of a room, newest page first unless told";
    Events: "GET" "/rooms/{room}/events", Some(Scope::History), [
            number("history", 0, 1_000, "How many of the last events to begin with; none unless told"),
            text("since", "The `id` of the last event that was heard; `Last-Event-ID` counts more"),
            text("ticket", "A ticket that stands for a user, once"),
            text("user", "The name of a user, where names are believed")
        ],
        "Listen to a room by server-sent events";
    Members: "GET" "/rooms/{room}/members", Some(Scope::Presence), [],
        "See who is in a room";
    Presence: "POST" "/presence", Some(Scope::Presence), [],
        "See which of up to 100 users are connected";
    Rooms: "GET" "/rooms", Some(Scope::Rooms), [
            number("limit", 1, 500, "Most rooms of the page, 50 unless told"),
            text("cursor", "`next` of the page before")
        ],
        "List the rooms that have a log, by name";
    Room: "GET" "/rooms/{room}", Some(Scope::Rooms), [],
        "See title, topic, roles and pins of a room";
    Subscribe: "POST" "/users/{user}/subscribe", Some(Scope::Users), [],
        "Have all connections of a user enter a room, if the user may";
    Unsubscribe: "POST" "/users/{user}/unsubscribe", Some(Scope::Users), [],
        "Have all connections of a user leave a room";
    Disconnect: "POST" "/users/{user}/disconnect", Some(Scope::Users), [],
        "End all connections of a user";
    Role: "PUT" "/rooms/{room}/roles/{user}", Some(Scope::Moderate), [],
        "Give a user a role in a room, or take it";
    Sanction: "POST" "/rooms/{room}/sanctions", Some(Scope::Moderate), [],
        "Kick, mute or ban a user, or take that back";
    Ticket: "POST" "/tickets", Some(Scope::Tokens), [],
        "Mint a ticket, with which a client connects once as a user";
    Revoke: "POST" "/revocations", Some(Scope::Tokens), [],
        "Take tokens back, by id, user or time";
    Stats: "GET" "/stats", Some(Scope::Stats), [],
        "See what the server does";
    Document: "GET" "/openapi.json", None, [],
        "Read the OpenAPI document";
    Page: "GET" "/docs", None, [],
        "Read about the API in a browser";
}

/// What the path of a request says.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) room: Option<String>,
    pub(super) user: Option<String>,
}

/// What a path leads to.
#[derive(Debug)]
pub(super) enum Found {
    Route(&'static Route, Parts),
    /// The methods that the path knows.
    OtherMethods(String),
    Nothing,
}

/// Finds the route of a request.
///
/// # Errors
/// `bad_handshake` if the path is not percent-encoded UTF-8.
pub(super) fn find(method: &str, uri: &Uri) -> Result<Found, Refusal> {
    let Some(path) = uri.path().strip_prefix(BASE).filter(|path| path.starts_with('/')) else {
        return Ok(Found::Nothing);
    };
    let mut methods = Vec::new();
    for route in ROUTES {
        if let Some(parts) = parts(route.path, path)? {
            // What a GET may read, a HEAD may look at.
            if route.method == method || (route.method == "GET" && method == "HEAD") {
                return Ok(Found::Route(route, parts));
            }
            methods.push(if route.method == "GET" { "GET, HEAD" } else { route.method });
        }
    }
    Ok(if methods.is_empty() { Found::Nothing } else { Found::OtherMethods(methods.join(", ")) })
}

/// Compares a path with a template, part by part, and decodes what stands for names.
fn parts(template: &str, path: &str) -> Result<Option<Parts>, Refusal> {
    let mut parts = Parts::default();
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Ok(Some(parts)),
            (Some("{room}"), Some(room)) => parts.room = Some(decode(room)?),
            (Some("{user}"), Some(user)) => parts.user = Some(decode(user)?),
            (Some(wanted), Some(given)) if wanted == given => {}
            _ => return Ok(None),
        }
    }
}

fn decode(part: &str) -> Result<String, Refusal> {
    let malformed = || Refusal::because(ErrorCode::BadHandshake, "the path is not percent-encoded UTF-8");
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || char::from(rest.next()?).to_digit(16);
        match byte {
            b'%' => match (digit(), digit()) {
                (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
                _ => return Err(malformed()),
            },
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| malformed())
}

impl Parts {
    /// Returns the room of the path.
    ///
    /// # Errors
    /// `invalid_room`.
    pub(super) fn room(&self) -> Result<RoomName, Refusal> {
        room("room", self.room.as_deref().unwrap_or_default())
    }

    /// Returns the user of the path.
    ///
    /// # Errors
    /// `invalid_user` or `name_confusable`.
    pub(super) fn user(&self) -> Result<UserId, Refusal> {
        user("user", self.user.as_deref().unwrap_or_default())
    }
}

/// Reads the name of a room or of a private conversation.
///
/// # Errors
/// `invalid_room`, with the field.
pub(super) fn room(field: &str, text: &str) -> Result<RoomName, Refusal> {
    RoomName::parse_any(text)
        .map_err(|error| Refusal::because(ErrorCode::InvalidRoom, format!("{field}: {error}")))
}

/// Reads the id of a user.
///
/// # Errors
/// `invalid_user` or `name_confusable`, with the field.
pub(super) fn user(field: &str, text: &str) -> Result<UserId, Refusal> {
    UserId::parse(text).map_err(|error| {
        let code = match error {
            parlour_protocol::name::NameError::Confusable => ErrorCode::NameConfusable,
            parlour_protocol::name::NameError::Invalid(_) => ErrorCode::InvalidUser,
        };
        Refusal::because(code, format!("{field}: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: &str, path: &'static str) -> Found {
        find(method, &Uri::from_static(path)).expect("well-formed")
    }

    #[test]
    fn a_path_leads_to_its_route() {
        let Found::Route(route, parts) = found("GET", "/api/v1/rooms/a%20b%2Fc/messages?limit=1") else {
            panic!("no route");
        };
        assert_eq!(route.operation, Operation::History);
        assert_eq!(parts.room.as_deref(), Some("a b/c"));
        assert!(matches!(found("POST", "/api/v1/rooms/a/messages"), Found::Route(route, _)
            if route.operation == Operation::Publish));
        assert!(matches!(found("HEAD", "/api/v1/stats"), Found::Route(..)));
    }

    #[test]
    fn other_methods_and_paths_are_told() {
        let Found::OtherMethods(methods) = found("DELETE", "/api/v1/rooms/a/messages") else {
            panic!("a route");
        };
        assert_eq!(methods, "POST, GET, HEAD");
        for path in ["/api/v1", "/api/v1/", "/api/v2/rooms", "/api/v1/rooms/a/b/c", "/api/v1/rooms/"] {
            let found = found("GET", path);
            assert!(matches!(found, Found::Nothing | Found::Route(..)), "{path}");
        }
        assert!(find("GET", &Uri::from_static("/api/v1/rooms/%zz")).is_err());
        assert!(find("GET", &Uri::from_static("/api/v1/rooms/%ff")).is_err());
    }

    #[test]
    fn an_empty_name_is_no_name() {
        let Found::Route(_, parts) = found("GET", "/api/v1/rooms/") else {
            panic!("no route");
        };
        assert_eq!(parts.room().expect_err("empty").code, ErrorCode::InvalidRoom);
    }
}
