//! A server that says what a test tells it to.

use std::io;

use parlour_client::{Builder, Client, Epoch, Event, Joined, Message, RoomName, Seq, UserId, Welcome};
use parlour_protocol::dialect::{Context, DialectId, Payload};
use parlour_protocol::event::{Ack, Limits, Reply, Stored, Window};
use parlour_protocol::{Command, Request, RequestId};
use parlour_websocket::{Decoder, Frame, Inflater, Opcode, Role, encode, handshake};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const EPOCH: Epoch = Epoch(7);

/// A listener for one client.
pub(crate) struct Fake {
    listener: TcpListener,
}

/// The server's end of one connection.
pub(crate) struct Peer {
    tcp: TcpStream,
    dialect: DialectId,
    decoder: Decoder,
    requests: std::collections::VecDeque<Request>,
    /// The code of the client's close frame.
    closed: Option<Option<u16>>,
}

impl Fake {
    pub(crate) async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.expect("a free port") }
    }

    pub(crate) fn builder(&self) -> Builder {
        let address = self.listener.local_addr().expect("bound");
        Client::builder(format!("ws://{address}/ws")).user("Alice")
    }

    /// Accepts the next connection up to the request for an upgrade; returns the head too.
    async fn head(&self) -> (TcpStream, String) {
        let (mut tcp, _) = self.listener.accept().await.expect("a connection");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(tcp.read_u8().await.expect("a head"));
        }
        (tcp, String::from_utf8(head).expect("ASCII"))
    }

    /// Refuses the next connection.
    pub(crate) async fn refuse(&self, response: &str) -> String {
        let (mut tcp, head) = self.head().await;
        tcp.write_all(response.as_bytes()).await.expect("written");
        head
    }

    /// Accepts the next connection up to the upgrade; returns the head too.
    pub(crate) async fn upgrade(&self) -> (Peer, String) {
        let (mut tcp, head) = self.head().await;
        let header = |name: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(name));
            line.expect(name).trim().to_owned()
        };
        let subprotocol = header("Sec-WebSocket-Protocol:");
        let accept = handshake::accept_key(&header("Sec-WebSocket-Key:"));
        let response = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {subprotocol}\r\n\r\n"
        );
        tcp.write_all(response.as_bytes()).await.expect("written");
        let peer = Peer {
            tcp,
            dialect: DialectId::from_subprotocol(&subprotocol).expect("known"),
            decoder: Decoder::new(Role::Server, false),
            requests: std::collections::VecDeque::new(),
            closed: None,
        };
        (peer, head)
    }

    /// Accepts the next connection and welcomes the client.
    pub(crate) async fn welcome(&self) -> Peer {
        let (mut peer, _) = self.upgrade().await;
        let (id, hello) = peer.command().await;
        assert!(matches!(hello, Command::Hello(_)), "{hello:?}");
        peer.answer(id, welcome()).await;
        peer
    }
}

impl Peer {
    /// Waits for the next request; `None` when the client has closed.
    pub(crate) async fn request(&mut self) -> Option<Request> {
        let mut bytes = vec![0; 64 * 1024];
        while self.requests.is_empty() && self.closed.is_none() {
            let count = self.tcp.read(&mut bytes).await.unwrap_or_default();
            if count == 0 {
                return None;
            }
            self.take(&mut bytes[..count]);
        }
        self.requests.pop_front()
    }

    fn take(&mut self, mut input: &mut [u8]) {
        let (mut inflater, limits) = (Inflater::new(), parlour_websocket::Limits::default());
        while let Some(frame) = self.decoder.decode(&mut input, &limits, &mut inflater).expect("sound") {
            let payload = match &frame {
                Frame::Text(text) => Payload::Text(text),
                Frame::Binary(bytes) => Payload::Binary(bytes),
                Frame::Close(close) => {
                    self.closed = Some(close.as_ref().map(|(code, _)| *code));
                    continue;
                }
                Frame::Ping(_) | Frame::Pong(_) => continue,
            };
            let requests = &mut self.requests;
            self.dialect.dialect().decode(payload, Context::default(), &mut |decoded| {
                requests.push_back(decoded.expect("a client says nothing wrong"));
            });
        }
    }

