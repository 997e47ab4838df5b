//! Private messages: to both people's devices, kept until read, and nobody else's business.

use serde_json::{Value, json};

use crate::harness::{Json, TestServer};

const ROOM: &str = "@Alice,Bob";

async fn say(from: &mut Json, to: &str, text: &str) -> Value {
    let ack = from.ask("private", json!({"to": to, "text": text})).await;
    assert_eq!(ack["type"], "ack", "{ack}");
    ack["payload"].clone()
}

/// Reads exactly the private messages with these texts, in this order.
async fn assert_private(client: &mut Json, texts: &[&str]) {
    for text in texts {
        let event = client.until("private").await;
        assert_eq!(event["payload"]["text"], *text);
    }
}

/// Proves that no private message is on its way: one that is sent now comes next.
async fn assert_no_more(from: &mut Json, client: &mut Json, to: &str) {
    say(from, to, "sentinel").await;
    assert_private(client, &["sentinel"]).await;
}

#[tokio::test]
async fn a_private_message_reaches_all_devices_of_both_and_nobody_else() {
    let server = TestServer::start_with(|config| config.shards = 3).await;
    let (mut desk, mut phone) = (server.json("Alice").await, server.json("Alice").await);
    let (mut bob, mut tablet) = (server.json("Bob").await, server.json("Bob").await);
    let (mut terminal, _) = server.enter("general", "Bob").await;
    let mut others = Vec::new();
    for name in ["Carol", "Dave", "Eve"] {
        let mut other = server.json(name).await;
        other.join("general").await;
        assert!(terminal.recv().await.ends_with(" joined the room"));
        others.push(other);
    }
    desk.join("general").await;

    desk.send("private", json!({"to": "Bob", "text": "psst", "cid": "c1"})).await;
    for client in [&mut desk, &mut phone, &mut bob, &mut tablet] {
        let event = client.until("private").await["payload"].clone();
        let shown = ["room", "seq", "from", "to", "text", "cid"].map(|field| event[field].clone());
        assert_eq!(json!(shown), json!([ROOM, 1, "Alice", "Bob", "psst", "c1"]));
    }
    assert_eq!(terminal.recv().await, "Alice joined the room");
    assert_eq!(terminal.recv().await, "[private] Alice > Bob: psst");
    desk.until("ack").await;
    desk.publish("general", "sentinel").await;
    for other in &mut others {
        let before = other.before("sentinel").await;
        assert!(before.iter().all(|event| event["type"] == "member_joined"), "{before:?}");
    }
    // Each device got it once.
    say(&mut bob, "Alice", "answer").await;
    for client in [&mut desk, &mut phone, &mut tablet] {
        assert_private(client, &["answer"]).await;
    }
}

#[tokio::test]
async fn private_messages_wait_for_an_absent_user_until_they_are_read() {
    let server = TestServer::start_durable(|_| {}).await;
    let mut alice = server.json("Alice").await;
    for text in ["one", "two", "three"] {
        say(&mut alice, "Bob", text).await;
    }
    for _ in 0..2 {
        let mut bob = server.json("Bob").await;
        assert_private(&mut bob, &["one", "two", "three"]).await;
    }
    let mut bob = server.json("Bob").await;
    let read = bob.ask("read", json!({"room": ROOM, "seq": 2})).await;
    assert_eq!(read["type"], "ack");
    let notice = alice.until("read").await;
    assert_eq!(notice["payload"], json!({"room": ROOM, "user": "Bob", "seq": 2, "count": 1, "of": 2}));
    drop(bob);

    // The cursor is written behind the answer; the end of the server waits for it.
    let server = server.restart(|_| {}).await;
    let (mut alice, mut bob) = (server.json("Alice").await, server.json("Bob").await);
    assert_private(&mut bob, &["three"]).await;
    assert_no_more(&mut bob, &mut alice, "Alice").await;
    assert_no_more(&mut alice, &mut bob, "Bob").await;
}

