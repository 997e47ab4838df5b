//! Coming back: exactly what was missed, or a clear word that this is not possible.

use std::time::Duration;

use parlour_protocol::Seq;
use serde_json::{Value, json};

use crate::harness::typed::room;
use crate::harness::{Json, TestServer};
use parlour_server::config::Config;
use parlour_server::store::Keep;

fn unlimited(config: &mut Config) {
    config.limits.rate_per_s = 0;
}

/// A position as a client keeps it.
fn position(epoch: &Value, seq: u64) -> Value {
    json!({"epoch": epoch, "seq": seq})
}

async fn publish_many(client: &mut Json, room: &str, count: u64) {
    let mut sent = 0;
    for n in 0..count {
        sent = client.send("publish", json!({"room": room, "text": format!("{n}")})).await;
    }
    while client.next().await["id"] != sent {}
}

/// Reads the messages that follow `joined` and returns their numbers.
async fn replay_of(client: &mut Json, joined: &Value) -> Vec<u64> {
    let mut seqs = Vec::new();
    for _ in 0..joined["payload"]["replayed"].as_u64().expect("a count") {
        let event = client.next().await;
        assert_eq!(event["type"], "message", "{event}");
        seqs.push(event["payload"]["seq"].as_u64().expect("a number"));
    }
    seqs
}

/// Says hello on a fresh connection.
async fn greet(server: &TestServer, payload: Value) -> (Json, Value) {
    let mut client = Json::new(server.open("/ws", &["parlour.json.v1"]).await.expect("upgraded"));
    let welcome = client.ask("hello", payload).await;
    assert_eq!(welcome["type"], "welcome", "{welcome}");
    (client, welcome["payload"].clone())
}

#[tokio::test]
async fn a_resume_gives_exactly_what_was_missed_also_after_a_restart() {
    let mut server = TestServer::start_durable(unlimited).await;
    let mut alice = server.json("Alice").await;
    let epoch = alice.join("general").await["epoch"].clone();
    publish_many(&mut alice, "general", 10).await;
    for restarts in [false, true] {
        if restarts {
            server = server.restart(unlimited).await;
        }
        for since in [0, 1, 7, 9, 10] {
            let mut bob = server.json("Bob").await;
            let joined = bob.ask("join", json!({"room": "general", "since": position(&epoch, since)})).await;
            assert_eq!(
                (&joined["payload"]["recovered"], &joined["payload"]["epoch"]),
                (&json!(true), &epoch)
            );
            assert_eq!(replay_of(&mut bob, &joined).await, (since + 1..=10).collect::<Vec<_>>());
        }
    }
}

#[tokio::test]
async fn hello_enters_all_rooms_again_with_one_message() {
    let server = TestServer::start_durable(unlimited).await;
    let mut alice = server.json("Alice").await;
    let mut resume = Vec::new();
    for (n, name) in ["one", "two", "three"].into_iter().enumerate() {
        let epoch = alice.join(name).await["epoch"].clone();
        publish_many(&mut alice, name, 5).await;
        resume.push(json!({"room": name, "since": position(&epoch, n as u64)}));
    }
    let (mut bob, welcome) = greet(&server, json!({"user": "Bob", "resume": resume})).await;
    assert_eq!(welcome["resuming"], json!(["one", "two", "three"]));
    let mut seen = Vec::new();
    while seen.len() < 5 + 4 + 3 {
        let event = bob.next().await;
        if event["type"] == "message" {
            seen.push((event["payload"]["room"].clone(), event["payload"]["seq"].clone()));
        }
    }
    for (n, name) in ["one", "two", "three"].into_iter().enumerate() {
        let of_room = seen.iter().filter(|(room, _)| room == name).map(|(_, seq)| seq.as_u64());
        assert_eq!(of_room.collect::<Vec<_>>(), (n as u64 + 1..=5).map(Some).collect::<Vec<_>>(), "{name}");
    }
    bob.publish("two", "live again").await;
}

