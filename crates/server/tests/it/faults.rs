//! Faults of the server itself: a panic, a thread that hangs, a store that does not follow.

use std::time::{Duration, Instant};

use parlour_protocol::ErrorCode;
use serde_json::json;
use tokio::task::JoinSet;

use crate::harness::faulty::Mood;
use crate::harness::wire::{Wire, Wish, close_frame, frame};
use crate::harness::{Json, TestServer};

async fn noticed_nothing(client: &mut Json) {
    let id = client.send("publish", json!({"room": "lobby", "text": "sentinel"})).await;
    // The acknowledgement and the message, in whichever order; and nothing before them.
    let (one, two) = (client.next().await, client.next().await);
    let (ack, message) = if one["type"] == "ack" { (one, two) } else { (two, one) };
    assert_eq!(
        (&ack["id"], &message["payload"]["text"]),
        (&json!(id), &json!("sentinel")),
        "{ack} {message}"
    );
}

/// Ends in a panic of the server; returns the id of the incident.
async fn incident(mut wire: Wire) -> String {
    let (code, reason) = wire.closed().await;
    let (word, id) = reason.split_once(' ').expect("a word and an id");
    assert_eq!((code, word), (1011, ErrorCode::Internal.word()));
    wire.send(&close_frame(1011)).await;
    wire.ended().await;
    uuid::Uuid::parse_str(id).expect("an id to find it in the log").to_string()
}

/// R18, F26: a panic in the step of one connection ends that connection alone.
#[tokio::test]
async fn a_thousand_panics_end_a_thousand_connections_and_no_other() {
    const PANICS: u64 = 1_000;
    let mut server = TestServer::start_with(|config| {
        config.limits.connections_per_user = 10_000;
        config.limits.rate_per_s = 0;
    })
    .await;
    server.expect_panics(PANICS);
    // One on each shard.
    let (mut alice, mut bob) = (server.json("Alice").await, server.json("Bob").await);
    alice.join("lobby").await;
    bob.join("lobby").await;
    alice.until("member_joined").await;
    let server = std::sync::Arc::new(server);
    let mut crowd = JoinSet::new();
    for _ in 0..20 {
        let server = std::sync::Arc::clone(&server);
        crowd.spawn(async move {
            let planted = frame(0x81, b"!panic");
            for n in 0..PANICS / 20 {
                // Every fifth comes in one packet with the request, before the connection has a shard.
                let early: &[u8] = if n % 5 == 0 { &planted } else { b"" };
                let wish = Wish { user: "Mallory", early, ..Wish::default() };
                let mut wire = Wire::with(&server, wish).await;
                if early.is_empty() {
                    wire.until("welcome").await;
                    wire.send(&planted).await;
                }
                incident(wire).await;
            }
        });
    }
    while let Some(ended) = crowd.join_next().await {
        ended.expect("every panic was answered");
    }
    noticed_nothing(&mut alice).await;
    assert_eq!(bob.until("message").await["payload"]["text"], "sentinel");
    noticed_nothing(&mut bob).await;
    assert_eq!(server.metric("parlour_panics_total").await, PANICS as f64);
    server.await_metric("parlour_connections", 2.0).await;
    server.await_metric("parlour_tasks", 0.0).await;
    std::sync::Arc::into_inner(server).expect("the crowd has gone").drain().await;
}

/// R11: a connection ends on its own shard, whatever the home of its rooms is doing.
#[tokio::test]
async fn a_stalled_shard_does_not_hold_up_the_sockets_of_another() {
    let server = TestServer::start_with(|config| config.timeouts.grace = Duration::ZERO).await;
    // Connections go to the shards in turn; rooms of both homes are on either.
    let mut on_stalled = Wire::open(&server, "Alice", "").await;
    on_stalled.until("welcome").await;
    let mut other = Wire::open(&server, "Bob", "").await;
    other.until("welcome").await;
    for n in 0..8 {
        other.say(&json!({"type": "join", "id": n, "payload": {"room": format!("r{n}")}}).to_string()).await;
        other.until("joined").await;
    }
    on_stalled.say("!stall 4000").await;
    let began = Instant::now();
    other.send(&close_frame(1000)).await;
    assert_eq!(other.closed().await.0, 1000);
    other.ended().await;
    drop(other);
    let admission = &server.server().node().shell.admission;
    while admission.connections() > 1 {
        assert!(began.elapsed() < Duration::from_secs(3), "its place is not free");
        tokio::task::yield_now().await;
    }
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    // The stalled shard recovers, and no room keeps the one who left meanwhile.
    server.await_metric("parlour_rooms", 0.0).await;
    server.drain().await;
}

/// R17: three times what the queue holds gets explicit refusals; then all goes on.
#[tokio::test]
async fn overload_is_refused_in_words_and_passes() {
    const QUEUE: usize = 50;
    let (server, store) = TestServer::start_faulty(|config| {
        config.limits.commit_queue = QUEUE;
        config.limits.rate_per_s = 0;
    })
    .await;
    let mut alice = server.json("Alice").await;
    alice.join("lobby").await;
    store.appends(Mood::Stuck);
    for n in 0..3 * QUEUE {
        alice.send("publish", json!({"room": "lobby", "text": n.to_string()})).await;
    }
    let mut refused = 0;
    while refused < 2 * QUEUE {
        let event = alice.next().await;
        assert_eq!((&event["type"], &event["code"]), (&json!("error"), &json!("overloaded")), "{event}");
        assert!(event["retry_after_ms"].is_u64() && event["retryable"] == true, "{event}");
        refused += 1;
    }
    // Nobody waits for the store who asks for something else.
    assert_eq!(alice.ask("ping", json!({})).await["type"], "pong");
    store.appends(Mood::Well);
    let recovered = Instant::now();
    let (mut acks, mut last) = (0, 0);
    while acks < QUEUE {
        let event = alice.next().await;
        match event["type"].as_str() {
            Some("ack") => acks += 1,
            Some("message") => {
                let seq = event["payload"]["seq"].as_u64().expect("a number");
                assert_eq!(seq, last + 1, "what was accepted keeps its order");
                last = seq;
            }
            _ => panic!("{event}"),
        }
    }
    alice.publish("lobby", "after the storm").await;
    assert!(recovered.elapsed() < Duration::from_secs(5), "{:?}", recovered.elapsed());
    server.drain().await;
}

/// R16: members, connections and broadcasts cost no tasks.
#[tokio::test]
async fn nothing_that_stays_costs_a_task() {
    const MEMBERS: usize = 150;
    let server = TestServer::start_with(|config| config.limits.rate_per_s = 0).await;
    let mut alice = server.json("Alice").await;
    alice.join("lobby").await;
    let mut members = Vec::new();
    for n in 0..MEMBERS {
        members.push(Wire::open(&server, &format!("u{n}"), "lobby").await);
    }
    server.await_metric("parlour_tasks", 0.0).await;
    let threads = server.metric("parlour_process_threads").await;
    let began = Instant::now();
    let mut published = 0;
    // Two surveys.
    while began.elapsed() < Duration::from_millis(2_500) {
        alice.publish("lobby", "to everybody").await;
        published += 1;
        let tasks = server.metric("parlour_tasks").await;
        assert_eq!(tasks, 0.0, "after {published} broadcasts");
    }
    assert!(published > 5);
    let delivered = server.metric("parlour_deliveries_total").await;
    assert!(delivered >= f64::from(published) * MEMBERS as f64, "{delivered}");
    assert_eq!(server.metric("parlour_process_threads").await, threads);
    drop(members);
    server.drain().await;
}
