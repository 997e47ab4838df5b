//! TLS: the same server behind a certificate.

use std::time::Duration;

use parlour_client::{Client, Encoding, Error, Event, JoinOptions, Lost, Update, Updates};
use parlour_server::config::{Config, Flags, Mode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::rustls::{HandshakeKind, version};

use crate::harness::secure::{Certificate, SecureServer};
use crate::harness::wire::{close_frame, frame};
use crate::harness::{PATIENCE, http};

async fn sdk(server: &SecureServer, user: &str, encoding: Encoding) -> (Client, Updates) {
    let builder = Client::builder(server.url()).authorities(server.certificate.cert()).encoding(encoding);
    builder.user(user).connect().await.expect("connected")
}

/// Reads on to the next message; returns its text.
async fn heard(updates: &mut Updates) -> String {
    loop {
        let update = timeout(PATIENCE, updates.next()).await.expect("a message comes in time");
        if let Update::Event(Event::Message(message)) = update.expect("still connected") {
            return message.text.to_string();
        }
    }
}

#[tokio::test]
async fn people_talk_in_every_dialect() {
    let server = SecureServer::start(|_| {}).await;
    let (alice, mut to_alice) = sdk(&server, "Alice", Encoding::Json).await;
    let (bob, mut to_bob) = sdk(&server, "Bob", Encoding::Binary).await;
    for client in [&alice, &bob] {
        client.join("general", JoinOptions::default()).await.expect("joined");
    }
    let mut carol = server.text("general", "Carol").await;
    alice.publish("general", "from JSON").await.expect("stored");
    bob.publish("general", "from binary").await.expect("stored");
    carol.send("from text").await;
    for text in ["from JSON", "from binary", "from text"] {
        assert_eq!(heard(&mut to_bob).await, text);
        assert_eq!(heard(&mut to_alice).await, text);
    }
    for text in ["from JSON", "from binary"] {
        carol.until(text).await;
    }
}

#[tokio::test]
async fn both_versions_of_the_protocol_work_and_sessions_are_resumed() {
    let server = SecureServer::start(|_| {}).await;
    for version in [&version::TLS12, &version::TLS13] {
        let trust = server.certificate.trusted(&[version]);
        for expected in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let tls = server.encrypted_as(&trust, 0).await.expect("a TLS handshake");
            assert_eq!(tls.get_ref().1.protocol_version(), Some(version.version));
            assert_eq!(tls.get_ref().1.handshake_kind(), Some(expected), "{version:?}");
            let mut socket = server.upgrade(tls, "/ws?room=general&user=Alice", "parlour.text.v1").await;
            socket.send("/who").await;
            socket.until("Alice").await;
        }
    }
}

/// 300 KiB are a score of records each way; new keys in between change nothing.
#[tokio::test]
async fn large_messages_go_both_ways() {
    let server = SecureServer::start(|config| {
        config.limits.message_bytes = 1024 * 1024;
        config.limits.outbox_bytes = 4 * 1024 * 1024;
    })
    .await;
    let mut tls = server.encrypted().await;
    tls.get_mut().1.refresh_traffic_keys().expect("after the handshake");
    let mut alice = server.upgrade(tls, "/ws?room=general&user=Alice", "parlour.text.v1").await;
    let mut bob = server.text("general", "Bob").await;
    for round in 0..5 {
        let text: String = (0..60_000).map(|n| format!("{:05} ", (n + round) % 99_999)).collect();
        alice.send(text.trim_end()).await;
        assert!(bob.until("00999").await.contains(text.trim_end()), "round {round}");
        bob.send(&format!("got {round}")).await;
        alice.until(&format!("got {round}")).await;
    }
}

