//! From credentials to an identity.

use std::fmt;
use std::sync::Arc;

use compact_str::CompactString;
use parlour_hub::rights::Grants;
use parlour_protocol::{ErrorCode, Refusal, UserId};

/// What a client showed, in the handshake or in `hello`.
#[derive(Clone, Copy, Default)]
pub struct Credentials<'a> {
    /// A bearer token.
    pub token: Option<&'a str>,
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
    /// When it expires, in milliseconds since the Unix epoch.
    pub expires_ms: Option<i64>,
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
    /// `unauthenticated` if they prove nothing, `invalid_token` if they are wrong.
    fn verify(&self, credentials: Credentials<'_>) -> Result<Identity, Refusal>;
}

/// Believes every name. For development, and where it was configured with full intent.
#[derive(Debug)]
pub struct Anonymous;

/// Believes nobody: what is left while neither anonymous access nor keys are configured.
#[derive(Debug)]
pub struct Nobody;

impl Verifier for Anonymous {
    fn verify(&self, credentials: Credentials<'_>) -> Result<Identity, Refusal> {
        let user = credentials.user.ok_or_else(|| {
            Refusal::because(ErrorCode::Unauthenticated, "say who you are: `user` is missing")
        })?;
        Ok(Identity { user: user.clone(), pass: None })
    }
}

impl Verifier for Nobody {
    fn verify(&self, credentials: Credentials<'_>) -> Result<Identity, Refusal> {
        Err(match credentials.token {
            Some(_) => ErrorCode::InvalidToken.into(),
            None => Refusal::because(ErrorCode::Unauthenticated, "a token is required"),
        })
    }
}

/// Returns the verifier that a configuration asks for.
#[must_use]
pub fn from_config(access: &crate::config::Access) -> Box<dyn Verifier> {
    match access.anonymous {
        true => Box::new(Anonymous),
        false => Box::new(Nobody),
    }
}

/// Tells whether there is a token, never which.
impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("token", &self.token.map(|_| "[redacted]"))
            .field("user", &self.user)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_proves_something_only_where_names_are_believed() {
        let alice = UserId::parse("Alice").expect("valid");
        let named = Credentials { user: Some(&alice), token: None };
        let with_token = Credentials { token: Some("x"), ..named };
        let code = |outcome: Result<Identity, Refusal>| outcome.map_err(|refusal| refusal.code);

        assert_eq!(code(Anonymous.verify(named)), Ok(Identity { user: alice.clone(), pass: None }));
        assert_eq!(code(Anonymous.verify(Credentials::default())), Err(ErrorCode::Unauthenticated));
        assert_eq!(code(Nobody.verify(named)), Err(ErrorCode::Unauthenticated));
        assert_eq!(code(Nobody.verify(with_token)), Err(ErrorCode::InvalidToken));
    }

    #[test]
    fn a_token_is_not_shown() {
        let credentials = Credentials { token: Some("s3cret"), user: None };
        assert!(!format!("{credentials:?}").contains("s3cret"));
    }
}
