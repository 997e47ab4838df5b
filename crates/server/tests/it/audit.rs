//! The audit log shows who did what, and whether it was changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use parlour_protocol::ErrorCode;
use parlour_server::audit::{Audit, Broken, Flaw, Head, beside, verify};
use parlour_server::clock::Clock;
use parlour_server::config::{AuditPath, Config};
use parlour_server::metrics::Metrics;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::process::{ServerProcess, served_as_child};
use crate::harness::{PATIENCE, TestServer, http};

/// Checks a log together with the file beside it.
fn check(log: &Path) -> Result<Head, Broken> {
    let head = fs::read_to_string(beside(log)).ok().map(|note| Head::parse(&note).expect("a head"));
    verify(fs::read(log).expect("a log").as_slice(), head.as_ref())
}

/// Checks that a log is broken in this line.
#[track_caller]
fn assert_broken(log: &Path, lines: &[String], at: u64, wanted: Flaw) {
    fs::write(log, lines.concat()).expect("written");
    match check(log) {
        Err(Broken::Line { number, flaw }) => assert_eq!((number, flaw), (at, wanted)),
        other => panic!("line {at} is {wanted:?}, but {other:?}"),
    }
}

fn lines(log: &Path) -> Vec<String> {
    let text = fs::read_to_string(log).expect("a log");
    text.split_inclusive('\n').map(String::from).collect()
}

fn acts(log: &Path) -> Vec<Value> {
    lines(log).iter().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn actions(log: &Path) -> Vec<String> {
    acts(log).iter().map(|act| act["action"].as_str().expect("a word").to_owned()).collect()
}

async fn admin(server: &TestServer, request: &str) -> u16 {
    let request = format!("{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    http(server.admin_address(), &request).await.0
}

/// Waits until the log holds an act, which is written behind what people do.
async fn await_act(log: &Path, action: &str) {
    let there = async {
        while !log.exists() || !actions(log).iter().any(|found| found == action) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, there).await.expect("it is noted in time");
}

/// A log of five lines, from a server that has ended.
async fn log_of_five() -> (tempfile::TempDir, PathBuf) {
    let server = TestServer::start_durable(|_| {}).await;
    for user in ["Alice", "Bob", "Carol"] {
        assert_eq!(admin(&server, &format!("DELETE /users/{user}")).await, 200);
    }
    let directory = server.drain().await.expect("a directory");
    let log = directory.path().join("audit.jsonl");
    assert_eq!(actions(&log), ["start", "erase", "erase", "erase", "stop"]);
    (directory, log)
}

#[tokio::test]
async fn a_changed_log_says_where() {
    let (_directory, log) = log_of_five().await;
    let good = lines(&log);
    assert_eq!(check(&log).expect("as it was written").number, 5);

    let with = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines = good.clone();
        change(&mut lines);
        lines
    };
    let changed = with(&|lines| lines[2] = lines[2].replace("Bob", "Eve"));
    assert_broken(&log, &changed, 3, Flaw::Changed);
    let swapped = with(&|lines| lines.swap(1, 2));
    assert_broken(&log, &swapped, 2, Flaw::OutOfPlace);
    let inserted = with(&|lines| lines.insert(3, lines[2].clone()));
    assert_broken(&log, &inserted, 4, Flaw::OutOfPlace);
    for removed in 0..4 {
        let removed_one = with(&|lines| drop(lines.remove(removed)));
        assert_broken(&log, &removed_one, removed as u64 + 1, Flaw::OutOfPlace);
    }
    let without_end = with(&|lines| lines.truncate(3));
    assert_broken(&log, &without_end, 4, Flaw::Missing);
    assert_broken(&log, &[], 1, Flaw::Missing);
    let torn = with(&|lines| lines[4].truncate(40));
    assert_broken(&log, &torn, 5, Flaw::Malformed);
    let empty_line = with(&|lines| lines.insert(1, "\n".into()));
    assert_broken(&log, &empty_line, 2, Flaw::Malformed);
    let foreign = with(&|lines| lines[0] = "{\"n\":1}\n".into());
    assert_broken(&log, &foreign, 1, Flaw::Malformed);
    fs::write(&log, good.concat()).expect("written");
    assert_eq!(check(&log).expect("as it was written").number, 5);
}

#[tokio::test]
async fn a_log_goes_on_after_a_restart_and_shows_what_was_cut_off_meanwhile() {
    let (directory, log) = log_of_five().await;
    // As after the loss of power in the middle of a line.
    let mut torn = fs::read(&log).expect("a log");
    torn.extend_from_slice(b"{\"n\":6,\"time_ms\"");
    fs::write(&log, torn).expect("written");
    let server = TestServer::start_in(directory, |_| {}).await;
    let directory = server.drain().await.expect("a directory");
    assert_eq!(check(&log).expect("one chain").number, 7);

    let shorter = lines(&log)[..4].concat();
    fs::write(&log, shorter).expect("written");
    let server = TestServer::start_in(directory, |_| {}).await;
    let _directory = server.drain().await.expect("a directory");
    match check(&log) {
        Err(Broken::Line { number: 5, flaw: Flaw::OutOfPlace }) => {}
        other => panic!("what was cut off stays missing: {other:?}"),
    }
}

#[tokio::test]
async fn what_moderators_do_is_noted_without_what_was_said() {
    let server = TestServer::start_durable(|_| {}).await;
    let (mut alice, mut bob) = (server.json("Alice").await, server.json("Bob").await);
    let created = alice.ask("create", json!({"room": "club", "title": "the club"})).await;
    assert_eq!(created["type"], "ack", "{created}");
    alice.join("club").await;
    bob.join("club").await;
    let said = bob.publish("club", "a secret of Bob").await;
    let given = alice.ask("role", json!({"room": "club", "user": "Bob", "role": "moderator"})).await;
    assert_eq!(given["type"], "ack", "{given}");
    let erased = alice.ask("delete", json!({"room": "club", "target": said["seq"]})).await;
    assert_eq!(erased["type"], "ack", "{erased}");
    drop((alice, bob));
    let directory = server.drain().await.expect("a directory");
    let log = directory.path().join("audit.jsonl");
    let acts = acts(&log);
    let find = |action: &str| acts.iter().find(|act| act["action"] == action).expect("it is noted");
    let shown = |act: &Value| (act["actor"].clone(), act["room"].clone(), act["target"].clone());
    assert_eq!(shown(find("delete")), (json!("Alice"), json!("club"), json!(said["seq"].to_string())));
    let role = acts.iter().rfind(|act| act["action"] == "role").expect("it is noted");
    assert_eq!(shown(role), (json!("Alice"), json!("club"), json!("Bob")));
    assert!(!fs::read_to_string(&log).expect("a log").contains("a secret of Bob"));
    check(&log).expect("one chain");
}

#[tokio::test]
async fn without_its_storage_nothing_is_administered_and_chat_goes_on() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let (blocked, log) = (place.path().join("logs"), place.path().join("logs/audit.jsonl"));
    fs::write(&blocked, "not a directory").expect("written");
    let server = TestServer::start_with(|config| config.backend.audit = AuditPath(Some(log.clone()))).await;
    let mut alice = server.json("Alice").await;
    alice.join("general").await;
    alice.publish("general", "hello").await;
    assert_eq!(admin(&server, "DELETE /users/Alice").await, 503, "it cannot be written, so it is not done");
    assert_eq!(admin(&server, "PUT /log?level=info").await, 503);
    assert_eq!(server.metric("parlour_audit_failing").await, 1.0);
    let page = alice.ask("history", json!({"room": "general"})).await;
    assert_eq!(page["payload"]["events"][0]["payload"]["text"], "hello", "nothing was erased: {page}");
    alice.publish("general", "chat goes on").await;

    fs::remove_file(&blocked).expect("a file of ours");
    assert_eq!(admin(&server, "DELETE /users/Alice").await, 200, "it is tried again");
    assert_eq!(server.metric("parlour_audit_failing").await, 0.0);
    drop(alice);
    server.drain().await;
    assert_eq!(actions(&log), ["start", "erase", "stop"], "what was refused is not in it");
    check(&log).expect("one chain");
}

