//! Whose tokens are believed.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use serde::Deserialize;

use super::value::{Given, Value};
use super::{ConfigError, OutboundRules};
use crate::identity::claims::Expectations;
use crate::identity::key::{self, Key};
use crate::identity::keyring;
use crate::outbound::Endpoint;

/// Whose tokens are believed, and what they must say.
#[derive(Debug, Clone)]
pub struct Auth {
    /// What `iss` must say.
    pub issuer: Option<String>,
    /// What `aud` must say.
    pub audience: Option<String>,
    /// What `typ` in the header must say.
    pub typ: TokenType,
    /// Longest life of a token, in seconds.
    pub max_life_s: u32,
    /// How far the clocks of issuer and server may differ, in seconds.
    pub leeway_s: u32,
    /// A file with a JSON Web Key Set.
    pub jwks_file: Option<String>,
    /// Where a JSON Web Key Set is fetched.
    pub jwks_url: Option<Endpoint>,
    /// The keys of the configuration.
    pub keys: Vec<Key>,
}

/// The type of tokens, a media type without `application/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenType(pub String);

impl Default for Auth {
    fn default() -> Self {
        Self {
            issuer: None,
            audience: None,
            typ: TokenType("JWT".into()),
            max_life_s: 24 * 3_600,
            leeway_s: 30,
            jwks_file: None,
            jwks_url: None,
            keys: Vec::new(),
        }
    }
}

impl Auth {
    /// Whether there are keys that tokens can be checked with.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        !self.keys.is_empty() || self.jwks_file.is_some() || self.jwks_url.is_some()
    }

    /// Returns what tokens must say, where tokens are believed.
    #[must_use]
    pub fn expectations(&self) -> Option<Expectations> {
        let (Some(issuer), Some(audience), true) = (&self.issuer, &self.audience, self.has_keys()) else {
            return None;
        };
        Some(Expectations {
            issuer: issuer.clone(),
            audience: audience.clone(),
            typ: self.typ.0.clone(),
            max_life_s: self.max_life_s,
            leeway_s: self.leeway_s,
        })
    }
}

/// The table of the file.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct RawTables {
    auth: RawAuth,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawAuth {
    key: Vec<RawKey>,
}

/// One `[[auth.key]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey {
    id: String,
    algorithm: String,
    secret_file: Option<PathBuf>,
    public_key_file: Option<PathBuf>,
}

impl RawTables {
    /// Takes over what is in order, and notes what is not.
    pub(super) fn fill(self, auth: &mut Auth, errors: &mut Vec<ConfigError>) {
        for raw in self.auth.key {
            match raw.check() {
                Ok(key) if auth.keys.iter().any(|other| other.id() == key.id()) => {
                    let rule = "each key has an id of its own";
                    errors.push(conflict("auth.key.id", key.id(), rule));
                }
                Ok(key) => auth.keys.push(key),
                Err(error) => errors.push(error),
            }
        }
    }
}

impl RawKey {
    fn check(self) -> Result<Key, ConfigError> {
        if self.id.is_empty() {
            return Err(conflict("auth.key.id", "", "tokens name the key by it in `kid`"));
        }
        let algorithm = key::algorithm(&self.algorithm).ok_or_else(|| {
            let rule = "it must be HS256, HS384, HS512, RS256, PS256, ES256, ES384 or EdDSA";
            conflict("auth.key.algorithm", &self.algorithm, rule)
        })?;
        let path = match (key::is_secret(algorithm), self.secret_file, self.public_key_file) {
            (true, Some(path), None) | (false, None, Some(path)) => path,
            (true, ..) => {
                return Err(conflict(
                    "auth.key.id",
                    &self.id,
                    "an HS algorithm has a `secret_file`, and no other",
                ));
            }
            (false, ..) => {
                let rule = "an algorithm with public keys has a `public_key_file`, and no other";
                return Err(conflict("auth.key.id", &self.id, rule));
            }
        };
        Key::from_file(&self.id, algorithm, &path).map_err(ConfigError::Auth)
    }
}

/// Refuses what would let nobody in, or the wrong ones.
pub(super) fn check(auth: &Auth, outbound: &OutboundRules, errors: &mut Vec<ConfigError>) {
    let names = [("auth.issuer", &auth.issuer), ("auth.audience", &auth.audience)];
    for (key, name) in names {
        match (auth.has_keys(), name) {
            (true, None) => {
                let rule = "tokens that are meant for others would be believed; say what they must say";
                errors.push(conflict(key, "", rule));
            }
            (false, Some(name)) => {
                let rule = "there is no key to check tokens with; give `[[auth.key]]`, `auth.jwks_file` or `auth.jwks_url`";
                errors.push(conflict(key, name, rule));
            }
            _ => {}
        }
    }
    if let Some(endpoint) = &auth.jwks_url {
        check_url(auth, endpoint, outbound, errors);
    }
    if let Some(path) = &auth.jwks_file {
        errors.extend(keyring::read_set(path.as_ref()).err().map(ConfigError::Auth));
    }
}

fn check_url(auth: &Auth, endpoint: &Endpoint, outbound: &OutboundRules, errors: &mut Vec<ConfigError>) {
    let (key, value) = ("auth.jwks_url", endpoint.origin());
    if auth.jwks_file.is_some() {
        errors.push(conflict(key, &value, "there is one key set: give it, or `auth.jwks_file`"));
    }
    if !endpoint.is_encrypted() {
        let rule = "whoever sits between could put in keys of their own; it must be `https`";
        errors.push(ConfigError::Insecure { key, value, rule });
    } else if !outbound.may_call(endpoint) {
        let rule = "only public addresses are called; list others in `outbound.allow`";
        errors.push(ConfigError::Insecure { key, value, rule });
    }
}

fn conflict(key: &'static str, value: &str, rule: &'static str) -> ConfigError {
    ConfigError::Conflict { key, value: format!("{value:?}"), rule }
}

/// Names and paths that may be missing.
impl Value for Option<String> {
    fn read(&mut self, given: &Given, _: &RangeInclusive<u64>) -> Option<()> {
        *self = Some(given.text()?).filter(|text| !text.is_empty()).map(String::from);
        Some(())
    }

    fn show(&self) -> toml::Value {
        self.clone().unwrap_or_default().into()
    }

    fn rule(&self, _: &RangeInclusive<u64>) -> String {
        "a text".into()
    }
}

impl Value for Option<Endpoint> {
    fn read(&mut self, given: &Given, _: &RangeInclusive<u64>) -> Option<()> {
        *self = match given.text()? {
            "" => None,
            url => Some(url.parse().ok()?),
        };
        Some(())
    }

    fn show(&self) -> toml::Value {
        self.as_ref().map_or("", Endpoint::as_str).into()
    }

    fn rule(&self, _: &RangeInclusive<u64>) -> String {
        "an `https` URL without a name and password in it, or empty".into()
    }
}

impl Value for TokenType {
    fn read(&mut self, given: &Given, _: &RangeInclusive<u64>) -> Option<()> {
        let is_type = |text: &&str| {
            (1..=64).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte))
        };
        self.0 = given.text().filter(is_type)?.into();
        Some(())
    }

    fn show(&self) -> toml::Value {
        self.0.clone().into()
    }

    fn rule(&self, _: &RangeInclusive<u64>) -> String {
        "a type such as JWT or at+jwt".into()
    }
}
