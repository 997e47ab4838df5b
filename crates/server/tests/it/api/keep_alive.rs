//! Several requests on one connection, none of which hides behind another.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Backend;
use crate::harness::{PATIENCE, TestServer};

/// A connection that stays.
struct Line {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Line {
    async fn open(server: &TestServer) -> Self {
        Self { stream: TcpStream::connect(server.address()).await.expect("connected"), received: Vec::new() }
    }

    async fn send(&mut self, bytes: &str) {
        self.stream.write_all(bytes.as_bytes()).await.expect("sent");
    }

    /// Reads one answer; `None` at the end of the connection.
    async fn answer(&mut self) -> Option<(u16, String, String)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        loop {
            let end = self.received.windows(4).position(|window| window == b"\r\n\r\n");
            if let Some(end) = end {
                let head = text(&self.received[..end]).to_ascii_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let length: usize = length.map_or(0, |length| length.parse().expect("a number"));
                if self.received.len() >= end + 4 + length {
                    let body = text(&self.received[end + 4..end + 4 + length]);
                    self.received.drain(..end + 4 + length);
                    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
                    return Some((status.expect("a status"), head, body));
                }
            }
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.received)).await.expect("in time");
            if read.unwrap_or(0) == 0 {
                assert!(self.received.is_empty(), "ended within an answer: {:?}", text(&self.received));
                return None;
            }
        }
    }
}

fn post(backend: &Backend<'_>, text: &str) -> String {
    let body = format!("{{\"text\":\"{text}\"}}");
    format!(
        "POST /api/v1/rooms/a/messages HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        backend.key,
        body.len()
    )
}

fn get(backend: &Backend<'_>, path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n{more}\r\n", backend.key)
}

#[tokio::test]
async fn requests_follow_each_other() {
    let server = TestServer::start().await;
    let backend = Backend::of(&server);
    let mut line = Line::open(&server).await;
    for n in 1..=3 {
        line.send(&post(&backend, "x")).await;
        let (status, head, body) = line.answer().await.expect("an answer");
        assert!(status == 200 && body.contains(&format!("\"seq\":{n}")), "{head}\n{body}");
        assert!(!head.contains("connection: close"), "{head}");
    }
    // Sent at once: answered one after the other, in their order.
    let both = post(&backend, "y") + &get(&backend, "/api/v1/rooms/a/messages?limit=1", "");
    line.send(&both).await;
    assert!(line.answer().await.expect("the first").2.contains("\"seq\":4"));
    assert!(line.answer().await.expect("the second").2.contains("\"head\":4"));
    // A refusal without a body keeps the line; what cannot follow ends it.
    line.send(&get(&backend, "/api/v1/nowhere", "")).await;
    assert_eq!(line.answer().await.expect("an answer").0, 404);
    line.send(&get(&backend, "/api/v1/stats", "Connection: close\r\n")).await;
    let (status, head, _) = line.answer().await.expect("an answer");
    assert!(status == 200 && head.contains("connection: close"), "{head}");
    assert_eq!(line.answer().await, None);
}

