//! HTTP/1.1 on both addresses.
//!
//! The head of every request is read and checked here before hyper sees it, because hyper accepts
//! what a careful server refuses (bare line feeds, `Content-Length` beside `Transfer-Encoding`). Hyper
//! gets one message after the other, each with its end ([`message`]), so that nothing behind a request
//! can be taken for another one. Only the API answers several requests of a connection: a page needs
//! few files, and a WebSocket outlives them all.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use axum::http::{HeaderValue, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use parlour_protocol::{ErrorCode, Refusal};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tower_service::Service as _;

use crate::admission::Permit;
use crate::api::{self, Client};
use crate::logging::Truncated;
use crate::node::Node;
pub use crate::shell::Shell;
use crate::tls::stream::Stream;
use crate::upgrade::{Greeting, Listening, Upgraded};

pub mod admin;
pub(crate) mod forwarded;
mod head;
pub(crate) mod host;
mod message;
pub mod problem;
pub mod public;

use head::End;
use message::Message;

/// From the request head to the end of the answer. A slow line gets the web client within this.
const ANSWER: Duration = Duration::from_secs(30);
/// The same in the API, where a question may wait for an event.
const API_ANSWER: Duration = Duration::from_secs(90);
/// From an answer to the end of the next request head.
const IDLE: Duration = Duration::from_secs(30);
/// Most requests of one connection: then it comes back, perhaps to another node.
const MOST_REQUESTS: u32 = 1_000;
/// How long a client may take to read an answer that ends the connection.
const LINGER: Duration = Duration::from_secs(1);
/// How long what was sent to somebody who listens may remain unconfirmed by the network.
const LOSS: Duration = Duration::from_secs(15);
/// Bytes of a refused request that are read and thrown away, so that its answer arrives.
const LINGER_BYTES: usize = 256 * 1024;

/// Answers the requests of a connection; the first head must come by the deadline. Returns the
/// connection if it became a WebSocket.
pub(crate) async fn converse(
    mut stream: Stream,
    peer: IpAddr,
    permit: Permit,
    mut deadline: Instant,
    node: &Arc<Node>,
) -> Option<Upgraded> {
    let visit = Visit {
        permit,
        peer,
        address: peer,
        greeting: None,
        answer: Vec::new(),
        requests: 0,
        goes_on: false,
    };
    let visit = Mutex::new(visit);
    let mut early = Vec::new();
    loop {
        let draining = node.shell.health.until_draining();
        let (head, end) = match read_head(&mut stream, early, deadline, draining).await {
            Ok(head) => head?,
            Err(refusal) => {
                note_refusal(&node.shell, peer, refusal.code);
                say_and_close(stream, &problem::bytes(&refusal)).await;
                return None;
            }
        };
        let service = hyper::service::service_fn(|request| Box::pin(answer(request, node, peer, &visit)));
        let is_over;
        let limit = if is_for_api(&head) { API_ANSWER } else { ANSWER };
        (stream, early, is_over) = serve(Message::new(head, end, stream), limit, service).await?;
        let visit = &mut *visit.lock().unwrap_or_else(PoisonError::into_inner);
        if visit.greeting.is_some() || !visit.goes_on || !is_over {
            break;
        }
        deadline = Instant::now() + IDLE;
    }
    let visit = visit.into_inner().unwrap_or_else(PoisonError::into_inner);
    let Visit { permit, address, greeting, answer, .. } = visit;
    match greeting {
        Some(greeting) => {
            timeout(LINGER, stream.write_all(&answer)).await.ok()?.ok()?;
            let (stream, channel, more) = stream.into_parts().ok()?;
            notice_loss(&stream, greeting.listening);
            early.extend(more);
            Some(Upgraded { stream, channel, early, address, greeting: *greeting, permit })
        }
        None => {
            close(stream).await;
            None
        }
    }
}

/// Answers the one request of a connection from `routes` alone.
pub(crate) async fn serve_routes(stream: TcpStream, routes: Router, limit: Duration) {
    let mut stream = Stream::Plain(stream);
    let deadline = Instant::now() + limit;
    match read_head(&mut stream, Vec::new(), deadline, std::future::pending()).await {
        Ok(Some((head, end))) => {
            let service = hyper::service::service_fn(|request| {
                let answer = routes.clone().call(request);
                Box::pin(async move { answer.await.map(last) })
            });
            if let Some((stream, ..)) = serve(Message::new(head, end, stream), ANSWER, service).await {
                close(stream).await;
            }
        }
        Ok(None) => {}
        Err(refusal) => say_and_close(stream, &problem::bytes(&refusal)).await,
    }
}

