//! What the configuration lets every user do, over real connections. The whole of it is compared in the
//! matrix of the hub's tests; here is a sample, in every dialect, and what only a server shows.

use std::time::{Duration, Instant};

use parlour_hub::rights::Access;
use parlour_protocol::command::{Configure, HistoryQuery, Join, React, SetRole};
use parlour_protocol::content::{Role, Settings};
use parlour_protocol::dialect::DialectId;
use parlour_protocol::{Command, ErrorCode, Event, Seq};
use parlour_server::config::{Config, RoomRule};
use serde_json::{Value, json};

use crate::harness::typed::{Client, MESSAGE_DIALECTS, in_room, publish, room, user};
use crate::harness::{Json, TestServer};
use crate::identity::issuer::{Issuer, enter};

fn rule(pattern: &str, access: Access) -> RoomRule {
    RoomRule { durable: true, access: Some(access), create: Some(true), ..RoomRule::ephemeral(pattern) }
}

/// One pattern for each sort of room; others are closed, as they are in production.
fn sorts(config: &mut Config) {
    config.dev = false;
    config.limits.rate_per_s = 0;
    config.rooms = vec![
        rule("open:*", Access::Public),
        rule("team:*", Access::Members),
        rule("docs:*", Access::ReadOnly),
        rule("news:*", Access::Announcement),
    ];
}

fn code(event: &Event) -> Option<ErrorCode> {
    match event {
        Event::Error(refusal) => Some(refusal.code),
        _ => None,
    }
}

/// A room of Olga's with a message, where it may have one, and a moderator and a member.
async fn found(olga: &mut Client, name: &str) {
    let create = Configure { room: room(name), settings: Settings::default(), cid: None };
    assert_eq!(code(&olga.ask(Command::Create(create)).await), None, "{name}");
    olga.join(name).await;
    for (who, role) in [("Mia", Role::Member), ("Max", Role::Moderator)] {
        let set = SetRole { room: room(name), user: user(who), role: Some(role), cid: None };
        assert_eq!(code(&olga.ask(Command::Role(set)).await), None, "{name}");
    }
}

#[tokio::test]
async fn every_sort_of_room_lets_its_people_in_and_speak_in_every_dialect() {
    use ErrorCode::{Forbidden, NotFound};
    let server = TestServer::start_durable(sorts).await;
    let mut olga = Client::open(&server, DialectId::Json, "Olga").await;
    for dialect in MESSAGE_DIALECTS {
        // Join, history, publish and react, by somebody without a role, a member and a moderator.
        for (sort, who, expected) in [
            ("open", "Pia", [None, None, None, None]),
            ("team", "Pia", [Some(NotFound), Some(NotFound), Some(Forbidden), Some(Forbidden)]),
            ("team", "Mia", [None, None, None, None]),
            ("docs", "Pia", [None, None, Some(Forbidden), Some(Forbidden)]),
            ("docs", "Max", [None, None, Some(Forbidden), Some(Forbidden)]),
            ("news", "Pia", [None, None, Some(Forbidden), Some(NotFound)]),
            ("news", "Mia", [None, None, Some(Forbidden), Some(NotFound)]),
            ("news", "Max", [None, None, None, Some(NotFound)]),
            ("else", "Pia", [Some(NotFound), Some(NotFound), Some(Forbidden), Some(Forbidden)]),
        ] {
            let name = format!("{sort}:{who}{dialect:?}");
            if sort != "else" {
                found(&mut olga, &name).await;
            }
            let mut client = Client::open(&server, dialect, who).await;
            let room = room(&name);
            let query =
                HistoryQuery { room: room.clone(), before: None, after: None, thread: None, limit: None };
            // What was just said; or a number that no message has: whoever may react is told so.
            let target = if sort == "news" { Seq(99) } else { Seq(5) };
            let (emoji, active) = ("+".into(), true);
            let mut outcome = Vec::new();
            for command in [
                Command::Join(Join { room: room.clone(), since: None, history: None }),
                Command::History(query),
                publish(&name, "hi"),
                Command::React(React { room, target, emoji, active, cid: None }),
            ] {
                outcome.push(code(&client.ask(command).await));
            }
            assert_eq!(outcome, expected, "{who} in {name}");
        }
    }
}

