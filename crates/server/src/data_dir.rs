//! Whose data directory it is: a store that anybody could write to must not become production by
//! accident, nor the other way round.

use std::io;
use std::path::{Path, PathBuf};

/// The file that marks a directory of development mode.
const MARKER: &str = "DEVELOPMENT";
const MARKER_TEXT: &str = "\
This directory was written in development mode, where anybody may take any name.\n\
`parlour serve` refuses it unless it is told to --adopt it.\n";

/// Who wants to use a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Development mode.
    Dev,
    /// Production.
    Serve,
    /// Production, which takes over a directory of development mode for good.
    Adopt,
}

/// Why a directory is not given.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's text names its fields")]
pub enum ClaimError {
    /// It belongs to development mode.
    #[error(
        "{0} was written in development mode, where anybody may take any name; \
             add --adopt to serve it all the same"
    )]
    Development(PathBuf),
    /// It belongs to production.
    #[error("{0} belongs to a production server; choose another one with --data-dir")]
    Production(PathBuf),
    /// The system refuses.
    #[error("{path} cannot be used: {source}")]
    Io { path: PathBuf, source: io::Error },
}

/// Creates the directory if needed, readable by its owner only, and notes who uses it.
///
/// # Errors
/// [`ClaimError`]; nothing is changed then.
pub fn claim(directory: &Path, claim: Claim) -> Result<(), ClaimError> {
    let failed = |source| ClaimError::Io { path: directory.into(), source };
    let is_new = create(directory).map_err(failed)?;
    let marker = directory.join(MARKER);
    match (claim, marker.try_exists().map_err(failed)?) {
        (Claim::Dev, true) | (Claim::Serve | Claim::Adopt, false) => Ok(()),
        (Claim::Dev, false) if is_new => std::fs::write(marker, MARKER_TEXT).map_err(failed),
        (Claim::Dev, false) => Err(ClaimError::Production(directory.into())),
        (Claim::Serve, true) => Err(ClaimError::Development(directory.into())),
        (Claim::Adopt, true) => std::fs::remove_file(marker).map_err(failed),
    }
}

/// Returns whether the directory is new or empty.
fn create(directory: &Path) -> io::Result<bool> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    Ok(std::fs::read_dir(directory)?.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn development_and_production_do_not_share_a_directory() {
        let parent = tempfile::tempdir().expect("a directory");
        let (ours, theirs) = (parent.path().join("dev/data"), parent.path().join("serve"));
        assert!(claim(&ours, Claim::Dev).is_ok() && claim(&ours, Claim::Dev).is_ok());
        assert!(matches!(claim(&ours, Claim::Serve), Err(ClaimError::Development(_))));
        assert!(claim(&ours, Claim::Adopt).is_ok());
        assert!(claim(&ours, Claim::Serve).is_ok(), "adopted for good");

        assert!(claim(&theirs, Claim::Serve).is_ok());
        std::fs::write(theirs.join("parlour.db"), "").expect("written");
        assert!(matches!(claim(&theirs, Claim::Dev), Err(ClaimError::Production(_))));
    }

    #[test]
    fn a_directory_is_readable_by_its_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let parent = tempfile::tempdir().expect("a directory");
        let directory = parent.path().join("data");
        claim(&directory, Claim::Serve).expect("claimed");
        let mode = std::fs::metadata(&directory).expect("created").permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
}
