//! A client in the words of the protocol crate, for every dialect that has messages.

use std::collections::VecDeque;

use parlour_protocol::command::{HistoryQuery, InRoom, Join, Publish};
use parlour_protocol::dialect::{DialectId, Payload, binary, json};
use parlour_protocol::event::{Joined, Reply, Stored};
use parlour_protocol::{Command, Event, Request, RequestId, RoomName, UserId};
use parlour_websocket::client::Message;

use super::{Socket, TestServer};

/// The dialects that a [`Client`] speaks: all but plain text.
pub(crate) const MESSAGE_DIALECTS: [DialectId; 3] =
    [DialectId::Json, DialectId::JsonLines, DialectId::Binary];

/// A connection that sends commands and shows events.
pub(crate) struct Client {
    pub(crate) socket: Socket,
    dialect: DialectId,
    next_id: u64,
    received: VecDeque<Reply>,
    /// The most events that one frame held.
    pub(crate) largest_frame: usize,
}

impl Client {
    /// Connects without saying who it is.
    pub(crate) async fn connect(server: &TestServer, dialect: DialectId) -> Self {
        Self::over(server, dialect, "/ws?").await
    }

    /// Connects as a user and waits for `welcome`.
    pub(crate) async fn open(server: &TestServer, dialect: DialectId, user: &str) -> Self {
        let mut client = Self::over(server, dialect, &format!("/ws?user={}&", super::escape(user))).await;
        let welcome = client.next().await.event;
        assert!(matches!(welcome, Event::Welcome(_)), "{welcome:?}");
        client
    }

    async fn over(server: &TestServer, dialect: DialectId, path: &str) -> Self {
        let batch = if dialect == DialectId::JsonLines { "batch=ndjson" } else { "" };
        let socket = server.open(&format!("{path}{batch}"), &[dialect.subprotocol()]).await;
        let socket = socket.expect("upgraded");
        Self { socket, dialect, next_id: 1, received: VecDeque::new(), largest_frame: 0 }
    }

    /// Sends a command with a fresh id; returns the id.
    pub(crate) async fn send(&mut self, command: Command) -> RequestId {
        let (id, bytes) = self.encode(command);
        self.send_frame(&bytes).await;
        id
    }

    /// Sends several commands in one frame, which the dialect must allow.
    pub(crate) async fn send_together(&mut self, commands: Vec<Command>) -> Vec<RequestId> {
        let separator = self.dialect.dialect().separator().expect("a dialect with several per frame");
        let (mut ids, mut frame) = (Vec::new(), Vec::new());
        for command in commands {
            let (id, bytes) = self.encode(command);
            if !frame.is_empty() {
                frame.extend_from_slice(separator);
            }
            frame.extend_from_slice(&bytes);
            ids.push(id);
        }
        self.send_frame(&frame).await;
        ids
    }

    fn encode(&mut self, command: Command) -> (RequestId, Vec<u8>) {
        let id = RequestId::Number(self.next_id);
        self.next_id += 1;
        let (request, mut bytes) = (Request { id: Some(id.clone()), command }, Vec::new());
        match self.dialect.dialect().is_binary() {
            true => binary::encode_request(&request, &mut bytes),
            false => json::encode_request(&request, &mut bytes),
        }
        (id, bytes)
    }

    /// Sends a frame of the dialect's type with any content.
    pub(crate) async fn send_frame(&mut self, bytes: &[u8]) {
        let sent = match self.dialect.dialect().is_binary() {
            true => self.socket.stream.send_binary(bytes).await,
            false => self.socket.stream.send_text(std::str::from_utf8(bytes).expect("JSON")).await,
        };
        sent.expect("sent");
    }

    /// Returns the next event.
    pub(crate) async fn next(&mut self) -> Reply {
        while self.received.is_empty() {
            let message = self.socket.next().await;
            let payload = match &message {
                Some(Message::Text(text)) => Payload::Text(text),
                Some(Message::Binary(bytes)) => Payload::Binary(bytes),
                other => panic!("expected events, got {other:?}"),
            };
            let received = &mut self.received;
            let mut each = |event: Result<Reply, _>| received.push_back(event.expect("a known event"));
            match self.dialect.dialect().is_binary() {
                true => binary::decode_events(payload, &mut each),
                false => json::decode_events(payload, &mut each),
            }
            self.largest_frame = self.largest_frame.max(self.received.len());
        }
        self.received.pop_front().expect("just filled")
    }

    /// Reads on to the answer of a request.
    pub(crate) async fn answer(&mut self, id: &RequestId) -> Event {
        loop {
            let reply = self.next().await;
            if reply.id.as_ref() == Some(id) {
                return reply.event;
            }
        }
    }

    /// Sends a command and reads on to its answer.
    pub(crate) async fn ask(&mut self, command: Command) -> Event {
        let id = self.send(command).await;
        self.answer(&id).await
    }

    /// Enters a room.
    pub(crate) async fn join(&mut self, name: &str) -> Joined {
        let join = Join { room: room(name), since: None, history: None };
        match self.ask(Command::Join(join)).await {
            Event::Joined(joined) => *joined,
            other => panic!("expected joined, got {other:?}"),
        }
    }

    /// Returns the texts of the last messages of a room.
    pub(crate) async fn history(&mut self, name: &str, limit: u32) -> Vec<String> {
        let query =
            HistoryQuery { room: room(name), before: None, after: None, thread: None, limit: Some(limit) };
        match self.ask(Command::History(query)).await {
            Event::History(page) => page.events.iter().filter_map(text_of).collect(),
            other => panic!("expected history, got {other:?}"),
        }
    }

    /// Says something.
    pub(crate) async fn publish(&mut self, name: &str, text: &str) -> Stored {
        stored(self.ask(publish(name, text)).await)
    }
}

/// Builds a command that says something.
pub(crate) fn publish(name: &str, text: &str) -> Command {
    let (room, text) = (room(name), text.into());
    Command::Publish(Publish { room, text, cid: None, reply_to: None, mentions: Vec::new() })
}

fn text_of(event: &Event) -> Option<String> {
    match event {
        Event::Message(message) => Some(message.text.to_string()),
        Event::Private(message) => Some(message.text.to_string()),
        _ => None,
    }
}

/// Builds the payload of commands that name only a room.
pub(crate) fn in_room(name: &str) -> InRoom {
    InRoom { room: room(name) }
}

/// Unwraps an acknowledgement of something stored.
pub(crate) fn stored(event: Event) -> Stored {
    match event {
        Event::Ack(ack) => ack.stored.expect("names the stored message"),
        other => panic!("expected ack, got {other:?}"),
    }
}

pub(crate) fn room(name: &str) -> RoomName {
    RoomName::parse_any(name).expect("a valid room name")
}

pub(crate) fn user(name: &str) -> UserId {
    UserId::parse(name).expect("a valid user id")
}
