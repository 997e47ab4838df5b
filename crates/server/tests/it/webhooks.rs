//! Backends learn what happens: all of it, in order, whatever ends meanwhile.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::time::Duration;

use axum::http::StatusCode;
use parlour_server::config::{Config, WebhookRule};
use parlour_server::hooks::event::EventKind;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::harness::process::{ServerProcess, served_as_child};
use crate::harness::{Json, PATIENCE, TestServer, http};
use crate::hooks_backend::{Asked, Backend, allow_loopback, rooms, signer};

/// Holds the URL of a webhook in the data directory of a child.
const URL_FILE: &str = "webhook.url";

/// A backend that takes events, and tells the test.
struct Collector {
    backend: Backend,
    /// The status of the next answers.
    status: Arc<AtomicU16>,
    events: mpsc::UnboundedReceiver<Value>,
}

impl Collector {
    async fn start() -> Self {
        Self::refusing(|_| None).await
    }

    /// Refuses deliveries with an event for which `refuse` returns a status.
    async fn refusing(refuse: fn(&Value) -> Option<u16>) -> Self {
        let (told, events) = mpsc::unbounded_channel();
        let status = Arc::new(AtomicU16::new(200));
        let now = Arc::clone(&status);
        let backend = Backend::start(move |asked: Asked| {
            let (told, now) = (told.clone(), Arc::clone(&now));
            async move {
                let body = asked.verified();
                let events = body["events"].as_array().expect("a list").clone();
                let refused = events.iter().find_map(refuse).unwrap_or(now.load(Relaxed));
                if refused == 200 {
                    events.into_iter().for_each(|event| drop(told.send(event)));
                }
                StatusCode::from_u16(refused).expect("a status")
            }
        })
        .await;
        Self { backend, status, events }
    }

    fn answer(&self, status: u16) {
        self.status.store(status, Relaxed);
    }

    async fn next(&mut self) -> Value {
        timeout(PATIENCE, self.events.recv())
            .await
            .expect("an event comes in time")
            .expect("the backend runs")
    }

    /// Returns the next events of these types, in their order.
    async fn take(&mut self, kinds: &[&str]) -> Vec<Value> {
        let mut events = Vec::new();
        for kind in kinds {
            let event = self.next().await;
            assert_eq!(event["type"], *kind, "{event}");
            events.push(event);
        }
        events
    }

    fn rule(&self, name: &str, events: &[EventKind]) -> WebhookRule {
        WebhookRule {
            name: name.into(),
            endpoint: self.backend.url("/events").parse().expect("a URL"),
            signer: signer(),
            events: events.to_vec(),
            rooms: rooms("*"),
            max_attempts: 1_000,
            max_age: Duration::from_secs(86_400),
        }
    }
}

async fn publish_all(client: &mut Json, room: &str, texts: std::ops::Range<u32>) {
    for text in texts {
        client.publish(room, &text.to_string()).await;
    }
}

async fn say_goodbye(client: Json) {
    client.socket.close(1000).await;
}

fn texts(events: &[Value]) -> Vec<String> {
    events.iter().map(|event| event["payload"]["text"].as_str().expect("a text").to_owned()).collect()
}

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

async fn state(server: &TestServer) -> Value {
    let (status, body) = server.admin("/webhooks").await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).expect("JSON")
}

#[tokio::test]
async fn a_backend_hears_what_happens_in_its_order() {
    let mut collector = Collector::start().await;
    let server = TestServer::start_with(|config| {
        allow_loopback(config);
        config.backend.webhooks = vec![collector.rule("all", &EventKind::ALL)];
    })
    .await;
    let mut alice = server.json("Alice").await;
    alice.join("general").await;
    alice.publish("general", "hello").await;
    alice.ask("read", json!({"room": "general", "seq": 1})).await;
    alice.ask("leave", json!({"room": "general"})).await;
    say_goodbye(alice).await;
    let events = collector
        .take(&[
            "connected",
            "online",
            "room_occupied",
            "message",
            "receipt",
            "room_vacated",
            "disconnected",
            "offline",
        ])
        .await;
    assert_eq!(events[1]["payload"], json!({"user": "Alice"}));
    assert_eq!(events[2]["payload"], json!({"room": "general"}));
    let message = &events[3]["payload"];
    assert_eq!((&message["text"], &message["seq"]), (&json!("hello"), &json!(1)), "{message}");
    assert_eq!(events[4]["payload"], json!({"room": "general", "user": "Alice", "seq": 1, "kind": "read"}));
    assert_eq!(events[0]["payload"]["connection"], events[6]["payload"]["connection"]);
    assert_eq!(events[6]["payload"]["reason"], "peer");
    let ids: HashSet<_> = events.iter().map(|event| event["id"].as_str().expect("an id")).collect();
    assert_eq!(ids.len(), events.len());
    assert!(events.iter().all(|event| event["time_ms"].as_i64().expect("a time") > 1_700_000_000_000));
    assert_eq!(server.metric("parlour_webhook_events_total").await, 7.0, "all but the message");
    server.drain().await;
}

