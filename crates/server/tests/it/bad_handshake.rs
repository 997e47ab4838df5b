//! Group H of the table of bad input, over a socket: every bad request gets its answer, and the next
//! good client gets in.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::{PATIENCE, TestServer, http_full};

const LINE: &str = "GET /ws?room=general&user=Alice HTTP/1.1";
const HOST: &str = "Host: 127.0.0.1";
const UPGRADE: [&str; 2] = ["Upgrade: websocket", "Connection: Upgrade"];
const VERSION: &str = "Sec-WebSocket-Version: 13";
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

/// A request of these lines.
fn request(lines: &[&str]) -> String {
    lines.join("\r\n") + "\r\n\r\n"
}

/// A good opening handshake with a few more lines.
fn handshake(more: &[&str]) -> String {
    request(&[&[LINE, HOST, UPGRADE[0], UPGRADE[1], VERSION, KEY], more].concat())
}

/// What a row of the table expects.
struct Expected {
    status: u16,
    code: &'static str,
    /// A header that the answer must have, as `name: value`.
    header: &'static str,
}

const fn expect(status: u16, code: &'static str) -> Expected {
    Expected { status, code, header: "content-type: application/problem+json" }
}

/// Sends a request, checks the whole answer, and that the connection ends.
async fn check(server: &TestServer, row: &str, request: &[u8], expected: &Expected) {
    let (status, head, body) = http_full(server.address(), request).await;
    assert_eq!(status, expected.status, "{row}: {head}\n{body}");
    let has = |wanted: &str| head.lines().any(|line| line.eq_ignore_ascii_case(wanted));
    assert!(has(expected.header), "{row}: {} is missing in {head}", expected.header);
    assert!(has("content-type: application/problem+json"), "{row}: {head}");
    let problem: Value =
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{row}: {error} in {body:?}"));
    assert_eq!(problem["code"], expected.code, "{row}: {body}");
    assert_eq!(problem["status"], expected.status, "{row}: {body}");
    assert!(!head.to_ascii_lowercase().contains("access-control"), "{row}: {head}");
}

/// After bad requests a good client gets in, and nothing is left of the bad ones.
async fn still_works(server: &TestServer) {
    let (socket, _) = server.enter("general", "Zoe").await;
    socket.close(1000).await;
    let admission = &server.server().node().shell.admission;
    let emptied = async {
        while admission.connections() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, emptied).await.expect("every connection gives its place back");
}