#[tokio::test]
async fn private_messages_survive_a_restart_and_keep_their_numbers() {
    let server = TestServer::start_durable(|_| {}).await;
    let mut alice = server.json("Alice").await;
    let before = say(&mut alice, "Bob", "remember").await;
    let server = server.restart(|_| {}).await;
    let mut bob = server.json("Bob").await;
    let event = bob.until("private").await;
    assert_eq!((&event["payload"]["text"], &event["payload"]["seq"]), (&json!("remember"), &json!(1)));
    let after = say(&mut bob, "Alice", "I do").await;
    assert_eq!((&after["seq"], &after["epoch"]), (&json!(2), &before["epoch"]));
    let mut alice = server.json("Alice").await;
    assert_private(&mut alice, &["I do"]).await;
}

#[tokio::test]
async fn what_a_terminal_was_shown_counts_as_read() {
    let server = TestServer::start().await;
    let mut alice = server.json("Alice").await;
    say(&mut alice, "Bob", "hello").await;
    let (bob, shown) = server.enter("general", "Bob").await;
    let mut bob = bob;
    let line = "[private] Alice > Bob: hello";
    if !shown.iter().any(|shown| shown == line) {
        assert_eq!(bob.recv().await, line);
    }
    let notice = alice.until("read").await;
    assert_eq!(notice["payload"], json!({"room": ROOM, "user": "Bob", "seq": 1, "count": 1, "of": 2}));
    bob.send("/msg Alice seen").await;
    assert_private(&mut alice, &["hello", "seen"][1..]).await;
}

#[tokio::test]
async fn waiting_messages_precede_those_that_come_meanwhile() {
    let server = TestServer::start_with(|config| config.limits.rate_per_s = 0).await;
    let mut alice = server.json("Alice").await;
    let mut sent = 0;
    for _ in 0..20 {
        say(&mut alice, "Bob", &format!("{sent}")).await;
        sent += 1;
        // These are on their way while Bob arrives.
        for _ in 0..20 {
            alice.send("private", json!({"to": "Bob", "text": format!("{sent}")})).await;
            sent += 1;
        }
        let mut bob = server.json("Bob").await;
        let mut seen = Vec::new();
        while seen.last().is_none_or(|last| last + 1 < sent) {
            let event = bob.until("private").await;
            seen.push(event["payload"]["text"].as_str().expect("a text").parse::<u64>().expect("a number"));
        }
        let first = seen[0];
        assert_eq!(seen, (first..sent).collect::<Vec<_>>(), "in order, each once");
        bob.ask("read", json!({"room": ROOM, "seq": sent})).await;
        bob.socket.close(1000).await;
    }
}

#[tokio::test]
async fn an_inbox_shows_the_newest_and_history_the_rest() {
    let server = TestServer::start_with(|config| config.limits.rate_per_s = 0).await;
    let mut alice = server.json("Alice").await;
    for n in 1..=60 {
        say(&mut alice, "Bob", &format!("{n}")).await;
    }
    let mut bob = server.json("Bob").await;
    for n in 11..=60 {
        assert_private(&mut bob, &[&format!("{n}")]).await;
    }
    let page = bob.ask("history", json!({"room": ROOM, "before": 11})).await;
    let messages = page["payload"]["events"].as_array().expect("messages");
    let texts: Vec<_> = messages.iter().map(|message| message["payload"]["text"].clone()).collect();
    assert_eq!(texts, (1..=10).map(|n| json!(n.to_string())).collect::<Vec<_>>());
    let rooms = bob.ask("rooms", json!({})).await;
    let rooms = rooms["payload"]["rooms"].as_array().expect("rooms");
    assert!(rooms.iter().any(|room| room["room"] == ROOM && room["with"] == "Alice"), "{rooms:?}");
}

