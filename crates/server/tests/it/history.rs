//! Reading back: replay on entering, pages, and the seam between what was and what comes.

use serde_json::{Value, json};

use crate::harness::faulty::Mood;
use crate::harness::typed::{Client, MESSAGE_DIALECTS, room};
use crate::harness::{Json, TestServer};
use parlour_protocol::command::Join;
use parlour_protocol::dialect::DialectId;
use parlour_protocol::{Command, Event};
use parlour_server::config::Config;
use parlour_server::store::StoreError;

fn unlimited(config: &mut Config) {
    config.limits.rate_per_s = 0;
}

/// Publishes `1`, `2` and so on, without waiting in between.
async fn count_to(client: &mut Json, room: &str, last: u64) {
    let mut sent = 0;
    for n in 1..=last {
        sent = client.send("publish", json!({"room": room, "text": n.to_string()})).await;
    }
    while client.next().await["id"] != sent {}
}

/// Reads the next `count` messages, which nothing interrupts; returns their numbers.
async fn replayed(client: &mut Json, count: usize) -> Vec<u64> {
    let mut seqs = Vec::new();
    for _ in 0..count {
        let event = client.next().await;
        assert_eq!(event["type"], "message", "{event}");
        assert_eq!(event["payload"]["text"], event["payload"]["seq"].to_string());
        seqs.push(event["payload"]["seq"].as_u64().expect("a number"));
    }
    seqs
}

async fn page(client: &mut Json, query: Value) -> (Vec<u64>, bool) {
    let page = client.ask("history", query).await;
    assert_eq!(page["type"], "history", "{page}");
    let messages = page["payload"]["events"].as_array().expect("messages");
    let seqs = messages.iter().map(|message| message["payload"]["seq"].as_u64().expect("a number")).collect();
    (seqs, page["payload"]["more"].as_bool().expect("more or not"))
}

#[tokio::test]
async fn entering_replays_as_many_messages_as_were_asked_for_and_then_goes_on_live() {
    let server = TestServer::start_with(unlimited).await;
    let mut alice = server.json("Alice").await;
    alice.join("general").await;
    count_to(&mut alice, "general", 1_100).await;
    for (wanted, from) in
        [(None, 1_101), (Some(0), 1_101), (Some(1), 1_100), (Some(256), 845), (Some(900), 201)]
    {
        let mut bob = server.json("Bob").await;
        let joined = bob.ask("join", json!({"room": "general", "history": wanted})).await["payload"].clone();
        assert_eq!((&joined["head"], &joined["recovered"]), (&json!(1_100), &json!(true)));
        let expected: Vec<_> = (from..=1_100).collect();
        assert_eq!(joined["replayed"], expected.len());
        assert_eq!(replayed(&mut bob, expected.len()).await, expected);
        bob.socket.close(1000).await;
    }
}

#[tokio::test]
async fn pages_go_both_ways_without_holes() {
    let server = TestServer::start_durable(unlimited).await;
    let mut alice = server.json("Alice").await;
    alice.join("general").await;
    count_to(&mut alice, "general", 600).await;
    let query = |more: Value| {
        let mut query = json!({"room": "general"});
        query.as_object_mut().expect("an object").extend(more.as_object().expect("too").clone());
        query
    };
    let range = |from: u64, to: u64| (from..=to).collect::<Vec<_>>();
    for (more, expected, has_more) in [
        (json!({}), range(551, 600), true),
        (json!({"limit": 1}), range(600, 600), true),
        (json!({"limit": 600}), range(1, 600), false),
        (json!({"before": 551, "limit": 500}), range(51, 550), true),
        (json!({"before": 51}), range(1, 50), false),
        (json!({"before": 1}), vec![], false),
        (json!({"before": 601, "limit": 2}), range(599, 600), true),
        (json!({"after": 0}), range(1, 50), true),
        (json!({"after": 590}), range(591, 600), false),
        (json!({"after": 600}), vec![], false),
        (json!({"after": "100", "limit": 3}), range(101, 103), true),
    ] {
        assert_eq!(page(&mut alice, query(more.clone())).await, (expected, has_more), "{more}");
    }
    // Backwards to the beginning, page after page.
    let (mut seen, mut before) = (Vec::new(), 601);
    loop {
        let (seqs, more) = page(&mut alice, query(json!({"before": before, "limit": 77}))).await;
        before = seqs[0];
        seen.splice(0..0, seqs);
        if !more {
            break;
        }
    }
    assert_eq!(seen, range(1, 600));
}