#[tokio::test]
async fn malformed_handshakes_get_their_answer() {
    let server = TestServer::start().await;
    let upgrade = |lines: &[&str]| request(&[&[LINE, HOST, UPGRADE[0], UPGRADE[1]], lines].concat());
    let rows = [
        (
            "H1",
            request(&["POST /ws HTTP/1.1", HOST]),
            Expected { header: "allow: GET", ..expect(405, "method_not_allowed") },
        ),
        (
            "H2",
            request(&[LINE, HOST]),
            Expected { header: "upgrade: websocket", ..expect(426, "upgrade_required") },
        ),
        (
            "H3",
            upgrade(&["Sec-WebSocket-Version: 8", KEY]),
            Expected { header: "sec-websocket-version: 13", ..expect(426, "upgrade_required") },
        ),
        ("H4", upgrade(&[VERSION]), expect(400, "bad_handshake")),
        ("H5", upgrade(&[VERSION, "Sec-WebSocket-Key: c2hvcnQ="]), expect(400, "bad_handshake")),
        ("H6", handshake(&[]).replace("HTTP/1.1", "HTTP/1.0"), expect(400, "bad_handshake")),
        ("H7", request(&[LINE, UPGRADE[0], UPGRADE[1], VERSION, KEY]), expect(400, "bad_handshake")),
        ("H8", handshake(&[HOST]), expect(400, "bad_handshake")),
        ("H9", handshake(&[]).replace("127.0.0.1", "evil.example"), expect(421, "misdirected")),
        ("H10", handshake(&["Origin: https://evil.example"]), expect(403, "origin_forbidden")),
        ("H11", handshake(&["Origin: null"]), expect(403, "origin_forbidden")),
        (
            "H14",
            handshake(&["Origin: http://localhost", "Origin: http://localhost"]),
            expect(400, "bad_handshake"),
        ),
        ("H15", handshake(&["Cookie: a=b"]), expect(403, "origin_forbidden")),
        ("H16", handshake(&["Sec-WebSocket-Protocol: chat, mqtt"]), expect(400, "unknown_subprotocol")),
        ("H17", handshake(&[&format!("X: {}", "y".repeat(17 * 1024))]), expect(431, "headers_too_large")),
        ("H18", handshake(&vec!["X: y"; 101]), expect(431, "headers_too_large")),
        (
            "H18, 10,000 headers",
            handshake(&vec!["Upgrade: websocket"; 10_000]),
            expect(431, "headers_too_large"),
        ),
        (
            "H19",
            request(&[&format!("GET /ws?{} HTTP/1.1", "a".repeat(16 * 1024)), HOST]),
            expect(414, "uri_too_long"),
        ),
        (
            "H21",
            handshake(&["Content-Length: 5", "Transfer-Encoding: chunked"]),
            expect(400, "bad_handshake"),
        ),
        ("H22, bare LF", handshake(&[]).replace("\r\n", "\n"), expect(400, "bad_handshake")),
        ("H22, NUL", handshake(&["X: a\0b"]), expect(400, "bad_handshake")),
        ("H34", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), expect(400, "bad_handshake")),
        ("no HTTP", "\u{16}\u{3}\u{1}\r\n".into(), expect(400, "bad_handshake")),
        ("a body", handshake(&["Content-Length: 5"]) + "hello", expect(400, "bad_handshake")),
    ];
    for (row, request, expected) in &rows {
        check(&server, row, request.as_bytes(), expected).await;
    }
    assert_eq!(server.metric("parlour_refused_total").await, rows.len() as f64, "each is counted once");
    still_works(&server).await;
}

#[tokio::test]
async fn unknown_places_and_methods_get_their_answer() {
    let server = TestServer::start().await;
    for (row, line, expected) in [
        ("H23", "GET /..%2f..%2fetc/passwd HTTP/1.1", expect(404, "no_route")),
        ("H23, not encoded", "GET /../../etc/passwd HTTP/1.1", expect(404, "no_route")),
        ("H24", "GET /nothing HTTP/1.1", expect(404, "no_route")),
        (
            "H25",
            "DELETE / HTTP/1.1",
            Expected { header: "allow: GET, HEAD", ..expect(405, "method_not_allowed") },
        ),
        (
            "H31",
            "OPTIONS /ws HTTP/1.1",
            Expected { header: "allow: GET", ..expect(405, "method_not_allowed") },
        ),
        ("H33", "GET /metrics HTTP/1.1", expect(404, "no_route")),
        ("H33", "GET /admin HTTP/1.1", expect(404, "no_route")),
        ("H33", "PUT /log?level=trace HTTP/1.1", expect(404, "no_route")),
    ] {
        check(&server, row, request(&[line, HOST, "Origin: https://evil.example"]).as_bytes(), &expected)
            .await;
    }
    still_works(&server).await;
}