/// Whoever gets much mail can still come online: all of it at once would be more than a slow line takes.
#[tokio::test]
async fn an_inbox_of_long_messages_is_cut_to_the_newest() {
    let server = TestServer::start_with(|config| config.limits.rate_per_s = 0).await;
    let (mut alice, mut carol) = (server.json("Alice").await, server.json("Carol").await);
    for n in 1..=10 {
        for from in [&mut alice, &mut carol] {
            say(from, "Bob", &format!("{n} {}", "x".repeat(60_000))).await;
        }
    }
    let mut bob = server.json("Bob").await;
    for _ in 0..4 {
        let event = bob.until("private").await;
        assert!(event["payload"]["seq"].as_u64() > Some(6), "{:.80}", event.to_string());
    }
    assert_no_more(&mut alice, &mut bob, "Bob").await;
}

#[tokio::test]
async fn a_conversation_does_not_exist_for_a_third_person() {
    let server = TestServer::start().await;
    let (mut alice, mut eve) = (server.json("Alice").await, server.json("Eve").await);
    say(&mut alice, "Bob", "secret").await;
    for room in [ROOM, "@Alice,Nobody"] {
        for (command, more) in [("join", json!({})), ("history", json!({})), ("history", json!({"after": 0}))]
        {
            let mut payload = json!({"room": room});
            payload.as_object_mut().expect("an object").extend(more.as_object().expect("too").clone());
            let refused = eve.ask(command, payload).await;
            assert_eq!(
                (&refused["type"], &refused["code"]),
                (&json!("error"), &json!("not_found")),
                "{room}"
            );
            assert!(!refused.to_string().contains("secret"));
        }
        for (command, payload) in [
            ("publish", json!({"room": room, "text": "let me in"})),
            ("members", json!({"room": room})),
            ("read", json!({"room": room, "seq": 0})),
        ] {
            let refused = eve.ask(command, payload).await;
            assert_eq!(refused["type"], "error", "{command}: {refused}");
        }
    }
    let rooms = eve.ask("rooms", json!({})).await;
    assert_eq!(rooms["payload"]["rooms"], json!([]));
    let refused = alice.ask("join", json!({"room": "@Bob,Alice"})).await;
    assert_eq!(refused["code"], "invalid_room", "one conversation has one name");
}

#[tokio::test]
async fn a_conversation_that_was_joined_shows_each_message_once() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = (server.json("Alice").await, server.json("Bob").await);
    say(&mut alice, "Bob", "before").await;
    assert_private(&mut bob, &["before"]).await;
    bob.ask("read", json!({"room": ROOM, "seq": 1})).await;
    let joined = bob.ask("join", json!({"room": ROOM, "history": 10})).await;
    assert_eq!(joined["payload"]["replayed"], 1);
    assert_private(&mut bob, &["before"]).await;
    say(&mut alice, "Bob", "after").await;
    assert_private(&mut bob, &["after"]).await;
    assert_no_more(&mut alice, &mut bob, "Bob").await;
}

#[tokio::test]
async fn the_same_cid_is_one_private_message() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = (server.json("Alice").await, server.json("Bob").await);
    for dup in [false, true, true] {
        let ack = alice.ask("private", json!({"to": "Bob", "text": "once", "cid": "x"})).await;
        assert_eq!((&ack["payload"]["seq"], &ack["payload"]["dup"]), (&json!(1), &json!(dup)));
    }
    let conflict = alice.ask("private", json!({"to": "Bob", "text": "other", "cid": "x"})).await;
    assert_eq!(conflict["code"], "idempotency_conflict");
    assert_private(&mut bob, &["once"]).await;
    assert_no_more(&mut alice, &mut bob, "Bob").await;
}

#[tokio::test]
async fn a_note_to_oneself_reaches_each_own_device_once() {
    let server = TestServer::start().await;
    let (mut desk, mut phone) = (server.json("Alice").await, server.json("Alice").await);
    desk.send("private", json!({"to": "Alice", "text": "milk"})).await;
    desk.send("private", json!({"to": "Alice", "text": "bread"})).await;
    for device in [&mut desk, &mut phone] {
        assert_private(device, &["milk", "bread"]).await;
    }
}
