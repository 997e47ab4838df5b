//! All keys that tokens are checked with: those of the configuration, and those of a key set that
//! changes while the server runs.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use super::key::{self, Key, KeyError};
use super::key_set;
use super::token::Header;

/// The keys of a node.
#[derive(Debug, Default)]
pub struct Keyring {
    fixed: Vec<Key>,
    /// The key set as it was read last.
    set: RwLock<Arc<[Key]>>,
}

impl Keyring {
    /// Holds keys that never change.
    #[must_use]
    pub fn new(fixed: Vec<Key>) -> Self {
        Self { fixed, set: RwLock::default() }
    }

    /// Replaces the keys of the set.
    pub fn replace_set(&self, keys: Vec<Key>) {
        *self.set.write().unwrap_or_else(PoisonError::into_inner) = keys.into();
    }

    /// Finds the key that a header means: by its id, or else the only one of its algorithm. The
    /// algorithm must be the key's own.
    pub(crate) fn find(&self, header: &Header) -> Option<Key> {
        let set = Arc::clone(&self.set.read().unwrap_or_else(PoisonError::into_inner));
        // A key of the configuration hides one of the set with the same id.
        let mut keys = self.fixed.iter().chain(&*set);
        let fits = |key: &&Key| key::algorithm(&header.algorithm) == Some(key.algorithm());
        let found = match &header.key {
            Some(id) => keys.find(|key| key.id() == id).filter(fits),
            None => {
                let mut fitting = keys.filter(fits);
                fitting.next().filter(|_| fitting.next().is_none())
            }
        };
        found.cloned()
    }

    /// Whether there is a key of this id.
    pub(crate) fn knows(&self, id: &str) -> bool {
        let set = self.set.read().unwrap_or_else(PoisonError::into_inner);
        self.fixed.iter().chain(set.iter()).any(|key| key.id() == id)
    }
}

/// Reads a key set from a file.
///
/// # Errors
/// [`KeyError`], also if no key of the set can be used.
pub fn read_set(path: &Path) -> Result<Vec<Key>, KeyError> {
    let keys = key_set::parse(&key::read(path)?).filter(|keys| !keys.is_empty());
    keys.ok_or_else(|| KeyError::NoKeySet { path: path.display().to_string() })
}
