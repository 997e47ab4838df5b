//! Plain text: what somebody sees who opens `ws://localhost:PORT/ws?room=general&user=Alice`.

use std::time::{Duration, Instant};

use parlour_websocket::client::ConnectError;
use parlour_websocket::handshake::client::ClientRequest;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{PATIENCE, Socket, TestServer, escape};

/// A grace that no test lives to see: what comes all the same came at once.
const LONG: Duration = Duration::from_secs(300);

async fn assert_next(socket: &mut Socket, line: &str) {
    assert_eq!(socket.recv().await, line);
}

#[tokio::test]
async fn hello_world_reaches_everybody_in_the_room_and_nobody_else() {
    let server = TestServer::start().await;
    let url = ClientRequest {
        host: format!("localhost:{}", server.address().port()),
        path_and_query: "/ws?room=general&user=Alice".into(),
        ..ClientRequest::default()
    };
    let (mut alice, _) = server.open_with(&url).await.expect("upgraded");
    assert_eq!(alice.entered().await, [""; 0], "an empty room shows nothing");
    let (mut bob, _) = server.enter("general", "Bob").await;
    let (mut carol, _) = server.enter("random", "Carol").await;
    assert_next(&mut alice, "Bob joined the room").await;

    alice.send("Hello, world!").await;
    assert_next(&mut alice, "Alice: Hello, world!").await;
    assert_next(&mut bob, "Alice: Hello, world!").await;
    carol.send("nobody said anything here").await;
    assert_next(&mut carol, "Carol: nobody said anything here").await;
}

#[tokio::test]
async fn a_goodbye_is_announced_at_once_whatever_its_form() {
    let server = TestServer::start_with(|config| config.timeouts.grace = LONG).await;
    let (mut bob, _) = server.enter("general", "Bob").await;

    let (mut alice, _) = server.enter("general", "Alice").await;
    assert_next(&mut bob, "Alice joined the room").await;
    alice.send("/leave").await;
    assert_next(&mut alice, "* you left general").await;
    assert_next(&mut bob, "Alice left the room").await;

    let (carol, _) = server.enter("general", "Carol").await;
    assert_next(&mut bob, "Carol joined the room").await;
    carol.close(1000).await;
    assert_next(&mut bob, "Carol left the room").await;

    let mut dave = raw_upgrade(&server, "/ws?room=general&user=Dave").await;
    assert_next(&mut bob, "Dave joined the room").await;
    // A close frame without a code, masked with zeros.
    dave.write_all(&[0x88, 0x80, 0, 0, 0, 0]).await.expect("sent");
    assert_next(&mut bob, "Dave left the room").await;
}

#[tokio::test]
async fn a_lost_connection_is_announced_only_after_the_grace() {
    const GRACE: Duration = Duration::from_secs(2);
    let server = TestServer::start_with(|config| config.timeouts.grace = GRACE).await;
    let (mut bob, _) = server.enter("general", "Bob").await;
    for going_away in [false, true] {
        let (alice, _) = server.enter("general", "Alice").await;
        assert_next(&mut bob, "Alice joined the room").await;
        let lost_at = Instant::now();
        match going_away {
            true => alice.close(1001).await,
            false => drop(alice),
        }
        server.await_metric("parlour_connections", 1.0).await;
        bob.send("is she coming back?").await;
        assert_next(&mut bob, "Bob: is she coming back?").await;
        assert_next(&mut bob, "Alice left the room").await;
        // Rooms count whole milliseconds.
        let waited = lost_at.elapsed() + Duration::from_millis(2);
        assert!(waited >= GRACE, "announced after {waited:?}");
    }
}

#[tokio::test]
async fn a_reload_within_the_grace_gives_no_notice() {
    let server = TestServer::start_with(|config| config.timeouts.grace = LONG).await;
    let (mut bob, _) = server.enter("general", "Bob").await;
    let (mut alice, _) = server.enter("general", "Alice").await;
    assert_next(&mut bob, "Alice joined the room").await;
    for round in 0..20 {
        match round % 2 {
            0 => drop(alice),
            _ => alice.close(1001).await,
        }
        (alice, _) = server.enter("general", "Alice").await;
    }
    server.await_metric("parlour_connections", 2.0).await;
    alice.send("still me").await;
    assert_next(&mut bob, "Alice: still me").await;
    alice.close(1000).await;
    assert_next(&mut bob, "Alice left the room").await;
}