#[tokio::test]
async fn five_hundred_missed_events_come_at_once_and_more_by_pages() {
    let server = TestServer::start_durable(unlimited).await;
    let mut alice = server.json("Alice").await;
    let epoch = alice.join("general").await["epoch"].clone();
    publish_many(&mut alice, "general", 501).await;

    let mut bob = server.json("Bob").await;
    let joined = bob.ask("join", json!({"room": "general", "since": position(&epoch, 1)})).await;
    assert_eq!(joined["payload"]["recovered"], true);
    assert_eq!(replay_of(&mut bob, &joined).await, (2..=501).collect::<Vec<_>>());

    let mut carol = server.json("Carol").await;
    let joined = carol.ask("join", json!({"room": "general", "since": position(&epoch, 0)})).await;
    let ends = ["head", "replayed", "behind"].map(|field| joined["payload"][field].as_u64());
    assert_eq!(ends, [Some(501), Some(500), Some(1)]);
    let mut seen = replay_of(&mut carol, &joined).await;
    // Until Carol asks for the rest, live events wait; then they follow it without a gap.
    alice.publish("general", "live").await;
    assert_eq!(carol.ask("ping", json!({})).await["type"], "pong", "nothing came in between");
    let page = carol.ask("more", json!({"room": "general"})).await;
    assert_eq!(page["payload"], json!({"room": "general", "replayed": 2, "behind": 0}));
    seen.extend(replay_of(&mut carol, &page).await);
    assert_eq!(seen, (1..=502).collect::<Vec<_>>());
    let done = carol.ask("more", json!({"room": "general"})).await;
    assert_eq!(done["payload"], json!({"room": "general", "replayed": 0, "behind": 0}));
    alice.publish("general", "live").await;
    assert_eq!(carol.until("message").await["payload"]["seq"], 503);
}

#[tokio::test]
async fn a_resume_that_is_not_possible_says_why() {
    let server = TestServer::start_durable(|_| {}).await;
    let mut alice = server.json("Alice").await;
    let epoch = alice.join("general").await["epoch"].clone();
    for _ in 0..5 {
        alice.publish("general", "x").await;
    }
    alice.socket.close(1000).await;
    server.await_metric("parlour_rooms", 0.0).await;
    server
        .server()
        .node()
        .store
        .trim(room("general"), Keep { after: Some(Seq(3)), ..Keep::default() })
        .await
        .expect("trimmed");

    let mut bob = server.json("Bob").await;
    let other = json!("0123456789abcdef0123456789abcdef");
    for (since, reason) in [
        (position(&other, 4), Some("epoch")),
        (position(&other, 99), Some("epoch")),
        (position(&epoch, 6), Some("ahead")),
        (json!({"epoch": epoch, "seq": "18446744073709551615"}), Some("ahead")),
        (position(&epoch, 2), Some("expired")),
        (position(&epoch, 3), None),
    ] {
        let joined = bob.ask("join", json!({"room": "general", "since": since})).await;
        let payload = &joined["payload"];
        assert_eq!(payload["recovered"], reason.is_none(), "{since}: {joined}");
        assert_eq!(payload.get("reason"), reason.map(Value::from).as_ref(), "{since}");
        assert_eq!((&payload["head"], &payload["floor"]), (&json!(5), &json!(3)));
        let expected: &[u64] = if reason.is_none() { &[4, 5] } else { &[] };
        assert_eq!(replay_of(&mut bob, &joined).await, expected, "{since}");
        // Recovered or not, the connection is in the room.
        bob.ask("leave", json!({"room": "general"})).await;
    }
}

#[tokio::test]
async fn whoever_saw_a_room_empty_gets_all_of_it_also_after_restarts() {
    let server = TestServer::start_durable(|_| {}).await;
    let mut alice = server.json("Alice").await;
    let epoch = alice.join("general").await["epoch"].clone();
    let other = alice.join("other").await["epoch"].clone();
    assert_ne!(epoch, other);
    let server = server.restart(|_| {}).await;
    let mut bob = server.json("Bob").await;
    bob.join("general").await;
    bob.publish("general", "first").await;
    let server = server.restart(|_| {}).await;
    let mut alice = server.json("Alice").await;
    let joined = alice.ask("join", json!({"room": "general", "since": position(&epoch, 0)})).await;
    assert_eq!((&joined["payload"]["recovered"], &joined["payload"]["epoch"]), (&json!(true), &epoch));
    assert_eq!(replay_of(&mut alice, &joined).await, [1]);

    let elsewhere = TestServer::start_durable(|_| {}).await;
    let mut alice = elsewhere.json("Alice").await;
    assert_ne!(alice.join("general").await["epoch"], epoch, "another database is another lineage");
}