#[tokio::test]
async fn users_are_online_across_connections_and_the_grace() {
    let mut collector = Collector::start().await;
    let server = TestServer::start_with(|config| {
        allow_loopback(config);
        config.timeouts.grace = Duration::from_millis(300);
        config.backend.webhooks = vec![collector.rule("who", &[EventKind::Online, EventKind::Offline])];
    })
    .await;
    let (first, second) = (server.json("Alice").await, server.json("Alice").await);
    say_goodbye(first).await;
    drop(second);
    server.await_metric("parlour_connections", 0.0).await;
    let third = server.json("Alice").await;
    drop(third);
    server.await_metric("parlour_connections", 0.0).await;
    let events = collector.take(&["online", "offline"]).await;
    let lasted =
        events[1]["time_ms"].as_i64().expect("a time") - events[0]["time_ms"].as_i64().expect("a time");
    assert!(lasted >= 300, "the grace was awaited, not only {lasted} ms");
    let bob = server.json("Bob").await;
    say_goodbye(bob).await;
    let events = collector.take(&["online", "offline"]).await;
    assert_eq!(events[1]["payload"], json!({"user": "Bob"}), "nothing more of Alice in between");
    server.drain().await;
}

#[tokio::test]
async fn a_failing_endpoint_gets_everything_later_and_delays_nobody() {
    let (mut broken, mut sound) = (Collector::start().await, Collector::start().await);
    broken.answer(503);
    let server = TestServer::start_with(|config| {
        allow_loopback(config);
        config.limits.rate_per_s = 0;
        config.backend.webhooks = vec![
            broken.rule("broken", &[EventKind::RoomOccupied, EventKind::Message]),
            sound.rule("sound", &[EventKind::Message]),
        ];
    })
    .await;
    let mut alice = server.json("Alice").await;
    alice.join("general").await;
    publish_all(&mut alice, "general", 0..250).await;
    let mut heard = Vec::new();
    while heard.len() < 250 {
        heard.push(sound.next().await);
    }
    assert_eq!(texts(&heard), numbers(0..250), "in order, while the other endpoint fails");
    let shown = state(&server).await;
    assert_eq!(shown[0]["name"], "broken");
    assert_eq!(shown[0]["failing"]["error"], "the answer has the status 503", "{shown}");
    assert!(shown[1]["failing"].is_null(), "{shown}");
    broken.answer(200);
    assert_eq!(broken.next().await["type"], "room_occupied");
    let mut heard = Vec::new();
    while heard.len() < 250 {
        heard.push(broken.next().await);
    }
    assert_eq!(texts(&heard), numbers(0..250));
    server.drain().await;
}

#[tokio::test]
async fn what_an_endpoint_refuses_becomes_a_dead_letter_that_can_be_replayed() {
    let is_bad = |event: &Value| (event["payload"]["text"] == "bad").then_some(422);
    let mut collector = Collector::refusing(is_bad).await;
    let server = TestServer::start_with(|config| {
        allow_loopback(config);
        config.backend.webhooks = vec![collector.rule("picky", &[EventKind::Message])];
    })
    .await;
    let mut alice = server.json("Alice").await;
    alice.join("general").await;
    for text in ["one", "bad", "two"] {
        alice.publish("general", text).await;
    }
    let heard = [collector.next().await, collector.next().await];
    assert_eq!(texts(&heard), ["one", "two"]);
    server.await_metric("parlour_webhook_dead_letters_total", 1.0).await;
    assert_eq!(state(&server).await[0]["dead"], 1);
    let (_, letters) = server.admin("/webhooks/picky/dead").await;
    let letters: Value = serde_json::from_str(&letters).expect("JSON");
    assert_eq!(letters[0]["message"], json!(["general", 2]), "where it is, not what it says: {letters}");
    assert_eq!(letters[0]["reason"], "the answer has the status 422");

    alice.ask("edit", json!({"room": "general", "target": 2, "text": "better"})).await;
    let replay = "PUT /webhooks/picky/replay HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(http(server.admin_address(), replay).await, (200, "{\"replayed\":1}".into()));
    let event = collector.next().await;
    assert_eq!(event["payload"]["text"], "better", "as it is now: {event}");
    assert_eq!(server.admin("/webhooks/nobody/dead").await.0, 404);
    server.drain().await;
}