    pub(crate) async fn command(&mut self) -> (Option<RequestId>, Command) {
        let Request { id, command } = self.request().await.expect("a command");
        (id, command)
    }

    pub(crate) async fn answer(&mut self, id: Option<RequestId>, event: Event) {
        let mut payload = Vec::new();
        self.dialect.encode(&Reply { id, event }, &mut payload);
        let opcode = if self.dialect.dialect().is_binary() { Opcode::Binary } else { Opcode::Text };
        let mut frame = Vec::new();
        encode::frame(&mut frame, opcode, &payload);
        self.tcp.write_all(&frame).await.expect("written");
    }

    pub(crate) async fn say(&mut self, event: Event) {
        self.answer(None, event).await;
    }

    /// Says the messages of `general` with these numbers.
    pub(crate) async fn say_messages(&mut self, seqs: impl IntoIterator<Item = u64>) {
        for seq in seqs {
            self.say(Event::Message(message(seq))).await;
        }
    }

    /// Answers the next command, which must be a join, and returns it.
    pub(crate) async fn let_in(&mut self, joined: Joined) -> parlour_protocol::command::Join {
        let (id, command) = self.command().await;
        let Command::Join(join) = command else { unreachable!("not a join: {command:?}") };
        self.answer(id, Event::Joined(Box::new(joined))).await;
        join
    }

    pub(crate) async fn close(self, code: u16) {
        self.close_because(code, "because").await;
    }

    pub(crate) async fn close_because(mut self, code: u16, reason: &str) {
        let mut frame = Vec::new();
        encode::close(&mut frame, code, reason);
        self.tcp.write_all(&frame).await.expect("written");
    }

    /// Loses the connection without a goodbye.
    pub(crate) fn lose(self) -> io::Result<()> {
        self.tcp.set_zero_linger()
    }

    /// Waits for the client's goodbye and answers it; returns its code.
    pub(crate) async fn goodbye(mut self) -> Option<u16> {
        while self.closed.is_none() {
            assert!(self.request().await.is_none(), "nothing is said before the goodbye");
        }
        let code = self.closed.flatten();
        self.close(1000).await;
        code
    }
}

pub(crate) fn room() -> RoomName {
    RoomName::parse("general").expect("valid")
}

pub(crate) fn user(name: &str) -> UserId {
    UserId::parse(name).expect("valid")
}

pub(crate) fn message(seq: u64) -> Message {
    Message {
        room: room(),
        seq: Seq(seq),
        sender: user("Bob"),
        text: "hi".into(),
        ts: 0,
        cid: None,
        details: None,
    }
}

/// A room that is entered at its end.
pub(crate) fn joined(head: u64) -> Joined {
    Joined {
        room: room(),
        epoch: EPOCH,
        head: Seq(head),
        floor: Seq(0),
        replayed: 0,
        behind: 0,
        recovered: true,
        reason: None,
        durable: true,
        member_count: 1,
        members: Vec::new(),
        receipts: Vec::new(),
    }
}

pub(crate) fn stored(seq: u64) -> Event {
    let stored = Stored { room: room(), epoch: EPOCH, seq: Seq(seq), ts: 0, dup: false, count: None };
    Event::Ack(Ack { stored: Some(stored) })
}

pub(crate) fn welcome() -> Event {
    Event::Welcome(Box::new(Welcome {
        session: "s".into(),
        user: user("Alice"),
        server_time_ms: 0,
        heartbeat_ms: 25_000,
        limits: Limits { message_bytes: 65_536, rooms: 512, rate_per_s: 10, burst: 20, history: 500 },
        // At once: what is tested is that the client comes back, not how long it waits.
        reconnect: Window { min_ms: 0, max_ms: 1 },
        dev: true,
        resuming: Vec::new(),
    }))
}
