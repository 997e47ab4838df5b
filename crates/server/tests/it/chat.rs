//! Rooms as programs use them: the same view for everybody, order, isolation, and no lost message.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use parlour_protocol::dialect::DialectId;
use parlour_protocol::event::Stored;
use parlour_protocol::{Event, RequestId};
use parlour_server::config::Config;
use parlour_websocket::client::Message;
use serde_json::json;

use crate::harness::TestServer;
use crate::harness::typed::{Client, MESSAGE_DIALECTS, publish, stored};

fn unlimited(config: &mut Config) {
    config.limits.rate_per_s = 0;
}

/// Reads on to the next message of a room: its number, sender and text.
async fn message(client: &mut Client) -> (u64, String, String) {
    loop {
        if let Event::Message(message) = client.next().await.event {
            return (message.seq.0, message.sender.to_string(), message.text.to_string());
        }
    }
}

#[tokio::test]
async fn all_dialects_see_the_same_conversation_in_one_room() {
    let server = TestServer::start().await;
    let (mut text, _) = server.enter("general", "text").await;
    let mut clients = Vec::new();
    for (dialect, user) in MESSAGE_DIALECTS.into_iter().zip(["json", "lines", "binary"]) {
        let mut client = Client::open(&server, dialect, user).await;
        client.join("general").await;
        clients.push(client);
    }
    text.send("from text").await;
    // Everybody speaks only after having heard the one before, so the order is known.
    for (index, user) in ["json", "lines", "binary"].into_iter().enumerate() {
        let heard = message(&mut clients[index]).await;
        assert_eq!((heard.0, heard.1.as_str(), heard.2.as_str()), (1, "text", "from text"));
        for earlier in 0..index {
            message(&mut clients[index]).await;
            assert!(earlier < index);
        }
        let said = clients[index].publish("general", &format!("from {user}")).await;
        assert_eq!(said.seq.0, index as u64 + 2);
    }
    for line in ["json joined the room", "lines joined the room", "binary joined the room", "text: from text"]
        .into_iter()
        .chain(["json: from json", "lines: from lines", "binary: from binary"])
    {
        assert_eq!(text.recv().await, line);
    }
}

#[tokio::test]
async fn several_commands_and_events_share_a_frame_where_the_dialect_allows_it() {
    let server = TestServer::start().await;
    for (dialect, user) in [(DialectId::JsonLines, "lines"), (DialectId::Binary, "binary")] {
        let mut client = Client::open(&server, dialect, user).await;
        client.join(user).await;
        let texts: Vec<_> = (0..10).map(|n| format!("{n}: first line\nsecond line")).collect();
        let commands = texts.iter().map(|text| publish(user, text)).collect();
        let ids = client.send_together(commands).await;
        let (mut heard, mut acked) = (Vec::new(), Vec::new());
        while heard.len() + acked.len() < 20 {
            let reply = client.next().await;
            match reply.event {
                Event::Message(message) => heard.push(message.text.to_string()),
                event => acked.push((reply.id.expect("an answer"), stored(event).seq.0)),
            }
        }
        assert_eq!(heard, texts);
        assert_eq!(acked, ids.into_iter().zip(1..).collect::<Vec<_>>());
        assert!(client.largest_frame > 1, "the server batches, too");
    }
}

#[tokio::test]
async fn a_frame_of_json_holds_exactly_one_event_unless_batches_were_asked_for() {
    let server = TestServer::start().await;
    let mut client = Client::open(&server, DialectId::Json, "Alice").await;
    client.join("general").await;
    for n in 0..10 {
        client.send(publish("general", &n.to_string())).await;
    }
    for _ in 0..10 {
        message(&mut client).await;
    }
    assert_eq!(client.largest_frame, 1);
}

