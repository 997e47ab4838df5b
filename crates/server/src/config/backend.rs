//! What the server says to other servers, and what it asks them; and where it writes who did what.

use std::fmt;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use parlour_protocol::RoomName;
use serde::Deserialize;

use super::value::{Given, Value};
use super::{ConfigError, Network, PemFile};
use crate::hooks::event::EventKind;
use crate::hooks::sign::Signer;
use crate::outbound::Endpoint;

/// Everything about other servers of the operator, and the audit log.
#[derive(Debug, Clone, Default)]
pub struct Backend {
    /// Which addresses may be called.
    pub outbound: OutboundRules,
    /// Who is told what happens.
    pub webhooks: Vec<WebhookRule>,
    /// Who is asked before something happens.
    pub hooks: Vec<HookRule>,
    /// Where it is written who did what.
    pub audit: AuditPath,
}

/// Which addresses may be called.
#[derive(Debug, Clone, Default)]
pub struct OutboundRules {
    /// Addresses that are not public and may be called all the same, also without encryption.
    pub allow: Vec<Network>,
    /// Authorities that are believed beside those of the system, in PEM.
    pub ca: Option<PemFile>,
}

/// Which rooms a rule is about: a name, or a prefix followed by `*`.
///
/// Private conversations are concerned only where the pattern begins like their names, with `@`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomPattern(pub String);

impl RoomPattern {
    /// Whether a room is concerned.
    #[must_use]
    pub fn matches(&self, room: &RoomName) -> bool {
        (!room.is_private() || self.0.starts_with('@')) && parlour_hub::rules::matches(&self.0, room.as_str())
    }
}

/// One `[[webhook]]`.
#[derive(Debug, Clone)]
pub struct WebhookRule {
    /// Names it in metrics, in the store and on the administration address.
    pub name: String,
    /// Where events go.
    pub endpoint: Endpoint,
    /// Signs what is sent.
    pub signer: Signer,
    /// Which events.
    pub events: Vec<EventKind>,
    /// Of which rooms, as far as they are about one.
    pub rooms: RoomPattern,
    /// Attempts after which an event becomes a dead letter.
    pub max_attempts: u32,
    /// Age at which an event becomes a dead letter if the endpoint still fails.
    pub max_age: Duration,
}

impl WebhookRule {
    /// Whether an event is wanted; `room` is the room that it is about, if it is about one.
    #[must_use]
    pub fn wants(&self, kind: EventKind, room: Option<&RoomName>) -> bool {
        self.events.contains(&kind) && room.is_none_or(|room| self.rooms.matches(room))
    }
}

/// One `[[hook]]`.
#[derive(Debug, Clone)]
pub struct HookRule {
    /// What is asked about.
    pub on: Occasion,
    /// Who is asked.
    pub endpoint: Endpoint,
    /// Signs the question.
    pub signer: Signer,
    /// About which rooms.
    pub rooms: RoomPattern,
    /// How long the answer is awaited.
    pub within: Duration,
    /// What holds when there is no answer.
    pub on_failure: OnFailure,
}

/// What a hook is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// A user comes.
    Connect,
    /// A user enters a room.
    Join,
    /// A user says or edits something.
    Publish,
}

impl Occasion {
    /// Returns the word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Join => "join",
            Self::Publish => "publish",
        }
    }
}

/// What holds when a hook does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// It does not happen; clients may try again.
    Deny,
    /// It happens.
    Allow,
}

/// Where the audit log is; without a path in the data directory, if there is one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditPath(pub Option<PathBuf>);

impl Value for AuditPath {
    fn read(&mut self, given: &Given, _: &RangeInclusive<u64>) -> Option<()> {
        self.0 = Some(given.text()?).filter(|path| !path.is_empty()).map(PathBuf::from);
        Some(())
    }

    fn show(&self) -> toml::Value {
        self.0.as_ref().map_or_else(String::new, |path| path.display().to_string()).into()
    }

    fn rule(&self, _: &RangeInclusive<u64>) -> String {
        "a file, or empty".into()
    }
}