/// Has the system notice that somebody is gone who is sent to and never says anything.
fn notice_loss(stream: &std::net::TcpStream, listening: Option<Listening>) {
    if listening.is_some() {
        // Without it, the loss is noticed later.
        let _ = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(LOSS));
    }
}

/// What becomes known of a connection while its request is answered.
struct Visit {
    permit: Permit,
    /// The other end of the connection.
    peer: IpAddr,
    /// Whose the newest request is, as far as that is known.
    address: IpAddr,
    /// Set when the connection goes to a shard.
    greeting: Option<Box<Greeting>>,
    /// What is still to be written before that.
    answer: Vec<u8>,
    requests: u32,
    /// Whether the newest answer promises to listen for another request.
    goes_on: bool,
}

/// Reads a whole request head, and whatever came with it. `None`: the client had nothing to say until
/// the deadline, or until `interrupted`.
async fn read_head(
    stream: &mut Stream,
    mut bytes: Vec<u8>,
    deadline: Instant,
    interrupted: impl Future<Output = ()>,
) -> Result<Option<(Vec<u8>, End)>, Refusal> {
    if bytes.is_empty() {
        bytes.reserve(1_024);
        let came = async {
            tokio::select! {
                read = stream.read_buf(&mut bytes) => read.is_ok_and(|read| read > 0),
                () = interrupted => false,
            }
        };
        if !timeout_at(deadline, came).await.unwrap_or(false) {
            return Ok(None);
        }
    }
    let scanned = timeout_at(deadline, scan_head(stream, bytes)).await;
    scanned.unwrap_or(Err(ErrorCode::RequestTimeout.into()))
}

/// Whether a request is one of those that are given more time.
fn is_for_api(head: &[u8]) -> bool {
    head.strip_prefix(b"GET ").is_some_and(|rest| rest.starts_with(api::BASE.as_bytes()))
}

/// Reads on to the end of a head. `None`: the client left before that.
async fn scan_head(stream: &mut Stream, mut bytes: Vec<u8>) -> Result<Option<(Vec<u8>, End)>, Refusal> {
    let mut scanner = head::Scanner::default();
    loop {
        if scanner.scan(&bytes)? {
            return Ok(Some((bytes, scanner.end())));
        }
        // A head of a browser is some 600 bytes.
        bytes.reserve(1_024);
        if let Ok(0) | Err(_) = stream.read_buf(&mut bytes).await {
            return Ok(None);
        }
    }
}

/// Lets hyper carry out one request. Returns the socket, bytes that came behind the request, and
/// whether they are where another may begin.
async fn serve<S>(io: Message, limit: Duration, service: S) -> Option<(Stream, Vec<u8>, bool)>
where
    S: hyper::service::HttpService<Incoming, ResBody = Body> + Unpin,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::Future: Unpin,
{
    let mut http = hyper::server::conn::http1::Builder::new();
    http.max_headers(head::MOST_HEADERS).max_buf_size(2 * head::MOST_BYTES);
    // The end of the message is not the end of the client.
    http.half_close(true);
    let mut connection = http.serve_connection(TokioIo::new(io), service);
    let answering = std::future::poll_fn(|context| connection.poll_without_shutdown(context));
    // Refused by ourselves: the connection goes to a shard.
    timeout(limit, answering)
        .await
        .ok()?
        .or_else(|error| if error.is_user() { Ok(()) } else { Err(error) })
        .ok()?;
    let parts = connection.into_parts();
    let io = parts.io.into_inner();
    // What hyper has read and not used is part of a body that nobody wanted.
    let is_over = io.is_over() && parts.read_buf.is_empty();
    let (stream, rest) = io.into_parts();
    Some((stream, rest, is_over))
}