#[tokio::test]
async fn plain_text_obeys_too() {
    let server = TestServer::start_durable(sorts).await;
    let mut olga = Client::open(&server, DialectId::Json, "Olga").await;
    found(&mut olga, "team:a").await;
    found(&mut olga, "news:a").await;
    let (mut pia, _) = server.enter("news:a", "Pia").await;
    pia.send("may I?").await;
    let refusal = "! forbidden: you have no right to `publish` in this room";
    assert_eq!(pia.recv().await, refusal);
    pia.send("/info team:a").await;
    assert_eq!(pia.recv().await, "! not_found: There is nothing of this name.");
}

#[tokio::test]
async fn whoever_loses_the_role_is_put_out_of_a_room_for_members() {
    let server = TestServer::start_durable(sorts).await;
    let mut olga = server.json("Olga").await;
    let create = olga.ask("create", json!({"room": "team:a"})).await;
    assert_eq!(create["type"], "ack", "{create}");
    olga.join("team:a").await;
    olga.ask("role", json!({"room": "team:a", "user": "Mia", "role": "member"})).await;
    let mut mia = server.json("Mia").await;
    mia.join("team:a").await;
    olga.ask("role", json!({"room": "team:a", "user": "Mia"})).await;
    assert_eq!(mia.until("left").await["payload"]["room"], "team:a");
    assert_eq!(mia.ask("join", json!({"room": "team:a"})).await["code"], "not_found");
}

