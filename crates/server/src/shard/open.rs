//! What the store knows of a room, for its home.
//!
//! Whoever asks in vain for a hidden room must not learn from the time that it exists: as much is read
//! of it as of one that does not, before it is known who may come in.

use parlour_hub::effect::{cursor_key, seen_key};
use parlour_hub::input::Opened;
use parlour_protocol::RoomName;

use crate::documents;
use crate::node::Node;
use crate::store::{Snapshot, Span, StoreError};

/// Most documents of users who were in a room lately.
const SEEN: u32 = 100;
/// Most members whose cursors a room keeps in memory.
const CURSORS: u32 = 10_000;

/// Reads a room with its last `tail` records, which may be none.
pub(super) async fn open(node: &Node, room: &RoomName, tail: u32) -> Opened {
    let log = log(node, room, tail).await.map_err(|error| node.note_store_error(error));
    let seen = documents::read(node, seen_key(room, ""), SEEN).await;
    let cursors = documents::read(node, cursor_key(room, ""), CURSORS).await;
    Opened { log, seen, cursors, new_epoch: node.new_epoch(room) }
}

/// Leaves out the records of a private room: the room reads them when a member wants them.
async fn log(node: &Node, room: &RoomName, tail: u32) -> Result<Option<Snapshot>, StoreError> {
    let Some(mut snapshot) = node.store.open(room.clone(), 0).await? else {
        return Ok(None);
    };
    if tail > 0 && !snapshot.state.is_private() {
        let newest = Span::Before(snapshot.ends.head.next());
        snapshot.tail = node.store.read(room.clone(), newest, tail).await?;
    }
    Ok(Some(snapshot))
}
