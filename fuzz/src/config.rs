//! Configurations: what is accepted is safe, and what is refused says why.

use parlour_server::config::{Config, Flags, Mode};
use toml::{Table, Value};

/// Options that name files, which are read when a configuration is.
const FILES: [&str; 4] = ["cert", "ca", "path", "data_dir"];

/// Reads a text as the configuration of a server for trying out and of one for others.
pub fn check(text: &str) {
    if text.parse::<Table>().is_ok_and(|table| table.iter().any(|(key, value)| names_file(key, value))) {
        return;
    }
    for mode in [Mode::Dev, Mode::Serve] {
        match Config::from_sources(Some(text), std::iter::empty(), Flags::new(mode)) {
            Ok(config) => check_accepted(&config, mode),
            Err(errors) => {
                let shown = errors.to_string();
                assert!(
                    !errors.0.is_empty() && shown.starts_with("the configuration is refused\n  - "),
                    "{shown}"
                );
            }
        }
    }
}

/// Whether an option, or one in it, may have a file opened.
fn names_file(key: &str, value: &Value) -> bool {
    let is_file = key.ends_with("_file") || FILES.contains(&key);
    match value {
        Value::Table(table) => is_file || table.iter().any(|(key, value)| names_file(key, value)),
        Value::Array(values) => is_file || values.iter().any(|value| names_file(key, value)),
        // `key` is a file as well, of TLS.
        _ => is_file || key == "key",
    }
}

fn check_accepted(config: &Config, mode: Mode) {
    let access = &config.access;
    assert_eq!(config.dev, mode == Mode::Dev);
    assert!(config.shards > 0 && config.limits.connections > 0);
    assert!(config.timeouts.pong < config.timeouts.ping);
    assert!(access.origins.iter().all(|origin| !origin.contains('*')), "{:?}", access.origins);
    match mode {
        Mode::Dev => assert!(config.listen.ip().is_loopback() && config.admin_listen.ip().is_loopback()),
        Mode::Serve => {
            assert!(!access.anonymous || access.allow_anonymous_in_production);
            assert!(config.listen.ip().is_loopback() || access.behind_tls_proxy);
            assert!(config.admin_listen.ip().is_loopback() || access.allow_remote_admin);
        }
    }
    // The configuration that it shows says the same again.
    assert!(!format!("{config:?}").is_empty());
}
