//! The HTTP API, as a backend uses it.

use parlour_protocol::UserId;
use parlour_server::api::key::{Digest, Key, Scope, generate};
use parlour_server::config::Config;
use parlour_server::store::StoreError;
use serde_json::{Value, json};

use crate::harness::faulty::Mood;
use crate::harness::{Json, TestServer, http_full};

mod bad_input;
mod events;
mod keep_alive;
mod lists;
mod once;
mod users;
mod waiting;

/// A backend with a key.
struct Backend<'a> {
    server: &'a TestServer,
    key: String,
}

/// An answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Value,
}

impl<'a> Backend<'a> {
    /// The backend that a development server makes a key for.
    fn of(server: &'a TestServer) -> Self {
        let key = server.server().node().api.dev_key().expect("a development server has a key");
        Self { server, key: key.to_owned() }
    }

    /// Sends a request with a few more header lines.
    async fn request(&self, line: &str, headers: &[&str], body: &str) -> Answer {
        let mut head =
            format!("{line} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n", self.key);
        if !body.is_empty() {
            head += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        }
        headers.iter().for_each(|header| head += &format!("{header}\r\n"));
        let request = format!("{head}Connection: close\r\n\r\n{body}");
        let (status, head, body) = http_full(self.server.address(), request.as_bytes()).await;
        let body = serde_json::from_str(&body).unwrap_or(Value::Null);
        Answer { status, head, body }
    }

    async fn send(&self, method: &str, path: &str, body: Value) -> Answer {
        self.request(&format!("{method} /api/v1{path}"), &[], &body.to_string()).await
    }

    /// Posts something that must succeed.
    async fn post(&self, path: &str, body: Value) -> Value {
        let answer = self.send("POST", path, body).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.body
    }

    /// Gets something that must be there.
    async fn get(&self, path: &str) -> Value {
        let answer = self.request(&format!("GET /api/v1{path}"), &[], "").await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.body
    }

    /// Gets something that is refused; returns the code.
    async fn refused(&self, path: &str) -> String {
        let answer = self.request(&format!("GET /api/v1{path}"), &[], "").await;
        assert_eq!(answer.body["status"], answer.status, "{path}: {answer:?}");
        code(&answer)
    }
}

/// Returns the word of a problem.
fn code(answer: &Answer) -> String {
    assert!(answer.head.contains("content-type: application/problem+json"), "{answer:?}");
    answer.body["code"].as_str().expect("a code").to_owned()
}

/// A key that is good for some scopes in some rooms, and what its owner shows.
fn key(scopes: &[Scope], rooms: &[&str]) -> (Key, String) {
    let shown = generate("shop");
    let key = Key {
        id: "shop".into(),
        digest: Digest::of(&shown),
        scopes: scopes.to_vec(),
        rooms: rooms.iter().map(|room| (*room).into()).collect(),
        sender: UserId::parse("Shop").expect("valid"),
    };
    (key, shown)
}

/// Puts a key in the place of the development server's own.
fn with_key(key: Key) -> impl FnOnce(&mut Config) {
    move |config| config.api_keys = vec![key]
}

async fn hear(client: &mut Json) -> (String, String) {
    let said = client.until("message").await["payload"].clone();
    let text = |field: &str| said[field].as_str().expect("a text").to_owned();
    (text("sender"), text("text"))
}

#[tokio::test]
async fn what_a_backend_says_is_heard_and_kept() {
    let server = TestServer::start_durable(|_| {}).await;
    let backend = Backend::of(&server);
    let mut bob = server.json("Bob").await;
    bob.join("general").await;

    let stored = backend.post("/rooms/general/messages", json!({"text": "hello"})).await;
    assert_eq!(
        (&stored["seq"], &stored["dup"], &stored["room"]),
        (&json!(1), &json!(false), &json!("general"))
    );
    assert_eq!(hear(&mut bob).await, ("dev".into(), "hello".into()));
    backend.post("/rooms/general/messages", json!({"text": "hi", "sender": "Alice", "reply_to": 1})).await;
    assert_eq!(hear(&mut bob).await, ("Alice".into(), "hi".into()));

    let both = json!({"messages": [{"text": "one"}, {"text": "two", "mentions": ["Bob"]}]});
    let stored = backend.post("/rooms/general/batch", both).await;
    assert_eq!((&stored["seq"], &stored["count"]), (&json!(3), &json!(2)));
    assert_eq!((hear(&mut bob).await.1, hear(&mut bob).await.1), ("one".into(), "two".into()));

    let page = backend.get("/rooms/general/messages").await;
    let texts: Vec<_> =
        page["events"].as_array().expect("events").iter().map(|event| &event["payload"]["text"]).collect();
    assert_eq!(texts, ["hello", "hi", "one", "two"]);
    assert!(server.server().node().api.desk.is_empty());
}

