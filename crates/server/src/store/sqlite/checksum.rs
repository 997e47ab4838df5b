//! Checksums of rows: a bit that the disk turned over is found before a user sees it.
//!
//! CRC-32 finds every error of up to 32 neighbouring bits, and others but for one in 2^32. It costs
//! a tenth of a truncated SHA-256 on a processor without instructions for that.

use crc32fast::Hasher;
use parlour_protocol::{Epoch, RoomName};

/// What the checksums of all rows of a room begin with.
#[derive(Debug, Clone)]
pub(super) struct RoomChecksum(Hasher);

/// The columns of a message, as they are stored.
pub(super) struct Columns<'a> {
    pub(super) seq: u64,
    pub(super) ts: i64,
    pub(super) sender: &'a [u8],
    pub(super) cid: Option<&'a [u8]>,
    pub(super) body: &'a [u8],
}

impl RoomChecksum {
    pub(super) fn new(room: &RoomName, epoch: Epoch) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(&epoch.0.to_le_bytes());
        field(&mut hasher, room.as_str().as_bytes());
        Self(hasher)
    }

    pub(super) fn of(&self, row: &Columns<'_>) -> i64 {
        let mut hasher = self.0.clone();
        hasher.update(&row.seq.to_le_bytes());
        hasher.update(&row.ts.to_le_bytes());
        field(&mut hasher, row.sender);
        // A missing cid differs from an empty one.
        hasher.update(&[u8::from(row.cid.is_some())]);
        field(&mut hasher, row.cid.unwrap_or_default());
        field(&mut hasher, row.body);
        hasher.finalize().into()
    }
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
