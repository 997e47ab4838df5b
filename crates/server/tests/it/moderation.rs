//! Moderators put out, silence and ban; rooms are slow; messages are reported and filtered.

use parlour_hub::filter::{Filter, Remedy};
use serde_json::{Value, json};

use crate::harness::{Json, TestServer};

async fn done(client: &mut Json, command: &str, payload: Value) -> Value {
    let ack = client.ask(command, payload).await;
    assert_eq!(ack["type"], "ack", "{command}: {ack}");
    ack["payload"].clone()
}

async fn refused(client: &mut Json, command: &str, payload: Value) -> Value {
    let error = client.ask(command, payload).await;
    assert_eq!(error["type"], "error", "{command}: {error}");
    error
}

fn sanction(user: &str, kind: &str) -> Value {
    json!({"room": "club", "user": user, "kind": kind})
}

/// A room of Alice, in which Bob moderates and Eve takes part.
async fn club(server: &TestServer) -> (Json, Json, Json) {
    let mut alice = server.json("Alice").await;
    done(&mut alice, "create", json!({"room": "club"})).await;
    alice.join("club").await;
    done(&mut alice, "role", json!({"room": "club", "user": "Bob", "role": "moderator"})).await;
    let (mut bob, mut eve) = (server.json("Bob").await, server.json("Eve").await);
    bob.join("club").await;
    eve.join("club").await;
    (alice, bob, eve)
}

#[tokio::test]
async fn a_ban_puts_out_every_device_and_nothing_later_reaches_it() {
    let server = TestServer::start_durable(|config| config.limits.rate_per_s = 0).await;
    let (mut alice, mut bob, mut eve) = club(&server).await;
    let mut phone = server.json("Eve").await;
    phone.join("club").await;
    let position = alice.publish("club", "for all").await;
    let ban = json!({"room": "club", "user": "Eve", "kind": "ban", "for_ms": 3_600_000, "reason": "spam"});
    bob.send("sanction", ban).await;
    for n in 0..50 {
        bob.send("publish", json!({"room": "club", "text": format!("not for Eve {n}")})).await;
    }
    for device in [&mut eve, &mut phone] {
        device.before("for all").await;
        assert_eq!(device.until("sanctioned").await["payload"]["reason"], "spam");
        assert_eq!(device.next().await["type"], "left");
        assert_eq!(device.ask("ping", json!({})).await["type"], "pong");
    }
    let since = json!({"epoch": position["epoch"], "seq": position["seq"]});
    let text = json!({"room": "club", "text": "let me in"});
    for (command, payload) in [
        ("join", json!({"room": "club"})),
        ("join", json!({"room": "club", "since": since})),
        ("history", json!({"room": "club"})),
        ("info", json!({"room": "club"})),
        ("report", json!({"room": "club", "target": position["seq"]})),
    ] {
        let error = refused(&mut eve, command, payload).await;
        assert_eq!(error["code"], "forbidden", "{command}");
        assert_eq!(error["message"], "you are banned from this room for another 60 min: spam");
        let wait_ms = error["retry_after_ms"].as_u64().expect("a time");
        assert!((3_000_000..=3_600_000).contains(&wait_ms), "{wait_ms}");
    }
    assert_eq!(refused(&mut eve, "publish", text).await["code"], "forbidden");
    assert_eq!(eve.ask("rooms", json!({})).await["payload"]["rooms"], json!([]));
    let found = eve.ask("search", json!({"query": "for"})).await;
    assert_eq!(found["payload"]["hits"], json!([]), "nor is anything of it found");
    // It is an entry of the log, and so survives.
    let server = server.restart(|_| {}).await;
    let (mut eve, mut bob) = (server.json("Eve").await, server.json("Bob").await);
    assert_eq!(refused(&mut eve, "join", json!({"room": "club"})).await["code"], "forbidden");
    bob.join("club").await;
    done(&mut bob, "sanction", sanction("Eve", "none")).await;
    eve.join("club").await;
}

