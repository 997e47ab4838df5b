//! The key set of an issuer, fetched again from time to time.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::key_set;
use crate::node::Node;

/// Least time between two fetches, however many unknown keys are shown.
const LEAST: Duration = Duration::from_secs(60);
/// Most time between two fetches.
const MOST: Duration = Duration::from_secs(600);

/// Keeps the key set fresh for ever, if there is one to fetch. Cancellation safe.
pub(super) async fn keep_fresh(node: &Node) {
    if node.config.auth.jwks_url.is_none() {
        return;
    }
    loop {
        fetch(node).await;
        sleep(LEAST).await;
        // Wanted or not, after this time it is fetched.
        let _ = timeout(MOST - LEAST, node.shell.records.wanted.notified()).await;
    }
}

async fn fetch(node: &Node) {
    let Some(endpoint) = &node.config.auth.jwks_url else {
        return;
    };
    let failed = |reason: &str| {
        tracing::error!(origin = endpoint.origin(), reason, "no new key set; the keys before it go on");
    };
    match node.outbound.get(endpoint).await {
        Ok(body) => match key_set::parse(&body).filter(|keys| !keys.is_empty()) {
            Some(keys) => {
                tracing::info!(keys = keys.len(), "the key set was fetched");
                node.shell.records.keyring.replace_set(keys);
            }
            None => failed("no key of it can be used"),
        },
        Err(error) => failed(&error.to_string()),
    }
}
