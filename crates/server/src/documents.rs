//! Small documents on their way to the store: read cursors and last activity.
//!
//! Only the newest value of a key matters, so values that are overtaken are never written.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use parlour_hub::effect::Document;
use tokio::sync::Notify;

use crate::node::Node;
use crate::store::StoreError;

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

    /// Copies what waits. It counts as waiting until [`DocumentQueue::forget`].
    fn waiting(&self, prefix: &str) -> Vec<Document> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let matching = waiting.iter().filter(|(key, _)| key.starts_with(prefix));
        matching.map(|(key, value)| Document { key: key.clone(), value: value.clone() }).collect()
    }

    /// Forgets what has been written, unless a newer value has come meanwhile.
    fn forget(&self, written: &[Document]) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for document in written {
            if waiting.get(&document.key) == Some(&document.value) {
                waiting.remove(&document.key);
            }
        }
    }
}

/// Writes documents for ever.
pub async fn run(node: Arc<Node>) {
    loop {
        node.documents.arrived.notified().await;
        write_waiting(&node).await;
    }
}

/// Writes what waits now. What cannot be written waits for the next time.
pub async fn write_waiting(node: &Node) {
    for batch in node.documents.waiting("").chunks(BATCH) {
        match node.store.put(batch.to_vec()).await {
            Ok(()) => node.documents.forget(batch),
            Err(error) => {
                node.note_store_error(error);
            }
        }
    }
}

/// Reads at most `limit` stored documents whose key starts with `prefix`, and those that still wait
/// to be written: a conversation that has just begun must not be missed.
pub async fn read(node: &Node, prefix: String, limit: u32) -> Vec<Document> {
    let waiting = node.documents.waiting(&prefix);
    let documents = find(node, prefix, limit).await;
    documents.unwrap_or_else(|_| waiting.into_iter().filter(|document| !document.value.is_empty()).collect())
}

/// The same where nothing and no answer are not alike.
///
/// # Errors
/// Those of the store.
pub async fn find(node: &Node, prefix: String, limit: u32) -> Result<Vec<Document>, StoreError> {
    // Before the store is asked: what is written in between is found there.
    let waiting = node.documents.waiting(&prefix);
    let mut documents = node.store.documents(prefix, limit).await?;
    documents.retain(|stored| waiting.iter().all(|document| document.key != stored.key));
    documents.extend(waiting.into_iter().filter(|document| !document.value.is_empty()));
    Ok(documents)
}
