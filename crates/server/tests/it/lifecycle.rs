//! Everything that comes must go: rooms, members, sessions, sockets, tasks.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use parlour_protocol::dialect::DialectId;
use parlour_protocol::{Command, Event, RequestId};
use parlour_server::Config;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::harness::faulty::Mood;
use crate::harness::typed::{Client, in_room, room};
use crate::harness::wire::{Wire, Wish, close_frame, frame};
use crate::harness::{Json, PATIENCE, TestServer};

fn unhurried(config: &mut Config) {
    config.limits.rate_per_s = 0;
    config.limits.connections_per_user = 10_000;
    config.timeouts.grace = Duration::ZERO;
}

fn join(name: &str) -> Command {
    Command::Join(parlour_protocol::command::Join { room: room(name), since: None, history: None })
}

/// R1: rooms that nobody is in leave memory.
#[tokio::test]
async fn twenty_thousand_rooms_come_and_go() {
    const CLIENTS: usize = 4;
    const BATCHES: usize = 50;
    const ROOMS: usize = 100;
    let server = TestServer::start_with(unhurried).await;
    let mut visitors = Vec::new();
    for n in 0..CLIENTS {
        visitors.push(Client::open(&server, DialectId::JsonLines, &format!("u{n}")).await);
    }
    for batch in 0..BATCHES {
        let mut asked: Vec<Vec<RequestId>> = Vec::new();
        for (n, client) in visitors.iter_mut().enumerate() {
            let rooms = (0..ROOMS).map(|room| format!("r{n}-{batch}-{room}"));
            let visits = rooms.flat_map(|name| [join(&name), Command::Leave(in_room(&name))]);
            asked.push(client.send_together(visits.collect()).await);
        }
        for (client, ids) in visitors.iter_mut().zip(asked) {
            let left = client.answer(ids.last().expect("not empty")).await;
            assert!(matches!(left, Event::Left(_)), "{left:?}");
        }
    }
    server.await_metric("parlour_rooms", 0.0).await;
    assert_eq!(server.metric("parlour_members").await, 0.0);
    assert_eq!(server.metric("parlour_rooms_vacated_total").await, (CLIENTS * BATCHES * ROOMS) as f64);
    server.drain().await;
}

/// R1: somebody enters in the moment in which the last one leaves.
#[tokio::test]
async fn a_join_that_races_the_last_leave_strands_nobody() {
    let server = TestServer::start_with(unhurried).await;
    let (mut here, mut next) = (server.json("u0").await, server.json("u1").await);
    here.join("door").await;
    for n in 0..500 {
        let text = n.to_string();
        let (leave, enter) = (json!({"room": "door"}), json!({"room": "door"}));
        let sent = tokio::join!(here.send("leave", leave), next.send("join", enter));
        assert!(sent.0 > 0);
        let joined = loop {
            let event = next.next().await;
            if event["id"] == sent.1 {
                break event;
            }
        };
        assert_eq!(joined["type"], "joined", "{joined}");
        here.until("left").await;
        next.send("publish", json!({"room": "door", "text": text})).await;
        let heard = next.until("message").await;
        assert_eq!(heard["payload"]["text"], text, "whoever is in the room hears it");
        std::mem::swap(&mut here, &mut next);
    }
    let members = here.ask("members", json!({"room": "door"})).await;
    assert_eq!(members["payload"]["member_count"], 1, "{members}");
    here.ask("leave", json!({"room": "door"})).await;
    server.await_metric("parlour_rooms", 0.0).await;
    server.drain().await;
}

