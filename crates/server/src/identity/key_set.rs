//! Public keys as a JSON Web Key Set (RFC 7517).

use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::key::{Key, algorithm};

/// Largest key set, in bytes.
pub const KEY_SET_BYTES: usize = 64 * 1024;
/// Most keys that are taken from a set.
const MOST_KEYS: usize = 32;

#[derive(Deserialize)]
struct RawSet<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

/// What of a key matters here. A set may hold keys for other purposes, and fields of any kind.
#[derive(Deserialize)]
struct RawKey {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// Reads the keys of a set that can be used: those for signatures, with an id. Others are skipped, and
/// so is a second key of the same id.
///
/// `None` if it is no key set, or is larger than [`KEY_SET_BYTES`].
#[must_use]
pub fn parse(json: &[u8]) -> Option<Vec<Key>> {
    if json.len() > KEY_SET_BYTES {
        return None;
    }
    let set: RawSet<'_> = serde_json::from_slice(json).ok()?;
    let mut keys: Vec<Key> = Vec::new();
    for raw in set.keys {
        let Some(key) = serde_json::from_str::<RawKey>(raw.get()).ok().and_then(RawKey::check) else {
            continue;
        };
        if keys.len() < MOST_KEYS && keys.iter().all(|known| known.id() != key.id()) {
            keys.push(key);
        }
    }
    Some(keys)
}

impl RawKey {
    fn check(self) -> Option<Key> {
        let verifies = self.key_ops.is_none_or(|uses| uses.iter().any(|one| one == "verify"));
        let signs = self.purpose.is_none_or(|purpose| purpose == "sig");
        let id = self.kid.filter(|id| !id.is_empty())?;
        let curve = self.crv.as_deref();
        // What the kind of key leaves open is pinned here, and not by the sender of a token.
        let (usual, key) = match (&*self.kty, curve) {
            ("RSA", None) => (Algorithm::RS256, DecodingKey::from_rsa_components(&self.n?, &self.e?)),
            ("EC", Some("P-256")) => (Algorithm::ES256, DecodingKey::from_ec_components(&self.x?, &self.y?)),
            ("EC", Some("P-384")) => (Algorithm::ES384, DecodingKey::from_ec_components(&self.x?, &self.y?)),
            ("OKP", Some("Ed25519")) => (Algorithm::EdDSA, DecodingKey::from_ed_components(&self.x?)),
            _ => return None,
        };
        let named = match &self.alg {
            Some(word) => algorithm(word)?,
            None => usual,
        };
        let fits = named == usual || (usual == Algorithm::RS256 && named == Algorithm::PS256);
        (verifies && signs && fits).then(|| Some(Key::new(&id, named, key.ok()?)))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The public key of RFC 8037, appendix A.2.
    const ED25519: &str = r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#;

    fn ids(keys: &[String]) -> Vec<String> {
        let set = format!("{{\"keys\":[{}]}}", keys.join(","));
        let keys = parse(set.as_bytes()).expect("a key set");
        keys.iter().map(|key| format!("{}: {:?}", key.id(), key.algorithm())).collect()
    }

    #[test]
    fn only_keys_for_signatures_are_taken() {
        let key = |more: &str| format!("{{{ED25519}{more}}}");
        let taken = [r#","kid":"a""#, r#","kid":"b","alg":"EdDSA","use":"sig","key_ops":["verify"],"x5t":1"#];
        assert_eq!(ids(&taken.map(key)), ["a: EdDSA", "b: EdDSA"]);
        let skipped = [
            "",
            r#","kid":"""#,
            r#","kid":1"#,
            r#","kid":"c","use":"enc""#,
            r#","kid":"c","key_ops":["sign"]"#,
            r#","kid":"c","alg":"HS256""#,
            r#","kid":"c","alg":"ES256""#,
            r#","kid":"c","alg":"none""#,
        ];
        assert_eq!(ids(&skipped.map(key)), Vec::<String>::new());
        let others = [
            r#"{"kty":"oct","kid":"d","alg":"HS256","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}"#,
            r#"{"kty":"EC","crv":"P-521","kid":"d","x":"AA","y":"AA"}"#,
            r#"{"kty":"RSA","kid":"d","n":"!","e":"AQAB"}"#,
            "7",
        ];
        assert_eq!(ids(&others.map(String::from)), Vec::<String>::new());
        assert_eq!(ids(&[key(r#","kid":"a""#), key(r#","kid":"a""#)]).len(), 1, "the first of an id counts");
    }

    #[test]
    fn other_documents_are_no_key_sets() {
        let large = format!("{{\"keys\":[],\"x\":\"{}\"}}", "y".repeat(KEY_SET_BYTES));
        for json in ["", "{}", "[]", r#"{"keys":{}}"#, &large] {
            assert!(parse(json.as_bytes()).is_none(), "{} bytes", json.len());
        }
    }
}
