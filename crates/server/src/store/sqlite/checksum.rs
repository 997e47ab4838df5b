//! Checksums of rows: a bit that the disk turned over is found before a user sees it.
//!
//! CRC-32 finds every error of up to 32 neighbouring bits, and others but for one in 2^32. It costs
//! a tenth of a truncated SHA-256 on a processor without instructions for that.

use crc32fast::Hasher;
use parlour_protocol::{Epoch, RoomName};

use super::row::{Marks, Row};

/// What the checksums of all rows of a room begin with.
#[derive(Debug, Clone)]
pub(super) struct RoomChecksum(Hasher);

impl RoomChecksum {
    /// `base` is the room's epoch as it is stored, without the generation.
    pub(super) fn new(room: &RoomName, base: Epoch) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(&base.0.to_le_bytes());
        field(&mut hasher, room.as_str().as_bytes());
        Self(hasher)
    }

    pub(super) fn of(&self, row: &Row<'_>) -> i64 {
        let mut hasher = self.0.clone();
        hasher.update(&row.seq.to_le_bytes());
        hasher.update(&row.ts.to_le_bytes());
        field(&mut hasher, row.sender.as_bytes());
        optional(&mut hasher, row.cid.as_deref());
        field(&mut hasher, row.body.as_bytes());
        // A message and nothing else has the checksum that it had before there was anything else.
        if row.kind != 0 || row.mentions.is_some() || row.marks != Marks::default() {
            hasher.update(&row.kind.to_le_bytes());
            optional(&mut hasher, row.mentions.as_deref());
            for mark in row.marks.all() {
                hasher.update(&[u8::from(mark.is_some())]);
                hasher.update(&mark.unwrap_or_default().to_le_bytes());
            }
        }
        hasher.finalize().into()
    }

    /// Returns the checksum of a row that hangs on the room: a reaction or a piece of its state.
    pub(super) fn of_fields(&self, fields: &[&[u8]]) -> i64 {
        let mut hasher = self.0.clone();
        fields.iter().for_each(|bytes| field(&mut hasher, bytes));
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

/// What is missing differs from what is empty.
fn optional(hasher: &mut Hasher, text: Option<&str>) {
    hasher.update(&[u8::from(text.is_some())]);
    field(hasher, text.unwrap_or_default().as_bytes());
}
