//! Keys that tokens are checked with, each for one algorithm.

use std::fmt;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use compact_str::CompactString;
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{AlgorithmIdentifier, SubjectPublicKeyInfoDer, alg_id};

use super::crypto;

/// Shortest secret, in bytes: as long as the shortest hash (RFC 7518, section 3.2).
const SECRET_BYTES: usize = 32;
/// Fewest different bytes of a secret: words and repeated letters have fewer.
const SECRET_VARIETY: usize = 10;
/// Parts of secrets that stand in documentation.
const SAMPLES: [&str; 8] = [
    "your-256-bit-secret",
    "your-384-bit-secret",
    "your-512-bit-secret",
    "a-string-secret-at-least",
    "changeme",
    "change-me",
    "change_me",
    "secret-key",
];
/// Smallest RSA key, in bytes of its modulus.
const RSA_BYTES: usize = 256;

/// A key, the only algorithm that it is for, and its name.
#[derive(Clone)]
pub struct Key {
    id: CompactString,
    algorithm: Algorithm,
    key: DecodingKey,
}

/// Why a key cannot be used. The text names the file, never what it holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's text names its fields")]
pub enum KeyError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {kind}")]
    Unreadable { path: String, kind: io::ErrorKind },
    /// A secret can be read by every user of the machine.
    #[error("{path} is readable by everybody; run `chmod o-rwx {path}`")]
    WorldReadable { path: String },
    /// A secret can be guessed.
    #[error(
        "{path} holds no good secret: take 32 random bytes or more, such as `head -c 32 /dev/urandom | base64`"
    )]
    WeakSecret { path: String },
    /// The file holds no key for the algorithm.
    #[error("{path} holds no {what}")]
    WrongKey { path: String, what: &'static str },
    /// The file holds no key set.
    #[error("{path} holds no JSON Web Key Set with a key that can be used")]
    NoKeySet { path: String },
}

/// Finds one of the algorithms that keys may have.
#[must_use]
pub fn algorithm(word: &str) -> Option<Algorithm> {
    word.parse().ok().filter(|algorithm| crypto::ALGORITHMS.contains(algorithm))
}

/// Whether the same key signs and verifies.
#[must_use]
pub fn is_secret(algorithm: Algorithm) -> bool {
    algorithm.family() == AlgorithmFamily::Hmac
}

impl Key {
    /// Takes a secret as it is, for an HS algorithm.
    #[must_use]
    pub fn from_secret(id: &str, algorithm: Algorithm, secret: &[u8]) -> Self {
        Self::new(id, algorithm, DecodingKey::from_secret(secret))
    }

    /// Makes a key of what `jsonwebtoken` knows as one.
    pub(crate) fn new(id: &str, algorithm: Algorithm, key: DecodingKey) -> Self {
        crypto::install();
        Self { id: id.into(), algorithm, key }
    }

    /// Reads a key: a secret, or a public key in PEM.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_file(id: &str, algorithm: Algorithm, path: &Path) -> Result<Self, KeyError> {
        let key = match algorithm.family() {
            AlgorithmFamily::Hmac => DecodingKey::from_secret(&read_secret(path)?),
            _ => public_key(algorithm, path)?,
        };
        Ok(Self::new(id, algorithm, key))
    }

    /// Returns its name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the only algorithm that it is for.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether it has made a signature, which is given in base64url.
    #[must_use]
    pub fn has_signed(&self, message: &str, signature: &str) -> bool {
        jsonwebtoken::crypto::verify(signature, message.as_bytes(), &self.key, self.algorithm)
            .unwrap_or(false)
    }
}

/// Shows whose key it is, never the key.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

pub(super) fn read_secret(path: &Path) -> Result<Vec<u8>, KeyError> {
    let mut secret = read_private(path)?;
    while secret.last().is_some_and(|byte| b"\r\n".contains(byte)) {
        secret.pop();
    }
    match is_good(&secret) {
        true => Ok(secret),
        false => Err(KeyError::WeakSecret { path: path.display().to_string() }),
    }
}

/// Whether a secret is long enough, and not one that everybody knows.
fn is_good(secret: &[u8]) -> bool {
    let mut seen = secret.to_vec();
    seen.sort_unstable();
    seen.dedup();
    let text = String::from_utf8_lossy(secret).to_ascii_lowercase();
    secret.len() >= SECRET_BYTES
        && seen.len() >= SECRET_VARIETY
        && !SAMPLES.iter().any(|sample| text.contains(sample))
}