/// Nobody is in the room, so it is not in memory, and a key is no member.
#[tokio::test]
async fn a_room_without_anybody_takes_messages_and_is_forgotten_again() {
    let server = TestServer::start_durable(|_| {}).await;
    let backend = Backend::of(&server);
    for n in 1..=3 {
        let stored = backend.post("/rooms/a%2Fb/messages", json!({"text": "x"})).await;
        assert_eq!((&stored["room"], &stored["seq"]), (&json!("a/b"), &json!(n)));
    }
    assert_eq!(backend.get("/rooms/a%2Fb/members").await["member_count"], 0);
    server.await_metric("parlour_rooms", 0.0).await;
}

#[tokio::test]
async fn a_broadcast_has_an_outcome_per_room() {
    let (key, shown) = key(&[Scope::Publish, Scope::History], &["orders:*"]);
    let server = TestServer::start_with(with_key(key)).await;
    let backend = Backend { server: &server, key: shown };
    let said = json!({"rooms": ["orders:1", "general", "orders:2"], "text": "closing"});
    let results = backend.post("/broadcast", said).await["results"].clone();
    assert_eq!(results[0]["stored"]["seq"], 1);
    assert_eq!(
        (&results[1]["room"], &results[1]["problem"]["code"]),
        (&json!("general"), &json!("forbidden"))
    );
    assert_eq!(results[2]["stored"]["room"], "orders:2");
    for rooms in [json!([]), json!(["orders:1", "orders:1"]), json!(vec!["orders:1"; 101])] {
        let answer = backend.send("POST", "/broadcast", json!({"rooms": rooms, "text": "x"})).await;
        assert_eq!((answer.status, code(&answer).as_str()), (400, "bad_request"), "{rooms}");
    }
}

#[tokio::test]
async fn a_user_is_told_something_in_their_conversation() {
    let server = TestServer::start_durable(|_| {}).await;
    let backend = Backend::of(&server);
    let mut alice = server.json("Alice").await;
    let stored = backend.post("/users/Alice/messages", json!({"text": "ready", "sender": "Shop"})).await;
    assert_eq!(stored["room"], "@Alice,Shop");
    let heard = alice.until("private").await;
    assert_eq!((&heard["payload"]["from"], &heard["payload"]["text"]), (&json!("Shop"), &json!("ready")));
    let page = backend.get("/rooms/%40Alice%2CShop/messages").await;
    assert_eq!(page["events"][0]["payload"]["text"], "ready");
}

#[tokio::test]
async fn the_document_and_the_page_are_shown_to_everybody() {
    let server = TestServer::start().await;
    let backend = Backend { server: &server, key: "none".into() };
    let document = backend.get("/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"]["/rooms/{room}/messages"]["post"].is_object(), "{document}");
    let page = "GET /api/v1/docs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let (status, head, page) = http_full(server.address(), page.as_bytes()).await;
    assert_eq!(status, 200, "{head}");
    let policy = head.lines().find(|line| line.starts_with("content-security-policy")).expect("a policy");
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(page.contains("POST /api/v1/rooms/{room}/messages") && !page.contains("<script"), "{page}");
}

/// The answer comes too late for somebody who has gone, and reaches nobody else.
#[tokio::test]
async fn nothing_is_left_of_somebody_who_does_not_wait() {
    let (server, store) = TestServer::start_faulty(|_| {}).await;
    let backend = Backend::of(&server);
    let desk = &server.server().node().api.desk;
    store.appends(Mood::Stuck);
    let said = json!({"text": "x"});
    let first = backend.send("POST", "/rooms/a/messages", said.clone());
    let stuck = async {
        store.stuck_append().await;
        assert_eq!(desk.len(), 1);
        store.appends(Mood::Well);
    };
    let (answer, ()) = tokio::join!(first, stuck);
    assert_eq!((answer.status, desk.len()), (200, 0));
}

/// A store that does not answer is said so, and nothing is left of the question.
#[tokio::test]
async fn a_failing_store_is_told_and_the_next_message_passes() {
    let (server, store) = TestServer::start_faulty(|_| {}).await;
    let backend = Backend::of(&server);
    backend.post("/rooms/general/messages", json!({"text": "before"})).await;
    store.appends(Mood::Failing(StoreError::Unavailable));
    let answer = backend.send("POST", "/rooms/general/messages", json!({"text": "lost"})).await;
    assert_eq!((answer.status, code(&answer).as_str()), (503, "unavailable"), "{answer:?}");
    assert!(answer.head.contains("retry-after: "), "{answer:?}");
    store.appends(Mood::Well);
    let stored = backend.post("/rooms/general/messages", json!({"text": "after"})).await;
    assert_eq!(stored["seq"], 2);
    assert!(server.server().node().api.desk.is_empty());
}
