//! A socket as a shard sees it: bytes in and out, encrypted or not, and never a wait.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd as _, BorrowedFd};

use mio::event::Source;
use mio::{Interest, Registry, Token};

pub(super) use crate::tls::channel::Received;
use crate::tls::channel::{self, Channel};

/// Bytes that a read needs. They are more than it brings.
pub(super) const SPACE: usize = channel::SPACE;
/// Most bytes that are read at once without encryption.
const PLAIN: usize = 16 * 1024;

/// The socket of a connection. Nothing here blocks.
#[derive(Debug)]
pub(super) struct Socket {
    stream: mio::net::TcpStream,
    /// The encryption, where there is one.
    channel: Option<Box<Channel>>,
}

impl Socket {
    /// Takes over a socket that does not block.
    pub(super) fn new(stream: std::net::TcpStream, channel: Option<Box<Channel>>) -> Self {
        Self { stream: mio::net::TcpStream::from_std(stream), channel }
    }

    /// Has a poll tell whenever there is more to read, or to write after a write that stopped short.
    ///
    /// # Errors
    /// The operating system's.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        // Both for life: changing the interest would cost a system call each time a socket blocks.
        self.stream.register(registry, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Reads what is there to the beginning of `space`, which has [`SPACE`] bytes.
    ///
    /// # Errors
    /// `WouldBlock` if there is nothing; otherwise the socket's, which is lost then.
    pub(super) fn read(&mut self, space: &mut [u8]) -> io::Result<Received> {
        let Some(channel) = &mut self.channel else {
            return Ok(match self.stream.read(&mut space[..PLAIN])? {
                0 => Received::End,
                length => Received::Bytes { length, is_all: length < PLAIN },
            });
        };
        let received = channel.receive(space, |records| self.stream.read(records));
        if received.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::InvalidData) {
            // Says why, if that is possible; the connection is lost either way.
            let _ = self.send();
        }
        received
    }

    /// Writes as much as the kernel takes. With encryption some of it may go on [waiting](Self::waiting).
    ///
    /// # Errors
    /// `WouldBlock` if that is nothing; otherwise the socket's, which is lost then.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send()?;
        let Some(channel) = &mut self.channel else {
            return self.stream.write(bytes);
        };
        let taken = channel.encrypt(bytes)?;
        match self.send() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(taken),
        }
    }

    /// Returns how many bytes have been encrypted and not been taken by the kernel. While there are any,
    /// writes block.
    pub(super) fn waiting(&self) -> usize {
        self.channel.as_ref().map_or(0, |channel| channel.waiting())
    }

    /// Gives what [waits](Self::waiting) to the kernel.
    ///
    /// # Errors
    /// `WouldBlock` if the kernel does not take everything; otherwise the socket's, which is lost then.
    pub(super) fn send(&mut self) -> io::Result<()> {
        match &mut self.channel {
            Some(channel) => channel.send(|records| self.stream.write(records)),
            None => Ok(()),
        }
    }

    /// Whether bytes go to the kernel as they are.
    pub(super) fn is_plain(&self) -> bool {
        self.channel.is_none()
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
        if self.is_plain() {
            return self.stream.write_vectored(buffers);
        }
        self.send()?;
        // Small frames share a record: its overhead is larger than many of them.
        let mut gathered = Vec::new();
        for buffer in buffers {
            if gathered.len() + buffer.len() > channel::MOST_PLAINTEXT && !gathered.is_empty() {
                break;
            }
            gathered.extend_from_slice(&buffer[..buffer.len().min(channel::MOST_PLAINTEXT)]);
        }
        self.write(&gathered)
    }

    /// Ends our half.
    ///
    /// # Errors
    /// The operating system's.
    pub(super) fn shutdown_write(&mut self) -> io::Result<()> {
        if let Some(channel) = &mut self.channel {
            // So little always fits where everything else has been taken.
            channel.close()?;
            self.send()?;
        }
        self.stream.shutdown(Shutdown::Write)
    }
}

#[cfg(test)]
mod tests;
