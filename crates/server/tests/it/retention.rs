//! What retention does not keep goes, also for those who are connected; what it keeps stays.

use parlour_hub::log::{Draft, Guard, NewEntry};
use parlour_protocol::content::{Content, Text};
use parlour_protocol::{Epoch, UserId};
use parlour_server::config::{Config, Retention, RoomRule};
use parlour_server::store::Store as _;
use parlour_server::store::sqlite::SqliteStore;
use parlour_server::upkeep;
use serde_json::{Value, json};

use crate::harness::typed::room;
use crate::harness::{Json, TestServer};

/// Keeps so much of all rooms.
fn keep(retention: Retention) -> impl Fn(&mut Config) {
    move |config| {
        config.limits.rate_per_s = 0;
        config.rooms =
            vec![RoomRule { retention, durable: true, compress: true, ..RoomRule::ephemeral("*") }];
    }
}

async fn sweep(server: &TestServer) {
    upkeep::sweep(server.server().node()).await.expect("swept");
}

/// The numbers that the newest page of history has, and the floor that it tells.
async fn kept(client: &mut Json, name: &str) -> (Vec<u64>, u64) {
    let page = client.ask("history", json!({"room": name, "limit": 100})).await;
    let events = page["payload"]["events"].as_array().expect("events").iter();
    let seqs = events.map(|event| event["payload"]["seq"].as_u64().expect("a number")).collect();
    (seqs, page["payload"]["floor"].as_u64().expect("a floor"))
}

#[tokio::test]
async fn the_newest_messages_stay_and_members_go_on_talking() {
    let newest = keep(Retention { messages: Some(4), ..Retention::default() });
    let server = TestServer::start_durable(newest).await;
    let (mut alice, mut bob) = (server.json("Alice").await, server.json("Bob").await);
    let epoch = alice.join("general").await["epoch"].clone();
    bob.join("general").await;
    for n in 1..=10 {
        alice.publish("general", &format!("text {n}")).await;
    }
    bob.before("text 10").await;
    assert_eq!(
        kept(&mut bob, "general").await,
        ((1..=10).collect(), 0),
        "nothing is trimmed before its time"
    );
    sweep(&server).await;
    assert_eq!(kept(&mut bob, "general").await, (vec![7, 8, 9, 10], 6), "memory follows");

    let ack = alice.publish("general", "text 11").await;
    assert_eq!((&ack["seq"], &ack["epoch"]), (&json!(11), &epoch), "numbers go on");
    bob.before("text 11").await;
    for (since, recovered) in [(5, false), (6, true), (9, true)] {
        let mut carol = server.json("Carol").await;
        let since = json!({"epoch": epoch, "seq": since});
        let joined = carol.ask("join", json!({"room": "general", "since": since})).await["payload"].clone();
        let reason = if recovered { Value::Null } else { json!("expired") };
        assert_eq!((&joined["recovered"], &joined["reason"]), (&json!(recovered), &reason), "{since}");
    }
}

#[tokio::test]
async fn bytes_of_text_are_counted_from_the_newest() {
    let bytes = keep(Retention { bytes: Some(250), ..Retention::default() });
    let server = TestServer::start_durable(bytes).await;
    let mut alice = server.json("Alice").await;
    alice.join("general").await;
    for _ in 0..5 {
        alice.publish("general", &"x".repeat(100)).await;
    }
    sweep(&server).await;
    assert_eq!(kept(&mut alice, "general").await, (vec![4, 5], 3));
}

#[tokio::test]
async fn old_messages_go_and_rooms_without_a_rule_keep_theirs() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = SqliteStore::open(directory.path()).expect("a store");
    // In November 2023.
    store.append(vec![old("general"), old("general"), old("kept")]).await.expect("stored");
    drop(store);
    let days = Retention { days: Some(30), ..Retention::default() };
    let server = TestServer::start_in(directory, |config| {
        keep(days)(config);
        config.rooms[0].pattern = "gen*".into();
    })
    .await;
    let mut alice = server.json("Alice").await;
    for name in ["general", "kept"] {
        alice.join(name).await;
        alice.publish(name, "today").await;
    }
    sweep(&server).await;
    assert_eq!(kept(&mut alice, "general").await, (vec![3], 2));
    assert_eq!(kept(&mut alice, "kept").await, (vec![1, 2], 0));

    let server = server.restart(keep(days)).await;
    let mut alice = server.json("Alice").await;
    let joined = alice.join("general").await;
    assert_eq!((&joined["head"], &joined["floor"]), (&json!(3), &json!(2)), "gone for good");
}

fn old(name: &str) -> Draft {
    Draft {
        room: room(name),
        new_epoch: Epoch(7),
        sender: UserId::parse("Bob").expect("a name"),
        ts: 1_700_000_000_000,
        guard: Guard::Author,
        entries: vec![NewEntry { cid: None, content: Content::Message(Text::plain("old")) }],
    }
}