#[tokio::test]
async fn several_connections_of_one_name_are_one_member() {
    let server = TestServer::start().await;
    let (mut bob, _) = server.enter("general", "Bob").await;
    let (mut desk, _) = server.enter("general", "Alice").await;
    let (mut phone, _) = server.enter("general", "Alice").await;
    assert_next(&mut bob, "Alice joined the room").await;
    bob.send("/who").await;
    assert!(bob.recv().await.starts_with("* 2 in general: "));

    phone.send("from the phone").await;
    for socket in [&mut bob, &mut desk, &mut phone] {
        assert_next(socket, "Alice: from the phone").await;
    }
    phone.close(1000).await;
    desk.send("still at the desk").await;
    assert_next(&mut bob, "Alice: still at the desk").await;
    desk.close(1000).await;
    assert_next(&mut bob, "Alice left the room").await;
}

#[tokio::test]
async fn the_last_messages_come_first_one_line_each() {
    let server = TestServer::start_with(|config| config.limits.rate_per_s = 0).await;
    let mut alice = server.json("Alice").await;
    alice.join("general").await;
    for n in 1..=1_001 {
        alice.send("publish", json!({"room": "general", "text": format!("line {n}")})).await;
    }
    alice.before("line 1001").await;
    let lines = |last: usize| (1_002 - last..=1_001).map(|n| format!("Alice: line {n}")).collect::<Vec<_>>();

    let (_bob, shown) = server.enter("general", "Bob").await;
    assert_eq!(shown, lines(50), "50 unless told");
    for wanted in [0, 1, 3, 257, 1_000] {
        let path = format!("/ws?room=general&user=Bob&history={wanted}");
        let mut bob = server.open(&path, &[]).await.expect("upgraded");
        for line in lines(wanted) {
            assert_next(&mut bob, &line).await;
        }
        assert_eq!(bob.entered().await, [""; 0], "history={wanted}: nothing else");
    }
}

#[tokio::test]
async fn parameters_that_are_missing_or_wrong_are_named_with_their_rule() {
    let server = TestServer::start().await;
    let (long_room, long_user) = ("r".repeat(129), "u".repeat(65));
    for (room, user, rest, named, rule) in [
        (None, Some("Alice"), "", "`room`", "1 to 128 bytes"),
        (Some(""), Some("Alice"), "", "`room`", "1 to 128 bytes"),
        (Some("general"), None, "", "`user`", "1 to 64 bytes"),
        (Some("general"), Some(""), "", "`user`", "1 to 64 bytes"),
        (Some(long_room.as_str()), Some("Alice"), "", "`room`", "1 to 128 bytes"),
        (Some("a*"), Some("Alice"), "", "`room`", "without `*`"),
        (Some("a\nb"), Some("Alice"), "", "`room`", "printable"),
        (Some("@Alice,Bob"), Some("Alice"), "", "`room`", "does not begin with `@`"),
        (Some("general"), Some(long_user.as_str()), "", "`user`", "1 to 64 bytes"),
        (Some("general"), Some("Al\nice"), "", "`user`", "printable"),
        (Some("general"), Some("Al\u{202e}ice"), "", "`user`", "printable"),
        (Some("general"), Some(" Alice"), "", "`user`", "spaces"),
        (Some("general"), Some("аdmin"), "", "`user`", "scripts"),
        (Some("general"), Some("Alice: hi"), "", "`user`", "`:`"),
        (Some("general"), Some("Alice"), "&history=1001", "`history`", "0 to 1000"),
        (Some("general"), Some("Alice"), "&history=-1", "`history`", "0 to 1000"),
        (Some("general"), Some("Alice"), "&room=other", "`room`", "twice"),
        (Some("general"), Some("Alice"), "&format=xml", "`format`", "text, json or binary"),
    ] {
        let parameter = |name, value: Option<&str>| value.map(|v| format!("{name}={}&", escape(v)));
        let (room, user) = (parameter("room", room), parameter("user", user));
        let path = format!("/ws?{}{}{rest}", room.unwrap_or_default(), user.unwrap_or_default());
        let Err(ConnectError::Refused { status, body, .. }) = server.open(&path, &[]).await else {
            panic!("{path} is not refused");
        };
        assert_eq!(status, 400, "{path}");
        let problem: Value = serde_json::from_slice(&body).expect("a problem in JSON");
        let text = problem.to_string();
        assert!(text.contains(named) && text.contains(rule), "{path}: {text}");
    }
}

