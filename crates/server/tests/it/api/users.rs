//! Looking at users, moving them, and deciding about them.

use serde_json::json;

use super::Backend;
use crate::harness::{Json, TestServer, escape};

#[tokio::test]
async fn presence_counts_connections_on_all_shards() {
    let server = TestServer::start().await;
    let backend = Backend::of(&server);
    let mut alice = [server.json("Alice").await, server.json("Alice").await, server.json("Alice").await];
    let mut bob = server.json("Bob").await;
    bob.ask("presence", json!({"status": "away"})).await;
    alice[0].ask("presence", json!({"status": "away"})).await;
    let users = backend.post("/presence", json!({"users": ["Zoe", "Bob", "Alice"]})).await["users"].clone();
    let row = |user, status, connections| json!({"user": user, "status": status, "connections": connections});
    assert_eq!(users, json!([row("Zoe", "offline", 0), row("Bob", "away", 1), row("Alice", "online", 3)]));

    bob.join("general").await;
    let members = backend.get("/rooms/general/members").await;
    assert_eq!((&members["member_count"], &members["members"][0]["user"]), (&json!(1), &json!("Bob")));
    let stats = backend.get("/stats").await;
    assert_eq!((&stats["connections"], &stats["unready"]), (&json!(4), &json!([])));
}

#[tokio::test]
async fn a_backend_moves_the_connections_of_a_user() {
    let server = TestServer::start().await;
    let backend = Backend::of(&server);
    let mut alice = [server.json("Alice").await, server.json("Alice").await];
    let to = json!({"room": "orders:1"});
    assert_eq!(backend.post("/users/Alice/subscribe", to.clone()).await["connections"], 2);
    for connection in &mut alice {
        assert_eq!(connection.until("joined").await["payload"]["room"], "orders:1");
    }
    backend.post("/rooms/orders%3A1/messages", json!({"text": "hello"})).await;
    for connection in &mut alice {
        assert_eq!(connection.until("message").await["payload"]["text"], "hello");
    }
    assert_eq!(backend.post("/users/Alice/unsubscribe", to.clone()).await["connections"], 2);
    for connection in &mut alice {
        assert_eq!(connection.until("left").await["payload"]["room"], "orders:1");
    }
    assert_eq!(backend.post("/users/Alice/unsubscribe", to).await["connections"], 0, "nothing to leave");
    assert_eq!(backend.post("/users/Nobody/disconnect", json!({})).await["connections"], 0);
    assert_eq!(backend.post("/users/Alice/disconnect", json!({})).await["connections"], 2);
    for connection in &mut alice {
        let close = connection.socket.closed().await;
        assert_eq!((close.code, close.reason.as_str()), (1008, "disconnected"));
    }
    server.await_metric("parlour_connections", 0.0).await;
}

#[tokio::test]
async fn a_backend_gives_roles_and_takes_them() {
    let server = TestServer::start_durable(|_| {}).await;
    let backend = Backend::of(&server);
    let mut alice = server.json("Alice").await;
    alice.ask("create", json!({"room": "board", "private": true})).await;
    let role = |user: &str| format!("/rooms/board/roles/{user}");
    let mut bob = server.json("Bob").await;
    assert_eq!(bob.ask("join", json!({"room": "board"})).await["code"], "not_found");
    assert_eq!(backend.send("PUT", &role("Bob"), json!({"role": "moderator"})).await.status, 200);
    bob.join("board").await;
    let info = backend.get("/rooms/board").await;
    assert_eq!(info["roles"][1], json!({"user": "Bob", "role": "moderator"}));
    assert_eq!(backend.send("PUT", &role("Bob"), json!({})).await.status, 200);
    assert_eq!(bob.until("left").await["payload"]["room"], "board");
}

#[tokio::test]
async fn a_backend_mutes_and_bans() {
    let server = TestServer::start_durable(|_| {}).await;
    let backend = Backend::of(&server);
    let mut eve = server.json("Eve").await;
    eve.join("general").await;
    let sanction = |kind: &str| json!({"user": "Eve", "kind": kind, "reason": "noise"});
    backend.post("/rooms/general/sanctions", sanction("mute")).await;
    assert_eq!(eve.ask("publish", json!({"room": "general", "text": "x"})).await["code"], "forbidden");
    let answer = backend.send("POST", "/rooms/general/messages", json!({"text": "x", "sender": "Eve"})).await;
    assert_eq!(answer.status, 403, "also through a backend: {answer:?}");
    backend.post("/rooms/general/sanctions", sanction("none")).await;
    eve.publish("general", "again").await;
    backend.post("/rooms/general/sanctions", sanction("ban")).await;
    eve.until("left").await;
    assert_eq!(backend.get("/rooms/general").await["sanctions"][0]["kind"], "ban");
}

#[tokio::test]
async fn a_ticket_lets_a_client_in_once() {
    let server = TestServer::start_with(|config| config.access.anonymous = false).await;
    let backend = Backend::of(&server);
    let minted =
        backend.post("/tickets", json!({"user": "Alice", "rooms": {"board": ["join", "read"]}})).await;
    let path = format!("/ws?ticket={}", escape(minted["ticket"].as_str().expect("a ticket")));
    let mut alice = Json::new(server.open(&path, &["parlour.json.v1"]).await.expect("upgraded"));
    assert_eq!(alice.until("welcome").await["payload"]["user"], "Alice");
    assert!(server.open(&path, &["parlour.json.v1"]).await.is_err(), "a second time");

    assert_eq!(backend.post("/revocations", json!({"user": "Alice"})).await, json!({"done": true}));
    let close = alice.socket.closed().await;
    assert_eq!((close.code, close.reason.as_str()), (1008, "revoked"));
}

/// Q17.
#[tokio::test]
async fn what_a_key_does_for_the_operator_is_written_down() {
    let server = TestServer::start_durable(|_| {}).await;
    let backend = Backend::of(&server);
    backend.post("/tickets", json!({"user": "Alice"})).await;
    backend.post("/users/Alice/disconnect", json!({})).await;
    backend.post("/revocations", json!({"user": "Alice"})).await;
    backend.post("/rooms/general/sanctions", json!({"user": "Eve", "kind": "mute"})).await;
    let directory = server.drain().await.expect("a directory");
    let log = std::fs::read_to_string(directory.path().join("audit.jsonl")).expect("an audit log");
    for (actor, action) in
        [("key dev", "ticket"), ("key dev", "disconnect"), ("key dev", "revoke"), ("dev", "sanction")]
    {
        let is_act =
            |line: &str| line.contains(&format!("\"{actor}\"")) && line.contains(&format!("\"{action}\""));
        assert!(log.lines().any(is_act), "{actor} {action}: {log}");
    }
    assert!(!log.contains("parlour_dev_"), "{log}");
}