async fn answer(
    request: Request<Incoming>,
    node: &Arc<Node>,
    peer: IpAddr,
    visit: &Mutex<Visit>,
) -> Result<Response<Body>, Handover> {
    let shell = &node.shell;
    let (asks_for_more, has_body) = (asks_for_more(&request), request.headers().contains_key(CONTENT_LENGTH));
    let response = route(request, node, visit).await;
    let response = response.unwrap_or_else(|refusal| problem::response(&refusal));
    let refused = response.extensions().get::<ErrorCode>();
    match refused {
        Some(code) => note_refusal(shell, peer, *code),
        None => shell.metrics.node().http_requests.add(1),
    }
    let visit = &mut *visit.lock().unwrap_or_else(PoisonError::into_inner);
    if visit.greeting.is_some() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        visit.answer = head_of(&response);
        return Err(Handover);
    }
    visit.requests += 1;
    // Nobody may have read the body of a refused request.
    let is_read = refused.is_none() || !has_body;
    visit.goes_on = asks_for_more && is_read && visit.requests < MOST_REQUESTS && !shell.health.is_draining();
    Ok(if visit.goes_on { response } else { last(response) })
}

/// The answer has no end that hyper would know: a shard goes on with it.
#[derive(Debug, thiserror::Error)]
#[error("the connection goes to a shard")]
struct Handover;

/// Writes the head of an answer that lasts as long as its connection.
fn head_of(response: &Response<Body>) -> Vec<u8> {
    let mut head = b"HTTP/1.1 200 OK\r\nconnection: close\r\n".to_vec();
    for (name, value) in response.headers() {
        head.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// Whether a request is one of those that another may follow on the same connection.
fn asks_for_more(request: &Request<Incoming>) -> bool {
    let says_close = |value: &HeaderValue| {
        let tokens = value.to_str().unwrap_or("close").split(',');
        tokens.map(str::trim).any(|token| token.eq_ignore_ascii_case("close"))
    };
    request.uri().path().starts_with(api::BASE)
        && request.version() == Version::HTTP_11
        && !request.headers().contains_key(TRANSFER_ENCODING)
        && !request.headers().get_all(CONNECTION).iter().any(says_close)
}

/// Marks an answer as the last one of its connection, unless a WebSocket begins with it.
fn last(mut response: Response<Body>) -> Response<Body> {
    let value = match response.status() {
        StatusCode::SWITCHING_PROTOCOLS => return response,
        // `Upgrade` is only valid where `Connection` names it (RFC 9110, section 7.8).
        StatusCode::UPGRADE_REQUIRED => "close, upgrade",
        _ => "close",
    };
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static(value));
    response
}

async fn route(
    request: Request<Incoming>,
    node: &Arc<Node>,
    visit: &Mutex<Visit>,
) -> Result<Response<Body>, Refusal> {
    let shell = &node.shell;
    let (mut head, body) = request.into_parts();
    host::check(&head, &shell.hosts)?;
    {
        let visit = &mut *visit.lock().unwrap_or_else(PoisonError::into_inner);
        if shell.admission.is_trusted_proxy(visit.peer) {
            // Another client than that of the request before, perhaps.
            let client = forwarded::client(&head.headers, &shell.admission).unwrap_or(visit.peer);
            if client != visit.address && client != visit.peer {
                visit.permit.claim_address(client)?;
            }
            visit.address = client;
        }
        head.extensions.insert(Client(visit.address));
    }
    head.extensions.insert(Arc::clone(node));
    head.extensions.insert(Arc::clone(shell));
    let mut routes = shell.routes.clone();
    let Ok(mut response) = routes.call(Request::from_parts(head, body)).await;
    if let Some(greeting) = response.extensions_mut().remove::<Box<Greeting>>() {
        let visit = &mut *visit.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(identity) = &greeting.identity {
            visit.permit.claim_user(&identity.user)?;
        }
        visit.greeting = Some(greeting);
    }
    Ok(response)
}

fn note_refusal(shell: &Shell, peer: IpAddr, code: ErrorCode) {
    shell.metrics.node().refused.inc(code.word());
    shell.audit.login_failed(Some(peer), code);
    tracing::info!(code = code.word(), address = %Truncated(peer), "request refused");
}

/// Writes an answer and ends the connection so that the client can read it.
pub(crate) async fn say_and_close(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &[u8]) {
    let written = timeout(LINGER, stream.write_all(answer)).await;
    if let Ok(Ok(())) = written {
        close(stream).await;
    }
}

/// Ends a connection. Closing with unread bytes would reset it and take the answer along.
async fn close(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let lingering = async {
        stream.shutdown().await?;
        let mut rest = LINGER_BYTES;
        let mut sink = [0; 1_024];
        while rest > 0 {
            match stream.read(&mut sink).await? {
                0 => break,
                read => rest = rest.saturating_sub(read),
            }
        }
        std::io::Result::Ok(())
    };
    // The outcome does not matter: the connection is over in any case.
    let _ = timeout(LINGER, lingering).await;
}
