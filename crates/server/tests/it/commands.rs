//! Commands: each one works in every dialect, and each bad one gets its answer (BAD_INPUT.md, C rows).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use parlour_protocol::command::{
    Availability, Hello, HistoryQuery, Join, Private, Read, SetPresence, Typing,
};
use parlour_protocol::dialect::DialectId;
use parlour_protocol::{Command, ErrorCode, Event, Seq};
use parlour_websocket::client::Message;
use serde_json::{Value, json};

use crate::harness::typed::{Client, MESSAGE_DIALECTS, in_room, publish, room, user};
use crate::harness::{Json, TestServer};

async fn assert_closed(client: &mut Client, code: u16, reason: &str) {
    let close = client.socket.closed().await;
    assert_eq!((close.code, close.reason.as_str()), (code, reason));
}

fn hello(name: &str) -> Command {
    Command::Hello(Hello { user: Some(user(name)), ..Hello::default() })
}

#[tokio::test]
async fn every_command_and_every_event_works_in_every_dialect() {
    for dialect in MESSAGE_DIALECTS {
        let server = TestServer::start().await;
        let mut bob = Client::open(&server, DialectId::Json, "Bob").await;
        bob.join("general").await;
        let mut alice = Client::connect(&server, dialect).await;
        let commands = [
            hello("Alice"),
            Command::Join(Join { room: room("general"), since: None, history: Some(5) }),
            publish("general", "hello"),
            Command::Private(Private { to: user("Bob"), text: "psst".into(), cid: Some("c".into()) }),
            Command::Presence(SetPresence { status: Availability::Away, text: Some("lunch".into()) }),
            Command::Members(in_room("general")),
            Command::History(HistoryQuery {
                room: room("general"),
                before: None,
                after: None,
                limit: Some(1),
            }),
            Command::Rooms,
            Command::Read(Read { room: room("general"), seq: Seq(1) }),
            Command::Ping,
        ];
        let mut events = BTreeSet::new();
        for command in commands {
            let id = alice.send(command).await;
            loop {
                let reply = alice.next().await;
                assert!(!matches!(reply.event, Event::Error(_)), "{dialect:?}: {reply:?}");
                events.insert(reply.event.name());
                if reply.id.as_ref() == Some(&id) {
                    break;
                }
            }
        }
        alice.send(Command::Typing(Typing { room: room("general"), active: true })).await;
        bob.ask(Command::Leave(in_room("general"))).await;
        bob.join("general").await;
        alice.send(publish("elsewhere", "refused")).await;
        let wanted =
            ["typing", "presence", "private", "message", "read", "member_left", "member_joined", "error"];
        while !wanted.iter().all(|name| events.contains(name)) {
            events.insert(alice.next().await.event.name());
        }
        let left = alice.ask(Command::Leave(in_room("general"))).await;
        events.insert(left.name());
        server.drain().await;
        events.insert(alice.next().await.event.name());
        let all = BTreeSet::from([
            "welcome",
            "joined",
            "left",
            "message",
            "member_joined",
            "member_left",
            "private",
            "typing",
            "presence",
            "read",
            "ack",
            "members",
            "history",
            "rooms",
            "pong",
            "error",
            "goaway",
        ]);
        assert_eq!(events, all, "{dialect:?}");
        assert_eq!(alice.socket.closed().await.code, 1012);
    }
}

#[tokio::test]
async fn hello_comes_first() {
    let server = TestServer::start_with(|config| config.timeouts.hello = Duration::from_millis(500)).await;
    for dialect in MESSAGE_DIALECTS {
        let mut early = Client::connect(&server, dialect).await;
        early.send(Command::Ping).await;
        let Event::Error(refusal) = early.next().await.event else { panic!("refused") };
        assert_eq!(refusal.code, ErrorCode::Unauthenticated);
        assert_closed(&mut early, 1008, "unauthenticated").await;

        let mut silent = Client::connect(&server, dialect).await;
        let connected = Instant::now();
        assert_closed(&mut silent, 1008, "auth_timeout").await;
        assert!(connected.elapsed() >= Duration::from_millis(400), "{:?}", connected.elapsed());

        let mut nameless = Client::connect(&server, dialect).await;
        nameless.send(Command::Hello(Hello::default())).await;
        assert_closed(&mut nameless, 1008, "unauthenticated").await;
    }
}

