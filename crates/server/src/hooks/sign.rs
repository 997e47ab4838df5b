//! The signature of what is sent: whoever knows the secret knows that it comes from here, and when.

use std::fmt::{self, Write as _};

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use ring::hmac;

/// Names one delivery; attempts of the same delivery have the same.
pub const ID: HeaderName = HeaderName::from_static("parlour-id");
/// When it was signed, in seconds since the Unix epoch.
pub const TIMESTAMP: HeaderName = HeaderName::from_static("parlour-timestamp");
/// `v1=` and the HMAC-SHA256 of the time stamp, a full stop and the body, in hexadecimal digits; one for
/// each secret, separated by commas.
pub const SIGNATURE: HeaderName = HeaderName::from_static("parlour-signature");

/// Least characters of a secret.
const LEAST: usize = 32;
/// Most secrets at once: an old one and its successor.
const MOST: usize = 2;

/// The secrets of an endpoint. They cannot be read back.
#[derive(Clone)]
pub struct Signer(Vec<hmac::Key>);

impl Signer {
    /// Takes the secrets of a file, one per line; `None` if there is none, one is too short, or there
    /// are more than two.
    #[must_use]
    pub fn new(secrets: &str) -> Option<Self> {
        let lines: Vec<_> = secrets.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let is_good = (1..=MOST).contains(&lines.len()) && lines.iter().all(|line| line.len() >= LEAST);
        let key = |line: &&str| hmac::Key::new(hmac::HMAC_SHA256, line.as_bytes());
        is_good.then(|| Self(lines.iter().map(key).collect()))
    }

    /// Returns the headers of a delivery that is signed now.
    #[must_use]
    pub fn headers(&self, id: &str, now_s: i64, body: &[u8]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(TIMESTAMP, now_s.into());
        for (name, value) in [(ID, id.to_owned()), (SIGNATURE, self.sign(now_s, body))] {
            // Digits, letters and hyphens are always a value.
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
        headers
    }

    fn sign(&self, now_s: i64, body: &[u8]) -> String {
        let mut signatures = String::new();
        for key in &self.0 {
            let mut context = hmac::Context::with_key(key);
            context.update(now_s.to_string().as_bytes());
            context.update(b".");
            context.update(body);
            if !signatures.is_empty() {
                signatures.push(',');
            }
            signatures.push_str("v1=");
            for byte in context.sign().as_ref() {
                // Writing to a String does not fail.
                let _ = write!(signatures, "{byte:02x}");
            }
        }
        signatures
    }
}

/// Shows nothing of the secrets.
impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_covers_time_and_body() {
        let signer = Signer::new("0123456789abcdef0123456789abcdef\n").expect("long enough");
        // By `printf '1700000000.{}' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef`.
        assert_eq!(signer.sign(1_700_000_000, b"{}"), format!("v1={OPENSSL}"));
        assert_ne!(signer.sign(1_700_000_001, b"{}"), signer.sign(1_700_000_000, b"{}"));
        assert_ne!(signer.sign(1_700_000_000, b"{ }"), signer.sign(1_700_000_000, b"{}"));
    }

    const OPENSSL: &str = "417adf36b901772f658597a76d329694e335e65fc0849d7715c3ca33406309b5";

    #[test]
    fn while_a_secret_changes_both_sign() {
        let (old, new) = ("o".repeat(32), "n".repeat(32));
        let signer = Signer::new(&format!("{new}\n{old}\n")).expect("two");
        let alone = |secret: &str| Signer::new(secret).expect("one").sign(1, b"x");
        assert_eq!(signer.sign(1, b"x"), format!("{},{}", alone(&new), alone(&old)));
        for bad in ["", "\n", "short", "short\n0123456789abcdef0123456789abcdef"] {
            assert!(Signer::new(bad).is_none(), "{bad:?}");
        }
        assert!(Signer::new(&format!("{new}\n{old}\n{old}x")).is_none());
        assert_eq!(format!("{signer:?}"), "Signer");
    }
}
