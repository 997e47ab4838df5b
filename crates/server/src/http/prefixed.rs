//! A socket whose first bytes have been read already.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::tls::stream::Stream;

/// Reads `prefix` first, then the socket.
#[derive(Debug)]
pub(super) struct Prefixed {
    prefix: Vec<u8>,
    at: usize,
    stream: Stream,
}

impl Prefixed {
    pub(super) fn new(prefix: Vec<u8>, stream: Stream) -> Self {
        Self { prefix, at: 0, stream }
    }

    /// Returns the socket and what nobody has read of the prefix.
    pub(super) fn into_parts(mut self) -> (Stream, Vec<u8>) {
        (self.stream, self.prefix.split_off(self.at))
    }
}

impl AsyncRead for Prefixed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.at == self.prefix.len() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let length = buffer.remaining().min(self.prefix.len() - self.at);
        let end = self.at + length;
        buffer.put_slice(&self.prefix[self.at..end]);
        self.at = end;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Prefixed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
