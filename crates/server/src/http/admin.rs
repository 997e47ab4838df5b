//! The administration address: metrics, health, log level. Not for the public.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{Response, StatusCode};
use axum::middleware::{self, Next};
use axum::response::IntoResponse as _;
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use parlour_protocol::{ErrorCode, Refusal, UserId};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::{host, problem, serve_routes};
use crate::audit::{ADMINISTRATOR, Act};
use crate::commit::error_code;
use crate::identity::RevokeError;
use crate::identity::revocation::Wish;
use crate::logging;
use crate::node::Node;
use crate::upkeep;

/// The content type of a scrape.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Requests answered at the same time; more wait.
const AT_ONCE: usize = 64;

/// Answers requests for ever. Cancellation safe; answers that have begun go on.
pub async fn serve(listener: std::net::TcpListener, node: Arc<Node>) {
    let deadline = node.config.timeouts.handshake;
    let routes = routes(node);
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(kind = %error.kind(), "the admin listener does not work"),
    };
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        if let Ok((stream, _)) = listener.accept().await {
            let routes = routes.clone();
            tokio::spawn(async move {
                Box::pin(serve_routes(stream, routes, deadline)).await;
                drop(place);
            });
        }
    }
}

fn routes(node: Arc<Node>) -> Router {
    Router::new()
        .route("/metrics", get(metrics).fallback(|| async { problem::method_not_allowed("GET, HEAD") }))
        .route("/healthz", get(live).fallback(|| async { problem::method_not_allowed("GET, HEAD") }))
        .route("/readyz", get(ready).fallback(|| async { problem::method_not_allowed("GET, HEAD") }))
        .route("/log", put(set_log).fallback(|| async { problem::method_not_allowed("PUT") }))
        .route("/revoke", post(revoke).fallback(|| async { problem::method_not_allowed("POST") }))
        .route("/users/{user}", delete(erase).fallback(|| async { problem::method_not_allowed("DELETE") }))
        .merge(crate::hooks::admin::routes())
        .fallback(|| async { problem::response(&ErrorCode::NoRoute.into()) })
        .layer(middleware::from_fn_with_state(Arc::clone(&node), check_host))
        .with_state(node)
}

/// On loopback a browser of this machine is a way in for any page (DNS rebinding); other addresses
/// are reached by whatever name the operator's network gives them.
async fn check_host(
    State(node): State<Arc<Node>>,
    request: axum::extract::Request,
    next: Next,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let address = node.config.admin_listen.ip();
    let served = match address.is_loopback() {
        true => ["localhost", "127.0.0.1", "[::1]", &address.to_string()].map(String::from).to_vec(),
        false => Vec::new(),
    };
    match host::check(&head, &served) {
        Ok(()) => next.run(axum::extract::Request::from_parts(head, body)).await,
        Err(refusal) => problem::response(&refusal),
    }
}

async fn metrics(State(node): State<Arc<Node>>) -> Response<Body> {
    // Only this thread writes it, so it is never older than the page.
    node.metrics.node().commit_queue.set(node.commits.len() as u64);
    ([(CONTENT_TYPE, OPENMETRICS)], node.metrics.scrape()).into_response()
}

#[derive(Debug, Serialize)]
struct Live {
    status: &'static str,
    dev: bool,
}

async fn live(State(node): State<Arc<Node>>) -> Response<Body> {
    ([(CACHE_CONTROL, "no-store")], Json(Live { status: "live", dev: node.config.dev })).into_response()
}

#[derive(Debug, Serialize)]
struct Ready {
    ready: bool,
    reasons: Vec<&'static str>,
}

async fn ready(State(node): State<Arc<Node>>) -> Response<Body> {
    let reasons = node.shell.health.reasons();
    let ready = reasons.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(CACHE_CONTROL, "no-store")], Json(Ready { ready, reasons })).into_response()
}

#[derive(Debug, Deserialize)]
struct SetLog {
    level: String,
}

async fn set_log(
    State(node): State<Arc<Node>>,
    query: Result<Query<SetLog>, QueryRejection>,
) -> Response<Body> {
    if let Ok(Query(SetLog { level })) = &query
        && let Err(refusal) = node.shell.audit.attest(Act::new(ADMINISTRATOR, "log_level").to(level)).await
    {
        return problem::response(&refusal);
    }
    let changed = query.is_ok_and(|Query(wanted)| logging::set_filter(&wanted.level));
    match changed {
        true => StatusCode::NO_CONTENT.into_response(),
        false => problem::response(&Refusal::because(
            ErrorCode::InvalidParameter,
            "`level` must be error, warn, info, debug, trace or off, or a list such as \
             info,parlour_server=debug",
        )),
    }
}

#[derive(Debug, Serialize)]
struct ErasedUser {
    /// What stands in the place of the user's name.
    alias: UserId,
    /// In how many rooms something was erased.
    rooms: usize,
}

/// Erases all that a user has said. A method that no page of a browser can use without being asked
/// for permission first.
async fn erase(State(node): State<Arc<Node>>, Path(user): Path<String>) -> Response<Body> {
    let user = match UserId::parse(&user) {
        Ok(user) => user,
        Err(error) => {
            let rule = format!("user: {error}");
            return problem::response(&Refusal::because(ErrorCode::InvalidUser, rule));
        }
    };
    if let Err(refusal) = node.shell.audit.attest(Act::new(ADMINISTRATOR, "erase").to(&user)).await {
        return problem::response(&refusal);
    }
    match upkeep::erase(&node, user).await {
        Ok((alias, rooms)) => Json(ErasedUser { alias, rooms: rooms.len() }).into_response(),
        Err(error) => {
            node.note_store_error(error);
            problem::response(&error_code(error).into())
        }
    }
}

/// Takes tokens back. Its content type is one that no page of a browser can send without being asked
/// for permission first.
async fn revoke(State(node): State<Arc<Node>>, wish: Result<Json<Wish>, JsonRejection>) -> Response<Body> {
    let wish = match wish {
        Ok(Json(wish)) => wish,
        Err(JsonRejection::MissingJsonContentType(_)) => {
            return problem::response(&ErrorCode::UnsupportedMedia.into());
        }
        Err(_) => return problem::response(&bad_wish()),
    };
    let Some(revocation) = wish.check(node.clock.now().wall_ms.div_euclid(1_000)) else {
        return problem::response(&bad_wish());
    };
    let act = Act::new(ADMINISTRATOR, "revoke").to(format!("{revocation:?}"));
    if let Err(refusal) = node.shell.audit.attest(act).await {
        return problem::response(&refusal);
    }
    match node.revoke(revocation).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(RevokeError::TooMany(error)) => {
            problem::response(&Refusal::because(ErrorCode::LimitExceeded, error.to_string()))
        }
        Err(RevokeError::Store(error)) => problem::response(&node.note_store_error(error).into()),
    }
}

fn bad_wish() -> Refusal {
    let rule = "the body must be a JSON object with `token`, or `user` and perhaps `issued_before`, or \
                `issued_before`: seconds since 1970, not in the future";
    Refusal::because(ErrorCode::BadRequest, rule)
}
