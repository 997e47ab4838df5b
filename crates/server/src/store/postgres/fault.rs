//! What the errors of PostgreSQL mean for those who ask the store.

use tokio_postgres::error::{Severity, SqlState};

use super::super::StoreError;
use super::OpenError;

/// A writer whose fate was asked for appends no more: `append` in the migrations.
const WRITER_CLOSED: &str = "PRLCW";

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// What was read contradicts its checksum or its neighbours.
    #[error("a row does not match its checksum")]
    Corrupt,
    /// There was no answer in time.
    #[error("no answer in time")]
    Silent,
    /// No connection was possible, or none that promises what we need.
    #[error("no connection: {0}")]
    Connect(#[from] Box<OpenError>),
    /// The database refused, or the connection was lost.
    #[error("{}", describe(.0))]
    Postgres(#[from] tokio_postgres::Error),
}

/// Returns the text of an error with its cause: alone it is `db error`.
pub(super) fn describe(error: &tokio_postgres::Error) -> String {
    let cause = std::error::Error::source(error);
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

impl Fault {
    fn state(&self) -> Option<&SqlState> {
        match self {
            Self::Postgres(error) => error.code(),
            _ => None,
        }
    }

    /// Returns the answer to a request that was not carried out because of this.
    pub(super) fn answer(&self) -> StoreError {
        const DAMAGE: [SqlState; 5] = [
            SqlState::DATA_CORRUPTED,
            SqlState::INDEX_CORRUPTED,
            // These break only where a head or an index is damaged.
            SqlState::UNIQUE_VIOLATION,
            SqlState::CHECK_VIOLATION,
            SqlState::NOT_NULL_VIOLATION,
        ];
        match (self, self.state()) {
            (Self::Corrupt, _) => StoreError::Corrupt,
            (_, Some(state)) if *state == SqlState::DISK_FULL => StoreError::Full,
            (_, Some(state)) if DAMAGE.contains(state) => StoreError::Corrupt,
            _ => StoreError::Unavailable,
        }
    }

    /// Whether the database has said itself that it did nothing.
    ///
    /// A fatal error is none: the connection may be terminated between the commit and its answer.
    pub(super) fn is_definite(&self) -> bool {
        let Self::Postgres(error) = self else {
            return matches!(self, Self::Corrupt | Self::Connect(_));
        };
        error.as_db_error().is_some_and(|error| {
            error.parsed_severity() == Some(Severity::Error) && *error.code() != SqlState::QUERY_CANCELED
        })
    }

    /// Whether the writer was closed before it could do anything.
    pub(super) fn is_closed_writer(&self) -> bool {
        self.state().is_some_and(|state| state.code() == WRITER_CLOSED)
    }
}
