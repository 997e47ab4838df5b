//! Who is too fast, and who is one too many.

use std::time::Instant;

use parlour_websocket::client::ConnectError;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::{Json, PATIENCE, Socket, TestServer};

/// What became of several messages.
#[derive(Debug, Default)]
struct Count {
    acked: u32,
    limited: u32,
}

impl Count {
    /// Sends `messages` at once, then reads all answers.
    async fn burst(&mut self, client: &mut Json, messages: u32) {
        let mut last = 0;
        for n in 0..messages {
            last = client.send("publish", json!({"room": "lobby", "text": n.to_string()})).await;
        }
        loop {
            let event = client.next().await;
            match event["type"].as_str() {
                Some("ack") => self.acked += 1,
                Some("error") => {
                    assert_eq!(event["code"], "rate_limited", "{event}");
                    assert_eq!(event["retryable"], true);
                    assert!(
                        event["retry_after_ms"].as_u64().is_some_and(|ms| (1..=2_100).contains(&ms)),
                        "{event}"
                    );
                    self.limited += 1;
                }
                _ => {}
            }
            // Acknowledgements wait for the store, refusals do not: the last answer may come first.
            if self.acked + self.limited == messages {
                assert!(last > 0);
                return;
            }
        }
    }
}

/// R25: 20 at once and 10 per second, however many connections a user has or has had.
#[tokio::test]
async fn the_rate_of_a_user_is_shared_by_connections_and_survives_reconnecting() {
    let server = TestServer::start().await;
    let began = Instant::now();
    let mut all = Count::default();
    for _ in 0..3 {
        let (mut one, mut two) = (server.json("Alice").await, server.json("Alice").await);
        for client in [&mut one, &mut two] {
            client.join("lobby").await;
            let mut count = Count::default();
            count.burst(client, 15).await;
            all.acked += count.acked;
            all.limited += count.limited;
            // The reader is not held up by what was refused.
            assert_eq!(client.ask("ping", json!({})).await["type"], "pong");
        }
        one.socket.close(1000).await;
        two.socket.close(1000).await;
    }
    let most = 20.0 + 10.0 * began.elapsed().as_secs_f64() + 1.0;
    assert!(all.acked >= 20, "{all:?}");
    assert!(f64::from(all.acked) <= most, "{all:?} in {:?}", began.elapsed());
    assert!(all.limited > 0, "{all:?}");
    assert_eq!(server.metric("parlour_rate_limited_total").await, f64::from(all.limited));

    let mut bob = server.json("Bob").await;
    bob.join("lobby").await;
    let mut count = Count::default();
    count.burst(&mut bob, 20).await;
    assert_eq!((count.acked, count.limited), (20, 0), "another user has a budget of his own");
    server.drain().await;
}

/// Connects without a word; returns what the server says by itself.
async fn turned_away(server: &TestServer) -> String {
    let mut tcp = TcpStream::connect(server.address()).await.expect("connected");
    let mut answer = String::new();
    timeout(PATIENCE, tcp.read_to_string(&mut answer)).await.expect("an answer in time").expect("text");
    answer
}

async fn is_unaffected(client: &mut Json) {
    client.publish("lobby", "still here").await;
}

#[track_caller]
fn assert_refused(answer: &str, status: u16, code: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    assert!(answer.contains("retry-after: ") && answer.contains(code), "{answer}");
}

/// R26, H36: the node is full before a byte was read.
#[tokio::test]
async fn one_connection_too_many_for_the_node_gets_503() {
    let server = TestServer::start_with(|config| config.limits.connections = 3).await;
    let mut first = server.json("u0").await;
    first.join("lobby").await;
    let (_second, third) = (server.json("u1").await, server.json("u2").await);
    assert_refused(&turned_away(&server).await, 503, "node_full");
    is_unaffected(&mut first).await;
    assert_eq!(server.metric("parlour_turned_away_total").await, 1.0);
    third.socket.close(1000).await;
    server.await_metric("parlour_connections", 2.0).await;
    server.json("u3").await;
    server.drain().await;
}

/// R26, H35.
#[tokio::test]
async fn one_connection_too_many_for_an_address_gets_429() {
    let server = TestServer::start_with(|config| config.limits.connections_per_address = 2).await;
    let mut first = server.json("u0").await;
    first.join("lobby").await;
    let second = server.json("u1").await;
    assert_refused(&turned_away(&server).await, 429, "address_limit");
    is_unaffected(&mut first).await;
    second.socket.close(1000).await;
    server.await_metric("parlour_connections", 1.0).await;
    server.json("u2").await;
    server.drain().await;
}

/// R26: whether the user is known with the upgrade or only with `hello`.
#[tokio::test]
async fn one_connection_too_many_for_a_user_is_refused() {
    let server = TestServer::start_with(|config| config.limits.connections_per_user = 1).await;
    let mut first = server.json("Alice").await;
    first.join("lobby").await;
    match server.open("/ws?user=Alice", &["parlour.json.v1"]).await.map(|socket: Socket| drop(socket)) {
        Err(ConnectError::Refused { status: 429, body, .. }) => {
            assert!(String::from_utf8_lossy(&body).contains("user_limit"));
        }
        other => panic!("expected 429, got {other:?}"),
    }
    let mut late = Json::new(server.open("/ws", &["parlour.json.v1"]).await.expect("upgraded"));
    let refused = late.ask("hello", json!({"user": "Alice"})).await;
    assert_eq!((&refused["type"], &refused["code"]), (&json!("error"), &json!("user_limit")), "{refused}");
    let end = late.socket.closed().await;
    assert_eq!((end.code, end.reason.as_str()), (1008, "user_limit"));
    is_unaffected(&mut first).await;
    server.json("Bob").await;
    server.drain().await;
}

/// R26: the 513th room of a connection (C20), and the bounded memory of a shard's inbox.
#[tokio::test]
async fn one_room_too_many_is_refused_and_the_others_stay() {
    let server = TestServer::start_with(|config| config.limits.rooms_per_connection = 3).await;
    let mut alice = server.json("Alice").await;
    for room in ["lobby", "r1", "r2"] {
        alice.join(room).await;
    }
    let refused = alice.ask("join", json!({"room": "r3"})).await;
    assert_eq!(refused["code"], "limit_exceeded", "{refused}");
    is_unaffected(&mut alice).await;
    alice.ask("leave", json!({"room": "r1"})).await;
    alice.join("r3").await;
    server.drain().await;
}
