//! A TLS connection without its socket: records in, plaintext out, and back.
//!
//! It stands on rustls' unbuffered interface, because the buffered one keeps 4 KiB for ever. Here an
//! idle connection keeps its keys and no buffer: what is incomplete or blocked has one of its size.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::server::{ServerConfig, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
};

/// Largest record on the wire (RFC 8446, section 5.2; RFC 5246, section 6.2.3), in bytes.
const RECORD: usize = 5 + 16 * 1024 + 2_048;
/// Bytes that a read needs: for records, and for what is in them.
pub(crate) const SPACE: usize = 2 * RECORD;
/// Most plaintext of a record.
pub(crate) const MOST_PLAINTEXT: usize = 16 * 1024;
/// What a record adds to its plaintext, with a change of keys before it.
const OVERHEAD: usize = 64;

/// What a read has brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    /// So many bytes, which may be none; `is_all` if there was no more to be read.
    Bytes { length: usize, is_all: bool },
    /// Nothing will come any more.
    End,
}

/// One TLS connection.
pub(crate) struct Channel {
    connection: UnbufferedServerConnection,
    /// A record whose rest has not come yet.
    incoming: Vec<u8>,
    /// Records for the network, which has taken them up to `sent`.
    outgoing: Vec<u8>,
    sent: usize,
    /// The peer has said that it sends no more.
    is_over: bool,
}

impl Channel {
    /// Expects a handshake.
    ///
    /// # Errors
    /// The library's, if the configuration cannot be used.
    pub(crate) fn new(config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        let connection = UnbufferedServerConnection::new(config)?;
        Ok(Self { connection, incoming: Vec::new(), outgoing: Vec::new(), sent: 0, is_over: false })
    }

    /// Whether plaintext cannot be exchanged yet.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Reads once and decrypts what has come to the beginning of `space`, which has [`SPACE`] bytes.
    ///
    /// Never keeps plaintext back: when this says that all has been read, only news of the socket
    /// brings more.
    ///
    /// # Errors
    /// Those of `read`; `InvalidData` if the peer breaks the protocol: then [`Self::send`] tells it.
    pub(crate) fn receive(
        &mut self,
        space: &mut [u8],
        read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<Received> {
        if self.is_over {
            return Ok(Received::End);
        }
        let (plaintext, records) = space.split_at_mut(space.len() / 2);
        let kept = self.incoming.len();
        let (head, room) = records.split_at_mut_checked(kept).ok_or(io::ErrorKind::InvalidData)?;
        if room.is_empty() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let come = read(room)?;
        if come == 0 {
            return Ok(Received::End);
        }
        head.copy_from_slice(&self.incoming);
        let is_all = come < room.len();
        let mut length = 0;
        let records = &mut records[..kept + come];
        let used = self.process(records, |bytes| {
            plaintext[length..length + bytes.len()].copy_from_slice(bytes);
            length += bytes.len();
        })?;
        self.incoming = records[used..].to_vec();
        Ok(Received::Bytes { length, is_all: is_all && !self.is_over })
    }

    /// Encrypts the beginning of `bytes`, at most one record. Returns how much that was.
    ///
    /// # Errors
    /// `InvalidData` if the connection has failed.
    pub(crate) fn encrypt(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(MOST_PLAINTEXT)];
        self.transmit(bytes.len() + OVERHEAD, |traffic, space| traffic.encrypt(bytes, space))?;
        Ok(bytes.len())
    }

    /// Tells the peer that nothing follows.
    ///
    /// # Errors
    /// `InvalidData` if the connection has failed.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        self.transmit(OVERHEAD, |traffic, space| traffic.queue_close_notify(space))
    }

    /// Returns how many encrypted bytes wait for the network.
    pub(crate) fn waiting(&self) -> usize {
        self.outgoing.len() - self.sent
    }

    /// Hands what waits to `write`, until nothing does.
    ///
    /// # Errors
    /// Those of `write`; then the rest goes on waiting.
    pub(crate) fn send(&mut self, mut write: impl FnMut(&[u8]) -> io::Result<usize>) -> io::Result<()> {
        while self.waiting() > 0 {
            match write(&self.outgoing[self.sent..])? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => self.sent += written,
            }
        }
        (self.outgoing, self.sent) = (Vec::new(), 0);
        Ok(())
    }

    /// Carries out whole records; returns how many bytes of them are done with.
    fn process(&mut self, records: &mut [u8], mut take: impl FnMut(&[u8])) -> io::Result<usize> {
        let mut used = 0;
        loop {
            let UnbufferedStatus { discard, state } =
                self.connection.process_tls_records(&mut records[used..]);
            let mut is_idle = false;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        take(record.map_err(broken)?.payload);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    append(&mut self.outgoing, 0, |space| Ok(data.encode(space)?))?;
                }
                // All that is encoded goes out in order.
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => {
                    self.is_over = true;
                    return Ok(records.len());
                }
                Ok(_) => is_idle = true,
                Err(error) => {
                    self.encode_alert(&mut records[used..]);
                    return Err(broken(error));
                }
            }
            used += discard;
            if is_idle {
                return Ok(used);
            }
        }
    }

    /// Prepares what tells the peer why it ends, if the library wants to.
    fn encode_alert(&mut self, records: &mut [u8]) {
        if let Ok(ConnectionState::EncodeTlsData(mut data)) =
            self.connection.process_tls_records(records).state
        {
            // The connection has failed already.
            let _ = append(&mut self.outgoing, 0, |space| Ok(data.encode(space)?));
        }
    }

    fn transmit(
        &mut self,
        guess: usize,
        mut write: impl FnMut(&mut WriteTraffic<'_>, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> io::Result<()> {
        // The library insists on seeing what it has begun to read.
        match self.connection.process_tls_records(&mut self.incoming).state {
            Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                append(&mut self.outgoing, guess, |space| Ok(write(&mut traffic, space)?))
            }
            Ok(_) => Err(io::ErrorKind::InvalidData.into()),
            Err(error) => Err(broken(error)),
        }
    }
}

type WriteTraffic<'a> = rustls::unbuffered::WriteTraffic<'a, rustls::server::ServerConnectionData>;

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

/// Why nothing was written.
enum Unwritten {
    /// There must be room for so many bytes.
    Needs(usize),
    Failed,
}

impl From<EncodeError> for Unwritten {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::InsufficientSize(InsufficientSizeError { required_size }) => {
                Self::Needs(required_size)
            }
            EncodeError::AlreadyEncoded => Self::Failed,
        }
    }
}

impl From<EncryptError> for Unwritten {
    fn from(error: EncryptError) -> Self {
        match error {
            EncryptError::InsufficientSize(InsufficientSizeError { required_size }) => {
                Self::Needs(required_size)
            }
            EncryptError::EncryptExhausted => Self::Failed,
        }
    }
}

/// Appends what `write` writes, given room for `room` bytes, or for as many as it asks for.
fn append(
    buffer: &mut Vec<u8>,
    mut room: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Unwritten>,
) -> io::Result<()> {
    let start = buffer.len();
    loop {
        buffer.resize(start + room, 0);
        let written = write(&mut buffer[start..]);
        if let Err(Unwritten::Needs(bytes)) = written
            && bytes > room
        {
            room = bytes;
            continue;
        }
        buffer.truncate(start + *written.as_ref().unwrap_or(&0));
        return written.map(drop).map_err(|_| io::ErrorKind::InvalidData.into());
    }
}

fn broken(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
pub(crate) mod tests;
