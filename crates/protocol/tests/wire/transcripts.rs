//! Replays `tests/transcripts/*.txt`, which authors of clients read as examples.
//!
//! `>` is a frame of the client, `<` one of the server; `|` continues a frame of several lines.
//! Where a frame does not explain itself, `=` says in JSON what it means.

use std::collections::BTreeSet;

use parlour_protocol::dialect::{Context, DialectId, Payload, binary, json};
use parlour_protocol::event::{Event, Reply};
use parlour_protocol::{Request, RoomName};

use crate::{decode, encode};

/// One frame of a transcript.
#[derive(Debug)]
struct Frame {
    from_client: bool,
    wire: String,
    meaning: Option<String>,
}

fn frames(transcript: &str) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    for line in transcript.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (kind, rest) = line.split_at(line.len().min(2));
        match kind {
            "> " | "< " => {
                frames.push(Frame { from_client: kind == "> ", wire: rest.to_owned(), meaning: None });
            }
            "| " => {
                let frame = frames.last_mut().expect("a frame before its continuation");
                frame.wire.push('\n');
                frame.wire.push_str(rest);
            }
            "= " => frames.last_mut().expect("a frame before its meaning").meaning = Some(rest.to_owned()),
            _ => unreachable!("not a line of a transcript: {line:?}"),
        }
    }
    frames
}

fn reply(json: &str) -> Reply {
    let mut replies = Vec::new();
    json::decode_events(Payload::Text(json), &mut |reply| replies.push(reply));
    replies.pop().expect("one event").expect(json)
}

/// Spells what a frame of a client means: the request, or the error that it gets.
fn meaning(dialect: DialectId, payload: Payload<'_>) -> (Option<Request>, String) {
    let room = RoomName::parse("general").expect("valid");
    let decoded = decode(dialect, payload, Context { room: Some(&room) });
    let [one] = <[_; 1]>::try_from(decoded).expect("one message per frame");
    let mut out = Vec::new();
    let request = match one {
        Ok(request) => {
            json::encode_request(&request, &mut out);
            Some(request)
        }
        Err(wrong) => {
            out = encode(DialectId::Json, &Event::Error(wrong.refusal), wrong.id.as_ref());
            None
        }
    };
    (request, String::from_utf8(out).expect("UTF-8"))
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair =
        |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
    digits.chunks(2).map(|two| pair(two).expect("hexadecimal digits")).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Checks that a transcript shows every command and every event.
fn assert_complete(commands: &BTreeSet<&str>, events: &BTreeSet<&str>) {
    for command in &crate::document::COMMANDS {
        assert!(commands.contains(command), "no example of the command {command}");
    }
    for event in &crate::document::EVENTS {
        assert!(events.contains(event), "no example of the event {event}");
    }
}

#[test]
fn json() {
    let (mut commands, mut events) = (BTreeSet::new(), BTreeSet::new());
    let mut expected_error = None;
    for frame in frames(include_str!("../transcripts/json.txt")) {
        if frame.from_client {
            let (request, meaning) = meaning(DialectId::Json, Payload::Text(&frame.wire));
            match request {
                Some(request) => {
                    assert_eq!(meaning, frame.wire, "the Rust client sends the same");
                    commands.insert(request.command.name());
                }
                None => expected_error = Some(meaning),
            }
        } else {
            let Reply { event, id } = reply(&frame.wire);
            let written = encode(DialectId::Json, &event, id.as_ref());
            assert_eq!(String::from_utf8_lossy(&written), frame.wire);
            events.insert(event.name());
            if let Some(error) = expected_error.take() {
                assert_eq!(error, frame.wire);
            }
        }
    }
    assert_complete(&commands, &events);
}

#[test]
fn binary() {
    let (mut commands, mut events) = (BTreeSet::new(), BTreeSet::new());
    for frame in frames(include_str!("../transcripts/binary.txt")) {
        let wire = bytes(&frame.wire);
        let expected = frame.meaning.as_deref().expect("each binary frame is explained");
        let mut written = Vec::new();
        if frame.from_client {
            let (request, meaning) = meaning(DialectId::Binary, Payload::Binary(&wire));
            assert_eq!(meaning, expected);
            let Some(request) = request else { continue };
            binary::encode_request(&request, &mut written);
            commands.insert(request.command.name());
        } else {
            let Reply { event, id } = reply(expected);
            written = encode(DialectId::Binary, &event, id.as_ref());
            events.insert(event.name());
        }
        assert_eq!(hex(&written), hex(&wire), "{expected}");
    }
    assert_complete(&commands, &events);
}

#[test]
fn text() {
    let mut events = BTreeSet::new();
    for frame in frames(include_str!("../transcripts/text.txt")) {
        let expected = frame.meaning.as_deref().expect("each line is explained");
        if frame.from_client {
            let (_, meaning) = meaning(DialectId::Text, Payload::Text(&frame.wire));
            assert_eq!(meaning, expected, "{}", frame.wire);
        } else {
            let Reply { event, id } = reply(expected);
            let written = encode(DialectId::Text, &event, id.as_ref());
            let shown = if frame.wire == "(nothing)" { "" } else { &frame.wire };
            assert_eq!(String::from_utf8_lossy(&written), shown, "{expected}");
            events.insert(event.name());
        }
    }
    for event in &crate::document::EVENTS {
        assert!(events.contains(event), "no example of the event {event}");
    }
}
