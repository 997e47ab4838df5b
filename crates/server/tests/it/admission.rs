//! Limits on connections: refused early, with an answer, and without harm to those inside.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::{PATIENCE, Socket, TestServer, http_full};

/// Connects, says nothing, and returns the answer that comes all the same.
async fn turned_away(address: SocketAddr) -> (u16, String, Value) {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let mut answer = String::new();
    let _ =
        timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("an answer without a question");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, head.to_ascii_lowercase(), serde_json::from_str(body).expect("JSON"))
}

/// Checks that a member still hears another one.
async fn talk(server: &TestServer, member: &mut Socket) {
    member.send("still here").await;
    while !member.recv().await.ends_with("still here") {}
    server.await_metric("parlour_panics_total", 0.0).await;
}

#[tokio::test]
async fn an_address_has_a_number_of_connections() {
    let server = TestServer::start_with(|config| config.limits.connections_per_address = 2).await;
    let (mut first, _) = server.enter("general", "Alice").await;
    let (second, _) = server.enter("general", "Bob").await;
    let (status, head, problem) = turned_away(server.address()).await;
    assert_eq!((status, problem["code"].as_str()), (429, Some("address_limit")), "H35");
    assert!(head.contains("\r\nretry-after: 5"), "{head}");
    talk(&server, &mut first).await;
    second.close(1000).await;
    server.await_metric("parlour_connections", 1.0).await;
    server.enter("general", "Zoe").await;
}

#[tokio::test]
async fn a_full_node_refuses_early() {
    let server = TestServer::start_with(|config| config.limits.connections = 1).await;
    let (mut member, _) = server.enter("general", "Alice").await;
    let (status, head, problem) = turned_away(server.address()).await;
    assert_eq!((status, problem["code"].as_str()), (503, Some("node_full")), "H36");
    assert!(head.contains("\r\nretry-after: 5"), "{head}");
    // The answer also reaches a client that has asked already.
    let (status, _, _) = http_full(server.address(), b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(status, 503);
    talk(&server, &mut member).await;
    let (ready, _) = server.admin("/readyz").await;
    assert_eq!(ready, 200, "administration has no part in the limit");
}

#[tokio::test]
async fn a_draining_node_lets_nobody_in() {
    let server = TestServer::start().await;
    server.server().node().shell.set_draining();
    let (status, head, problem) = turned_away(server.address()).await;
    assert_eq!((status, problem["code"].as_str()), (503, Some("node_full")), "H36");
    assert!(head.contains("\r\nretry-after: "), "{head}");
    let (status, body) = server.admin("/readyz").await;
    assert_eq!((status, body.contains("\"draining\"")), (503, true), "{body}");
    let (status, body) = server.admin("/healthz").await;
    assert_eq!((status, body.as_str()), (200, r#"{"status":"live","dev":true}"#));
}

#[tokio::test]
async fn a_user_has_a_number_of_connections() {
    let server = TestServer::start_with(|config| config.limits.connections_per_user = 1).await;
    let (mut first, _) = server.enter("general", "Alice").await;
    let handshake = "GET /ws?room=general&user=Alice HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let (status, _, body) = http_full(server.address(), handshake.as_bytes()).await;
    assert!(status == 429 && body.contains("user_limit"), "{status} {body}");
    talk(&server, &mut first).await;
    first.close(1000).await;
    server.await_metric("parlour_connections", 0.0).await;
    server.enter("general", "Alice").await;
}

#[tokio::test]
async fn only_a_trusted_proxy_speaks_for_other_addresses() {
    let get =
        |client: &str| format!("GET / HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {client}\r\n\r\n");
    let untrusting = TestServer::start_with(|config| config.limits.connections_per_address = 1).await;
    let (_member, _) = untrusting.enter("general", "Alice").await;
    let (status, _, _) = http_full(untrusting.address(), get("192.0.2.1").as_bytes()).await;
    assert_eq!(status, 429, "H32: the header changes nothing");

    let trusting = TestServer::start_with(|config| {
        config.limits.connections_per_address = 1;
        config.access.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
    })
    .await;
    let mut request = trusting.request();
    request.path_and_query = "/ws?room=general&user=Alice".into();
    request.headers.push(("X-Forwarded-For".into(), "192.0.2.1".into()));
    let (_member, _) = trusting.open_with(&request).await.expect("upgraded");
    let (status, _, _) = http_full(trusting.address(), get("192.0.2.1").as_bytes()).await;
    assert_eq!(status, 429, "the client's own address is full");
    let (status, _, _) = http_full(trusting.address(), get("192.0.2.2").as_bytes()).await;
    assert_eq!(status, 200);
}