#[tokio::test]
async fn a_reader_who_pauses_gets_everything_in_order() {
    let server = SecureServer::start(|config| config.limits.outbox_bytes = 64 * 1024 * 1024).await;
    let trust = server.certificate.trusted(&[&version::TLS13]);
    let tls = server.encrypted_as(&trust, 4 * 1024).await.expect("a TLS handshake");
    let mut sleeper = server.upgrade(tls, "/ws?room=busy&user=Sleeper", "parlour.text.v1").await;
    let (alice, _) = sdk(&server, "Alice", Encoding::Binary).await;
    alice.join("busy", JoinOptions::default()).await.expect("joined");
    let (mut said, mut last) = (0, usize::MAX);
    while said < last {
        alice.publish("busy", format!("<{said}>{}", "x".repeat(1_000 + said % 9_000))).await.expect("said");
        said += 1;
        if last == usize::MAX && said % 50 == 0 && server.plain.metric("parlour_outboxes").await > 0.0 {
            // Of several records the kernel takes only a part.
            last = said + 300;
        }
        assert!(said < 10_000, "never too much");
    }
    for expected in 0..said {
        let text = sleeper.until("<").await;
        assert!(text.contains(&format!("<{expected}>x")), "{expected} is not in {:.60}", text);
        assert!(text.ends_with(&"x".repeat(1_000 + expected % 9_000)));
    }
    server.plain.await_metric("parlour_outboxes", 0.0).await;
}

#[tokio::test]
async fn who_never_reads_is_cut_off() {
    let server = SecureServer::start(|config| {
        config.timeouts.stall = Duration::from_millis(300);
        config.limits.outbox_bytes = 64 * 1024 * 1024;
    })
    .await;
    let trust = server.certificate.trusted(&[&version::TLS13]);
    let tls = server.encrypted_as(&trust, 4 * 1024).await.expect("a TLS handshake");
    let _sleeper = server.upgrade(tls, "/ws?room=busy&user=Sleeper", "parlour.text.v1").await;
    let (alice, _) = sdk(&server, "Alice", Encoding::Binary).await;
    alice.join("busy", JoinOptions::default()).await.expect("joined");
    for _ in 0..5_000 {
        alice.publish("busy", "x".repeat(10_000)).await.expect("said");
        if server.plain.metric("parlour_evicted_slow_total").await > 0.0 {
            break;
        }
    }
    server.plain.await_metric("parlour_evicted_slow_total", 1.0).await;
    server.plain.await_metric("parlour_connections", 1.0).await;
}

#[tokio::test]
async fn an_idle_connection_is_kept_alive_and_hears_what_is_said_later() {
    let server = SecureServer::start(|config| {
        config.timeouts.ping = Duration::from_millis(200);
        config.timeouts.pong = Duration::from_millis(150);
    })
    .await;
    let mut tls = server.encrypted().await;
    tls.write_all(upgrade("Idle").as_bytes()).await.expect("sent");
    let mut seen = Vec::new();
    for _ in 0..3 {
        read_to(&mut tls, &mut seen, b"\x89\x00").await;
        tls.write_all(&frame(0x8a, b"")).await.expect("sent");
    }
    let mut bob = server.text("lobby", "Bob").await;
    bob.send("are you there?").await;
    read_to(&mut tls, &mut seen, b"are you there?").await;
    // A goodbye of both layers: the end is clean only with a `close_notify`.
    tls.write_all(&close_frame(1000)).await.expect("sent");
    timeout(PATIENCE, tls.read_to_end(&mut seen)).await.expect("an end").expect("a clean one");
    assert!(seen.ends_with(b"\x88\x02\x03\xe8"), "{seen:?}");
}

/// A request for a WebSocket.
fn upgrade(user: &str) -> String {
    format!(
        "GET /ws?user={user}&room=lobby HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: parlour.json.v1\r\n\r\n"
    )
}

/// Reads on to some bytes and forgets everything up to their end.
async fn read_to(tls: &mut (impl AsyncReadExt + Unpin), seen: &mut Vec<u8>, wanted: &[u8]) {
    loop {
        if let Some(at) = seen.windows(wanted.len()).position(|window| window == wanted) {
            seen.drain(..at + wanted.len());
            return;
        }
        let read = timeout(PATIENCE, tls.read_buf(seen)).await.expect("something comes in time");
        assert!(read.expect("no error") > 0, "ended before {wanted:?}");
    }
}

