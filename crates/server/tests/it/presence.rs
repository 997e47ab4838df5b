//! Who is here: one member for all devices of a user, told once per change.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Json, TestServer};

const LONG: Duration = Duration::from_secs(300);

/// The next event that is about people: its type and the fields that matter.
async fn notice(client: &mut Json) -> (String, Value) {
    let event = client.next().await;
    let mut payload = event["payload"].clone();
    if let Some(fields) = payload.as_object_mut() {
        fields.remove("last_active_ms");
    }
    (event["type"].as_str().expect("a type").to_owned(), payload)
}

async fn assert_notice(client: &mut Json, kind: &str, payload: Value) {
    assert_eq!(notice(client).await, (kind.to_owned(), payload));
}

/// Returns the members that a room lists: name, status and text.
async fn members(client: &mut Json, room: &str) -> Vec<(String, String, Value)> {
    let list = client.ask("members", json!({"room": room})).await;
    let text = |member: &Value, field| member[field].as_str().expect("a text").to_owned();
    let members = list["payload"]["members"].as_array().expect("members").iter();
    let mut members: Vec<_> = members
        .map(|member| (text(member, "user"), text(member, "status"), member["text"].clone()))
        .collect();
    members.sort_by(|a, b| a.0.cmp(&b.0));
    members
}

fn member(user: &str, status: &str) -> (String, String, Value) {
    (user.into(), status.into(), Value::Null)
}

#[tokio::test]
async fn the_first_device_enters_and_the_last_one_leaves() {
    let server = TestServer::start_with(|config| {
        config.timeouts.grace = LONG;
        config.shards = 3;
    })
    .await;
    let mut bob = server.json("Bob").await;
    bob.join("general").await;
    let mut devices = Vec::new();
    for _ in 0..5 {
        let mut device = server.json("Alice").await;
        device.join("general").await;
        devices.push(device);
    }
    assert_notice(&mut bob, "member_joined", json!({"room": "general", "user": "Alice", "member_count": 2}))
        .await;
    let last = devices.pop().expect("five devices");
    for (n, mut device) in devices.into_iter().enumerate() {
        match n % 2 {
            0 => device.socket.close(1000).await,
            _ => drop(device.ask("leave", json!({"room": "general"})).await),
        }
    }
    let mut last = last;
    last.publish("general", "one device is left").await;
    assert_eq!(notice(&mut bob).await.1["text"], "one device is left", "nothing was told in between");
    assert_eq!(members(&mut bob, "general").await, [member("Alice", "online"), member("Bob", "online")]);
    last.socket.close(1000).await;
    assert_notice(&mut bob, "member_left", json!({"room": "general", "user": "Alice", "member_count": 1}))
        .await;
    assert_eq!(members(&mut bob, "general").await, [member("Alice", "offline"), member("Bob", "online")]);
}

#[tokio::test]
async fn a_status_is_shown_in_every_room_and_merged_over_devices() {
    let server = TestServer::start().await;
    let (mut bob, mut desk, mut phone) =
        (server.json("Bob").await, server.json("Alice").await, server.json("Alice").await);
    for room in ["one", "two"] {
        bob.join(room).await;
        desk.join(room).await;
        phone.join(room).await;
        bob.until("member_joined").await;
    }
    let presence = |room: &str, status: &str, text: Option<&str>| {
        let mut payload = json!({"room": room, "user": "Alice", "status": status});
        if let Some(text) = text {
            payload["text"] = text.into();
        }
        payload
    };
    async fn both(bob: &mut Json, expected: [Value; 2]) {
        let mut seen = [notice(bob).await, notice(bob).await];
        seen.sort_by_key(|(_, payload)| payload["room"].to_string());
        assert_eq!(seen, expected.map(|payload| ("presence".to_owned(), payload)));
    }

    let ack = desk.ask("presence", json!({"status": "away"})).await;
    assert_eq!(ack["type"], "ack");
    // The phone is still online, so Alice is.
    let ack = phone.ask("presence", json!({"status": "away", "text": "lunch"})).await;
    assert_eq!(ack["type"], "ack");
    both(&mut bob, ["one", "two"].map(|room| presence(room, "away", Some("lunch")))).await;
    desk.ask("presence", json!({"status": "online", "text": "back"})).await;
    both(&mut bob, ["one", "two"].map(|room| presence(room, "online", Some("back")))).await;
    desk.socket.close(1000).await;
    both(&mut bob, ["one", "two"].map(|room| presence(room, "away", Some("back")))).await;
    let listed = members(&mut bob, "one").await;
    assert_eq!(listed[0], ("Alice".into(), "away".into(), json!("back")));
    // A room that is entered later hears the status, too.
    bob.join("three").await;
    phone.join("three").await;
    let listed = members(&mut bob, "three").await;
    assert_eq!(listed[0].1, "away");
}

