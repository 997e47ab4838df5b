//! The certificate in use, which is replaced while the server runs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use rustls::server::ServerConfig;

use super::{LoadError, load};

/// A certificate and its key, as they were when they were last read without a fault.
#[derive(Debug)]
pub(crate) struct LiveCertificate {
    cert: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<ServerConfig>>,
    /// When the files were changed last, as far as they have been read.
    read: Mutex<[Option<SystemTime>; 2]>,
}

impl LiveCertificate {
    /// Reads both files.
    ///
    /// # Errors
    /// What is wrong with which of them.
    pub(crate) fn load(cert: &Path, key: &Path) -> Result<Self, LoadError> {
        // Before the files are read: a change in between is found by the next look.
        let changed = [cert, key].map(changed);
        Ok(Self {
            cert: cert.into(),
            key: key.into(),
            current: RwLock::new(load(cert, key)?),
            read: Mutex::new(changed),
        })
    }

    /// Returns what new connections are encrypted with.
    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the files again, if they have changed or `always`. Connections keep what they have.
    ///
    /// # Errors
    /// What is wrong with which of them; the certificate stays what it was, and the same files are not
    /// looked at again until they change or somebody asks.
    pub(crate) fn refresh(&self, always: bool) -> Result<bool, LoadError> {
        let changed = [&self.cert, &self.key].map(|path| changed(path));
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if !always && *read == changed {
            return Ok(false);
        }
        *read = changed;
        let fresh = load(&self.cert, &self.key)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(true)
    }
}

fn changed(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}
