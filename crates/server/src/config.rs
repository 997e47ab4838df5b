//! The checked configuration.
//!
//! [`settings`] is the one table of options; [`sources`] fills a [`Config`] from TOML, then the
//! environment, then flags; [`check`] knows the rules between options and what is refused in
//! production.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use parlour_hub::filter::Filter;
use parlour_hub::rights;

mod api_key;
mod auth;
mod backend;
mod check;
mod database;
mod defaults;
mod error;
mod example;
mod filter;
mod machine;
mod network;
mod settings;
mod sources;
mod tls;
mod value;

pub use auth::{Auth, TokenType};
pub use backend::{
    AuditPath, Backend, HookRule, Occasion, OnFailure, OutboundRules, RoomPattern, WebhookRule,
};
pub use database::DatabaseUrl;
pub use error::{ConfigError, ConfigErrors};
pub use example::example;
pub use machine::raise_open_files;
pub use network::Network;
pub use sources::{Flags, Mode};
pub use tls::{PemFile, Tls};

use crate::api::key::Key;

/// Everything that an operator can decide, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Development mode: anonymous users, loopback only.
    pub dev: bool,
    /// Address of clients.
    pub listen: SocketAddr,
    /// Address of metrics, health and administration.
    pub admin_listen: SocketAddr,
    /// Where the embedded store keeps its files; `None` keeps everything in memory.
    pub data_dir: Option<PathBuf>,
    /// The database that is used instead of the embedded store.
    pub database: Option<DatabaseUrl>,
    /// Number of shards; one per core unless told.
    pub shards: usize,
    /// Whether each shard stays on one core.
    pub pin_shards: bool,
    /// Whether shards write by io_uring where they can.
    pub io_uring: bool,
    /// The certificate of the address of clients.
    pub tls: Tls,
    /// Who may connect.
    pub access: Access,
    /// Whose tokens are believed.
    pub auth: Auth,
    /// Sizes and counts.
    pub limits: Limits,
    /// Deadlines and intervals.
    pub timeouts: Timeouts,
    /// Keys of backends.
    pub api_keys: Vec<Key>,
    /// Rules of rooms by name pattern; the first match counts.
    pub rooms: Vec<RoomRule>,
    /// Other servers of the operator, and the audit log.
    pub backend: Backend,
    /// Words that may not be said.
    pub filters: Vec<Filter>,
    /// Whether permessage-deflate is agreed to.
    pub compression: bool,
    /// What is logged, and how.
    pub log: Log,
}

/// Who may connect.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Whether `user=` in the URL or in `hello` is taken as identity.
    pub anonymous: bool,
    /// Whether who shows nothing is let in as a guest, with a name of its own.
    pub guests: bool,
    /// Whether `token=` in the URL is read.
    pub token_in_query: bool,
    /// Origins whose pages may connect, exact.
    pub origins: Vec<String>,
    /// Whether pages of any loopback origin may connect (development).
    pub loopback_origins: bool,
    /// Host names that this server answers to, without ports; empty means any.
    pub hosts: Vec<String>,
    /// Acknowledges that anybody may take any name although this is not development mode.
    pub allow_anonymous_in_production: bool,
    /// Says that a proxy in front of a public listener speaks TLS.
    pub behind_tls_proxy: bool,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Whether those proxies begin each connection with the PROXY protocol.
    pub proxy_protocol: bool,
    /// Acknowledges that the administration address can be reached from other machines.
    pub allow_remote_admin: bool,
}

