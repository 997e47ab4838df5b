//! Keys of backends: who may use the API, and for what.
//!
//! A key is `parlour_<id>_<secret>`. The server keeps only its SHA-256: a secret of 32 random bytes
//! needs no slow hash, and whoever reads the configuration cannot use it.

use std::fmt;
use std::hint::black_box;

use compact_str::CompactString;
use parlour_hub::rights::{Action, Grants, Rights};
use parlour_hub::rules::matches;
use parlour_protocol::{RoomName, UserId};
use sha2::{Digest as _, Sha256};

/// What every key begins with, so that a scanner for leaked secrets finds it.
const PREFIX: &str = "parlour_";
/// Bytes of the random secret.
const SECRET_BYTES: usize = 32;
/// Shortest secret that is accepted, in bytes of text.
const SHORTEST_SECRET: usize = 32;
/// Longest id, in bytes.
const ID_BYTES: usize = 32;

/// Something that a key may be good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Say things, as the key's own sender.
    Publish,
    /// Read messages.
    History,
    /// See who is there.
    Presence,
    /// List and look at rooms.
    Rooms,
    /// Act for users: say things in their names, move and end their connections.
    Users,
    /// Give roles.
    Moderate,
    /// Mint and revoke credentials.
    Tokens,
    /// See what the server does.
    Stats,
}

impl Scope {
    /// All of them, in the order of documents.
    pub const ALL: [Self; 8] = [
        Self::Publish,
        Self::History,
        Self::Presence,
        Self::Rooms,
        Self::Users,
        Self::Moderate,
        Self::Tokens,
        Self::Stats,
    ];

    /// Returns the word for it in configurations.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::History => "history",
            Self::Presence => "presence",
            Self::Rooms => "rooms",
            Self::Users => "users",
            Self::Moderate => "moderate",
            Self::Tokens => "tokens",
            Self::Stats => "stats",
        }
    }

    /// Finds the scopes of a word: one, or all for `all`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Vec<Self>> {
        match word {
            "all" => Some(Self::ALL.to_vec()),
            word => Self::ALL.into_iter().find(|scope| scope.word() == word).map(|scope| vec![scope]),
        }
    }

    /// Returns what it allows in a room.
    fn rights(self) -> Rights {
        let actions: &[Action] = match self {
            Self::Publish => &[Action::Join, Action::Publish],
            Self::History => &[Action::Join, Action::Read, Action::History],
            Self::Presence => &[Action::Join, Action::Presence],
            Self::Rooms => &[Action::Join, Action::Read],
            Self::Moderate => &[Action::Join, Action::Read, Action::Publish, Action::Moderate],
            Self::Users | Self::Tokens | Self::Stats => &[],
        };
        actions.iter().copied().collect()
    }
}

/// The hash of a key.
#[derive(Clone, Copy)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Hashes a key.
    #[must_use]
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key).into())
    }

    /// Reads 64 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (digits, rest) = text.as_bytes().as_chunks::<2>();
        let mut bytes = [0; 32];
        if digits.len() != bytes.len() || !rest.is_empty() {
            return None;
        }
        for (byte, digits) in bytes.iter_mut().zip(digits) {
            let digit = |c: u8| char::from(c).to_digit(16);
            *byte = u8::try_from(digit(digits[0])? << 4 | digit(digits[1])?).ok()?;
        }
        Some(Self(bytes))
    }

    /// Compares in a time that says nothing about where they differ.
    fn equals(self, other: Self) -> bool {
        let differences = self.0.iter().zip(other.0).fold(0, |sum, (a, b)| black_box(sum | (a ^ b)));
        differences == 0
    }
}

/// The configuration holds it, and configurations are shown.
impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(..)")
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A key, as far as the server knows it.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its name, in logs and in the key itself. Two keys may share it while one replaces the other.
    pub id: CompactString,
    /// Its hash.
    pub digest: Digest,
    /// What it is good for.
    pub scopes: Vec<Scope>,
    /// Patterns of the rooms in which it is; private conversations only by those that begin with `@`.
    pub rooms: Vec<CompactString>,
    /// Who says what it says.
    pub sender: UserId,
}

impl Key {
    /// Whether it is good for something.
    #[must_use]
    pub fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// Whether it is good in a room.
    #[must_use]
    pub fn covers(&self, room: &RoomName) -> bool {
        self.patterns(room.is_private()).any(|pattern| matches(pattern, room.as_str()))
    }

