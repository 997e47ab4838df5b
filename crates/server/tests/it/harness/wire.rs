//! A raw TCP peer after a real upgrade: any bytes in, every frame out, checked byte by byte.

use std::io;

use parlour_websocket::{Inflater, Opcode, encode};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::{PATIENCE, TestServer, escape};

/// A connection without a WebSocket library on this side.
pub(crate) struct Wire {
    pub(crate) tcp: TcpStream,
    received: Vec<u8>,
}

/// A frame as the server sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawFrame {
    /// FIN, the reserved bits and the opcode.
    pub(crate) first: u8,
    pub(crate) payload: Vec<u8>,
}

/// What a connection asks for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wish<'a> {
    pub(crate) user: &'a str,
    pub(crate) room: &'a str,
    pub(crate) deflate: bool,
    /// Size of the receive buffer in bytes; 0 leaves it to the system.
    pub(crate) receive_buffer: u32,
    /// Bytes that go out together with the request.
    pub(crate) early: &'a [u8],
}

impl RawFrame {
    /// Reads the frame as an event, compressed or not.
    pub(crate) fn event(&self) -> Value {
        match self.first {
            0x81 => serde_json::from_slice(&self.payload),
            0xc1 => serde_json::from_slice(Inflater::new().inflate(&self.payload, 1 << 20).expect("deflate")),
            _ => panic!("expected a text, got {self:?}"),
        }
        .expect("JSON")
    }
}

impl Wish<'_> {
    /// The request of an upgrade to the JSON dialect, and what follows it at once.
    fn request(&self) -> Vec<u8> {
        let room = if self.room.is_empty() { String::new() } else { format!("&room={}", escape(self.room)) };
        let extension = match self.deflate {
            true => {
                "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
            }
            false => "",
        };
        let mut request = format!(
            "GET /ws?user={}{room} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: parlour.json.v1\r\n{extension}\r\n",
            escape(self.user)
        )
        .into_bytes();
        request.extend_from_slice(self.early);
        request
    }
}

impl Wire {
    /// Upgrades to the JSON dialect as a user, and enters a room if one is named.
    pub(crate) async fn open(server: &TestServer, user: &str, room: &str) -> Self {
        Self::with(server, Wish { user, room, ..Wish::default() }).await
    }

    /// Upgrades as wished.
    pub(crate) async fn with(server: &TestServer, wish: Wish<'_>) -> Self {
        let mut wire = Self::ask(server, wish).await;
        let head = wire.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert_eq!(head.to_ascii_lowercase().contains("permessage-deflate"), wish.deflate, "{head}");
        wire
    }

    /// Sends the request of an upgrade and reads nothing.
    pub(crate) async fn ask(server: &TestServer, wish: Wish<'_>) -> Self {
        let mut wire = Self::connect(server, wish.receive_buffer).await;
        wire.send(&wish.request()).await;
        wire
    }

    /// Connects without a word.
    pub(crate) async fn connect(server: &TestServer, receive_buffer: u32) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        if receive_buffer > 0 {
            socket.set_recv_buffer_size(receive_buffer).expect("a size");
        }
        let tcp = socket.connect(server.address()).await.expect("connected");
        tcp.set_nodelay(true).expect("an option of TCP");
        Self { tcp, received: Vec::new() }
    }

    async fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = self.received.drain(..end + 4).collect();
                return String::from_utf8(head).expect("a head is text");
            }
            assert!(self.read_more().await.expect("no error") > 0, "ended within the head of the answer");
        }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        timeout(PATIENCE, self.tcp.write_all(bytes)).await.expect("taken in time").expect("sent");
    }

    /// Sends a text message.
    pub(crate) async fn say(&mut self, text: &str) {
        self.send(&frame(0x81, text.as_bytes())).await;
    }

    async fn read_more(&mut self) -> io::Result<usize> {
        self.received.reserve(64 * 1024);
        timeout(PATIENCE, self.tcp.read_buf(&mut self.received)).await.expect("something comes in time")
    }

    /// Returns the next frame; `None` when the connection has ended, between two frames.
    pub(crate) async fn next(&mut self) -> Option<RawFrame> {
        loop {
            if let Some((frame, length)) = parse(&self.received) {
                self.received.drain(..length);
                return Some(frame);
            }
            if self.read_more().await.unwrap_or(0) == 0 {
                assert!(self.received.is_empty(), "ended within a frame: {:?}", self.received);
                return None;
            }
        }
    }

    /// Whether everything that was read has been shown.
    pub(crate) fn is_quiet(&self) -> bool {
        self.received.is_empty()
    }

    /// Reads on to an event of a type.
    pub(crate) async fn until(&mut self, kind: &str) -> Value {
        loop {
            let event = self.next_event().await;
            if event["type"] == kind {
                return event;
            }
        }
    }

    /// Returns the next event, which must come before any control frame.
    pub(crate) async fn next_event(&mut self) -> Value {
        self.next().await.expect("still connected").event()
    }

    /// Reads on to the close frame; returns its code and reason.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        loop {
            let frame = self.next().await.expect("a close frame comes before the end");
            if frame.first == 0x88 {
                let (code, reason) = frame.payload.split_first_chunk().expect("a code");
                return (
                    u16::from_be_bytes(*code),
                    String::from_utf8(reason.to_vec()).expect("a reason is text"),
                );
            }
        }
    }

    /// Checks that the server ends the connection and says nothing more.
    pub(crate) async fn ended(&mut self) {
        let next = self.next().await;
        assert_eq!(next, None, "nothing follows a close frame");
    }

    /// Ends the connection with RST.
    pub(crate) fn reset(self) {
        self.tcp.set_zero_linger().expect("an option of TCP");
    }
}

/// Builds a masked frame with any first byte.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode::masked_frame(&mut bytes, Opcode::Text, payload, [0x12, 0x34, 0x56, 0x78]);
    bytes[0] = first;
    bytes
}

/// Builds a masked close frame.
pub(crate) fn close_frame(code: u16) -> Vec<u8> {
    frame(0x88, &code.to_be_bytes())
}

/// Reads one frame of a server and refuses everything that RFC 6455 does not let it send.
fn parse(bytes: &[u8]) -> Option<(RawFrame, usize)> {
    let [first, second, rest @ ..] = bytes else {
        return None;
    };
    assert!(matches!(first, 0x81 | 0x82 | 0x88 | 0x89 | 0x8a | 0xc1 | 0xc2), "first byte {first:#x}");
    assert!(second & 0x80 == 0, "a frame of a server is not masked");
    let (length, header) = match second & 0x7f {
        126 => (u64::from(u16::from_be_bytes(*rest.first_chunk()?)), 4),
        127 => (u64::from_be_bytes(*rest.first_chunk()?), 10),
        short => (u64::from(short), 2),
    };
    let minimal = match length {
        0..126 => 2,
        126..65_536 => 4,
        _ => 10,
    };
    assert_eq!(header, minimal, "the length {length} has its shortest form");
    let end = header + usize::try_from(length).expect("a length that fits");
    let payload = bytes.get(header..end)?.to_vec();
    Some((RawFrame { first: *first, payload }, end))
}
