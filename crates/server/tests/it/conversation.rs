//! What people do with messages after they were said, as each of them sees it.

use serde_json::{Value, json};

use crate::harness::{Json, TestServer};

/// Alice and Bob in a room of a durable server.
async fn two() -> (TestServer, Json, Json) {
    let server = TestServer::start_durable(|config| config.limits.rate_per_s = 0).await;
    let mut alice = server.json("Alice").await;
    alice.join("general").await;
    let mut bob = server.json("Bob").await;
    bob.join("general").await;
    (server, alice, bob)
}

/// Sends a command that must succeed; returns the number of its entry.
async fn done(client: &mut Json, command: &str, payload: Value) -> u64 {
    let ack = client.ask(command, payload).await;
    assert_eq!(ack["type"], "ack", "{ack}");
    ack["payload"]["seq"].as_u64().expect("a number")
}

/// Sends a command that must be refused; returns the word of the error.
async fn refused(client: &mut Json, command: &str, payload: Value) -> String {
    let error = client.ask(command, payload).await;
    assert_eq!(error["type"], "error", "{error}");
    error["code"].as_str().expect("a word").to_owned()
}

/// Returns the entries of a room, oldest first, as somebody sees them who comes now.
async fn entries(server: &TestServer, room: &str) -> Vec<Value> {
    let mut reader = server.json("Reader").await;
    let page = reader.ask("history", json!({"room": room, "limit": 500})).await;
    page["payload"]["events"].as_array().expect("events").clone()
}

#[tokio::test]
async fn an_edit_is_told_live_and_shows_in_history_and_the_old_text_is_nowhere() {
    let (server, mut alice, mut bob) = two().await;
    let said = done(&mut alice, "publish", json!({"room": "general", "text": "helo"})).await;
    for text in ["hallo", "hello"] {
        done(&mut alice, "edit", json!({"room": "general", "target": said, "text": text})).await;
        let edited = bob.until("edited").await;
        assert_eq!(edited["payload"]["target"], said);
        assert_eq!(
            (&edited["payload"]["text"], &edited["payload"]["sender"]),
            (&json!(text), &json!("Alice"))
        );
    }
    let entries = entries(&server, "general").await;
    let shown: Vec<_> = entries.iter().map(|entry| (&entry["type"], &entry["payload"]["text"])).collect();
    assert_eq!(json!(shown), json!([["message", "hello"], ["edited", null], ["edited", "hello"]]));
    assert_eq!(entries[0]["payload"]["edited"], 3);
    let replay = bob.ask("join", json!({"room": "general", "history": 10})).await;
    assert_eq!(replay["payload"]["replayed"], 3);
    assert_eq!(bob.next().await["payload"]["text"], "hello", "also from memory");
    assert_eq!(
        refused(&mut bob, "edit", json!({"room": "general", "target": said, "text": "mine"})).await,
        "forbidden"
    );
    assert_eq!(
        refused(&mut alice, "edit", json!({"room": "general", "target": 99, "text": "none"})).await,
        "not_found"
    );
}

#[tokio::test]
async fn a_deleted_message_leaves_only_its_place() {
    let (server, mut alice, mut bob) = two().await;
    let said = done(&mut alice, "publish", json!({"room": "general", "text": "a secret"})).await;
    done(&mut alice, "edit", json!({"room": "general", "target": said, "text": "my secret"})).await;
    done(&mut bob, "react", json!({"room": "general", "target": said, "emoji": "🙈", "active": true})).await;
    assert_eq!(refused(&mut bob, "delete", json!({"room": "general", "target": said})).await, "forbidden");
    done(&mut alice, "delete", json!({"room": "general", "target": said})).await;
    assert_eq!(bob.until("deleted").await["payload"]["target"], said);
    let page = json!(entries(&server, "general").await);
    assert!(!page.to_string().contains("secret") && !page.to_string().contains('🙈'), "{page}");
    assert_eq!((&page[0]["payload"]["text"], &page[0]["payload"]["deleted"]), (&json!(""), &json!(4)));
    assert_eq!(page.as_array().map(Vec::len), Some(4), "no number is missing");
    assert_eq!(refused(&mut alice, "delete", json!({"room": "general", "target": said})).await, "not_found");
    let reply = json!({"room": "general", "text": "what?", "reply_to": said});
    assert_eq!(refused(&mut bob, "publish", reply).await, "not_found");
}