    /// Returns what it allows in rooms.
    #[must_use]
    pub fn grants(&self) -> Grants {
        let rights = self.scopes.iter().fold(Rights::NONE, |sum, scope| sum | scope.rights());
        Grants(self.rooms.iter().map(|pattern| (pattern.clone(), rights)).collect())
    }

    /// A pattern for rooms does not mean what two people tell each other.
    fn patterns(&self, private: bool) -> impl Iterator<Item = &CompactString> {
        self.rooms.iter().filter(move |pattern| pattern.starts_with('@') == private)
    }
}

/// Finds the key that was shown; equally slow whether its id is known or not.
#[must_use]
pub fn find<'a>(keys: &'a [Key], shown: &str) -> Option<&'a Key> {
    let digest = Digest::of(shown);
    let mut found = None;
    for key in keys {
        if key.digest.equals(digest) {
            found = Some(key);
        }
    }
    found
}

/// Makes a key with a random secret.
///
/// # Panics
/// If the operating system has no random numbers.
#[must_use]
pub fn generate(id: &str) -> String {
    let mut secret = [0; SECRET_BYTES];
    getrandom::fill(&mut secret).expect("the operating system has random numbers");
    let mut key = format!("{PREFIX}{id}_");
    secret.iter().for_each(|byte| key.push_str(&format!("{byte:02x}")));
    key
}

/// Whether a text looks like a key, rather than like a token of a user.
#[must_use]
pub fn is_like_a_key(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// Whether a text may name a key: without `_`, which separates it from the secret.
#[must_use]
pub fn is_id(id: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=ID_BYTES).contains(&id.len()) && id.bytes().all(is_plain)
}

/// Whether a text is a key of this id with a secret that is long enough.
#[must_use]
pub fn is_key(text: &str, id: &str) -> bool {
    let secret = text.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix(id)?.strip_prefix('_'));
    secret.is_some_and(|secret| {
        secret.len() >= SHORTEST_SECRET && secret.bytes().all(|byte| byte.is_ascii_graphic())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str, rooms: &[&str], scopes: &[Scope]) -> Key {
        Key {
            id: "backend".into(),
            digest: Digest::of(text),
            scopes: scopes.to_vec(),
            rooms: rooms.iter().map(|room| (*room).into()).collect(),
            sender: UserId::parse("backend").expect("valid"),
        }
    }

    #[test]
    fn two_keys_of_one_name_are_both_good() {
        let (old, new) = (generate("backend"), generate("backend"));
        let keys = [key(&old, &["*"], &[Scope::Publish]), key(&new, &["*"], &[Scope::History])];
        assert!(find(&keys, &old).is_some_and(|key| key.has(Scope::Publish)));
        assert!(find(&keys, &new).is_some_and(|key| key.has(Scope::History)));
        assert!(find(&keys, "parlour_backend_").is_none() && find(&keys, "").is_none());
        assert!(is_key(&old, "backend") && !is_key(&old, "back") && !is_key("parlour_a_short", "a"));
    }

    #[test]
    fn a_hash_is_written_as_it_is_read() {
        let digest = Digest::of("parlour_a_b");
        let text = digest.to_string();
        assert!(Digest::parse(&text).is_some_and(|read| read.equals(digest)));
        assert!(Digest::parse(&text.to_uppercase()).is_some_and(|read| read.equals(digest)));
        for bad in ["", &text[1..], &text.replace(&text[..1], "g"), &format!("{text}00")] {
            assert!(Digest::parse(bad).is_none(), "{bad}");
        }
        assert_eq!(format!("{digest:?}"), "Digest(..)");
    }

    #[test]
    fn patterns_of_rooms_do_not_cover_conversations() {
        let room = |name| RoomName::parse_any(name).expect("valid");
        let all = key("x", &["*"], &[Scope::History]);
        assert!(all.covers(&room("general")) && !all.covers(&room("@Alice,Bob")));
        let private = key("x", &["orders:*", "@*"], &[Scope::History]);
        assert!(private.covers(&room("@Alice,Bob")) && private.covers(&room("orders:1")));
        assert!(!private.covers(&room("general")));
        let rights = private.grants().in_room(&room("orders:1"));
        assert!(rights.has(Action::History) && !rights.has(Action::Publish));
    }
}
