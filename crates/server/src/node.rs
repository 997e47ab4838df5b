//! What the threads of a node share.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use parlour_hub::Effect;
use parlour_hub::limits::Gcra;
use parlour_hub::rights::Access;
use parlour_hub::rules::{Pattern, Rules};
use parlour_hub::session::Rates;
use parlour_protocol::command::Hello;
use parlour_protocol::event::Window;
use parlour_protocol::{Epoch, ErrorCode, Refusal, RoomName, limits};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::api::Api;
use crate::clock::Clock;
use crate::commit::{CommitQueue, Drafts, error_code};
use crate::config::{Config, DatabaseUrl, Limits, Timeouts};
use crate::documents::DocumentQueue;
use crate::errands::Errands;
use crate::hooks::Hooks;
use crate::inbox::{Inbox, Mail};
use crate::lineage::Lineage;
use crate::metrics::Metrics;
use crate::outbound::Outbound;
use crate::server::{Purpose, StartError};
use crate::shell::Shell;
use crate::store::memory::MemoryStore;
use crate::store::{Store, StoreError};
use crate::upgrade::Upgraded;
use crate::verifier::{Credentials, Identity};
use crate::writes::Writes;

/// One running server.
#[derive(Debug)]
pub struct Node {
    /// The checked configuration.
    pub config: Arc<Config>,
    /// The only clock.
    pub clock: Clock,
    /// Counters of all shards.
    pub metrics: Arc<Metrics>,
    /// Where rooms are kept.
    pub store: Box<dyn Store>,
    lineage: RwLock<Lineage>,
    /// The way of messages to the store.
    pub commits: CommitQueue,
    /// The way of small documents to the store.
    pub documents: DocumentQueue,
    /// The way into each shard.
    pub inboxes: Vec<Arc<Inbox>>,
    /// What HTTP needs.
    pub shell: Arc<Shell>,
    /// The API of backends.
    pub api: Api,
    /// What waits for others.
    pub errands: Errands,
    /// The way to other servers.
    pub outbound: Arc<Outbound>,
    /// What those of the operator hear of this one.
    pub hooks: Hooks,
    /// How shards write to many sockets.
    pub writes: Writes,
    /// The rates that sessions obey.
    pub rates: Rates,
    /// The limits of frames and messages.
    pub frame_limits: parlour_websocket::Limits,
    /// Whether messages are sent back instead of being carried out (conformance suites).
    pub is_echo: bool,
}

impl Node {
    /// Builds a node whose threads do not run yet. What waits runs on the current runtime.
    ///
    /// # Panics
    /// Outside a runtime.
    ///
    /// # Errors
    /// The store's, if it cannot be opened.
    pub fn new(
        purpose: Purpose,
        config: Config,
        listen: SocketAddr,
    ) -> Result<(Arc<Self>, Drafts), StartError> {
        Ok(Self::on_store(open_store(&config)?, Lineage::draw(), purpose, config, listen))
    }

    /// Builds a node on a store that is open already. What waits runs on the current runtime.
    ///
    /// # Panics
    /// Outside a runtime.
    #[must_use]
    pub fn on_store(
        store: Box<dyn Store>,
        lineage: Lineage,
        purpose: Purpose,
        config: Config,
        listen: SocketAddr,
    ) -> (Arc<Self>, Drafts) {
        let config = Arc::new(config);
        let metrics = Metrics::new(config.shards);
        let clock = Clock::start();
        let shell = Arc::new(Shell::new(purpose, Arc::clone(&config), Arc::clone(&metrics), clock, listen));
        let (commits, drafts) =
            CommitQueue::new(config.limits.commit_queue, config.limits.commit_queue_bytes);
        let writes = Writes::choose(&config);
        metrics.node().io_uring.set(u64::from(writes.is_ring()));
        let node = Self {
            rates: rates(&config.limits),
            frame_limits: parlour_websocket::Limits {
                max_message_bytes: config.limits.message_bytes,
                max_fragments: config.limits.fragments,
            },
            is_echo: purpose == Purpose::Echo,
            inboxes: (0..config.shards).map(|_| Arc::new(Inbox::default())).collect(),
            documents: DocumentQueue::default(),
            api: Api::new(&config),
            errands: Errands::on(Handle::current()),
            outbound: Arc::new(Outbound::new(config.backend.outbound.clone())),
            hooks: Hooks::new(&config, Arc::clone(&metrics)),
            writes,
            config,
            clock,
            metrics,
            store,
            lineage: RwLock::new(lineage),
            commits,
            shell,
        };
        (Arc::new(node), drafts)
    }

    /// Returns the epoch that the log of a room begins with.
    #[must_use]
    pub fn new_epoch(&self, room: &RoomName) -> Epoch {
        self.lineage.read().unwrap_or_else(PoisonError::into_inner).epoch(room)
    }

    /// Notes what the epochs of new rooms follow from. Another number means that the history was
    /// rewound.
    pub fn set_lineage(&self, lineage: Lineage) {
        let mut known = self.lineage.write().unwrap_or_else(PoisonError::into_inner);
        if *known != lineage {
            tracing::error!("the history in the database was rewound: all rooms begin new epochs");
            self.metrics.node().rewinds.add(1);
            *known = lineage;
        }
    }

    /// Asks every shard for the rooms that it holds and that are stored.
    pub async fn rooms_in_memory(&self) -> Vec<RoomName> {
        let mut rooms = Vec::new();
        for inbox in &self.inboxes {
            let (answer, named) = oneshot::channel();
            inbox.post(Mail::NameRooms(answer));
            rooms.extend(named.await.unwrap_or_default());
        }
        rooms
    }

