//! Keys that tokens are signed with: for backends in tests and for trying out.

use std::path::Path;

use jsonwebtoken::{Algorithm, AlgorithmFamily, EncodingKey, Header};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Serialize;

use super::crypto;
use super::key::{self, KeyError};

/// A key to sign with, and its algorithm. Its `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct SigningKey {
    id: Option<String>,
    algorithm: Algorithm,
    key: EncodingKey,
}

/// The claims cannot be written as JSON, or the key cannot sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token cannot be signed")]
pub struct NotSigned;

impl SigningKey {
    /// Reads a secret, or a private key in PEM. `id` becomes `kid` in the header of tokens.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_file(id: Option<&str>, algorithm: Algorithm, path: &Path) -> Result<Self, KeyError> {
        if key::is_secret(algorithm) {
            return Ok(Self::from_secret(id, algorithm, &key::read_secret(path)?));
        }
        let what =
            "private key in PEM for this algorithm; `openssl pkcs8 -topk8 -nocrypt` makes PKCS #8 of others";
        let wrong = || KeyError::WrongKey { path: path.display().to_string(), what };
        let private = PrivateKeyDer::from_pem_slice(&key::read_private(path)?).map_err(|_| wrong())?;
        let bytes = private.secret_der();
        let key = match algorithm.family() {
            AlgorithmFamily::Rsa => EncodingKey::from_rsa_der(bytes),
            AlgorithmFamily::Ec => EncodingKey::from_ec_der(bytes),
            _ => EncodingKey::from_ed_der(bytes),
        };
        let signing = Self::new(id, algorithm, key);
        // Whether the key is for this algorithm shows when it signs.
        signing.sign("JWT", &()).map_err(|NotSigned| wrong())?;
        Ok(signing)
    }

    /// Takes a secret as it is.
    #[must_use]
    pub fn from_secret(id: Option<&str>, algorithm: Algorithm, secret: &[u8]) -> Self {
        Self::new(id, algorithm, EncodingKey::from_secret(secret))
    }

    fn new(id: Option<&str>, algorithm: Algorithm, key: EncodingKey) -> Self {
        crypto::install();
        Self { id: id.map(String::from), algorithm, key }
    }

    /// Returns a token of a type with these claims.
    ///
    /// # Errors
    /// [`NotSigned`].
    pub fn sign(&self, typ: &str, claims: &impl Serialize) -> Result<String, NotSigned> {
        let header = Header { typ: Some(typ.into()), kid: self.id.clone(), ..Header::new(self.algorithm) };
        jsonwebtoken::encode(&header, claims, &self.key).map_err(|_| NotSigned)
    }
}
