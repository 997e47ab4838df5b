//! Fills a [`Config`] from a TOML file, then the environment, then flags.

use std::num::{NonZeroU32, NonZeroU64};
use std::path::Path;

use parlour_hub::rights::Access;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::api_key::RawApiKeys;
use super::auth::RawTables;
use super::backend::RawBackend;
use super::filter::RawFilters;
use super::settings::{Setting, find, nearest};
use super::value::Given;
use super::{Config, ConfigError, ConfigErrors, Retention, RoomRule, check};

/// Prefix of our environment variables.
const PREFIX: &str = "PARLOUR_";
/// Suffix of variables that name a file with the value.
const FILE: &str = "_FILE";

/// Which defaults and rules hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Development: anonymous, loopback only.
    Dev,
    /// Production.
    Serve,
}

/// What the command line says.
#[derive(Debug, Clone)]
pub struct Flags {
    /// Which defaults and rules hold.
    pub mode: Mode,
    /// Options by key, such as `("limits.history", "500")`.
    pub settings: Vec<(String, String)>,
}

impl Flags {
    /// Flags that say nothing but the mode.
    #[must_use]
    pub fn new(mode: Mode) -> Self {
        Self { mode, settings: Vec::new() }
    }

    /// Sets an option, if there is a value.
    #[must_use]
    pub fn with(mut self, key: &str, value: Option<impl ToString>) -> Self {
        self.settings.extend(value.map(|value| (key.to_owned(), value.to_string())));
        self
    }
}

impl Config {
    /// Reads a configuration: defaults, then `toml`, then `env`, then `flags`.
    ///
    /// Reads no environment and no file but those that `*_FILE` variables, `tls` and `auth` name; the limits of the
    /// machine fill in `shards` and `limits.connections` where they are 0.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    ///
    /// ```
    /// use parlour_server::config::{Config, Flags, Mode};
    ///
    /// let env = [("PARLOUR_LIMITS__RATE_PER_S".to_owned(), "50".to_owned())];
    /// let flags = Flags::new(Mode::Dev).with("listen", Some("127.0.0.1:9000"));
    /// let config = Config::from_sources(Some("shards = 2"), env.into_iter(), flags)?;
    /// assert_eq!((config.shards, config.limits.rate_per_s, config.listen.port()), (2, 50, 9000));
    /// # Ok::<(), parlour_server::config::ConfigErrors>(())
    /// ```
    pub fn from_sources(
        toml: Option<&str>,
        env: impl Iterator<Item = (String, String)>,
        flags: Flags,
    ) -> Result<Self, ConfigErrors> {
        let mut reading = Reading {
            config: match flags.mode {
                Mode::Dev => Self::dev_defaults(),
                Mode::Serve => Self::default(),
            },
            errors: Vec::new(),
        };
        reading.toml(toml.unwrap_or_default());
        reading.environment(env);
        for (key, value) in flags.settings {
            reading.set("command line", &key, &Given::Text(value));
        }
        let Reading { config, mut errors } = reading;
        let config = config.resolved();
        check::check(&config, &mut errors);
        if errors.is_empty() { Ok(config) } else { Err(ConfigErrors(errors)) }
    }
}

struct Reading {
    config: Config,
    errors: Vec<ConfigError>,
}

/// One `[[room]]` of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRoom {
    pattern: String,
    #[serde(default = "durable")]
    durable: bool,
    access: Option<RawAccess>,
    create: Option<bool>,
    compress: Option<bool>,
    keep_days: Option<NonZeroU32>,
    keep_messages: Option<NonZeroU64>,
    keep_bytes: Option<NonZeroU64>,
}

impl From<RawRoom> for RoomRule {
    fn from(raw: RawRoom) -> Self {
        let retention = Retention {
            days: raw.keep_days.map(NonZeroU32::get),
            messages: raw.keep_messages.map(NonZeroU64::get),
            bytes: raw.keep_bytes.map(NonZeroU64::get),
        };
        // Rooms that are not stored carry what is small, frequent and soon replaced.
        let compress = raw.compress.unwrap_or(raw.durable);
        let access = raw.access.map(Access::from);
        let RawRoom { pattern, durable, create, .. } = raw;
        Self { pattern, durable, access, create, compress, retention }
    }
}

/// `access` of a `[[room]]`.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawAccess {
    Public,
    Members,
    ReadOnly,
    Announcement,
}

impl From<RawAccess> for Access {
    fn from(raw: RawAccess) -> Self {
        match raw {
            RawAccess::Public => Self::Public,
            RawAccess::Members => Self::Members,
            RawAccess::ReadOnly => Self::ReadOnly,
            RawAccess::Announcement => Self::Announcement,
        }
    }
}

fn durable() -> bool {
    true
}

#[derive(Deserialize)]
struct RawRooms {
    #[serde(default)]
    room: Vec<RawRoom>,
}

