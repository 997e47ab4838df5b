//! Starting and stopping a node.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::audit::{ADMINISTRATOR, Act};
use crate::commit;
use crate::config::Config;
use crate::documents;
use crate::hooks;
use crate::http::admin;
use crate::identity;
use crate::inbox::Mail;
use crate::lineage::Lineage;
use crate::listener;
use crate::node::{Node, open_store};
use crate::shard::{self, ShardThread};
use crate::store::Store;
use crate::tls;
use crate::tls::live::LiveCertificate;
use crate::upkeep;

/// Longest time from a drain to the end of the process, beyond the configured spread.
const DRAIN_SLACK: Duration = Duration::from_secs(5);

/// A running node.
#[derive(Debug)]
pub struct Server {
    node: Arc<Node>,
    listen: SocketAddr,
    admin: SocketAddr,
    accepting: JoinHandle<()>,
    administration: JoinHandle<()>,
    committing: JoinHandle<()>,
    documenting: JoinHandle<()>,
    watching: JoinHandle<()>,
    keeping: JoinHandle<()>,
    telling: Vec<JoinHandle<()>>,
    identifying: JoinHandle<()>,
    shards: Vec<ShardThread>,
    tls: Option<Arc<LiveCertificate>>,
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The operating system gives no thread.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// The certificate or its key cannot be used.
    #[error("`tls`: {0}")]
    Tls(#[from] tls::LoadError),
    /// The store cannot be opened.
    #[cfg(feature = "sqlite")]
    #[error(transparent)]
    Store(#[from] crate::store::sqlite::OpenError),
    /// The database cannot be used.
    #[cfg(feature = "postgres")]
    #[error(transparent)]
    Database(#[from] crate::store::postgres::OpenError),
    /// This program was built without it.
    #[cfg(not(feature = "postgres"))]
    #[error("this program was built without PostgreSQL; unset `database` or use another build")]
    NoPostgres,
    /// The store was opened and does not work.
    #[error("cannot use the store: {0}")]
    Read(crate::store::StoreError),
}

/// What a server does with messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Carries them out.
    Rooms,
    /// Sends them back, for conformance suites of WebSocket.
    Echo,
}

impl Server {
    /// Starts a node on the current runtime.
    ///
    /// # Errors
    /// [`StartError`], with nothing left running.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_for(Purpose::Rooms, config).await
    }

    /// Starts a node for a purpose.
    ///
    /// # Errors
    /// [`StartError`], with nothing left running.
    pub async fn start_for(purpose: Purpose, config: Config) -> Result<Self, StartError> {
        Self::launch(open_store(&config)?, purpose, config).await
    }

    /// Starts a node on a store that the caller has opened; `data_dir` is not looked at.
    ///
    /// # Errors
    /// [`StartError`], with nothing left running.
    pub async fn start_on(store: Box<dyn Store>, mut config: Config) -> Result<Self, StartError> {
        // Nor is anything written to it, such as an audit log.
        config.data_dir = None;
        Self::launch(store, Purpose::Rooms, config).await
    }

    async fn launch(store: Box<dyn Store>, purpose: Purpose, config: Config) -> Result<Self, StartError> {
        let tls = config.tls.files().map(|(cert, key)| LiveCertificate::load(cert, key)).transpose()?;
        let tls = tls.map(Arc::new);
        let listener = bind(config.listen)?;
        let admin_listener = bind(config.admin_listen)?;
        let (listen, admin_address) = (local(&listener)?, local(&admin_listener)?);
        let lineage = Lineage::of(&*store).await.map_err(StartError::Read)?;
        let (node, drafts) = Node::on_store(store, lineage, purpose, config, listen);
        identity::load(&node).await.map_err(StartError::Read)?;
        hooks::prepare(&node).await.map_err(StartError::Read)?;
        let ids = 0..u16::try_from(node.config.shards).unwrap_or(u16::MAX);
        let shards = ids.map(|id| shard::spawn(Arc::clone(&node), id)).collect::<Result<_, _>>();
        let server = Self {
            listen,
            admin: admin_address,
            accepting: tokio::spawn(listener::accept(listener, Arc::clone(&node), tls.clone())),
            administration: tokio::spawn(admin::serve(admin_listener, Arc::clone(&node))),
            committing: tokio::spawn(commit::run(Arc::clone(&node), drafts)),
            documenting: tokio::spawn(documents::run(Arc::clone(&node))),
            watching: tokio::spawn(watch(Arc::clone(&node), tls.clone())),
            keeping: tokio::spawn(upkeep::run(Arc::clone(&node))),
            telling: hooks::start(&node),
            identifying: tokio::spawn(identity::watch(Arc::clone(&node))),
            shards: shards.map_err(StartError::Thread)?,
            tls,
            node,
        };
        server.node.shell.set_ready();
        server.node.shell.audit.note(Act::new("server", "start").to(env!("CARGO_PKG_VERSION")));
        Ok(server)
    }

    /// Returns the address of clients, with the real port.
    #[must_use]
    pub fn listen_addr(&self) -> SocketAddr {
        self.listen
    }

    /// Returns the address of administration, with the real port.
    #[must_use]
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin
    }