#[tokio::test]
async fn requests_of_one_connection_are_answered_once_and_in_their_order_per_room() {
    let server = TestServer::start_with(unlimited).await;
    let mut alice = Client::open(&server, DialectId::Binary, "Alice").await;
    let rooms = ["one", "two", "three", "live:four"];
    for room in rooms {
        alice.join(room).await;
    }
    let mut sent = BTreeMap::<_, Vec<RequestId>>::new();
    for n in 0..400 {
        let room = rooms[n % rooms.len()];
        let id = alice.send(publish(room, &n.to_string())).await;
        sent.entry(room).or_default().push(id);
    }
    let mut answered = HashSet::new();
    let mut acked = BTreeMap::<String, Vec<(u64, RequestId)>>::new();
    while answered.len() < 400 {
        let reply = alice.next().await;
        if let Some(id) = reply.id {
            assert!(answered.insert(id.clone()), "{id:?} was answered twice");
            let Stored { room, seq, .. } = stored(reply.event);
            acked.entry(room.to_string()).or_default().push((seq.0, id));
        }
    }
    for (room, ids) in sent {
        assert_eq!(acked[room], (1..).zip(ids).collect::<Vec<_>>(), "{room}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_publishers_get_gap_free_numbers_and_all_watchers_one_order() {
    const EACH: u64 = 100;
    let server = TestServer::start_durable(|config| {
        unlimited(config);
        config.shards = 3;
    })
    .await;
    let mut watchers = Vec::new();
    for n in 0..6 {
        let dialect = MESSAGE_DIALECTS[n % 3];
        let mut watcher = Client::open(&server, dialect, &format!("watcher {n}")).await;
        watcher.join("general").await;
        watchers.push(watcher);
    }
    let mut publishers = tokio::task::JoinSet::new();
    for n in 0..8 {
        let mut publisher = Client::open(&server, DialectId::Json, &format!("publisher {n}")).await;
        publisher.join("general").await;
        publishers.spawn(async move {
            let mut seqs = Vec::new();
            for index in 0..EACH {
                seqs.push(publisher.publish("general", &format!("{n}/{index}")).await.seq.0);
            }
            assert!(seqs.is_sorted(), "an answered message precedes the next one");
            seqs
        });
    }
    let mut seqs = publishers.join_all().await.concat();
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=8 * EACH).collect::<Vec<_>>());
    let mut views = HashSet::new();
    for watcher in &mut watchers {
        let mut view = Vec::new();
        for expected in 1..=8 * EACH {
            let (seq, _, text) = message(watcher).await;
            assert_eq!(seq, expected);
            view.push(text);
        }
        views.insert(view);
    }
    assert_eq!(views.len(), 1, "all watchers saw the same");
}

#[tokio::test]
async fn a_hundred_rooms_keep_their_messages_to_themselves() {
    const ROOMS: usize = 100;
    let server = TestServer::start_with(unlimited).await;
    let mut everywhere = Client::open(&server, DialectId::Json, "everywhere").await;
    let (mut speakers, mut listeners) = (Vec::new(), Vec::new());
    for n in 0..ROOMS {
        for side in [&mut speakers, &mut listeners] {
            let name = format!("user {n} of side {}", side.len());
            let mut client = Client::open(&server, MESSAGE_DIALECTS[n % 3], &name).await;
            client.join(&format!("room {n}")).await;
            side.push(client);
        }
        everywhere.join(&format!("room {n}")).await;
    }
    for round in 0..3 {
        for (n, speaker) in speakers.iter_mut().enumerate() {
            speaker.publish(&format!("room {n}"), &format!("canary {round} of room {n}")).await;
        }
    }
    for (n, mut listener) in listeners.into_iter().enumerate() {
        for round in 0..3 {
            let expected = (round + 1, format!("canary {round} of room {n}"));
            let (seq, _, text) = loop {
                match listener.next().await.event {
                    Event::Message(m) => break (m.seq.0, m.sender, m.text.to_string()),
                    // Only the watcher of all rooms came after the listener.
                    Event::MemberJoined(m) => assert_eq!(m.room.as_str(), format!("room {n}")),
                    other => panic!("room {n} got {other:?}"),
                }
            };
            assert_eq!((seq, text), expected);
        }
        listener.socket.stream.close(1000, "").await.expect("sent");
        let last = listener.socket.next().await;
        assert!(matches!(last, Some(Message::Close(_))), "room {n} got {last:?}");
    }
    for _ in 0..3 * ROOMS {
        let (room, text) = loop {
            if let Event::Message(message) = everywhere.next().await.event {
                break (message.room, message.text);
            }
        };
        assert!(text.ends_with(&format!(" of {room}")), "{text} in {room}");
    }
}

