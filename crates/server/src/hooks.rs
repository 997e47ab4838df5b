//! What the operator's own servers hear of this one, and are [asked](gate) by it.
//!
//! Shards and the committer leave notices at a [`notebook`]; the [`recorder`] writes them to the store,
//! together with what they say about the world; one [`courier`] per webhook delivers them. Messages are
//! not copied: they are in the logs of their rooms, and a cursor per webhook and room says how far it has
//! been told (docs/decisions/0021-webhooks.md).

use std::fmt;
use std::sync::Arc;

use parlour_hub::input::{CursorKind, Ending};
use parlour_hub::{ConnId, Now};
use parlour_protocol::event::Event;
use parlour_protocol::{RoomName, Seq, UserId};
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::metrics::Metrics;
use crate::node::Node;
use crate::store::StoreError;

pub(crate) mod admin;
mod answer;
mod batch;
mod courier;
mod crowd;
mod entry;
pub mod event;
pub mod gate;
mod keys;
mod notebook;
mod recorder;
pub mod sign;
mod webhook;

use courier::Courier;
use event::EventKind;
use gate::Gates;
use notebook::Notebook;
use webhook::Webhook;

/// The webhooks and hooks of a node.
pub struct Hooks {
    /// Who is asked before something happens.
    pub gates: Gates,
    notebook: Notebook,
    webhooks: Vec<Arc<Webhook>>,
}

impl Hooks {
    /// Prepares what the configuration asks for. Nothing is read or sent before [`start`].
    #[must_use]
    pub fn new(config: &Config, metrics: Arc<Metrics>) -> Self {
        let webhooks = config.backend.webhooks.iter().cloned().map(Webhook::new).map(Arc::new);
        Self {
            gates: Gates::new(&config.backend.hooks),
            webhooks: webhooks.collect(),
            notebook: Notebook::new(config, metrics),
        }
    }

    /// Whether somebody wants to know which rooms are empty.
    #[must_use]
    pub fn wants_occupancy(&self) -> bool {
        self.notebook.wants([EventKind::RoomOccupied, EventKind::RoomVacated])
    }

    fn wants_users(&self) -> bool {
        self.notebook.wants([EventKind::Connected, EventKind::Disconnected])
            || self.notebook.wants([EventKind::Online, EventKind::Offline])
    }

    /// Tells that a connection's user is known.
    pub fn connected(&self, now: Now, conn: ConnId, user: &UserId) {
        if self.wants_users() {
            self.notebook.connected(now, conn, user);
        }
    }

    /// Tells that a connection of a known user has ended, once.
    pub fn disconnected(
        &self,
        now: Now,
        conn: ConnId,
        user: &UserId,
        (reason, ending): (&'static str, Ending),
    ) {
        if self.wants_users() {
            self.notebook.disconnected(now, conn, user, (reason, ending));
        }
    }

    /// Tells that the first user has come into a room, or the last one has gone for good.
    pub fn occupancy(&self, now: Now, room: RoomName, is_occupied: bool, position: Seq) {
        if self.wants_occupancy() {
            self.notebook.occupancy(now, room, is_occupied, position);
        }
    }

    /// Tells what a room tells its members.
    pub fn heard(&self, now: Now, event: &Event) {
        let (kind, notice) = match event {
            Event::Read(notice) => (CursorKind::Read, notice),
            Event::Delivered(notice) => (CursorKind::Delivered, notice),
            _ => return,
        };
        if self.notebook.wants([EventKind::Receipt, EventKind::Receipt]) {
            self.notebook.receipt(now, kind, notice);
        }
    }

    /// Tells that something was stored in a room's log, or may have been.
    pub fn stored(&self, room: &RoomName) {
        let concerned = self.webhooks.iter().filter(|w| w.rule.wants(EventKind::Message, Some(room)));
        concerned.for_each(|webhook| webhook.note_room(room));
    }

    fn find(&self, name: &str) -> Option<&Webhook> {
        self.webhooks.iter().map(|webhook| &**webhook).find(|webhook| webhook.rule.name == name)
    }
}

/// Finds out what webhooks were told before; to be done before anybody is let in.
///
/// # Errors
/// The store's.
pub async fn prepare(node: &Node) -> Result<(), StoreError> {
    match node.hooks.webhooks.is_empty() {
        true => Ok(()),
        false => recorder::prepare(node).await,
    }
}

/// Begins to deliver. Ending these tasks loses nothing.
#[must_use]
pub fn start(node: &Arc<Node>) -> Vec<JoinHandle<()>> {
    let couriers = node.hooks.webhooks.iter().map(|webhook| {
        let courier = Courier::new(Arc::clone(node), Arc::clone(webhook));
        tokio::spawn(courier.run())
    });
    let mut tasks: Vec<_> = couriers.collect();
    if !tasks.is_empty() {
        let node = Arc::clone(node);
        tasks.push(tokio::spawn(async move { recorder::run(&node).await }));
    }
    tasks
}

/// Writes what still waits for the store, once nothing happens any more; the next process delivers it.
pub async fn write_waiting(node: &Node) {
    loop {
        match recorder::write(node).await {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                node.note_store_error(error);
                return;
            }
        }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").field("webhooks", &self.webhooks).finish_non_exhaustive()
    }
}