#[tokio::test]
async fn search_and_lists_leave_out_what_one_may_not_see() {
    let server = TestServer::start_durable(sorts).await;
    let mut olga = server.json("Olga").await;
    for name in ["team:a", "open:a"] {
        olga.ask("create", json!({"room": name})).await;
        olga.join(name).await;
        olga.publish(name, "needle").await;
    }
    let mut pia = server.json("Pia").await;
    let names = |answer: Value, list: &str| -> Vec<String> {
        let items = answer["payload"][list].as_array().expect("a list").clone();
        items.iter().map(|item| item["room"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(names(pia.ask("search", json!({"query": "needle"})).await, "hits"), ["open:a"]);
    assert_eq!(names(pia.ask("rooms", json!({})).await, "rooms"), ["open:a"]);
    assert_eq!(names(olga.ask("search", json!({"query": "needle"})).await, "hits"), ["open:a", "team:a"]);
}

#[tokio::test]
async fn a_room_that_was_not_joined_is_forbidden_whether_it_exists_or_not() {
    // C19
    let server = TestServer::start_durable(sorts).await;
    let mut olga = Client::open(&server, DialectId::Json, "Olga").await;
    found(&mut olga, "team:a").await;
    found(&mut olga, "open:a").await;
    for dialect in MESSAGE_DIALECTS {
        let mut pia = Client::open(&server, dialect, "Pia").await;
        for name in ["team:a", "team:b", "open:a", "open:b", "else"] {
            for command in
                [publish(name, "hi"), Command::Members(in_room(name)), Command::More(in_room(name))]
            {
                assert_eq!(code(&pia.ask(command).await), Some(ErrorCode::Forbidden), "{name}");
            }
        }
    }
}

#[tokio::test]
async fn a_token_gives_each_action_by_itself() {
    let issuer = Issuer::new();
    let server = TestServer::start_durable(|config| {
        issuer.configure(config);
        sorts(config);
    })
    .await;
    let token = |sub: &str, actions: Value| issuer.token(json!({"sub": sub, "rooms": {"lob*": actions}}));
    let (mut max, _) = enter(&server, &token("max", json!("all"))).await;
    max.join("lobby").await;
    let position = max.publish("lobby", "hello").await;
    let since = json!({"epoch": position["epoch"], "seq": 0});
    let join = json!({"room": "lobby", "history": 50});
    let resume = json!({"room": "lobby", "since": since});
    let history = json!({"room": "lobby"});
    let publish = json!({"room": "lobby", "text": "hi"});
    let kick = json!({"room": "lobby", "user": "ned", "kind": "kick"});
    for (index, (actions, expected)) in [
        (
            json!(["read", "publish"]),
            ["not_found", "not_found", "not_found", "forbidden", "forbidden", "forbidden"],
        ),
        (json!(["join", "read"]), ["joined", "joined", "forbidden", "forbidden", "forbidden", "forbidden"]),
        (
            json!(["join", "read", "history"]),
            ["joined", "joined", "history", "forbidden", "forbidden", "forbidden"],
        ),
        (
            json!(["join", "read", "presence"]),
            ["joined", "joined", "forbidden", "members", "forbidden", "forbidden"],
        ),
        (
            json!(["join", "read", "publish"]),
            ["joined", "joined", "forbidden", "forbidden", "ack", "forbidden"],
        ),
        (
            json!(["join", "read", "moderate"]),
            ["joined", "joined", "forbidden", "forbidden", "forbidden", "ack"],
        ),
        (json!("member"), ["joined", "joined", "history", "members", "ack", "forbidden"]),
    ]
    .into_iter()
    .enumerate()
    {
        let (mut pia, _) = enter(&server, &token(&format!("pia{index}"), actions.clone())).await;
        let mut outcome = Vec::new();
        for (command, payload) in [
            ("join", &join),
            ("join", &resume),
            ("history", &history),
            ("members", &history),
            ("publish", &publish),
            ("sanction", &kick),
        ] {
            let answer = pia.ask(command, payload.clone()).await;
            let word = if answer["type"] == "error" { &answer["code"] } else { &answer["type"] };
            outcome.push(word.as_str().expect("a word").to_owned());
            let sees_history = actions == "member" || actions.to_string().contains("history");
            if command == "join" && payload == &join && word == "joined" && !sees_history {
                assert_eq!(answer["payload"]["replayed"], 0, "{actions}");
            }
        }
        assert_eq!(outcome, expected, "{actions}");
    }
}

/// Asks about rooms in turns; returns the median time of each, and one answer of each.
async fn asked(client: &mut Json, rooms: &[&str], rounds: usize) -> Vec<(Duration, Value)> {
    let mut times = vec![Vec::new(); rooms.len()];
    let mut answers = vec![Value::Null; rooms.len()];
    for _ in 0..rounds {
        for (index, room) in rooms.iter().enumerate() {
            let began = Instant::now();
            let mut answer = client.ask("join", json!({"room": room})).await;
            times[index].push(began.elapsed());
            answer["id"] = Value::Null;
            answers[index] = answer;
        }
    }
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    times.into_iter().map(median).zip(answers).collect()
}

#[tokio::test]
async fn a_hidden_room_answers_like_one_that_does_not_exist() {
    // A26
    let server = TestServer::start_durable(sorts).await;
    let mut olga = server.json("Olga").await;
    for name in ["team:here", "team:away"] {
        olga.ask("create", json!({"room": name})).await;
        olga.join(name).await;
        for _ in 0..20 {
            let messages: Vec<_> =
                (0..64).map(|n| json!({"text": format!("{n} {}", "x".repeat(200))})).collect();
            olga.ask("batch", json!({"room": name, "messages": messages})).await;
        }
    }
    olga.ask("leave", json!({"room": "team:away"})).await;
    let mut eve = server.json("Eve").await;
    let rooms = ["team:never", "team:here", "team:away"];
    let results = asked(&mut eve, &rooms, 300).await;
    for (room, (time, answer)) in rooms.iter().zip(&results) {
        assert_eq!(answer, &results[0].1, "{room}");
        assert_eq!(answer["code"], "not_found", "{room}");
        let (fast, slow) = (time.min(&results[0].0), time.max(&results[0].0));
        // Less than what a network varies by.
        assert!(*slow < *fast * 2 + Duration::from_micros(300), "{room}: {time:?}, not {:?}", results[0].0);
        // tidy: a test shows its figures
        println!("{room}: {time:?}");
    }
}
