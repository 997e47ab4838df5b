//! Backends are asked before something happens, and nobody else waits for their answers.

use std::time::Duration;

use axum::http::StatusCode;
use parlour_hub::rights::Access;
use parlour_server::config::{Config, HookRule, Occasion, OnFailure, RoomRule};
use serde_json::{Value, json};

use crate::harness::{Json, TestServer};
use crate::hooks_backend::{Asked, Backend, allow_loopback, rooms, signer};

fn rule(on: Occasion, backend: &Backend) -> HookRule {
    HookRule {
        on,
        endpoint: backend.url("/hook").parse().expect("a URL"),
        signer: signer(),
        rooms: rooms("*"),
        within: Duration::from_secs(5),
        on_failure: OnFailure::Deny,
    }
}

async fn server_asking(rules: Vec<HookRule>, change: impl FnOnce(&mut Config)) -> TestServer {
    TestServer::start_with(|config| {
        allow_loopback(config);
        config.limits.rate_per_s = 0;
        config.backend.hooks = rules;
        change(config);
    })
    .await
}

/// Decides about what is said by its first word.
async fn by_first_word(asked: Asked) -> String {
    let question = asked.verified();
    assert_eq!(question["on"], "publish");
    let texts: Vec<&str> = question["entries"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|e| e["text"].as_str().expect("a text"))
        .collect();
    let answer = match texts[0].split(' ').next().expect("a word") {
        "deny" => json!({"deny": {"code": "filtered", "message": "not here"}}),
        "forbid" => json!({"allow": false}),
        "shout" => json!({"rewrite": {"texts": texts.iter().map(|t| t.to_uppercase()).collect::<Vec<_>>()}}),
        "nonsense" => json!({"rewrite": {"text": ""}}),
        _ => json!({"allow": true}),
    };
    answer.to_string()
}

#[tokio::test]
async fn what_is_said_is_allowed_denied_or_rewritten() {
    let backend = Backend::start(by_first_word).await;
    let server = server_asking(vec![rule(Occasion::Publish, &backend)], |_| {}).await;
    let (mut alice, mut bob) = (server.json("Alice").await, server.json("Bob").await);
    alice.join("general").await;
    bob.join("general").await;
    alice.publish("general", "hello").await;
    let say = |text: &str| json!({"room": "general", "text": text});
    let denied = alice.ask("publish", say("deny this")).await;
    assert_eq!((&denied["code"], &denied["message"]), (&json!("filtered"), &json!("not here")), "{denied}");
    assert_eq!(alice.ask("publish", say("forbid this")).await["code"], "forbidden");
    let unanswered = alice.ask("publish", say("nonsense")).await;
    assert_eq!((&unanswered["code"], &unanswered["retryable"]), (&json!("unavailable"), &json!(true)));
    alice.publish("general", "shout it").await;
    let batch = json!({"room": "general", "messages": [{"text": "shout one"}, {"text": "two"}]});
    assert_eq!(alice.ask("batch", batch).await["type"], "ack");
    let edit = json!({"room": "general", "target": 1, "text": "shout hello"});
    assert_eq!(alice.ask("edit", edit).await["type"], "ack");
    alice.publish("general", "end").await;
    let texts = |events: Vec<Value>| -> Vec<Value> {
        let said = events.into_iter().filter(|e| e["type"] == "message" || e["type"] == "edited");
        said.map(|event| event["payload"]["text"].clone()).collect()
    };
    let heard = texts(bob.before("end").await);
    assert_eq!(heard, ["hello", "SHOUT IT", "SHOUT ONE", "TWO", "SHOUT HELLO"].map(Value::from));
    let calls = server.metric("parlour_hook_calls_total").await;
    assert_eq!(calls, 8.0, "reactions and the like need no answer");
    server.drain().await;
}

