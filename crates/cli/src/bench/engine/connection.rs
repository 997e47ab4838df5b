//! One socket of the load generator, from connecting to the end.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mio::net::TcpStream;
use socket2::{Domain, Protocol, Socket, Type};

use super::tls::{Read, Tls, Trust};
use super::track::Track;

/// Where a connection goes, and what it says first.
#[derive(Debug)]
pub(crate) struct Dial {
    pub(crate) address: SocketAddr,
    /// Where it comes from, where one address does not have enough ports.
    pub(crate) source: Option<SocketAddr>,
    /// The index of its room.
    pub(crate) room: usize,
    /// Whom it believes, if it speaks TLS.
    pub(crate) trust: Option<Arc<Trust>>,
    pub(crate) greeting: Greeting,
    pub(crate) tuning: Tuning,
}

/// What is unusual about a socket.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tuning {
    /// Bytes that the kernel keeps for who does not read; otherwise as many as it likes.
    pub(crate) receive_bytes: Option<usize>,
    /// Resets instead of closing, so that ports are free again at once.
    pub(crate) resets: bool,
}

/// What a connection says first.
#[derive(Debug, Clone)]
pub(crate) enum Greeting {
    /// Asks for a WebSocket in a room; then, where nothing tells that it is there, for the room again.
    /// Without compression the server must not agree to it either, and the other way round.
    Upgrade { request: Vec<u8>, enter: Option<Vec<u8>>, is_deflated: bool },
    /// Tells a bare program which room it is in.
    Room(Vec<u8>),
}

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The kernel connects.
    Connecting,
    /// The server has not answered the handshake.
    Shaking,
    /// The server has not said that the connection is in its room.
    Entering,
    Live,
    /// In its room, and nobody reads what comes.
    Deaf,
}

/// Names a connection, also when it is gone and its place has another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Id {
    pub(crate) slot: usize,
    pub(crate) serial: u64,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Counts the connections of the engine.
    pub(crate) serial: u64,
    pub(crate) socket: TcpStream,
    pub(crate) room: usize,
    pub(crate) phase: Phase,
    /// Whether the server may compress what it sends.
    pub(crate) is_deflated: bool,
    pub(crate) track: Track,
    tls: Option<Tls>,
    greeting: Option<Greeting>,
    /// The incomplete rest of what was read.
    tail: Vec<u8>,
    /// What the socket has not taken yet.
    out: Vec<u8>,
}

/// What a read gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Got {
    /// Bytes at the front of the buffer, with those that were kept.
    Something(Read),
    Nothing,
    End,
}

impl Connection {
    /// Begins to connect.
    pub(crate) fn open(dial: Dial, serial: u64) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(dial.address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        // Before it connects: the window is agreed on then.
        dial.tuning.receive_bytes.map_or(Ok(()), |bytes| socket.set_recv_buffer_size(bytes))?;
        if dial.tuning.resets {
            socket.set_linger(Some(Duration::ZERO))?;
        }
        if let Some(source) = dial.source {
            // A port that a connection of an earlier measurement has just left is as good as any.
            socket.set_reuse_address(true)?;
            socket.bind(&source.into())?;
        }
        let tls = dial.trust.as_deref().map(Tls::new).transpose()?;
        match socket.connect(&dial.address.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => {}
        }
        Ok(Self {
            serial,
            socket: TcpStream::from_std(socket.into()),
            room: dial.room,
            phase: Phase::Connecting,
            is_deflated: matches!(dial.greeting, Greeting::Upgrade { is_deflated: true, .. }),
            track: Track::default(),
            tls,
            greeting: Some(dial.greeting),
            tail: Vec::new(),
            out: Vec::new(),
        })
    }

    /// Goes on when the socket can be written to.
    pub(crate) fn writable(&mut self) -> io::Result<()> {
        if self.phase == Phase::Connecting {
            if let Some(error) = self.socket.take_error()? {
                return Err(error);
            }
            if self.socket.peer_addr().is_err() {
                return Ok(());
            }
            match &self.greeting {
                Some(Greeting::Upgrade { request, .. }) => {
                    self.phase = Phase::Shaking;
                    self.out.extend_from_slice(request);
                }
                Some(Greeting::Room(room)) => {
                    self.phase = Phase::Live;
                    self.out.extend_from_slice(room);
                }
                None => {}
            }
        }
        self.flush()
    }

    /// The server agreed to a WebSocket.
    pub(crate) fn upgraded(&mut self) {
        self.phase = Phase::Entering;
        if let Some(Greeting::Upgrade { enter: Some(enter), .. }) = self.greeting.take() {
            self.out.extend_from_slice(&enter);
        }
    }

    /// Says something with the next [`Self::flush`].
    pub(crate) fn say(&mut self, frame: &[u8]) {
        self.out.extend_from_slice(frame);
    }

    /// Returns how many bytes wait to be sent.
    pub(crate) fn unsent(&self) -> usize {
        self.out.len()
    }

    /// Tells whether there is something to [`Self::flush`].
    pub(crate) fn has_unsent(&self) -> bool {
        !self.out.is_empty() || self.tls.as_ref().is_some_and(Tls::wants_write)
    }

    /// Writes what the socket takes.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            return tls.send(&mut self.socket, &mut self.out);
        }
        let mut sent = 0;
        while sent < self.out.len() {
            match self.socket.write(&self.out[sent..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.drain(..sent);
        Ok(())
    }

    /// Reads once into the front of the buffer, behind what was kept of the read before.
    #[inline]
    pub(crate) fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<Got> {
        let kept = self.tail.len();
        if kept * 2 > buffer.len() {
            // A frame that is larger than any so far.
            buffer.resize(kept * 4, 0);
        }
        let space = &mut buffer[kept..];
        let read = loop {
            let read = match &mut self.tls {
                None => read_plain(&mut self.socket, space),
                Some(tls) => tls.read(&mut self.socket, space),
            };
            match read {
                Ok(read) if read.wire_bytes == 0 => return Ok(Got::End),
                Ok(read) => break read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Got::Nothing),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        };
        buffer[..kept].copy_from_slice(&self.tail);
        self.tail.clear();
        Ok(Got::Something(Read { bytes: kept + read.bytes, ..read }))
    }

    /// Keeps what is no whole frame yet.
    #[inline]
    pub(crate) fn keep(&mut self, rest: &[u8]) {
        self.tail.extend_from_slice(rest);
    }
}

#[inline]
fn read_plain(socket: &mut TcpStream, space: &mut [u8]) -> io::Result<Read> {
    let bytes = socket.read(space)?;
    // A read that does not fill the space has emptied the socket (epoll(7), question 9).
    Ok(Read { bytes, wire_bytes: bytes, is_all: bytes < space.len() })
}
