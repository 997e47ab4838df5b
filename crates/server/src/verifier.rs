//! From credentials to an identity. [`crate::identity`] does it.

use std::fmt;
use std::sync::Arc;

use compact_str::CompactString;
use parlour_hub::rights::Grants;
use parlour_protocol::{Refusal, UserId};

/// What a client showed, in the handshake or in `hello`.
#[derive(Clone, Copy, Default)]
pub struct Credentials<'a> {
    /// A bearer token.
    pub token: Option<&'a str>,
    /// A ticket, which works once.
    pub ticket: Option<&'a str>,
    /// The name that the client wants; proof of nothing.
    pub user: Option<&'a UserId>,
}

/// Who a client is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub user: UserId,
    /// What else the credentials say; `None` if nothing.
    pub pass: Option<Arc<Pass>>,
}

/// What credentials say beyond the name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pass {
    /// What the user may do beyond what everybody may.
    pub grants: Arc<Grants>,
    /// The id of the token.
    pub token: Option<CompactString>,
    /// When the token was issued, in seconds since the Unix epoch.
    pub issued_s: Option<i64>,
    /// When it expires, in milliseconds since the Unix epoch: for people.
    pub expires_ms: Option<i64>,
    /// When it expires, in milliseconds on the clock of the node, whatever becomes of the wall clock.
    pub deadline_ms: Option<u64>,
    /// When the client is told that this is near, on the same clock. The shard fills it in.
    pub notice_ms: Option<u64>,
}

/// Turns credentials into an identity.
///
/// Called on the thread of a shard: an implementation must not block. What it needs from outside,
/// such as keys, it refreshes in the background. It is called once per handshake or `hello`, never
/// per message.
pub trait Verifier: fmt::Debug + Send + Sync + 'static {
    /// Decides who shows these credentials.
    ///
    /// # Errors
    /// `unauthenticated` if they prove nothing; `token_expired`, `revoked` or `invalid_token` if they do
    /// not count.
    fn verify(&self, credentials: Credentials<'_>) -> Result<Identity, Refusal>;
}

/// Tells whether there is a token, never which.
impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("token", &self.token.map(|_| "[redacted]"))
            .field("ticket", &self.ticket.map(|_| "[redacted]"))
            .field("user", &self.user)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_shown() {
        let credentials = Credentials { token: Some("s3cret"), ticket: Some("s3same"), user: None };
        let shown = format!("{credentials:?}");
        assert!(!shown.contains("s3") && shown.contains("redacted"), "{shown}");
    }
}
