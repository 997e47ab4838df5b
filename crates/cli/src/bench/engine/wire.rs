//! How the three dialects spell what the load generator says and hears: only what is needed, so
//! that a message is recognised by its first bytes, and nothing is parsed that nobody looks at.

use anyhow::Context as _;
use clap::ValueEnum;
use parlour_protocol::command::{Command, InRoom, Publish, Request, RequestId};
use parlour_protocol::dialect::{binary, json};
use parlour_protocol::{RoomName, dialect::DialectId};
use parlour_websocket::{Opcode, encode};
use serde::Serialize;

use super::prose::prose;
use super::stamp::{STAMP_BYTES, Stamp, put_digits};

/// A dialect to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Dialect {
    Json,
    Binary,
    Text,
}

/// What a message from the server is to the load generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A message of a publisher of ours, with the server's number (0: not told).
    Said { seq: u64, stamp: Stamp },
    /// The connection is in the room.
    Entered,
    /// A command was carried out.
    Answered,
    /// A command was refused.
    Refused,
    /// The server leaves out some messages and says so.
    LeftOut,
    /// Notices, and what others say.
    Other,
}

impl Dialect {
    /// Returns the parameters of a URL, which enters a room if there is one.
    pub(crate) fn query(self, user: Option<&str>, room: Option<&str>) -> String {
        let format = match self {
            Self::Json => "json",
            Self::Binary => "binary",
            Self::Text => "text",
        };
        let parameter = |name: &str, value: Option<&str>| {
            value.map(|value| format!("&{name}={value}")).unwrap_or_default()
        };
        format!("format={format}{}{}", parameter("user", user), parameter("room", room))
    }

    /// Returns the frame that enters a room once more, where who enters by the URL is told nothing.
    pub(crate) fn enter(self, room: &str) -> Option<Vec<u8>> {
        (self == Self::Text).then(|| masked(Opcode::Text, format!("/join {room}").as_bytes()))
    }

    /// Returns the frame that leaves a room.
    pub(crate) fn leave(self, room: &RoomName) -> Vec<u8> {
        self.command(Command::Leave(InRoom { room: room.clone() }), "/leave")
    }

    /// Returns a small frame that is answered.
    pub(crate) fn ping(self) -> Vec<u8> {
        self.command(Command::Ping, "/ping")
    }

    fn command(self, command: Command, line: &str) -> Vec<u8> {
        // In binary ids are numbers; JSON has texts too, whose length does not change.
        let id = if self == Self::Json { RequestId::Text("00000001".into()) } else { RequestId::Number(1) };
        let request = Request { id: Some(id), command };
        let mut payload = Vec::new();
        match self {
            Self::Json => json::encode_request(&request, &mut payload),
            Self::Binary => binary::encode_request(&request, &mut payload),
            Self::Text => payload.extend_from_slice(line.as_bytes()),
        }
        masked(self.opcode(), &payload)
    }

    fn opcode(self) -> Opcode {
        if self.id().dialect().is_binary() { Opcode::Binary } else { Opcode::Text }
    }

    /// Returns the dialect of the protocol.
    pub(crate) fn id(self) -> DialectId {
        match self {
            Self::Json => DialectId::Json,
            Self::Binary => DialectId::Binary,
            Self::Text => DialectId::Text,
        }
    }

    /// Reads what a frame says, message by message.
    #[inline]
    pub(crate) fn hear(self, payload: &[u8], each: &mut impl FnMut(Heard)) {
        match self {
            Self::Json => each(hear_json(payload)),
            Self::Text => each(hear_text(payload)),
            Self::Binary => {
                let mut rest = payload;
                while let Some((message, after)) = next_binary(rest) {
                    each(hear_binary(message));
                    rest = after;
                }
            }
        }
    }
}

/// A client's frame. The mask of zeros leaves the text as it is, so that it can be written over.
fn masked(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    encode::masked_frame(&mut frame, opcode, payload, [0; 4]);
    frame
}

