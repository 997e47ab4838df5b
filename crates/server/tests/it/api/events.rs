//! Listening to rooms by server-sent events.

use std::time::Duration;

use parlour_server::api::key::Scope;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Backend, key};
use crate::harness::{PATIENCE, TestServer};

/// Somebody who listens.
struct Listener {
    stream: TcpStream,
    received: String,
    head: String,
}

/// One block of lines.
#[derive(Debug, Clone, PartialEq)]
struct Block {
    id: Option<String>,
    event: Option<String>,
    data: Option<Value>,
}

impl Listener {
    /// Asks for a path with a few more header lines.
    async fn open(server: &TestServer, path: &str, headers: &[&str]) -> Self {
        let mut stream = TcpStream::connect(server.address()).await.expect("connected");
        let mut request = format!("GET /api/v1{path} HTTP/1.1\r\nHost: localhost\r\n");
        headers.iter().for_each(|header| request += &format!("{header}\r\n"));
        stream.write_all(format!("{request}\r\n").as_bytes()).await.expect("sent");
        let mut listener = Self { stream, received: String::new(), head: String::new() };
        while !listener.received.contains("\r\n\r\n") {
            assert!(listener.read().await, "an answer");
        }
        let received = std::mem::take(&mut listener.received);
        let (head, rest) = received.split_once("\r\n\r\n").expect("a head");
        (listener.head, listener.received) = (head.to_owned(), rest.to_owned());
        listener
    }

    /// Listens to a room as a user of a development server.
    async fn user(server: &TestServer, room: &str, user: &str, last: Option<&str>) -> Self {
        let last = last.map(|last| format!("Last-Event-ID: {last}"));
        let headers: Vec<&str> = last.iter().map(String::as_str).collect();
        let listener = Self::open(server, &format!("/rooms/{room}/events?user={user}"), &headers).await;
        assert!(listener.head.starts_with("HTTP/1.1 200 "), "{}", listener.head);
        listener
    }

    async fn read(&mut self) -> bool {
        let mut bytes = vec![0; 16 * 1024];
        let read = timeout(PATIENCE, self.stream.read(&mut bytes)).await.expect("in time").unwrap_or(0);
        self.received += std::str::from_utf8(&bytes[..read]).expect("text");
        read > 0
    }

    /// Returns the next block, comments as such; `None` at the end.
    async fn next(&mut self) -> Option<Block> {
        while !self.received.contains("\n\n") {
            if !self.read().await {
                assert!(self.received.is_empty(), "ended within a block: {}", self.received);
                return None;
            }
        }
        let received = std::mem::take(&mut self.received);
        let (block, rest) = received.split_once("\n\n").expect("a block");
        self.received = rest.to_owned();
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        let data = field("data: ").map(|data| serde_json::from_str(&data).expect("JSON"));
        Some(Block { id: field("id: "), event: field("event: "), data })
    }

    /// Reads on to an event of a type; returns its id and payload.
    async fn until(&mut self, kind: &str) -> (Option<String>, Value) {
        loop {
            let block = self.next().await.expect("still listening");
            if let Some(data) = block.data.filter(|data| data["type"] == kind) {
                return (block.id, data["payload"].clone());
            }
        }
    }

    /// Reads texts of messages up to one that says `last`, with the id of that one.
    async fn texts(&mut self, last: &str) -> (Vec<String>, String) {
        let mut texts = Vec::new();
        loop {
            let (id, payload) = self.until("message").await;
            texts.push(payload["text"].as_str().expect("a text").to_owned());
            if payload["text"] == last {
                return (texts, id.expect("an id"));
            }
        }
    }
}

