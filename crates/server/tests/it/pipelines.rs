//! What one connection sends to one room keeps its order, also when some of it fails (P3).

use serde_json::{Value, json};

use crate::harness::TestServer;
use crate::harness::faulty::Mood;
use parlour_server::store::StoreError;

fn publish(n: u32) -> Value {
    json!({"room": "general", "text": n.to_string(), "cid": format!("cid-{n}")})
}

#[tokio::test]
async fn what_stands_behind_a_failure_fails_until_the_failed_message_comes_again() {
    let (server, store) = TestServer::start_faulty(|config| config.limits.rate_per_s = 0).await;
    let mut alice = server.json("Alice").await;
    alice.join("general").await;
    store.appends(Mood::FailingOnce(StoreError::Unavailable));
    let failed = alice.ask("publish", publish(1)).await;
    assert_eq!((&failed["code"], &failed["retryable"]), (&json!("unavailable"), &json!(true)));
    assert_eq!(failed["blocked_by"], Value::Null, "it is the first");
    // Sent after the failure was told, by a client that had not read it yet.
    let behind = alice.ask("publish", publish(2)).await;
    assert_eq!((&behind["code"], &behind["blocked_by"]), (&json!("unavailable"), &failed["id"]));
    let elsewhere = alice.ask("private", json!({"to": "Bob", "text": "hi", "cid": "other"})).await;
    assert_eq!(elsewhere["type"], "ack", "another room is another pipe");
    for (n, seq) in [(1, 1), (2, 2)] {
        let ack = alice.ask("publish", publish(n)).await;
        assert_eq!(ack["payload"]["seq"], seq, "{ack}");
    }
}

#[tokio::test]
async fn messages_that_were_sent_at_once_are_stored_in_order_or_not_at_all() {
    let (server, store) = TestServer::start_faulty(|config| config.limits.rate_per_s = 0).await;
    let mut alice = server.json("Alice").await;
    alice.join("general").await;
    store.appends(Mood::FailingOnce(StoreError::Unavailable));
    for n in 1..=40 {
        alice.send("publish", publish(n)).await;
    }
    let mut answers = 0;
    while answers < 40 {
        let event = alice.next().await;
        assert_ne!(event["type"], "ack", "nothing passes the first failure: {event}");
        answers += u32::from(event["type"] == "error");
    }
    for n in 1..=40 {
        alice.send("publish", publish(n)).await;
    }
    let mut texts = Vec::new();
    while texts.len() < 40 {
        let event = alice.next().await;
        if event["type"] == "message" {
            texts.push(event["payload"]["text"].as_str().expect("text").parse::<u32>().expect("a number"));
        }
    }
    assert_eq!(texts, (1..=40).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_message_that_came_too_fast_holds_back_the_next_ones() {
    let server = TestServer::start_with(|config| {
        config.limits.rate_per_s = 1_000;
        config.limits.burst = 2;
    })
    .await;
    let mut alice = server.json("Alice").await;
    alice.join("general").await;
    for n in 1..=20 {
        alice.send("publish", publish(n)).await;
    }
    let (mut acked, mut refused) = (Vec::new(), Vec::new());
    while acked.len() + refused.len() < 20 {
        let event = alice.next().await;
        match event["type"].as_str() {
            Some("ack") => acked.push(event["id"].as_u64()),
            Some("error") => refused.push(event["id"].as_u64()),
            _ => {}
        }
    }
    assert!(!refused.is_empty(), "twenty at once are too many");
    assert!(acked.iter().max() < refused.iter().min(), "{acked:?} {refused:?}");
}