#[tokio::test]
async fn a_hundred_messages_keep_their_order_whatever_the_hook_takes() {
    let backend = Backend::start(|asked: Asked| async move {
        let question = asked.verified();
        let number: u64 = question["entries"][0]["text"].as_str().expect("a text").parse().expect("a number");
        // Later ones would overtake earlier ones, if they could.
        tokio::time::sleep(Duration::from_millis(number * 7_919 % 13)).await;
        json!({"allow": true}).to_string()
    })
    .await;
    let server = server_asking(vec![rule(Occasion::Publish, &backend)], |_| {}).await;
    let (mut alice, mut bob) = (server.json("Alice").await, server.json("Bob").await);
    alice.join("general").await;
    bob.join("general").await;
    let mut requests = Vec::new();
    for number in 0..100 {
        requests.push(alice.send("publish", json!({"room": "general", "text": number.to_string()})).await);
    }
    let ping = alice.send("ping", json!({})).await;
    let mut answers = Vec::new();
    while answers.len() < 101 {
        answers.push(answer(&mut alice).await);
    }
    let pong = answers.iter().position(|answer| answer["id"] == ping).expect("it is answered");
    assert!(pong >= 99, "it was carried out behind the last message, not at {pong}");
    answers.remove(pong);
    for ((request, seq), ack) in requests.into_iter().zip(1..).zip(&answers) {
        assert_eq!((&ack["id"], &ack["payload"]["seq"]), (&json!(request), &json!(seq)), "{ack}");
    }
    let heard = bob.before("99").await;
    let numbers: Vec<_> = heard.iter().filter(|event| event["type"] == "message").collect();
    assert!(
        numbers.iter().zip(0..).all(|(event, number)| event["payload"]["text"] == json!(number.to_string()))
    );
    assert_eq!(numbers.len(), 99);
    server.drain().await;
}

/// Returns the next answer to a request.
async fn answer(client: &mut Json) -> Value {
    loop {
        let event = client.next().await;
        if !event["id"].is_null() {
            return event;
        }
    }
}

#[tokio::test]
async fn without_an_answer_the_policy_holds_and_a_hook_that_is_down_is_left_alone() {
    let silent = Backend::start(|_| async { std::future::pending::<StatusCode>().await }).await;
    let within = Duration::from_millis(30);
    let lenient = HookRule {
        within,
        on_failure: OnFailure::Allow,
        rooms: rooms("open"),
        ..rule(Occasion::Publish, &silent)
    };
    let strict = HookRule { within, rooms: rooms("closed"), ..rule(Occasion::Publish, &silent) };
    let server = server_asking(vec![lenient, strict], |_| {}).await;
    let (mut alice, mut bob) = (server.json("Alice").await, server.json("Bob").await);
    for room in ["open", "closed"] {
        alice.join(room).await;
        bob.join(room).await;
    }
    alice.publish("open", "allowed all the same").await;
    let denied = alice.ask("publish", json!({"room": "closed", "text": "hello", "cid": "a"})).await;
    assert_eq!((&denied["code"], &denied["retryable"]), (&json!("unavailable"), &json!(true)), "{denied}");
    assert!(denied["retry_after_ms"].as_u64() > Some(0));
    let behind = alice.ask("publish", json!({"room": "closed", "text": "behind", "cid": "b"})).await;
    assert!(!behind["blocked_by"].is_null(), "a retry keeps the order: {behind}");
    for number in 0..20 {
        alice.publish("open", &number.to_string()).await;
    }
    bob.before("19").await;
    let (_, page) = server.admin("/metrics").await;
    let count = |outcome: &str| crate::harness::sum_of(&labelled(&page, outcome), "parlour_hook_calls_total");
    assert_eq!(count("timeout") + count("down"), 23.0, "each message was a question");
    assert!(count("down") >= 10.0, "it was left alone: {page}");
    server.drain().await;
}

