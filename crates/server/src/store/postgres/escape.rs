//! Texts as PostgreSQL can hold them: it knows no character U+0000.

use std::borrow::Cow;

/// Stands before a digit for a character that cannot be stored, and for itself. Private use.
const MARK: char = '\u{e00f}';
/// Between the changes of a room's state: see `apply_state` in the migrations.
pub(super) const SEPARATOR: char = '\u{1e}';
/// What is replaced, in the order of the digits.
const REPLACED: [char; 3] = [MARK, '\0', SEPARATOR];

/// Returns the text as it is stored. The beginning of a text becomes the beginning of the result.
pub(super) fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(REPLACED) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match (REPLACED.iter().position(|replaced| *replaced == c), ['0', '1', '2']) {
            (Some(index), digits) => escaped.extend([MARK, digits[index]]),
            (None, _) => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

/// Returns the text that was stored; `None` if it was not stored by us.
pub(super) fn unescape(stored: &str) -> Option<Cow<'_, str>> {
    if !stored.contains(MARK) {
        return Some(Cow::Borrowed(stored));
    }
    let mut text = String::with_capacity(stored.len());
    let mut chars = stored.chars();
    while let Some(c) = chars.next() {
        match c {
            MARK => text.push(*REPLACED.get(chars.next()?.to_digit(3)? as usize)?),
            c => text.push(c),
        }
    }
    Some(Cow::Owned(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_survive_and_keep_their_beginnings() {
        for text in ["", "plain", "\0", "a\u{e00f}1\0b\u{1e}", "\u{e00f}", "日本"] {
            let stored = escape(text);
            assert!(!stored.contains(['\0', SEPARATOR]), "{stored:?}");
            assert_eq!(unescape(&stored).as_deref(), Some(text));
            for (end, _) in text.char_indices() {
                assert!(stored.starts_with(&*escape(&text[..end])), "{text:?}");
            }
        }
    }

    #[test]
    fn what_was_never_stored_is_found_out() {
        for damaged in ["\u{e00f}", "\u{e00f}3", "\u{e00f}x"] {
            assert_eq!(unescape(damaged), None);
        }
    }
}
