//! The HTTP API of backends, under `/api/v1`.
//!
//! Reading order: [`routes`] is the one table; [`serve`] lets a request in and hands it to its
//! operation; [`desk`] is how an operation asks a room. `docs/http-api.md` tells users about it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{ALLOW, AUTHORIZATION, ORIGIN};
use axum::http::request;
use axum::http::{HeaderValue, Method, Response};
use compact_str::CompactString;
use parlour_protocol::{ErrorCode, Refusal, UserId};

use crate::config::Config;
use crate::http::problem;
use crate::node::Node;
use crate::upgrade;

mod body;
mod call;
mod cursor;
pub mod desk;
mod events;
mod failures;
mod inquiry;
pub mod key;
mod messages;
#[cfg(test)]
mod openapi;
mod page;
mod rooms;
mod routes;
mod shapes;
mod tokens;
mod users;

use call::{Call, Query};
use desk::Desk;
use failures::Failures;
use key::{Digest, Key, Scope};
pub(crate) use routes::BASE;
use routes::{Found, Operation, Route};

/// The OpenAPI document; a test compares it with the code.
const DOCUMENT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json"));
/// The name of the key that a development server makes for itself.
const DEV_KEY: &str = "dev";

/// What the API of a node keeps.
pub struct Api {
    /// Where questions wait for their answers.
    pub desk: Desk,
    keys: Vec<Key>,
    dev_key: Option<String>,
    failures: Failures,
}

impl Api {
    /// Prepares the API for the keys of a configuration; a development server without any makes one.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let mut api = Self {
            desk: Desk::default(),
            keys: config.api_keys.clone(),
            dev_key: None,
            failures: Failures::default(),
        };
        if config.dev && api.keys.is_empty() {
            let key = key::generate(DEV_KEY);
            api.keys.extend(everything(&key));
            api.dev_key = Some(key);
        }
        api
    }

    /// Returns the key that this development server has made for itself.
    #[must_use]
    pub fn dev_key(&self) -> Option<&str> {
        self.dev_key.as_deref()
    }
}

/// A key that is good for everything.
fn everything(key: &str) -> Option<Key> {
    Some(Key {
        id: DEV_KEY.into(),
        digest: Digest::of(key),
        scopes: Scope::ALL.to_vec(),
        rooms: ["*", "@*"].map(Into::into).into(),
        sender: UserId::parse(DEV_KEY).ok()?,
    })
}

/// Shows no key.
impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("desk", &self.desk).field("keys", &self.keys).finish_non_exhaustive()
    }
}

/// The address of the client of a request, as far as it is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client(pub(crate) IpAddr);

/// Answers a request below [`BASE`], or one that looks like it.
pub(crate) async fn serve(
    Extension(node): Extension<Arc<Node>>,
    Extension(Client(address)): Extension<Client>,
    request: Request,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let is_head = head.method == Method::HEAD;
    let mut response = match answer(&node, address, &head, body).await {
        Ok(response) => response,
        Err(refusal) => problem::response(&refusal),
    };
    if is_head {
        *response.body_mut() = Body::empty();
    }
    response
}

async fn answer(
    node: &Arc<Node>,
    address: IpAddr,
    head: &request::Parts,
    body: Body,
) -> Result<Response<Body>, Refusal> {
    let has_bearer = head.headers.contains_key(AUTHORIZATION);
    if head.headers.contains_key(ORIGIN) {
        upgrade::check_origin(head, &node.config, has_bearer)?;
    }
    let (route, parts) = match routes::find(head.method.as_str(), &head.uri)? {
        Found::Route(route, parts) => (route, parts),
        Found::OtherMethods(_) if node.api.keys.is_empty() => return Err(ErrorCode::NoRoute.into()),
        Found::OtherMethods(methods) => return Ok(method_not_allowed(&methods)),
        Found::Nothing => return Err(ErrorCode::NoRoute.into()),
    };
    match route.operation {
        // Users listen, too, whether there are keys for backends or not.
        Operation::Events => return events::answer(node, address, head, (route, &parts)),
        _ if node.api.keys.is_empty() => return Err(ErrorCode::NoRoute.into()),
        Operation::Document => return Ok(call::typed("application/json", DOCUMENT)),
        Operation::Page => return page::answer(),
        _ => {}
    }
    let key = authenticate(node, address, head)?;
    let (query, once, body) = let_in(key, route, head, body).await?;
    carry_out(route.operation, Call { node, key, address, parts, query, once, body }).await
}

fn method_not_allowed(methods: &str) -> Response<Body> {
    let mut response = problem::response(&ErrorCode::MethodNotAllowed.into());
    if let Ok(methods) = HeaderValue::from_str(methods) {
        response.headers_mut().insert(ALLOW, methods);
    }
    response
}

/// Finds the key that a request shows.
fn authenticate<'a>(node: &'a Node, address: IpAddr, head: &request::Parts) -> Result<&'a Key, Refusal> {
    if !head.headers.contains_key(AUTHORIZATION) {
        let rule = "show a key: Authorization: Bearer parlour_...";
        return Err(Refusal::because(ErrorCode::Unauthenticated, rule));
    }
    let found = upgrade::bearer(&head.headers).and_then(|shown| key::find(&node.api.keys, shown));
    found.ok_or_else(|| match node.api.failures.note(address, node.clock.mono_ns()) {
        Ok(()) => Refusal::because(ErrorCode::InvalidToken, "this key is not known here"),
        Err(wait_ms) => Refusal::retry_after(ErrorCode::RateLimited, wait_ms),
    })
}

/// Checks everything that does not depend on the operation.
async fn let_in(
    key: &Key,
    route: &Route,
    head: &request::Parts,
    body: Body,
) -> Result<(Query, Option<CompactString>, Vec<u8>), Refusal> {
    if let Some(scope) = route.scope.filter(|scope| !key.has(*scope)) {
        let rule = format!("this key is not good for `{}`", scope.word());
        return Err(Refusal::because(ErrorCode::Forbidden, rule));
    }
    let (query, once) = (Query::read(&head.uri, route)?, call::once(&head.headers)?);
    let body = match route.method {
        "GET" => Vec::new(),
        _ => body::read(&head.headers, body).await?,
    };
    Ok((query, once, body))
}

async fn carry_out(operation: Operation, call: Call<'_>) -> Result<Response<Body>, Refusal> {
    match operation {
        Operation::Publish => messages::publish(call).await,
        Operation::Batch => messages::batch(call).await,
        Operation::Broadcast => messages::broadcast(call).await,
        Operation::Tell => messages::tell(call).await,
        Operation::History => messages::history(call).await,
        Operation::Members => rooms::members(call).await,
        Operation::Presence => users::presence(call).await,
        Operation::Rooms => rooms::list(call).await,
        Operation::Room => rooms::room(call).await,
        Operation::Subscribe => users::subscribe(call).await,
        Operation::Unsubscribe => users::unsubscribe(call).await,
        Operation::Disconnect => users::disconnect(call).await,
        Operation::Role => rooms::role(call).await,
        Operation::Sanction => rooms::sanction(call).await,
        Operation::Ticket => tokens::ticket(call).await,
        Operation::Revoke => tokens::revoke(call).await,
        Operation::Stats => rooms::stats(&call),
        // Answered before anybody had to show a key.
        Operation::Document | Operation::Page | Operation::Events => Err(ErrorCode::NoRoute.into()),
    }
}
