//! HTTP/1.1 on both addresses: one request per connection.
//!
//! The head of a request is read and checked here before hyper sees it, because hyper accepts what
//! a careful server refuses (bare line feeds, `Content-Length` beside `Transfer-Encoding`). One
//! request per connection keeps that check complete, and leaves nothing behind a request that a
//! proxy could take for another one. A page needs few files, and a WebSocket outlives them all.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use parlour_protocol::{ErrorCode, Refusal};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tower_service::Service as _;

use crate::admission::Permit;
use crate::logging::Truncated;
pub use crate::shell::Shell;
use crate::tls::stream::Stream;
use crate::upgrade::{Greeting, Upgraded};

pub mod admin;
pub(crate) mod forwarded;
mod head;
pub(crate) mod host;
mod prefixed;
pub mod problem;
pub mod public;

use prefixed::Prefixed;

/// From the request head to the end of the answer. A slow line gets the web client within this.
const ANSWER: Duration = Duration::from_secs(30);
/// How long a client may take to read an answer that ends the connection.
const LINGER: Duration = Duration::from_secs(1);
/// Bytes of a refused request that are read and thrown away, so that its answer arrives.
const LINGER_BYTES: usize = 256 * 1024;

/// Answers the one request of a connection, whose head must come by the deadline. Returns the
/// connection if it became a WebSocket.
pub(crate) async fn converse(
    mut stream: Stream,
    peer: IpAddr,
    permit: Permit,
    deadline: Instant,
    shell: &Arc<Shell>,
) -> Option<Upgraded> {
    let head = match read_head(&mut stream, deadline).await {
        Ok(head) => head?,
        Err(refusal) => {
            note_refusal(shell, peer, refusal.code);
            say_and_close(stream, &problem::bytes(&refusal)).await;
            return None;
        }
    };
    let visit = Mutex::new(Visit { permit, address: peer, greeting: None });
    let service = hyper::service::service_fn(|request| Box::pin(answer(request, shell, peer, &visit)));
    let (stream, mut early) = serve(Prefixed::new(head, stream), service).await?;

    let Visit { permit, address, greeting } = visit.into_inner().unwrap_or_else(PoisonError::into_inner);
    match greeting {
        Some(greeting) => {
            let (stream, channel, more) = stream.into_parts().ok()?;
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
    match read_head(&mut stream, Instant::now() + limit).await {
        Ok(Some(head)) => {
            let service = hyper::service::service_fn(|request| {
                let answer = routes.clone().call(request);
                Box::pin(async move { answer.await.map(last) })
            });
            if let Some((stream, _)) = serve(Prefixed::new(head, stream), service).await {
                close(stream).await;
            }
        }
        Ok(None) => {}
        Err(refusal) => say_and_close(stream, &problem::bytes(&refusal)).await,
    }
}

/// What becomes known of a connection while its request is answered.
struct Visit {
    permit: Permit,
    address: IpAddr,
    /// Set when the connection becomes a WebSocket.
    greeting: Option<Box<Greeting>>,
}

/// Reads a whole request head, and whatever came with it. `None`: the client left without a word.
async fn read_head(stream: &mut Stream, deadline: Instant) -> Result<Option<Vec<u8>>, Refusal> {
    let mut bytes = Vec::new();
    let mut scanner = head::Scanner::default();
    let reading = async {
        loop {
            // A head of a browser is some 600 bytes.
            bytes.reserve(1_024);
            match stream.read_buf(&mut bytes).await {
                Ok(0) | Err(_) => return Ok(false),
                Ok(_) if scanner.scan(&bytes)? => return Ok(true),
                Ok(_) => {}
            }
        }
    };
    match timeout_at(deadline, reading).await {
        Ok(complete) => complete.map(|complete| complete.then_some(bytes)),
        Err(_) if bytes.is_empty() => Ok(None),
        Err(_) => Err(ErrorCode::RequestTimeout.into()),
    }
}

/// Lets hyper carry out one request. Returns the socket, and bytes that came behind the request.
async fn serve<S>(io: Prefixed, service: S) -> Option<(Stream, Vec<u8>)>
where
    S: hyper::service::HttpService<Incoming, ResBody = Body> + Unpin,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::Future: Unpin,
{
    let mut http = hyper::server::conn::http1::Builder::new();
    http.max_headers(head::MOST_HEADERS).max_buf_size(2 * head::MOST_BYTES);
    let connection = http.serve_connection(TokioIo::new(io), service).without_shutdown();
    let parts = timeout(ANSWER, connection).await.ok()?.ok()?;
    let (stream, rest) = parts.io.into_inner().into_parts();
    // Copied, because hyper's buffer is larger than what is left in it.
    Some((stream, [&parts.read_buf[..], &rest].concat()))
}

async fn answer(
    request: Request<Incoming>,
    shell: &Arc<Shell>,
    peer: IpAddr,
    visit: &Mutex<Visit>,
) -> Result<Response<Body>, Infallible> {
    let response = route(request, shell, visit).await;
    let response = response.unwrap_or_else(|refusal| problem::response(&refusal));
    match response.extensions().get::<ErrorCode>() {
        Some(code) => note_refusal(shell, peer, *code),
        None => shell.metrics.node().http_requests.add(1),
    }
    Ok(last(response))
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
    shell: &Arc<Shell>,
    visit: &Mutex<Visit>,
) -> Result<Response<Body>, Refusal> {
    let (mut head, body) = request.into_parts();
    host::check(&head, &shell.hosts)?;
    {
        let visit = &mut *visit.lock().unwrap_or_else(PoisonError::into_inner);
        if shell.admission.is_trusted_proxy(visit.address)
            && let Some(client) = forwarded::client(&head.headers, &shell.admission)
        {
            visit.address = client;
            visit.permit.claim_address(client)?;
        }
    }
    head.extensions.insert(Arc::clone(shell));
    let mut routes = shell.routes.clone();
    let Ok(mut response) = routes.call(Request::from_parts(head, body)).await;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let greeting = response.extensions_mut().remove::<Box<Greeting>>().ok_or(ErrorCode::Internal)?;
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
