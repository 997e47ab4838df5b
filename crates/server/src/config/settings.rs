//! The one table of options: key, meaning, range, and the field that it fills.
//!
//! The example file, the environment variables and the texts of errors all come from here.

use std::ops::RangeInclusive;

use super::Config;
use super::value::Value;

/// One option.
pub(super) struct Setting {
    /// The key in TOML; `limits.rate_per_s` is `PARLOUR_LIMITS__RATE_PER_S` in the environment.
    pub(super) key: &'static str,
    /// What it decides, with its unit.
    pub(super) doc: &'static str,
    /// Smallest and largest number, for options that are numbers.
    pub(super) range: RangeInclusive<u64>,
    /// The field.
    pub(super) field: fn(&mut Config) -> &mut dyn Value,
}

/// Ranges of durations, in milliseconds.
const UP_TO_10_S: RangeInclusive<u64> = 100..=10_000;
const UP_TO_5_MIN: RangeInclusive<u64> = 100..=300_000;
const NOT_A_NUMBER: RangeInclusive<u64> = 0..=0;

macro_rules! settings {
    ($($key:literal, $($field:ident).+, $range:expr, $doc:literal;)+) => {
        /// All options, grouped by section.
        pub(super) const SETTINGS: &[Setting] = &[$(Setting {
            key: $key,
            doc: $doc,
            range: $range,
            field: |config| &mut config.$($field).+,
        },)+];
    };
}