#[tokio::test]
async fn activity_is_dated_and_being_away_is_no_activity() {
    let server = TestServer::start().await;
    let mut alice = server.json("Alice").await;
    let joined = alice.join("general").await;
    let at = |member: &Value| member["last_active_ms"].as_i64().expect("milliseconds");
    let entered = at(&joined["members"][0]);
    let ts = alice.publish("general", "hello").await["ts"].as_i64().expect("milliseconds");
    alice.ask("presence", json!({"status": "away"})).await;
    let list = alice.ask("members", json!({"room": "general"})).await;
    let active = at(&list["payload"]["members"][0]);
    assert!(entered <= active && active <= ts, "{entered} {active} {ts}");
}

#[tokio::test]
async fn a_reload_gives_no_notice_and_a_lost_user_one_after_the_grace() {
    let grace = Duration::from_secs(2);
    let server = TestServer::start_with(|config| config.timeouts.grace = grace).await;
    let mut bob = server.json("Bob").await;
    bob.join("general").await;
    let mut alice = server.json("Alice").await;
    alice.join("general").await;
    assert_eq!(notice(&mut bob).await.0, "member_joined");
    for _ in 0..5 {
        drop(alice);
        alice = server.json("Alice").await;
        alice.join("general").await;
    }
    alice.publish("general", "still here").await;
    assert_eq!(notice(&mut bob).await.1["text"], "still here");
    let lost_at = Instant::now();
    drop(alice);
    server.await_metric("parlour_connections", 1.0).await;
    assert_eq!(members(&mut bob, "general").await[0], member("Alice", "online"), "within the grace");
    assert_eq!(notice(&mut bob).await.0, "member_left");
    // Rooms count whole milliseconds.
    let waited = lost_at.elapsed() + Duration::from_millis(2);
    assert!(waited >= grace, "{waited:?}");
}

#[tokio::test]
async fn who_was_here_is_known_after_a_restart() {
    let server = TestServer::start_durable(|_| {}).await;
    let (mut left, mut stayed) = (server.json("Left").await, server.json("Stayed").await);
    for room in ["general", "live:ticks"] {
        left.join(room).await;
        stayed.join(room).await;
        left.publish(room, "I was here").await;
    }
    left.socket.close(1000).await;
    stayed.until("member_left").await;
    let list = stayed.ask("members", json!({"room": "general"})).await;
    let list = list["payload"]["members"].as_array().expect("members").clone();
    let active = |name| {
        let member = list.iter().find(|member| member["user"] == name).expect("listed");
        member["last_active_ms"].clone()
    };
    let known = [active("Left"), active("Stayed")];

    let server = server.restart(|_| {}).await;
    let mut alice = server.json("Alice").await;
    alice.join("general").await;
    let listed = members(&mut alice, "general").await;
    assert_eq!(listed, [member("Alice", "online"), member("Left", "offline"), member("Stayed", "offline")]);
    let list = alice.ask("members", json!({"room": "general"})).await;
    for (name, active) in ["Left", "Stayed"].into_iter().zip(known) {
        let members = list["payload"]["members"].as_array().expect("members");
        let member = members.iter().find(|member| member["user"] == name).expect("listed");
        assert_eq!(member["last_active_ms"], active, "{name}");
    }
    alice.join("live:ticks").await;
    assert_eq!(members(&mut alice, "live:ticks").await, [member("Alice", "online")]);
}

