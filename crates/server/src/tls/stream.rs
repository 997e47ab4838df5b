//! The socket of a client on the runtime: during the TLS handshake and HTTP, encrypted or not.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::server::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::channel::{Channel, Received, SPACE};

/// The first byte of every TLS handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// A client's socket.
#[derive(Debug)]
pub(crate) enum Stream {
    /// As the network sees it.
    Plain(TcpStream),
    /// Encrypted.
    Tls(Box<Encrypted>),
}

/// A socket with a TLS connection over it.
#[derive(Debug)]
pub(crate) struct Encrypted {
    socket: TcpStream,
    channel: Box<Channel>,
    /// What has been decrypted and not been read yet.
    plaintext: Vec<u8>,
    is_closed: bool,
}

/// Why no TLS connection came about.
#[derive(Debug)]
pub(crate) enum HandshakeError {
    /// The client speaks HTTP without TLS; here it is, so that it can be told.
    PlainHttp(TcpStream),
    /// The socket or the protocol failed.
    Failed(io::Error),
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl HandshakeError {
    /// Returns the word for logs and metrics.
    pub(crate) fn word(&self) -> &'static str {
        let Self::Failed(error) = self else {
            return "plain_http";
        };
        match error.get_ref().and_then(|error| error.downcast_ref()) {
            None => "lost",
            Some(rustls::Error::AlertReceived(_)) => "refused_by_client",
            Some(rustls::Error::PeerIncompatible(_)) => "incompatible",
            Some(rustls::Error::NoApplicationProtocol) => "no_application_protocol",
            Some(rustls::Error::InvalidMessage(_)) => "invalid_message",
            Some(_) => "failed",
        }
    }
}

impl Stream {
    /// Performs the handshake. Put a limit on it.
    pub(crate) async fn accept(socket: TcpStream, config: Arc<ServerConfig>) -> Result<Self, HandshakeError> {
        let mut first = [0];
        if socket.peek(&mut first).await? == 1 && first[0] != HANDSHAKE && first[0].is_ascii_alphabetic() {
            return Err(HandshakeError::PlainHttp(socket));
        }
        let channel = Channel::new(config).map_err(io::Error::other)?;
        let mut stream =
            Encrypted { socket, channel: Box::new(channel), plaintext: Vec::new(), is_closed: false };
        stream.shake_hands().await?;
        Ok(Self::Tls(Box::new(stream)))
    }

    /// Takes the stream out of the runtime: the socket, its encryption, and what nobody has read yet.
    ///
    /// # Errors
    /// The operating system's.
    pub(crate) fn into_parts(self) -> io::Result<(std::net::TcpStream, Option<Box<Channel>>, Vec<u8>)> {
        match self {
            Self::Plain(socket) => Ok((socket.into_std()?, None, Vec::new())),
            Self::Tls(stream) => Ok((stream.socket.into_std()?, Some(stream.channel), stream.plaintext)),
        }
    }
}

impl Encrypted {
    async fn shake_hands(&mut self) -> io::Result<()> {
        loop {
            self.send().await?;
            if !self.channel.is_handshaking() {
                return Ok(());
            }
            self.socket.readable().await?;
            match self.receive() {
                Ok(Received::Bytes { .. }) => {}
                Ok(Received::End) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    // The first reason counts.
                    let _ = self.send().await;
                    return Err(error);
                }
            }
        }
    }

    async fn send(&mut self) -> io::Result<()> {
        std::future::poll_fn(|context| self.poll_send(context)).await
    }

    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.channel.waiting() > 0 {
            ready!(self.socket.poll_write_ready(context))?;
            match self.channel.send(|bytes| self.socket.try_write(bytes)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads and decrypts what is there. The space for it lives only so long: whoever says nothing
    /// during the handshake costs no buffer.
    fn receive(&mut self) -> io::Result<Received> {
        let mut space = vec![0; SPACE];
        let received = self.channel.receive(&mut space, |bytes| self.socket.try_read(bytes))?;
        if let Received::Bytes { length, .. } = received {
            self.plaintext.extend_from_slice(&space[..length]);
        }
        Ok(received)
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.plaintext.is_empty() {
            ready!(this.socket.poll_read_ready(context))?;
            match this.receive() {
                // What the library answers by itself leaves now, or with what is written next.
                Ok(Received::Bytes { .. }) => {
                    let _ = this.poll_send(context)?;
                }
                Ok(Received::End) => return Poll::Ready(Ok(())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        let length = buffer.remaining().min(this.plaintext.len());
        buffer.put_slice(&this.plaintext[..length]);
        this.plaintext.drain(..length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_send(context))?;
        let taken = this.channel.encrypt(bytes)?;
        // Taken it is, even if the network waits; `poll_flush` waits too.
        let _ = this.poll_send(context)?;
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_send(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !std::mem::replace(&mut this.is_closed, true) {
            this.channel.close()?;
        }
        ready!(this.poll_send(context))?;
        Pin::new(&mut this.socket).poll_shutdown(context)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