settings! {
    "listen", listen, NOT_A_NUMBER,
        "Address of clients.";
    "admin_listen", admin_listen, NOT_A_NUMBER,
        "Address of metrics, health checks and the log level.";
    "data_dir", data_dir, NOT_A_NUMBER,
        "Where the embedded store keeps its files.";
    "database", database, NOT_A_NUMBER,
        "PostgreSQL database that is used instead, such as `postgres://user:password@host/database`; also DATABASE_URL, outside development mode.";
    "shards", shards, 0..=256,
        "Threads that carry connections; 0 means one per core.";
    "pin_shards", pin_shards, NOT_A_NUMBER,
        "Whether each of these threads stays on one core; for machines that do nothing else.";
    "io_uring", io_uring, NOT_A_NUMBER,
        "Whether many sockets are written to in one system call, where the system lets us (Linux). Worth trying where entering the kernel is dear; measure with `parlour bench fanout`.";
    "compression", compression, NOT_A_NUMBER,
        "Whether permessage-deflate is agreed to.";

    "tls.cert", tls.cert, NOT_A_NUMBER,
        "Certificate of the address of clients with the chain to its authority, a file in PEM; empty means no TLS.";
    "tls.key", tls.key, NOT_A_NUMBER,
        "Its private key, a file in PEM that not everybody may read.";

    "access.anonymous", access.anonymous, NOT_A_NUMBER,
        "Whether the name in `user=` or `hello` is believed.";
    "access.guests", access.guests, NOT_A_NUMBER,
        "Whether who shows no token is let in as a guest such as `guest-1f2e3d4c5b6a`, who may do what every user may.";
    "access.allow_anonymous_in_production", access.allow_anonymous_in_production, NOT_A_NUMBER,
        "Acknowledges that with `anonymous` anybody may take anybody's name.";
    "access.token_in_query", access.token_in_query, NOT_A_NUMBER,
        "Whether `token=` in the URL is read. URLs end up in logs of proxies.";
    "access.origins", access.origins, NOT_A_NUMBER,
        "Origins whose pages may connect, such as `https://app.example.com`.";
    "access.hosts", access.hosts, NOT_A_NUMBER,
        "Host names that this server answers to, without ports; empty means any. Pages that this server itself serves may connect only where it is set.";
    "access.behind_tls_proxy", access.behind_tls_proxy, NOT_A_NUMBER,
        "Says that a proxy in front of this server speaks TLS; needed to listen on a public address.";
    "access.trusted_proxies", access.trusted_proxies, NOT_A_NUMBER,
        "Addresses or ranges of proxies whose `X-Forwarded-For` is believed.";
    "access.proxy_protocol", access.proxy_protocol, NOT_A_NUMBER,
        "Whether those proxies begin each connection with the PROXY protocol (version 1 or 2).";
    "access.allow_remote_admin", access.allow_remote_admin, NOT_A_NUMBER,
        "Acknowledges that `admin_listen` can be reached from other machines; it asks for no password.";

    "auth.issuer", auth.issuer, NOT_A_NUMBER,
        "Who signs tokens: what their `iss` must say; see docs/identity.md.";
    "auth.audience", auth.audience, NOT_A_NUMBER,
        "For whom tokens are: what their `aud` must say.";
    "auth.typ", auth.typ, NOT_A_NUMBER,
        "What `typ` in the header of tokens must say: JWT, or at+jwt for access tokens of OAuth.";
    "auth.max_life_s", auth.max_life_s, 60..=2_592_000,
        "Longest life of a token, in seconds.";
    "auth.leeway_s", auth.leeway_s, 0..=300,
        "How far the clocks of issuer and server may differ, in seconds.";
    "auth.jwks_file", auth.jwks_file, NOT_A_NUMBER,
        "Public keys of tokens, a JSON Web Key Set; looked at again every 10 seconds.";
    "auth.jwks_url", auth.jwks_url, NOT_A_NUMBER,
        "The same from an `https` URL: fetched every 10 minutes, and when a token names an unknown key, at most once a minute.";

    "limits.message_bytes", limits.message_bytes, 125..=16_777_216,
        "Largest message, in bytes after reassembly and decompression.";
    "limits.fragments", limits.fragments, 1..=65_536,
        "Most fragments of a message.";
    "limits.outbox_bytes", limits.outbox_bytes, 4_096..=1_073_741_824,
        "Most bytes that wait for one slow client; with more it is cut off, and may resume.";
    "limits.lag_bytes", limits.lag_bytes, 4_096..=1_073_741_824,
        "Bytes that wait for one client beyond which it gets what its rooms say from their logs, as fast as it reads; below `outbox_bytes`.";
    "limits.outbox_total_bytes", limits.outbox_total_bytes, 1_048_576..=1_099_511_627_776,
        "Most bytes that wait for all slow clients together; with more the slowest are cut off first, and may resume.";
    "limits.rooms_per_connection", limits.rooms_per_connection, 1..=512,
        "Most rooms of one connection.";
    "limits.members_per_room", limits.members_per_room, 1..=10_000_000,
        "Most users in one room.";
    "limits.notice_members", limits.notice_members, 0..=100_000,
        "Rooms with more users than this give no join, leave, typing and presence notices.";
    "limits.rate_per_s", limits.rate_per_s, 0..=1_000_000,
        "Messages per second in the long run, per connection and per user; 0 means no limit on speed, whatever the other rates say.";
    "limits.burst", limits.burst, 1..=1_000_000,
        "Messages at once.";
    "limits.bytes_per_s", limits.bytes_per_s, 0..=1_073_741_824,
        "Bytes of messages per second in the long run, per connection and per user; 0 means no limit.";
    "limits.bytes_burst", limits.bytes_burst, 1..=1_073_741_824,
        "Bytes of messages at once.";
    "limits.reads_per_s", limits.reads_per_s, 0..=1_000_000,
        "Pages of history, searches and lists per second in the long run, per connection and per user; 0 means no limit.";
    "limits.reads_burst", limits.reads_burst, 1..=1_000_000,
        "Pages of history, searches and lists at once.";
    "limits.joins_per_s", limits.joins_per_s, 0..=1_000_000,
        "Rooms entered per second in the long run, per connection and per user; 0 means no limit.";
    "limits.joins_burst", limits.joins_burst, 1..=1_000_000,
        "Rooms entered at once.";
    "limits.connections", limits.connections, 0..=10_000_000,
        "Most connections of this node; 0 means as many as open files and memory allow.";
    "limits.connections_per_address", limits.connections_per_address, 1..=10_000_000,
        "Most connections of one address; an IPv6 /64 counts as one.";
    "limits.connections_per_user", limits.connections_per_user, 1..=10_000_000,
        "Most connections of one user.";
    "limits.history", limits.history, 0..=1_000,
        "Most messages replayed on entering a room or listed in a page.";
    "limits.recent_bytes", limits.recent_bytes, 0..=1_099_511_627_776,
        "Most bytes of recent messages that all rooms together keep in memory, so that joins need no store; beyond it the idlest rooms forget theirs.";
    "limits.commit_queue", limits.commit_queue, 1..=1_000_000,
        "Most messages that wait for the store.";
    "limits.commit_queue_bytes", limits.commit_queue_bytes, 65_536..=1_073_741_824,
        "Most bytes of messages that wait for the store.";

    "timeouts.handshake_ms", timeouts.handshake, UP_TO_10_S,
        "From accepting a connection to the end of its request head, in milliseconds.";
    "timeouts.hello_ms", timeouts.hello, UP_TO_5_MIN,
        "From the upgrade to `hello`, in milliseconds.";
    "timeouts.message_ms", timeouts.message, UP_TO_5_MIN,
        "From the first to the last fragment of a message, in milliseconds.";
    "timeouts.ping_ms", timeouts.ping, UP_TO_5_MIN,
        "Between two pings, less a jitter of up to a tenth, in milliseconds.";
    "timeouts.pong_ms", timeouts.pong, UP_TO_5_MIN,
        "From a ping to any sign of life, in milliseconds; below `ping_ms`.";
    "timeouts.gather_ms", timeouts.gather, 0..=100,
        "Longest that a busy server gathers messages before it writes them, in milliseconds; 0 means never.";
    "timeouts.stall_ms", timeouts.stall, UP_TO_5_MIN,
        "How long a blocked socket may make no progress, in milliseconds.";
    "timeouts.grace_ms", timeouts.grace, 0..=300_000,
        "How long a lost connection may come back without a notice to the room, in milliseconds.";
    "timeouts.drain_notice_ms", timeouts.drain_notice, 0..=20_000,
        "From the signal to the first close, while /readyz answers 503, in milliseconds.";
    "timeouts.drain_spread_ms", timeouts.drain_spread, 0..=28_000,
        "Over which the closes are spread, in milliseconds; with `drain_notice_ms` at most 28,000.";

    "outbound.allow", backend.outbound.allow, NOT_A_NUMBER,
        "Addresses or ranges that webhooks, hooks and key sets may be at although they are not public, such as `10.0.0.0/8`; there also without encryption. Public addresses need no entry, and `https`.";
    "outbound.ca", backend.outbound.ca, NOT_A_NUMBER,
        "Authorities whose certificates are believed there beside those of the system, a file in PEM.";

    "audit.path", backend.audit, NOT_A_NUMBER,
        "Where it is written who administered what; empty means `audit.jsonl` in the data directory.";

    "log.level", log.level, NOT_A_NUMBER,
        "What is logged: error, warn, info, debug or trace, also per module (`info,parlour_server=debug`).";
    "log.format", log.format, NOT_A_NUMBER,
        "How lines look: text or json.";
}