#[tokio::test]
async fn who_is_silenced_listens_until_the_time_is_over() {
    let server = TestServer::start_durable(|config| config.limits.rate_per_s = 0).await;
    let (mut alice, mut bob, mut eve) = club(&server).await;
    let own = eve.publish("club", "hasty words").await["seq"].clone();
    let mute = json!({"room": "club", "user": "Eve", "kind": "mute", "for_ms": 60_000, "cid": "m"});
    let stored = done(&mut bob, "sanction", mute.clone()).await;
    let again = done(&mut bob, "sanction", mute).await;
    assert_eq!((&again["seq"], &again["dup"]), (&stored["seq"], &json!(true)));
    let info = eve.ask("info", json!({"room": "club"})).await["payload"].clone();
    assert_eq!(
        (&info["sanctions"][0]["user"], &info["sanctions"][0]["kind"]),
        (&json!("Eve"), &json!("mute"))
    );
    for (command, payload) in [
        ("publish", json!({"room": "club", "text": "but"})),
        ("batch", json!({"room": "club", "messages": [{"text": "but"}]})),
        ("edit", json!({"room": "club", "target": own, "text": "but"})),
        ("react", json!({"room": "club", "target": own, "emoji": "+", "active": true})),
        ("typing", json!({"room": "club", "active": true})),
    ] {
        let error = refused(&mut eve, command, payload).await;
        assert_eq!(error["message"], "you are silenced in this room for another 1 min", "{command}");
    }
    done(&mut eve, "delete", json!({"room": "club", "target": own})).await;
    alice.publish("club", "everybody hears this").await;
    eve.before("everybody hears this").await;
    let short = json!({"room": "club", "user": "Eve", "kind": "mute", "for_ms": 1});
    done(&mut bob, "sanction", short).await;
    eve.publish("club", "back again").await;
}

#[tokio::test]
async fn who_is_put_out_may_come_back_and_ranks_protect() {
    let server = TestServer::start_durable(|config| config.limits.rate_per_s = 0).await;
    let (mut alice, mut bob, mut eve) = club(&server).await;
    done(&mut bob, "sanction", sanction("Eve", "kick")).await;
    assert_eq!(eve.until("left").await["payload"]["room"], "club");
    eve.join("club").await;
    for user in ["Alice", "Bob"] {
        assert_eq!(
            refused(&mut bob, "sanction", sanction(user, "kick")).await["code"],
            "forbidden",
            "{user}"
        );
    }
    assert_eq!(refused(&mut eve, "sanction", sanction("Bob", "kick")).await["code"], "forbidden");
    done(&mut alice, "sanction", sanction("Bob", "ban")).await;
    assert_eq!(bob.until("left").await["payload"]["room"], "club");
}

#[tokio::test]
async fn in_a_slow_room_everybody_waits_but_moderators() {
    let server = TestServer::start_durable(|config| config.limits.rate_per_s = 0).await;
    let (mut alice, mut bob, mut eve) = club(&server).await;
    done(&mut alice, "configure", json!({"room": "club", "slow_ms": 600_000})).await;
    assert_eq!(eve.until("room_changed").await["payload"]["slow_ms"], 600_000);
    eve.publish("club", "one").await;
    let error = refused(&mut eve, "publish", json!({"room": "club", "text": "two"})).await;
    assert_eq!((&error["code"], &error["retryable"]), (&json!("rate_limited"), &json!(true)));
    let wait_ms = error["retry_after_ms"].as_u64().expect("a time");
    assert!((500_000..=600_000).contains(&wait_ms), "{wait_ms}");
    bob.publish("club", "one").await;
    bob.publish("club", "two").await;
    done(&mut alice, "configure", json!({"room": "club", "slow_ms": 0})).await;
    eve.publish("club", "two").await;
}