/// Reads a file that not everybody may read.
pub(super) fn read_private(path: &Path) -> Result<Vec<u8>, KeyError> {
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    match metadata.permissions().mode() & 0o004 {
        0 => read(path),
        _ => Err(KeyError::WorldReadable { path: path.display().to_string() }),
    }
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, KeyError> {
    std::fs::read(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &io::Error) -> KeyError {
    KeyError::Unreadable { path: path.display().to_string(), kind: error.kind() }
}

fn public_key(algorithm: Algorithm, path: &Path) -> Result<DecodingKey, KeyError> {
    let pem = read(path)?;
    let (wanted, what) = match algorithm {
        Algorithm::ES256 => (alg_id::ECDSA_P256, "public key in PEM of the curve P-256"),
        Algorithm::ES384 => (alg_id::ECDSA_P384, "public key in PEM of the curve P-384"),
        Algorithm::EdDSA => (alg_id::ED25519, "public key in PEM for Ed25519"),
        _ => (alg_id::RSA_ENCRYPTION, "public key in PEM for RSA of 2048 bits or more"),
    };
    let wrong = || KeyError::WrongKey { path: path.display().to_string(), what };
    let info = SubjectPublicKeyInfoDer::from_pem_slice(&pem).map_err(|_| wrong())?;
    let bytes = subject_public_key(&info, &wanted).ok_or_else(wrong)?;
    match algorithm.family() {
        AlgorithmFamily::Ec => Ok(DecodingKey::from_ec_der(bytes)),
        AlgorithmFamily::Ed => Ok(DecodingKey::from_ed_der(bytes)),
        _ if bytes.len() > RSA_BYTES => Ok(DecodingKey::from_rsa_der(bytes)),
        _ => Err(wrong()),
    }
}

/// Takes the key out of a `SubjectPublicKeyInfo` (RFC 5280, section 4.1) for the wanted algorithm.
fn subject_public_key<'a>(info: &'a [u8], wanted: &AlgorithmIdentifier) -> Option<&'a [u8]> {
    const SEQUENCE: u8 = 0x30;
    const BIT_STRING: u8 = 0x03;
    let (outer, rest) = der(info, SEQUENCE)?;
    let (algorithm, key) = der(outer, SEQUENCE)?;
    let (bits, none) = der(key, BIT_STRING)?;
    // The first byte counts the unused bits of the last.
    let (0, bits) = bits.split_first().map(|(unused, bits)| (*unused, bits))? else {
        return None;
    };
    (rest.is_empty() && none.is_empty() && algorithm == wanted.as_ref()).then_some(bits)
}

/// Reads one element with a tag; returns its contents, and what follows it.
fn der(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let [first, length, rest @ ..] = bytes else {
        return None;
    };
    let (length, rest) = match (usize::from(*length), rest) {
        (length @ 0..=0x7f, rest) => (length, rest),
        (0x81, [length, rest @ ..]) => (usize::from(*length), rest),
        (0x82, [high, low, rest @ ..]) => (usize::from(u16::from_be_bytes([*high, *low])), rest),
        _ => return None,
    };
    (*first == tag && length <= rest.len()).then(|| rest.split_at(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_that_can_be_guessed_are_refused() {
        for bad in [
            "short",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "a-string-secret-at-least-256-bits-long",
            "please-CHANGEME-before-production-0123456789",
        ] {
            assert!(!is_good(bad.as_bytes()), "{bad}");
        }
        assert!(is_good(b"pF3zqk0m1WvYc8LxE5tR7uJ2hB9nD4sA"));
        assert!(!is_good(b"pF3zqk0m1WvYc8LxE5tR7uJ2hB9nD4s"), "a byte too short");
    }

    #[test]
    fn only_well_formed_elements_are_read() {
        assert_eq!(der(&[0x30, 2, 7, 8, 9], 0x30), Some((&[7, 8][..], &[9][..])));
        assert_eq!(der(&[0x30, 0x81, 1, 7], 0x30), Some((&[7][..], &[][..])));
        assert_eq!(der(&[0x30, 0x82, 0, 1, 7], 0x30), Some((&[7][..], &[][..])));
        for bad in [&[][..], &[0x30], &[0x31, 0], &[0x30, 1], &[0x30, 0x80, 0], &[0x30, 0x83, 0, 0, 1, 7]] {
            assert_eq!(der(bad, 0x30), None, "{bad:?}");
        }
    }
}