/// Finds an option by its key.
pub(super) fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

/// Returns the known key that is most like an unknown one, if any is.
pub(super) fn nearest(key: &str) -> Option<&'static str> {
    let known = SETTINGS.iter().map(|setting| setting.key).chain(["room", "webhook", "hook", "api_key"]);
    // Somebody who forgets the section means the option all the same.
    let distance = |known: &'static str| {
        let last = known.rsplit('.').next().unwrap_or(known);
        let given = key.rsplit('.').next().unwrap_or(key);
        edits(known, key).min(edits(last, given) + usize::from(known != last))
    };
    let (distance, nearest) = known.map(|known| (distance(known), known)).min()?;
    (distance <= 2 + key.len() / 4).then_some(nearest)
}

/// Returns how many letters must be inserted, removed or replaced (Levenshtein).
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_what_was_meant() {
        for (given, meant) in [
            ("limits.rate_per_sec", Some("limits.rate_per_s")),
            ("rate_per_s", Some("limits.rate_per_s")),
            ("timeout.ping_ms", Some("timeouts.ping_ms")),
            ("access.orgins", Some("access.origins")),
            ("lissten", Some("listen")),
            ("rooms", Some("room")),
            ("zzzzzzzzzzzz", None),
        ] {
            assert_eq!(nearest(given), meant, "{given}");
        }
    }

    #[test]
    fn every_default_obeys_its_own_rule() {
        for mode in [Config::default(), Config::dev_defaults()] {
            for Setting { key, range, field, .. } in SETTINGS {
                let mut config = mode.clone();
                let value = field(&mut config);
                let given = super::super::value::Given::Toml(value.show());
                assert!(value.read(&given, range).is_some(), "{key} = {given}");
            }
        }
    }
}
