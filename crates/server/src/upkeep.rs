//! What keeps the logs in order beside the messages themselves: retention, erasure, and the survey
//! of rooms that other processes may have changed.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parlour_hub::Input;
use parlour_hub::log::Head;
use parlour_protocol::{RoomName, UserId};
use tokio::time::{Instant, sleep};

use crate::config::Retention;
use crate::inbox::Mail;
use crate::lineage::Lineage;
use crate::node::Node;
use crate::store::{Keep, StoreError};

/// Time between two surveys, after which a commit whose announcement was lost is found (P9).
const SURVEY: Duration = Duration::from_secs(2);
/// Time between two sweeps of retention.
const SWEEP: Duration = Duration::from_secs(60);
/// Rooms of one question to the store.
const BATCH: usize = 500;
const DAY_MS: i64 = 24 * 3_600 * 1_000;

/// Surveys and sweeps for ever. Cancellation safe.
pub async fn run(node: Arc<Node>) {
    let mut next_sweep = Instant::now() + SWEEP;
    loop {
        sleep(SURVEY).await;
        if node.store.is_shared() {
            report(&node, survey(&node).await);
        }
        if Instant::now() >= next_sweep {
            report(&node, sweep(&node).await);
            next_sweep = Instant::now() + SWEEP;
        }
    }
}

fn report(node: &Node, done: Result<(), StoreError>) {
    if let Err(error) = done {
        node.note_store_error(error);
    }
}

/// Tells the rooms in memory where their logs end now.
///
/// # Errors
/// The store's.
pub async fn survey(node: &Arc<Node>) -> Result<(), StoreError> {
    // The epochs of rooms without a log change together with those of the others.
    node.set_lineage(Lineage::of(&*node.store).await?);
    let rooms = node.rooms_in_memory().await;
    for batch in rooms.chunks(BATCH) {
        let heads = node.store.heads(batch.to_vec()).await?;
        for (room, ends) in batch.iter().zip(heads).filter_map(|(room, ends)| Some((room, ends?))) {
            tell(node, room.clone(), ends);
        }
    }
    Ok(())
}

/// Trims all rooms to what their rules keep.
///
/// # Errors
/// The store's; rooms before the failure are trimmed.
pub async fn sweep(node: &Arc<Node>) -> Result<(), StoreError> {
    if node.config.rooms.iter().all(|rule| rule.retention.is_unlimited()) {
        return Ok(());
    }
    let mut after = None;
    loop {
        let rooms = node.store.rooms(after, BATCH as u32).await?;
        let Some((last, _)) = rooms.last() else {
            return Ok(());
        };
        after = Some(last.clone());
        for (room, before) in rooms {
            let rule = node.config.rooms.iter().find(|rule| rule.matches(room.as_str()));
            let Some(rule) = rule.filter(|rule| !rule.retention.is_unlimited()) else {
                continue;
            };
            let ends = node.store.trim(room.clone(), keep(&rule.retention)).await?;
            if let Some(ends) = ends.filter(|ends| ends.floor > before.floor) {
                tell(node, room, ends);
            }
        }
    }
}

fn keep(retention: &Retention) -> Keep {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ms = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
    Keep {
        since_ms: retention.days.map(|days| now_ms - i64::from(days) * DAY_MS),
        records: retention.messages,
        bytes: retention.bytes,
        after: None,
    }
}

/// Erases all that a user has said: from the store, then from the memory of rooms and clients.
///
/// Returns the name that stands in the place of the user's, and the rooms that were changed.
///
/// # Errors
/// The store's; nothing or all was erased from it.
pub async fn erase(node: &Arc<Node>, user: UserId) -> Result<(UserId, Vec<RoomName>), StoreError> {
    let digits = uuid::Uuid::new_v4().simple().to_string();
    let alias = UserId::parse(&format!("erased-{}", &digits[..8])).expect("letters and digits");
    // First: what still waits to be written would bring the name back.
    crate::documents::write_waiting(node).await;
    let rooms = node.store.erase(user.clone(), alias.clone()).await?;
    for room in rooms.clone() {
        let input = Input::Erased { user: user.clone(), alias: alias.clone() };
        node.inboxes[node.home(&room)].post(Mail::Input { room, input });
    }
    Ok((alias, rooms))
}

fn tell(node: &Node, room: RoomName, ends: Head) {
    node.inboxes[node.home(&room)].post(Mail::Input { room, input: Input::Surveyed { ends } });
}
