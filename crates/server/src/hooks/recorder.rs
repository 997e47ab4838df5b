//! From notices to entries in the store, which survive the end of the process.
//!
//! An event and what it says about the world (a user is online, a room is occupied) are written in one
//! transaction. So the next process knows what webhooks were told, and tells them what is not true any
//! more.

use std::time::Duration;

use parlour_protocol::{RoomName, UserId};
use tokio::time::sleep;

use super::entry::{Cursor, Entry};
use super::event::EventKind;
use super::notebook::{Notice, Recalled};
use super::webhook::Webhook;
use super::{Hooks, keys};
use crate::node::Node;
use crate::store::{Document, StoreError};

/// Notices of one write.
const BATCH: usize = 200;
/// Most entries that wait for one webhook in the store; more are dropped and counted.
const MOST_ENTRIES: usize = 20_000;
/// Most documents about what webhooks were told that are read at the beginning.
const MOST_MARKS: u32 = 10_000_000;
/// Rooms of one question to the store.
const ROOMS: u32 = 500;
/// How long to wait when the store does not write.
const PATIENCE: Duration = Duration::from_secs(1);

/// Writes notices for ever. Cancellation safe: what is written twice is the same.
pub(super) async fn run(node: &Node) {
    loop {
        match write(node).await {
            Ok(0) => node.hooks.notebook.wait(node.clock.now()).await,
            Ok(_) => {}
            Err(error) => {
                node.note_store_error(error);
                sleep(PATIENCE).await;
            }
        }
    }
}

/// Writes the oldest notices; returns how many.
///
/// # Errors
/// The store's; they are written the next time.
pub(super) async fn write(node: &Node) -> Result<usize, StoreError> {
    let hooks = &node.hooks;
    let notices = hooks.notebook.waiting(node.clock.now(), BATCH);
    if notices.is_empty() {
        return Ok(0);
    }
    let mut added = vec![0; hooks.webhooks.len()];
    let mut documents = Vec::with_capacity(notices.len() * 2);
    for notice in &notices {
        for (webhook, added) in hooks.webhooks.iter().zip(&mut added) {
            *added += usize::from(keep(webhook, notice, *added, node, &mut documents));
        }
        documents.extend(notice.mark.clone().map(|(key, holds)| {
            // A document without a value is none.
            Document { key, value: if holds { b"1".to_vec() } else { Vec::new() } }
        }));
    }
    node.store.put(documents).await?;
    hooks.notebook.forget(notices.len());
    for (webhook, added) in hooks.webhooks.iter().zip(added).filter(|(_, added)| *added > 0) {
        webhook.change(|status| status.waiting += added);
        webhook.wake.notify_one();
    }
    Ok(notices.len())
}

/// Keeps a notice for a webhook that wants it; returns whether it did.
fn keep(
    webhook: &Webhook,
    notice: &Notice,
    added: usize,
    node: &Node,
    documents: &mut Vec<Document>,
) -> bool {
    let room = notice.room.as_ref().map(|(room, _)| room);
    if !webhook.rule.wants(notice.kind, room) {
        return false;
    }
    if webhook.status().waiting + added >= MOST_ENTRIES {
        node.metrics.node().webhook_dropped.add(1);
        return false;
    }
    let Some(entry) = Entry::of(notice) else {
        return false;
    };
    let key = keys::numbered(&keys::entries(&webhook.rule.name), notice.number, notice.user.as_ref());
    documents.push(Document { key, value: entry.bytes() });
    true
}

/// Finds out what webhooks were told, before anything happens that they might be told.
///
/// # Errors
/// The store's.
pub(super) async fn prepare(node: &Node) -> Result<(), StoreError> {
    let Hooks { notebook, webhooks, .. } = &node.hooks;
    let mut recalled = Recalled { next_number: first_number(node), ..Recalled::default() };
    for webhook in webhooks {
        let prefix = keys::entries(&webhook.rule.name);
        let entries = node.store.documents(prefix.clone(), u32::MAX).await?;
        let last = entries.last().and_then(|last| keys::number_of(&prefix, &last.key));
        recalled.next_number = recalled.next_number.max(last.map_or(0, |(number, _)| number + 1));
        let dead = node.store.documents(keys::dead(&webhook.rule.name), u32::MAX).await?.len();
        webhook.change(|status| (status.waiting, status.dead) = (entries.len(), dead));
        if webhook.rule.events.contains(&EventKind::Message) {
            begin(node, webhook).await?;
        }
    }
    if notebook.wants([EventKind::Connected, EventKind::Disconnected]) {
        recalled.connections = told(node, keys::CONNECTIONS, |rest| {
            let (user, connection) = rest.split_once(parlour_hub::effect::DOCUMENT_SEPARATOR)?;
            Some((UserId::parse(user).ok()?, connection.to_owned()))
        })
        .await?;
    }
    if notebook.wants([EventKind::Online, EventKind::Offline]) {
        recalled.users = told(node, keys::USERS, |rest| UserId::parse(rest).ok()).await?;
    }
    if notebook.wants([EventKind::RoomOccupied, EventKind::RoomVacated]) {
        recalled.rooms = told(node, keys::ROOMS, |rest| RoomName::parse_any(rest).ok()).await?;
    }
    notebook.recall(node.clock.now(), recalled);
    Ok(())
}

/// Numbers go on from process to process also where nothing waits: dead letters keep theirs.
fn first_number(node: &Node) -> u64 {
    u64::try_from(node.clock.now().wall_ms).unwrap_or(0).saturating_mul(1_000)
}

async fn told<T>(
    node: &Node,
    prefix: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, StoreError> {
    let documents = node.store.documents(prefix.into(), MOST_MARKS).await?;
    Ok(documents.iter().filter_map(|document| parse(document.key.strip_prefix(prefix)?)).collect())
}

/// A webhook is told what is said from its beginning on. For that the end of every room is noted once.
async fn begin(node: &Node, webhook: &Webhook) -> Result<(), StoreError> {
    let begun = keys::begun(&webhook.rule.name);
    if !node.store.documents(begun.clone(), 1).await?.is_empty() {
        return Ok(());
    }
    let (now_ms, mut after) = (node.clock.now().wall_ms, None);
    loop {
        let rooms = node.store.rooms(after, ROOMS).await?;
        let Some((last, _)) = rooms.last() else {
            break;
        };
        after = Some(last.clone());
        let wanted = rooms.into_iter().filter(|(room, _)| webhook.rule.rooms.matches(room));
        let cursors = wanted.map(|(room, ends)| {
            let cursor = Cursor { ts: now_ms, ..Cursor::at(ends.epoch, ends.head) };
            cursor.document(&webhook.rule.name, &room)
        });
        node.store.put(cursors.collect()).await?;
    }
    node.store.put(vec![Document { key: begun, value: b"1".to_vec() }]).await
}

impl Cursor {
    /// Returns the document that keeps it.
    pub(super) fn document(&self, webhook: &str, room: &RoomName) -> Document {
        let value = serde_json::to_vec(self).unwrap_or_default();
        Document { key: keys::cursor(webhook, room), value }
    }

    /// Reads what [`Cursor::document`] wrote; `None` if the webhook was told nothing of the room.
    pub(super) async fn load(
        node: &Node,
        webhook: &str,
        room: &RoomName,
    ) -> Result<Option<Self>, StoreError> {
        let found = node.store.documents(keys::cursor(webhook, room), 1).await?;
        Ok(found.first().and_then(|document| serde_json::from_slice(&document.value).ok()))
    }
}