#[tokio::test]
async fn a_listener_hears_what_members_hear() {
    let server = TestServer::start_durable(|_| {}).await;
    let mut bob = server.json("Bob").await;
    bob.join("general").await;
    let mut alice = Listener::user(&server, "general", "Alice", None).await;
    for line in ["content-type: text/event-stream", "cache-control: no-store", "connection: close"] {
        assert!(alice.head.lines().any(|found| found == line), "{line} is missing in {}", alice.head);
    }
    assert_eq!(alice.until("welcome").await.1["user"], "Alice");
    let (id, joined) = alice.until("joined").await;
    let epoch = joined["epoch"].as_str().expect("an epoch").to_owned();
    assert_eq!((id, &joined["member_count"]), (Some(format!("{epoch}-0")), &json!(2)));
    assert_eq!(bob.until("member_joined").await["payload"]["user"], "Alice");

    bob.publish("general", "line\nbreaks and \u{2028}").await;
    let (texts, id) = alice.texts("line\nbreaks and \u{2028}").await;
    assert_eq!((texts.len(), id), (1, format!("{epoch}-1")));
    bob.ask("private", json!({"to": "Alice", "text": "not in the room"})).await;
    bob.ask("react", json!({"room": "general", "target": 1, "emoji": "+1", "active": true})).await;
    let block = alice.next().await.expect("an event");
    assert_eq!(
        (block.id, &block.data.expect("data")["type"]),
        (Some(format!("{epoch}-2")), &json!("reacted"))
    );
    // What a listener says means nothing.
    alice.stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("sent");
    bob.publish("general", "still there").await;
    alice.texts("still there").await;
    drop(alice);
    server.await_metric("parlour_connections", 1.0).await;
}

/// P8 for those who listen: every event after the last one that was heard, once, in order.
#[tokio::test]
async fn a_listener_who_comes_back_gets_everything_once() {
    let server = TestServer::start_durable(|config| config.limits.rate_per_s = 0).await;
    let mut bob = server.json("Bob").await;
    bob.join("general").await;
    bob.publish("general", "before").await;
    let mut alice = Listener::user(&server, "general", "Alice", None).await;
    alice.until("joined").await;
    bob.publish("general", "heard").await;
    let (_, last) = alice.texts("heard").await;
    drop(alice);
    // More than one answer of the room holds.
    let wanted: Vec<String> = (0..1_300).map(|n| format!("missed {n}")).collect();
    for text in &wanted {
        bob.send("publish", json!({"room": "general", "text": text})).await;
    }
    bob.publish("general", "after").await;
    let mut alice = Listener::user(&server, "general", "Alice", Some(&last)).await;
    let (id, joined) = alice.until("joined").await;
    assert_eq!((id, &joined["recovered"]), (Some(last.clone()), &json!(true)), "{joined}");
    let (texts, newest) = alice.texts("after").await;
    assert_eq!(texts, [wanted, vec!["after".to_owned()]].concat());
    bob.publish("general", "live").await;
    assert_eq!(alice.texts("live").await.0, ["live"]);

    let mut again = Listener::user(&server, "general", "Alice", Some(&newest)).await;
    assert_eq!(again.texts("live").await.0, ["live"]);
    // Another lineage: it is told so, and hears what comes.
    let foreign = format!("{}-1", "0".repeat(32));
    let mut again = Listener::user(&server, "general", "Alice", Some(&foreign)).await;
    let (_, joined) = again.until("joined").await;
    assert_eq!((&joined["recovered"], &joined["reason"]), (&json!(false), &json!("epoch")));
}

#[tokio::test]
async fn history_may_come_first_and_its_places_are_its_own() {
    let server = TestServer::start_durable(|_| {}).await;
    let backend = Backend::of(&server);
    for text in ["one", "two", "three"] {
        backend.post("/rooms/general/messages", json!({"text": text})).await;
    }
    let mut alice = Listener::open(&server, "/rooms/general/events?user=Alice&history=2", &[]).await;
    let (id, joined) = alice.until("joined").await;
    // Whoever is cut off here must get both again.
    assert!(id.expect("an id").ends_with("-1") && joined["replayed"] == 2, "{joined}");
    let (texts, id) = alice.texts("three").await;
    assert!(texts == ["two", "three"] && id.ends_with("-3"), "{texts:?} {id}");
}