#[tokio::test]
async fn events_become_dead_letters_after_so_many_attempts() {
    let mut collector = Collector::start().await;
    collector.answer(500);
    let server = TestServer::start_with(|config| {
        allow_loopback(config);
        config.backend.webhooks =
            vec![WebhookRule { max_attempts: 2, ..collector.rule("down", &[EventKind::Online]) }];
    })
    .await;
    let alice = server.json("Alice").await;
    server.await_metric("parlour_webhook_dead_letters_total", 1.0).await;
    collector.answer(200);
    let bob = server.json("Bob").await;
    assert_eq!(collector.next().await["payload"]["user"], "Bob");
    let replay = "PUT /webhooks/down/replay HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(http(server.admin_address(), replay).await.0, 200);
    assert_eq!(collector.next().await["payload"]["user"], "Alice");
    drop((alice, bob));
    server.drain().await;
}

#[tokio::test]
async fn a_slow_endpoint_delays_no_chat() {
    let silent = Backend::start(|_| async { std::future::pending::<StatusCode>().await }).await;
    let collector = Collector::start().await;
    let endpoint = silent.url("/").parse().expect("a URL");
    let server = TestServer::start_with(|config| {
        allow_loopback(config);
        config.limits.rate_per_s = 0;
        config.backend.webhooks = vec![WebhookRule { endpoint, ..collector.rule("slow", &EventKind::ALL) }];
    })
    .await;
    let (mut alice, mut bob) = (server.json("Alice").await, server.json("Bob").await);
    alice.join("general").await;
    bob.join("general").await;
    publish_all(&mut alice, "general", 0..200).await;
    let before = bob.before("199").await;
    assert!(before.len() >= 199);
    server.drain().await;
}

#[tokio::test]
async fn only_rooms_of_the_pattern_are_told_and_private_ones_only_by_name() {
    let (mut named, mut everything) = (Collector::start().await, Collector::start().await);
    let server = TestServer::start_with(|config| {
        allow_loopback(config);
        let named = named.rule("named", &[EventKind::Message]);
        config.backend.webhooks = vec![
            WebhookRule { rooms: rooms("@*"), ..named.clone() },
            everything.rule("all", &[EventKind::Message]),
        ];
    })
    .await;
    let (mut alice, bob) = (server.json("Alice").await, server.json("Bob").await);
    alice.ask("private", json!({"to": "Bob", "text": "between us"})).await;
    alice.join("general").await;
    alice.publish("general", "for all").await;
    let private = named.next().await;
    assert_eq!((&private["type"], &private["payload"]["text"]), (&json!("message"), &json!("between us")));
    assert_eq!(everything.next().await["payload"]["text"], "for all");
    drop(bob);
    server.drain().await;
}

/// Gives a child the webhook whose URL stands in its data directory, if there is one.
pub(crate) fn configure_child(config: &mut Config) {
    let url = config.data_dir.as_ref().and_then(|data| std::fs::read_to_string(data.join(URL_FILE)).ok());
    let Some(url) = url else {
        return;
    };
    allow_loopback(config);
    config.backend.webhooks = vec![WebhookRule {
        name: "child".into(),
        endpoint: url.parse().expect("a URL"),
        signer: signer(),
        events: EventKind::ALL.into(),
        rooms: rooms("*"),
        max_attempts: 1_000,
        max_age: Duration::from_secs(86_400),
    }];
}

async fn connect(process: &ServerProcess, user: &str) -> Json {
    use parlour_websocket::client;
    use parlour_websocket::handshake::client::ClientRequest;
    let request = ClientRequest {
        host: process.address.to_string(),
        path_and_query: format!("/ws?user={user}"),
        subprotocols: vec!["parlour.json.v1".into()],
        ..ClientRequest::default()
    };
    let tcp = tokio::net::TcpStream::connect(process.address).await.expect("connected");
    let (stream, _) = client::connect(tcp, &request).await.expect("upgraded");
    let mut json = Json::new(crate::harness::Socket { stream });
    json.until("welcome").await;
    json
}

