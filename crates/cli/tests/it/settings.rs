//! What the program accepts and refuses before it serves.

use crate::program::{parlour, run};

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

/// Runs `parlour serve` with a configuration that must be refused with exit code 78.
#[track_caller]
fn refused(toml: &str, words: &[&str]) {
    let directory = directory();
    std::fs::write(directory.path().join("p.toml"), toml).expect("written");
    for command in ["serve", "check-config"] {
        let (code, out, err) = run(&mut parlour(directory.path(), &[command, "--config", "p.toml"]));
        assert_eq!((code, out.as_str()), (78, ""), "{command}: {err}");
        for word in words {
            assert!(err.contains(word), "{command}: {word:?} is missing in {err}");
        }
    }
    assert!(!directory.path().join("parlour-data").exists(), "nothing was touched");
}

#[test]
fn insecure_and_unknown_settings_are_refused() {
    refused("[access]\norigins = [\"*\"]", &["access.origins", "wildcard"]);
    refused("listen = \"0.0.0.0:8080\"", &["listen", "behind_tls_proxy"]);
    refused("[access]\nanonymous = true", &["access.anonymous", "allow_anonymous_in_production"]);
    refused("[limits]\nbrust = 1", &["`limits.brust`", "did you mean `limits.burst`?"]);
    refused("[timeouts]\npong_ms = 25000", &["timeouts.pong_ms", "timeouts.ping_ms"]);
}

#[test]
fn the_example_is_accepted() {
    let directory = directory();
    let (code, example, _) = run(&mut parlour(directory.path(), &["check-config", "--example"]));
    assert_eq!(code, 0);
    assert!(example.contains("#rate_per_s = 10"));
    std::fs::write(directory.path().join("p.toml"), example).expect("written");
    let (code, out, err) = run(&mut parlour(directory.path(), &["check-config", "-c", "p.toml"]));
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("accepted") && out.contains("nobody can enter"), "{out}");
}

#[test]
fn the_environment_is_checked_too() {
    let directory = directory();
    let check = |name, value| run(parlour(directory.path(), &["check-config"]).env(name, value));
    let (code, _, err) = check("PARLOUR_LIMITS__BURST", "no");
    assert!(code == 78 && err.contains("PARLOUR_LIMITS__BURST"), "{err}");
    let (code, _, err) = check("DATABASE_URL", "mysql://u:s3cret@h/d");
    assert!(code == 78 && err.contains("DATABASE_URL") && !err.contains("s3cret"), "{err}");
}

#[test]
fn development_mode_stays_on_this_machine() {
    let directory = directory();
    let (code, _, err) = run(&mut parlour(directory.path(), &["dev", "--listen", "0.0.0.0:0"]));
    assert!(code == 78 && err.contains("loopback") && err.contains("parlour serve"), "{err}");
}

#[test]
fn help_shows_how_to_begin() {
    let directory = directory();
    let (code, out, _) = run(&mut parlour(directory.path(), &["--help"]));
    assert_eq!(code, 0);
    assert!(out.contains("parlour dev") && out.contains("parlour chat --room general --user Alice"));
    let (code, out, _) = run(&mut parlour(directory.path(), &["version"]));
    assert_eq!((code, out), (0, format!("parlour {}\n", env!("CARGO_PKG_VERSION"))));
}
