//! Long polls: a page of history that waits for its first event.

use std::time::{Duration, Instant};

use serde_json::json;

use super::Backend;
use crate::harness::TestServer;

#[tokio::test]
async fn a_page_waits_for_the_next_event() {
    let server = TestServer::start_durable(|_| {}).await;
    let backend = Backend::of(&server);
    backend.post("/rooms/general/messages", json!({"text": "first"})).await;
    let began = Instant::now();
    // What is there is told at once.
    let page = backend.get("/rooms/general/messages?after=0&wait_ms=60000").await;
    assert_eq!(page["events"][0]["payload"]["text"], "first");
    let desk = &server.server().node().api.desk;
    let waiting = backend.get("/rooms/general/messages?after=1&wait_ms=60000");
    let saying = async {
        while desk.is_empty() {
            tokio::task::yield_now().await;
        }
        backend.post("/rooms/general/messages", json!({"text": "second"})).await
    };
    let (page, _) = tokio::join!(waiting, saying);
    assert_eq!(page["events"][0]["payload"]["text"], "second", "{page}");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    server.await_metric("parlour_rooms", 0.0).await;
    assert!(desk.is_empty());
}

#[tokio::test]
async fn a_wait_has_an_end_and_a_rule() {
    let server = TestServer::start_durable(|_| {}).await;
    let backend = Backend::of(&server);
    let page = backend.get("/rooms/general/messages?after=0&wait_ms=300").await;
    assert_eq!((&page["events"], &page["head"]), (&json!([]), &json!(0)));
    server.await_metric("parlour_rooms", 0.0).await;
    for query in ["wait_ms=1", "after=0&wait_ms=60001", "after=0&wait_ms=-1", "after=0&wait_ms=x"] {
        let path = format!("/rooms/general/messages?{query}");
        assert_eq!(backend.refused(&path).await, "invalid_parameter", "{query}");
    }
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_those_who_wait() {
    let server = TestServer::start_with(|config| config.timeouts.drain_notice = Duration::from_secs(2)).await;
    let key = server.server().node().api.dev_key().expect("a key").to_owned();
    let (address, node) = (server.address(), std::sync::Arc::clone(server.server().node()));
    let request = format!(
        "GET /api/v1/rooms/general/messages?after=0&wait_ms=60000 HTTP/1.1\r\nHost: localhost\r\n\
         Authorization: Bearer {key}\r\n\r\n"
    );
    let waiting = tokio::spawn(async move { crate::harness::http_full(address, request.as_bytes()).await });
    while node.api.desk.is_empty() {
        tokio::task::yield_now().await;
    }
    server.drain().await;
    let (status, head, body) = waiting.await.expect("an answer");
    assert!(status == 200 && body.contains("\"events\":[]"), "{head}\n{body}");
}
