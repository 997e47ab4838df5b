//! Rules that hold in every dialect, checked once the fields of a command are read.

use crate::command::{Command, Request, RequestId};
use crate::dialect::{Decoded, Misunderstood};
use crate::error::{ErrorCode, Refusal};
use crate::limits::{CID_BYTES, PRESENCE_TEXT_BYTES, ROOMS_PER_CONNECTION};
use crate::name::NameError;

/// Longest part of a client's own words that an error message repeats, in characters.
const QUOTED_CHARS: usize = 32;

/// Checks what no type can say and completes a request.
pub(super) fn complete(id: Option<RequestId>, command: Command) -> Decoded {
    match check(id.as_ref(), &command) {
        Ok(()) => Ok(Request { id, command }),
        Err(refusal) => Err(Misunderstood { id, refusal }),
    }
}

fn check(id: Option<&RequestId>, command: &Command) -> Result<(), Refusal> {
    if id.is_none() && command.has_answer() {
        return Err(bad_field("id", "this command has an answer and so needs an id"));
    }
    match command {
        Command::Publish(publish) => check_said(&publish.text, publish.cid.as_deref()),
        Command::Private(private) => check_said(&private.text, private.cid.as_deref()),
        Command::Presence(presence) => check_presence_text(presence.text.as_deref().unwrap_or_default()),
        Command::Hello(hello) if hello.resume.len() > ROOMS_PER_CONNECTION => {
            Err(bad_field("resume", "at most 512 rooms"))
        }
        _ => Ok(()),
    }
}

fn check_said(text: &str, cid: Option<&str>) -> Result<(), Refusal> {
    if text.is_empty() {
        return Err(Refusal::because(ErrorCode::EmptyMessage, "text: a message is not empty"));
    }
    if text.as_bytes().contains(&0) {
        return Err(Refusal::because(ErrorCode::InvalidText, "text: must not hold the character U+0000"));
    }
    match cid {
        Some(cid) if cid.is_empty() || cid.len() > CID_BYTES || cid.as_bytes().contains(&0) => {
            Err(bad_field("cid", "1 to 64 bytes without U+0000"))
        }
        _ => Ok(()),
    }
}

fn check_presence_text(text: &str) -> Result<(), Refusal> {
    if text.len() > PRESENCE_TEXT_BYTES {
        return Err(bad_field("text", "at most 140 bytes"));
    }
    if text.as_bytes().contains(&0) {
        return Err(Refusal::because(ErrorCode::InvalidText, "text: must not hold the character U+0000"));
    }
    Ok(())
}

/// Refuses a field, naming it and its rule.
pub(super) fn bad_field(field: &str, rule: impl std::fmt::Display) -> Refusal {
    Refusal::because(ErrorCode::BadRequest, format!("{field}: {rule}"))
}

/// Refuses a name with its own error code, naming the field.
pub(super) fn bad_name(field: &str, error: NameError, invalid: ErrorCode) -> Refusal {
    let code = if error == NameError::Confusable { ErrorCode::NameConfusable } else { invalid };
    Refusal::because(code, format!("{field}: {error}"))
}

/// Refuses an unknown command, with the known one that is nearest.
pub(super) fn unknown_command(given: &str, known: &[&str]) -> Refusal {
    let hint = nearest(given, known).map_or_else(
        || format!("the commands are {}", known.join(", ")),
        |near| format!("did you mean {near:?}?"),
    );
    Refusal::because(ErrorCode::UnknownCommand, format!("there is no command {:?}; {hint}", quoted(given)))
}

/// Cuts foreign words to a length that fits an error message.
pub(super) fn quoted(text: &str) -> &str {
    text.char_indices().nth(QUOTED_CHARS).map_or(text, |(end, _)| &text[..end])
}

/// Finds the known word that differs from `given` in at most two letters.
pub(super) fn nearest<'a>(given: &str, known: &[&'a str]) -> Option<&'a str> {
    // A longer word is no slip of the finger, and its length is the sender's choice.
    if given.len() > QUOTED_CHARS {
        return None;
    }
    let near = known.iter().map(|word| (distance(given, word), *word)).min()?;
    (near.0 <= 2).then_some(near.1)
}

/// Counts the letters to insert, delete or replace (Levenshtein), over one row of the table.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_finger_find_their_word() {
        let known = ["publish", "presence", "ping", "rooms"];
        for (given, expected) in [
            ("publsh", Some("publish")),
            ("pign", Some("ping")),
            ("ROOMS", None),
            ("", None),
            ("pong", Some("ping")),
        ] {
            assert_eq!(nearest(given, &known), expected, "{given}");
        }
        assert_eq!(nearest(&"p".repeat(60_000), &known), None);
    }

    #[test]
    fn quoted_words_end_at_a_character() {
        assert_eq!(quoted(&"ö".repeat(40)), "ö".repeat(32));
        assert_eq!(quoted("short"), "short");
    }
}