#[tokio::test]
async fn history_and_epoch_survive_a_restart() {
    let server = TestServer::start_durable(unlimited).await;
    let mut alice = server.json("Alice").await;
    let epoch = alice.join("general").await["epoch"].clone();
    count_to(&mut alice, "general", 300).await;
    let newest = alice.ask("history", json!({"room": "general", "limit": 1})).await;
    let server = server.restart(unlimited).await;
    let mut bob = server.json("Bob").await;
    let joined = bob.ask("join", json!({"room": "general", "history": 300})).await["payload"].clone();
    assert_eq!((&joined["epoch"], &joined["head"]), (&epoch, &json!(300)));
    assert_eq!(replayed(&mut bob, 300).await, (1..=300).collect::<Vec<_>>());
    let again = bob.ask("history", json!({"room": "general", "limit": 1})).await;
    assert_eq!(again["payload"]["events"], newest["payload"]["events"], "sender, text and time are kept");
    assert_eq!(bob.publish("general", "301").await["seq"], 301);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_meets_live_without_gap_or_double_while_others_talk() {
    const LAST: u64 = 1_500;
    let server = TestServer::start_durable(|config| {
        unlimited(config);
        config.shards = 3;
    })
    .await;
    let mut alice = server.json("Alice").await;
    alice.join("general").await;
    count_to(&mut alice, "general", 400).await;
    let talking = tokio::spawn(async move {
        for n in 401..=LAST {
            alice.publish("general", &n.to_string()).await;
        }
    });
    let mut visitors = tokio::task::JoinSet::new();
    for n in 0..30 {
        let mut visitor = Client::open(&server, MESSAGE_DIALECTS[n % 3], &format!("visitor {n}")).await;
        // Some of these fit into memory, others are fetched from the store.
        let history = [0, 10, 200, 300, 600][n % 5];
        visitors.spawn(async move {
            let join = Join { room: room("general"), since: None, history: Some(history) };
            let Event::Joined(joined) = visitor.ask(Command::Join(join)).await else {
                panic!("entered");
            };
            // What came while the store was read is on top.
            assert!(joined.replayed >= history.min(400), "{joined:?}");
            let mut expected = joined.head.0 - u64::from(joined.replayed) + 1;
            while expected <= LAST {
                if let Event::Message(message) = visitor.next().await.event {
                    assert_eq!(message.seq.0, expected, "visitor {n}");
                    expected += 1;
                }
            }
            joined.head.0
        });
    }
    let heads = visitors.join_all().await;
    talking.await.expect("talked");
    assert!(heads.iter().any(|head| *head < LAST), "some came while others talked: {heads:?}");
}

#[tokio::test]
async fn a_room_goes_on_while_history_is_being_read_for_one_of_its_members() {
    let (server, store) = TestServer::start_faulty(unlimited).await;
    let (mut alice, mut bob) = (server.json("Alice").await, server.json("Bob").await);
    alice.join("general").await;
    bob.join("general").await;
    count_to(&mut alice, "general", 400).await;
    bob.before("400").await;

    store.reads(Mood::Stuck);
    let mut carol = server.json("Carol").await;
    carol.send("join", json!({"room": "general", "history": 350})).await;
    assert_eq!(bob.next().await["type"], "member_joined");
    for n in 401..=410 {
        alice.publish("general", &n.to_string()).await;
        bob.before(&n.to_string()).await;
    }
    store.reads(Mood::Well);
    let joined = carol.until("joined").await["payload"].clone();
    assert_eq!(joined["head"], 410, "what came meanwhile is part of the replay");
    assert_eq!(replayed(&mut carol, 360).await, (51..=410).collect::<Vec<_>>());
    alice.publish("general", "411").await;
    assert_eq!(replayed(&mut carol, 1).await, [411]);
}

#[tokio::test]
async fn whoever_leaves_while_history_is_being_read_gets_every_answer_and_ends_where_it_wants() {
    let (server, store) = TestServer::start_faulty(unlimited).await;
    let mut alice = server.json("Alice").await;
    alice.join("general").await;
    count_to(&mut alice, "general", 400).await;
    for ends_inside in [false, true] {
        store.reads(Mood::Stuck);
        let mut carol = server.json("Carol").await;
        let enter = json!({"room": "general", "history": 350});
        let mut asked = vec![carol.send("join", enter.clone()).await];
        asked.push(carol.send("leave", json!({"room": "general"})).await);
        if ends_inside {
            asked.push(carol.send("join", enter).await);
        }
        let left = carol.next().await;
        assert_eq!((&left["type"], &left["id"]), (&json!("left"), &json!(asked[1])), "at once");
        store.reads(Mood::Well);
        let mut answered = vec![asked[1]];
        while answered.len() < asked.len() {
            answered.extend(carol.next().await["id"].as_u64());
        }
        answered.sort_unstable();
        assert_eq!(answered, asked);
        let mut members = Vec::new();
        let list = alice.ask("members", json!({"room": "general"})).await;
        for member in list["payload"]["members"].as_array().expect("members") {
            if member["status"] == "online" {
                members.push(member["user"].clone());
            }
        }
        assert_eq!(members.contains(&json!("Carol")), ends_inside, "{members:?}");
        let answer = carol.ask("publish", json!({"room": "general", "text": "am I in?"})).await;
        assert_eq!(answer["type"], if ends_inside { "ack" } else { "error" });
    }
}

#[tokio::test]
async fn a_history_that_cannot_be_read_is_an_error_and_not_empty() {
    let (server, store) = TestServer::start_faulty(unlimited).await;
    let mut alice = server.json("Alice").await;
    alice.join("general").await;
    count_to(&mut alice, "general", 400).await;
    store.reads(Mood::Failing(StoreError::Unavailable));
    let mut bob = server.json("Bob").await;
    for (command, payload) in [
        ("join", json!({"room": "general", "history": 300})),
        ("history", json!({"room": "general"})),
        ("publish", json!({"room": "general", "text": "am I in?"})),
    ] {
        let refused = bob.ask(command, payload).await;
        let expected = if command == "publish" { "forbidden" } else { "unavailable" };
        assert_eq!((&refused["type"], &refused["code"]), (&json!("error"), &json!(expected)), "{command}");
    }
    store.reads(Mood::Well);
    let joined = bob.ask("join", json!({"room": "general", "history": 300})).await;
    assert_eq!(joined["payload"]["replayed"], 300);
    assert_eq!(replayed(&mut bob, 300).await, (101..=400).collect::<Vec<_>>());
}

#[tokio::test]
async fn read_cursors_are_told_to_the_room_and_stay_within_it() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = (server.json("Alice").await, server.json("Bob").await);
    alice.join("general").await;
    bob.join("general").await;
    alice.publish("general", "one").await;
    let read = bob.ask("read", json!({"room": "general", "seq": 1})).await;
    assert_eq!((&read["type"], &read["payload"]), (&json!("ack"), &json!({})));
    let notice = alice.until("read").await;
    assert_eq!(notice["payload"], json!({"room": "general", "user": "Bob", "seq": 1, "count": 1, "of": 2}));
    let refused = bob.ask("read", json!({"room": "general", "seq": 2})).await;
    assert_eq!(refused["code"], "invalid_cursor");
    bob.ask("leave", json!({"room": "general"})).await;
    let refused = bob.ask("read", json!({"room": "general", "seq": 1})).await;
    assert_eq!(refused["code"], "forbidden");
}

#[tokio::test]
async fn a_replay_of_large_messages_stops_at_its_byte_limit_with_the_newest() {
    let server = TestServer::start_with(unlimited).await;
    let mut alice = Client::open(&server, DialectId::Binary, "Alice").await;
    alice.join("general").await;
    for _ in 0..30 {
        alice.publish("general", &"x".repeat(60_000)).await;
    }
    let mut bob = Client::open(&server, DialectId::Binary, "Bob").await;
    let join = Join { room: room("general"), since: None, history: Some(30) };
    let Event::Joined(joined) = bob.ask(Command::Join(join)).await else {
        panic!("entered");
    };
    assert!((5..=17).contains(&joined.replayed), "at most 1 MiB: {} of 60 KB", joined.replayed);
    for expected in 31 - u64::from(joined.replayed)..=30 {
        let Event::Message(message) = bob.next().await.event else {
            panic!("the replay comes first");
        };
        assert_eq!(message.seq.0, expected);
    }
}
