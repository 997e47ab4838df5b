//! Work that waits for others, on the runtime of the server: handshakes and questions to the store.
//!
//! Shards have no runtime of their own, so nothing that waits can hold one up.

use std::sync::{Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinSet};

/// The tasks of a node that come and go.
#[derive(Debug)]
pub struct Errands {
    runtime: Handle,
    running: Mutex<JoinSet<()>>,
}

impl Errands {
    /// Prepares to run tasks on `runtime`.
    #[must_use]
    pub fn on(runtime: Handle) -> Self {
        Self { runtime, running: Mutex::default() }
    }

    /// Begins an errand. It is dropped at its next pause once the node has stopped.
    pub fn run(&self, errand: impl Future<Output = ()> + Send + 'static) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        // So many end for each that begins that the set does not grow with what is over.
        for ended in std::iter::from_fn(|| running.try_join_next()).take(2) {
            note_end(ended);
        }
        running.spawn_on(errand, &self.runtime);
    }

    /// Counts the errands that run.
    pub fn count(&self) -> usize {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::from_fn(|| running.try_join_next()).for_each(note_end);
        running.len()
    }

    /// Ends all errands, and waits until they have.
    pub async fn end(&self) {
        let mut running = std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        running.abort_all();
        while let Some(ended) = running.join_next().await {
            note_end(ended);
        }
    }
}

fn note_end(ended: Result<(), JoinError>) {
    if ended.is_err_and(|error| error.is_panic()) {
        tracing::error!("a task of the server ended by a panic");
    }
}
