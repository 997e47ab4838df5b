//! Log lines: one per event, one line each, not too many, and nothing secret.
//!
//! Everything goes to the standard error stream. Levels can be changed while the server runs.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, reload};

use crate::config::{Log, LogFormat};
use crate::metrics::SharedCounter;
use crate::writes::Writes;

mod limiter;
mod line;

use limiter::Limiter;
use line::Lines;

/// How the filter of the running process is changed.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();
/// Lines that were left out. Of the process, because lines are written before there is a node.
static SUPPRESSED: SharedCounter = SharedCounter::new();

/// Begins to log. Once per process; a second call changes nothing but the level.
///
/// Panics are logged too, with their place and without their text, which may hold what a user wrote.
pub fn start(log: &Log) {
    let (filter, handle) = reload::Layer::new(EnvFilter::new(&log.level));
    if FILTER.set(handle).is_err() {
        set_filter(&log.level);
        return;
    }
    let lines = Lines::new(log.format == LogFormat::Json, Limiter::new(&SUPPRESSED), std::io::stderr);
    // Fails only where an embedding program logs in its own way, which then is its choice.
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        tracing::error!(place, thread = thread.name().unwrap_or(""), "panic");
    }));
}

/// Logs where the server listens, once it does.
pub fn listening(clients: SocketAddr, admin: SocketAddr, writes: &Writes) {
    tracing::info!(%clients, %admin, %writes, "listening");
}

/// Logs a warning about the configuration.
pub fn note(text: &'static str) {
    tracing::warn!(text, "note on the configuration");
}

/// Changes what is logged from now on. Returns whether the filter was understood.
pub fn set_filter(text: &str) -> bool {
    let (Some(handle), Some(filter)) = (FILTER.get(), parse(text)) else {
        return false;
    };
    let changed = handle.reload(filter).is_ok();
    tracing::warn!(filter = text, "log level changed");
    changed
}

/// Returns how many lines were left out because their cause had just been logged.
pub(crate) fn suppressed_lines() -> u64 {
    SUPPRESSED.get()
}

/// Whether a text is a filter.
pub(crate) fn is_filter(text: &str) -> bool {
    parse(text).is_some()
}

fn parse(text: &str) -> Option<EnvFilter> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_:=,".contains(c);
    // Directives on fields could be made to match the contents of messages.
    if text.is_empty() || text.len() > 256 || !text.chars().all(is_plain) {
        return None;
    }
    let names_levels = text.split(',').all(|directive| {
        let level = directive.rsplit('=').next().unwrap_or(directive);
        matches!(level, "off" | "error" | "warn" | "info" | "debug" | "trace")
    });
    names_levels.then(|| EnvFilter::try_new(text).ok()).flatten()
}

/// An address without the part that names a person: the network of 24 bits (IPv4) or 48 (IPv6).
#[derive(Debug, Clone, Copy)]
pub struct Truncated(pub IpAddr);

impl fmt::Display for Truncated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                write!(f, "{a}.{b}.{c}.0/24")
            }
            IpAddr::V6(v6) => {
                let [a, b, c, ..] = v6.segments();
                write!(f, "{a:x}:{b:x}:{c:x}::/48")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_name_levels() {
        for good in ["info", "off", "info,parlour_server=debug", "parlour_server::shard=trace"] {
            assert!(is_filter(good), "{good}");
        }
        for bad in ["", "loud", "info,", "info;", "parlour[x]=debug", &"info,".repeat(80)] {
            assert!(!is_filter(bad), "{bad}");
        }
    }

    #[test]
    fn addresses_are_truncated() {
        let shown = |text: &str| Truncated(text.parse().expect("valid")).to_string();
        assert_eq!(shown("192.0.2.77"), "192.0.2.0/24");
        assert_eq!(shown("::ffff:192.0.2.77"), "192.0.2.0/24");
        assert_eq!(shown("2001:db8:1:2::3"), "2001:db8:1::/48");
    }
}
