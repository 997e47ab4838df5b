//! Each bad command gets its answer, and the connection lives on (rows C1 to C19).

use parlour_protocol::dialect::DialectId;
use parlour_protocol::{Command, ErrorCode, Event};
use serde_json::{Value, json};

use crate::commands::assert_closed;
use crate::harness::TestServer;
use crate::harness::typed::{Client, MESSAGE_DIALECTS};

fn publish_with(fields: &str) -> String {
    format!(r#"{{"type":"publish","id":7,"payload":{{"room":"general",{fields}}}}}"#)
}

fn bad_json() -> Vec<(&'static str, String, Value, &'static str)> {
    let command = |kind: &str, payload: &str| format!(r#"{{"type":"{kind}","id":7,"payload":{payload}}}"#);
    let (id, none) = (json!(7), Value::Null);
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    let mut rows = vec![
        ("C1", "hello".into(), none.clone(), "invalid_json"),
        ("C2", "[]".into(), none.clone(), "bad_request"),
        ("C2", "1".into(), none.clone(), "bad_request"),
        ("C2", "null".into(), none.clone(), "bad_request"),
        ("C3", deep.clone(), none.clone(), "invalid_json"),
        ("C3", command("publish", &deep), id.clone(), "invalid_json"),
        ("C4", r#"{"type":"ping","type":"ping","id":7}"#.into(), id.clone(), "bad_request"),
        ("C4", publish_with(r#""text":"a","text":"b""#), id.clone(), "bad_request"),
        ("C5", command("shout", "{}"), id.clone(), "unknown_command"),
        ("C6", r#"{"type":"ping"}"#.into(), none.clone(), "bad_request"),
        ("C6", r#"{"type":"ping","id":null}"#.into(), none.clone(), "bad_request"),
        ("C10", publish_with(r#""text":"\ud800""#), id.clone(), "bad_request"),
        ("C11", publish_with(r#""text":"a\u0000b""#), id.clone(), "invalid_text"),
        ("C12", publish_with(r#""text":"""#), id.clone(), "empty_message"),
        ("C14", publish_with(r#""text":"x","cid":"""#), id.clone(), "bad_request"),
        (
            "C14",
            publish_with(&format!(r#""text":"x","cid":"{}""#, "c".repeat(65))),
            id.clone(),
            "bad_request",
        ),
        ("C17", command("history", r#"{"room":"general","before":99}"#), id.clone(), "invalid_cursor"),
        ("C17", command("history", r#"{"room":"general","after":1}"#), id.clone(), "invalid_cursor"),
        ("C17", command("history", r#"{"room":"general","before":0}"#), id.clone(), "invalid_cursor"),
        ("C19", command("publish", r#"{"room":"elsewhere","text":"x"}"#), id.clone(), "forbidden"),
    ];
    for field in [r#""sender":"Bob""#, r#""ts":1"#, r#""seq":1"#, r#""user":"Bob""#, r#""colour":"red""#] {
        rows.push(("C7", publish_with(&format!(r#""text":"x",{field}"#)), id.clone(), "bad_request"));
    }
    for seq in ["-1", "1e400", "18446744073709551616", "1.5", "\"+1\"", "true"] {
        let payload = format!(r#"{{"room":"general","seq":{seq}}}"#);
        rows.push(("C8", command("read", &payload), id.clone(), "bad_request"));
    }
    // Kept exact, these are numbers beyond the room's end and nothing worse.
    for seq in ["9007199254740993", "\"9007199254740993\"", "18446744073709551615"] {
        let payload = format!(r#"{{"room":"general","seq":{seq}}}"#);
        rows.push(("C8", command("read", &payload), id.clone(), "invalid_cursor"));
    }
    for name in ["", &"r".repeat(129), "a\0", "a\nb", "*", "a*", "\u{202e}x", "e\u{301}", "@a", "@b,a"] {
        let payload = json!({"room": name}).to_string();
        rows.push(("C9", command("join", &payload), id.clone(), "invalid_room"));
    }
    for limit in ["-1", "0", "1e9", "1000000000", "1001"] {
        let payload = format!(r#"{{"room":"general","limit":{limit}}}"#);
        rows.push(("C16", command("history", &payload), id.clone(), "invalid_limit"));
    }
    rows
}

#[tokio::test]
async fn bad_commands_in_json_are_answered_and_leave_no_trace() {
    let server = TestServer::start().await;
    let mut witness = Client::open(&server, DialectId::Json, "witness").await;
    witness.join("general").await;
    for (row, frame, id, code) in bad_json() {
        let shown: String = frame.chars().take(100).collect();
        let mut alice = server.json("Alice").await;
        alice.join("general").await;
        alice.socket.send(&frame).await;
        let error = alice.until("error").await;
        assert_eq!((&error["code"], error.get("id")), (&json!(code), Some(&id)), "{row}: {shown}: {error}");
        assert_eq!(error["retryable"], false, "{row}");
        assert!(error["message"].as_str().is_some_and(|text| text.len() > 10), "{row}: {error}");
        assert_eq!(alice.ask("ping", json!({})).await["type"], "pong", "{row}: the connection lives");
        alice.socket.close(1000).await;
    }
    witness.publish("general", "nothing was said").await;
    assert_eq!(witness.history("general", 50).await, ["nothing was said"]);
}

/// Builds a binary message: its declared length may lie by `lie` bytes.
fn binary(number: u8, id: u32, fields: &[u8], lie: i32) -> Vec<u8> {
    let length = i32::try_from(4 + fields.len()).expect("short") + lie;
    [&[number], length.to_be_bytes().as_slice(), &id.to_be_bytes(), fields].concat()
}

fn name(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("short");
    [length.to_be_bytes().as_slice(), text.as_bytes()].concat()
}

fn long_text(text: &[u8]) -> Vec<u8> {
    let length = u32::try_from(text.len()).expect("short");
    [length.to_be_bytes().as_slice(), text].concat()
}

fn bad_binary() -> Vec<(&'static str, Vec<u8>, ErrorCode)> {
    const PING: u8 = 0x0c;
    let said = |room: &str, text: &[u8], cid: &[u8]| {
        // No `reply_to`, and nobody is mentioned.
        let rest = [cid, &[0; 5]].concat();
        binary(0x04, 7, &[name(room), long_text(text), rest].concat(), 0)
    };
    let cid = |text: &str| [vec![1], long_text(text.as_bytes())].concat();
    let query = |before: Option<u64>, limit: Option<u32>| {
        let before = before.map_or(vec![0], |seq| [&[1], seq.to_be_bytes().as_slice()].concat());
        let limit = limit.map_or(vec![0], |limit| [&[1], limit.to_be_bytes().as_slice()].concat());
        binary(0x09, 7, &[name("general"), before, vec![0, 0], limit].concat(), 0)
    };
    let mut rows = vec![
        ("C1", vec![], ErrorCode::BadRequest),
        ("C1", b"hello".to_vec(), ErrorCode::BadRequest),
        ("R48", binary(PING, 7, &[], 1), ErrorCode::BadRequest),
        ("R48", binary(PING, 7, &[], -1), ErrorCode::BadRequest),
        ("R48", binary(PING, 7, &[], i32::MAX - 4), ErrorCode::BadRequest),
        ("R48", binary(PING, 7, &[0], 0), ErrorCode::BadRequest),
        ("C5", binary(0x7f, 7, &[], 0), ErrorCode::UnknownCommand),
        ("C6", binary(PING, 0, &[], 0), ErrorCode::BadRequest),
        ("C10", said("general", b"\xed\xa0\x80", &[0]), ErrorCode::BadRequest),
        ("C11", said("general", b"a\0b", &[0]), ErrorCode::InvalidText),
        ("C12", said("general", b"", &[0]), ErrorCode::EmptyMessage),
        ("C14", said("general", b"x", &cid("")), ErrorCode::BadRequest),
        ("C14", said("general", b"x", &cid(&"c".repeat(65))), ErrorCode::BadRequest),
        ("C16", query(None, Some(0)), ErrorCode::InvalidLimit),
        ("C16", query(None, Some(1_000_000_000)), ErrorCode::InvalidLimit),
        ("C17", query(Some(99), None), ErrorCode::InvalidCursor),
        ("C19", said("elsewhere", b"x", &[0]), ErrorCode::Forbidden),
    ];
    for room in ["", &"r".repeat(129), "a\0", "a\nb", "*", "\u{202e}x", "e\u{301}"] {
        let join = binary(0x02, 7, &[name(room), vec![0, 0]].concat(), 0);
        rows.push(("C9", join, ErrorCode::InvalidRoom));
    }
    rows
}

#[tokio::test]
async fn bad_commands_in_binary_are_answered_and_leave_no_trace() {
    let server = TestServer::start().await;
    let mut witness = Client::open(&server, DialectId::Binary, "witness").await;
    witness.join("general").await;
    for (row, frame, code) in bad_binary() {
        let mut alice = Client::open(&server, DialectId::Binary, "Alice").await;
        alice.join("general").await;
        alice.send_frame(&frame).await;
        let error = loop {
            if let Event::Error(refusal) = alice.next().await.event {
                break refusal;
            }
        };
        assert_eq!(error.code, code, "{row}: {frame:x?}: {error}");
        let pong = alice.ask(Command::Ping).await;
        assert!(matches!(pong, Event::Pong(_)), "{row}: the connection lives");
        alice.socket.close(1000).await;
    }
    witness.publish("general", "nothing was said").await;
    assert_eq!(witness.history("general", 50).await, ["nothing was said"]);
}

#[tokio::test]
async fn ten_bad_commands_within_a_minute_end_the_connection() {
    let server = TestServer::start().await;
    for dialect in MESSAGE_DIALECTS {
        let mut clumsy = Client::open(&server, dialect, "clumsy").await;
        for _ in 0..10 {
            clumsy.send_frame(b"?").await;
        }
        for _ in 0..10 {
            assert!(matches!(clumsy.next().await.event, Event::Error(_)), "each one has its answer");
        }
        assert_closed(&mut clumsy, 1008, "too_many_errors").await;

        let mut careful = Client::open(&server, dialect, "careful").await;
        for _ in 0..9 {
            careful.send_frame(b"?").await;
        }
        careful.join("general").await;
    }
}
