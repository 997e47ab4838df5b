//! An async WebSocket stream for clients.
//!
//! It has no timers: put a limit on [`connect`] and on waiting for the end after a close from
//! outside. All its futures are cancel-safe: a frame is queued before the first await, and a frame
//! of which a part was written is completed by whichever call writes next.

mod outgoing;
mod reader;

use crate::handshake::{
    self,
    client::{ClientRequest, HandshakeError, ResponseHead, ResponseInfo},
};
use crate::{DecodeError, Opcode, encode};
use outgoing::Outgoing;
pub use reader::Reader;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// The largest body of a refusal that is kept, in bytes.
const MAX_REFUSAL: usize = 16 * 1024;

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The transport failed, or ended during the handshake.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Request or response are not as they should be.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The server answered with another status than 101.
    #[error("the server refused with status {status}")]
    Refused {
        /// The status of the response.
        status: u16,
        /// Its headers, such as `Retry-After`.
        headers: Vec<(String, String)>,
        /// The first 16 KiB of its body.
        body: Vec<u8>,
    },
}

/// Why a message was not sent or received.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The transport failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The server broke the rules of the protocol; it was told so in a close frame.
    #[error("the server broke the protocol: {0}")]
    Protocol(#[from] DecodeError),
    /// A close frame was sent already, so nothing may follow.
    #[error("the connection is closing")]
    Closed,
}

/// What a client receives. Pings are answered and not shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// The answer to a ping.
    Pong(Vec<u8>),
    /// The server closes, or answers our close. Nothing follows.
    Close(Option<CloseFrame>),
}

/// Code and reason of a close.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseFrame {
    /// See [`crate::close`].
    pub code: u16,
    /// At most 123 bytes.
    pub reason: String,
}

/// A connection, whole: one task reads and writes. See [`split`](Self::split) for two tasks.
#[derive(Debug)]
pub struct ClientStream<R = OwnedReadHalf, W = OwnedWriteHalf> {
    reader: Reader<R, W>,
    writer: Writer<W>,
}

/// The sending half of a connection. Clones send over the same connection.
#[derive(Debug)]
pub struct Writer<W = OwnedWriteHalf> {
    outgoing: Arc<Outgoing<W>>,
}

/// Performs the opening handshake over a fresh TCP connection and switches off its delay of small
/// segments.
///
/// # Errors
///
/// A failure of the transport or the handshake, or the server's refusal.
pub async fn connect(
    tcp: TcpStream,
    request: &ClientRequest,
) -> Result<(ClientStream, ResponseInfo), ConnectError> {
    tcp.set_nodelay(true)?;
    let (input, output) = tcp.into_split();
    connect_over(input, output, request).await
}

/// Performs the opening handshake over any transport, such as the two halves of a TLS stream.
///
/// # Errors
///
/// A failure of the transport or the handshake, or the server's refusal.
pub async fn connect_over<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    mut input: R,
    mut output: W,
    request: &ClientRequest,
) -> Result<(ClientStream<R, W>, ResponseInfo), ConnectError> {
    let mut nonce = [0; 16];
    outgoing::fill_random(&mut nonce)?;
    let key = handshake::key(nonce);
    output.write_all(&request.encode(&key)?).await?;
    output.flush().await?;

    let mut received = Vec::with_capacity(1024);
    let (head, head_bytes) = loop {
        if input.read_buf(&mut received).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        if let Some(found) = ResponseHead::parse(&received)? {
            break found;
        }
    };
    // What came with the head: the first frames, or the beginning of a body.
    received.drain(..head_bytes);
    if head.status != 101 {
        let body = read_refusal(input, &head, received).await;
        return Err(ConnectError::Refused { status: head.status, headers: head.headers, body });
    }
    let info = request.check(&key, head)?;
    let outgoing = Arc::new(Outgoing::new(output, info.deflate.is_some()));
    let reader = Reader::new(input, received, info.deflate.is_some(), Arc::clone(&outgoing));
    Ok((ClientStream { reader, writer: Writer { outgoing } }, info))
}