/// H21, H22, H8 for a later request of a connection: each head is read as strictly as the first.
#[tokio::test]
async fn a_bad_head_ends_the_line_wherever_it_stands() {
    let server = TestServer::start().await;
    let backend = Backend::of(&server);
    let long = format!("GET /api/v1/{} HTTP/1.1\r\n", "a".repeat(9_000));
    let good = get(&backend, "/api/v1/stats", "");
    for (bad, status) in [
        ("GET /api/v1/stats HTTP/1.1\nHost: localhost\n\n", 400),
        ("GET /api/v1/stats HTTP/1.1\r\nHost: a\0\r\n\r\n", 400),
        ("GET /api/v1/stats HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400),
        ("POST /api/v1/presence HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("POST /api/v1/presence HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
        (long.as_str(), 414),
    ] {
        for together in [false, true] {
            let mut line = Line::open(&server).await;
            match together {
                true => line.send(&format!("{good}{bad}")).await,
                false => line.send(&good).await,
            }
            assert_eq!(line.answer().await.expect("the good one").0, 200);
            if !together {
                line.send(bad).await;
            }
            let (found, head, _) = line.answer().await.unwrap_or_else(|| panic!("{bad:?}"));
            assert_eq!(found, status, "{bad:?}: {head}");
            // Two hosts are well-formed as a message, so the line may live; nothing else may.
            if !bad.contains("Host: localhost\r\nHost") {
                assert_eq!(line.answer().await, None, "{bad:?}");
            }
        }
    }
}

/// What a body says cannot become a request.
#[tokio::test]
async fn a_refused_body_is_not_taken_for_the_next_request() {
    let server = TestServer::start().await;
    let backend = Backend::of(&server);
    let hidden = get(&backend, "/api/v1/stats", "");
    let head = format!(
        "POST /api/v1/presence HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        hidden.len()
    );
    let mut line = Line::open(&server).await;
    line.send(&format!("{head}{hidden}")).await;
    let (status, head, _) = line.answer().await.expect("an answer");
    assert!(status == 401 && head.contains("connection: close"), "{head}");
    assert_eq!(line.answer().await, None, "one request, one answer");

    // Chunks end where only they say it, so nothing may follow them.
    let chunked = post(&backend, "").replace("Content-Length: 11\r\n\r\n{\"text\":\"\"}", "");
    let mut line = Line::open(&server).await;
    line.send(&format!(
        "{chunked}Transfer-Encoding: chunked\r\n\r\nc\r\n{{\"text\":\"x\"}}\r\n0\r\n\r\n{hidden}"
    ))
    .await;
    let (status, head, _) = line.answer().await.expect("an answer");
    assert!(status == 200 && head.contains("connection: close"), "{head}");
    assert_eq!(line.answer().await, None);
}

#[tokio::test]
async fn a_websocket_may_follow_requests() {
    let server = TestServer::start().await;
    let backend = Backend::of(&server);
    let mut line = Line::open(&server).await;
    line.send(&get(&backend, "/api/v1/stats", "")).await;
    assert_eq!(line.answer().await.expect("an answer").0, 200);
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    line.send(&get(&backend, "/ws?user=Alice&format=json", upgrade)).await;
    assert_eq!(line.answer().await.expect("an answer").0, 101);
    server.await_metric("parlour_connections", 1.0).await;
}

/// A connection without a request does not hold up a shutdown, and only the API has several.
#[tokio::test]
async fn lines_end_with_the_server_and_pages_end_their_own() {
    let server = TestServer::start_with(|config| config.timeouts.drain_notice = Duration::from_secs(1)).await;
    let backend = Backend::of(&server);
    let mut page = Line::open(&server).await;
    page.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(page.answer().await.expect("a page").1.contains("connection: close"));
    let mut line = Line::open(&server).await;
    line.send(&get(&backend, "/api/v1/stats", "")).await;
    assert_eq!(line.answer().await.expect("an answer").0, 200);
    let began = std::time::Instant::now();
    let (_, answer) = tokio::join!(server.drain(), line.answer());
    assert_eq!(answer, None);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

/// A proxy sends the requests of many clients over one connection.
#[tokio::test]
async fn each_request_of_a_proxy_counts_for_its_own_client() {
    let server = TestServer::start_with(|config| {
        config.access.trusted_proxies = vec!["127.0.0.0/8".parse().expect("valid")];
    })
    .await;
    let wrong = Backend { server: &server, key: "parlour_dev_wrong".into() };
    let mut line = Line::open(&server).await;
    let mut statuses = Vec::new();
    for client in ["192.0.2.1"; 40].into_iter().chain(["192.0.2.2"]) {
        line.send(&get(&wrong, "/api/v1/stats", &format!("X-Forwarded-For: {client}\r\n"))).await;
        statuses.push(line.answer().await.expect("an answer").0);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    assert_eq!(statuses.last(), Some(&401), "the second client has shown one wrong key: {statuses:?}");
}
