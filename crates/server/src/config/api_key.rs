//! `[[api_key]]`: the keys of backends.

use std::path::PathBuf;

use parlour_protocol::UserId;
use serde::Deserialize;

use super::ConfigError;
use super::sources::read_secret;
use crate::api::key::{self, Digest, Key, Scope};

/// Keys of one id: the old one and the new one.
const SAME_ID: usize = 2;

/// The tables of the file.
#[derive(Deserialize)]
pub(super) struct RawApiKeys {
    #[serde(default)]
    api_key: Vec<RawApiKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawApiKey {
    id: String,
    secret_file: Option<PathBuf>,
    sha256: Option<String>,
    scopes: Vec<String>,
    rooms: Option<Vec<String>>,
    sender: Option<String>,
}

impl RawApiKeys {
    /// Takes over what is in order, and notes what is not.
    pub(super) fn fill(self, keys: &mut Vec<Key>, errors: &mut Vec<ConfigError>) {
        for raw in self.api_key {
            match raw.check() {
                Ok(key) if keys.iter().filter(|other| other.id == key.id).count() >= SAME_ID => {
                    let rule = "two keys may share an id, the old one and the new one, but not three";
                    errors.push(conflict("api_key.id", &key.id, rule));
                }
                Ok(key) => keys.push(key),
                Err(error) => errors.push(error),
            }
        }
    }
}

impl RawApiKey {
    fn check(self) -> Result<Key, ConfigError> {
        if !key::is_id(&self.id) {
            let rule = "an id is 1 to 32 lower-case letters, digits and hyphens";
            return Err(conflict("api_key.id", &self.id, rule));
        }
        let digest = self.digest()?;
        let mut scopes = Vec::new();
        for word in &self.scopes {
            let rule = "the scopes are publish, history, presence, rooms, users, moderate, tokens, stats, \
                        and all";
            let found = Scope::parse(word).ok_or_else(|| conflict("api_key.scopes", word, rule))?;
            scopes.extend(found.into_iter().filter(|scope| !scopes.contains(scope)).collect::<Vec<_>>());
        }
        let rooms = self.rooms.unwrap_or_else(|| vec!["*".to_owned()]);
        let is_pattern = |room: &&String| room.is_empty() || room.trim_end_matches('*').contains('*');
        if let Some(room) = rooms.iter().find(is_pattern) {
            let rule = "it must be a name, or a prefix followed by one `*`";
            return Err(conflict("api_key.rooms", room, rule));
        }
        let name = self.sender.as_ref().unwrap_or(&self.id);
        let rule = "it must be a user id: the name under which messages appear";
        let sender = UserId::parse(name).map_err(|_| conflict("api_key.sender", name, rule))?;
        Ok(Key {
            id: self.id.into(),
            digest,
            scopes,
            rooms: rooms.into_iter().map(Into::into).collect(),
            sender,
        })
    }

    fn digest(&self) -> Result<Digest, ConfigError> {
        match (&self.secret_file, &self.sha256) {
            (None, Some(hash)) => {
                let rule = "it must be 64 hexadecimal digits, as `parlour key new` prints them";
                Digest::parse(hash).ok_or_else(|| conflict("api_key.sha256", hash, rule))
            }
            (Some(file), None) => {
                let text = read_secret("api_key.secret_file", file)?;
                let rule = "the file must hold a key of this id, as `parlour key new` prints it";
                let is_key = key::is_key(&text, &self.id);
                let refuse = || conflict("api_key.secret_file", &file.display().to_string(), rule);
                is_key.then(|| Digest::of(&text)).ok_or_else(refuse)
            }
            _ => {
                let rule = "a key has either `sha256` or `secret_file`";
                Err(conflict("api_key.id", &self.id, rule))
            }
        }
    }
}

fn conflict(key: &'static str, value: &str, rule: &'static str) -> ConfigError {
    ConfigError::Conflict { key, value: format!("{value:?}"), rule }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Flags, Mode};

    fn read(toml: &str) -> Result<Vec<Key>, String> {
        let config = Config::from_sources(Some(toml), std::iter::empty(), Flags::new(Mode::Dev));
        config.map(|config| config.api_keys).map_err(|errors| errors.to_string())
    }

    fn with(lines: &str) -> String {
        format!("[[api_key]]\nid = \"shop\"\nscopes = [\"publish\", \"history\"]\n{lines}\n")
    }

    #[test]
    fn a_key_is_known_by_its_hash_or_its_file() {
        use std::os::unix::fs::PermissionsExt;
        let shown = key::generate("shop");
        let hash = format!("sha256 = \"{}\"", Digest::of(&shown));
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("key");
        std::fs::write(&file, format!("{shown}\n")).expect("written");
        let from_file = with(&format!("secret_file = {file:?}"));
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).expect("a mode");
        for toml in [with(&hash), from_file.clone(), with(&hash).repeat(2)] {
            let keys = read(&toml).expect("accepted");
            let found = key::find(&keys, &shown).expect("found");
            assert_eq!((found.sender.as_str(), found.scopes.len()), ("shop", 2));
        }
        assert!(read(&with(&hash).repeat(3)).expect_err("three").contains("not three"));
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).expect("a mode");
        assert!(read(&from_file).expect_err("for everybody").contains("readable by everybody"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let hash = format!("sha256 = \"{}\"", "a".repeat(64));
        for (toml, part) in [
            (with(""), "either `sha256` or `secret_file`"),
            (with("sha256 = \"abc\""), "api_key.sha256"),
            (with(&hash).replace("shop", "Shop_1"), "api_key.id"),
            (with(&hash).replace("publish", "pubish"), "api_key.scopes"),
            (with(&format!("{hash}\nrooms = [\"a*b\"]")), "api_key.rooms"),
            (with(&format!("{hash}\nsender = \"\"")), "api_key.sender"),
            (with(&format!("{hash}\nroom = \"a\"")), "unknown field"),
        ] {
            let error = read(&toml).expect_err(part);
            assert!(error.contains(part), "{error}");
        }
    }
}