#[tokio::test]
async fn a_second_hello_may_not_name_another_user() {
    let server = TestServer::start().await;
    for dialect in MESSAGE_DIALECTS {
        let mut alice = Client::connect(&server, dialect).await;
        for _ in 0..2 {
            let welcome = alice.ask(hello("Alice")).await;
            assert!(
                matches!(&welcome, Event::Welcome(welcome) if welcome.user == user("Alice")),
                "{welcome:?}"
            );
        }
        alice.join("general").await;
        alice.send(hello("Bob")).await;
        assert_closed(&mut alice, 1008, "identity_change").await;
    }
}

#[tokio::test]
async fn a_room_in_the_url_is_entered_once_the_user_is_known() {
    let server = TestServer::start().await;
    let mut alice = server.json("Alice").await;
    alice.join("general").await;
    alice.publish("general", "one").await;
    alice.publish("general", "two").await;
    for path in ["/ws?room=general&history=1&user=Bob", "/ws?room=general&history=1"] {
        let mut bob = Json::new(server.open(path, &["parlour.json.v1"]).await.expect("upgraded"));
        if !path.contains("user") {
            bob.send("hello", json!({"user": "Bob"})).await;
        }
        assert_eq!(bob.next().await["type"], "welcome");
        let joined = bob.next().await;
        assert_eq!((&joined["type"], joined.get("id")), (&json!("joined"), None));
        assert_eq!(bob.next().await["payload"]["text"], "two");
        bob.publish("general", "three").await;
        let page = bob.ask("history", json!({"room": "general", "limit": 1})).await;
        assert_eq!(page["payload"]["messages"][0]["sender"], "Bob");
        alice.publish("general", "two").await;
    }
}