#[tokio::test]
async fn after_a_kill_nothing_is_missing_and_who_was_there_is_gone() {
    if served_as_child().await {
        return;
    }
    const TEST: &str = "webhooks::after_a_kill_nothing_is_missing_and_who_was_there_is_gone";
    let mut collector = Collector::start().await;
    collector.answer(503);
    let directory = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(directory.path().join(URL_FILE), collector.backend.url("/events")).expect("written");
    let process = ServerProcess::start(TEST, directory.path(), Duration::ZERO);
    let mut alice = connect(&process, "Alice").await;
    alice.join("general").await;
    publish_all(&mut alice, "general", 0..150).await;
    // What was told before the last messages were said is in the store by now.
    process.await_metric("parlour_webhook_events_total", 3.0).await;
    process.signal(Signal::KILL);
    process.ended().await;
    drop(alice);
    collector.answer(200);

    let process = ServerProcess::start(TEST, directory.path(), Duration::ZERO);
    let (mut heard, mut others) = (Vec::new(), Vec::new());
    while heard.len() < 150 || others.len() < 6 {
        match collector.next().await {
            event if event["type"] == "message" => heard.push(event),
            event => others.push(event),
        }
    }
    assert_eq!(texts(&heard), numbers(0..150), "every message that was acknowledged, in order");
    let kinds: Vec<_> = others.iter().map(|event| event["type"].as_str().expect("a type")).collect();
    assert_eq!(kinds[..4], ["connected", "online", "room_occupied", "disconnected"], "{kinds:?}");
    assert_eq!(others[3]["payload"]["reason"], "server_ended");
    assert!(kinds[4..].contains(&"offline") && kinds[4..].contains(&"room_vacated"), "{kinds:?}");
    process.signal(Signal::TERM);
    process.ended().await;
}

#[tokio::test]
async fn a_webhook_hears_what_is_said_after_its_beginning_and_goes_on_after_a_restart() {
    let mut collector = Collector::start().await;
    let server = TestServer::start_durable(|_| {}).await;
    let mut alice = server.json("Alice").await;
    alice.join("general").await;
    alice.publish("general", "before").await;
    say_goodbye(alice).await;
    let configure = |rule: WebhookRule| {
        move |config: &mut Config| {
            allow_loopback(config);
            config.backend.webhooks = vec![rule];
        }
    };
    let rule = collector.rule("late", &[EventKind::Message]);
    let server = server.restart(configure(rule.clone())).await;
    let mut alice = server.json("Alice").await;
    alice.join("general").await;
    alice.publish("general", "first").await;
    assert_eq!(collector.next().await["payload"]["text"], "first");
    collector.answer(500);
    alice.publish("general", "second").await;
    say_goodbye(alice).await;
    let server = server.restart(configure(rule)).await;
    collector.answer(200);
    assert_eq!(collector.next().await["payload"]["text"], "second");
    assert_eq!(state(&server).await[0]["delivered"], 1, "and not the first one again");
    server.drain().await;
}

#[tokio::test]
async fn whoever_is_erased_is_not_told_of_any_more() {
    let mut collector = Collector::start().await;
    collector.answer(503);
    let server = TestServer::start_durable(|config| {
        allow_loopback(config);
        config.timeouts.grace = Duration::ZERO;
        config.backend.webhooks = vec![collector.rule("all", &EventKind::ALL)];
    })
    .await;
    let mut alice = server.json("Alice").await;
    alice.join("general").await;
    alice.publish("general", "my secret").await;
    say_goodbye(alice).await;
    // Connected, online, occupied, and the end of all three.
    server.await_metric("parlour_webhook_events_total", 6.0).await;
    let erase = "DELETE /users/Alice HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(http(server.admin_address(), erase).await.0, 200);
    // The first one may have been under way already.
    let refused = server.metric("parlour_webhook_deliveries_total").await;
    while server.metric("parlour_webhook_deliveries_total").await < refused + 2.0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    collector.answer(200);
    let mut bob = server.json("Bob").await;
    bob.join("general").await;
    bob.publish("general", "end").await;
    let mut heard = Vec::new();
    while heard.last().is_none_or(|event: &Value| event["payload"]["text"] != "end") {
        heard.push(collector.next().await);
    }
    let text = Value::from(heard).to_string();
    assert!(!text.contains("Alice") && !text.contains("my secret"), "{text}");
    drop(bob);
    server.drain().await;
}