/// Reads the body of a refusal as far as its length is certain: to `Content-Length`, or to the end
/// of the connection if the response has no length at all. A failure ends it early.
async fn read_refusal<R: AsyncRead + Unpin>(input: R, head: &ResponseHead, mut body: Vec<u8>) -> Vec<u8> {
    let declared = head.values("content-length").next().and_then(|length| length.parse().ok());
    let chunked = head.values("transfer-encoding").next().is_some();
    let wanted = if chunked { body.len() } else { declared.unwrap_or(MAX_REFUSAL) }.min(MAX_REFUSAL);
    let missing = wanted.saturating_sub(body.len());
    // The status matters more than its explanation, so what arrived before a failure is enough.
    let _ = input.take(missing as u64).read_to_end(&mut body).await;
    body.truncate(wanted);
    body
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> ClientStream<R, W> {
    /// Receives the next message; see [`Reader::next`].
    ///
    /// # Errors
    ///
    /// See [`Reader::next`].
    pub async fn next(&mut self) -> Result<Option<Message>, StreamError> {
        self.reader.next().await
    }

    /// The sending half, to send without splitting.
    pub fn writer(&self) -> &Writer<W> {
        &self.writer
    }

    /// Sends a text message; see [`Writer::send_text`].
    ///
    /// # Errors
    ///
    /// See [`Writer::send_text`].
    pub async fn send_text(&mut self, text: &str) -> Result<(), StreamError> {
        self.writer.send_text(text).await
    }

    /// Sends a binary message.
    ///
    /// # Errors
    ///
    /// See [`Writer::send_text`].
    pub async fn send_binary(&mut self, bytes: &[u8]) -> Result<(), StreamError> {
        self.writer.send_binary(bytes).await
    }

    /// Sends a ping of at most 125 bytes; longer payloads are cut.
    ///
    /// # Errors
    ///
    /// See [`Writer::send_text`].
    pub async fn ping(&mut self, payload: &[u8]) -> Result<(), StreamError> {
        self.writer.ping(payload).await
    }

    /// Sends a close frame; see [`Writer::close`].
    ///
    /// # Errors
    ///
    /// See [`Writer::send_text`].
    pub async fn close(&mut self, code: u16, reason: &str) -> Result<(), StreamError> {
        self.writer.close(code, reason).await
    }

    /// Splits the connection for two tasks: one that reads and answers pings, one that writes.
    pub fn split(self) -> (Reader<R, W>, Writer<W>) {
        (self.reader, self.writer)
    }
}

impl<W> Clone for Writer<W> {
    fn clone(&self) -> Self {
        Self { outgoing: Arc::clone(&self.outgoing) }
    }
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    /// Sends a text message and waits until the transport has taken it, compressed if that was
    /// negotiated. A cancelled send is still sent, by the next call that writes.
    ///
    /// # Errors
    ///
    /// A failure of the transport, or [`StreamError::Closed`] after a close.
    pub async fn send_text(&self, text: &str) -> Result<(), StreamError> {
        self.outgoing.queue_message(Opcode::Text, text.as_bytes())?;
        self.outgoing.flush().await
    }

    /// Sends a binary message.
    ///
    /// # Errors
    ///
    /// See [`send_text`](Self::send_text).
    pub async fn send_binary(&self, bytes: &[u8]) -> Result<(), StreamError> {
        self.outgoing.queue_message(Opcode::Binary, bytes)?;
        self.outgoing.flush().await
    }

    /// Sends a ping of at most 125 bytes; longer payloads are cut.
    ///
    /// # Errors
    ///
    /// See [`send_text`](Self::send_text).
    pub async fn ping(&self, payload: &[u8]) -> Result<(), StreamError> {
        self.outgoing.queue_control(Opcode::Ping, &payload[..payload.len().min(125)])?;
        self.outgoing.flush().await
    }

    /// Sends a close frame. Go on reading until [`Message::Close`] comes or patience ends, then
    /// drop the connection.
    ///
    /// # Errors
    ///
    /// See [`send_text`](Self::send_text).
    pub async fn close(&self, code: u16, reason: &str) -> Result<(), StreamError> {
        self.outgoing.queue_control(Opcode::Close, &encode::close_payload(code, reason))?;
        self.outgoing.flush().await
    }
}
