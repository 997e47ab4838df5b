//! Rooms with owners: who may enter, change and remove what.

use serde_json::{Value, json};

use crate::harness::{Json, TestServer};

async fn done(client: &mut Json, command: &str, payload: Value) -> Value {
    let ack = client.ask(command, payload).await;
    assert_eq!(ack["type"], "ack", "{ack}");
    ack["payload"].clone()
}

async fn refused(client: &mut Json, command: &str, payload: Value) -> String {
    let error = client.ask(command, payload).await;
    assert_eq!(error["type"], "error", "{error}");
    error["code"].as_str().expect("a word").to_owned()
}

/// A private room that Alice has made and Bob may enter.
async fn private_room(server: &TestServer) -> (Json, Json) {
    let mut alice = server.json("Alice").await;
    done(&mut alice, "create", json!({"room": "board", "title": "The board", "private": true})).await;
    alice.join("board").await;
    done(&mut alice, "role", json!({"room": "board", "user": "Bob", "role": "member"})).await;
    let mut bob = server.json("Bob").await;
    bob.join("board").await;
    (alice, bob)
}

#[tokio::test]
async fn a_private_room_is_not_there_for_strangers() {
    let server = TestServer::start_durable(|_| {}).await;
    let (mut alice, _bob) = private_room(&server).await;
    let epoch = alice.publish("board", "secret").await["epoch"].clone();
    let mut eve = server.json("Eve").await;
    let since = json!({"epoch": epoch, "seq": 1});
    for (command, payload) in [
        ("join", json!({"room": "board"})),
        ("join", json!({"room": "board", "since": since})),
        ("history", json!({"room": "board"})),
        ("info", json!({"room": "board"})),
    ] {
        assert_eq!(refused(&mut eve, command, payload).await, "not_found", "{command}");
    }
    assert_eq!(refused(&mut eve, "publish", json!({"room": "board", "text": "hi"})).await, "forbidden");
    let rooms = eve.ask("rooms", json!({})).await;
    assert_eq!(rooms["payload"]["rooms"], json!([]));
}

#[tokio::test]
async fn nothing_reaches_somebody_after_the_removal() {
    let server = TestServer::start_durable(|config| config.limits.rate_per_s = 0).await;
    let (mut alice, mut bob) = private_room(&server).await;
    let position = alice.publish("board", "for both").await;
    // In one go: the removal is still being stored when the next message is sent.
    alice.send("role", json!({"room": "board", "user": "Bob"})).await;
    for n in 0..50 {
        alice.send("publish", json!({"room": "board", "text": format!("not for Bob {n}")})).await;
    }
    bob.before("for both").await;
    assert_eq!(bob.until("left").await["payload"]["room"], "board");
    assert_eq!(bob.ask("ping", json!({})).await["type"], "pong");
    let resume = json!({"room": "board", "since": {"epoch": position["epoch"], "seq": position["seq"]}});
    assert_eq!(refused(&mut bob, "join", resume).await, "not_found");
    assert_eq!(refused(&mut bob, "history", json!({"room": "board"})).await, "not_found");
    // Also for a server that has forgotten everything but the log.
    let server = server.restart(|_| {}).await;
    let mut bob = server.json("Bob").await;
    assert_eq!(refused(&mut bob, "join", json!({"room": "board"})).await, "not_found");
}

#[tokio::test]
async fn a_room_that_becomes_private_lets_strangers_go() {
    let server = TestServer::start_durable(|_| {}).await;
    let mut alice = server.json("Alice").await;
    done(&mut alice, "create", json!({"room": "open"})).await;
    alice.join("open").await;
    let mut bob = server.json("Bob").await;
    bob.join("open").await;
    done(&mut alice, "configure", json!({"room": "open", "private": true, "topic": "closed"})).await;
    let changed = bob.until("room_changed").await;
    assert_eq!(
        (&changed["payload"]["private"], &changed["payload"]["topic"]),
        (&json!(true), &json!("closed"))
    );
    assert_eq!(bob.next().await["type"], "left");
}

#[tokio::test]
async fn owners_moderators_and_members_may_do_what_their_roles_say() {
    let server = TestServer::start_durable(|config| config.limits.rate_per_s = 0).await;
    let (mut alice, mut bob) = private_room(&server).await;
    let said = alice.publish("board", "minutes").await["seq"].clone();
    let target = json!({"room": "board", "target": said});
    let pin = json!({"room": "board", "target": said, "active": true});
    let admit = json!({"room": "board", "user": "Carol", "role": "member"});
    let rename = json!({"room": "board", "title": "Bob's"});
    for (command, payload) in [("delete", &target), ("pin", &pin), ("role", &admit), ("configure", &rename)] {
        assert_eq!(refused(&mut bob, command, payload.clone()).await, "forbidden", "a member: {command}");
    }
    done(&mut alice, "role", json!({"room": "board", "user": "Bob", "role": "moderator"})).await;
    done(&mut bob, "pin", pin).await;
    done(&mut bob, "role", admit).await;
    let info = bob.ask("info", json!({"room": "board"})).await["payload"].clone();
    let roles = json!([
        {"user": "Alice", "role": "owner"},
        {"user": "Bob", "role": "moderator"},
        {"user": "Carol", "role": "member"},
    ]);
    assert_eq!(
        (&info["roles"], &info["title"], &info["pins"]),
        (&roles, &json!("The board"), &json!([said]))
    );
    done(&mut bob, "delete", target).await;
    let info = bob.ask("info", json!({"room": "board"})).await["payload"].clone();
    assert_eq!(info["pins"], json!([]), "a deleted message is not pinned");
    for (user, role) in [("Alice", Value::Null), ("Bob", json!("owner")), ("Carol", json!("moderator"))] {
        let change = json!({"room": "board", "user": user, "role": role});
        assert_eq!(refused(&mut bob, "role", change).await, "forbidden", "a moderator: {user} {role}");
    }
    let goodbye = json!({"room": "board", "user": "Alice"});
    assert_eq!(refused(&mut alice, "role", goodbye.clone()).await, "forbidden", "the last owner");
    done(&mut alice, "role", json!({"room": "board", "user": "Bob", "role": "owner"})).await;
    alice.send("role", goodbye).await;
    assert_eq!(alice.until("left").await["payload"]["room"], "board");
    assert_eq!(refused(&mut alice, "history", json!({"room": "board"})).await, "not_found");
}

#[tokio::test]
async fn a_room_is_created_once_and_other_rooms_have_no_owner() {
    let server = TestServer::start_durable(|_| {}).await;
    let mut alice = server.json("Alice").await;
    let create = json!({"room": "new", "title": "New", "cid": "c"});
    let first = done(&mut alice, "create", create).await;
    assert_eq!((&first["seq"], &first["count"]), (&json!(1), &json!(2)));
    let mut bob = server.json("Bob").await;
    assert_eq!(refused(&mut bob, "create", json!({"room": "new"})).await, "exists");
    bob.join("general").await;
    bob.publish("general", "hi").await;
    assert_eq!(refused(&mut bob, "create", json!({"room": "general"})).await, "exists");
    assert_eq!(refused(&mut bob, "configure", json!({"room": "general", "topic": "x"})).await, "forbidden");
    assert_eq!(refused(&mut bob, "create", json!({"room": "live:x"})).await, "forbidden");
}