fn publish_with(fields: &str) -> String {
    format!(r#"{{"type":"publish","id":7,"payload":{{"room":"general",{fields}}}}}"#)
}

fn bad_json() -> Vec<(&'static str, String, Value, &'static str)> {
    let command = |kind: &str, payload: &str| format!(r#"{{"type":"{kind}","id":7,"payload":{payload}}}"#);
    let (id, none) = (json!(7), Value::Null);
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    let mut rows = vec![
        ("C1", "hello".into(), none.clone(), "invalid_json"),
        ("C2", "[]".into(), none.clone(), "bad_request"),
        ("C2", "1".into(), none.clone(), "bad_request"),
        ("C2", "null".into(), none.clone(), "bad_request"),
        ("C3", deep.clone(), none.clone(), "invalid_json"),
        ("C3", command("publish", &deep), id.clone(), "invalid_json"),
        ("C4", r#"{"type":"ping","type":"ping","id":7}"#.into(), id.clone(), "bad_request"),
        ("C4", publish_with(r#""text":"a","text":"b""#), id.clone(), "bad_request"),
        ("C5", command("shout", "{}"), id.clone(), "unknown_command"),
        ("C6", r#"{"type":"ping"}"#.into(), none.clone(), "bad_request"),
        ("C6", r#"{"type":"ping","id":null}"#.into(), none.clone(), "bad_request"),
        ("C10", publish_with(r#""text":"\ud800""#), id.clone(), "bad_request"),
        ("C11", publish_with(r#""text":"a\u0000b""#), id.clone(), "invalid_text"),
        ("C12", publish_with(r#""text":"""#), id.clone(), "empty_message"),
        ("C14", publish_with(r#""text":"x","cid":"""#), id.clone(), "bad_request"),
        (
            "C14",
            publish_with(&format!(r#""text":"x","cid":"{}""#, "c".repeat(65))),
            id.clone(),
            "bad_request",
        ),
        ("C17", command("history", r#"{"room":"general","before":99}"#), id.clone(), "invalid_cursor"),
        ("C17", command("history", r#"{"room":"general","after":1}"#), id.clone(), "invalid_cursor"),
        ("C17", command("history", r#"{"room":"general","before":0}"#), id.clone(), "invalid_cursor"),
        ("C19", command("publish", r#"{"room":"elsewhere","text":"x"}"#), id.clone(), "forbidden"),
    ];
    for field in [r#""sender":"Bob""#, r#""ts":1"#, r#""seq":1"#, r#""user":"Bob""#, r#""colour":"red""#] {
        rows.push(("C7", publish_with(&format!(r#""text":"x",{field}"#)), id.clone(), "bad_request"));
    }
    for seq in ["-1", "1e400", "18446744073709551616", "1.5", "\"+1\"", "true"] {
        let payload = format!(r#"{{"room":"general","seq":{seq}}}"#);
        rows.push(("C8", command("read", &payload), id.clone(), "bad_request"));
    }
    // Kept exact, these are numbers beyond the room's end and nothing worse.
    for seq in ["9007199254740993", "\"9007199254740993\"", "18446744073709551615"] {
        let payload = format!(r#"{{"room":"general","seq":{seq}}}"#);
        rows.push(("C8", command("read", &payload), id.clone(), "invalid_cursor"));
    }
    for name in ["", &"r".repeat(129), "a\0", "a\nb", "*", "a*", "\u{202e}x", "e\u{301}", "@a", "@b,a"] {
        let payload = json!({"room": name}).to_string();
        rows.push(("C9", command("join", &payload), id.clone(), "invalid_room"));
    }
    for limit in ["-1", "0", "1e9", "1000000000", "1001"] {
        let payload = format!(r#"{{"room":"general","limit":{limit}}}"#);
        rows.push(("C16", command("history", &payload), id.clone(), "invalid_limit"));
    }
    rows
}

#[tokio::test]
async fn bad_commands_in_json_are_answered_and_leave_no_trace() {
    let server = TestServer::start().await;
    let mut witness = Client::open(&server, DialectId::Json, "witness").await;
    witness.join("general").await;
    for (row, frame, id, code) in bad_json() {
        let shown: String = frame.chars().take(100).collect();
        let mut alice = server.json("Alice").await;
        alice.join("general").await;
        alice.socket.send(&frame).await;
        let error = alice.until("error").await;
        assert_eq!((&error["code"], error.get("id")), (&json!(code), Some(&id)), "{row}: {shown}: {error}");
        assert_eq!(error["retryable"], false, "{row}");
        assert!(error["message"].as_str().is_some_and(|text| text.len() > 10), "{row}: {error}");
        assert_eq!(alice.ask("ping", json!({})).await["type"], "pong", "{row}: the connection lives");
        alice.socket.close(1000).await;
    }
    witness.publish("general", "nothing was said").await;
    assert_eq!(witness.history("general", 50).await, ["nothing was said"]);
}

/// Builds a binary message: its declared length may lie by `lie` bytes.
fn binary(number: u8, id: u32, fields: &[u8], lie: i32) -> Vec<u8> {
    let length = i32::try_from(4 + fields.len()).expect("short") + lie;
    [&[number], length.to_be_bytes().as_slice(), &id.to_be_bytes(), fields].concat()
}

fn name(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("short");
    [length.to_be_bytes().as_slice(), text.as_bytes()].concat()
}

fn long_text(text: &[u8]) -> Vec<u8> {
    let length = u32::try_from(text.len()).expect("short");
    [length.to_be_bytes().as_slice(), text].concat()
}

fn bad_binary() -> Vec<(&'static str, Vec<u8>, ErrorCode)> {
    const PING: u8 = 0x0c;
    let said = |room: &str, text: &[u8], cid: &[u8]| {
        binary(0x04, 7, &[name(room), long_text(text), cid.to_vec()].concat(), 0)
    };
    let cid = |text: &str| [vec![1], long_text(text.as_bytes())].concat();
    let query = |before: Option<u64>, limit: Option<u32>| {
        let before = before.map_or(vec![0], |seq| [&[1], seq.to_be_bytes().as_slice()].concat());
        let limit = limit.map_or(vec![0], |limit| [&[1], limit.to_be_bytes().as_slice()].concat());
        binary(0x09, 7, &[name("general"), before, vec![0], limit].concat(), 0)
    };
    let mut rows = vec![
        ("C1", vec![], ErrorCode::BadRequest),
        ("C1", b"hello".to_vec(), ErrorCode::BadRequest),
        ("R48", binary(PING, 7, &[], 1), ErrorCode::BadRequest),
        ("R48", binary(PING, 7, &[], -1), ErrorCode::BadRequest),
        ("R48", binary(PING, 7, &[], i32::MAX - 4), ErrorCode::BadRequest),
        ("R48", binary(PING, 7, &[0], 0), ErrorCode::BadRequest),
        ("C5", binary(0x7f, 7, &[], 0), ErrorCode::UnknownCommand),
        ("C6", binary(PING, 0, &[], 0), ErrorCode::BadRequest),
        ("C10", said("general", b"\xed\xa0\x80", &[0]), ErrorCode::BadRequest),
        ("C11", said("general", b"a\0b", &[0]), ErrorCode::InvalidText),
        ("C12", said("general", b"", &[0]), ErrorCode::EmptyMessage),
        ("C14", said("general", b"x", &cid("")), ErrorCode::BadRequest),
        ("C14", said("general", b"x", &cid(&"c".repeat(65))), ErrorCode::BadRequest),
        ("C16", query(None, Some(0)), ErrorCode::InvalidLimit),
        ("C16", query(None, Some(1_000_000_000)), ErrorCode::InvalidLimit),
        ("C17", query(Some(99), None), ErrorCode::InvalidCursor),
        ("C19", said("elsewhere", b"x", &[0]), ErrorCode::Forbidden),
    ];
    for room in ["", &"r".repeat(129), "a\0", "a\nb", "*", "\u{202e}x", "e\u{301}"] {
        let join = binary(0x02, 7, &[name(room), vec![0, 0]].concat(), 0);
        rows.push(("C9", join, ErrorCode::InvalidRoom));
    }
    rows
}

#[tokio::test]
async fn bad_commands_in_binary_are_answered_and_leave_no_trace() {
    let server = TestServer::start().await;
    let mut witness = Client::open(&server, DialectId::Binary, "witness").await;
    witness.join("general").await;
    for (row, frame, code) in bad_binary() {
        let mut alice = Client::open(&server, DialectId::Binary, "Alice").await;
        alice.join("general").await;
        alice.send_frame(&frame).await;
        let error = loop {
            if let Event::Error(refusal) = alice.next().await.event {
                break refusal;
            }
        };
        assert_eq!(error.code, code, "{row}: {frame:x?}: {error}");
        let pong = alice.ask(Command::Ping).await;
        assert!(matches!(pong, Event::Pong(_)), "{row}: the connection lives");
        alice.socket.close(1000).await;
    }
    witness.publish("general", "nothing was said").await;
    assert_eq!(witness.history("general", 50).await, ["nothing was said"]);
}

#[tokio::test]
async fn what_looks_like_an_attack_is_a_text_like_any_other() {
    let server = TestServer::start_with(|config| config.limits.rate_per_s = 0).await;
    let names = ["Al\"ice\\", "<b>Bob</b>", "'; DROP TABLE room"];
    let mut clients = Vec::new();
    for (dialect, name) in MESSAGE_DIALECTS.into_iter().zip(names) {
        let mut client = Client::open(&server, dialect, name).await;
        client.join("general").await;
        clients.push(client);
    }
    let texts = [
        "'; DROP TABLE record; --",
        r#"{"$ne":1}"#,
        r#""},"user":"admin"#,
        "<img src=x onerror=alert(1)>",
        "javascript:alert(1)",
        "\u{1b}[2J\r\n2026 ERROR forged",
        "{\"type\":\"message\"}\n{\"type\":\"message\"}",
        "\u{2028}\u{2029}\u{7f}\u{feff}\u{10ffff}",
    ];
    let mut seq = 0;
    for (speaker, name) in names.into_iter().enumerate() {
        for text in texts {
            seq += 1;
            clients[speaker].send(publish("general", text)).await;
            for client in &mut clients {
                let heard = loop {
                    if let Event::Message(message) = client.next().await.event {
                        break message;
                    }
                };
                assert_eq!((heard.seq.0, heard.sender.as_str(), &*heard.text), (seq, name, text));
            }
        }
    }
    assert_eq!(clients[0].history("general", texts.len() as u32).await, texts, "and that is stored");
}

#[tokio::test]
async fn ten_bad_commands_within_a_minute_end_the_connection() {
    let server = TestServer::start().await;
    for dialect in MESSAGE_DIALECTS {
        let mut clumsy = Client::open(&server, dialect, "clumsy").await;
        for _ in 0..10 {
            clumsy.send_frame(b"?").await;
        }
        for _ in 0..10 {
            assert!(matches!(clumsy.next().await.event, Event::Error(_)), "each one has its answer");
        }
        assert_closed(&mut clumsy, 1008, "too_many_errors").await;

        let mut careful = Client::open(&server, dialect, "careful").await;
        for _ in 0..9 {
            careful.send_frame(b"?").await;
        }
        careful.join("general").await;
    }
}

#[tokio::test]
async fn a_connection_may_be_in_512_rooms() {
    let server = TestServer::start().await;
    let mut alice = server.json("Alice").await;
    for n in 1..=512 {
        alice.join(&format!("room {n}")).await;
    }
    let refused = alice.ask("join", json!({"room": "room 513"})).await;
    assert_eq!((&refused["type"], &refused["code"]), (&json!("error"), &json!("limit_exceeded")));
    // One that it is in already may be entered again, and one that is left makes place.
    alice.join("room 512").await;
    alice.ask("leave", json!({"room": "room 1"})).await;
    alice.join("room 513").await;
}

#[tokio::test]
async fn a_burst_beyond_the_rate_is_refused_without_blocking_the_reader() {
    let server = TestServer::start().await;
    let mut alice = server.json("Alice").await;
    alice.join("general").await;
    let began = Instant::now();
    for n in 0..60 {
        alice.send("publish", json!({"room": "general", "text": n.to_string()})).await;
    }
    let ping = alice.send("ping", json!({})).await;
    let (mut acked, mut refused) = (0, 0);
    let pong = loop {
        let event = alice.next().await;
        match event["type"].as_str().expect("a type") {
            "error" => {
                assert_eq!((&event["code"], &event["retryable"]), (&json!("rate_limited"), &json!(true)));
                assert!(
                    event["retry_after_ms"].as_u64().is_some_and(|ms| (1..=1_000).contains(&ms)),
                    "{event}"
                );
                refused += 1;
            }
            "ack" => acked += 1,
            "pong" => break event,
            _ => {}
        }
    };
    assert_eq!(pong["id"], ping);
    while acked + refused < 60 {
        match alice.next().await["type"].as_str() {
            Some("ack") => acked += 1,
            Some("error") => refused += 1,
            _ => {}
        }
    }
    let allowed = 20 + began.elapsed().as_millis() / 100 + 1;
    assert!((20..=allowed).contains(&acked), "{acked} of 60, {allowed} allowed");
    // The budget is the user's: another device does not help, another user is not affected.
    let mut phone = server.json("Alice").await;
    phone.join("general").await;
    for _ in 0..60 {
        phone.send("publish", json!({"room": "general", "text": "more"})).await;
    }
    assert_eq!(phone.until("error").await["code"], "rate_limited");
    let mut bob = server.json("Bob").await;
    bob.join("general").await;
    bob.publish("general", "as usual").await;
    // Who waits as long as told is heard.
    let said = json!({"room": "general", "text": "patient"});
    let wait_ms = loop {
        let answer = alice.ask("publish", said.clone()).await;
        if let Some(wait_ms) = answer["retry_after_ms"].as_u64() {
            break wait_ms;
        }
    };
    tokio::time::sleep(Duration::from_millis(wait_ms)).await;
    assert_eq!(alice.ask("publish", said).await["type"], "ack");
}

#[tokio::test]
async fn whoever_ignores_the_rate_is_cut_off() {
    let server = TestServer::start().await;
    let mut flood = server.json("flood").await;
    flood.join("general").await;
    for n in 0..400 {
        let frame = json!({"type": "publish", "id": n, "payload": {"room": "general", "text": "x"}});
        // The server may have ended the connection by now.
        if flood.socket.stream.send_text(&frame.to_string()).await.is_err() {
            break;
        }
    }
    let mut refusals = 0;
    let close = loop {
        match flood.socket.next().await {
            Some(Message::Text(text)) => refusals += u32::from(text.contains("rate_limited")),
            Some(Message::Close(close)) => break close.expect("a code"),
            other => panic!("expected a close frame, got {other:?}"),
        }
    };
    assert_eq!((close.code, close.reason.as_str(), refusals), (1008, "rate_limited", 200));
}