#[tokio::test]
async fn an_ephemeral_room_that_began_anew_has_another_lineage() {
    let server = TestServer::start().await;
    let mut alice = server.json("Alice").await;
    let epoch = alice.join("live:ticks").await["epoch"].clone();
    alice.publish("live:ticks", "tick").await;
    let mut bob = server.json("Bob").await;
    let resumed = bob.ask("join", json!({"room": "live:ticks", "since": position(&epoch, 0)})).await;
    assert_eq!(resumed["payload"]["recovered"], true, "while somebody is here");
    assert_eq!(replay_of(&mut bob, &resumed).await, [1]);
    for client in [alice, bob] {
        client.socket.close(1000).await;
    }
    server.await_metric("parlour_rooms", 0.0).await;
    let mut carol = server.json("Carol").await;
    let joined = carol.ask("join", json!({"room": "live:ticks", "since": position(&epoch, 1)})).await;
    assert_eq!(
        (&joined["payload"]["recovered"], &joined["payload"]["reason"]),
        (&json!(false), &json!("epoch"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_keeps_losing_its_connection_misses_and_doubles_nothing() {
    const LAST: u64 = 1_000;
    let server = TestServer::start_durable(|config| {
        unlimited(config);
        config.shards = 3;
        config.timeouts.grace = Duration::from_secs(300);
    })
    .await;
    let mut alice = server.json("Alice").await;
    let epoch = alice.join("general").await["epoch"].clone();
    let mut carol = server.json("Carol").await;
    carol.join("general").await;
    let talking = tokio::spawn(async move {
        for n in 1..=LAST {
            alice.publish("general", &n.to_string()).await;
        }
    });
    let (mut last, mut connections) = (0, 0);
    while last < LAST {
        connections += 1;
        let resume = json!([{"room": "general", "since": position(&epoch, last)}]);
        let (mut bob, _) = greet(&server, json!({"user": "Bob", "resume": resume})).await;
        // A different number each time, so that the cut falls into the replay as well as behind it.
        let cut = (last + 1 + connections * 7 % 40).min(LAST);
        while last < cut {
            let event = bob.next().await;
            assert_ne!(event["payload"]["recovered"], false, "{event}");
            if event["type"] == "message" {
                last += 1;
                assert_eq!(event["payload"]["seq"], last);
                assert_eq!(event["payload"]["text"], last.to_string());
            }
        }
    }
    talking.await.expect("talked");
    assert!(connections > 20);
    let told = carol.before(&LAST.to_string()).await;
    let notices = told.iter().filter(|event| event["type"] != "message");
    let notices: Vec<_> = notices.map(|event| event["type"].as_str().expect("a type")).collect();
    assert_eq!(notices, ["member_joined"], "Bob came once and was never gone for longer than the grace");
}

#[tokio::test]
async fn a_cid_is_stored_once_also_after_a_restart() {
    let server = TestServer::start_durable(|_| {}).await;
    let (mut alice, mut bob) = (server.json("Alice").await, server.json("Bob").await);
    alice.join("general").await;
    bob.join("general").await;
    let once = json!({"room": "general", "text": "once", "cid": "c-1"});
    let first = alice.ask("publish", once.clone()).await["payload"].clone();
    assert_eq!((&first["seq"], &first["dup"]), (&json!(1), &json!(false)));
    let again = alice.ask("publish", once.clone()).await["payload"].clone();
    assert_eq!((&again["seq"], &again["dup"], &again["ts"]), (&json!(1), &json!(true), &first["ts"]));
    let conflict = alice.ask("publish", json!({"room": "general", "text": "twice", "cid": "c-1"})).await;
    assert_eq!((&conflict["code"], &conflict["retryable"]), (&json!("idempotency_conflict"), &json!(false)));
    // A cid belongs to its sender.
    let theirs = bob.ask("publish", json!({"room": "general", "text": "mine", "cid": "c-1"})).await;
    assert_eq!(theirs["payload"]["seq"], 2);

    let server = server.restart(|_| {}).await;
    let (mut alice, mut bob) = (server.json("Alice").await, server.json("Bob").await);
    alice.join("general").await;
    bob.join("general").await;
    let again = alice.ask("publish", once).await["payload"].clone();
    assert_eq!((&again["seq"], &again["dup"]), (&json!(1), &json!(true)));
    let conflict = alice.ask("publish", json!({"room": "general", "text": "twice", "cid": "c-1"})).await;
    assert_eq!(conflict["code"], "idempotency_conflict");
    alice.publish("general", "sentinel").await;
    let heard = bob.before("sentinel").await;
    assert_eq!(heard, [Value::Null; 0], "nothing was broadcast again");
}

#[tokio::test]
async fn a_cid_is_stored_once_under_a_race_of_connections() {
    let server = TestServer::start_with(|config| config.shards = 3).await;
    let mut devices = Vec::new();
    for _ in 0..6 {
        let mut device = server.json("Alice").await;
        device.join("general").await;
        devices.push(device);
    }
    for device in &mut devices {
        device.send("publish", json!({"room": "general", "text": "once", "cid": "race"})).await;
    }
    let mut dups = 0;
    for device in &mut devices {
        let ack = device.until("ack").await["payload"].clone();
        assert_eq!(ack["seq"], 1);
        dups += u32::from(ack["dup"] == true);
    }
    assert_eq!(dups, 5);
}