/// Returns the lines of a page of metrics with an outcome.
fn labelled(page: &str, outcome: &str) -> String {
    let label = format!("outcome=\"{outcome}\"");
    page.lines().filter(|line| line.contains(&label)).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn who_may_come_and_what_they_may_do_is_for_the_hook_to_say() {
    let backend = Backend::start(|asked: Asked| async move {
        let question = asked.verified();
        match question["user"].as_str().expect("a user") {
            "Mallory" => json!({"deny": {"message": "not you"}}),
            "Alice" => json!({"allow": true, "grants": {"closed:*": ["join", "read", "publish"]}}),
            _ => json!({"allow": true}),
        }
        .to_string()
    })
    .await;
    let closed = RoomRule { access: Some(Access::Members), durable: true, ..RoomRule::ephemeral("closed:*") };
    let server =
        server_asking(vec![rule(Occasion::Connect, &backend)], |config| config.rooms = vec![closed]).await;
    let (mut alice, mut bob) = (server.json("Alice").await, server.json("Bob").await);
    alice.join("closed:1").await;
    alice.publish("closed:1", "hello").await;
    assert_eq!(bob.ask("join", json!({"room": "closed:1"})).await["code"], "not_found");

    let mut mallory = server.open("/ws", &["parlour.json.v1"]).await.expect("upgraded");
    mallory.send(r#"{"type":"hello","id":1,"payload":{"user":"Mallory"}}"#).await;
    let refusal: Value = serde_json::from_str(&mallory.recv().await).expect("JSON");
    assert_eq!((&refusal["id"], &refusal["message"]), (&json!(1), &json!("not you")), "{refusal}");
    assert_eq!(mallory.closed().await.code, 1008);
    server.drain().await;
}

#[tokio::test]
async fn what_comes_behind_a_question_waits_for_it() {
    let backend = Backend::start(|asked: Asked| async move {
        let question = asked.verified();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let answer = match question["room"].as_str() {
            Some("no") => json!({"deny": {"code": "not_found"}}),
            _ => json!({"allow": true}),
        };
        answer.to_string()
    })
    .await;
    let rules = vec![rule(Occasion::Connect, &backend), rule(Occasion::Join, &backend)];
    let server = server_asking(rules, |_| {}).await;
    // Everything in one go, before the first answer.
    let mut alice = Json::new(server.open("/ws", &["parlour.json.v1"]).await.expect("upgraded"));
    alice.send("hello", json!({"user": "Alice"})).await;
    alice.send("join", json!({"room": "no"})).await;
    alice.send("join", json!({"room": "yes"})).await;
    alice.send("publish", json!({"room": "yes", "text": "hello"})).await;
    let mut kinds = Vec::new();
    for _ in 0..4 {
        kinds.push(answer(&mut alice).await["type"].as_str().expect("a type").to_owned());
    }
    assert_eq!(kinds, ["welcome", "error", "joined", "ack"]);

    // A plain-text client asks for its room in the URL.
    let (mut bob, _) = server.enter("yes", "Bob").await;
    bob.send("hello from Bob").await;
    alice.before("hello from Bob").await;
    server.drain().await;
}

#[tokio::test]
async fn who_leaves_while_a_hook_is_asked_is_gone_and_says_nothing() {
    let backend = Backend::start(|asked: Asked| async move {
        if asked.verified()["entries"][0]["text"] == "never" {
            std::future::pending::<()>().await;
        }
        json!({"allow": true}).to_string()
    })
    .await;
    let server = server_asking(vec![rule(Occasion::Publish, &backend)], |_| {}).await;
    let (mut alice, mut bob) = (server.json("Alice").await, server.json("Bob").await);
    alice.join("general").await;
    bob.join("general").await;
    alice.send("publish", json!({"room": "general", "text": "never"})).await;
    drop(alice);
    bob.publish("general", "still here").await;
    let before = bob.before("still here").await;
    assert!(before.iter().all(|event| event["type"] != "message"), "{before:?}");
    // Her socket ended while it was not read: it is looked at again when the question has its answer.
    server.await_metric("parlour_connections", 1.0).await;
    server.drain().await;
}
