//! Words that may not be said in some rooms.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use parlour_protocol::RoomName;

use crate::rules::applies;

/// What becomes of a message with a word that may not be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// It is refused.
    Reject,
    /// Asterisks stand in the place of the word.
    Mask,
}

/// Words that may not be said in the rooms of a pattern.
///
/// Texts are looked at word by word: a word is a run of letters and digits, and upper and lower case
/// are the same. A filter stops slips of the tongue; nobody who wants to be understood is stopped by it.
#[derive(Debug, Clone)]
pub struct Filter {
    /// A name, or a prefix followed by `*`. Private conversations are meant only by patterns with `@`.
    pub pattern: String,
    /// What becomes of the message.
    pub remedy: Remedy,
    /// In lower case.
    words: Arc<HashSet<Box<str>>>,
}

impl Filter {
    /// Builds a filter; `None` if one of the words is not a single word.
    #[must_use]
    pub fn new<'a>(pattern: &str, words: impl IntoIterator<Item = &'a str>, remedy: Remedy) -> Option<Self> {
        let words = words.into_iter().map(|word| is_word(word).then(|| folded(word).into()));
        Some(Self { pattern: pattern.to_owned(), remedy, words: Arc::new(words.collect::<Option<_>>()?) })
    }

    /// Whether it is about a room.
    #[must_use]
    pub fn is_about(&self, room: &RoomName) -> bool {
        applies(&self.pattern, room)
    }

    /// Whether a text has one of the words.
    #[must_use]
    pub fn finds(&self, text: &str) -> bool {
        self.found(text).next().is_some()
    }

    /// Puts asterisks in the place of the words; `None` if a text has none of them.
    #[must_use]
    pub fn mask(&self, text: &str) -> Option<String> {
        let mut masked = String::new();
        let mut end = 0;
        for place in self.found(text) {
            masked.push_str(&text[end..place.start]);
            masked.extend(text[place.clone()].chars().map(|_| '*'));
            end = place.end;
        }
        (end > 0).then(|| masked + &text[end..])
    }

    fn found<'a>(&'a self, text: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
        // One buffer for all words of a text.
        let mut lower = String::new();
        words(text).filter(move |place| {
            lower.clear();
            lower.extend(text[place.clone()].chars().flat_map(char::to_lowercase));
            self.words.contains(lower.as_str())
        })
    }
}

/// Lists where the words of a text are.
fn words(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + text[at..].find(char::is_alphanumeric)?;
        let end =
            text[start..].find(|c: char| !c.is_alphanumeric()).map_or(text.len(), |length| start + length);
        at = end;
        Some(start..end)
    })
}

fn is_word(word: &str) -> bool {
    !word.is_empty() && word.chars().all(char::is_alphanumeric)
}

fn folded(word: &str) -> String {
    word.chars().flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(words: &[&str]) -> Filter {
        Filter::new("*", words.iter().copied(), Remedy::Mask).expect("words")
    }

    #[test]
    fn whole_words_are_found_in_whatever_case() {
        let filter = filter(&["darn", "ÄRGER", "日本"]);
        for (text, masked) in [
            ("Darn! that DARN-thing", Some("****! that ****-thing")),
            ("darned undarn", None),
            ("ärger, Ärger", Some("*****, *****")),
            ("日本", Some("**")),
            ("日本語", None),
            ("", None),
            ("!?", None),
        ] {
            assert_eq!(filter.mask(text).as_deref(), masked, "{text}");
            assert_eq!(filter.finds(text), masked.is_some(), "{text}");
        }
    }

    #[test]
    fn only_single_words_make_a_filter() {
        for bad in ["", "two words", "a-b", " a"] {
            assert!(Filter::new("*", [bad], Remedy::Reject).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn private_conversations_are_meant_by_name_only() {
        let room = |name| RoomName::parse_any(name).expect("valid");
        let (everywhere, private) =
            (filter(&["x"]), Filter::new("@*", ["x"], Remedy::Reject).expect("a word"));
        assert!(everywhere.is_about(&room("general")) && !everywhere.is_about(&room("@Ann,Bob")));
        assert!(private.is_about(&room("@Ann,Bob")) && !private.is_about(&room("general")));
    }
}