#[tokio::test]
async fn listeners_show_who_they_are_and_are_told_why_not() {
    let (shop, shown) = key(&[Scope::History], &["orders:*"]);
    let (deaf, silent) = key(&[Scope::Publish], &["*"]);
    let server = TestServer::start_with(|config| {
        config.api_keys = vec![shop, deaf];
        config.access.anonymous = false;
    })
    .await;
    let bearer = |key: &str| format!("Authorization: Bearer {key}");
    let (shown, silent) = (bearer(&shown), bearer(&silent));
    for (row, path, headers, status) in [
        ("a key", "/rooms/orders:1/events", vec![shown.as_str()], 200),
        ("another room", "/rooms/general/events", vec![&shown], 403),
        ("another scope", "/rooms/general/events", vec![&silent], 403),
        ("nothing", "/rooms/general/events", vec![], 401),
        ("a name", "/rooms/general/events?user=Alice", vec![], 401),
        ("a wrong key", "/rooms/general/events", vec!["Authorization: Bearer parlour_shop_wrong"], 401),
        ("a wrong ticket", "/rooms/general/events?ticket=wrong", vec![], 401),
        ("no place", "/rooms/orders:1/events", vec![&shown, "Last-Event-ID: 7"], 400),
        ("an empty place", "/rooms/orders:1/events", vec![&shown, "Last-Event-ID: "], 200),
        ("no number", "/rooms/orders:1/events?history=x", vec![&shown], 400),
        ("no room", "/rooms/%2A/events", vec![&shown], 400),
        ("a foreign page", "/rooms/orders:1/events", vec![&shown, "Origin: https://evil.example"], 403),
    ] {
        let listener = Listener::open(&server, path, &headers).await;
        assert!(listener.head.starts_with(&format!("HTTP/1.1 {status} ")), "{row}: {}", listener.head);
    }
    let page =
        Listener::open(&server, "/rooms/orders:1/events", &[&shown, "Origin: http://localhost:5173"]).await;
    assert!(page.head.contains("access-control-allow-origin: http://localhost:5173"), "{}", page.head);
}

#[tokio::test]
async fn who_may_not_enter_is_told_in_the_stream_and_who_is_put_out_too() {
    let server = TestServer::start_durable(|_| {}).await;
    let backend = Backend::of(&server);
    let mut alice = server.json("Alice").await;
    alice.ask("create", json!({"room": "board", "private": true})).await;
    let mut eve = Listener::user(&server, "board", "Eve", None).await;
    loop {
        let block = eve.next().await.expect("an answer");
        if let Some(data) = block.data.filter(|data| data["type"] == "error") {
            assert_eq!(data["code"], "not_found");
            break;
        }
    }
    let mut bob = Listener::user(&server, "general", "Bob", None).await;
    bob.until("joined").await;
    backend.post("/rooms/general/sanctions", json!({"user": "Bob", "kind": "ban"})).await;
    bob.until("left").await;
    assert_eq!(backend.post("/users/Bob/disconnect", json!({})).await["connections"], 1);
    let goodbye = json!({"code": 1008, "reason": "disconnected"});
    while let Some(block) = bob.next().await {
        if block.event.as_deref() == Some("close") {
            assert_eq!(block.data, Some(goodbye));
            assert_eq!(bob.next().await, None);
            return;
        }
    }
    panic!("no goodbye");
}

/// Comments keep proxies from giving up, and a shutdown is announced.
#[tokio::test]
async fn a_quiet_room_shows_signs_of_life_and_a_shutdown_says_goodbye() {
    let server = TestServer::start_with(|config| {
        config.timeouts.ping = Duration::from_millis(300);
        config.timeouts.pong = Duration::from_millis(200);
    })
    .await;
    let mut alice = Listener::user(&server, "general", "Alice", None).await;
    alice.until("joined").await;
    let life = Block { id: None, event: None, data: None };
    for _ in 0..4 {
        assert_eq!(alice.next().await, Some(life.clone()), "nobody answers it, and nobody is cut off");
    }
    let goodbye = async {
        loop {
            let block = alice.next().await.expect("a goodbye");
            if block.event.as_deref() == Some("close") {
                return block.data.expect("data")["code"].clone();
            }
        }
    };
    let (_, code) = tokio::join!(server.drain(), goodbye);
    assert_eq!(code, 1012);
}
