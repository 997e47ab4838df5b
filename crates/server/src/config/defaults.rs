//! What holds where nobody said otherwise.

use std::time::Duration;

use super::{Access, Auth, Backend, Config, Limits, Log, LogFormat, RoomRule, Timeouts, Tls, machine};

impl Default for Config {
    /// Returns the defaults of production: closed, and on loopback until configured.
    fn default() -> Self {
        Self {
            dev: false,
            listen: ([127, 0, 0, 1], 8080).into(),
            admin_listen: ([127, 0, 0, 1], 8081).into(),
            data_dir: Some("parlour-data".into()),
            database: None,
            shards: 0,
            pin_shards: false,
            io_uring: false,
            tls: Tls::default(),
            access: Access::default(),
            auth: Auth::default(),
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            api_keys: Vec::new(),
            filters: Vec::new(),
            rooms: Vec::new(),
            backend: Backend::default(),
            compression: false,
            log: Log { level: "info".into(), format: LogFormat::Text },
        }
    }
}

impl Config {
    /// Returns the configuration of development mode: anybody may take any name, and nothing but
    /// loopback is served.
    #[must_use]
    pub fn dev() -> Self {
        Self::dev_defaults().resolved()
    }

    pub(super) fn dev_defaults() -> Self {
        let mut config = Self { dev: true, ..Self::default() };
        config.access.anonymous = true;
        config.access.token_in_query = true;
        config.access.loopback_origins = true;
        config.access.hosts = ["localhost", "127.0.0.1", "[::1]"].map(String::from).into();
        config.limits.history = 1_000;
        config.rooms = vec![RoomRule::ephemeral("live:*")];
        // Load tests and many tabs come from one address and one user.
        config.limits.connections_per_address = 100_000;
        config.limits.connections_per_user = 1_000;
        config.timeouts.drain_notice = Duration::from_millis(200);
        config.timeouts.drain_spread = Duration::from_secs(1);
        config
    }

    /// Whether events of a room are compressed for clients that can take it.
    #[must_use]
    pub fn compresses(&self, room: &str) -> bool {
        self.rooms.iter().find(|rule| rule.matches(room)).is_none_or(|rule| rule.compress)
    }

    /// Fills in what depends on the machine.
    pub(super) fn resolved(mut self) -> Self {
        if self.shards == 0 {
            self.shards = machine::cores();
        }
        if self.limits.connections == 0 {
            self.limits.connections = machine::connections();
        }
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 64 * 1024,
            fragments: 1_024,
            outbox_bytes: 1024 * 1024,
            lag_bytes: 128 * 1024,
            outbox_total_bytes: 256 * 1024 * 1024,
            rooms_per_connection: parlour_protocol::limits::ROOMS_PER_CONNECTION,
            members_per_room: 100_000,
            notice_members: 250,
            rate_per_s: 10,
            burst: 20,
            bytes_per_s: 256 * 1024,
            bytes_burst: 2 * 1024 * 1024,
            reads_per_s: 20,
            reads_burst: 200,
            joins_per_s: 100,
            joins_burst: 2_048,
            connections: 0,
            connections_per_address: 200,
            connections_per_user: 20,
            history: parlour_protocol::limits::HISTORY_MESSAGES,
            recent_bytes: 256 * 1024 * 1024,
            commit_queue: 1_000,
            commit_queue_bytes: 16 * 1024 * 1024,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            hello: Duration::from_secs(10),
            message: Duration::from_secs(30),
            ping: Duration::from_secs(25),
            pong: Duration::from_secs(10),
            gather: Duration::from_millis(2),
            stall: Duration::from_secs(10),
            grace: Duration::from_secs(10),
            drain_notice: Duration::from_secs(5),
            drain_spread: Duration::from_secs(20),
        }
    }
}
