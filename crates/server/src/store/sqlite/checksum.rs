//! Checksums of rows: a bit that the disk turned over is found before a user sees it.
//!
//! CRC-32 finds every error of up to 32 neighbouring bits, and others but for one in 2^32. It costs
//! a tenth of a truncated SHA-256 on a processor without instructions for that.

use crc32fast::Hasher;
use parlour_protocol::{Epoch, RoomName};

use super::columns::Columns;

/// What the checksums of all rows of a room begin with.
#[derive(Debug, Clone)]
pub(super) struct RoomChecksum(Hasher);

impl RoomChecksum {
    pub(super) fn new(room: &RoomName, epoch: Epoch) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(&epoch.0.to_le_bytes());
        field(&mut hasher, room.as_str().as_bytes());
        Self(hasher)
    }

    pub(super) fn of(&self, row: &Columns) -> i64 {
        let mut hasher = self.0.clone();
        hasher.update(&row.seq.to_le_bytes());
        hasher.update(&row.ts.to_le_bytes());
        field(&mut hasher, row.sender.as_bytes());
        // A missing cid differs from an empty one.
        hasher.update(&[u8::from(row.cid.is_some())]);
        field(&mut hasher, row.cid.as_deref().unwrap_or_default().as_bytes());
        field(&mut hasher, row.body.as_bytes());
        if row.digest.is_some() || !is_plain(row) {
            more(&mut hasher, row);
        }
        hasher.finalize().into()
    }
}

/// Whether a row has nothing in the columns that the first schema did not have.
fn is_plain(row: &Columns) -> bool {
    let numbers = [row.target, row.thread, row.count, row.edited, row.deleted];
    row.kind == 0 && row.mentions.is_none() && row.active.is_none() && numbers == [None; 5]
}

fn more(hasher: &mut Hasher, row: &Columns) {
    let active = row.active.map(i64::from);
    let numbers = [Some(row.kind), row.target, row.thread, active, row.count, row.edited, row.deleted];
    for number in numbers {
        hasher.update(&[u8::from(number.is_some())]);
        hasher.update(&number.unwrap_or_default().to_le_bytes());
    }
    field(hasher, row.mentions.as_deref().unwrap_or_default().as_bytes());
    field(hasher, row.digest.as_deref().unwrap_or_default());
}

pub(super) fn of_document(key: &str, value: &[u8]) -> i64 {
    let mut hasher = Hasher::new();
    field(&mut hasher, key.as_bytes());
    field(&mut hasher, value);
    hasher.finalize().into()
}

/// The length goes first: otherwise bytes could move from one field to the next unseen.
fn field(hasher: &mut Hasher, bytes: &[u8]) {
    hasher.update(&bytes.len().to_le_bytes());
    hasher.update(bytes);
}