#[tokio::test]
async fn a_connection_that_left_a_room_hears_nothing_more_of_it() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = (server.json("Alice").await, server.json("Bob").await);
    for room in ["one", "two", "three", "four"] {
        alice.join(room).await;
        bob.join(room).await;
        let left = alice.ask("leave", json!({"room": room})).await;
        assert_eq!((&left["type"], &left["payload"]["room"]), (&json!("left"), &json!(room)));
        bob.publish(room, "she is gone").await;
    }
    alice.join("five").await;
    alice.send("publish", json!({"room": "five", "text": "sentinel"})).await;
    let before = alice.before("sentinel").await;
    assert!(before.iter().all(|event| event["payload"]["room"] == "five"), "{before:?}");
    let refused = alice.ask("publish", json!({"room": "one", "text": "hello?"})).await;
    assert_eq!(refused["code"], "forbidden");
}

#[tokio::test]
async fn leaving_and_entering_in_one_breath_ends_inside() {
    let server = TestServer::start_with(|config| config.shards = 3).await;
    for n in 0..8 {
        let room = format!("room {n}");
        let (mut alice, mut bob) = (server.json("Alice").await, server.json("Bob").await);
        alice.join(&room).await;
        let leave = alice.send("leave", json!({"room": room})).await;
        let join = alice.send("join", json!({"room": room})).await;
        let answers = [alice.until("left").await, alice.until("joined").await];
        assert_eq!(answers.map(|answer| answer["id"].clone()), [json!(leave), json!(join)]);
        bob.join(&room).await;
        bob.publish(&room, "are you there?").await;
        alice.before("are you there?").await;
        alice.publish(&room, "yes").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_arrive_in_time_at_the_rated_load() {
    // 10 publishers at the rated 10 messages per second each, 10 listeners each, fsync included.
    const ROOMS: usize = 10;
    const MESSAGES: u32 = 30;
    let server = TestServer::start_durable(|_| {}).await;
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..ROOMS {
        let room = format!("room {n}");
        let mut publisher = Client::open(&server, DialectId::Json, &format!("publisher {n}")).await;
        publisher.join(&room).await;
        for m in 0..10 {
            let mut listener =
                Client::open(&server, MESSAGE_DIALECTS[m % 3], &format!("listener {n}/{m}")).await;
            listener.join(&room).await;
            tasks.spawn(async move {
                let mut delays = Vec::new();
                for _ in 0..MESSAGES {
                    let (_, _, sent_us) = message(&mut listener).await;
                    let sent = Duration::from_micros(sent_us.parse().expect("microseconds"));
                    delays.push(began.elapsed().saturating_sub(sent));
                }
                delays
            });
        }
        tasks.spawn(async move {
            // The pace is the load; nothing waits for it.
            let mut pace = tokio::time::interval(Duration::from_millis(100));
            for _ in 0..MESSAGES {
                pace.tick().await;
                publisher.publish(&room, &began.elapsed().as_micros().to_string()).await;
            }
            Vec::new()
        });
    }
    let mut delays = tasks.join_all().await.concat();
    delays.sort_unstable();
    assert_eq!(delays.len(), ROOMS * 10 * MESSAGES as usize);
    let p99 = delays[delays.len() * 99 / 100];
    println!("publish to receive: p50 {:?}, p99 {p99:?}", delays[delays.len() / 2]);
    // The target is a p99 of 50 ms (R42), on a machine that does nothing else. These bounds leave
    // room for a debug build beside other tests, and still show a lost wake-up or a timer.
    let p50 = delays[delays.len() / 2];
    assert!(p50 < Duration::from_millis(500) && p99 < Duration::from_secs(3), "p50 {p50:?}, p99 {p99:?}");
}
