//! Attacks, each with tiny numbers, against a server that is started for it: the good users lose
//! nothing, which every report says, and the attackers get the answer that they should.

use serde_json::Value;

use super::{figure, report};

/// Attacks for two seconds, at a share of the full strength and with settings of the server.
fn attack(kind: &str, scale: &str, settings: &[&str]) -> Value {
    attack_for("2", kind, scale, settings)
}

fn attack_for(seconds: &str, kind: &str, scale: &str, settings: &[&str]) -> Value {
    let directory = tempfile::tempdir().expect("a directory");
    let size = ["--kind", kind, "--scale", scale, "--users", "5", "--rate", "20"];
    let time = ["--seconds", seconds, "--recovery", "0", "--rounds", "1"];
    let settings: Vec<_> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    let report = report(directory.path(), "attack", &[&size[..], &time, &settings].concat());
    assert!(figure(&report, "p99 of the good users without the attack") > 0.0);
    assert!(figure(&report, "p99 of the good users beside it") > 0.0);
    assert!(figure(&report, "memory at its peak") > 0.0);
    report
}

#[test]
fn heads_that_come_byte_by_byte_are_cut_off() {
    let report = attack("slowloris", "0.001", &["timeouts.handshake_ms=500"]);
    assert!(figure(&report, "the handshake was answered with 408 request_timeout") >= 5.0);
}

#[test]
fn who_is_upgraded_and_silent_is_cut_off() {
    let report = attack("silent", "0.001", &["timeouts.hello_ms=500"]);
    assert!(figure(&report, "closed with 1008 auth_timeout") >= 5.0);
}

#[test]
fn who_never_reads_is_cut_off() {
    // It takes a while until the kernel takes no more for them.
    let report = attack_for("8", "never-read", "0.002", &["timeouts.stall_ms=300"]);
    assert_eq!(figure(&report, "slow clients that were cut off"), 2.0);
}

#[test]
fn messages_in_fragments_of_one_byte_are_cut_off() {
    let report = attack("drip", "0.001", &["limits.fragments=20"]);
    assert!(figure(&report, "closed with 1008 too_many_fragments") >= 5.0);
}

#[test]
fn a_flood_of_pings_is_cut_off() {
    let report = attack("ping", "0.04", &[]);
    assert!(figure(&report, "closed with 1008 ping_flood") >= 2.0);
}

#[test]
fn bombs_are_not_inflated() {
    let report = attack("bomb", "0.04", &[]);
    assert!(figure(&report, "closed with 1009 message_too_big") >= 2.0);
}

#[test]
fn rooms_are_forgotten_when_they_are_left() {
    let report = attack("rooms", "0.02", &[]);
    assert!(figure(&report, "rooms entered and left") >= 1_000.0);
    assert_eq!(figure(&report, "still there in the end"), 1.0);
}

#[test]
fn bad_tokens_are_refused() {
    let report = attack("tokens", "0.01", &[]);
    assert!(figure(&report, "the handshake was answered with 401 invalid_token") >= 50.0);
}

#[test]
fn all_kinds_can_be_asked_for_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let load = "--scale 0.0001 --users 2 --rate 20 --seconds 0.5 --recovery 0 --rounds 1";
    let load: Vec<_> = load.split(' ').collect();
    let report = report(directory.path(), "attack", &load);
    assert_eq!(report["sections"].as_array().expect("sections").len(), 8);
}
