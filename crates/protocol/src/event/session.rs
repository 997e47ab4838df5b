//! Events about the connection itself.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use crate::name::{RoomName, UserId};

/// Payload of `welcome`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// Unguessable id of this session; a name, never a credential.
    pub session: CompactString,
    /// Who the server takes the client for.
    pub user: UserId,
    /// The server's clock: milliseconds since the Unix epoch.
    pub server_time_ms: i64,
    /// How often the server pings, in milliseconds.
    pub heartbeat_ms: u64,
    /// What this connection may do.
    pub limits: Limits,
    /// How long to wait before reconnecting after a lost connection.
    pub reconnect: Window,
    /// Whether this is a development server.
    pub dev: bool,
    /// Rooms that are entered again, in the order of `hello.resume`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resuming: Vec<RoomName>,
}

/// Limits of a connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Largest message, in bytes.
    pub message_bytes: u64,
    /// Most rooms at the same time.
    pub rooms: u32,
    /// Commands per second in the long run; 0 means no limit.
    pub rate_per_s: u32,
    /// Commands at once.
    pub burst: u32,
    /// Most messages in one page of history.
    pub history: u32,
}

/// A span from which a client picks a random moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Earliest moment, in milliseconds from now.
    pub min_ms: u32,
    /// Latest moment, in milliseconds from now.
    pub max_ms: u32,
}

/// Payload of `pong`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pong {
    /// The server's clock: milliseconds since the Unix epoch.
    pub server_time_ms: i64,
}

/// Payload of `token_expiring`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenExpiring {
    /// When the connection ends, on the server's clock: milliseconds since the Unix epoch.
    pub expires_ms: i64,
}

/// Payload of `goaway`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GoAway {
    /// Why, in a word.
    pub reason: CompactString,
    /// When to come back.
    pub reconnect: Window,
}