impl Reading {
    fn toml(&mut self, text: &str) {
        let Some(table) = self.tables::<toml::Table>(text) else { return };
        if let Some(raw) = self.tables::<RawRooms>(text) {
            // Before the defaults, because the first match counts.
            drop(self.config.rooms.splice(0..0, raw.room.into_iter().map(RoomRule::from)));
        }
        if let Some(raw) = self.tables::<RawFilters>(text) {
            raw.fill(&mut self.config.filters, &mut self.errors);
        }
        if let Some(raw) = self.tables::<RawBackend>(text) {
            raw.fill(&mut self.config.backend, &mut self.errors);
        }
        if let Some(raw) = self.tables::<RawTables>(text) {
            raw.fill(&mut self.config.auth, &mut self.errors);
        }
        if let Some(raw) = self.tables::<RawApiKeys>(text) {
            raw.fill(&mut self.config.api_keys, &mut self.errors);
        }
        for (key, value) in table {
            match value {
                _ if matches!(key.as_str(), "room" | "webhook" | "hook" | "api_key") => {}
                toml::Value::Table(section) => {
                    let is_option = |(name, _): &(String, _)| key != "auth" || name != "key";
                    for (name, value) in section.into_iter().filter(is_option) {
                        self.set("configuration", &format!("{key}.{name}"), &Given::Toml(value));
                    }
                }
                value => self.set("configuration", &key, &Given::Toml(value)),
            }
        }
    }

    /// Reads some of the tables, or notes why they cannot be read.
    fn tables<T: DeserializeOwned>(&mut self, text: &str) -> Option<T> {
        let noted = |error| self.errors.push(ConfigError::syntax(text, &error));
        toml::from_str(text).map_err(noted).ok()
    }

    fn environment(&mut self, env: impl Iterator<Item = (String, String)>) {
        let mut env: Vec<_> = env.filter(|(name, _)| is_ours(name)).collect();
        // What is meant for us alone counts more than what others read too.
        env.sort_by_key(|(name, _)| name.starts_with(PREFIX));
        for (name, value) in &env {
            // An option may end like that itself: `auth.jwks_file`.
            match name.strip_suffix(FILE).filter(|_| option(name).is_none()) {
                Some(stem) if env.iter().any(|(other, _)| other == stem) => {
                    self.errors.push(ConfigError::Twice { variable: stem.into() });
                }
                Some(stem) => match read_secret(name, Path::new(value)) {
                    Ok(secret) => self.variable(stem, secret),
                    Err(error) => self.errors.push(error),
                },
                None => self.variable(name, value.clone()),
            }
        }
    }

    fn variable(&mut self, name: &str, value: String) {
        match (name, name.strip_prefix(PREFIX)) {
            // In development they are likely to be meant for another program of the same project.
            ("DATABASE_URL" | "REDIS_ADDR", _) if self.config.dev => {}
            ("DATABASE_URL", _) => self.set(name, "database", &Given::Text(value)),
            ("REDIS_ADDR", _) => {
                let (variable, what) = ("REDIS_ADDR", "a Redis broker");
                self.errors.push(ConfigError::Unsupported { variable, what });
            }
            (_, Some(path)) => {
                let key = path.to_ascii_lowercase().replace("__", ".");
                self.set(name, &key, &Given::Text(value));
            }
            _ => {}
        }
    }

    fn set(&mut self, place: &str, key: &str, given: &Given) {
        let Some(setting) = find(key) else {
            let (place, key) = (place.into(), key.to_owned());
            let nearest = nearest(&key);
            return self.errors.push(ConfigError::Unknown { place, key, nearest });
        };
        let field = (setting.field)(&mut self.config);
        if field.read(given, &setting.range).is_none() {
            self.errors.push(ConfigError::Invalid {
                place: place.into(),
                key: setting.key,
                value: field.quote(given),
                rule: field.rule(&setting.range),
            });
        }
    }
}

/// Returns the option that a variable is called after, if there is one.
fn option(variable: &str) -> Option<&'static Setting> {
    find(&variable.strip_prefix(PREFIX)?.to_ascii_lowercase().replace("__", "."))
}

/// Whether a variable is meant for us. `PARLOUR_TOKEN` is for clients, `PARLOUR_BIN` and
/// `PARLOUR_BLESS` are for tests, and Kubernetes sets `PARLOUR_PORT`, `PARLOUR_SERVICE_HOST` and the
/// like in every container beside a service called `parlour`.
fn is_ours(name: &str) -> bool {
    let stem = name.strip_suffix(FILE).unwrap_or(name);
    match stem.strip_prefix(PREFIX) {
        Some("TOKEN" | "BIN" | "BLESS" | "PORT") => false,
        Some(rest) => !rest.starts_with("SERVICE_") && !rest.starts_with("PORT_"),
        None => matches!(stem, "DATABASE_URL" | "REDIS_ADDR"),
    }
}

/// Reads a file that holds one value; its last line break does not count.
pub(super) fn read_secret(variable: &str, path: &Path) -> Result<String, ConfigError> {
    use std::os::unix::fs::PermissionsExt as _;
    let shown = || (variable.to_owned(), path.display().to_string());
    let unreadable = |error: std::io::Error| {
        let (variable, path) = shown();
        ConfigError::Unreadable { variable, path, kind: error.kind() }
    };
    let mode = std::fs::metadata(path).map_err(unreadable)?.permissions().mode();
    if mode & 0o004 != 0 {
        let (variable, path) = shown();
        return Err(ConfigError::WorldReadable { variable, path });
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
