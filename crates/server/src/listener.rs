//! From a listening socket to upgraded connections.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parlour_protocol::{ErrorCode, Refusal};
use rustls::server::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::admission::Permit;
use crate::http::{self, problem};
use crate::logging::Truncated;
use crate::node::Node;
use crate::proxy_protocol;
use crate::shell::Shell;
use crate::tls::live::LiveCertificate;
use crate::tls::stream::{HandshakeError, Stream};

/// Refused clients that are told why at the same time; more are cut off without a word.
const FAREWELLS: usize = 256;
/// Pause after the system refused a new socket, so that the loop does not spin.
const OUT_OF_FILES: Duration = Duration::from_millis(100);
/// What a client is told to wait while the node shuts down, in milliseconds.
const DRAINING_MS: u32 = 5_000;

/// Accepts connections for ever and greets those that get a place; with `tls` they are encrypted.
///
/// The others are told why, before anything is read from them; with `tls` they are cut off, because
/// that would cost a handshake. Cancellation safe: a connection
/// that was accepted is being greeted or was refused.
pub(crate) async fn accept(
    listener: std::net::TcpListener,
    node: Arc<Node>,
    tls: Option<Arc<LiveCertificate>>,
) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(kind = %error.kind(), "the listener does not work"),
    };
    let farewells = Arc::new(Semaphore::new(FAREWELLS));
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // ECONNABORTED and the like concern one client; no more files concerns all.
                tracing::warn!(kind = %error.kind(), "a connection was not accepted");
                tokio::time::sleep(OUT_OF_FILES).await;
                continue;
            }
        };
        match admit(&node.shell, peer) {
            Ok(permit) => {
                // Frames are written whole, so waiting for more only delays them.
                let _ = stream.set_nodelay(true);
                node.errands.run(greet(
                    stream,
                    peer,
                    permit,
                    Arc::clone(&node),
                    tls.as_ref().map(|tls| tls.current()),
                ));
            }
            Err(refusal) => {
                note_turned_away(peer.ip(), &refusal, &node.shell);
                if tls.is_none() {
                    say_farewell(stream, &refusal, &farewells);
                }
            }
        }
    }
}

fn admit(shell: &Shell, peer: SocketAddr) -> Result<Permit, Refusal> {
    if shell.health.is_draining() {
        return Err(Refusal::retry_after(ErrorCode::NodeFull, DRAINING_MS));
    }
    shell.admission.admit(peer.ip())
}

fn note_turned_away(address: IpAddr, refusal: &Refusal, shell: &Shell) {
    let code = refusal.code.word();
    shell.metrics.node().turned_away.inc(code);
    tracing::info!(code, address = %Truncated(address), "connection turned away");
}

fn say_farewell(stream: TcpStream, refusal: &Refusal, farewells: &Arc<Semaphore>) {
    if let Ok(farewell) = Arc::clone(farewells).try_acquire_owned() {
        let answer = problem::bytes(refusal);
        tokio::spawn(async move {
            http::say_and_close(stream, &answer).await;
            drop(farewell);
        });
    }
}

/// Answers the HTTP request of a new connection; gives it to a shard if it became a WebSocket.
///
/// Everything of HTTP is gone by then. The future is small: the state of the handshake is boxed.
async fn greet(
    stream: TcpStream,
    peer: SocketAddr,
    permit: Permit,
    node: Arc<Node>,
    tls: Option<Arc<ServerConfig>>,
) {
    let shell = &node.shell;
    let conversation = Box::pin(async {
        let deadline = Instant::now() + shell.config.timeouts.handshake;
        let (mut stream, mut permit, mut address) = (stream, permit, peer.ip());
        if shell.config.access.proxy_protocol && shell.admission.is_trusted_proxy(address) {
            address = introduce(&mut stream, address, &mut permit, deadline, shell).await?;
        }
        let stream = match tls {
            Some(tls) => encrypt(stream, address, tls, deadline, shell).await?,
            None => Stream::Plain(stream),
        };
        http::converse(stream, address, permit, deadline, &node).await
    });
    if let Some(upgraded) = conversation.await {
        node.place(upgraded);
    }
}

/// Reads for whom a proxy speaks, and counts the connection for that address. `None` if it does not
/// say, or the address has too many; which has been noted then.
async fn introduce(
    stream: &mut TcpStream,
    proxy: IpAddr,
    permit: &mut Permit,
    deadline: Instant,
    shell: &Shell,
) -> Option<IpAddr> {
    match timeout_at(deadline, proxy_protocol::read(stream)).await {
        Ok(Ok(None)) => Some(proxy),
        Ok(Ok(Some(client))) => match permit.claim_address(client) {
            Ok(()) => Some(client),
            Err(refusal) => {
                note_turned_away(client, &refusal, shell);
                None
            }
        },
        Ok(Err(_)) | Err(_) => {
            note_turned_away(proxy, &ErrorCode::BadHandshake.into(), shell);
            None
        }
    }
}

/// Performs the TLS handshake. `None` if it failed, which has been noted then.
async fn encrypt(
    stream: TcpStream,
    address: IpAddr,
    tls: Arc<ServerConfig>,
    deadline: Instant,
    shell: &Shell,
) -> Option<Stream> {
    let outcome = timeout_at(deadline, Stream::accept(stream, tls)).await;
    let reason = match &outcome {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(error.word()),
        Err(_) => Some("timeout"),
    };
    if let Some(reason) = reason {
        shell.metrics.node().tls_failures.inc(reason);
        tracing::debug!(reason, address = %Truncated(address), "TLS handshake failed");
    }
    match outcome.ok()? {
        Ok(stream) => Some(stream),
        Err(HandshakeError::PlainHttp(stream)) => {
            let rule = "this address speaks TLS: begin with https:// or wss://";
            let refusal = Refusal::because(ErrorCode::BadHandshake, rule);
            http::say_and_close(stream, &problem::bytes(&refusal)).await;
            None
        }
        Err(HandshakeError::Failed(_)) => None,
    }
}
