//! What an erased user has said is nowhere any more.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Json, TestServer, http};

/// A word that only the erased user says.
const CANARY: &str = "quetzalcoatlus";

async fn erase(server: &TestServer, user: &str) -> (u16, Value) {
    let request = format!("DELETE /users/{user} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let (status, body) = http(server.admin_address(), &request).await;
    (status, serde_json::from_str(&body).expect("JSON"))
}

/// Says the word in every way.
async fn say_everything(mallory: &mut Json) {
    mallory.publish("general", &format!("first {CANARY}")).await;
    mallory.publish("general", "innocent").await;
    for (command, payload) in [
        ("edit", json!({"room": "general", "target": 3, "text": format!("now {CANARY}"), "cid": CANARY})),
        ("react", json!({"room": "general", "target": 1, "emoji": CANARY, "active": true})),
        ("private", json!({"to": "Bob", "text": format!("psst {CANARY}")})),
        ("publish", json!({"room": "general", "text": CANARY, "reply_to": 1, "cid": format!("{CANARY} 2")})),
        ("read", json!({"room": "general", "seq": 4})),
    ] {
        let answer = mallory.ask(command, payload).await;
        assert_eq!(answer["type"], "ack", "{answer}");
    }
}

#[tokio::test]
async fn nothing_that_an_erased_user_said_is_told_or_kept() {
    let server = TestServer::start_durable(|config| config.limits.rate_per_s = 0).await;
    let (mut bob, mut mallory) = (server.json("Bob").await, server.json("Mallory").await);
    let epoch = bob.join("general").await["epoch"].clone();
    mallory.join("general").await;
    bob.publish("general", "hello").await;
    say_everything(&mut mallory).await;
    mallory.socket.close(1000).await;
    let found = bob.ask("search", json!({"query": CANARY})).await;
    assert_eq!(found["payload"]["hits"].as_array().map(Vec::len), Some(4), "{found}");

    let (status, erased) = erase(&server, "Mallory").await;
    assert_eq!((status, &erased["rooms"]), (200, &json!(2)), "{erased}");
    let alias = erased["alias"].as_str().expect("a name");
    assert!(alias.starts_with("erased-") && alias.len() == "erased-".len() + 8, "{alias}");
    for _ in 0..2 {
        let told = bob.until("erased").await;
        assert_eq!(told["payload"]["user"], "Mallory", "{told}");
    }
    let mut carol = server.json("Carol").await;
    for answer in [
        bob.ask("history", json!({"room": "general"})).await,
        bob.ask("history", json!({"room": "@Bob,Mallory"})).await,
        bob.ask("search", json!({"query": CANARY})).await,
        carol.ask("join", json!({"room": "general", "history": 50})).await,
    ] {
        assert_ne!(answer["type"], "error", "{answer}");
        assert!(!answer.to_string().contains(CANARY), "{answer}");
    }
    let replay = carol.before("hello").await;
    assert!(replay.is_empty(), "the first message of the replay: {replay:?}");
    let mut senders = Vec::new();
    for seq in 2..=6 {
        let event = carol.next().await;
        assert_eq!(event["payload"]["seq"], seq, "numbers stay: {event}");
        assert!(!event.to_string().contains(CANARY), "{event}");
        senders.push(event["payload"]["sender"].clone());
    }
    assert_eq!(senders, vec![json!(alias); 5], "under one name that means nothing");

    let mut dave = server.json("Dave").await;
    let since = json!({"room": "general", "since": {"epoch": epoch, "seq": 1}});
    let joined = dave.ask("join", since).await;
    assert_eq!(joined["payload"]["recovered"], true, "a resume goes on: {joined}");
    let directory = server.drain().await.expect("a directory");
    assert_eq!(files_with(directory.path(), CANARY), Vec::<String>::new());
}

/// The files of a directory that hold a text.
fn files_with(directory: &Path, text: &str) -> Vec<String> {
    let files = std::fs::read_dir(directory).expect("listed").map(|entry| entry.expect("read").path());
    let holds = |path: &Path| {
        let bytes = std::fs::read(path).expect("read");
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    };
    files.filter(|path| holds(path)).map(|path| path.display().to_string()).collect()
}

#[tokio::test]
async fn a_name_that_nobody_has_is_no_error_and_a_wrong_one_is() {
    let server = TestServer::start().await;
    let (status, erased) = erase(&server, "Nobody").await;
    assert_eq!((status, &erased["rooms"]), (200, &json!(0)));
    let (status, refused) = erase(&server, "%00").await;
    assert_eq!((status, &refused["code"]), (400, &json!("invalid_user")), "{refused}");
}