    /// Returns the shard that a room lives on.
    #[must_use]
    pub fn home(&self, room: &RoomName) -> usize {
        if self.inboxes.len() == 1 {
            return 0;
        }
        let mut hasher = DefaultHasher::new();
        room.hash(&mut hasher);
        let shards = self.inboxes.len() as u64;
        usize::try_from(hasher.finish() % shards).unwrap_or(0)
    }

    /// Gives a connection to the shard with the least to do.
    pub fn place(&self, upgraded: Upgraded) {
        let load =
            |shard: &usize| self.metrics.shard(*shard).connections.get() + self.inboxes[*shard].len() as u64;
        if let Some(shard) = (0..self.inboxes.len()).min_by_key(load) {
            self.inboxes[shard].post(Mail::Adopt(Box::new(upgraded)));
        }
    }

    /// Posts the result of an errand of shard `from`: to the room's home, to the connection, or back.
    pub fn route(&self, from: u16, mail: Mail) {
        let to = match &mail {
            Mail::Input { room, .. } => self.home(room),
            Mail::Effect(Effect::Send { to, .. }) => usize::from(to.shard),
            // Its sender has asked the other shards already.
            Mail::ListRooms(_) => 0,
            _ => usize::from(from),
        };
        self.inboxes[to].post(mail);
    }

    /// Returns the rules of rooms.
    #[must_use]
    pub fn rules(&self) -> Rules {
        let patterns = self.config.rooms.iter();
        Rules {
            grace_ms: self.timeout_ms(|timeouts| timeouts.grace),
            typing_ms: limits::TYPING_MS,
            members_per_room: self.config.limits.members_per_room,
            notice_members: self.config.limits.notice_members,
            history: self.config.limits.history,
            recent_bytes: self.config.limits.recent_bytes / self.inboxes.len(),
            patterns: patterns
                .map(|rule| Pattern {
                    pattern: rule.pattern.clone(),
                    durable: rule.durable,
                    access: rule.access,
                    create: rule.create,
                })
                .collect(),
            access: if self.config.dev { Access::Public } else { Access::Members },
            filters: self.config.filters.clone(),
            tells_occupancy: self.hooks.wants_occupancy(),
        }
    }

    /// Returns one of the timeouts in milliseconds.
    #[must_use]
    pub fn timeout_ms(&self, which: impl FnOnce(&Timeouts) -> Duration) -> u64 {
        u64::try_from(which(&self.config.timeouts).as_millis()).unwrap_or(u64::MAX)
    }

    /// Returns when clients should come back after a loss: later the more there are, so that a
    /// thousand per second arrive.
    #[must_use]
    pub fn reconnect_window(&self) -> Window {
        let connections = self.metrics.connections();
        let max_ms = u32::try_from(connections).unwrap_or(u32::MAX).clamp(1_000, 60_000);
        Window { min_ms: 100, max_ms }
    }

    /// Whether more bytes wait for slow clients than all of them together may cost.
    #[must_use]
    pub fn is_over_budget(&self) -> bool {
        self.metrics.outbox_bytes() > self.config.limits.outbox_total_bytes as u64
    }

    /// Returns the reason of the close frame at shutdown: a word and when to come back.
    #[must_use]
    pub fn restart_reason(&self) -> String {
        let Window { min_ms, max_ms } = self.reconnect_window();
        format!("{} reconnect in {min_ms}-{max_ms} ms", ErrorCode::Restart.word())
    }

    /// Decides who says hello.
    ///
    /// # Errors
    /// The refusal that ends the connection.
    pub fn verify_hello(&self, hello: &Hello) -> Result<Identity, Refusal> {
        let (token, user) = (hello.token.as_deref(), hello.user.as_ref());
        self.shell.verifier.verify(Credentials { token, ticket: None, user })
    }

    /// Logs and counts a failure of the store, and returns what clients are told.
    pub fn note_store_error(&self, error: StoreError) -> ErrorCode {
        if error != StoreError::Corrupt {
            self.shell.health.store_lost.store(true, Relaxed);
        }
        self.metrics.store_error(error);
        tracing::warn!(%error, "the store failed");
        error_code(error)
    }
}

fn rates(limits: &Limits) -> Rates {
    let is_limited = limits.rate_per_s > 0;
    let rate = |per_s, burst| if is_limited { Gcra::new(per_s, burst) } else { Gcra::new(0, 1) };
    let most = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    Rates {
        messages: rate(limits.rate_per_s, limits.burst),
        bytes: rate(most(limits.bytes_per_s), most(limits.bytes_burst)),
        reads: rate(limits.reads_per_s, limits.reads_burst),
        joins: rate(limits.joins_per_s, limits.joins_burst),
        commands: Rates::commands_beside(limits.rate_per_s, limits.burst),
    }
}

/// Bytes of text that rooms keep when there is no data directory.
const MEMORY_STORE_BYTES: usize = 256 * 1024 * 1024;

pub(crate) fn open_store(config: &Config) -> Result<Box<dyn Store>, StartError> {
    if let Some(database) = &config.database {
        return open_database(database);
    }
    match &config.data_dir {
        #[cfg(feature = "sqlite")]
        Some(directory) => Ok(Box::new(crate::store::sqlite::SqliteStore::open(directory)?)),
        _ => Ok(Box::new(MemoryStore::new(MEMORY_STORE_BYTES))),
    }
}

#[cfg(feature = "postgres")]
fn open_database(database: &DatabaseUrl) -> Result<Box<dyn Store>, StartError> {
    Ok(Box::new(crate::store::postgres::PostgresStore::open(database.reveal())?))
}

#[cfg(not(feature = "postgres"))]
fn open_database(_: &DatabaseUrl) -> Result<Box<dyn Store>, StartError> {
    Err(StartError::NoPostgres)
}
