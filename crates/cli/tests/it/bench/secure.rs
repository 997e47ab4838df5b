//! TLS and compression.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::{figure, figure_in, report, start};
use crate::program::{Running, parlour, run};

/// Starts a server with TLS that agrees to compression; returns it with the URL of its WebSocket,
/// the address of its administration and the file with its authority.
fn secure_server(directory: &Path) -> (Running, String, String, String) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| directory.join(name));
    std::fs::write(&cert, made.cert.pem()).expect("written");
    let mut options = std::fs::OpenOptions::new();
    let mut key_file = options.write(true).create_new(true).mode(0o600).open(&key).expect("a file");
    std::io::Write::write_all(&mut key_file, made.signing_key.serialize_pem().as_bytes()).expect("written");
    let [cert_setting, key_setting] =
        [("cert", &cert), ("key", &key)].map(|(name, file)| format!("tls.{name}={}", file.display()));
    let settings = ["--set", &cert_setting, "--set", &key_setting, "--set", "compression=true"];
    let server = start(directory, &[&["--data-dir", ":memory:"], &settings[..]].concat());
    let url = format!("wss://{}/ws", server.address("Web client  https://"));
    let admin = server.address("Metrics     http://");
    (server, url, admin, cert.to_str().expect("UTF-8").to_owned())
}

#[test]
fn every_scenario_speaks_tls() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_server, url, admin, ca) = secure_server(directory.path());
    let deployment = ["--url", &url, "--ca", &ca, "--admin", &admin];
    let measure = |scenario: &str, load: &str| {
        let load: Vec<_> = load.split(' ').chain(deployment).collect();
        report(directory.path(), scenario, &load)
    };
    let load = "--rooms 3 --members 4 --rate 20 --seconds 0.5 --warm-up 0 --rounds 1 --dialect binary";
    assert_eq!(figure(&measure("fanout", load), "deliveries"), 120.0);
    let load = "--members 5 --start 2000 --p99-ms 60000 --precision 3 --seconds 0.3 --warm-up 0.1 --rounds 1";
    assert!(figure(&measure("saturation", load), "server") > 0.0);
    let load = "--connections 120 --rooms 3 --seconds 0.3 --rounds 1";
    assert_eq!(figure(&measure("idle", load), "connections"), 120.0);
    let load = "--readers 4 --stuck 1 --rate 20 --seconds 0.5 --recovery 0 --rounds 1";
    assert_eq!(figure(&measure("slow", load), "never-readers that were cut off"), 0.0);
    let load = "--connections 2 --frames 200 --members 3 --seconds 0.5 --rounds 1";
    assert!(figure(&measure("flood", load), "answered") > 0.0);
    let load = "--connects 30 --stay 0.3 --rooms 2 --rate 20 --seconds 1 --warm-up 0";
    assert_eq!(figure(&measure("churn", load), "parlour_connections"), 0.0);
    let load = "--clients 3 --missed 20 --window 0.1 --rate 20 --witnesses 1 --before 0.2 --rounds 1";
    assert_eq!(figure(&measure("storm", load), "clients with every message once"), 3.0);
    let load = "--rooms 3 --publishers 2 --seconds 1 --rounds 1";
    assert!(figure(&measure("publish", load), "acknowledged") > 0.0);
}

#[test]
fn a_server_that_is_not_believed_is_not_measured() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_server, url, _, ca) = secure_server(directory.path());
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    std::fs::write(&ca, other.cert.pem()).expect("written");
    for scenario in ["fanout", "storm"] {
        let arguments = ["bench", scenario, "--url", &url, "--ca", &ca, "--rounds", "1"];
        let (code, _, stderr) = run(&mut parlour(directory.path(), &arguments));
        assert_eq!(code, 1, "{scenario}: {stderr}");
        assert!(stderr.contains("invalid peer certificate"), "{scenario}: {stderr}");
    }
}

#[test]
fn compression_is_measured_beside_none() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_server, url, _, ca) = secure_server(directory.path());
    let load = ["--members", "4", "--rate", "20", "--text-bytes", "512", "--seconds", "0.5", "--rounds", "1"];
    // Rooms whose messages are not stored are not compressed.
    let deployment = ["--compress", "--prefix", "stored-", "--url", &url, "--ca", &ca];
    for dialect in ["json", "text"] {
        let options = [&load[..], &deployment, &["--dialect", dialect]].concat();
        let report = report(directory.path(), "fanout", &options);
        for variant in ["server", "server with compression"] {
            assert_eq!(figure_in(&report, variant, "deliveries"), 40.0, "{dialect}, {variant}");
        }
        let rest = figure_in(&report, "server with compression", "bytes / those without");
        assert!(rest < 0.9, "{dialect}: {rest}");
    }
    // Binary joins messages in one frame, which is not compressed.
    let binary =
        report(directory.path(), "fanout", &[&load[..], &deployment, &["--dialect", "binary"]].concat());
    let note = &binary["notes"][0];
    assert!(note.as_str().is_some_and(|note| note.contains("nothing came compressed")), "{note}");
    // Those who come back inflate, too.
    let storm = "--clients 3 --missed 20 --window 0.1 --rate 20 --witnesses 1 --before 0.2 --rounds 1";
    let options: Vec<_> = storm.split(' ').chain(deployment).collect();
    let report = report(directory.path(), "storm", &options);
    assert_eq!(figure(&report, "clients with every message once"), 3.0);
}

#[test]
fn a_server_that_does_not_compress_is_not_measured_as_if_it_did() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_server, url, _) = super::server(directory.path());
    let arguments = ["bench", "churn", "--compress", "--url", &url, "--seconds", "1", "--rooms", "1"];
    let (code, _, stderr) = run(&mut parlour(directory.path(), &arguments));
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("does not agree to compression"), "{stderr}");
}

/// A server of its own is pinned to a core, which only Linux offers.
#[cfg(target_os = "linux")]
#[test]
fn servers_of_its_own_have_tls_and_compression_beside_none() {
    let directory = tempfile::tempdir().expect("a directory");
    let fanout = "--members 4 --rate 20 --text-bytes 512 --seconds 0.5 --rounds 1 --tls --compress";
    let options: Vec<_> = fanout.split(' ').collect();
    let fanned = report(directory.path(), "fanout", &options);
    for variant in [": server", "server with TLS", "server with compression"] {
        assert_eq!(figure_in(&fanned, variant, "deliveries"), 40.0, "{variant}");
        assert!(figure_in(&fanned, variant, "server") > 0.0, "{variant}: CPU");
    }
    assert!(figure_in(&fanned, "server with TLS", "bytes / those without") > 1.0);
    assert!(figure_in(&fanned, "server with compression", "bytes / those without") < 0.9);
    let idle = "--connections 120 --rooms 3 --seconds 0.3 --rounds 1 --tls";
    let options: Vec<_> = idle.split(' ').collect();
    let idled = report(directory.path(), "idle", &options);
    for variant in [": server", "server with TLS"] {
        assert_eq!(figure_in(&idled, variant, "connections"), 120.0, "{variant}");
    }
}
