//! How credentials end on a live connection: expiry, refresh, revocation.

use std::time::{Duration, Instant};

use parlour_hub::rights::Access;
use parlour_server::config::{Config, RoomRule};
use serde_json::{Value, json};

use super::issuer::{Issuer, enter, now_s, open, stranger};
use crate::harness::{Json, TestServer, http};

/// Rooms are for those alone whom their tokens let in.
fn only_by_token(config: &mut Config) {
    config.rooms =
        vec![RoomRule { durable: true, access: Some(Access::Members), ..RoomRule::ephemeral("*") }];
}

async fn closed(client: &mut Json) -> (u16, String) {
    let close = client.socket.closed().await;
    (close.code, close.reason)
}

#[tokio::test]
async fn expiry_is_announced_and_then_ends_the_connection() {
    let issuer = Issuer::new();
    let server = issuer.server().await;
    let began = Instant::now();
    let expires_s = now_s() + 32;
    let (mut early, _) = enter(&server, &issuer.token(json!({"exp": expires_s}))).await;
    let (mut late, _) = enter(&server, &issuer.token(json!({"exp": now_s() + 2}))).await;

    // A22: who has less than 30 s left is told half-way.
    let told = late.until("token_expiring").await;
    assert!(told["payload"]["expires_ms"].as_i64().expect("a time") <= (now_s() + 2) * 1_000, "{told}");
    let told = early.until("token_expiring").await;
    assert_eq!(told["payload"], json!({"expires_ms": expires_s * 1_000}));
    assert!(began.elapsed() > Duration::from_millis(900), "not before its time: {:?}", began.elapsed());

    assert_eq!(closed(&mut late).await, (1008, "token_expired".into()));
    assert_eq!(early.ask("ping", json!({})).await["type"], "pong", "the other goes on");
}

#[tokio::test]
async fn a_new_token_keeps_the_connection() {
    let issuer = Issuer::new();
    let server = issuer.server().await;
    let token = issuer.token(json!({"exp": now_s() + 3}));
    let (mut forgetful, _) = enter(&server, &token).await;
    let (mut client, _) = enter(&server, &token).await;
    client.join("general").await;
    client.until("token_expiring").await;
    let welcome = client.ask("hello", json!({"token": issuer.token(json!({}))})).await;
    assert_eq!((&welcome["type"], &welcome["payload"]["user"]), (&json!("welcome"), &json!("alice")));

    assert_eq!(closed(&mut forgetful).await, (1008, "token_expired".into()));
    client.publish("general", "still here").await;

    // A25: with a token of somebody else it ends.
    client.send("hello", json!({"token": issuer.token(json!({"sub": "bob"}))})).await;
    assert_eq!(closed(&mut client).await, (1008, "identity_change".into()));
}

#[tokio::test]
async fn a_token_says_which_rooms_there_are() {
    let issuer = Issuer::new();
    let server = TestServer::start_with(|config| {
        issuer.configure(config);
        only_by_token(config);
    })
    .await;
    let rooms = json!({"team:*": "member", "news": ["join", "read"]});
    let (mut client, _) = enter(&server, &issuer.token(json!({"rooms": rooms}))).await;
    client.join("team:red").await;
    client.publish("team:red", "hello").await;
    client.join("news").await;
    let refusal = |answer: Value| answer["code"].as_str().map(String::from);
    let publish = client.ask("publish", json!({"room": "news", "text": "x"})).await;
    assert_eq!(refusal(publish).as_deref(), Some("forbidden"));
    let history = client.ask("history", json!({"room": "news"})).await;
    assert_eq!(refusal(history).as_deref(), Some("forbidden"));
    assert_eq!(refusal(client.ask("join", json!({"room": "secret"})).await).as_deref(), Some("not_found"));

    // A new token with fewer rooms puts it out of the others; nothing of them arrives after that.
    let fewer = issuer.token(json!({"rooms": {"news": ["join", "read"]}}));
    let (mut bob, _) = enter(&server, &issuer.token(json!({"sub": "bob", "rooms": {"*": "all"}}))).await;
    bob.join("team:red").await;
    assert_eq!(client.ask("hello", json!({"token": fewer})).await["type"], "welcome");
    assert_eq!(client.until("left").await["payload"]["room"], "team:red");
    bob.until("member_left").await;
    bob.publish("team:red", "without alice").await;
    bob.join("news").await;
    bob.publish("news", "for alice").await;
    let events = client.before("for alice").await;
    assert!(!events.iter().any(|event| event["payload"]["text"] == "without alice"), "{events:?}");
    assert_eq!(refusal(client.ask("join", json!({"room": "team:red"})).await).as_deref(), Some("not_found"));
}