#[tokio::test]
async fn a_killed_server_leaves_a_whole_log() {
    if served_as_child().await {
        return;
    }
    const TEST: &str = "audit::a_killed_server_leaves_a_whole_log";
    let directory = tempfile::tempdir().expect("a temporary directory");
    let log = directory.path().join("audit.jsonl");
    for round in 1..=2 {
        let process = ServerProcess::start(TEST, directory.path(), Duration::ZERO);
        await_act(&log, "start").await;
        let (status, body) = process.admin("DELETE /users/Mallory").await;
        assert_eq!(status, 200, "{body}");
        process.signal(Signal::KILL);
        process.ended().await;
        let erased = actions(&log).iter().filter(|action| *action == "erase").count();
        assert_eq!(erased, round, "what was answered is on the disk");
        check(&log).expect("one chain");
    }
}

#[test]
fn failed_logins_are_counted_by_network_and_reason() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let config = Config { data_dir: Some(directory.path().to_owned()), ..Config::dev() };
    let audit = Audit::start(&config, Clock::start(), Metrics::new(1));
    let fail = |address: &str, code| audit.login_failed(Some(address.parse().expect("an address")), code);
    for last in 1..=200 {
        fail(&format!("192.0.2.{last}"), ErrorCode::InvalidToken);
    }
    fail("198.51.100.7", ErrorCode::TokenExpired);
    fail("198.51.100.7", ErrorCode::NotFound);
    // Otherwise it is noted once a minute.
    audit.stop();
    let log = directory.path().join("audit.jsonl");
    let noted: Vec<_> =
        acts(&log).iter().map(|act| (act["address"].clone(), act["details"].clone())).collect();
    assert_eq!(
        noted,
        [
            (json!("192.0.2.0/24"), json!({"code": "invalid_token", "count": 200})),
            (json!("198.51.100.0/24"), json!({"code": "token_expired", "count": 1})),
        ]
    );
    check(&log).expect("one chain");
}
