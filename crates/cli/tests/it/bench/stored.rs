//! The scenarios about messages that are stored: `storm` and `publish`, against a deployment.

use super::{figure, report, start};
use crate::program::{parlour, run};

#[test]
fn whoever_comes_back_to_a_deployment_gets_everything() {
    let directory = tempfile::tempdir().expect("a directory");
    let (server, url, admin) = super::server(directory.path());
    let pid = server.pid().to_string();
    let load = "--clients 5 --missed 20 --window 0.2 --rate 20 --witnesses 2 --before 0.2 --rounds 2";
    let load: Vec<_> = load.split(' ').chain(["--url", &url, "--admin", &admin, "--pid", &pid]).collect();
    let report = report(directory.path(), "storm", &load);
    assert_eq!(figure(&report, "clients with every message once"), 5.0);
    for figure_name in ["reads of the store, storm", "CPU of the server, storm"] {
        assert!(figure(&report, figure_name) >= 0.0, "{figure_name}");
    }
    assert!(figure(&report, "delivery p99 to others, storm") > 0.0);
}

#[test]
fn a_deployment_acknowledges_what_is_published() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    let server = start(directory.path(), &["--data-dir", data.to_str().expect("UTF-8")]);
    let url = format!("ws://{}/ws", server.address("Web client  http://"));
    let admin = server.address("Metrics     http://");
    let load = "--rooms 1,600 --publishers 1 --in-flight 4 --seconds 1 --rounds 1 --prefix shop-";
    let load: Vec<_> = load.split(' ').chain(["--url", &url, "--admin", &admin]).collect();
    let report = report(directory.path(), "publish", &load);
    assert_eq!(report["sections"].as_array().expect("sections").len(), 2);
    assert!(figure(&report, "acknowledged") > 0.0);
    assert!(figure(&report, "messages per commit") >= 1.0);
    assert!(figure(&report, "acknowledgement p99 at half of the rate") > 0.0);
}

#[test]
fn what_a_deployment_refuses_is_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let limits = ["--set", "limits.rate_per_s=1", "--set", "limits.burst=2"];
    let server = start(directory.path(), &[&["--data-dir", ":memory:"], &limits[..]].concat());
    let url = format!("ws://{}/ws", server.address("Web client  http://"));
    for scenario in ["storm", "publish"] {
        let (code, _, stderr) = run(&mut parlour(directory.path(), &["bench", scenario, "--url", &url]));
        assert_eq!(code, 1, "{scenario}: {stderr}");
        assert!(stderr.contains("the server refuses"), "{scenario}: {stderr}");
    }
}