#[tokio::test]
async fn names_that_imitate_lines_are_shown_quoted() {
    let server = TestServer::start().await;
    let (mut victim, _) = server.enter("general", "Victim").await;
    for name in ["Alice: hi", "* Alice", "[private] Alice", "! error", "Alice > Bob", "\"Alice\"", "A, B"] {
        let mut mallory = server.json(name).await;
        mallory.join("general").await;
        mallory.publish("general", "boo").await;
        mallory.ask("leave", json!({"room": "general"})).await;
        let quoted = Value::from(name).to_string();
        assert_next(&mut victim, &format!("{quoted} joined the room")).await;
        assert_next(&mut victim, &format!("{quoted}: boo")).await;
        assert_next(&mut victim, &format!("{quoted} left the room")).await;
    }
}

#[tokio::test]
async fn no_message_can_forge_a_line_or_steer_a_terminal() {
    let server = TestServer::start().await;
    let (mut victim, _) = server.enter("general", "Victim").await;
    let (mut typist, _) = server.enter("general", "Eve").await;
    let mut mallory = server.json("Mallory").await;
    mallory.join("general").await;
    for expected in ["Eve joined the room", "Mallory joined the room"] {
        assert_next(&mut victim, expected).await;
    }
    let breaks = ["\n", "\r\n", "\r", "\u{b}", "\u{c}", "\u{85}", "\u{2028}", "\u{2029}"];
    for line_break in breaks {
        let text = format!("x{line_break}Alice: I quit");
        mallory.publish("general", &text).await;
        assert_next(&mut victim, "Mallory: x ⏎ Alice: I quit").await;
    }
    mallory.publish("general", "\u{1b}[2J\u{202e}gone\u{7}").await;
    assert_next(&mut victim, "Mallory: ␛[2J\u{fffd}gone␇").await;
    typist.send("one\nAlice: two").await;
    assert_next(&mut victim, "Eve: one ⏎ Alice: two").await;
}

#[tokio::test]
async fn every_typed_command_is_answered_in_words() {
    let server = TestServer::start().await;
    let (mut alice, _) = server.enter("general", "Alice").await;
    let (mut bob, _) = server.enter("general", "Bob").await;
    assert_next(&mut alice, "Bob joined the room").await;

    alice.send("first").await;
    assert_next(&mut alice, "Alice: first").await;
    alice.send("//slash").await;
    assert_next(&mut alice, "Alice: /slash").await;
    alice.send("/history 1").await;
    assert_next(&mut alice, "* 1 message of general\n* #2 Alice: /slash").await;
    alice.send("/ping").await;
    assert_next(&mut alice, "* pong").await;
    alice.send("/help").await;
    assert!(alice.recv().await.contains("/msg user text"));
    alice.send("/away lunch").await;
    assert_next(&mut alice, "* you are away").await;
    bob.send("/who").await;
    for line in ["Alice: first", "Alice: /slash"] {
        assert_next(&mut bob, line).await;
    }
    let who = bob.recv().await;
    assert!(who.contains("Alice (away: lunch)") && who.contains("Bob"), "{who}");
    alice.send("/back").await;
    assert_next(&mut alice, "* you are back").await;
    alice.send("/msg Bob psst").await;
    assert_next(&mut alice, "[private] Alice > Bob: psst").await;
    assert_next(&mut bob, "[private] Alice > Bob: psst").await;
    alice.send("/jion other").await;
    assert!(alice.recv().await.starts_with("! unknown_command: "));
    alice.send("/join other").await;
    assert_next(&mut alice, "* you are in other").await;
    assert_next(&mut bob, "Alice left the room").await;
    alice.send("/rooms").await;
    let rooms = alice.recv().await;
    assert!(rooms.contains("other (1, you are here)") && rooms.contains("general (1)"), "{rooms}");
    alice.send("/leave").await;
    assert_next(&mut alice, "* you left other").await;
    alice.send("anybody?").await;
    assert!(alice.recv().await.starts_with("! forbidden: you are in no room"));
}

/// Performs the handshake by hand and returns the socket behind it.
async fn raw_upgrade(server: &TestServer, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).await.expect("connected");
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = tokio::time::timeout(PATIENCE, stream.read_u8()).await.expect("in time");
        head.push(byte.expect("a response"));
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    stream
}