#[tokio::test]
async fn pages_come_over_https() {
    let server = SecureServer::start(|_| {}).await;
    let mut tls = server.encrypted().await;
    tls.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
    let mut page = Vec::new();
    timeout(PATIENCE, tls.read_to_end(&mut page)).await.expect("in time").expect("a clean end");
    let page = String::from_utf8_lossy(&page);
    assert!(page.starts_with("HTTP/1.1 200 "), "{page:.200}");
    assert!(page.trim_end().ends_with("</html>"), "{page}");
}

#[tokio::test]
async fn a_client_refuses_a_certificate_that_it_does_not_know() {
    let (server, other) = (SecureServer::start(|_| {}).await, Certificate::new());
    let builder = Client::builder(server.url()).authorities(other.cert()).user("Alice");
    let Err(Error::Connect(Lost::Transport(error))) = builder.connect().await else {
        panic!("it must not connect");
    };
    assert!(error.to_string().contains("invalid peer certificate"), "{error}");
    server.plain.await_metric("parlour_tls_failures_total", 1.0).await;
    assert_eq!(server.failures("refused_by_client"), 1);
}

#[tokio::test]
async fn who_speaks_without_tls_is_told_so() {
    let server = SecureServer::start(|_| {}).await;
    let (status, body) = http(server.plain.address(), "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(status, 400);
    assert!(body.contains("https://"), "{body}");
    assert_eq!(server.failures("plain_http"), 1);
    let mut tcp = TcpStream::connect(server.plain.address()).await.expect("connected");
    tcp.write_all(&[22, 3, 1, 0, 4, 1, 0, 0, 0]).await.expect("sent");
    let mut alert = Vec::new();
    timeout(PATIENCE, tcp.read_to_end(&mut alert)).await.expect("an end").expect("in order");
    assert_eq!(alert[..5], [21, 3, 3, 0, 2], "a fatal alert says that this was no handshake");
    assert_eq!(server.failures("invalid_message"), 1);
}

#[tokio::test]
async fn a_slow_handshake_ends_at_the_deadline() {
    let server = SecureServer::start(|config| config.timeouts.handshake = Duration::from_millis(300)).await;
    for beginning in [&b""[..], &[22, 3, 1, 2]] {
        let mut tcp = TcpStream::connect(server.plain.address()).await.expect("connected");
        tcp.write_all(beginning).await.expect("sent");
        let end = timeout(PATIENCE, tcp.read(&mut [0; 16])).await.expect("an end");
        assert_eq!(end.unwrap_or(0), 0, "closed without a word");
    }
    // Neither is it longer when the slow part is what comes after the handshake.
    let mut tls = server.encrypted().await;
    let _ = timeout(PATIENCE, tls.read(&mut [0; 16])).await.expect("an end");
    assert_eq!(server.failures("timeout"), 2);
}

#[tokio::test]
async fn broken_records_end_their_connection_and_nothing_else() {
    let server = SecureServer::start(|_| {}).await;
    let mut tls = server.encrypted().await;
    tls.write_all(upgrade("Mallory").as_bytes()).await.expect("sent");
    read_to(&mut tls, &mut Vec::new(), b"welcome").await;
    let mut bob = server.text("lobby", "Bob").await;
    let forged = [&[23, 3, 3, 0, 64][..], &[7; 64]].concat();
    tls.get_mut().0.write_all(&forged).await.expect("sent");
    let error = async {
        while tls.read(&mut [0; 1_024]).await? > 0 {}
        std::io::Result::Ok(())
    };
    let error = timeout(PATIENCE, error).await.expect("an end").expect_err("an alert");
    assert!(error.to_string().contains("BadRecordMac"), "{error}");
    server.plain.await_metric("parlour_connections", 1.0).await;
    bob.send("/who").await;
    bob.until("Bob").await;
}

/// Counts the sockets of the server that are connected or half closed (`/proc/net/tcp`).
fn open_sockets(server: &SecureServer) -> usize {
    let port = format!("0100007F:{:04X}", server.plain.address().port());
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the table of sockets");
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.get(1) == Some(&port.as_str()) && matches!(row.get(3), Some(&("01" | "08"))))
        .count()
}