/// Sizes and counts.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest message, in bytes after reassembly and decompression.
    pub message_bytes: usize,
    /// Most fragments of a message.
    pub fragments: u32,
    /// Most bytes that wait for one slow client.
    pub outbox_bytes: usize,
    /// Bytes that wait for one client beyond which rooms are told to it from their logs.
    pub lag_bytes: usize,
    /// Most bytes that wait for all slow clients.
    pub outbox_total_bytes: usize,
    /// Most rooms of one connection.
    pub rooms_per_connection: usize,
    /// Most users in one room.
    pub members_per_room: usize,
    /// Rooms with more users than this give no join, leave, typing and presence notices.
    pub notice_members: usize,
    /// Messages per second in the long run, per connection and per user; 0 means no limit on speed.
    pub rate_per_s: u32,
    /// Messages at once.
    pub burst: u32,
    /// Bytes of texts per second in the long run, per connection and per user; 0 means no limit.
    pub bytes_per_s: usize,
    /// Bytes of texts at once.
    pub bytes_burst: usize,
    /// Reads of the store per second in the long run, per connection and per user; 0 means no limit.
    pub reads_per_s: u32,
    /// Reads of the store at once.
    pub reads_burst: u32,
    /// Joins per second in the long run, per connection and per user; 0 means no limit.
    pub joins_per_s: u32,
    /// Joins at once.
    pub joins_burst: u32,
    /// Most connections of this node.
    pub connections: usize,
    /// Most connections of one address (an IPv6 /64 counts as one).
    pub connections_per_address: usize,
    /// Most connections of one user.
    pub connections_per_user: usize,
    /// Most messages replayed by a join or listed in a page.
    pub history: u32,
    /// Most bytes of recent messages that all rooms keep in memory.
    pub recent_bytes: usize,
    /// Most messages that wait for the store.
    pub commit_queue: usize,
    /// Most bytes of messages that wait for the store.
    pub commit_queue_bytes: usize,
}

/// Deadlines and intervals.
#[derive(Debug, Clone)]
pub struct Timeouts {
    /// From the first byte to the end of the upgrade.
    pub handshake: Duration,
    /// From the upgrade to `hello`.
    pub hello: Duration,
    /// From the first to the last fragment of a message.
    pub message: Duration,
    /// Between two pings, less a jitter of up to a tenth.
    pub ping: Duration,
    /// From a ping to any sign of life.
    pub pong: Duration,
    /// Longest that a busy shard gathers messages before it writes them.
    pub gather: Duration,
    /// Without progress of a blocked socket.
    pub stall: Duration,
    /// How long a lost connection may come back without a notice.
    pub grace: Duration,
    /// From the signal to the first close, while `/readyz` says 503.
    pub drain_notice: Duration,
    /// Over which the closes are spread.
    pub drain_spread: Duration,
}

/// Rules of the rooms whose name matches a pattern.
#[derive(Debug, Clone)]
pub struct RoomRule {
    /// A name, or a prefix followed by `*`.
    pub pattern: String,
    /// Whether messages are stored before they are broadcast.
    pub durable: bool,
    /// What every user may do there; `None`: as everywhere.
    pub access: Option<rights::Access>,
    /// Whether every user may create rooms there; `None`: those who may publish.
    pub create: Option<bool>,
    /// Whether their events are compressed for clients that can take it.
    pub compress: bool,
    /// What is kept of them.
    pub retention: Retention,
}

impl RoomRule {
    /// Rooms whose messages are broadcast at once and never stored.
    #[must_use]
    pub fn ephemeral(pattern: &str) -> Self {
        Self {
            pattern: pattern.into(),
            durable: false,
            access: None,
            create: None,
            compress: false,
            retention: Retention::default(),
        }
    }

    /// Whether the rule is about a room.
    #[must_use]
    pub fn matches(&self, room: &str) -> bool {
        parlour_hub::rules::matches(&self.pattern, room)
    }
}

/// What is kept of a room's log; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Entries of the last so many days.
    pub days: Option<u32>,
    /// The newest so many entries.
    pub messages: Option<u64>,
    /// The newest entries of together so many bytes of text.
    pub bytes: Option<u64>,
}

impl Retention {
    /// Whether everything is kept.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }
}

/// What is logged, and how.
#[derive(Debug, Clone)]
pub struct Log {
    /// Filter such as `info` or `info,parlour_server=debug`.
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

#[cfg(test)]
mod tests;
