//! The rules between options, and what is refused outside development mode.

use super::{Config, ConfigError};
use crate::tls;

/// A frame header beside the payload, in bytes.
const FRAME_BYTES: usize = 16;
/// A drain must end within 30 s; this leaves time for the last writes.
const DRAIN_MS: u128 = 28_000;

impl Config {
    /// Says what is allowed but probably not meant.
    #[must_use]
    pub fn notes(&self) -> Vec<&'static str> {
        let nobody = "nobody can enter: there is no key in `[auth]`, and neither `access.anonymous` nor \
                      `access.guests` is true";
        let somebody = self.access.anonymous || self.access.guests || self.auth.has_keys();
        if somebody { Vec::new() } else { vec![nobody] }
    }

    /// Whether clients reach this server by `https` and `wss`.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.access.behind_tls_proxy || self.tls.files().is_some()
    }
}

/// Appends everything that is wrong.
pub(super) fn check(config: &Config, errors: &mut Vec<ConfigError>) {
    conflicts(config, errors);
    check_certificate(config, errors);
    super::backend::check(&config.backend, errors);
    super::auth::check(&config.auth, &config.backend.outbound, errors);
    config.access.origins.iter().for_each(|origin| check_origin(origin, errors));
    if config.dev {
        refuse_remote_dev(config, errors);
    } else {
        refuse_insecure(config, errors);
    }
}

fn conflicts(config: &Config, errors: &mut Vec<ConfigError>) {
    let Config { limits, timeouts, .. } = config;
    let mut rule = |holds: bool, key, value: &dyn std::fmt::Display, rule| {
        if !holds {
            errors.push(ConfigError::Conflict { key, value: value.to_string(), rule });
        }
    };
    rule(
        timeouts.pong < timeouts.ping,
        "timeouts.pong_ms",
        &timeouts.pong.as_millis(),
        "it must be less than `timeouts.ping_ms`, or pings overtake their answers",
    );
    rule(
        limits.outbox_bytes >= limits.message_bytes + FRAME_BYTES,
        "limits.outbox_bytes",
        &limits.outbox_bytes,
        "it must hold at least one message: 16 more than `limits.message_bytes`",
    );
    rule(
        limits.lag_bytes < limits.outbox_bytes,
        "limits.lag_bytes",
        &limits.lag_bytes,
        "it must be less than `limits.outbox_bytes`, or slow clients are cut off before they can catch up",
    );
    rule(
        limits.outbox_total_bytes >= limits.outbox_bytes,
        "limits.outbox_total_bytes",
        &limits.outbox_total_bytes,
        "it must hold at least one outbox: no less than `limits.outbox_bytes`",
    );
    rule(
        limits.commit_queue_bytes >= limits.message_bytes,
        "limits.commit_queue_bytes",
        &limits.commit_queue_bytes,
        "it must hold at least one message: no less than `limits.message_bytes`",
    );
    rule(
        (timeouts.drain_notice + timeouts.drain_spread).as_millis() <= DRAIN_MS,
        "timeouts.drain_spread_ms",
        &timeouts.drain_spread.as_millis(),
        "with `timeouts.drain_notice_ms` it must be at most 28000, so that a drain ends within 30 s",
    );
    rule(
        config.listen != config.admin_listen || config.listen.port() == 0,
        "admin_listen",
        &config.admin_listen,
        "it must differ from `listen`, or clients could reach the administration",
    );
    rule(
        !config.access.proxy_protocol || !config.access.trusted_proxies.is_empty(),
        "access.proxy_protocol",
        &config.access.proxy_protocol,
        "anybody could say to be somebody else: list the proxies in `access.trusted_proxies`",
    );
    for room in &config.rooms {
        let prefix = room.pattern.strip_suffix('*').unwrap_or(&room.pattern);
        rule(
            !room.pattern.is_empty() && !prefix.contains('*'),
            "room.pattern",
            &room.pattern,
            "it must be a name, or a prefix followed by one `*`",
        );
    }
}

fn check_certificate(config: &Config, errors: &mut Vec<ConfigError>) {
    let (key, value) = match (&config.tls.cert, &config.tls.key) {
        (None, None) => return,
        (Some(cert), None) => ("tls.cert", cert),
        (None, Some(key)) => ("tls.key", key),
        (Some(cert), Some(key)) => {
            return errors.extend(tls::load(cert.path(), key.path()).err().map(ConfigError::Tls));
        }
    };
    let rule = "`tls.cert` and `tls.key` are given together, or neither is";
    errors.push(ConfigError::Conflict { key, value: value.path().display().to_string(), rule });
}

/// An origin is compared as text, so it must be spelled the way browsers do (RFC 6454, section 6.2).
fn check_origin(origin: &str, errors: &mut Vec<ConfigError>) {
    let value = || format!("{origin:?}");
    if origin.contains('*') {
        let rule = "a wildcard lets every page on the web connect; list each origin";
        return errors.push(ConfigError::Insecure { key: "access.origins", value: value(), rule });
    }
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    let is_origin = host.is_some_and(|host| {
        !host.is_empty()
            && !host.contains(|c: char| !c.is_ascii_graphic() || c.is_ascii_uppercase() || "/?#@".contains(c))
    });
    if !is_origin {
        let rule = "an origin is `https://`, a host in lower case and perhaps a port, with nothing behind it";
        errors.push(ConfigError::Conflict { key: "access.origins", value: value(), rule });
    }
}

fn refuse_remote_dev(config: &Config, errors: &mut Vec<ConfigError>) {
    for (key, address) in [("listen", config.listen), ("admin_listen", config.admin_listen)] {
        if !address.ip().is_loopback() {
            errors.push(ConfigError::Insecure {
                key,
                value: address.to_string(),
                rule: "development mode believes every name and so serves loopback only; \
                       use `parlour serve` for other machines",
            });
        }
    }
}

fn refuse_insecure(config: &Config, errors: &mut Vec<ConfigError>) {
    let access = &config.access;
    let mut rule = |is_safe: bool, key, value: &dyn std::fmt::Display, rule| {
        if !is_safe {
            errors.push(ConfigError::Insecure { key, value: value.to_string(), rule });
        }
    };
    rule(
        !access.anonymous || access.allow_anonymous_in_production,
        "access.anonymous",
        &access.anonymous,
        "anybody could take anybody's name; set `access.allow_anonymous_in_production = true` \
         if that is what you want",
    );
    rule(
        config.listen.ip().is_loopback() || config.is_encrypted(),
        "listen",
        &config.listen,
        "other machines would talk to it without encryption; give `tls.cert` and `tls.key`, \
         or put a TLS proxy in front and set `access.behind_tls_proxy = true`",
    );
    rule(
        config.admin_listen.ip().is_loopback() || access.allow_remote_admin,
        "admin_listen",
        &config.admin_listen,
        "it asks for no password; set `access.allow_remote_admin = true` if only trusted machines reach it",
    );
    rule(
        config.data_dir.is_some() || config.database.is_some(),
        "data_dir",
        &":memory:",
        "acknowledged messages would be lost at the end; name a directory",
    );
}