/// R1: somebody leaves, enters again and is gone before the store has read what they would have seen.
#[tokio::test]
async fn nobody_stays_in_a_room_that_let_them_in_too_late() {
    const ROOMS: u32 = 8;
    let (server, store) = TestServer::start_faulty(unhurried).await;
    // One on each shard, so that some of the rooms live on the other one.
    let (mut owner, mut visitor) = (server.json("Owner").await, Wire::open(&server, "Visitor", "").await);
    for n in 0..ROOMS {
        let room = format!("r{n}");
        owner.join(&room).await;
        // More than a room keeps in memory.
        for _ in 0..6 {
            owner.publish(&room, &"x".repeat(60_000)).await;
        }
        visitor.say(&format!(r#"{{"type":"join","id":1,"payload":{{"room":"{room}"}}}}"#)).await;
        visitor.until("joined").await;
    }
    store.reads(Mood::Stuck);
    let again = (0..ROOMS).flat_map(|n| {
        let leave = format!(r#"{{"type":"leave","id":2,"payload":{{"room":"r{n}"}}}}"#);
        let enter = format!(r#"{{"type":"join","id":3,"payload":{{"room":"r{n}","history":6}}}}"#);
        [leave, enter].map(|text| frame(0x81, text.as_bytes())).concat()
    });
    visitor.send(&again.collect::<Vec<_>>()).await;
    for _ in 0..ROOMS {
        visitor.until("left").await;
    }
    visitor.reset();
    server.await_metric("parlour_connections", 1.0).await;
    store.reads(Mood::Well);
    let left = count_left(&mut owner, 2 * ROOMS).await;
    assert_eq!(left.into_values().collect::<Vec<_>>(), [2 * ROOMS], "as often as they came");
    server.drain().await;
}

/// R12: many first joins at once make one room.
#[tokio::test]
async fn concurrent_first_joins_create_one_room() {
    const MEMBERS: usize = 40;
    let server = TestServer::start_with(unhurried).await;
    let mut clients = Vec::new();
    for n in 0..MEMBERS {
        clients.push(server.json(&format!("u{n}")).await);
    }
    for name in ["one", "two", "three"] {
        for client in &mut clients {
            client.send("join", json!({"room": name})).await;
        }
        let mut epochs = HashSet::new();
        for client in &mut clients {
            epochs.insert(client.until("joined").await["payload"]["epoch"].to_string());
        }
        assert_eq!(epochs.len(), 1, "{name}");
    }
    server.await_metric("parlour_members", (3 * MEMBERS) as f64).await;
    assert_eq!(server.metric("parlour_rooms").await, 3.0);
    let count = clients[0].ask("members", json!({"room": "two"})).await["payload"]["member_count"].clone();
    assert_eq!(count, MEMBERS);
    server.drain().await;
}

/// R14: 122 random bits each.
#[tokio::test]
async fn sessions_have_unguessable_names() {
    let server = TestServer::start_with(unhurried).await;
    let mut seen = HashSet::new();
    let mut high_bits = (0_u128, u128::MAX);
    for _ in 0..300 {
        let mut wire = Wire::open(&server, "Alice", "").await;
        let welcome = wire.until("welcome").await;
        let text = welcome["payload"]["session"].as_str().expect("a text").to_owned();
        let id = uuid::Uuid::parse_str(&text).expect("a UUID");
        assert_eq!(id.get_version_num(), 4, "{text}");
        assert!(seen.insert(id), "{text} came twice");
        high_bits = (high_bits.0 | id.as_u128(), high_bits.1 & id.as_u128());
        wire.reset();
    }
    let varying = high_bits.0 & !high_bits.1;
    assert_eq!(varying.count_ones(), 122, "every bit but version and variant varies");
    server.drain().await;
}

/// Counts `member_left` per user, until as many have come as are expected.
async fn count_left(observer: &mut Json, expected: u32) -> HashMap<String, u32> {
    let mut left = HashMap::new();
    while left.values().sum::<u32>() < expected {
        let user = observer.until("member_left").await["payload"]["user"].to_string();
        *left.entry(user).or_default() += 1;
    }
    left
}

/// R7: a goodbye, a broken frame, an unknown opcode and a reset in one moment.
#[tokio::test]
async fn several_ends_at_once_are_one_end() {
    const USERS: u32 = 200;
    let server = TestServer::start_with(unhurried).await;
    let mut observer = server.json("Observer").await;
    observer.join("lobby").await;
    let mut wires = Vec::new();
    for n in 0..USERS {
        let mut wire = Wire::open(&server, &format!("u{n}"), "lobby").await;
        wire.until("joined").await;
        wires.push(wire);
    }
    for (n, mut wire) in wires.into_iter().enumerate() {
        let ends = [close_frame(1000), frame(0x83, b""), frame(0x81, b"\xff")];
        let turned = ends.iter().cycle().skip(n % 3).take(3).flatten().copied().collect::<Vec<_>>();
        wire.send(&turned).await;
        if n % 2 == 0 {
            wire.reset();
        }
    }
    server.await_metric("parlour_connections", 1.0).await;
    let left = count_left(&mut observer, USERS).await;
    assert_eq!(left.len(), USERS as usize, "one notice each: {left:?}");
    // Nothing comes behind them.
    let id = observer.send("members", json!({"room": "lobby"})).await;
    let members = observer.next().await;
    assert_eq!((&members["id"], &members["payload"]["member_count"]), (&json!(id), &json!(1)), "{members}");
    assert_eq!(server.metric("parlour_closes_total").await, f64::from(USERS), "one end each");
    server.drain().await;
}

/// R7: the same while the node goes away.
#[tokio::test]
async fn a_drain_amid_ends_and_errors_ends_everything_once() {
    let server = TestServer::start_with(unhurried).await;
    let node = std::sync::Arc::clone(server.server().node());
    let mut wires = Vec::new();
    for n in 0..100 {
        let mut wire = Wire::open(&server, &format!("u{n}"), "lobby").await;
        wire.until("joined").await;
        wires.push(wire);
    }
    let ending = async {
        for (n, mut wire) in wires.into_iter().enumerate() {
            // The server may be faster.
            let bytes = [frame(0x83, b""), close_frame(1000)];
            let _ = tokio::io::AsyncWriteExt::write_all(&mut wire.tcp, &bytes[n % 2]).await;
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(server.drain(), ending);
    let closes: u64 =
        (0..2).map(|n| node.metrics.shard(n).closes.counts().map(|(_, count)| count).sum::<u64>()).sum();
    assert_eq!((node.metrics.connections(), closes), (0, 100));
}

/// R8, R33: users who come back faster than they go; in the end everybody is gone.
#[tokio::test]
async fn rapid_reconnects_leave_no_task_and_no_member() {
    const USERS: usize = 200;
    const ROUNDS: usize = 20;
    let server = TestServer::start_with(unhurried).await;
    let server = std::sync::Arc::new(server);
    let mut users = JoinSet::new();
    for n in 0..USERS {
        let server = std::sync::Arc::clone(&server);
        users.spawn(async move {
            for round in 0..ROUNDS {
                let mut wire = Wire::open(&server, &format!("u{n}"), "lobby").await;
                match (n + round) % 3 {
                    0 => wire.reset(),
                    1 => wire.send(&close_frame(1000)).await,
                    _ => drop(wire),
                }
            }
        });
    }
    while let Some(ended) = users.join_next().await {
        ended.expect("no user failed");
    }
    for (metric, wanted) in [
        ("parlour_connections", 0.0),
        ("parlour_members", 0.0),
        ("parlour_rooms", 0.0),
        ("parlour_tasks", 0.0),
    ] {
        server.await_metric(metric, wanted).await;
    }
    let opened = server.metric("parlour_connections_opened_total").await;
    assert!(opened <= (USERS * ROUNDS) as f64);
    assert_eq!(opened, server.metric("parlour_closes_total").await, "each has one end");
    std::sync::Arc::into_inner(server).expect("all users have gone").drain().await;
}

/// R10: a client that dies while it is let in leaves no ghost.
#[tokio::test]
async fn a_connection_that_dies_during_registration_leaves_no_ghost() {
    let server = TestServer::start_with(unhurried).await;
    let mut observer = server.json("Observer").await;
    observer.join("lobby").await;
    for n in 0..200 {
        let user = format!("u{n}");
        let wish = Wish { user: &user, room: "lobby", ..Wish::default() };
        Wire::ask(&server, wish).await.reset();
    }
    server.await_metric("parlour_connections", 1.0).await;
    server.await_metric("parlour_members", 1.0).await;
    // The last ones leave with the next tick of the room.
    let empty = async {
        while observer.ask("members", json!({"room": "lobby"})).await["payload"]["member_count"] != 1 {}
    };
    timeout(PATIENCE, empty).await.expect("nobody seems to be there");
    // All were let in and have gone, or were never let in: their places are free again.
    assert_eq!(server.server().node().shell.admission.connections(), 1);
    server.drain().await;
}
