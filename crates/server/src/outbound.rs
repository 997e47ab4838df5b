//! The one client of outbound HTTP: webhooks, backend hooks and key sets go through it.
//!
//! Whoever decides what it calls must not reach what only this machine reaches (SSRF). So the address is
//! checked that is really connected to, after DNS and with nothing between check and connection;
//! redirects are not followed; time, answers and calls at once are bounded. What the operator lists in
//! `outbound.allow` may be called all the same, also without encryption.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parlour_protocol::{ErrorCode, Refusal};
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::timeout;

use crate::config::OutboundRules;

mod address;
mod connector;
mod endpoint;

pub use address::is_public;
use connector::Connector;
pub use connector::{Resolve, system_resolver};
pub use endpoint::Endpoint;

/// From the first look at the name to the last byte of the answer.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// Most bytes of an answer.
pub const ANSWER_BYTES: usize = 64 * 1024;
/// Most calls at once; more wait for their turn, which counts as their time.
const AT_ONCE: usize = 256;
/// How long an idle connection is kept for the next call.
const IDLE: Duration = Duration::from_secs(30);
/// Idle connections that are kept per endpoint.
const IDLE_PER_HOST: usize = 8;

type Client = legacy::Client<Connector, Full<Bytes>>;

/// Calls endpoints. Nothing is connected or read before the first call.
pub struct Outbound {
    rules: OutboundRules,
    resolve: Resolve,
    client: OnceCell<Client>,
    places: Semaphore,
}

/// What an endpoint answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status, which may be an error or a redirect.
    pub status: StatusCode,
    /// How long the endpoint wants to be left alone.
    pub retry_after: Option<Duration>,
    /// The body, at most [`ANSWER_BYTES`].
    pub body: Bytes,
}

/// Why a call has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutboundError {
    /// Every address behind the URL is one that may not be called, or the URL is not one to call.
    /// Nothing was sent.
    #[error("the URL leads to an address that may not be called, or is no `https` URL")]
    Forbidden,
    /// The name is not known.
    #[error("the name of the host leads to no address")]
    Unresolved,
    /// Nobody takes connections there.
    #[error("no connection to the host")]
    Unreachable,
    /// The certificate is not trusted, or is for another name.
    #[error(
        "no TLS with the host: its certificate must be valid for its name and come from a known authority"
    )]
    Untrusted,
    /// There was no complete answer in time.
    #[error("no answer in time")]
    Timeout,
    /// The answer is larger than [`ANSWER_BYTES`].
    #[error("the answer is too large")]
    TooLarge,
    /// The connection ended, or what came is not HTTP.
    #[error("the answer broke off, or is not HTTP/1.1")]
    Broken,
    /// The answer is no success; redirects are not followed.
    #[error("the answer has the status {0}")]
    Status(u16),
}

impl OutboundError {
    /// Returns the word for metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Forbidden => "url_forbidden",
            Self::Unresolved => "unresolved",
            Self::Unreachable => "unreachable",
            Self::Untrusted => "untrusted",
            Self::Timeout => "timeout",
            Self::TooLarge => "too_large",
            Self::Broken => "broken",
            Self::Status(_) => "status",
        }
    }
}

impl From<OutboundError> for Refusal {
    fn from(error: OutboundError) -> Self {
        match error {
            OutboundError::Forbidden => ErrorCode::UrlForbidden.into(),
            error => Self::because(ErrorCode::Unavailable, error.to_string()),
        }
    }
}

impl Outbound {
    /// Prepares calls under these rules, with the names that the operating system knows.
    #[must_use]
    pub fn new(rules: OutboundRules) -> Self {
        Self::with_resolver(rules, system_resolver())
    }

    /// Prepares calls with another source of addresses, for tests.
    #[must_use]
    pub fn with_resolver(rules: OutboundRules, resolve: Resolve) -> Self {
        Self { rules, resolve, client: OnceCell::new(), places: Semaphore::new(AT_ONCE) }
    }

    /// Fetches a document.
    ///
    /// # Errors
    /// [`OutboundError`]; any status but 2xx is one.
    pub async fn get(&self, endpoint: &Endpoint) -> Result<Bytes, OutboundError> {
        let answer = self.call(Method::GET, endpoint, HeaderMap::new(), Bytes::new(), PATIENCE).await?;
        match answer.status.is_success() {
            true => Ok(answer.body),
            false => Err(OutboundError::Status(answer.status.as_u16())),
        }
    }

    /// Sends a JSON document, and waits for the answer at most `within`, and at most [`PATIENCE`].
    ///
    /// # Errors
    /// [`OutboundError`], but never [`OutboundError::Status`].
    pub async fn post(
        &self,
        endpoint: &Endpoint,
        mut headers: HeaderMap,
        body: Bytes,
        within: Duration,
    ) -> Result<Answer, OutboundError> {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.call(Method::POST, endpoint, headers, body, within.min(PATIENCE)).await
    }

    async fn call(
        &self,
        method: Method,
        endpoint: &Endpoint,
        mut headers: HeaderMap,
        body: Bytes,
        within: Duration,
    ) -> Result<Answer, OutboundError> {
        headers.insert(USER_AGENT, HeaderValue::from_static("parlour"));
        let mut request = Request::new(Full::new(body));
        (*request.method_mut(), *request.uri_mut()) = (method, endpoint.uri());
        *request.headers_mut() = headers;
        let answer = async {
            // It is never closed.
            let _place = self.places.acquire().await.map_err(|_| OutboundError::Timeout)?;
            let client = self.client.get_or_try_init(|| self.build()).await?;
            let response = client.request(request).await.map_err(|error| cause(&error))?;
            read(response).await
        };
        timeout(within, answer).await.unwrap_or(Err(OutboundError::Timeout))
    }

    async fn build(&self) -> Result<Client, OutboundError> {
        let connector = Connector::new(self.rules.clone(), self.resolve.clone()).await?;
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        builder.timer(TokioTimer::new()).pool_timer(TokioTimer::new());
        builder.pool_idle_timeout(IDLE).pool_max_idle_per_host(IDLE_PER_HOST);
        builder.http1_max_buf_size(ANSWER_BYTES);
        Ok(builder.build(connector))
    }
}

/// Reads an answer to its end.
async fn read(response: http::Response<hyper::body::Incoming>) -> Result<Answer, OutboundError> {
    let status = response.status();
    let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
    let body = body.map_err(|error| match error.is::<LengthLimitError>() {
        true => OutboundError::TooLarge,
        false => OutboundError::Broken,
    })?;
    Ok(Answer { status, retry_after: seconds.map(Duration::from_secs), body: body.to_bytes() })
}

/// Finds what the connector said, below what the client made of it.
fn cause(error: &legacy::Error) -> OutboundError {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(ours) = error.downcast_ref::<OutboundError>() {
            return *ours;
        }
        source = error.source();
    }
    OutboundError::Broken
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").field("rules", &self.rules).finish_non_exhaustive()
    }
}
