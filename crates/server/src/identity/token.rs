//! A token as it came: its parts, and what its header says (RFC 7515; RFC 8725 for what is refused).
//!
//! Nothing here is believed yet: see [`super::claims`] for what is said under the signature.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use compact_str::CompactString;

use super::object::Object;

/// Largest token, in bytes.
pub const TOKEN_BYTES: usize = 4_096;

/// Members of a header that would let the sender choose the key, or an extension that we do not know.
const FORBIDDEN: [&str; 5] = ["jku", "x5u", "jwk", "x5c", "crit"];

/// Why a token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Above [`TOKEN_BYTES`].
    #[error("a token has at most 4096 bytes")]
    TooLarge,
    /// Not a signed token: an encrypted one has five parts.
    #[error("a signed token has three parts with dots between them")]
    Parts,
    /// A part cannot be read.
    #[error("a part of the token is not base64url of a JSON object without doubled names")]
    Malformed,
    /// The header says what it must not.
    #[error("the header of the token is not accepted: it must have `alg` and `typ`, and may not have `{0}`")]
    Forbidden(&'static str),
    /// The header lacks what it must say, or says it in a wrong type.
    #[error("the header of the token needs `alg` and `typ`, and `kid` must be a text")]
    Header,
    /// `typ` is another one than configured.
    #[error("the token is of another type: see `typ` in its header")]
    Type,
    /// No key fits, or the signature is wrong. Which of them is nobody's business.
    #[error("no key of this server has signed the token")]
    Signature,
    /// A claim is missing, or of a wrong type.
    #[error("the claim `{0}` of the token is missing or not valid")]
    Claim(&'static str),
    /// It is another issuer's, or for another audience.
    #[error("the token is not for this server: `{0}` differs")]
    Elsewhere(&'static str),
    /// `nbf` or `iat` is in the future.
    #[error("the token is not valid yet")]
    Early,
    /// It would live longer than tokens may.
    #[error("the token lives too long")]
    LongLife,
    /// It has expired.
    #[error("the token has expired")]
    Expired,
    /// It was taken back.
    #[error("the token was revoked")]
    Revoked,
}

/// The parts of a token.
#[derive(Debug)]
pub(crate) struct Token<'a> {
    /// What the signature is about: header and claims as they were written.
    pub(crate) signed: &'a str,
    /// The signature in base64url.
    pub(crate) signature: &'a str,
    /// The JSON text of the claims.
    pub(crate) claims: Vec<u8>,
    /// What the header says.
    pub(crate) header: Header,
}

/// What a header says; a hint for finding the key, and no more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) algorithm: CompactString,
    pub(crate) typ: CompactString,
    pub(crate) key: Option<CompactString>,
}

impl<'a> Token<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// The first thing that a well-made token would not have.
    pub(crate) fn parse(text: &'a str) -> Result<Self, Flaw> {
        if text.len() > TOKEN_BYTES {
            return Err(Flaw::TooLarge);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Flaw::Parts)?;
        let (header, claims) = signed.split_once('.').ok_or(Flaw::Parts)?;
        if claims.contains('.') {
            return Err(Flaw::Parts);
        }
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Flaw::Malformed);
        let header = Header::read(&decode(header)?)?;
        Ok(Self { signed, signature, claims: decode(claims)?, header })
    }
}

/// Returns header and claims of a token as JSON texts, for people. Nothing of it is believed.
///
/// # Errors
/// Why it cannot be read.
pub fn readable(token: &str) -> Result<(String, String), Flaw> {
    let mut parts = token.splitn(3, '.');
    let mut part = || {
        let bytes = URL_SAFE_NO_PAD.decode(parts.next()?).ok()?;
        String::from_utf8(bytes).ok()
    };
    Ok((part().ok_or(Flaw::Malformed)?, part().ok_or(Flaw::Malformed)?))
}

/// Returns a new id for a token.
#[must_use]
pub fn fresh_id() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

impl Header {
    fn read(json: &[u8]) -> Result<Self, Flaw> {
        let object = Object::parse(json).ok_or(Flaw::Malformed)?;
        if let Some(name) = FORBIDDEN.into_iter().find(|name| object.has(name)) {
            return Err(Flaw::Forbidden(name));
        }
        let text = |name| object.get::<CompactString>(name).map_err(|_| Flaw::Header);
        Ok(Self {
            algorithm: text("alg")?.ok_or(Flaw::Header)?,
            typ: text("typ")?.ok_or(Flaw::Header)?,
            key: text("kid")?,
        })
    }
}
