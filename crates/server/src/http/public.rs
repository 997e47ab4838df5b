//! The routes of the public address.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{Method, Response, Uri};
use axum::routing::any;
use axum::{Extension, Router};
use parlour_protocol::ErrorCode;

use super::problem;
use crate::api;
use crate::assets;
use crate::shell::Shell;
use crate::upgrade;

/// Builds the routes: the WebSocket, the API, and the files of the web client for every other path.
pub(crate) fn routes() -> Router {
    Router::new().route("/ws", any(websocket)).route("/api/{*path}", any(api::serve)).fallback(web_client)
}

/// Builds the routes of a conformance server: a WebSocket at every path, without parameters.
pub(crate) fn echo_routes() -> Router {
    Router::new().fallback(async |shell, mut request: Request| {
        // Plain text would ask for a room and a name.
        *request.uri_mut() = Uri::from_static("/ws?format=json");
        websocket(shell, request).await
    })
}

async fn websocket(Extension(shell): Extension<Arc<Shell>>, request: Request) -> Response<Body> {
    let (head, _) = request.into_parts();
    if head.method != Method::GET {
        return problem::method_not_allowed("GET");
    }
    match upgrade::negotiate(&head, &shell.config, &*shell.verifier) {
        Ok(_) if shell.health.is_draining() => problem::response(&ErrorCode::NodeFull.into()),
        Ok(agreement) => agreement.into_response(),
        Err(refusal) => problem::response(&refusal),
    }
}

async fn web_client(request: Request) -> Response<Body> {
    let (head, _) = request.into_parts();
    match assets::find(head.uri.path()) {
        None => problem::response(&ErrorCode::NoRoute.into()),
        Some(_) if !is_read(&head) => problem::method_not_allowed("GET, HEAD"),
        Some(asset) => asset.respond(&head),
    }
}

fn is_read(head: &Parts) -> bool {
    matches!(head.method, Method::GET | Method::HEAD)
}
