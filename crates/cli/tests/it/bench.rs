//! `parlour bench` against a real server: what it reports, and that it finds what is wrong.
//!
//! Nothing here is about speed: the figures of a debug build beside other tests say nothing.

use std::path::Path;

use serde_json::Value;

use crate::program::{Running, parlour, run};

mod attack;
mod secure;
mod stored;

/// Starts a server without limits; returns it with the URL of its WebSocket and the address of its
/// administration.
fn server(directory: &Path) -> (Running, String, String) {
    let server = start(directory, &["--data-dir", ":memory:"]);
    let url = format!("ws://{}/ws", server.address("Web client  http://"));
    let admin = server.address("Metrics     http://");
    (server, url, admin)
}

/// Starts a server without limits, with more options.
fn start(directory: &Path, more: &[&str]) -> Running {
    let options = ["dev", "--no-limits", "--set", "timeouts.grace_ms=100"];
    let free = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    Running::start(&mut parlour(directory, &[&options[..], &free, more].concat()))
}

/// Runs a scenario and returns its report.
fn report(directory: &Path, scenario: &str, options: &[&str]) -> Value {
    let (json, html) = (directory.join("report.json"), directory.join("report.html"));
    let [json_path, html_path] = [&json, &html].map(|path| path.to_str().expect("UTF-8"));
    let files = ["--json", json_path, "--html", html_path];
    let mut command = parlour(directory, &[&["bench", scenario], options, &files[..]].concat());
    let (code, stdout, stderr) = run(&mut command);
    assert_eq!(code, 0, "{stdout}{stderr}");
    let page = std::fs::read_to_string(html).expect("a page");
    let report: Value = serde_json::from_slice(&std::fs::read(json).expect("a report")).expect("JSON");
    let lines =
        report["charts"].as_array().expect("charts").iter().flat_map(|chart| chart["lines"].as_array());
    let mut points = lines.flatten().flat_map(|line| line["points"].as_array()).flatten();
    assert_eq!(page.contains("<svg"), points.next().is_some(), "what there is to draw is drawn: {page}");
    assert!(page.contains("</html>"), "{page}");
    assert_eq!(report["faults"], serde_json::json!([]));
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
    for field in ["cpu", "cores", "kernel"] {
        assert!(!report["machine"][field].is_null(), "{field}");
    }
    report
}

/// Returns the median of a figure, from the first section that has it.
fn figure(report: &Value, name: &str) -> f64 {
    figure_in(report, "", name)
}

/// Returns the median of a figure of a section whose title ends so.
fn figure_in(report: &Value, section: &str, name: &str) -> f64 {
    let sections = report["sections"].as_array().expect("sections").iter();
    let sections = sections.filter(|one| one["title"].as_str().is_some_and(|title| title.ends_with(section)));
    let mut figures = sections.flat_map(|section| section["figures"].as_array().expect("figures"));
    let figure = figures.find(|figure| figure["name"] == name).expect(name);
    figure["median"].as_f64().expect("a number")
}

#[test]
fn a_fan_out_is_measured_in_every_dialect() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_server, url, _) = server(directory.path());
    for dialect in ["json", "binary", "text"] {
        let load = ["--rooms", "3", "--members", "4", "--rate", "20", "--seconds", "0.5", "--warm-up", "0.2"];
        let more = ["--rounds", "1", "--dialect", dialect, "--url", &url];
        let report = report(directory.path(), "fanout", &[&load[..], &more].concat());
        // 20 messages/s for half a second in 3 rooms of 4.
        assert_eq!(figure(&report, "deliveries"), 120.0, "{dialect}");
        assert!(figure(&report, "delivery p99") >= figure(&report, "delivery p50"), "{dialect}");
    }
}

#[test]
fn a_saturation_is_searched_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_server, url, _) = server(directory.path());
    let load = ["--members", "5", "--start", "2000", "--p99-ms", "60000", "--precision", "3"];
    let more = ["--seconds", "0.3", "--warm-up", "0.1", "--rounds", "1", "--url", &url];
    let report = report(directory.path(), "saturation", &[&load[..], &more].concat());
    assert!(figure(&report, "server") > 0.0);
    assert!(figure(&report, "server, p99 at half of that") > 0.0);
    let line = &report["charts"][0]["lines"][0];
    assert_eq!(line["name"], "server");
    assert!(line["points"].as_array().is_some_and(|points| points.len() >= 2), "{line}");
}

#[test]
fn whoever_comes_and_goes_is_forgotten() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_server, url, admin) = server(directory.path());
    let load = ["--connects", "30", "--stay", "0.5", "--rooms", "2", "--rate", "20", "--seconds", "2"];
    let more = ["--warm-up", "0", "--url", &url, "--admin", &admin];
    let report = report(directory.path(), "churn", &[&load[..], &more].concat());
    assert_eq!(figure(&report, "connections that came"), 60.0);
    for gauge in ["parlour_connections", "parlour_rooms", "parlour_members"] {
        assert_eq!(figure(&report, gauge), 0.0, "{gauge}");
    }
    assert!(figure(&report, "deliveries") > 80.0, "those who stay hear everything, guests a part");
}

#[test]
fn a_server_that_cuts_off_is_a_fault() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_server, url, _) = server(directory.path());
    // The server takes no message of this size, and ends the connection.
    let load = ["--members", "2", "--rate", "10", "--seconds", "0.3", "--warm-up", "0", "--rounds", "1"];
    let (code, stdout, stderr) = run(&mut parlour(
        directory.path(),
        &[&["bench", "fanout", "--text-bytes", "100000", "--url", &url], &load[..]].concat(),
    ));
    assert_eq!(code, 1, "{stdout}{stderr}");
    assert!(stdout.contains("FAULT") && stderr.contains("closed with 1009"), "{stdout}{stderr}");
}
