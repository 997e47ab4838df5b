//! Who clients are: tokens, tickets and guests, and what was taken back.
//!
//! [`Authenticator`] decides about credentials without waiting for anybody. What it needs from
//! outside, key sets and the revocations of other nodes, [`watch`] brings in the background.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parlour_hub::effect::Document;
use parlour_protocol::Refusal;
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::config::Auth;
use crate::inbox::Mail;
use crate::node::Node;
use crate::store::StoreError;
use crate::verifier::Identity;

mod authenticator;
pub mod claims;
mod crypto;
mod fetch;
pub mod key;
pub mod key_set;
pub mod keyring;
mod object;
pub mod revocation;
pub mod signing;
pub mod ticket;
pub mod token;

pub use authenticator::Authenticator;
pub(crate) use authenticator::is_guest;
pub use jsonwebtoken::Algorithm;
use keyring::Keyring;
pub use revocation::Revocation;
use revocation::{Revocations, TooMany};
use ticket::Tickets;

/// Time between two looks for revocations of other nodes (P21).
const LOOK: Duration = Duration::from_secs(1);
/// Looks between two of the key file, and between two of what can be forgotten.
const LOOKS_PER_KEY_FILE: u32 = 10;
const LOOKS_PER_CLEANING: u32 = 60;
/// Documents that are read at once; more revocations than may be are more than a store can hold.
const MOST_DOCUMENTS: u32 = 200_000;
/// The document that changes with every revocation, so that others need to read no more than it.
const NEWS: &str = "revoked_news";

/// What a node knows of credentials, beyond the configuration.
#[derive(Debug)]
pub struct Records {
    /// The keys of tokens.
    pub keyring: Keyring,
    /// What was taken back.
    pub revocations: Revocations,
    /// Tickets that were not used yet.
    pub tickets: Tickets,
    /// Somebody has shown a key that is not known; the set may have it by now.
    wanted: Notify,
}

/// Why something was not taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RevokeError {
    /// As many are remembered as may be.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// It holds on this node until it restarts, but was not stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Records {
    /// Begins with what the configuration says.
    #[must_use]
    pub fn new(auth: &Auth) -> Self {
        let keyring = Keyring::new(auth.keys.clone());
        if let Some(path) = &auth.jwks_file {
            read_key_file(&keyring, path.as_ref());
        }
        // Either clock may be ahead of the other.
        let life_s = i64::from(auth.max_life_s) + 2 * i64::from(auth.leeway_s);
        Self {
            keyring,
            revocations: Revocations::new(life_s),
            tickets: Tickets::default(),
            wanted: Notify::new(),
        }
    }
}

impl Records {
    /// Notes that somebody has shown this key, which is not known, or is for another algorithm.
    fn note_key(&self, id: Option<&str>) {
        if id.is_some_and(|id| !self.keyring.knows(id)) {
            self.wanted.notify_one();
        }
    }
}

fn read_key_file(keyring: &Keyring, path: &Path) {
    match keyring::read_set(path) {
        Ok(keys) => {
            tracing::info!(keys = keys.len(), "the key set was read");
            keyring.replace_set(keys);
        }
        Err(error) => tracing::error!(%error, "the key set cannot be used; the keys before it go on"),
    }
}

impl Node {
    /// Takes credentials back: for good, on all connections of this node now, and on those of other
    /// nodes soon.
    ///
    /// # Errors
    /// [`RevokeError`].
    pub async fn revoke(&self, revocation: Revocation) -> Result<(), RevokeError> {
        let document = self.shell.records.revocations.add(&revocation, now_s(self))?;
        tell_shards(self, revocation);
        let news = Document { key: NEWS.into(), value: uuid::Uuid::new_v4().into_bytes().into() };
        Ok(self.store.put(vec![document, news]).await?)
    }

    /// Makes a ticket that stands for an identity once, on this node.
    ///
    /// # Errors
    /// `overloaded` if too many wait to be used.
    pub fn mint_ticket(&self, identity: Identity, life: Duration) -> Result<String, Refusal> {
        self.shell.records.tickets.mint(identity, life, self.clock.now().mono_ms)
    }
}

fn tell_shards(node: &Node, revocation: Revocation) {
    let revocation = Arc::new(revocation);
    node.inboxes.iter().for_each(|inbox| inbox.post(Mail::Revoke(Arc::clone(&revocation))));
}

fn now_s(node: &Node) -> i64 {
    node.clock.now().wall_ms.div_euclid(1_000)
}

/// Takes over the revocations that the store keeps; returns those that are news.
///
/// # Errors
/// The store's.
pub async fn load(node: &Node) -> Result<Vec<Revocation>, StoreError> {
    let documents = node.store.documents(revocation::PREFIX.into(), MOST_DOCUMENTS).await?;
    let (known, now_s) = (&node.shell.records.revocations, now_s(node));
    Ok(documents.iter().filter_map(|document| known.learn(document, now_s)).collect())
}

/// Reads the key set again, if there is one; one of another server as soon as that may be asked again.
pub fn reload(node: &Node) {
    node.shell.records.wanted.notify_one();
    if let Some(path) = &node.config.auth.jwks_file {
        read_key_file(&node.shell.records.keyring, Path::new(path));
    }
}

/// Keeps up with the key set and with other nodes, and forgets what is over. For ever; cancellation
/// safe.
pub async fn watch(node: Arc<Node>) {
    tokio::join!(look_around(&node), fetch::keep_fresh(&node));
}

async fn look_around(node: &Node) {
    let (mut looks, mut heard) = (0_u32, None);
    let mut written = node.config.auth.jwks_file.as_deref().and_then(modified);
    loop {
        sleep(LOOK).await;
        looks = looks.wrapping_add(1);
        if node.store.is_shared() {
            note(node, follow(node, &mut heard).await);
        }
        if looks.is_multiple_of(LOOKS_PER_KEY_FILE)
            && let now = node.config.auth.jwks_file.as_deref().and_then(modified)
            && now != written
        {
            written = now;
            reload(node);
        }
        if looks.is_multiple_of(LOOKS_PER_CLEANING) {
            note(node, forget(node).await);
        }
    }
}

fn note(node: &Node, done: Result<(), StoreError>) {
    if let Err(error) = done {
        node.note_store_error(error);
    }
}

fn modified(path: impl AsRef<Path>) -> Option<SystemTime> {
    std::fs::metadata(path).ok()?.modified().ok()
}

/// Takes over what other nodes have revoked.
async fn follow(node: &Node, heard: &mut Option<Vec<u8>>) -> Result<(), StoreError> {
    let news = node.store.documents(NEWS.into(), 1).await?;
    let news = news.into_iter().next().map(|document| document.value);
    if news == *heard {
        return Ok(());
    }
    for revocation in load(node).await? {
        tell_shards(node, revocation);
    }
    *heard = news;
    Ok(())
}

async fn forget(node: &Node) -> Result<(), StoreError> {
    let keys = node.shell.records.revocations.forget(now_s(node));
    let documents: Vec<_> = keys.into_iter().map(|key| Document { key, value: Vec::new() }).collect();
    if documents.is_empty() { Ok(()) } else { node.store.put(documents).await }
}
