//! What operators see: metrics that equal what clients counted, health, and logs.

use std::time::Duration;

use parlour_websocket::client::Message;
use rustix::process::Signal;
use serde_json::json;

use crate::harness::process::{ServerProcess, served_as_child};
use crate::harness::wire::{Wire, close_frame, frame};
use crate::harness::{TestServer, http, sum_of};

/// R54: at quiescence the counters are the clients' own counts, exactly.
#[tokio::test]
async fn metrics_equal_what_the_clients_counted() {
    const CLIENTS: u64 = 5;
    const MESSAGES: u64 = 40;
    let server = TestServer::start_with(|config| config.limits.rate_per_s = 0).await;
    let mut clients = Vec::new();
    let (mut sent, mut received) = (0, 0);
    for n in 0..CLIENTS {
        clients.push(Wire::open(&server, &format!("u{n}"), "").await);
    }
    // Everybody joins before anybody speaks: notices to n members in turn.
    for client in &mut clients {
        client.say(&json!({"type": "join", "id": 0, "payload": {"room": "lobby"}}).to_string()).await;
        sent += 1;
        let mut events = 1;
        while client.next_event().await["type"] != "joined" {
            events += 1;
        }
        received += events;
    }
    for n in 0..MESSAGES {
        for client in &mut clients {
            let publish = json!({"type": "publish", "id": n + 1, "payload": {"room": "lobby", "text": "hi"}});
            client.say(&publish.to_string()).await;
            sent += 1;
        }
    }
    // One bad command, answered with an error.
    clients[0].say("[]").await;
    sent += 1;
    let (mut acks, mut messages, mut notices, mut errors) = (0, 0, 0, 0);
    for (n, client) in clients.iter_mut().enumerate() {
        let (mut mine, mut heard) = (0, 0);
        let failures = u64::from(n == 0);
        while mine < MESSAGES + failures || heard < MESSAGES * CLIENTS {
            received += 1;
            match client.next_event().await["type"].as_str().expect("a type") {
                "ack" => (mine, acks) = (mine + 1, acks + 1),
                "message" => (heard, messages) = (heard + 1, messages + 1),
                "member_joined" => notices += 1,
                "error" => (mine, errors) = (mine + 1, errors + 1),
                other => panic!("unexpected {other}"),
            }
        }
    }
    let page = server.admin("/metrics").await.1;
    let metric = |name: &str| sum_of(&page, name) as u64;
    assert_eq!(metric("parlour_messages_received_total"), sent);
    assert_eq!(metric("parlour_acks_total"), acks);
    assert_eq!((acks, metric("parlour_errors_total")), (CLIENTS * MESSAGES, errors));
    assert_eq!(metric("parlour_deliveries_total"), messages + notices, "broadcasts reached every member");
    assert_eq!(metric("parlour_messages_sent_total") + metric("parlour_deliveries_total"), received);
    assert!(metric("parlour_broadcasts_total") >= MESSAGES * CLIENTS, "{page}");
    assert_eq!(metric("parlour_commit_batch_messages_sum"), acks, "each was stored once");
    assert_eq!((metric("parlour_connections"), metric("parlour_members")), (CLIENTS, CLIENTS));
    assert_eq!(metric("parlour_rooms"), 1);
    assert!(page.contains("parlour_commands_total{command=\"publish\"} 200\n"), "{page}");
    ends_are_counted_by_reason(&server, clients).await;
}

async fn ends_are_counted_by_reason(server: &TestServer, clients: Vec<Wire>) {
    for (n, mut client) in clients.into_iter().enumerate() {
        match n {
            0 => client.send(&close_frame(1000)).await,
            1 => client.send(&frame(0x83, b"")).await,
            2 => client.send(&frame(0x82, b"")).await,
            3 => client.reset(),
            _ => drop(client),
        }
    }
    server.await_metric("parlour_connections", 0.0).await;
    let page = server.admin("/metrics").await.1;
    for line in [
        "parlour_closes_total{reason=\"peer\"} 1",
        "parlour_closes_total{reason=\"unknown_opcode\"} 1",
        "parlour_closes_total{reason=\"unsupported_data\"} 1",
        "parlour_closes_total{reason=\"lost\"} 2",
        "parlour_connections_opened_total 5",
        "parlour_outbox_bytes 0",
        "parlour_inbox 0",
        "parlour_commit_queue_messages 0",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is missing in\n{page}");
    }
    assert!(sum_of(&page, "parlour_turn_duration_seconds_count") > 0.0);
}