/// The tables of the file.
#[derive(Deserialize)]
pub(super) struct RawBackend {
    #[serde(default)]
    webhook: Vec<RawWebhook>,
    #[serde(default)]
    hook: Vec<RawHook>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWebhook {
    name: Option<String>,
    url: String,
    secret_file: PathBuf,
    events: Option<Vec<EventKind>>,
    rooms: Option<String>,
    max_attempts: Option<NonZeroU32>,
    max_age_s: Option<NonZeroU32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHook {
    on: Occasion,
    url: String,
    secret_file: PathBuf,
    rooms: Option<String>,
    timeout_ms: Option<u64>,
    on_failure: OnFailure,
}

/// Hours of a backend's outage that most operators notice within.
const MAX_AGE_S: u32 = 24 * 3_600;
/// More than the attempts of such an outage.
const MAX_ATTEMPTS: u32 = 1_000;
const HOOK_MS: u64 = 1_000;
const HOOK_RANGE_MS: RangeInclusive<u64> = 10..=5_000;

impl RawBackend {
    /// Takes over what is in order, and notes what is not.
    pub(super) fn fill(self, backend: &mut Backend, errors: &mut Vec<ConfigError>) {
        for raw in self.webhook {
            match raw.check() {
                Ok(rule) if backend.webhooks.iter().any(|other| other.name == rule.name) => {
                    errors.push(ConfigError::Conflict {
                        key: "webhook.name",
                        value: format!("{:?}", rule.name),
                        rule: "each webhook has a name of its own; two with the same URL need `name`",
                    });
                }
                Ok(rule) => backend.webhooks.push(rule),
                Err(error) => errors.push(error),
            }
        }
        for raw in self.hook {
            match raw.check() {
                Ok(rule) => backend.hooks.push(rule),
                Err(error) => errors.push(error),
            }
        }
    }
}

impl RawWebhook {
    fn check(self) -> Result<WebhookRule, ConfigError> {
        let name = self.name.unwrap_or_else(|| short_name(&self.url));
        let is_name = (1..=32).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if !is_name {
            let rule = "it must be 1 to 32 letters, digits, hyphens, underscores and full stops";
            return Err(ConfigError::Conflict { key: "webhook.name", value: format!("{name:?}"), rule });
        }
        let seconds = self.max_age_s.map_or(MAX_AGE_S, NonZeroU32::get);
        Ok(WebhookRule {
            name,
            endpoint: endpoint("webhook.url", &self.url)?,
            signer: signer("webhook.secret_file", &self.secret_file)?,
            events: self.events.unwrap_or_else(|| EventKind::ALL.into()),
            rooms: pattern("webhook.rooms", self.rooms)?,
            max_attempts: self.max_attempts.map_or(MAX_ATTEMPTS, NonZeroU32::get),
            max_age: Duration::from_secs(seconds.into()),
        })
    }
}

impl RawHook {
    fn check(self) -> Result<HookRule, ConfigError> {
        let timeout_ms = self.timeout_ms.unwrap_or(HOOK_MS);
        if !HOOK_RANGE_MS.contains(&timeout_ms) {
            let rule = "it must be from 10 to 5000: a client waits for it";
            return Err(ConfigError::Conflict {
                key: "hook.timeout_ms",
                value: timeout_ms.to_string(),
                rule,
            });
        }
        Ok(HookRule {
            on: self.on,
            endpoint: endpoint("hook.url", &self.url)?,
            signer: signer("hook.secret_file", &self.secret_file)?,
            rooms: pattern("hook.rooms", self.rooms)?,
            within: Duration::from_millis(timeout_ms),
            on_failure: self.on_failure,
        })
    }
}

/// A name that stays the same as long as the URL does.
fn short_name(url: &str) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(url)[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn endpoint(key: &'static str, url: &str) -> Result<Endpoint, ConfigError> {
    // Not repeated: it may hold a secret.
    let value = || format!("a URL of {} characters", url.chars().count());
    let rule = "it must be an `https` URL, or an `http` one of an address in `outbound.allow`, without a name and \
                password in it";
    url.parse().map_err(|_| ConfigError::Conflict { key, value: value(), rule })
}

fn pattern(key: &'static str, given: Option<String>) -> Result<RoomPattern, ConfigError> {
    let pattern = given.unwrap_or_else(|| "*".into());
    let prefix = pattern.strip_suffix('*').unwrap_or(&pattern);
    if pattern.is_empty() || prefix.contains('*') {
        let rule = "it must be a name, or a prefix followed by one `*`";
        return Err(ConfigError::Conflict { key, value: pattern, rule });
    }
    Ok(RoomPattern(pattern))
}

fn signer(key: &'static str, path: &Path) -> Result<Signer, ConfigError> {
    let secrets = super::sources::read_secret(key, path)?;
    Signer::new(&secrets).ok_or_else(|| ConfigError::Insecure {
        key,
        value: path.display().to_string(),
        rule: "it must hold a secret of at least 32 characters, or two of them in two lines while you \
               change it; `openssl rand -hex 32` makes one",
    })
}

/// Refuses what could never be called.
pub(super) fn check(backend: &Backend, errors: &mut Vec<ConfigError>) {
    let webhooks = backend.webhooks.iter().map(|rule| ("webhook.url", &rule.endpoint));
    let hooks = backend.hooks.iter().map(|rule| ("hook.url", &rule.endpoint));
    for (key, endpoint) in webhooks.chain(hooks) {
        if !backend.outbound.may_call(endpoint) {
            errors.push(ConfigError::Insecure {
                key,
                value: endpoint.origin(),
                rule: "only public addresses are called, by `https`; list others in `outbound.allow`",
            });
        }
    }
}

impl OutboundRules {
    /// Whether an endpoint may be called, as far as its URL tells; a name is looked at when it is called.
    #[must_use]
    pub fn may_call(&self, endpoint: &Endpoint) -> bool {
        match endpoint.address() {
            Some(address) => self.permits(address, endpoint.is_encrypted()),
            None => endpoint.is_encrypted() || !self.allow.is_empty(),
        }
    }

    /// Whether an address may be called.
    #[must_use]
    pub fn permits(&self, address: std::net::IpAddr, is_encrypted: bool) -> bool {
        self.allow.iter().any(|network| network.contains(address))
            || (is_encrypted && crate::outbound::is_public(address))
    }
}

impl fmt::Display for RoomPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::config::{Config, Flags, Mode};

    /// Reads a configuration in which `SECRET` stands for a file with a good secret.
    fn read(toml: &str, secret: &str, mode: u32) -> Result<Backend, String> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), secret).expect("written");
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).expect("changed");
        let toml = toml.replace("SECRET", &file.path().display().to_string());
        let config = Config::from_sources(Some(&toml), std::iter::empty(), Flags::new(Mode::Serve));
        config.map(|config| config.backend).map_err(|errors| errors.to_string())
    }

    const GOOD: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn webhooks_and_hooks_are_read() {
        let toml = "[outbound]\nallow = [\"10.0.0.0/8\"]\n\
            [[webhook]]\nurl = \"https://a.example/x\"\nsecret_file = \"SECRET\"\nevents = [\"online\", \"room_vacated\"]\n\
            rooms = \"support:*\"\nname = \"support\"\n\
            [[webhook]]\nurl = \"http://10.1.2.3:9000/\"\nsecret_file = \"SECRET\"\n\
            [[hook]]\non = \"publish\"\nurl = \"https://a.example/y\"\nsecret_file = \"SECRET\"\non_failure = \"allow\"";
        let backend = read(toml, GOOD, 0o600).expect("valid");
        let [support, all] = &backend.webhooks[..] else {
            unreachable!("two webhooks");
        };
        assert_eq!(
            (support.name.as_str(), support.events.len(), support.rooms.0.as_str()),
            ("support", 2, "support:*")
        );
        assert_eq!((all.name.len(), all.events.len(), all.max_age.as_secs()), (8, 8, 86_400));
        let [hook] = &backend.hooks[..] else {
            unreachable!("one hook");
        };
        assert_eq!(
            (hook.on, hook.on_failure, hook.within.as_millis()),
            (Occasion::Publish, OnFailure::Allow, 1_000)
        );
        let room = |name: &str| RoomName::parse_any(name).expect("valid");
        assert!(support.rooms.matches(&room("support:1")) && !support.rooms.matches(&room("general")));
        assert!(all.rooms.matches(&room("general")) && !all.rooms.matches(&room("@Alice,Bob")));
    }

    #[test]
    fn what_could_not_be_called_or_trusted_is_refused() {
        let webhook = |rest: &str| format!("[[webhook]]\nsecret_file = \"SECRET\"\n{rest}");
        for (toml, secret, mode, words) in [
            (webhook("url = \"https://127.0.0.1/\""), GOOD, 0o600, "outbound.allow"),
            (webhook("url = \"https://0x7f.1/\""), GOOD, 0o600, "webhook.url"),
            (webhook("url = \"https://[::ffff:169.254.169.254]/\""), GOOD, 0o600, "webhook.url"),
            (webhook("url = \"http://a.example/\""), GOOD, 0o600, "webhook.url"),
            (webhook("url = \"https://u:s3cret@a.example/\""), GOOD, 0o600, "webhook.url"),
            (webhook("url = \"https://a.example/\""), "short", 0o600, "at least 32 characters"),
            (webhook("url = \"https://a.example/\""), GOOD, 0o644, "readable by everybody"),
            (webhook("url = \"https://a.example/\"\nevents = [\"fly\"]"), GOOD, 0o600, "fly"),
            (webhook("url = \"https://a.example/\"\nname = \"a b\""), GOOD, 0o600, "webhook.name"),
            (webhook("url = \"https://a.example/\"\nrooms = \"a*b\""), GOOD, 0o600, "webhook.rooms"),
            (webhook("url = \"https://a.example/\"\nsecret = \"x\""), GOOD, 0o600, "secret"),
            (
                "[[hook]]\non = \"join\"\nurl = \"https://a.example/\"\nsecret_file = \"SECRET\"\ntimeout_ms = 9\n\
                 on_failure = \"deny\""
                    .into(),
                GOOD,
                0o600,
                "hook.timeout_ms",
            ),
            ("[[hook]]\non = \"join\"\nurl = \"https://a.example/\"\nsecret_file = \"SECRET\"".into(), GOOD, 0o600, "on_failure"),
        ] {
            let refusal = read(&toml, secret, mode).expect_err(&toml);
            assert!(refusal.contains(words), "{words:?} is missing in {refusal}");
            assert!(!refusal.contains("s3cret") && !refusal.contains(GOOD), "{refusal}");
        }
        let twice = webhook("url = \"https://a.example/\"\n") + &webhook("url = \"https://a.example/\"");
        assert!(read(&twice, GOOD, 0o600).expect_err("the same name").contains("webhook.name"));
    }
}
