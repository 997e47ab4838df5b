//! From credentials to an identity, as configured.

use std::sync::Arc;

use parlour_hub::Now;
use parlour_protocol::{ErrorCode, Refusal, UserId};

use super::Records;
use super::claims::{Claims, Expectations};
use super::token::{Flaw, Token};
use crate::clock::Clock;
use crate::config::Config;
use crate::verifier::{Credentials, Identity, Pass, Verifier};

/// What the names of guests begin with.
const GUEST: &str = "guest-";
/// Random hexadecimal digits behind it: two guests with one name would be one user.
const GUEST_DIGITS: usize = 12;

/// Believes tokens and tickets, and those names that the configuration says.
#[derive(Debug)]
pub struct Authenticator {
    /// What tokens must say; `None`: there are no keys.
    expected: Option<Expectations>,
    /// Whether a name without proof is believed.
    believes_names: bool,
    /// Whether who shows nothing is let in as a guest.
    has_guests: bool,
    records: Arc<Records>,
    clock: Clock,
}

impl Authenticator {
    /// Builds what a configuration asks for.
    #[must_use]
    pub fn new(config: &Config, records: Arc<Records>, clock: Clock) -> Self {
        let (believes_names, has_guests) = (config.access.anonymous, config.access.guests);
        Self { expected: config.auth.expectations(), believes_names, has_guests, records, clock }
    }

    /// Decides about a token.
    ///
    /// # Errors
    /// Why it is not accepted.
    pub fn check(&self, token: &str, now: Now) -> Result<Claims, Flaw> {
        let expected = self.expected.as_ref().ok_or(Flaw::Signature)?;
        let token = Token::parse(token)?;
        let header = &token.header;
        let Some(key) = self.records.keyring.find(header) else {
            self.records.note_key(header.key.as_deref());
            return Err(Flaw::Signature);
        };
        if !header.typ.eq_ignore_ascii_case(&expected.typ) {
            return Err(Flaw::Type);
        }
        if !key.has_signed(token.signed, token.signature) {
            return Err(Flaw::Signature);
        }
        let claims = Claims::read(&token.claims, expected, now.wall_ms.div_euclid(1_000))?;
        match self.has_guests && is_guest(&claims.user) {
            true => Err(Flaw::Claim("sub")),
            false => Ok(claims),
        }
    }

    fn token(&self, token: &str) -> Result<Identity, Refusal> {
        let now = self.clock.now();
        let Claims { user, id, issued_s, expires_s, grants } = self.check(token, now)?;
        let leeway_s = self.expected.as_ref().map_or(0, |expected| i64::from(expected.leeway_s));
        // Leeway is for those who come; who is there ends when the token says so.
        let left_s = expires_s - now.wall_ms.div_euclid(1_000);
        let expires_ms = (if left_s > 0 { expires_s } else { expires_s + leeway_s }) * 1_000;
        let left_ms = u64::try_from(expires_ms - now.wall_ms).unwrap_or(0);
        Ok(Identity {
            user,
            pass: Some(Arc::new(Pass {
                grants: Arc::new(grants),
                token: id,
                issued_s,
                expires_ms: Some(expires_ms),
                deadline_ms: Some(now.mono_ms.saturating_add(left_ms)),
                notice_ms: None,
            })),
        })
    }

    fn named(&self, credentials: Credentials<'_>) -> Result<Identity, Refusal> {
        match (credentials.user, credentials.token) {
            (Some(user), _) if self.believes_names => Ok(Identity { user: user.clone(), pass: None }),
            (_, None) if self.has_guests => Ok(Identity { user: guest(), pass: None }),
            _ if self.believes_names => {
                Err(Refusal::because(ErrorCode::Unauthenticated, "say who you are: `user` is missing"))
            }
            (_, Some(_)) => Err(ErrorCode::InvalidToken.into()),
            (_, None) => Err(Refusal::because(ErrorCode::Unauthenticated, "a token is required")),
        }
    }
}

impl Verifier for Authenticator {
    fn verify(&self, credentials: Credentials<'_>) -> Result<Identity, Refusal> {
        let identity = match (credentials.ticket, credentials.token) {
            (Some(ticket), _) => {
                let redeemed = self.records.tickets.redeem(ticket, self.clock.now().mono_ms);
                let rule = "the ticket is not known here, was used, or is too old";
                redeemed.ok_or_else(|| Refusal::because(ErrorCode::InvalidToken, rule))?
            }
            (None, Some(token)) if self.expected.is_some() => self.token(token)?,
            (None, _) => return self.named(credentials),
        };
        match self.records.revocations.hit(&identity.user, identity.pass.as_deref()) {
            true => Err(Flaw::Revoked.into()),
            false => Ok(identity),
        }
    }
}