/// R55: ready turns at once, live stays, and the page says why.
#[tokio::test]
async fn readiness_turns_on_drain_and_liveness_does_not() {
    let server = TestServer::start_with(|config| config.timeouts.drain_notice = Duration::from_secs(2)).await;
    assert_eq!(server.admin("/readyz").await, (200, r#"{"ready":true,"reasons":[]}"#.into()));
    assert_eq!(server.admin("/healthz").await.0, 200);
    let admin = server.admin_address();
    let node = std::sync::Arc::clone(server.server().node());
    let draining = tokio::spawn(server.drain());
    while !node.shell.health.is_draining() {
        tokio::task::yield_now().await;
    }
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(http(admin, &get("/readyz")).await, (503, r#"{"ready":false,"reasons":["draining"]}"#.into()));
    assert_eq!(http(admin, &get("/healthz")).await.0, 200);
    draining.await.expect("drained");
}

const TOKEN: &str = "c4n4ry-t0ken";
const TEXT: &str = "c4n4ry-text";

/// Sends a request to the clients' address of a process.
async fn request(server: &ServerProcess, head: &str) -> u16 {
    http(server.address, &format!("{head}\r\nHost: localhost\r\n\r\n")).await.0
}

/// R56: levels change while it runs, causes are limited, nothing secret and nothing forged is written.
#[tokio::test]
async fn the_log_is_adjustable_limited_and_keeps_secrets() {
    if served_as_child().await {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let name = "observe::the_log_is_adjustable_limited_and_keeps_secrets";
    let server = ServerProcess::start(name, directory.path(), Duration::ZERO);
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    // At the level of production an ordinary end is no line.
    visit(&server, "Quiet").await;
    assert_eq!(server.admin("PUT /log?level=debug").await.0, 204);
    visit(&server, "Watched").await;
    assert_eq!(server.admin("PUT /log?level=loud").await.0, 400);
    for _ in 0..200 {
        // Refused: the name is not one, and the line must not be forged by it.
        let head =
            format!("GET /ws?user=a%0A2026-01-01%20ERROR%20forged&token={TOKEN} HTTP/1.1\r\n{upgrade}");
        assert_eq!(request(&server, &head).await, 400);
        let head = format!("GET /nowhere?token={TOKEN} HTTP/1.1\r\nAuthorization: Bearer {TOKEN}");
        assert_eq!(request(&server, &head).await, 404);
    }
    let suppressed = server.metric("parlour_log_lines_suppressed_total").await;
    server.signal(Signal::TERM);
    let (status, log) = server.ended().await;
    assert!(status.success(), "{status}\n{log}");

    let lines = |what: &str| log.lines().filter(|line| line.contains(what)).count();
    assert_eq!(lines("Quiet"), 0, "{log}");
    assert!(lines("user=Watched") > 0 && lines("connection opened") > 0, "{log}");
    assert!(lines("address=127.0.0.0/24") > 0 && lines("127.0.0.1") == 0, "a network, not a person: {log}");
    assert!((1..50).contains(&lines("request refused")), "{log}");
    assert!(suppressed >= 300.0, "{suppressed} lines were left out");
    assert!(lines("suppressed=") > 0 || lines("request refused") == 1, "{log}");
    assert!(!log.contains(TOKEN) && !log.contains(TEXT), "{log}");
    assert!(!log.lines().any(|line| line.starts_with("2026-01-01 ERROR")), "{log}");
}

/// Connects with a token in the URL, says something and leaves.
async fn visit(server: &ServerProcess, user: &str) {
    let request = parlour_websocket::handshake::client::ClientRequest {
        host: server.address.to_string(),
        path_and_query: format!("/ws?user={user}&room=lobby&token={TOKEN}"),
        ..Default::default()
    };
    let tcp = tokio::net::TcpStream::connect(server.address).await.expect("connected");
    let (mut stream, _) = parlour_websocket::client::connect(tcp, &request).await.expect("upgraded");
    stream.send_text(TEXT).await.expect("sent");
    // The first text that comes may be one of an earlier visit.
    let said = |message: &Message| matches!(message, Message::Text(line) if line.contains(TEXT));
    while !stream.next().await.expect("connected").as_ref().is_some_and(said) {}
    stream.close(1000, "").await.expect("sent");
    while let Ok(Some(_)) = stream.next().await {}
}
