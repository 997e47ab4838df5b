//! Rooms as a file: one JSON object per line, which people can read and every program can check.
//!
//! A file begins with a `parlour_export` line. Each room has a `room` line, its entries as clients
//! hear them, and a `room_end` line with their number and the SHA-256 of all the room's lines before
//! it. The last line is `export_end` with the totals and the SHA-256 of the other such lines. Rooms come in the byte order of their names.

mod copy;
mod export;
mod import;
mod line;
mod reader;
mod resume;

pub use copy::{CopyError, copy};
pub use export::{ExportError, export};
pub use import::{ImportError, import};
pub use reader::{FileError, Problem, verify};
pub use resume::{Begun, resume};

/// How much has been exported, verified or imported so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Rooms, the present one included.
    pub rooms: u64,
    /// Entries of all rooms.
    pub entries: u64,
}

/// Entries that are read or stored at once: some hundred KiB, and one transaction of an import.
const PART: usize = 500;