async fn revoke(server: &TestServer, body: &str) -> (u16, String) {
    let length = body.len();
    let request = format!(
        "POST /revoke HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    http(server.admin_address(), &request).await
}

/// Shows a token at both doors; returns what it is refused with.
async fn refused(server: &TestServer, token: &str) -> String {
    assert!(open(server, token).await.is_err(), "by header");
    let mut client = stranger(server).await;
    client.send("hello", json!({"token": token})).await;
    client.next().await["code"].as_str().expect("an error").into()
}

#[tokio::test]
async fn what_is_revoked_ends_at_once_and_stays_so() {
    let issuer = Issuer::new();
    let server = TestServer::start_durable(|config| issuer.configure(config)).await;
    let token = |user: &str, id: &str, age_s: i64| {
        issuer.token(json!({"sub": user, "jti": id, "iat": now_s() - age_s}))
    };
    let [stolen, other, old, bobs] =
        [token("alice", "t1", 0), token("alice", "t2", 0), token("carol", "t3", 900), token("bob", "t4", 60)];
    let (mut with_stolen, _) = enter(&server, &stolen).await;
    let (mut with_other, _) = enter(&server, &other).await;
    let (mut with_old, _) = enter(&server, &old).await;
    let (mut with_bobs, _) = enter(&server, &bobs).await;

    // A23, by the id of the token.
    assert_eq!(revoke(&server, r#"{"token":"t1"}"#).await.0, 204);
    assert_eq!(closed(&mut with_stolen).await, (1008, "revoked".into()));
    assert_eq!(with_other.ask("ping", json!({})).await["type"], "pong");
    // By time.
    assert_eq!(revoke(&server, &json!({"issued_before": now_s() - 600}).to_string()).await.0, 204);
    assert_eq!(closed(&mut with_old).await, (1008, "revoked".into()));
    // By user; a token that is issued later counts again.
    assert_eq!(with_bobs.ask("ping", json!({})).await["type"], "pong");
    assert_eq!(
        revoke(&server, &json!({"user": "bob", "issued_before": now_s() - 30}).to_string()).await.0,
        204
    );
    assert_eq!(closed(&mut with_bobs).await, (1008, "revoked".into()));
    enter(&server, &token("bob", "t5", 10)).await;

    let server = server.restart(|config| issuer.configure(config)).await;
    for gone in [&stolen, &old, &bobs] {
        assert_eq!(refused(&server, gone).await, "revoked");
    }
    enter(&server, &other).await;
    enter(&server, &token("bob", "t5", 10)).await;

    // Until now: a token of this very second is hit, too.
    assert_eq!(revoke(&server, r#"{"user":"alice"}"#).await.0, 204);
    assert_eq!(refused(&server, &token("alice", "t6", 0)).await, "revoked");
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_reaches_the_other_nodes_of_a_database() {
    let (issuer, database) = (Issuer::new(), crate::harness::postgres::Database::new());
    let node = async || {
        TestServer::start_with(|config| {
            issuer.configure(config);
            config.database = parlour_server::config::DatabaseUrl::parse(&database.address());
        })
        .await
    };
    let (here, there) = (node().await, node().await);
    let token = issuer.token(json!({"jti": "t1"}));
    let (mut client, _) = enter(&there, &token).await;
    assert_eq!(revoke(&here, r#"{"token":"t1"}"#).await.0, 204);
    let revoked = Instant::now();
    assert_eq!(closed(&mut client).await, (1008, "revoked".into()), "P21");
    assert!(revoked.elapsed() < Duration::from_secs(5), "{:?}", revoked.elapsed());
    assert_eq!(refused(&there, &token).await, "revoked");
}

#[tokio::test]
async fn a_user_without_a_token_can_be_put_out() {
    let server = TestServer::start().await;
    let mut alice = server.json("Alice").await;
    assert_eq!(revoke(&server, r#"{"user":"Alice"}"#).await.0, 204);
    assert_eq!(closed(&mut alice).await, (1008, "revoked".into()));
    server.json("Alice").await;
}

#[tokio::test]
async fn senseless_revocations_are_refused() {
    let server = TestServer::start().await;
    let future = json!({"issued_before": now_s() + 60}).to_string();
    for body in ["", "{}", "7", r#"{"token":""}"#, r#"{"token":"a","user":"b"}"#, r#"{"usr":"b"}"#, &future] {
        let (status, answer) = revoke(&server, body).await;
        assert!(status == 400 && answer.contains("bad_request"), "{body}: {status} {answer}");
    }
    // What a page of a browser could send without asking.
    let form = "POST /revoke HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\
                Connection: close\r\n\r\n{}";
    assert_eq!(http(server.admin_address(), form).await.0, 415);
}
