//! Rows H24 to H33 of the table of bad input and those about keys, over a socket.

use std::time::{Duration, Instant};

use parlour_server::api::key::Scope;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Answer, Backend, code, key, with_key};
use crate::harness::{PATIENCE, TestServer, http_full};

/// Where it stands in the table, the request, its headers and body; the status and the code of the answer.
type Row<'a> = (&'a str, &'a str, &'a [&'a str], &'a [u8], u16, &'a str);

const SAY: &str = "POST /api/v1/rooms/a/messages";
const TYPE: &str = "Content-Type: application/json";

/// Sends a request with exactly these lines beside the host and the key.
async fn raw(backend: &Backend<'_>, line: &str, headers: &[&str], body: &[u8]) -> Answer {
    let head = format!("{line} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n", backend.key);
    let mut request = format!("{head}{}\r\n\r\n", [headers, &["Connection: close"]].concat().join("\r\n"));
    if !body.is_empty() {
        request = request.replace("\r\n\r\n", &format!("\r\nContent-Length: {}\r\n\r\n", body.len()));
    }
    let (status, head, body) =
        http_full(backend.server.address(), &[request.as_bytes(), body].concat()).await;
    Answer { status, head, body: serde_json::from_str(&body).unwrap_or_default() }
}

#[tokio::test]
async fn every_bad_request_gets_its_answer() {
    let server = TestServer::start().await;
    let backend = Backend::of(&server);
    let nested = format!("{{\"text\":{}}}", "[".repeat(10_000));
    let large = format!("{{\"text\":\"{}\"}}", "x".repeat(64 * 1024 - 10));
    let rows: &[Row<'_>] = &[
        ("H24", "GET /api/v1/nowhere", &[], b"", 404, "no_route"),
        ("H24", "GET /api/v2/stats", &[], b"", 404, "no_route"),
        ("H23", "GET /api/v1/..%2f..%2fetc/passwd", &[], b"", 404, "no_route"),
        ("H25", "DELETE /api/v1/rooms/a/messages", &[], b"", 405, "method_not_allowed"),
        ("H26", SAY, &["Content-Type: text/plain"], br#"{"text":"x"}"#, 415, "unsupported_media"),
        ("H26, none", SAY, &[], br#"{"text":"x"}"#, 415, "unsupported_media"),
        ("H27", SAY, &[TYPE, "Content-Encoding: gzip"], br#"{"text":"x"}"#, 415, "unsupported_media"),
        ("H28", SAY, &[TYPE], large.as_bytes(), 413, "body_too_large"),
        ("H28, said", SAY, &[TYPE, "Content-Length: 99999999999"], b"", 413, "body_too_large"),
        ("H29", SAY, &[TYPE], b"{\"text\":", 400, "invalid_json"),
        ("H29, no text", SAY, &[TYPE], b"\xff", 400, "invalid_json"),
        ("C1", SAY, &[TYPE], b"hello", 400, "invalid_json"),
        ("C2", SAY, &[TYPE], b"[]", 400, "bad_request"),
        ("C3", SAY, &[TYPE], nested.as_bytes(), 400, "invalid_json"),
        ("C4", SAY, &[TYPE], br#"{"text":"x","text":"y"}"#, 400, "bad_request"),
        ("C7", SAY, &[TYPE], br#"{"text":"x","seq":1}"#, 400, "bad_request"),
        ("C8", SAY, &[TYPE], br#"{"text":"x","reply_to":-1}"#, 400, "bad_request"),
        ("C8", SAY, &[TYPE], br#"{"text":"x","reply_to":1.5}"#, 400, "bad_request"),
        ("C9", "POST /api/v1/rooms/%2A/messages", &[TYPE], br#"{"text":"x"}"#, 400, "invalid_room"),
        ("C9", "POST /api/v1/rooms/a%00/messages", &[TYPE], br#"{"text":"x"}"#, 400, "invalid_room"),
        ("C9", "POST /api/v1/rooms//messages", &[TYPE], br#"{"text":"x"}"#, 400, "invalid_room"),
        ("C9", "POST /api/v1/rooms/%ff/messages", &[TYPE], br#"{"text":"x"}"#, 400, "bad_handshake"),
        ("C11", SAY, &[TYPE], br#"{"text":"a\u0000"}"#, 400, "invalid_text"),
        ("C12", SAY, &[TYPE], br#"{"text":""}"#, 400, "empty_message"),
        ("C14", SAY, &[TYPE], br#"{"text":"x","cid":""}"#, 400, "bad_request"),
        ("C15", "POST /api/v1/rooms/a/batch", &[TYPE], br#"{"messages":[]}"#, 400, "bad_request"),
        (
            "C27",
            SAY,
            &[TYPE],
            "{\"text\":\"x\",\"sender\":\"\u{430}dmin\"}".as_bytes(),
            400,
            "name_confusable",
        ),
        ("A19", SAY, &[TYPE], br#"{"text":"x","sender":"a\nb"}"#, 400, "invalid_user"),
        ("H31", "OPTIONS /api/v1/stats", &["Origin: https://evil.example"], b"", 403, "origin_forbidden"),
        ("H31", "GET /api/v1/stats", &["Origin: https://evil.example"], b"", 403, "origin_forbidden"),
        ("no body", SAY, &[], b"", 400, "bad_request"),
        ("query", "GET /api/v1/stats?x=1", &[], b"", 400, "invalid_parameter"),
    ];
    for (row, line, headers, body, status, word) in rows {
        let answer = raw(&backend, line, headers, body).await;
        assert_eq!((answer.status, code(&answer).as_str()), (*status, *word), "{row}: {answer:?}");
        assert!(!answer.head.to_ascii_lowercase().contains("access-control"), "{row}: {answer:?}");
    }
    let allow = raw(&backend, "DELETE /api/v1/rooms/a/messages", &[], b"").await;
    assert!(allow.head.contains("allow: POST, GET, HEAD"), "{allow:?}");
    // Nothing of it was stored, and a good request passes.
    assert_eq!(backend.post("/rooms/a/messages", json!({"text": "x"})).await["seq"], 1);
}

/// H30.
#[tokio::test]
async fn a_slow_body_is_not_waited_for() {
    let server = TestServer::start().await;
    let backend = Backend::of(&server);
    let mut stream = TcpStream::connect(server.address()).await.expect("connected");
    let head = format!(
        "{SAY} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n{TYPE}\r\nContent-Length: 100\r\n\r\n",
        backend.key
    );
    let began = Instant::now();
    stream.write_all(head.as_bytes()).await.expect("sent");
    let (mut reading, mut writing) = stream.split();
    let mut answer = Vec::new();
    let dripping = async {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        loop {
            ticks.tick().await;
            if writing.write_all(b" ").await.is_err() {
                return std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = dripping => {}
        read = timeout(PATIENCE, reading.read_to_end(&mut answer)) => drop(read.expect("the connection ends")),
    }
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("request_timeout"), "{answer}");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[tokio::test]
async fn only_a_known_key_is_let_in_and_only_for_its_scopes() {
    let (known, shown) = key(&[Scope::Publish, Scope::Rooms], &["orders:*"]);
    let server = TestServer::start_with(with_key(known)).await;
    let get = |authorization: &str| {
        format!("GET /api/v1/rooms HTTP/1.1\r\nHost: localhost\r\n{authorization}Connection: close\r\n\r\n")
    };
    let wrong = shown.replace("shop", "shoq");
    for (row, authorization, status, word) in [
        ("A1", String::new(), 401, "unauthenticated"),
        ("known", format!("Authorization: Bearer {shown}\r\n"), 200, ""),
        ("other case", format!("Authorization: bearer {shown}\r\n"), 200, ""),
        ("no scheme", format!("Authorization: {shown}\r\n"), 401, "invalid_token"),
        ("basic", "Authorization: Basic YTpi\r\n".into(), 401, "invalid_token"),
        ("two", format!("Authorization: Bearer {shown}\r\n").repeat(2), 401, "invalid_token"),
        ("other id", format!("Authorization: Bearer {wrong}\r\n"), 401, "invalid_token"),
        ("part", format!("Authorization: Bearer {}\r\n", &shown[..shown.len() - 1]), 401, "invalid_token"),
    ] {
        let (found, head, body) = http_full(server.address(), get(&authorization).as_bytes()).await;
        assert!(found == status && body.contains(word), "{row}: {head}\n{body}");
        assert!(!body.contains("parlour_shop_"), "{row}");
        assert_eq!(head.contains("www-authenticate: Bearer"), status == 401, "{row}: {head}");
    }
    let backend = Backend { server: &server, key: shown };
    for (method, path, body) in [
        ("GET", "/rooms/orders:1/messages", json!(null)),
        ("GET", "/stats", json!(null)),
        ("POST", "/users/Alice/messages", json!({"text": "x"})),
        ("POST", "/rooms/general/messages", json!({"text": "x"})),
        ("POST", "/rooms/orders:1/messages", json!({"text": "x", "sender": "Alice"})),
        ("POST", "/rooms/%40Alice%2CBob/messages", json!({"text": "x"})),
    ] {
        let answer = backend.send(method, path, body).await;
        assert_eq!((answer.status, code(&answer).as_str()), (403, "forbidden"), "{path}: {answer:?}");
    }
    backend.post("/rooms/orders:1/messages", json!({"text": "x"})).await;
}

/// Q20: whoever shows wrong keys is slowed down, and cannot lock out the right one.
#[tokio::test]
async fn wrong_keys_are_slowed_down() {
    let server = TestServer::start().await;
    let right = Backend::of(&server);
    let wrong = Backend { server: &server, key: "parlour_dev_wrong".into() };
    let mut statuses = Vec::new();
    for _ in 0..13 {
        statuses.push(wrong.request("GET /api/v1/stats", &[], "").await);
    }
    assert!(statuses[..10].iter().all(|answer| answer.status == 401), "{statuses:?}");
    let slowed = statuses[10..].iter().find(|answer| answer.status == 429).expect("slowed down");
    assert!(slowed.head.contains("retry-after: ") && code(slowed) == "rate_limited", "{slowed:?}");
    right.get("/stats").await;
}

/// Outside development there is no API before somebody configures a key.
#[tokio::test]
async fn without_keys_there_is_no_api() {
    let server = TestServer::start_with(|config| config.dev = false).await;
    for path in ["/api/v1/stats", "/api/v1/openapi.json", "/api/v1/docs"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let (status, _, body) = http_full(server.address(), request.as_bytes()).await;
        assert!(status == 404 && body.contains("no_route"), "{path}: {body}");
    }
}
