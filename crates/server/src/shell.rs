//! What the server around the shards shares: configuration, limits, health.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Relaxed, SeqCst},
};

use axum::Router;
use tokio::sync::Notify;

use crate::admission::Admission;
use crate::audit::Audit;
use crate::clock::Clock;
use crate::config::Config;
use crate::identity::{Authenticator, Records};
use crate::metrics::Metrics;
use crate::server::Purpose;
use crate::verifier::Verifier;

/// Everything that a request needs to be answered, on whichever thread.
#[derive(Debug)]
pub struct Shell {
    /// The configuration.
    pub config: Arc<Config>,
    /// The instruments.
    pub metrics: Arc<Metrics>,
    /// The limits on connections.
    pub admission: Arc<Admission>,
    /// Who tells users apart.
    pub verifier: Box<dyn Verifier>,
    /// Keys, revocations and tickets.
    pub records: Arc<Records>,
    /// Whether the node can do its work.
    pub health: Health,
    /// Where it is written who did what.
    pub audit: Audit,
    /// Host names that are served; empty means any.
    pub(crate) hosts: Vec<String>,
    /// The routes of the public address.
    pub(crate) routes: Router,
}

/// Whether the node can do its work. Every flag may be set from any thread.
#[derive(Debug, Default)]
pub struct Health {
    /// The shards run and the store has been opened.
    pub started: AtomicBool,
    /// The node is shutting down: nobody new is let in.
    pub draining: AtomicBool,
    /// The store did not answer the last time it was asked.
    pub store_lost: AtomicBool,
    /// Too much work is waiting.
    pub overloaded: AtomicBool,
    /// Wakes those who wait for nothing but the shutdown.
    drain: Notify,
}

impl Shell {
    /// Builds a shell with the verifier that the configuration asks for.
    ///
    /// `listen` is the address of clients: its literal is a host name that cannot lead elsewhere.
    #[must_use]
    pub fn new(
        purpose: Purpose,
        config: Arc<Config>,
        metrics: Arc<Metrics>,
        clock: Clock,
        listen: SocketAddr,
    ) -> Self {
        let records = Arc::new(Records::new(&config.auth));
        let mut hosts = config.access.hosts.clone();
        if !hosts.is_empty() {
            hosts.push(match listen {
                SocketAddr::V4(v4) => v4.ip().to_string(),
                SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
            });
        }
        Self {
            admission: Admission::new(&config.limits, &config.access, clock),
            verifier: Box::new(Authenticator::new(&config, Arc::clone(&records), clock)),
            records,
            health: Health::default(),
            audit: Audit::start(&config, clock, Arc::clone(&metrics)),
            hosts,
            routes: match purpose {
                Purpose::Rooms => crate::http::public::routes(),
                Purpose::Echo => crate::http::public::echo_routes(),
            },
            config,
            metrics,
        }
    }

    /// Tells that the node can do its work.
    pub fn set_ready(&self) {
        self.health.started.store(true, Relaxed);
    }

    /// Lets nobody in from now on.
    pub fn set_draining(&self) {
        self.health.draining.store(true, SeqCst);
        self.health.drain.notify_waiters();
    }
}

impl Health {
    /// Returns why the node should get no new clients; nothing if it should.
    #[must_use]
    pub fn reasons(&self) -> Vec<&'static str> {
        [
            (!self.started.load(Relaxed), "starting"),
            (self.draining.load(Relaxed), "draining"),
            (self.store_lost.load(Relaxed), "store_lost"),
            (self.overloaded.load(Relaxed), "overloaded"),
        ]
        .into_iter()
        .filter_map(|(holds, reason)| holds.then_some(reason))
        .collect()
    }

    /// Returns when the node begins to shut down.
    pub async fn until_draining(&self) {
        let begins = self.drain.notified();
        if !self.draining.load(SeqCst) {
            begins.await;
        }
    }

    /// Whether the node is shutting down.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }
}