    /// Returns what the threads of the node share.
    #[must_use]
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Serves until SIGINT or SIGTERM, then drains; SIGHUP only [reloads](Self::reload). A second
    /// signal ends the process at once.
    ///
    /// # Errors
    /// The operating system's, if signals cannot be received.
    pub async fn run_until_signal(self) -> io::Result<()> {
        let mut interrupts = signals()?;
        while interrupts.recv().await == Wish::Reload {
            self.reload();
        }
        tracing::info!("shutting down; a second signal ends at once");
        let impatience = tokio::spawn(async move {
            while interrupts.recv().await == Wish::Reload {}
            std::process::exit(130);
        });
        self.drain().await;
        impatience.abort();
        Ok(())
    }

    /// Reads again what may change while the server runs: the certificate and its key, and the key set
    /// of tokens.
    pub fn reload(&self) {
        self.node.shell.audit.note(Act::new(ADMINISTRATOR, "reload"));
        identity::reload(&self.node);
        if let Some(tls) = &self.tls {
            refresh(tls, true);
        }
    }

    /// Stops accepting, tells clients, answers what is in flight, closes with 1012 and ends every
    /// task and thread of the node.
    pub async fn drain(self) {
        self.node.shell.set_draining();
        sleep(self.node.config.timeouts.drain_notice).await;
        self.accepting.abort();
        let spread = self.node.config.timeouts.drain_spread;
        let spread_ms = u64::try_from(spread.as_millis()).unwrap_or(u64::MAX);
        self.node.inboxes.iter().for_each(|inbox| inbox.post(Mail::Drain { spread_ms }));
        let deadline = Instant::now() + spread + DRAIN_SLACK;
        while !self.is_quiet() && Instant::now() < deadline {
            sleep(Duration::from_millis(20)).await;
        }
        self.stop().await;
    }

    fn is_quiet(&self) -> bool {
        self.node.metrics.connections() == 0 && self.node.commits.is_empty()
    }

    async fn stop(self) {
        self.node.inboxes.iter().for_each(|inbox| inbox.post(Mail::Stop));
        let shards = self.shards;
        let joining = tokio::task::spawn_blocking(move || {
            shards.into_iter().for_each(|shard| drop(shard.join()));
        });
        if joining.await.is_err() {
            tracing::error!("a shard did not end in order");
        }
        let tasks = [self.accepting, self.administration, self.committing, self.documenting];
        let more = [self.watching, self.keeping, self.identifying].into_iter().chain(self.telling);
        for task in tasks.into_iter().chain(more) {
            task.abort();
            // Aborted is what it should be.
            drop(task.await);
        }
        self.node.errands.end().await;
        documents::write_waiting(&self.node).await;
        hooks::write_waiting(&self.node).await;
        self.node.shell.audit.note(Act::new("server", "stop"));
        let node = Arc::clone(&self.node);
        drop(tokio::task::spawn_blocking(move || node.shell.audit.stop()).await);
        if let Err(error) = self.node.store.check().await {
            tracing::error!(%error, "the store did not close in order");
        }
    }
}

/// Time between two looks at the node's health.
const WATCH: Duration = Duration::from_secs(1);

/// Keeps `/readyz` true: asks a store that failed whether it is back, and looks for piled-up work.
/// Counts the tasks, too.
async fn watch(node: Arc<Node>, tls: Option<Arc<LiveCertificate>>) {
    let health = &node.shell.health;
    loop {
        sleep(WATCH).await;
        if let Some(tls) = &tls {
            refresh(tls, false);
        }
        if health.store_lost.load(Relaxed) && node.store.check().await.is_ok() {
            health.store_lost.store(false, Relaxed);
            tracing::info!("the store is back");
        }
        node.metrics.node().tasks.set(node.errands.count() as u64);
        let is_crowded = node.inboxes.iter().any(|inbox| inbox.is_crowded()) || node.commits.is_full();
        health.overloaded.store(is_crowded, Relaxed);
    }
}

fn refresh(tls: &LiveCertificate, always: bool) {
    match tls.refresh(always) {
        Ok(true) => tracing::info!("new connections get the certificate that is in the files now"),
        Ok(false) => {}
        Err(error) => tracing::error!(%error, "the certificate stays what it was"),
    }
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Reload,
    End,
}

#[cfg(unix)]
struct Interrupts {
    hangup: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
fn signals() -> io::Result<Interrupts> {
    use tokio::signal::unix::{SignalKind, signal};
    Ok(Interrupts {
        hangup: signal(SignalKind::hangup())?,
        interrupt: signal(SignalKind::interrupt())?,
        terminate: signal(SignalKind::terminate())?,
    })
}

impl Interrupts {
    async fn recv(&mut self) -> Wish {
        tokio::select! {
            _ = self.hangup.recv() => Wish::Reload,
            _ = self.interrupt.recv() => Wish::End,
            _ = self.terminate.recv() => Wish::End,
        }
    }
}

fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    let listen = || {
        let socket =
            socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(4_096)?;
        socket.set_nonblocking(true)?;
        Ok(socket.into())
    };
    listen().map_err(|source| StartError::Listen { address, source })
}

fn local(listener: &TcpListener) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(StartError::Thread)
}
