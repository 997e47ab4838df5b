//! What broken framing gets: the rows of `BAD_INPUT`, group F, over a real socket.

use parlour_protocol::ErrorCode;
use parlour_websocket::DecodeError::{self, *};
use parlour_websocket::Deflater;
use serde_json::json;

use crate::harness::wire::{Wire, Wish, close_frame, frame};
use crate::harness::{Json, TestServer};

/// Bytes after the upgrade, and the close frame that answers them.
struct Row {
    name: &'static str,
    bytes: Vec<u8>,
    code: u16,
    reason: &'static str,
}

fn row(name: &'static str, bytes: Vec<u8>, error: DecodeError) -> Row {
    Row { name, bytes, code: error.close_code(), reason: error.reason() }
}

fn ends(name: &'static str, bytes: Vec<u8>, code: ErrorCode) -> Row {
    Row { name, bytes, code: code.close_code().expect("it ends a connection"), reason: code.word() }
}

/// A header with a 64-bit length and no payload.
fn announced(length: u64) -> Vec<u8> {
    let mut bytes = vec![0x81, 0xff];
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes
}

/// The beginning of a text of 1,000 bytes.
fn begun(text: &[u8]) -> Vec<u8> {
    let mut bytes = frame(0x81, &[b'x'; 1_000]);
    bytes.truncate(8);
    bytes.extend(text.iter().zip([0x12, 0x34, 0x56, 0x78].iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

fn together(frames: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    frames.into_iter().flatten().collect()
}

fn rows() -> Vec<Row> {
    let half = vec![b' '; 40 * 1024];
    vec![
        row("F1", vec![0x81, 0x01, b'x'], Unmasked),
        row("F2 RSV1", frame(0xc1, b"{}"), ReservedBit),
        row("F2 RSV2", frame(0xa1, b"{}"), ReservedBit),
        row("F2 RSV3", frame(0x91, b"{}"), ReservedBit),
        row("F3 opcode 3", frame(0x83, b""), UnknownOpcode),
        row("F3 opcode 11", frame(0x8b, b""), UnknownOpcode),
        row("F4", frame(0x89, &[0; 126]), ControlTooLong),
        row("F5", frame(0x09, b"x"), FragmentedControl),
        row("F6", frame(0x80, b"x"), UnexpectedContinuation),
        row("F7", together([frame(0x01, b"a"), frame(0x81, b"b")]), ExpectedContinuation),
        row("F8", frame(0x88, b"x"), CloseTooShort),
        row("F9 1005", close_frame(1005), CloseCode),
        row("F9 1006", close_frame(1006), CloseCode),
        row("F9 1015", close_frame(1015), CloseCode),
        row("F9 999", close_frame(999), CloseCode),
        row("F9 5000", close_frame(5000), CloseCode),
        row("F10", frame(0x88, b"\x03\xe8\xff\xff"), InvalidUtf8),
        row("F11", frame(0x81, b"\xff"), InvalidUtf8),
        row("F11 fail fast", begun(b"ab\xff"), InvalidUtf8),
        row("F12 surrogate", frame(0x81, b"\xed\xa0\x80"), InvalidUtf8),
        row("F12 overlong", frame(0x81, b"\xc0\xaf"), InvalidUtf8),
        row("F13", announced(64 * 1024 + 1), MessageTooLarge),
        row("F14", announced(1 << 62), MessageTooLarge),
        row("F15", announced(1 << 63), LengthOutOfRange),
        row("F16", together([frame(0x01, &half), frame(0x80, &half)]), MessageTooLarge),
        row("F17", together((0..1_025).map(|n| frame(u8::from(n == 0), b"x"))), TooManyFragments),
        ends("F19", frame(0x82, b"{}"), ErrorCode::UnsupportedData),
        ends("F20", together((0..101).map(|_| frame(0x89, b""))), ErrorCode::PingFlood),
    ]
}

fn rows_of_deflate() -> Vec<Row> {
    let bomb = Deflater::new(9, 15).deflate(&vec![b' '; 1 << 20]).expect("it shrinks").to_vec();
    vec![
        row("F21", frame(0xc1, &bomb), MessageTooLarge),
        row("F22", frame(0xc1, b"\xff\xff\xff\xff"), InvalidDeflate),
        row("F22 RSV1 on a ping", frame(0xc9, b""), ReservedBit),
    ]
}

/// A member of `lobby` who must notice nothing; Mallory's first connection stays, so that the later
/// ones are no news.
async fn bystander(server: &TestServer) -> (Json, Wire) {
    let mut alice = server.json("Alice").await;
    alice.join("lobby").await;
    let mut anchor = Wire::open(server, "Mallory", "lobby").await;
    anchor.until("joined").await;
    alice.until("member_joined").await;
    (alice, anchor)
}

async fn noticed_nothing(alice: &mut Json) {
    let id = alice.send("publish", json!({"room": "lobby", "text": "sentinel"})).await;
    // The acknowledgement and the message, in whichever order; and nothing before them.
    let (one, two) = (alice.next().await, alice.next().await);
    let (ack, message) = if one["type"] == "ack" { (one, two) } else { (two, one) };
    assert_eq!(
        (&ack["id"], &message["payload"]["text"]),
        (&json!(id), &json!("sentinel")),
        "{ack} {message}"
    );
}

async fn check(server: &TestServer, row: &Row, deflate: bool) {
    let wish = Wish { user: "Mallory", room: "lobby", deflate, ..Wish::default() };
    let mut mallory = Wire::with(server, wish).await;
    mallory.until("joined").await;
    mallory.send(&row.bytes).await;
    assert_eq!(mallory.closed().await, (row.code, row.reason.into()), "{}", row.name);
    // The answer to a goodbye ends the connection at once.
    mallory.send(&close_frame(row.code)).await;
    mallory.ended().await;
}

#[tokio::test]
async fn broken_frames_get_their_code_and_reason_and_nobody_else_notices() {
    let server = TestServer::start_with(|config| config.compression = true).await;
    let (mut alice, _anchor) = bystander(&server).await;
    let (plain, deflated) = (rows(), rows_of_deflate());
    for row in &plain {
        check(&server, row, false).await;
    }
    for row in &deflated {
        check(&server, row, true).await;
    }
    noticed_nothing(&mut alice).await;
    server.await_metric("parlour_connections", 2.0).await;
    let page = server.admin("/metrics").await.1;
    for Row { reason, .. } in plain.iter().chain(&deflated) {
        assert!(
            page.contains(&format!("parlour_closes_total{{reason=\"{reason}\"}}")),
            "{reason} is not counted"
        );
    }
    server.drain().await;
}

/// F23.
#[tokio::test]
async fn what_follows_a_close_frame_is_ignored() {
    let server = TestServer::start().await;
    let (mut alice, _anchor) = bystander(&server).await;
    let mut mallory = Wire::open(&server, "Mallory", "lobby").await;
    mallory.until("joined").await;
    let late = json!({"type": "publish", "id": 1, "payload": {"room": "lobby", "text": "late"}}).to_string();
    let frames = [close_frame(4001), frame(0x81, late.as_bytes()), frame(0x83, b""), close_frame(1000)];
    mallory.send(&together(frames)).await;
    assert_eq!(mallory.closed().await, (4001, String::new()));
    mallory.ended().await;
    noticed_nothing(&mut alice).await;
    server.drain().await;
}

/// R24: exactly the limit is taken, in one frame, in fragments and compressed.
#[tokio::test]
async fn the_largest_message_is_taken() {
    let server = TestServer::start_with(|config| config.compression = true).await;
    let frame_of = |id: u32, text_bytes: usize| {
        let text = "x".repeat(text_bytes);
        json!({"type": "publish", "id": id, "payload": {"room": "lobby", "text": text}}).to_string()
    };
    let overhead = frame_of(1, 0).len();
    let largest = |id| frame_of(id, 64 * 1024 - overhead).into_bytes();
    let mut wire =
        Wire::with(&server, Wish { user: "Alice", room: "lobby", deflate: true, ..Wish::default() }).await;
    wire.until("joined").await;
    let whole = frame(0x81, &largest(1));
    let (head, tail) = (&largest(2)[..30_000], &largest(2)[30_000..]);
    let fragments = together([frame(0x01, head), frame(0x80, tail)]);
    let compressed = frame(0xc1, Deflater::new(6, 15).deflate(&largest(3)).expect("it shrinks"));
    for (id, bytes) in [(1, whole), (2, fragments), (3, compressed)] {
        wire.send(&bytes).await;
        let ack = loop {
            let event = wire.next_event().await;
            if event["type"] != "message" {
                break event;
            }
        };
        assert_eq!((&ack["type"], &ack["id"]), (&json!("ack"), &json!(id)), "{ack}");
    }
    server.drain().await;
}
