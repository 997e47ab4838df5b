//! Commands: each one works in every dialect, within the limits of a connection.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use parlour_protocol::command::{
    Availability, Cursor, Hello, HistoryQuery, Join, Private, SetPresence, Typing,
};
use parlour_protocol::dialect::DialectId;
use parlour_protocol::{Command, ErrorCode, Event, Seq};
use parlour_websocket::client::Message;
use serde_json::json;

use crate::harness::typed::{Client, MESSAGE_DIALECTS, in_room, publish, room, user};
use crate::harness::{Json, TestServer};

pub(crate) async fn assert_closed(client: &mut Client, code: u16, reason: &str) {
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
            Command::Private(Private {
                to: user("Bob"),
                text: "psst".into(),
                cid: Some("c".into()),
                reply_to: None,
                mentions: Vec::new(),
            }),
            Command::Presence(SetPresence { status: Availability::Away, text: Some("lunch".into()) }),
            Command::Members(in_room("general")),
            Command::History(HistoryQuery {
                room: room("general"),
                before: None,
                after: None,
                thread: None,
                limit: Some(1),
            }),
            Command::Rooms,
            Command::Read(Cursor { room: room("general"), seq: Seq(1) }),
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
        assert_eq!(page["payload"]["events"][0]["payload"]["sender"], "Bob");
        alice.publish("general", "two").await;
    }
}

/// C22 to C25.
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

/// C21.
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
    let allowed = || 21 + began.elapsed().as_millis() / 100;
    assert!(acked >= 20 && acked <= allowed(), "{acked} of 60, {} allowed", allowed());
    // The budget is the user's: another device does not help.
    let mut phone = server.json("Alice").await;
    phone.join("general").await;
    for _ in 0..60 {
        phone.send("publish", json!({"room": "general", "text": "more"})).await;
    }
    for _ in 0..60 {
        let answer = loop {
            let event = phone.next().await;
            if event.get("id").is_some() {
                break event;
            }
        };
        acked += u128::from(answer["type"] == "ack");
    }
    assert!(acked <= allowed(), "{acked} of 120, {} allowed", allowed());
    // Another user is not affected.
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
