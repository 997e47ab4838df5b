//! The program while it serves.

use std::process::Command;

use crate::program::{Running, get, parlour, run};

const ANY_PORTS: [&str; 4] = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];

pub(crate) fn dev(directory: &tempfile::TempDir, more: &[&str]) -> Command {
    parlour(directory.path(), &[&["dev"], &ANY_PORTS[..], more].concat())
}

fn serve(directory: &tempfile::TempDir, more: &[&str]) -> Command {
    let quick = ["--set", "timeouts.drain_notice_ms=0", "--set", "timeouts.drain_spread_ms=0"];
    parlour(directory.path(), &[&["serve"], &ANY_PORTS[..], &quick, more].concat())
}

#[test]
fn the_banner_leads_to_everything() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Running::start(&mut dev(&directory, &[]));
    server.line("development mode");
    let page = server.address("Web client");
    let socket = server.line("WebSocket");
    assert!(socket.ends_with(&format!("ws://{page}/ws?room=general&user=Alice")), "{socket}");
    let admin = server.address("Metrics");
    assert!(server.line("Data").ends_with("/parlour-data"));
    assert!(get(&page, "/").starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(get(&admin, "/metrics").contains("\nparlour_connections 0\n"));
    server.signal("TERM");
    let (code, _) = server.end();
    assert_eq!(code, 0);
}

#[test]
fn one_terminal_talks_and_another_watches() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Running::start(&mut dev(&directory, &[]));
    let url = format!("ws://{}/ws", server.address("Web client"));
    let watcher =
        Running::start(&mut parlour(directory.path(), &["tail", "--room", "general", "--url", &url]));
    watcher.line("connected as tail");
    let said = directory.path().join("said");
    let lines = "Hello, world!\n/edit 1 Hello, moon!\n/reply 1 indeed\n/react 1 👍\n/delete 1\n";
    std::fs::write(&said, lines).expect("written");
    let arguments = ["chat", "--room", "general", "--user", "Alice", "--url", &url];
    let mut talker = parlour(directory.path(), &arguments);
    let (code, _, err) = run(talker.stdin(std::fs::File::open(said).expect("opened")));
    assert_eq!(code, 0, "{err}");
    assert!(watcher.line("Alice: ").ends_with("Alice: Hello, world!"));
    for line in ["Hello, moon!", "indeed", "👍", "erased #1"] {
        assert!(watcher.line(line).contains(" Alice "), "{line}");
    }
}

#[test]
fn a_port_in_use_is_explained() {
    let directory = tempfile::tempdir().expect("a directory");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    let (code, _, err) = run(&mut dev(&directory, &["--set", &format!("listen={address}")]));
    assert_eq!(code, 1, "{err}");
    assert!(err.contains(&address) && err.contains("--listen 127.0.0.1:0"), "{err}");
}

#[test]
fn a_second_signal_ends_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let slow = ["--set", "timeouts.drain_notice_ms=20000", "--set", "timeouts.drain_spread_ms=0"];
    let server = Running::start(&mut dev(&directory, &slow));
    server.line("Ctrl-C");
    server.signal("INT");
    server.line("shutting down");
    server.signal("INT");
    assert_eq!(server.end().0, 130);
}

#[test]
fn a_directory_of_development_must_be_adopted() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Running::start(&mut dev(&directory, &[]));
    server.line("Ctrl-C");
    server.signal("TERM");
    assert_eq!(server.end().0, 0);

    let (code, _, err) = run(&mut serve(&directory, &[]));
    assert!(code == 78 && err.contains("--adopt"), "{err}");
    let server = Running::start(&mut serve(&directory, &["--adopt"]));
    server.line("listening");
    server.signal("TERM");
    assert_eq!(server.end().0, 0);
    let (code, _, err) = run(&mut dev(&directory, &[]));
    assert!(code == 78 && err.contains("production"), "{err}");
}

#[test]
fn what_a_client_sends_cannot_forge_or_leak_into_the_log() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = Running::start(&mut dev(&directory, &["--log", "trace", "--set", "log.format=json"]));
    let address = server.address("Web client");
    server.line("Ctrl-C");
    get(&address, "/ws?token=s3cret-canary&user=%0AERROR%20forged&room=general");
    get(&address, "/s3cret-canary");
    server.signal("TERM");
    let (code, lines) = server.end();
    assert_eq!(code, 0);
    assert!(lines.iter().any(|line| line.contains("\"code\":\"upgrade_required\"")), "{lines:?}");
    for line in lines {
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(&line);
        assert!(parsed.is_ok_and(|value| value["level"].is_string()), "{line}");
        assert!(!line.contains("s3cret") && !line.contains("forged"), "{line}");
        assert!(!line.contains("127.0.0.1:") || line.contains("listening"), "whole addresses: {line}");
    }
}