/// Whether a name is one that only guests have.
pub(crate) fn is_guest(user: &UserId) -> bool {
    user.as_str().starts_with(GUEST)
}

fn guest() -> UserId {
    let digits = uuid::Uuid::new_v4().simple().to_string();
    UserId::parse(&format!("{GUEST}{}", &digits[..GUEST_DIGITS])).expect("letters and digits")
}

impl From<Flaw> for Refusal {
    fn from(flaw: Flaw) -> Self {
        let code = match flaw {
            Flaw::Expired => ErrorCode::TokenExpired,
            Flaw::Revoked => ErrorCode::Revoked,
            _ => ErrorCode::InvalidToken,
        };
        Self::because(code, flaw.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use jsonwebtoken::Algorithm;

    use super::*;
    use crate::config::Auth;
    use crate::identity::key::Key;

    /// When the known tokens were signed, in milliseconds since the Unix epoch.
    const THEN_MS: i64 = 1_767_225_600_000;
    const KNOWN: &str = include_str!("../../tests/it/identity/keys/known.txt");

    fn authenticator() -> Authenticator {
        let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/identity/keys");
        let secret = include_str!("../../tests/it/identity/keys/hs.secret").trim().as_bytes();
        let public = |algorithm: Algorithm, file: &str| {
            Key::from_file(&format!("{algorithm:?}"), algorithm, &keys.join(file)).expect("a key")
        };
        let auth = Auth {
            issuer: Some("https://login.example.com".into()),
            audience: Some("parlour".into()),
            keys: vec![
                Key::from_secret("HS256", Algorithm::HS256, secret),
                Key::from_secret("HS384", Algorithm::HS384, secret),
                Key::from_secret("HS512", Algorithm::HS512, secret),
                public(Algorithm::RS256, "rsa.pub.pem"),
                public(Algorithm::PS256, "rsa.pub.pem"),
                public(Algorithm::ES256, "es256.pub.pem"),
                public(Algorithm::ES384, "es384.pub.pem"),
                public(Algorithm::EdDSA, "ed25519.pub.pem"),
            ],
            ..Auth::default()
        };
        let config = Config { auth, ..Config::default() };
        let records = Arc::new(Records::new(&config.auth));
        Authenticator::new(&config, records, Clock::start())
    }

    fn at(wall_ms: i64) -> Now {
        Now { mono_ms: 0, wall_ms }
    }

    fn known() -> impl Iterator<Item = &'static str> {
        KNOWN.lines().filter(|line| !line.starts_with('#'))
    }

    #[test]
    fn tokens_that_others_have_signed_are_believed() {
        let authenticator = authenticator();
        assert_eq!(known().count(), 8, "one of each algorithm");
        for token in known() {
            let claims = authenticator.check(token, at(THEN_MS)).expect(token);
            assert_eq!((claims.user.as_str(), claims.id.as_deref()), ("alice", Some("known")));
            let end_ms = THEN_MS + 3_630_000;
            assert!(authenticator.check(token, at(end_ms - 1)).is_ok(), "within the leeway");
            assert_eq!(authenticator.check(token, at(end_ms)), Err(Flaw::Expired));
        }
    }

    #[test]
    fn no_bit_of_a_token_can_be_changed() {
        let authenticator = authenticator();
        for token in known() {
            for place in 0..token.len() {
                let mut changed = token.as_bytes().to_vec();
                changed[place] ^= 1;
                let changed = String::from_utf8(changed).expect("ASCII");
                assert!(authenticator.check(&changed, at(THEN_MS)).is_err(), "byte {place} of {token}");
            }
        }
    }

    #[test]
    fn bad_tokens_leave_nothing_behind() {
        let authenticator = authenticator();
        let good = known().next().expect("a token");
        let bad = [good, &good[..good.len() - 1], &good[1..], "a.b.c", "", &"x".repeat(5_000)];
        let check = || {
            bad.iter().for_each(|token| assert!(authenticator.check(token, at(0)).is_err()));
        };
        check();
        let info = allocation_counter::measure(|| (0..1_000).for_each(|_| check()));
        assert_eq!(info.bytes_current, 0, "{info:?}");
        assert!(info.bytes_max < 16 * 1024, "at once: {info:?}");
    }

    #[test]
    fn keys_are_not_shown() {
        let shown = format!("{:?}", authenticator());
        let secret = include_str!("../../tests/it/identity/keys/hs.secret").trim();
        assert!(shown.contains("HS256") && !shown.contains(&secret[..10]), "{shown}");
        let bytes = format!("{:?}", &secret.as_bytes()[..4]);
        assert!(!shown.contains(bytes.trim_matches(['[', ']'])), "{shown}");
    }
}
