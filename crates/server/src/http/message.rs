//! One request on a socket: from its head, which has been read already, to the end of its body.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::head::End;
use crate::tls::stream::Stream;

/// Shows its reader one message and then the end, whatever else has come: so every request on a
/// connection has a head that was checked, and nothing can hide behind a body.
#[derive(Debug)]
pub(super) struct Message {
    /// What has been read: the head, and whatever came with it.
    prefix: Vec<u8>,
    at: usize,
    /// Bytes of the message that have not been shown; `None` where only the body knows.
    left: Option<u64>,
    stream: Stream,
}

impl Message {
    pub(super) fn new(prefix: Vec<u8>, end: End, stream: Stream) -> Self {
        let left = match end {
            End::After(bytes) => Some(bytes),
            End::Chunked => None,
        };
        Self { prefix, at: 0, left, stream }
    }

    /// Whether the whole message was read and nothing beyond it, so that another may follow.
    pub(super) fn is_over(&self) -> bool {
        self.left == Some(0)
    }

    /// Returns the socket and what has come behind the message.
    pub(super) fn into_parts(mut self) -> (Stream, Vec<u8>) {
        (self.stream, self.prefix.split_off(self.at))
    }

    fn shown(&mut self, length: usize) {
        self.left = self.left.map(|left| left.saturating_sub(length as u64));
    }
}

impl AsyncRead for Message {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let left = self.left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
        let space = buffer.remaining().min(left);
        let length = if self.at < self.prefix.len() {
            let length = space.min(self.prefix.len() - self.at);
            let end = self.at + length;
            buffer.put_slice(&self.prefix[self.at..end]);
            self.at = end;
            length
        } else if space == 0 {
            0
        } else {
            let mut part = ReadBuf::new(buffer.initialize_unfilled_to(space));
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut part))?;
            let length = part.filled().len();
            buffer.advance(length);
            length
        };
        self.shown(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Message {
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
