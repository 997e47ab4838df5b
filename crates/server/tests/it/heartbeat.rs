//! Peers that say nothing, and peers that are only busy.

use std::time::{Duration, Instant};

use parlour_server::Config;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::time::{interval, timeout};

use crate::harness::wire::{Wire, close_frame, frame};
use crate::harness::{PATIENCE, TestServer};

const PING: Duration = Duration::from_millis(600);
const PONG: Duration = Duration::from_millis(300);
/// The precision of timers, a goodbye without an answer, and a busy machine.
const SLACK: Duration = Duration::from_millis(4_000);

fn impatient(config: &mut Config) {
    (config.timeouts.ping, config.timeouts.pong) = (PING, PONG);
}

/// R28: no pong, no presence. The grace of a reload does not come on top.
#[tokio::test]
async fn a_blackholed_peer_is_gone_from_socket_room_and_presence() {
    let server = TestServer::start_with(|config| {
        impatient(config);
        config.timeouts.grace = Duration::from_secs(3_600);
    })
    .await;
    let mut bob = server.json("Bob").await;
    bob.join("lobby").await;
    let mut silent = Wire::open(&server, "Alice", "lobby").await;
    silent.until("joined").await;
    let began = Instant::now();
    let left = bob.until("member_left").await;
    assert_eq!((&left["payload"]["user"], &left["payload"]["member_count"]), (&json!("Alice"), &json!(1)));
    // Bob goes on answering pings.
    let bob = tokio::spawn(async move { while bob.socket.next().await.is_some() {} });
    server.await_metric("parlour_connections", 1.0).await;
    assert!(began.elapsed() < PING + PONG + SLACK, "{:?}", began.elapsed());
    assert_eq!(server.metric("parlour_evicted_heartbeat_total").await, 1.0);
    assert_eq!(server.metric("parlour_members").await, 1.0);
    // F25: why is written where it can be read by whoever wakes up.
    assert_eq!(silent.closed().await, (1013, "heartbeat_timeout".into()));
    server.drain().await;
    bob.await.expect("told to go");
}

/// R28: whoever sends anything is there, with pongs or without.
#[tokio::test]
async fn a_busy_peer_that_answers_no_ping_is_never_cut() {
    let server = TestServer::start_with(impatient).await;
    let mut busy = Wire::open(&server, "Alice", "").await;
    let mut pace = interval(PONG / 4);
    let (mut pings, mut pongs) = (0, 0);
    while pings < 5 {
        pace.tick().await;
        busy.say(&json!({"type": "ping", "id": 1}).to_string()).await;
        while pongs == 0 || !busy.is_quiet() {
            let frame = busy.next().await.expect("still connected");
            assert_ne!(frame.first, 0x88, "{frame:?}");
            pings += usize::from(frame.first == 0x89);
            pongs += usize::from(frame.first == 0x81);
        }
        pongs = 0;
    }
    assert_eq!(server.metric("parlour_closes_total").await, 0.0);
    server.drain().await;
}

/// R28, R30: who answers pings may be silent for ever.
#[tokio::test]
async fn an_idle_peer_that_answers_pings_stays() {
    let server = TestServer::start_with(impatient).await;
    let mut idle = Wire::open(&server, "Alice", "").await;
    idle.until("welcome").await;
    for _ in 0..4 {
        let ping = idle.next().await.expect("still connected");
        assert_eq!(ping.first, 0x89, "{ping:?}");
        idle.send(&frame(0x8a, &ping.payload)).await;
    }
    assert_eq!(server.metric("parlour_connections").await, 1.0);
    server.drain().await;
}

/// R29, H20: half a request, and none at all.
#[tokio::test]
async fn a_stalled_handshake_is_closed() {
    let limit = Duration::from_millis(300);
    let server = TestServer::start_with(|config| config.timeouts.handshake = limit).await;
    for (request, status) in [("GET /ws HTTP/1.1\r\nHost: loc", "HTTP/1.1 408 "), ("", "")] {
        let mut wire = Wire::connect(&server, 0).await;
        let began = Instant::now();
        wire.send(request.as_bytes()).await;
        let mut answer = String::new();
        let read = timeout(PATIENCE, wire.tcp.read_to_string(&mut answer)).await;
        read.expect("closed in time").expect("text");
        assert!(answer.starts_with(status) && answer.is_empty() == status.is_empty(), "{answer}");
        assert!((limit..limit + SLACK).contains(&began.elapsed()), "{:?}", began.elapsed());
    }
    server.drain().await;
}

/// A2: an upgrade without a `hello`.
#[tokio::test]
async fn a_connection_that_does_not_say_who_it_is_is_closed() {
    let server = TestServer::start_with(|config| config.timeouts.hello = Duration::from_millis(300)).await;
    let mut nobody = server.open("/ws", &["parlour.json.v1"]).await.expect("upgraded");
    let end = nobody.closed().await;
    assert_eq!((end.code, end.reason.as_str()), (1008, "auth_timeout"));
    server.drain().await;
}

/// F18, R29: a message that does not end, in half a header, half a frame and half a message; also
/// while other frames keep the connection alive.
#[tokio::test]
async fn an_unfinished_message_is_closed() {
    let server = TestServer::start_with(|config| config.timeouts.message = Duration::from_millis(400)).await;
    let whole = frame(0x81, b"{}");
    for begun in [&whole[..1], &whole[..7], &frame(0x01, b"{")] {
        let mut wire = Wire::open(&server, "Alice", "").await;
        wire.send(begun).await;
        assert_eq!(wire.closed().await, (1008, "message_timeout".into()), "{begun:?}");
    }
    let mut wire = Wire::open(&server, "Alice", "").await;
    wire.send(&frame(0x01, b"{")).await;
    let mut pace = interval(Duration::from_millis(100));
    let closed = async {
        loop {
            pace.tick().await;
            wire.send(&frame(0x80 | 0x09, b"alive")).await;
            let frame = wire.next().await.expect("a frame");
            if frame.first == 0x88 {
                return frame.payload;
            }
        }
    };
    let payload = timeout(PATIENCE, closed).await.expect("pings do not keep it open");
    assert_eq!(payload, [&1008_u16.to_be_bytes()[..], b"message_timeout"].concat());
    server.drain().await;
}

/// R32: the answer has the peer's code, and then the connection ends; nothing is logged as lost.
#[tokio::test]
async fn a_close_frame_is_answered_with_its_code() {
    let server = TestServer::start().await;
    let codes = [1000, 1001, 1008, 1011, 1012, 3000, 4000, 4999];
    for code in codes {
        let mut wire = Wire::open(&server, "Alice", "lobby").await;
        wire.until("joined").await;
        wire.send(&close_frame(code)).await;
        assert_eq!(wire.closed().await, (code, String::new()));
        wire.ended().await;
    }
    let mut wire = Wire::open(&server, "Alice", "lobby").await;
    wire.until("joined").await;
    wire.send(&frame(0x88, b"")).await;
    assert_eq!(wire.closed().await, (1000, String::new()), "a close without a code is an ordinary one");
    wire.ended().await;
    let page = server.admin("/metrics").await.1;
    assert!(page.contains(&format!("parlour_closes_total{{reason=\"peer\"}} {}", codes.len() + 1)), "{page}");
    server.drain().await;
}
