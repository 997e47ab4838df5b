//! Requests that are sent again: what they store is stored once (P6).

use parlour_server::api::key::Scope;
use serde_json::json;

use super::{Answer, Backend, code, key, with_key};
use crate::harness::TestServer;

async fn say(backend: &Backend<'_>, path: &str, once: &str, body: &serde_json::Value) -> Answer {
    let line = format!("POST /api/v1{path}");
    backend.request(&line, &[&format!("Idempotency-Key: {once}")], &body.to_string()).await
}

#[tokio::test]
async fn the_same_request_is_stored_once_also_after_a_restart() {
    let (key, shown) = key(&Scope::ALL, &["*", "@*"]);
    let server = TestServer::start_durable(with_key(key.clone())).await;
    let backend = Backend { server: &server, key: shown.clone() };
    let batch = json!({"messages": [{"text": "one"}, {"text": "two"}]});
    let requests = [
        ("/rooms/general/messages", "k1", json!({"text": "hello"})),
        ("/rooms/general/batch", "k2", batch),
        ("/users/Alice/messages", "k3", json!({"text": "psst"})),
        ("/rooms/general/sanctions", "k4", json!({"user": "Eve", "kind": "mute"})),
    ];
    let mut places = Vec::new();
    for (path, once, body) in &requests {
        let first = say(&backend, path, once, body).await;
        assert_eq!((first.status, &first.body["dup"]), (200, &json!(false)), "{path}: {first:?}");
        places.push(first.body["seq"].clone());
    }
    drop(backend);
    let server = server.restart(with_key(key)).await;
    let backend = Backend { server: &server, key: shown };
    for ((path, once, body), place) in requests.iter().zip(&places) {
        let again = say(&backend, path, once, body).await;
        assert_eq!((again.status, &again.body["dup"]), (200, &json!(true)), "{path}: {again:?}");
        assert_eq!(again.body["seq"], *place, "{path}");
    }
    let other = say(&backend, "/rooms/general/messages", "k1", &json!({"text": "goodbye"})).await;
    assert_eq!((other.status, code(&other).as_str()), (409, "idempotency_conflict"));
    let page = backend.get("/rooms/general/messages").await;
    assert_eq!(page["head"], 4, "{page}");
}

#[tokio::test]
async fn the_same_broadcast_is_stored_once_per_room() {
    let server = TestServer::start().await;
    let backend = Backend::of(&server);
    let said = json!({"rooms": ["a", "b"], "text": "x"});
    for dup in [false, true] {
        let answer = say(&backend, "/broadcast", "k", &said).await;
        for n in 0..2 {
            assert_eq!(answer.body["results"][n]["stored"]["dup"], dup, "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_key_that_is_none_is_refused() {
    let server = TestServer::start().await;
    let backend = Backend::of(&server);
    let body = json!({"text": "x", "cid": "mine"});
    assert_eq!(say(&backend, "/rooms/a/messages", "mine", &body).await.status, 200);
    for (once, why) in [
        ("other", "the body says something else"),
        ("", "empty"),
        ("a b", "with a space"),
        (&"x".repeat(61), "too long"),
    ] {
        let answer = say(&backend, "/rooms/a/messages", once, &body).await;
        assert_eq!((answer.status, code(&answer).as_str()), (400, "bad_request"), "{why}: {answer:?}");
    }
    let twice = ["Idempotency-Key: a", "Idempotency-Key: a"];
    let answer = backend.request("POST /api/v1/rooms/a/messages", &twice, r#"{"text":"x"}"#).await;
    assert_eq!(code(&answer), "bad_request");
}