#[inline]
fn hear_json(message: &[u8]) -> Heard {
    let Some(payload) = message.strip_prefix(br#"{"type":"message","payload":{"room":""#) else {
        return match message.strip_prefix(br#"{"type":""#).unwrap_or_default() {
            [b'j', b'o', b'i', b'n', b'e', b'd', b'"', ..] => Heard::Entered,
            [b'a', b'c', b'k', b'"', ..] | [b'p', b'o', b'n', b'g', b'"', ..] => Heard::Answered,
            [b'e', b'r', b'r', b'o', b'r', b'"', ..] => Heard::Refused,
            [b'r', b'e', b's', b'y', b'n', b'c', b'"', ..] => Heard::LeftOut,
            _ => Heard::Other,
        };
    };
    let read = || {
        let (seq, rest) = number(after_quote(payload)?.strip_prefix(br#","seq":"#)?);
        let sender = rest.strip_prefix(br#","sender":""#)?;
        let text = after_quote(sender)?.strip_prefix(br#","text":""#)?;
        Some(Heard::Said { seq, stamp: Stamp::read(text)? })
    };
    read().unwrap_or(Heard::Other)
}

/// What stands behind the next quotation mark. Our rooms and users have none in their names.
#[inline]
fn after_quote(text: &[u8]) -> Option<&[u8]> {
    let at = text.iter().position(|byte| *byte == b'"')?;
    Some(&text[at + 1..])
}

#[inline]
fn number(text: &[u8]) -> (u64, &[u8]) {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = text[..digits]
        .iter()
        .fold(0_u64, |number, digit| number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')));
    (number, &text[digits..])
}

fn next_binary(frame: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = u32::from_be_bytes(*frame.get(1..)?.first_chunk()?) as usize;
    frame.split_at_checked(length.checked_add(5)?)
}

#[inline]
fn hear_binary(message: &[u8]) -> Heard {
    match message[0] {
        0x44 => {}
        0x42 => return Heard::Entered,
        0x4b | 0x4f => return Heard::Answered,
        0x50 => return Heard::Refused,
        0x51 => return Heard::LeftOut,
        _ => return Heard::Other,
    }
    let read = || {
        // Type, length and request id; then room, number, sender, and the length of the text.
        let (seq, rest) = after_name(message.get(9..)?)?.split_first_chunk()?;
        let text = after_name(rest)?.get(4..)?;
        Some(Heard::Said { seq: u64::from_be_bytes(*seq), stamp: Stamp::read(text)? })
    };
    read().unwrap_or(Heard::Other)
}

#[inline]
fn after_name(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.get(usize::from(u16::from_be_bytes(*length))..)
}

#[inline]
fn hear_text(line: &[u8]) -> Heard {
    if line.starts_with(b"! ") {
        return Heard::Refused;
    }
    if line.starts_with(b"* ") {
        return match line {
            _ if line.starts_with(b"* you are in ") => Heard::Entered,
            _ if line.starts_with(b"* some messages of ") => Heard::LeftOut,
            b"* pong" => Heard::Answered,
            _ => Heard::Other,
        };
    }
    let text = line.iter().position(|byte| *byte == b':').and_then(|at| line[at + 1..].strip_prefix(b" "));
    match text.and_then(Stamp::read) {
        Some(stamp) => Heard::Said { seq: 0, stamp },
        None => Heard::Other,
    }
}

/// A frame that publishes; each message is written over the one before it.
#[derive(Debug)]
pub(crate) struct Template {
    frame: Vec<u8>,
    stamp_at: usize,
    id: Option<IdAt>,
}

/// Where the request id stands.
#[derive(Debug)]
enum IdAt {
    /// Eight digits.
    Digits(usize),
    /// Four bytes.
    Number(usize),
}

impl Template {
    /// Prepares messages to a room with so many bytes of text, at least those of the stamp.
    ///
    /// # Errors
    /// None with the names of the load generator: the places must be found again in the frame.
    pub(crate) fn new(dialect: Dialect, room: &RoomName, text_bytes: usize) -> anyhow::Result<Self> {
        let text = ["0".repeat(STAMP_BYTES), prose(text_bytes.saturating_sub(STAMP_BYTES))].concat();
        let publish = Publish {
            room: room.clone(),
            text: text.as_str().into(),
            cid: None,
            reply_to: None,
            mentions: Vec::new(),
        };
        let frame = dialect.command(Command::Publish(publish), &text);
        let place = |wanted: &[u8]| frame.windows(wanted.len()).position(|part| part == wanted);
        let stamp_at = place(text.as_bytes()).context("no text in a message")?;
        let id = match dialect {
            Dialect::Json => Some(IdAt::Digits(place(b"00000001").context("no id in a message")?)),
            Dialect::Binary => {
                // The payload ends the frame; type and length stand before the id.
                let mut payload = Vec::new();
                payload.extend_from_slice(&[0, 0, 0, 1, 0, u8::try_from(room.as_str().len())?]);
                Some(IdAt::Number(place(&payload).context("no id in a message")?))
            }
            Dialect::Text => None,
        };
        Ok(Self { frame, stamp_at, id })
    }

    /// Returns the frame of a message. Its request id is its counter.
    ///
    /// # Errors
    /// See [`Stamp::write`].
    pub(crate) fn stamped(&mut self, stamp: Stamp) -> anyhow::Result<&[u8]> {
        stamp.write(&mut self.frame[self.stamp_at..])?;
        match self.id {
            Some(IdAt::Digits(at)) => put_digits(&mut self.frame[at..at + 8], stamp.counter),
            Some(IdAt::Number(at)) => {
                self.frame[at..at + 4].copy_from_slice(&(stamp.counter as u32).to_be_bytes());
            }
            None => {}
        }
        Ok(&self.frame)
    }
}

#[cfg(test)]
mod tests {
    use parlour_protocol::dialect::{Context, Payload};
    use parlour_protocol::event::{Event, Message, Reply};
    use parlour_protocol::{ErrorCode, Refusal, Seq, UserId};
    use parlour_websocket::{Decoder, Frame, Inflater, Limits, Role};

    use super::*;

    const ALL: [Dialect; 3] = [Dialect::Json, Dialect::Binary, Dialect::Text];
    const STAMP: Stamp = Stamp { counter: 42, room: 3, due_us: 1_234_567 };

    fn room() -> RoomName {
        RoomName::parse("live:bench-1-3").expect("a room")
    }

    fn heard(dialect: Dialect, events: &[Event]) -> Vec<Heard> {
        let mut payload = Vec::new();
        for event in events {
            dialect.id().encode(&Reply { id: None, event: event.clone() }, &mut payload);
        }
        let mut heard = Vec::new();
        dialect.hear(&payload, &mut |one| heard.push(one));
        heard
    }

    fn message(text: &str) -> Event {
        let sender = UserId::parse("bench-7").expect("a user");
        let (room, text) = (room(), text.into());
        Event::Message(Message { room, seq: Seq(9), sender, text, ts: 5, cid: None, details: None })
    }

    #[test]
    fn messages_are_recognised_in_every_dialect() {
        let mut text = [b'x'; 50];
        STAMP.write(&mut text).expect("eight digits");
        let said = message(std::str::from_utf8(&text).expect("digits"));
        for dialect in ALL {
            let seq = if dialect == Dialect::Text { 0 } else { 9 };
            let expected = Heard::Said { seq, stamp: STAMP };
            assert_eq!(heard(dialect, std::slice::from_ref(&said)), [expected], "{dialect:?}");
            assert_eq!(heard(dialect, &[message("hello")]), [Heard::Other], "{dialect:?}");
            let refusal = Event::Error(Refusal::because(ErrorCode::Overloaded, "too much"));
            assert_eq!(heard(dialect, &[refusal]), [Heard::Refused], "{dialect:?}");
        }
        let both = heard(Dialect::Binary, &[said.clone(), said]);
        assert_eq!(both, [Heard::Said { seq: 9, stamp: STAMP }; 2], "several messages in a frame");
    }

    #[test]
    fn templates_are_messages_that_the_server_understands() {
        for dialect in ALL {
            let mut template = Template::new(dialect, &room(), 50).expect("a template");
            template.stamped(Stamp { counter: 41, ..STAMP }).expect("a message");
            let mut frame = template.stamped(STAMP).expect("a message").to_vec();
            let mut decoder = Decoder::new(Role::Server, false);
            let (mut input, mut inflater) = (&mut frame[..], Inflater::new());
            let payload = match decoder.decode(&mut input, &Limits::default(), &mut inflater) {
                Ok(Some(Frame::Text(text))) => Payload::Text(text),
                Ok(Some(Frame::Binary(bytes))) => Payload::Binary(bytes),
                other => panic!("{dialect:?}: {other:?}"),
            };
            let context = Context { room: Some(&room()) };
            let mut requests = Vec::new();
            dialect.id().dialect().decode(payload, context, &mut |decoded| {
                requests.push(decoded.expect("a command"));
            });
            let [Request { id, command: Command::Publish(publish) }] = &requests[..] else {
                panic!("{dialect:?}: {requests:?}");
            };
            assert_eq!((publish.room.as_str(), publish.text.len()), (room().as_str(), 50), "{dialect:?}");
            assert_eq!(Stamp::read(publish.text.as_bytes()), Some(STAMP), "{dialect:?}");
            let expected = match dialect {
                Dialect::Json => Some(RequestId::Text("00000042".into())),
                Dialect::Binary => Some(RequestId::Number(42)),
                Dialect::Text => id.clone(),
            };
            assert_eq!(*id, expected, "{dialect:?}");
        }
    }
}
