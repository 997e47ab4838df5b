//! A socket as a shard sees it: bytes in and out, and never a wait.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd as _, BorrowedFd};

use mio::event::Source;
use mio::{Interest, Registry, Token};

/// The socket of a connection. Nothing here blocks.
#[derive(Debug)]
pub(super) struct Socket {
    stream: mio::net::TcpStream,
}

impl Socket {
    /// Takes over a socket that does not block.
    pub(super) fn new(stream: std::net::TcpStream) -> Self {
        Self { stream: mio::net::TcpStream::from_std(stream) }
    }

    /// Has a poll tell whenever there is more to read, or to write after a write that stopped short.
    ///
    /// # Errors
    /// The operating system's.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        // Both for life: changing the interest would cost a system call each time a socket blocks.
        self.stream.register(registry, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Reads what is there. `Ok(0)` is the end.
    ///
    /// # Errors
    /// `WouldBlock` if there is nothing; otherwise the socket's, which is lost then.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }

    /// Writes as much as the kernel takes.
    ///
    /// # Errors
    /// `WouldBlock` if that is nothing; otherwise the socket's, which is lost then.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    /// Whether bytes go to the kernel as they are.
    #[expect(clippy::unused_self, reason = "with encryption they will not")]
    pub(super) fn is_plain(&self) -> bool {
        true
    }

    /// Lends the socket of a [plain](Self::is_plain) one.
    pub(super) fn plain(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Writes as [`Socket::write`] does, where the socket is [plain](Self::is_plain).
    ///
    /// # Errors
    /// As [`Socket::write`].
    pub(super) fn write_plain(&self, bytes: &[u8]) -> io::Result<usize> {
        (&self.stream).write(bytes)
    }

    /// Writes as much of several buffers as the kernel takes.
    ///
    /// # Errors
    /// As [`Socket::write`].
    pub(super) fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.stream.write_vectored(buffers)
    }

    /// Ends our half.
    ///
    /// # Errors
    /// The operating system's.
    pub(super) fn shutdown_write(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }
}
