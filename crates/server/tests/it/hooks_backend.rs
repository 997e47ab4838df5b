//! An HTTP server of the operator, as a test wants it.

use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use axum::response::{IntoResponse, Response};
use parlour_server::config::{Config, OutboundRules, RoomPattern};
use parlour_server::hooks::sign::Signer;
use ring::hmac;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What signs in tests.
const SECRET: &str = "a secret of tests that is long enough";

/// A request that the backend got.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    /// Checks the signature as docs/webhooks.md says, and returns the body.
    #[track_caller]
    pub(crate) fn verified(&self) -> Value {
        let header = |name: &str| self.headers[name].to_str().expect("a text");
        let signed = [header("parlour-timestamp").as_bytes(), b".", &self.body].concat();
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        let hex: String =
            hmac::sign(&key, &signed).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(header("parlour-signature"), format!("v1={hex}"));
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// A backend; it ends with its test.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Backend {
    /// Starts on an address of loopback and answers as `answer` says.
    pub(crate) async fn start<F, R>(answer: impl Fn(Asked) -> F + Clone + Send + Sync + 'static) -> Self
    where
        F: Future<Output = R> + Send,
        R: IntoResponse,
    {
        Self::start_on(Ipv4Addr::LOCALHOST, answer).await
    }

    /// The same on an address of its own.
    pub(crate) async fn start_on<F, R>(
        address: Ipv4Addr,
        answer: impl Fn(Asked) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = R> + Send,
        R: IntoResponse,
    {
        let listener = TcpListener::bind((address, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let routes = Router::new().fallback(move |request| {
            let answer = answer.clone();
            async move { reply(request, answer).await }
        });
        let serving = tokio::spawn(async move {
            axum::serve(listener, routes).await.expect("it serves");
        });
        Self { address, serving }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn reply<F: Future<Output = R>, R: IntoResponse>(
    request: Request<Body>,
    answer: impl Fn(Asked) -> F,
) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.expect("a body").to_vec();
    answer(Asked { path: head.uri.path().to_owned(), headers: head.headers, body }).await.into_response()
}

/// Lets backends of tests be called.
pub(crate) fn allow_loopback(config: &mut Config) {
    config.backend.outbound = loopback();
}

/// Allows loopback and nothing else.
pub(crate) fn loopback() -> OutboundRules {
    OutboundRules { allow: vec!["127.0.0.0/8".parse().expect("a range")], ca: None }
}

pub(crate) fn signer() -> Signer {
    Signer::new(SECRET).expect("long enough")
}

pub(crate) fn rooms(pattern: &str) -> RoomPattern {
    RoomPattern(pattern.into())
}