#[tokio::test]
async fn reactions_are_counted_once_per_user() {
    let (server, mut alice, mut bob) = two().await;
    let said = done(&mut alice, "publish", json!({"room": "general", "text": "lunch?"})).await;
    let react = |emoji: &str, active: bool| json!({"room": "general", "target": said, "emoji": emoji, "active": active});
    let first = done(&mut bob, "react", react("👍", true)).await;
    assert_eq!(alice.until("reacted").await["payload"]["count"], 1);
    let again = bob.ask("react", react("👍", true)).await;
    assert_eq!((&again["payload"]["seq"], &again["payload"]["dup"]), (&json!(first), &json!(true)));
    done(&mut alice, "react", react("👍", true)).await;
    done(&mut alice, "react", react("🎉", true)).await;
    done(&mut alice, "react", react("🎉", false)).await;
    let page = entries(&server, "general").await;
    let expected = json!([{"emoji": "👍", "count": 2, "users": ["Bob", "Alice"]}]);
    assert_eq!(page[0]["payload"]["reactions"], expected);
    assert_eq!(refused(&mut bob, "react", react("🎉", false)).await, "not_found");
}

#[tokio::test]
async fn replies_make_threads_that_can_be_read_alone() {
    let (_server, mut alice, mut bob) = two().await;
    let root = done(&mut alice, "publish", json!({"room": "general", "text": "question"})).await;
    done(&mut alice, "publish", json!({"room": "general", "text": "something else"})).await;
    let answer = json!({"room": "general", "text": "answer", "reply_to": root, "mentions": ["Alice"]});
    let first = done(&mut bob, "publish", answer).await;
    let second =
        done(&mut alice, "publish", json!({"room": "general", "text": "thanks", "reply_to": first})).await;
    let heard = alice.ask("history", json!({"room": "general", "thread": root})).await;
    let events = heard["payload"]["events"].as_array().expect("events").clone();
    let seqs: Vec<_> = events.iter().map(|event| event["payload"]["seq"].as_u64()).collect();
    assert_eq!(seqs, [Some(root), Some(first), Some(second)]);
    assert_eq!(
        (&events[1]["payload"]["mentions"], &events[2]["payload"]["thread"]),
        (&json!(["Alice"]), &json!(root))
    );
    let rest = alice.ask("history", json!({"room": "general", "thread": root, "after": first})).await;
    assert_eq!(rest["payload"]["events"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_batch_is_stored_as_a_whole_or_not_at_all() {
    let (server, mut alice, mut bob) = two().await;
    let drafts = |texts: [&str; 3]| -> Vec<Value> {
        texts.iter().map(|text| json!({"text": text, "cid": format!("cid-{text}")})).collect()
    };
    let batch = json!({"room": "general", "messages": drafts(["a", "b", "c"])});
    let ack = alice.ask("batch", batch.clone()).await["payload"].clone();
    assert_eq!((&ack["seq"], &ack["count"], &ack["dup"]), (&json!(1), &json!(3), &json!(false)));
    for text in ["a", "b", "c"] {
        assert_eq!(bob.until("message").await["payload"]["text"], text);
    }
    let again = alice.ask("batch", batch).await["payload"].clone();
    assert_eq!((&again["seq"], &again["dup"]), (&json!(1), &json!(true)));
    let mixed = json!({"room": "general", "messages": drafts(["d", "b", "e"])});
    assert_eq!(refused(&mut alice, "batch", mixed).await, "idempotency_conflict");
    let many: Vec<_> = (0..65).map(|n| json!({"text": n.to_string()})).collect();
    assert_eq!(
        refused(&mut alice, "batch", json!({"room": "general", "messages": many})).await,
        "bad_request"
    );
    assert_eq!(entries(&server, "general").await.len(), 3);
}

#[tokio::test]
async fn a_cid_tells_where_a_message_is_also_after_an_edit_and_a_restart() {
    let (server, mut alice, _bob) = two().await;
    let publish = json!({"room": "general", "text": "first", "cid": "one"});
    let said = done(&mut alice, "publish", publish.clone()).await;
    done(&mut alice, "edit", json!({"room": "general", "target": said, "text": "second"})).await;
    let server = server.restart(|_| {}).await;
    let mut alice = server.json("Alice").await;
    alice.join("general").await;
    let status = alice.ask("status", json!({"room": "general", "cid": "one"})).await;
    assert_eq!(status["payload"]["stored"]["seq"], said);
    let unknown = alice.ask("status", json!({"room": "general", "cid": "two"})).await;
    assert_eq!(unknown["payload"]["stored"], Value::Null);
    let again = alice.ask("publish", publish).await;
    assert_eq!((&again["payload"]["seq"], &again["payload"]["dup"]), (&json!(said), &json!(true)));
    assert_eq!(
        refused(&mut alice, "publish", json!({"room": "general", "text": "other", "cid": "one"})).await,
        "idempotency_conflict"
    );
}

#[tokio::test]
async fn receipts_only_go_forward_and_outlive_a_restart() {
    let (server, mut alice, mut bob) = two().await;
    for n in 1..=3 {
        alice.publish("general", &n.to_string()).await;
    }
    bob.ask("delivered", json!({"room": "general", "seq": 3})).await;
    let arrived = alice.until("delivered").await["payload"].clone();
    assert_eq!((&arrived["user"], &arrived["count"], &arrived["of"]), (&json!("Bob"), &json!(1), &json!(2)));
    bob.ask("read", json!({"room": "general", "seq": 2})).await;
    assert_eq!(alice.until("read").await["payload"]["seq"], 2);
    bob.ask("read", json!({"room": "general", "seq": 1})).await;
    alice.ask("read", json!({"room": "general", "seq": 3})).await;
    let read = alice.until("read").await["payload"].clone();
    assert_eq!((&read["user"], &read["seq"]), (&json!("Alice"), &json!(3)), "Bob's cursor did not go back");
    let asked = alice.ask("receipts", json!({"room": "general", "seq": 2})).await["payload"].clone();
    assert_eq!((&asked["read"], &asked["delivered"], &asked["of"]), (&json!(2), &json!(2), &json!(2)));

    let server = server.restart(|_| {}).await;
    let mut bob = server.json("Bob").await;
    let joined = bob.join("general").await;
    let mut receipts = joined["receipts"].as_array().expect("receipts").clone();
    receipts.sort_by_key(|receipt| receipt["user"].to_string());
    let expected = json!([
        {"user": "Alice", "read": 3, "delivered": 3},
        {"user": "Bob", "read": 2, "delivered": 3},
    ]);
    assert_eq!(json!(receipts), expected);
    let rooms = bob.ask("rooms", json!({})).await["payload"]["rooms"].clone();
    assert_eq!((&rooms[0]["room"], &rooms[0]["unread"]), (&json!("general"), &json!(1)));
}

#[tokio::test]
async fn words_are_found_where_they_may_be_read() {
    let (_server, mut alice, mut bob) = two().await;
    alice.publish("general", "The quick brown fox").await;
    let gone = done(&mut alice, "publish", json!({"room": "general", "text": "a brown secret"})).await;
    done(&mut alice, "delete", json!({"room": "general", "target": gone})).await;
    let changed = done(&mut alice, "publish", json!({"room": "general", "text": "a red cap"})).await;
    done(&mut alice, "edit", json!({"room": "general", "target": changed, "text": "a brown cap"})).await;
    done(&mut alice, "create", json!({"room": "secret", "private": true})).await;
    alice.join("secret").await;
    alice.publish("secret", "brown gold").await;
    alice.ask("private", json!({"to": "Carol", "text": "brown eyes"})).await;
    let found = |answer: &Value| -> Vec<String> {
        let hits = answer["payload"]["hits"].as_array().expect("hits").clone();
        hits.iter()
            .map(|hit| hit["snippet"].as_str().expect("text").replace(['\u{e000}', '\u{e001}'], "*"))
            .collect()
    };
    let all = alice.ask("search", json!({"query": "BROWN"})).await;
    assert_eq!(found(&all), ["*brown* eyes", "*brown* gold", "a *brown* cap", "The quick *brown* fox"]);
    let one = alice.ask("search", json!({"query": "brown", "limit": 1})).await;
    let next =
        alice.ask("search", json!({"query": "brown", "limit": 1, "before": one["payload"]["next"]})).await;
    assert_eq!((found(&one), found(&next)), (vec!["*brown* eyes".into()], vec!["*brown* gold".into()]));
    let theirs = bob.ask("search", json!({"query": "brown"})).await;
    assert_eq!(found(&theirs), ["a *brown* cap", "The quick *brown* fox"]);
    let there = bob.ask("search", json!({"query": "brown", "room": "secret"})).await;
    assert_eq!(found(&there), Vec::<String>::new());
    let both = bob.ask("search", json!({"query": "fox quick"})).await;
    assert_eq!(found(&both), ["The *quick* brown *fox*"]);
    assert_eq!(refused(&mut bob, "search", json!({"query": "fox", "limit": 101})).await, "invalid_limit");
}
