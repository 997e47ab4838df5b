//! The files of a certificate.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::value::{Given, Value};

/// The certificate of the address of clients.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// The certificate and those between it and an authority, in PEM.
    pub cert: Option<PemFile>,
    /// Its private key, in PEM.
    pub key: Option<PemFile>,
}

impl Tls {
    /// Returns the certificate and its key, where TLS is configured.
    #[must_use]
    pub fn files(&self) -> Option<(&Path, &Path)> {
        Some((self.cert.as_ref()?.path(), self.key.as_ref()?.path()))
    }
}

/// A file in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PemFile(PathBuf);

impl PemFile {
    /// Returns where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl From<PathBuf> for PemFile {
    fn from(path: PathBuf) -> Self {
        Self(path)
    }
}

impl Value for Option<PemFile> {
    fn read(&mut self, given: &Given, _: &RangeInclusive<u64>) -> Option<()> {
        *self = Some(given.text()?).filter(|path| !path.is_empty()).map(|path| PemFile(path.into()));
        Some(())
    }

    fn show(&self) -> toml::Value {
        self.as_ref().map_or_else(String::new, |PemFile(path)| path.display().to_string()).into()
    }

    fn rule(&self, _: &RangeInclusive<u64>) -> String {
        "a file in PEM, or empty".into()
    }
}