#[tokio::test]
async fn parameters_are_named_in_their_refusal() {
    let server = TestServer::start().await;
    for (query, code, named) in [
        ("", "invalid_parameter", "`user`"),
        ("user=Alice", "invalid_parameter", "`room`"),
        ("room=general&user=a%3Ab", "invalid_user", "`:`"),
        ("room=%2A&user=Alice", "invalid_room", "`room`"),
        ("room=general&user=Alice&history=many", "invalid_parameter", "`history`"),
    ] {
        let request = handshake(&[]).replace("room=general&user=Alice", query);
        let (status, _, body) = http_full(server.address(), request.as_bytes()).await;
        let problem: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!((status, problem["code"].as_str()), (400, Some(code)), "{query}: {body}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(named)), "{query}: {body}");
    }
    still_works(&server).await;
}

#[tokio::test]
async fn only_listed_pages_get_in_where_origins_are_listed() {
    let server = TestServer::start_with(|config| {
        config.access.loopback_origins = false;
        config.access.origins = vec!["https://app.example.com".into()];
    })
    .await;
    for (row, origin) in [
        ("H10", "Origin: https://other.example.com"),
        ("H12", "Origin: https://app.example.com.evil.io"),
        ("H13", "Origin: http://app.example.com"),
    ] {
        check(&server, row, handshake(&[origin]).as_bytes(), &expect(403, "origin_forbidden")).await;
    }
    for lines in [&["Origin: https://app.example.com"][..], &["Cookie: a=b", "Authorization: Bearer x"]] {
        let (status, mut stream) = open(server.address(), &handshake(lines)).await;
        assert_eq!(status, 101, "{lines:?}");
        stream.shutdown().await.expect("the connection lives");
    }
    still_works(&server).await;
}

/// Sends a request and reads up to the end of the answer's head.
async fn open(address: SocketAddr, request: &str) -> (u16, TcpStream) {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = timeout(PATIENCE, stream.read_u8()).await.expect("an answer in time");
        head.push(byte.expect("the connection lives until the end of the head"));
    }
    let status = String::from_utf8_lossy(&head).split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect("a status"), stream)
}

#[tokio::test]
async fn a_request_that_stalls_is_cut_off() {
    let server =
        TestServer::start_with(|config| config.timeouts.handshake = Duration::from_millis(200)).await;
    let began = Instant::now();
    let mut silent = TcpStream::connect(server.address()).await.expect("connected");
    let mut stalled = TcpStream::connect(server.address()).await.expect("connected");
    stalled.write_all(b"GET /ws?room=gen").await.expect("sent");
    let mut dripping = TcpStream::connect(server.address()).await.expect("connected");
    let drip = async {
        // One byte after another never ends a head, and each would renew a deadline per read.
        while dripping.write_all(b"a").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, drip).await.expect("H20: a dripping client is cut off");
    let (mut nothing, mut answer) = (Vec::new(), String::new());
    let _ = timeout(PATIENCE, silent.read_to_end(&mut nothing)).await.expect("H20: closed");
    let _ = timeout(PATIENCE, stalled.read_to_string(&mut answer)).await.expect("H20: closed");
    assert!(nothing.is_empty(), "nothing was asked");
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("request_timeout"), "{answer}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    still_works(&server).await;
}

#[tokio::test]
async fn bytes_behind_the_handshake_belong_to_the_websocket() {
    let server = TestServer::start().await;
    // "hi" in a masked frame with the key 0, sent in one piece with the request.
    let request = handshake(&[]) + "\u{1}";
    let mut bytes = request.into_bytes();
    bytes.pop();
    bytes.extend_from_slice(b"\x81\x82\0\0\0\0hi");
    for split in [0, 1, 100, bytes.len() - 8, bytes.len() - 3] {
        let mut stream = TcpStream::connect(server.address()).await.expect("connected");
        stream.write_all(&bytes[..split]).await.expect("sent");
        stream.write_all(&bytes[split..]).await.expect("sent");
        let mut answer = Vec::new();
        while !answer.windows(9).any(|window| window == b"Alice: hi") {
            let read = timeout(PATIENCE, stream.read_buf(&mut answer)).await.expect("the message comes back");
            assert!(read.is_ok_and(|read| read > 0), "{}", String::from_utf8_lossy(&answer));
        }
    }
}

#[tokio::test]
async fn garbage_gets_an_answer_or_an_end() {
    let server = TestServer::start().await;
    let good = handshake(&[]).into_bytes();
    // A small generator is enough, and its seed is the number of the round.
    for seed in 1..200_u64 {
        let mut random = seed;
        let mut request = good.clone();
        for _ in 0..=seed % 8 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = usize::try_from(random >> 33).unwrap_or(0) % request.len();
            request[at] = u8::try_from(random & 0xff).unwrap_or(0);
        }
        let mut stream = TcpStream::connect(server.address()).await.expect("connected");
        stream.write_all(&request).await.expect("sent");
        stream.shutdown().await.expect("shut down");
        let mut answer = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an end in time");
    }
    still_works(&server).await;
}
