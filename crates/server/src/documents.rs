//! Small documents on their way to the store: read cursors and last activity.
//!
//! Only the newest value of a key matters, so values that are overtaken are never written.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use parlour_hub::effect::Document;
use tokio::sync::Notify;

use crate::node::Node;

/// Most keys that may wait; documents beyond are dropped and counted, for they are conveniences.
const MOST: usize = 100_000;
/// Most documents of one write.
const BATCH: usize = 1_000;

/// Documents that wait to be written.
#[derive(Debug, Default)]
pub struct DocumentQueue {
    waiting: Mutex<HashMap<String, Vec<u8>>>,
    arrived: Notify,
}

impl DocumentQueue {
    /// Adds documents; an older value of the same key is replaced.
    pub fn put(&self, documents: Vec<Document>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for Document { key, value } in documents {
            if waiting.len() < MOST || waiting.contains_key(&key) {
                waiting.insert(key, value);
            }
        }
        self.arrived.notify_one();
    }

    fn take(&self) -> Vec<Document> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let documents = std::mem::take(&mut *waiting).into_iter();
        documents.map(|(key, value)| Document { key, value }).collect()
    }
}

/// Writes documents for ever.
pub async fn run(node: Arc<Node>) {
    loop {
        node.documents.arrived.notified().await;
        write_waiting(&node).await;
    }
}

/// Writes what waits now.
pub async fn write_waiting(node: &Node) {
    for batch in node.documents.take().chunks(BATCH) {
        if let Err(error) = node.store.put(batch.to_vec()).await {
            node.note_store_error(error);
        }
    }
}
