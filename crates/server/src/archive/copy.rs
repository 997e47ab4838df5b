//! From one store to another.

use parlour_hub::log::{Snapshot, Span};
use parlour_protocol::{RoomName, Seq};

use super::import::{ImportError, Room};
use super::line::RoomLine;
use super::{PART, Totals};
use crate::store::{Document, Store, StoreError};

/// Rooms that are listed at once.
const ROOMS: u32 = 500;
/// Documents that are written at once.
const DOCUMENTS: usize = 1_000;

/// Why a copy ended early. What was stored until then stays, and is skipped the next time.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's text names its fields")]
pub enum CopyError {
    /// The list of rooms cannot be read.
    #[error("cannot list the rooms: {0}")]
    List(#[source] StoreError),
    /// A room cannot be read.
    #[error("cannot read the room {room}: {source}")]
    Read { room: RoomName, source: StoreError },
    /// A room changed while it was read.
    #[error("the room {0} changed while it was copied; stop the server first")]
    Changed(RoomName),
    /// A room cannot be stored, or is there with other contents.
    #[error(transparent)]
    Write(#[from] ImportError),
    /// What is kept beside the rooms cannot be copied.
    #[error("cannot copy the documents: {0}")]
    Documents(#[source] StoreError),
}

/// Copies all rooms, and what users have read and when they were seen, from one store to another.
///
/// Entries keep their numbers and times; rooms that are new get new epochs. Entries that are there
/// already are compared and skipped. `progress` is called after every part. Nobody may write to
/// either store meanwhile.
///
/// # Errors
/// [`CopyError`].
pub async fn copy(
    from: &dyn Store,
    to: &dyn Store,
    progress: &mut dyn FnMut(Totals),
) -> Result<Totals, CopyError> {
    let mut totals = Totals::default();
    let mut after = None;
    loop {
        let rooms = from.rooms(after, ROOMS).await.map_err(CopyError::List)?;
        let Some((last, _)) = rooms.last() else { break };
        after = Some(last.clone());
        for (room, _) in rooms {
            totals.rooms += 1;
            copy_room(from, to, room, &mut totals, progress).await?;
        }
    }
    copy_documents(from, to).await.map_err(CopyError::Documents)?;
    Ok(totals)
}

async fn copy_room(
    from: &dyn Store,
    to: &dyn Store,
    room: RoomName,
    totals: &mut Totals,
    progress: &mut dyn FnMut(Totals),
) -> Result<(), CopyError> {
    let failed = |source| CopyError::Read { room: room.clone(), source };
    let Some(Snapshot { ends, state, .. }) = from.open(room.clone(), 0).await.map_err(failed)? else {
        return Ok(());
    };
    let mut target = Room::open(to, RoomLine::new(room.clone(), ends, state)).await?;
    let mut last = ends.floor;
    while last < ends.head {
        let part = from.read(room.clone(), Span::After(last), PART as u32).await.map_err(failed)?;
        let numbers = (last.0 + 1..=ends.head.0).map(Seq);
        if part.is_empty() || !numbers.take(part.len()).eq(part.iter().map(|record| record.seq)) {
            return Err(CopyError::Changed(room));
        }
        for record in part {
            last = record.seq;
            totals.entries += 1;
            target.take(record).await?;
        }
        progress(*totals);
    }
    Ok(target.store_part().await?)
}

/// Copies cursors and the like, but not what the epochs of rooms follow from.
async fn copy_documents(from: &dyn Store, to: &dyn Store) -> Result<(), StoreError> {
    let mut documents = from.documents(String::new(), u32::MAX).await?;
    documents.retain(|Document { key, .. }| key != crate::lineage::KEY);
    for part in documents.chunks(DOCUMENTS) {
        to.put(part.to_vec()).await?;
    }
    Ok(())
}
