//! What an operator sees of webhooks, on the administration address.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Response;
use axum::response::{IntoResponse as _, Json};
use axum::routing::{get, put};
use parlour_protocol::{ErrorCode, RoomName, Seq};
use serde::Serialize;
use serde_json::value::RawValue;

use super::courier::replay;
use super::entry::{Entry, What};
use super::event::EventKind;
use super::keys;
use super::webhook::{Status, Webhook};
use crate::audit::{ADMINISTRATOR, Act};
use crate::commit::error_code;
use crate::http::problem;
use crate::node::Node;
use crate::store::StoreError;

/// Most dead letters of an answer.
const SHOWN: u32 = 100;

/// Returns the routes.
pub(crate) fn routes() -> Router<Arc<Node>> {
    let read_only = || async { problem::method_not_allowed("GET, HEAD") };
    Router::new()
        .route("/webhooks", get(list).fallback(read_only))
        .route("/webhooks/{name}/dead", get(dead).fallback(read_only))
        // Not POST: a page of a browser can use that without being asked for permission first.
        .route("/webhooks/{name}/replay", put(run).fallback(|| async { problem::method_not_allowed("PUT") }))
}

/// A webhook as it is now.
#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    /// Without path and query, which may hold a secret.
    origin: String,
    events: &'a [EventKind],
    rooms: &'a str,
    #[serde(flatten)]
    status: Status,
}

impl<'a> Shown<'a> {
    fn of(webhook: &'a Webhook) -> Self {
        let rule = &webhook.rule;
        let (name, rooms, origin) = (&rule.name, &rule.rooms.0, rule.endpoint.origin());
        Self { name, origin, events: &rule.events, rooms, status: webhook.status() }
    }
}

async fn list(State(node): State<Arc<Node>>) -> Response<Body> {
    let webhooks: Vec<_> = node.hooks.webhooks.iter().map(|webhook| Shown::of(webhook)).collect();
    Json(webhooks).into_response()
}

/// A dead letter.
#[derive(Serialize)]
struct Letter {
    time_ms: i64,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<Box<RawValue>>,
    /// Of a message, only where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<(RoomName, Seq)>,
}

async fn dead(State(node): State<Arc<Node>>, Path(name): Path<String>) -> Response<Body> {
    let Some(webhook) = node.hooks.find(&name) else {
        return problem::response(&ErrorCode::NotFound.into());
    };
    match node.store.documents(keys::dead(&webhook.rule.name), SHOWN).await {
        Ok(letters) => {
            let letters = letters.iter().filter_map(|letter| serde_json::from_slice(&letter.value).ok());
            let letters = letters.map(|Entry { time_ms, reason, what }| {
                let (event, message) = match what {
                    What::Event { event, .. } => (Some(event), None),
                    What::Message { room, seq } => (None, Some((room, seq))),
                };
                Letter { time_ms, reason: reason.unwrap_or_default(), event, message }
            });
            Json(letters.collect::<Vec<_>>()).into_response()
        }
        Err(error) => failed(&node, error),
    }
}

#[derive(Serialize)]
struct Replayed {
    replayed: usize,
}

async fn run(State(node): State<Arc<Node>>, Path(name): Path<String>) -> Response<Body> {
    let Some(webhook) = node.hooks.find(&name) else {
        return problem::response(&ErrorCode::NotFound.into());
    };
    let act = Act::new(ADMINISTRATOR, "webhook_replay").to(&name);
    if let Err(refusal) = node.shell.audit.attest(act).await {
        return problem::response(&refusal);
    }
    match replay(&node, webhook).await {
        Ok(replayed) => Json(Replayed { replayed }).into_response(),
        Err(error) => failed(&node, error),
    }
}

fn failed(node: &Node, error: StoreError) -> Response<Body> {
    node.note_store_error(error);
    problem::response(&error_code(error).into())
}
