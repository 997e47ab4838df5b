//! Room names and user ids: checked when parsed, valid ever after.

use std::fmt;

use compact_str::CompactString;
use serde::{Deserialize, Deserializer, Serialize};
use unicode_normalization::UnicodeNormalization;
use unicode_security::MixedScript;

use crate::limits::{ROOM_NAME_BYTES, USER_ID_BYTES};

/// The rule for room names, as told to users.
pub const ROOM_RULE: &str = "a room name is 1 to 128 bytes of printable UTF-8 in normal form C, \
     without spaces at its ends, without `*`, and does not begin with `@`";
/// The rule for user ids, as told to users.
pub const USER_RULE: &str = "a user id is 1 to 64 bytes of printable UTF-8 in normal form C, without \
     spaces at its ends and without letters of scripts that are easily confused";

/// Why a text is not a valid name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty, too long, or with a character that is not allowed.
    #[error("{0}")]
    Invalid(&'static str),
    /// Mixes scripts whose letters look alike, such as Latin and Cyrillic.
    #[error("a user id must not mix scripts whose letters look alike")]
    Confusable,
}

/// The name of a room, or of a private conversation (`@Alice,Bob`).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct RoomName(CompactString);

impl RoomName {
    /// Parses the name of a room that a client chose.
    ///
    /// # Errors
    /// [`NameError::Invalid`] with [`ROOM_RULE`].
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let starts_reserved = text.starts_with('@');
        if text.len() > ROOM_NAME_BYTES || starts_reserved || text.contains('*') || !is_printable_name(text) {
            return Err(NameError::Invalid(ROOM_RULE));
        }
        Ok(Self(text.into()))
    }

    /// Parses the name of a room or of a private conversation.
    ///
    /// # Errors
    /// [`NameError::Invalid`] with [`ROOM_RULE`].
    pub fn parse_any(text: &str) -> Result<Self, NameError> {
        let Some(pair) = text.strip_prefix('@') else {
            return Self::parse(text);
        };
        let invalid = NameError::Invalid(ROOM_RULE);
        let (a, b) = pair.split_once(',').ok_or(invalid)?;
        let name = Self::private(
            &UserId::parse(&unescape(a).ok_or(invalid)?).map_err(|_| invalid)?,
            &UserId::parse(&unescape(b).ok_or(invalid)?).map_err(|_| invalid)?,
        );
        // Only the canonical spelling is a name: one conversation, one room.
        if name.as_str() == text { Ok(name) } else { Err(invalid) }
    }

    /// Names the private conversation of two users, the same in both directions.
    ///
    /// `%` and `,` inside a user id are percent-escaped, so two pairs never share a name.
    #[must_use]
    pub fn private(one: &UserId, other: &UserId) -> Self {
        let (a, b) = if one <= other { (one, other) } else { (other, one) };
        let mut name = CompactString::const_new("@");
        escape(a.as_str(), &mut name);
        name.push(',');
        escape(b.as_str(), &mut name);
        Self(name)
    }

    /// Returns the two users of a private conversation, or `None` for a room.
    #[must_use]
    pub fn participants(&self) -> Option<(UserId, UserId)> {
        let (a, b) = self.0.strip_prefix('@')?.split_once(',')?;
        Some((UserId(unescape(a)?), UserId(unescape(b)?)))
    }

    /// Whether this is a private conversation.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.0.starts_with('@')
    }

    /// Returns the other participant of a private conversation of `user`.
    #[must_use]
    pub fn peer_of(&self, user: &UserId) -> Option<UserId> {
        match self.participants()? {
            (a, b) if a == *user => Some(b),
            (a, b) if b == *user => Some(a),
            _ => None,
        }
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Who somebody is: an account's id, or the chosen name in development mode.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct UserId(CompactString);

impl UserId {
    /// Parses a user id.
    ///
    /// # Errors
    /// [`NameError::Invalid`] with [`USER_RULE`], or [`NameError::Confusable`].
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.len() > USER_ID_BYTES || !is_printable_name(text) {
            return Err(NameError::Invalid(USER_RULE));
        }
        if !text.is_ascii() && !text.split_whitespace().all(MixedScript::is_single_script) {
            return Err(NameError::Confusable);
        }
        Ok(Self(text.into()))
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_printable_name(text: &str) -> bool {
    !text.is_empty()
        && text.trim() == text
        && !text.chars().any(is_forbidden)
        && (text.is_ascii() || text.nfc().eq(text.chars()))
}

/// Control characters, line breaks, and invisible or direction-changing characters.
///
/// A name with U+202E would turn the text around it; one with a zero-width character would look
/// like another name.
fn is_forbidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{3164}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0e}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{ffff}'
            | '\u{e0000}'..='\u{e0fff}')
}

fn escape(user: &str, out: &mut CompactString) {
    for c in user.chars() {
        match c {
            '%' => out.push_str("%25"),
            ',' => out.push_str("%2C"),
            c => out.push(c),
        }
    }
}

fn unescape(text: &str) -> Option<CompactString> {
    let mut out = CompactString::default();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        out.push(match after.get(..2)? {
            "25" => '%',
            "2C" => ',',
            _ => return None,
        });
        rest = &after[2..];
    }
    out.push_str(rest);
    Some(out)
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<'de> Deserialize<'de> for RoomName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = CompactString::deserialize(deserializer)?;
        Self::parse_any(&text).map_err(serde::de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for UserId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = CompactString::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_names_follow_their_rule() {
        for good in ["general", "live:EURUSD", "a b", "größe", "日本", &"x".repeat(128)] {
            assert!(RoomName::parse(good).is_ok(), "{good:?}");
        }
        for bad in
            ["", "a\0", "a\nb", "*", "a*", "\u{202e}x", "e\u{301}", "@a,b", " a", "a ", &"x".repeat(129)]
        {
            assert_eq!(RoomName::parse(bad), Err(NameError::Invalid(ROOM_RULE)), "{bad:?}");
        }
    }

    #[test]
    fn user_ids_that_imitate_another_script_are_refused() {
        assert_eq!(UserId::parse("аdmin"), Err(NameError::Confusable));
        for good in ["Alice", "Алиса", "Alice Алиса", "アリス愛", "a:b", "42"] {
            assert!(UserId::parse(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn a_private_conversation_has_one_name_and_gives_its_users_back() {
        let (a, b) = (UserId::parse("a,%b").expect("valid"), UserId::parse("Zoë").expect("valid"));
        let room = RoomName::private(&b, &a);
        assert_eq!(room, RoomName::private(&a, &b));
        assert_eq!(RoomName::parse_any(room.as_str()), Ok(room.clone()));
        assert_eq!(room.peer_of(&a), Some(b));
        assert!(RoomName::parse_any("@b,a").is_err(), "only the sorted spelling is a name");
    }
}