/// R4, R5 with encryption: whatever way a connection goes, nothing of it stays.
#[tokio::test]
async fn two_hundred_connections_come_and_go_and_leave_nothing() {
    let server = SecureServer::start(|_| {}).await;
    let visit = async |n: usize| {
        let way = n % 5;
        if way == 0 {
            let mut tcp = TcpStream::connect(server.plain.address()).await.expect("connected");
            return tcp.write_all(&[22, 3, 1, 0]).await.expect("sent");
        }
        let mut tls = server.encrypted().await;
        if way == 1 {
            return;
        }
        tls.write_all(upgrade(&format!("u{n}")).as_bytes()).await.expect("sent");
        read_to(&mut tls, &mut Vec::new(), b"welcome").await;
        match way {
            2 => tls.shutdown().await.expect("sent"),
            3 => socket2::SockRef::from(tls.get_ref().0).set_linger(Some(Duration::ZERO)).expect("an option"),
            _ => {
                tls.write_all(&close_frame(1000)).await.expect("sent");
                let _ = tls.read_to_end(&mut Vec::new()).await.expect("a clean end");
            }
        }
    };
    for n in 0..200 {
        visit(n).await;
    }
    for gauge in ["parlour_connections", "parlour_tasks", "parlour_outboxes"] {
        server.plain.await_metric(gauge, 0.0).await;
    }
    assert_eq!(server.plain.metric("parlour_connections_opened_total").await, 120.0);
    assert_eq!(open_sockets(&server), 0);
}

/// Checks that a configuration is refused with all of `words`, or accepted if there are none.
#[track_caller]
fn check(certificate: &Certificate, toml: &str, words: &[&str]) {
    let shown = |path: std::path::PathBuf| path.display().to_string();
    let toml = toml.replace("CERT", &shown(certificate.cert())).replace("KEY", &shown(certificate.key()));
    let outcome = Config::from_sources(Some(&toml), std::iter::empty(), Flags::new(Mode::Serve));
    let text = outcome.map_or_else(|errors| errors.to_string(), |_| String::new());
    assert_eq!(text.is_empty(), words.is_empty(), "{text}");
    assert!(words.iter().all(|word| text.contains(word)), "{words:?} in: {text}");
}

#[test]
fn a_certificate_is_checked_with_the_configuration() {
    let (certificate, other) = (Certificate::new(), Certificate::new());
    let both = "[tls]\ncert = \"CERT\"\nkey = \"KEY\"";
    check(&certificate, both, &[]);
    check(&certificate, &format!("listen = \"0.0.0.0:8443\"\n{both}"), &[]);
    check(&certificate, "[tls]\ncert = \"CERT\"", &["tls.cert", "cert.pem", "together"]);
    check(&certificate, "[tls]\nkey = \"KEY\"", &["tls.key", "key.pem", "together"]);
    check(&certificate, "[tls]\ncert = \"/nowhere\"\nkey = \"KEY\"", &["/nowhere", "not found"]);
    check(&certificate, "[tls]\ncert = \"KEY\"\nkey = \"KEY\"", &["key.pem holds no certificate"]);
    certificate.allow_key(0o644);
    check(&certificate, both, &["key.pem", "chmod o-rwx"]);
    certificate.allow_key(0o600);
    let put = |bytes| std::fs::write(certificate.key(), bytes).expect("written");
    put(std::fs::read(other.key()).expect("a key"));
    check(&certificate, both, &["key.pem does not belong to the certificate in", "cert.pem"]);
    put(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".to_vec());
    check(&certificate, both, &["key.pem holds a key that cannot be used", "ECDSA"]);
    put(std::fs::read(other.cert()).expect("a certificate"));
    check(&certificate, both, &["key.pem holds no private key"]);
}
