//! Pages and cursors.

use parlour_server::api::key::Scope;
use serde_json::{Value, json};

use super::{Backend, key, with_key};
use crate::harness::TestServer;

/// Follows `next` to the end; returns what each page holds under `field`.
async fn pages(backend: &Backend<'_>, path: &str, field: &str) -> Vec<Vec<Value>> {
    let mut pages = Vec::new();
    // A cursor stands in the place of where the first page began.
    let kept = path.split_once("&after").map_or(path, |(kept, _)| kept);
    let mut next = path.to_owned();
    loop {
        let page = backend.get(&next).await;
        pages.push(page[field].as_array().expect("a list").clone());
        match page["next"].as_str() {
            Some(cursor) => next = format!("{kept}&cursor={cursor}"),
            None => return pages,
        }
    }
}

fn seqs(pages: &[Vec<Value>]) -> Vec<Vec<u64>> {
    let seq = |event: &Value| event["payload"]["seq"].as_u64().expect("a number");
    pages.iter().map(|page| page.iter().map(seq).collect()).collect()
}

#[tokio::test]
async fn history_is_read_in_both_directions_and_by_threads() {
    let server = TestServer::start_durable(|_| {}).await;
    let backend = Backend::of(&server);
    for n in 1..=5 {
        let answers = if n > 3 { json!(1) } else { Value::Null };
        backend.post("/rooms/a/messages", json!({"text": format!("{n}"), "reply_to": answers})).await;
    }
    let newest_first = pages(&backend, "/rooms/a/messages?limit=2", "events").await;
    assert_eq!(seqs(&newest_first), [vec![4, 5], vec![2, 3], vec![1]]);
    let oldest_first = pages(&backend, "/rooms/a/messages?limit=2&after=1", "events").await;
    assert_eq!(seqs(&oldest_first), [vec![2, 3], vec![4, 5]]);
    assert_eq!(seqs(&pages(&backend, "/rooms/a/messages?before=3", "events").await), [vec![1, 2]]);
    let thread = pages(&backend, "/rooms/a/messages?thread=1&limit=10", "events").await;
    assert_eq!(seqs(&thread), [vec![1, 4, 5]]);
}

/// C16, C17.
#[tokio::test]
async fn limits_and_cursors_that_are_none_are_refused() {
    let server = TestServer::start_durable(|_| {}).await;
    let backend = Backend::of(&server);
    for room in ["a", "b"] {
        for _ in 0..3 {
            backend.post(&format!("/rooms/{room}/messages"), json!({"text": "x"})).await;
        }
    }
    let next = backend.get("/rooms/a/messages?limit=1").await["next"].as_str().expect("more").to_owned();
    let forged = format!("{}0", &next[..next.len() - 1]);
    for (query, code) in [
        ("limit=0".to_owned(), "invalid_limit"),
        ("limit=-1".to_owned(), "invalid_limit"),
        ("limit=1000000000".to_owned(), "invalid_limit"),
        ("limit=99999999999999999999".to_owned(), "invalid_limit"),
        ("before=x".to_owned(), "invalid_parameter"),
        ("before=99".to_owned(), "invalid_cursor"),
        ("befor=1".to_owned(), "invalid_parameter"),
        ("limit=1&limit=1".to_owned(), "invalid_parameter"),
        ("before=2&after=1".to_owned(), "bad_request"),
        (format!("cursor={next}&before=2"), "invalid_parameter"),
        (format!("cursor={forged}x"), "invalid_cursor"),
        (format!("cursor={next}&thread=1"), "invalid_cursor"),
        ("cursor=17".to_owned(), "invalid_cursor"),
    ] {
        assert_eq!(backend.refused(&format!("/rooms/a/messages?{query}")).await, code, "{query}");
    }
    assert_eq!(backend.refused(&format!("/rooms/b/messages?cursor={next}")).await, "invalid_cursor");
    assert_eq!(backend.refused(&format!("/rooms?cursor={next}")).await, "invalid_cursor");
}

#[tokio::test]
async fn rooms_are_listed_as_far_as_the_key_goes() {
    let (key, shown) = key(&Scope::ALL, &["orders:*"]);
    let server = TestServer::start_durable(with_key(key)).await;
    let backend = Backend { server: &server, key: shown };
    for room in ["orders:1", "orders:2", "orders:3"] {
        backend.post(&format!("/rooms/{room}/messages"), json!({"text": "x"})).await;
    }
    let mut alice = server.json("Alice").await;
    alice.join("orders:2").await;
    alice.join("aaa").await;
    alice.publish("aaa", "not for the shop").await;
    let found = pages(&backend, "/rooms?limit=1", "rooms").await.concat();
    let rooms: Vec<_> =
        found.iter().map(|room| (&room["room"], &room["head"], &room["member_count"])).collect();
    let row = |room, members| (json!(room), json!(1), json!(members));
    let expected = [row("orders:1", 0), row("orders:2", 1), row("orders:3", 0)];
    assert_eq!(rooms, expected.iter().map(|(room, head, count)| (room, head, count)).collect::<Vec<_>>());
    assert_eq!(backend.refused("/rooms/aaa").await, "forbidden");
}