#[tokio::test]
async fn typing_is_told_once_per_change_and_ends_with_the_message() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = (server.json("Alice").await, server.json("Bob").await);
    alice.join("general").await;
    bob.join("general").await;
    let typing = |active: bool| json!({"room": "general", "user": "Alice", "active": active});
    let says = |active: bool| json!({"room": "general", "active": active});

    for _ in 0..10 {
        alice.send("typing", says(true)).await;
    }
    alice.send("typing", says(false)).await;
    alice.send("typing", says(false)).await;
    alice.send("typing", says(true)).await;
    alice.send("publish", json!({"room": "general", "text": "done"})).await;
    alice.send("typing", says(true)).await;
    alice.send("leave", json!({"room": "general"})).await;
    for active in [true, false, true, false] {
        assert_notice(&mut bob, "typing", typing(active)).await;
    }
    // The message is told when it is stored, which may be after its sender has left.
    let mut rest = Vec::new();
    while rest.len() < 4 {
        rest.push(notice(&mut bob).await);
    }
    let kinds: Vec<_> =
        rest.iter().map(|(kind, _)| kind.as_str()).filter(|kind| *kind != "message").collect();
    assert_eq!(kinds, ["typing", "typing", "member_left"], "{rest:?}");
    let page = bob.ask("history", json!({"room": "general"})).await;
    assert_eq!(page["payload"]["head"], 1, "typing is no message");
}

#[tokio::test]
async fn typing_that_is_not_renewed_expires_by_itself() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = (server.json("Alice").await, server.json("Bob").await);
    alice.join("general").await;
    bob.join("general").await;
    let began = Instant::now();
    alice.send("typing", json!({"room": "general", "active": true})).await;
    for active in [true, false] {
        assert_notice(&mut bob, "typing", json!({"room": "general", "user": "Alice", "active": active}))
            .await;
    }
    let lived = began.elapsed() + Duration::from_millis(2);
    assert!(lived >= Duration::from_secs(6) && lived < Duration::from_secs(9), "{lived:?}");
}

#[tokio::test]
async fn typing_needs_a_room_that_was_entered() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = (server.json("Alice").await, server.json("Bob").await);
    bob.join("general").await;
    alice.send("typing", json!({"room": "general", "active": true})).await;
    assert_eq!(alice.until("error").await["code"], "forbidden");
    bob.publish("general", "nobody types").await;
    assert_eq!(members(&mut bob, "general").await, [member("Bob", "online")]);
}

#[tokio::test]
async fn a_very_large_room_gives_no_notices_but_keeps_count() {
    let server = TestServer::start_with(|config| config.limits.notice_members = 3).await;
    let mut clients = Vec::new();
    for n in 0..5 {
        let mut client = server.json(&format!("user {n}")).await;
        assert_eq!(client.join("general").await["member_count"], n + 1);
        clients.push(client);
    }
    let mut last = clients.pop().expect("five clients");
    last.ask("presence", json!({"status": "away"})).await;
    last.send("typing", json!({"room": "general", "active": true})).await;
    last.publish("general", "sentinel").await;
    let first = &mut clients[0];
    let seen = first.before("sentinel").await;
    let told: Vec<_> = seen.iter().map(|event| event["payload"]["user"].clone()).collect();
    assert_eq!(told, [json!("user 1"), json!("user 2")], "only while the room was small");
    assert_eq!(first.ask("members", json!({"room": "general"})).await["payload"]["member_count"], 5);
}
