//! What SQLite's errors mean for those who ask the store.

use rusqlite::ErrorCode;

use super::super::StoreError;

/// Why a statement failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// What was read contradicts its checksum or its neighbours.
    #[error("a row does not match its checksum")]
    Corrupt,
    /// SQLite refused.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

impl Fault {
    /// Returns the answer to a request that was rolled back because of this.
    pub(super) fn answer(&self) -> StoreError {
        match self {
            Self::Corrupt => StoreError::Corrupt,
            Self::Sqlite(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => StoreError::Full,
                // A constraint only breaks where the room's head or the index is damaged; an error
                // without a code means that a column holds what was never written into it.
                Some(
                    ErrorCode::DatabaseCorrupt
                    | ErrorCode::NotADatabase
                    | ErrorCode::ConstraintViolation
                    | ErrorCode::TypeMismatch,
                )
                | None => StoreError::Corrupt,
                Some(_) => StoreError::Unavailable,
            },
        }
    }

    /// Whether the disk failed, so that what SQLite holds in memory is not to be trusted.
    pub(super) fn is_io(&self) -> bool {
        matches!(self, Self::Sqlite(error)
            if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure))
    }
}

impl From<rusqlite::types::FromSqlError> for Fault {
    fn from(_: rusqlite::types::FromSqlError) -> Self {
        Self::Corrupt
    }
}