#[tokio::test]
async fn reports_reach_the_moderators_alone() {
    let server = TestServer::start_durable(|config| config.limits.rate_per_s = 0).await;
    let (mut alice, mut bob, mut eve) = club(&server).await;
    let seq = alice.publish("club", "rude").await["seq"].clone();
    done(&mut eve, "report", json!({"room": "club", "target": seq, "reason": "rude"})).await;
    assert_eq!(
        refused(&mut eve, "report", json!({"room": "club", "target": 999})).await["code"],
        "not_found"
    );
    assert_eq!(refused(&mut eve, "reports", json!({"room": "club"})).await["code"], "forbidden");
    let listed = bob.ask("reports", json!({"room": "club"})).await["payload"]["reports"].clone();
    assert_eq!((&listed[0]["target"], &listed[0]["user"]), (&seq, &json!("Eve")), "{listed}");
    // Also for a server that has forgotten everything but what is kept.
    let server = server.restart(|_| {}).await;
    let mut bob = server.json("Bob").await;
    let kept = bob.ask("reports", json!({"room": "club"})).await;
    assert_eq!(kept["payload"]["reports"], listed);
    done(&mut bob, "resolve", json!({"room": "club", "target": seq})).await;
    assert_eq!(bob.ask("reports", json!({"room": "club"})).await["payload"]["reports"], json!([]));
    assert_eq!(
        refused(&mut bob, "resolve", json!({"room": "club", "target": seq})).await["code"],
        "not_found"
    );
}

#[tokio::test]
async fn words_are_rejected_or_masked_where_a_filter_says_so() {
    let filter = |pattern, word, remedy| Filter::new(pattern, [word], remedy).expect("a word");
    let server = TestServer::start_durable(|config| {
        config.filters = vec![filter("*", "darn", Remedy::Mask), filter("strict:*", "heck", Remedy::Reject)];
    })
    .await;
    let mut alice = server.json("Alice").await;
    alice.join("strict:a").await;
    alice.join("free").await;
    alice.send("publish", json!({"room": "free", "text": "Darn, what the heck"})).await;
    assert_eq!(alice.until("message").await["payload"]["text"], "****, what the heck");
    for (command, payload) in [
        ("publish", json!({"room": "strict:a", "text": "HECK"})),
        ("batch", json!({"room": "strict:a", "messages": [{"text": "fine"}, {"text": "heck!"}]})),
    ] {
        let error = refused(&mut alice, command, payload).await;
        assert_eq!((&error["code"], &error["retryable"]), (&json!("filtered"), &json!(false)), "{command}");
    }
    alice.send("private", json!({"to": "Bob", "text": "darn"})).await;
    assert_eq!(alice.until("private").await["payload"]["text"], "darn", "what two say is their own");
}

#[tokio::test]
async fn moderators_type_words_and_everybody_reads_what_was_done() {
    let server = TestServer::start_durable(|config| config.limits.rate_per_s = 0).await;
    let (_alice, _bob, _eve) = club(&server).await;
    let (mut bob, _) = server.enter("club", "Bob").await;
    let (mut ned, _) = server.enter("club", "Ned").await;
    bob.send("/mute Ned 10m too loud").await;
    let mut heard = String::new();
    while !heard.contains("silenced") {
        heard = ned.recv().await;
    }
    assert_eq!(heard, "* Bob silenced Ned for 10 min: too loud");
    ned.send("but").await;
    let refusal = ned.recv().await;
    assert_eq!(refusal, "! forbidden: you are silenced in this room for another 10 min: too loud");
    bob.send("/unmute Ned").await;
    bob.send("/ban Ned").await;
    while !heard.contains("banned") {
        heard = ned.recv().await;
    }
    ned.send("/join club").await;
    while !heard.starts_with('!') {
        heard = ned.recv().await;
    }
    assert_eq!(heard, "! forbidden: you are banned from this room");
}
