//! What stands on the wire, byte by byte: whole frames, in order, and nobody else's.

use std::collections::HashMap;

use parlour_server::config::RoomRule;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::TestServer;
use crate::harness::wire::{Wire, Wish, close_frame, frame};

/// R13: broadcasts of many publishers, answers, pongs and the goodbye share one socket, and no frame
/// is cut by another.
#[tokio::test]
async fn frames_of_broadcasts_answers_pongs_and_close_never_interleave() {
    frames_stay_whole(false).await;
}

/// The same where one system call writes to many sockets, if the system lets us.
#[tokio::test]
async fn frames_by_io_uring_never_interleave() {
    frames_stay_whole(true).await;
}

async fn frames_stay_whole(io_uring: bool) {
    const PUBLISHERS: usize = 4;
    const MESSAGES: usize = 250;
    let server = TestServer::start_with(|config| {
        config.io_uring = io_uring;
        config.limits.rate_per_s = 0;
        config.limits.commit_queue = PUBLISHERS * MESSAGES;
    })
    .await;
    // A small window makes the kernel take parts of frames.
    let wish = Wish { user: "Reader", room: "busy", receive_buffer: 4 * 1024, ..Wish::default() };
    let mut reader = Wire::with(&server, wish).await;
    reader.until("joined").await;
    let mut publishers = JoinSet::new();
    for p in 0..PUBLISHERS {
        let mut publisher = server.json(&format!("p{p}")).await;
        publishers.spawn(async move {
            publisher.join("busy").await;
            for n in 0..MESSAGES {
                // Lengths on both sides of every form of the header.
                let text = format!("{p} {n} {}", "x".repeat(n * 7 % 400));
                publisher.send("publish", json!({"room": "busy", "text": text})).await;
            }
            publisher.ask("ping", json!({})).await;
        });
    }
    let (mut heard, mut pings, mut pongs) = (HashMap::<String, usize>::new(), 0_u32, 0_u32);
    while heard.values().sum::<usize>() < PUBLISHERS * MESSAGES {
        if pings < 90 && pings == pongs {
            let asked = format!(r#"{{"type":"ping","id":{pings}}}"#);
            reader.send(&[frame(0x89, &pings.to_be_bytes()), frame(0x81, asked.as_bytes())].concat()).await;
            pings += 1;
        }
        let frame = reader.next().await.expect("still connected");
        if frame.first == 0x8a {
            assert_eq!(frame.payload, pongs.to_be_bytes());
            pongs += 1;
            continue;
        }
        assert_eq!(frame.first, 0x81, "{frame:?}");
        let event: Value = serde_json::from_slice(&frame.payload).expect("one JSON text per frame");
        if event["type"] == "message" {
            let text = event["payload"]["text"].as_str().expect("a text");
            let (publisher, rest) = text.split_once(' ').expect("numbered");
            let next = heard.entry(publisher.to_owned()).or_default();
            assert!(rest.starts_with(&format!("{next} ")), "{text} instead of {next}");
            *next += 1;
        }
    }
    reader.send(&close_frame(1000)).await;
    assert_eq!(reader.closed().await.0, 1000);
    reader.ended().await;
    while let Some(ended) = publishers.join_next().await {
        ended.expect("the publisher was answered");
    }
    server.drain().await;
}

/// R15, R37: buffers are used again and again, and nobody ever sees what was in them.
#[tokio::test]
async fn reused_buffers_carry_nothing_over() {
    const ROOMS: usize = 12;
    const ROUNDS: usize = 60;
    let server = TestServer::start_with(|config| {
        config.limits.rate_per_s = 0;
        config.rooms = vec![RoomRule::ephemeral("e:*")];
    })
    .await;
    let mut tasks = JoinSet::new();
    for n in 0..ROOMS {
        let room = if n % 2 == 0 { format!("e:{n}") } else { format!("r{n}") };
        let user = format!("u{n}");
        let mut wire = Wire::open(&server, &user, &room).await;
        tasks.spawn(async move {
            wire.until("joined").await;
            let canary = format!("canary-{n}-");
            for round in 0..ROUNDS {
                // Long, then short: what a careless buffer would show is the rest of the longer one.
                let text = canary.repeat(1 + (round * 37 + n) % 200);
                let publish =
                    json!({"type": "publish", "id": round, "payload": {"room": room, "text": text}});
                wire.say(&publish.to_string()).await;
                let mut answers = 0;
                while answers < 2 {
                    let frame = wire.next().await.expect("connected");
                    let shown = String::from_utf8(frame.payload).expect("text");
                    let foreign =
                        shown.match_indices("canary-").any(|(at, _)| !shown[at..].starts_with(&canary));
                    assert!(!foreign, "{user} saw {shown}");
                    let event: Value = serde_json::from_str(&shown).expect("JSON");
                    if event["type"] == "message" {
                        assert_eq!(event["payload"]["text"], text);
                    }
                    answers += 1;
                }
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("only its own");
    }
    server.drain().await;
}
