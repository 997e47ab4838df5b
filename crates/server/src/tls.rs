//! TLS on the address of clients: 1.2 and 1.3, one certificate, no client certificates.
//!
//! [`channel`] is a connection without its socket; [`stream`] runs it during the handshake and HTTP,
//! the shard's `Socket` afterwards.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, ServerConfig};
use rustls::{Error, InconsistentKeys};

pub(crate) mod channel;
pub(crate) mod live;
pub(crate) mod stream;

/// Why a certificate cannot be used. The text names the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's text names its fields")]
pub enum LoadError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {kind}")]
    Unreadable { path: String, kind: io::ErrorKind },
    /// The key can be read by every user of the machine.
    #[error("{path} is readable by everybody; run `chmod o-rwx {path}`")]
    WorldReadable { path: String },
    /// The file is not PEM, or holds something else.
    #[error("{path} holds no {what} in PEM")]
    Missing { path: String, what: &'static str },
    /// The certificate is not X.509, or is of a kind that TLS has no use for.
    #[error("{path} holds a certificate that cannot be used")]
    BadCertificate { path: String },
    /// The key is of a kind that TLS has no use for.
    #[error(
        "{path} holds a key that cannot be used: take ECDSA (P-256 or P-384), Ed25519, or RSA of 2048 bits or more"
    )]
    BadKey { path: String },
    /// They do not belong together.
    #[error("the key in {key} does not belong to the certificate in {cert}")]
    Mismatch { cert: String, key: String },
    /// The operating system gives no random numbers.
    #[error("the operating system gives no random numbers")]
    NoRandomness,
}

/// Reads a certificate and its key, and checks that they can be used together.
///
/// # Errors
/// What is wrong with which of the files.
pub fn load(cert: &Path, key: &Path) -> Result<Arc<ServerConfig>, LoadError> {
    let shown = |path: &Path| path.display().to_string();
    let (chain, private) = (read_chain(cert)?, read_key(key)?);
    let provider = Arc::new(ring::default_provider());
    if provider.key_provider.load_private_key(private.clone_key()).is_err() {
        return Err(LoadError::BadKey { path: shown(key) });
    }
    let mismatch = |error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            LoadError::Mismatch { cert: shown(cert), key: shown(key) }
        }
        Error::FailedToGetRandomBytes => LoadError::NoRandomness,
        _ => LoadError::BadCertificate { path: shown(cert) },
    };
    configure(provider, chain, private).map(Arc::new).map_err(mismatch)
}

/// Decides what is spoken.
fn configure(
    provider: Arc<CryptoProvider>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, Error> {
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Who comes back shows a ticket, so the server remembers nobody.
    config.ticketer = ring::Ticketer::new()?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, LoadError> {
    let refuse = |error| refusal(path, "certificate", &error);
    let chain = CertificateDer::pem_file_iter(path).map_err(refuse)?.collect::<Result<Vec<_>, _>>();
    match chain.map_err(refuse)? {
        chain if chain.is_empty() => Err(refuse(pem::Error::NoItemsFound)),
        chain => Ok(chain),
    }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, LoadError> {
    let refuse = |error| refusal(path, "private key", &error);
    let metadata = std::fs::metadata(path).map_err(|error| refuse(pem::Error::Io(error)))?;
    if metadata.permissions().mode() & 0o004 != 0 {
        return Err(LoadError::WorldReadable { path: path.display().to_string() });
    }
    PrivateKeyDer::from_pem_file(path).map_err(refuse)
}

fn refusal(path: &Path, what: &'static str, error: &pem::Error) -> LoadError {
    let path = path.display().to_string();
    match error {
        pem::Error::Io(error) => LoadError::Unreadable { path, kind: error.kind() },
        _ => LoadError::Missing { path, what },
    }
}
