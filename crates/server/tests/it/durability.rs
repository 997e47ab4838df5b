//! What was acknowledged is stored, and what was not stored was never shown.

use parlour_server::config::RoomRule;
use parlour_server::store::StoreError;
use serde_json::{Value, json};

use crate::harness::TestServer;
use crate::harness::faulty::Mood;

#[tokio::test]
async fn nothing_is_acknowledged_or_shown_before_it_is_stored() {
    let (server, store) = TestServer::start_faulty(|config| {
        config.rooms = vec![RoomRule::ephemeral("live:*")];
    })
    .await;
    let (mut alice, mut bob) = (server.json("Alice").await, server.json("Bob").await);
    for client in [&mut alice, &mut bob] {
        client.join("general").await;
        client.join("live:ticks").await;
    }
    store.appends(Mood::Stuck);
    let waiting = alice.send("publish", json!({"room": "general", "text": "stored first"})).await;
    for n in 0..20 {
        // An ephemeral room needs no store, so its messages overtake the waiting one.
        alice.send("publish", json!({"room": "live:ticks", "text": format!("tick {n}")})).await;
    }
    let mut seen = bob.before("tick 18").await;
    seen.extend(alice.before("tick 18").await);
    assert!(!format!("{seen:?}").contains("stored first"), "{seen:?}");
    store.appends(Mood::Well);
    bob.before("stored first").await;
    let ack = loop {
        let event = alice.next().await;
        if event["id"] == waiting {
            break event;
        }
    };
    assert_eq!((&ack["type"], &ack["payload"]["seq"]), (&json!("ack"), &json!(1)));
}

#[tokio::test]
async fn a_store_that_fails_means_an_error_for_the_sender_and_nothing_for_others() {
    let (server, store) = TestServer::start_faulty(|_| {}).await;
    let (mut alice, mut bob) = (server.json("Alice").await, server.json("Bob").await);
    alice.join("general").await;
    bob.join("general").await;
    alice.publish("general", "before").await;
    for (error, code) in [
        (StoreError::Unavailable, "unavailable"),
        (StoreError::Full, "storage_full"),
        (StoreError::Indeterminate, "indeterminate"),
    ] {
        store.appends(Mood::Failing(error));
        let refused = alice.ask("publish", json!({"room": "general", "text": "lost", "cid": "c"})).await;
        assert_eq!((&refused["type"], &refused["code"]), (&json!("error"), &json!(code)));
        assert_eq!(refused["retryable"], true);
        assert!(refused["retry_after_ms"].as_u64().is_some_and(|ms| ms > 0), "{refused}");
        let refused = alice.ask("private", json!({"to": "Bob", "text": "lost"})).await;
        assert_eq!(refused["code"], code);
        let page = bob.ask("history", json!({"room": "general"})).await;
        assert_eq!(texts(&page["payload"]["events"]), ["before"], "reads go on");
    }
    let mut carol = server.json("Carol").await;
    carol.ask("join", json!({"room": "general", "history": 10})).await;
    assert_eq!(carol.next().await["payload"]["text"], "before", "so do joins");

    store.appends(Mood::Well);
    let retried = alice.ask("publish", json!({"room": "general", "text": "lost", "cid": "c"})).await;
    assert_eq!(retried["payload"]["seq"], 2, "a refused message took no number: {retried}");
    let heard = bob.before("lost").await;
    assert!(!format!("{heard:?}").contains("lost"), "{heard:?}");
}

#[tokio::test]
async fn what_is_in_the_pipe_behind_a_failure_fails_too_so_that_a_retry_keeps_the_order() {
    let (server, store) = TestServer::start_faulty(|_| {}).await;
    let (mut alice, mut bob) = (server.json("Alice").await, server.json("Bob").await);
    for client in [&mut alice, &mut bob] {
        client.join("general").await;
        client.join("other").await;
    }
    let said = |room: &str, text: &str| json!({"room": room, "text": text, "cid": text});
    store.appends(Mood::Stuck);
    alice.send("publish", said("general", "one")).await;
    store.stuck_append().await;
    for text in ["two", "three"] {
        alice.send("publish", said("general", text)).await;
    }
    alice.send("publish", said("other", "elsewhere")).await;
    bob.send("publish", said("general", "from Bob")).await;
    while server.server().node().commits.len() < 5 {
        tokio::task::yield_now().await;
    }
    store.appends(Mood::FailingOnce(StoreError::Unavailable));
    for _ in 0..3 {
        let refused = alice.until("error").await;
        assert_eq!((&refused["code"], &refused["retryable"]), (&json!("unavailable"), &json!(true)));
    }
    for text in ["one", "two", "three", "four"] {
        assert_eq!(alice.ask("publish", said("general", text)).await["type"], "ack", "{text}");
    }
    let page = bob.ask("history", json!({"room": "general"})).await;
    assert_eq!(texts(&page["payload"]["events"]), ["from Bob", "one", "two", "three", "four"]);
    let page = bob.ask("history", json!({"room": "other"})).await;
    assert_eq!(texts(&page["payload"]["events"]), ["elsewhere"], "other rooms are not held up");
}

#[tokio::test]
async fn live_rooms_leave_nothing_behind_and_other_rooms_everything() {
    let server = TestServer::start_durable(|_| {}).await;
    let mut epochs = Vec::new();
    for (visit, left) in [(1, 0), (2, 1)] {
        let mut alice = server.json("Alice").await;
        for (room, durable, kept) in [("live:ticks", false, 0), ("general", true, left)] {
            let joined = alice.ask("join", json!({"room": room, "history": 50})).await;
            assert_eq!(joined["payload"]["durable"], durable);
            assert_eq!(joined["payload"]["head"], kept, "{room} at visit {visit}");
            assert_eq!(joined["payload"]["replayed"], kept);
            for _ in 0..kept {
                alice.until("message").await;
            }
            alice.publish(room, "seen").await;
            let page = alice.ask("history", json!({"room": room})).await;
            assert_eq!(texts(&page["payload"]["events"]).len(), kept + 1, "readable while somebody is here");
            epochs.push(joined["payload"]["epoch"].clone());
        }
        alice.socket.close(1000).await;
        server.await_metric("parlour_rooms", 0.0).await;
    }
    assert_ne!(epochs[0], epochs[2], "other messages under the same numbers need another lineage");
    assert_eq!(epochs[1], epochs[3]);
}

fn texts(messages: &Value) -> Vec<&str> {
    let messages = messages.as_array().expect("a list of messages");
    messages.iter().map(|message| message["payload"]["text"].as_str().expect("a text")).collect()
}
