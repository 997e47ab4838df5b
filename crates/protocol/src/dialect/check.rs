//! Rules that hold in every dialect, checked once the fields of a command are read.

use crate::command::{Command, Draft, Request, RequestId, SetSanction};
use crate::content::{SanctionKind, Settings};
use crate::dialect::{Decoded, Misunderstood};
use crate::error::{ErrorCode, Refusal};
use crate::limits::{
    BATCH_MESSAGES, CID_BYTES, EMOJI_BYTES, MENTIONS, PRESENCE_TEXT_BYTES, QUERY_BYTES, REASON_BYTES,
    ROOMS_PER_CONNECTION, SANCTION_MS, SLOW_MS, TITLE_BYTES, TOPIC_BYTES,
};
use crate::name::NameError;
use crate::position::Seq;

/// Longest part of a client's own words that an error message repeats, in characters.
const QUOTED_CHARS: usize = 32;

/// Checks what no type can say and completes a request.
pub(super) fn complete(id: Option<RequestId>, command: Command) -> Decoded {
    match check(id.as_ref(), &command) {
        Ok(()) => Ok(Request { id, command }),
        Err(refusal) => Err(Misunderstood { id, refusal }),
    }
}

pub(super) fn check(id: Option<&RequestId>, command: &Command) -> Result<(), Refusal> {
    if id.is_none() && command.has_answer() {
        return Err(bad_field("id", "this command has an answer and so needs an id"));
    }
    match command {
        Command::Hello(hello) if hello.resume.len() > ROOMS_PER_CONNECTION => {
            Err(bad_field("resume", "at most 512 rooms"))
        }
        Command::Presence(presence) => check_presence_text(presence.text.as_deref().unwrap_or_default()),
        Command::Read(cursor) | Command::Delivered(cursor) | Command::Receipts(cursor) => {
            check_number("seq", Some(cursor.seq))
        }
        Command::History(query) => check_number("thread", query.thread),
        Command::Search(search) => check_query(&search.query),
        Command::Status(query) => check_cid(Some(&query.cid)),
        command => check_change(command),
    }
}

/// Checks the commands that add to a room's log.
fn check_change(command: &Command) -> Result<(), Refusal> {
    match command {
        Command::Publish(said) => {
            check_said(&said.text, said.cid.as_deref(), said.reply_to, said.mentions.len())
        }
        Command::Private(said) => {
            check_said(&said.text, said.cid.as_deref(), said.reply_to, said.mentions.len())
        }
        Command::Batch(batch) => check_batch(&batch.messages),
        Command::Edit(edit) => {
            check_number("target", Some(edit.target))?;
            check_said(&edit.text, edit.cid.as_deref(), None, edit.mentions.len())
        }
        Command::Delete(delete) => {
            check_number("target", Some(delete.target))?;
            check_cid(delete.cid.as_deref())
        }
        Command::React(react) => {
            check_number("target", Some(react.target))?;
            check_emoji(&react.emoji)?;
            check_cid(react.cid.as_deref())
        }
        Command::Pin(pin) => {
            check_number("target", Some(pin.target))?;
            check_cid(pin.cid.as_deref())
        }
        Command::Configure(change) if change.settings == Settings::default() => {
            Err(bad_field("payload", "needs at least one of title, topic, private and slow_ms"))
        }
        Command::Create(change) | Command::Configure(change) => {
            check_settings(&change.settings)?;
            check_cid(change.cid.as_deref())
        }
        Command::Role(change) => check_cid(change.cid.as_deref()),
        Command::Sanction(sanction) => check_sanction(sanction),
        Command::Report(report) => {
            check_number("target", Some(report.target))?;
            check_reason(report.reason.as_deref())
        }
        Command::Resolve(resolve) => check_number("target", Some(resolve.target)),
        _ => Ok(()),
    }
}

fn check_said(text: &str, cid: Option<&str>, reply_to: Option<Seq>, mentions: usize) -> Result<(), Refusal> {
    if text.is_empty() {
        return Err(Refusal::because(ErrorCode::EmptyMessage, "text: a message is not empty"));
    }
    if mentions > MENTIONS {
        return Err(bad_field("mentions", "at most 50 users"));
    }
    check_text("text", text)?;
    check_number("reply_to", reply_to)?;
    check_cid(cid)
}

fn check_batch(messages: &[Draft]) -> Result<(), Refusal> {
    if !(1..=BATCH_MESSAGES).contains(&messages.len()) {
        return Err(bad_field("messages", "1 to 64 messages"));
    }
    for (index, said) in messages.iter().enumerate() {
        check_said(&said.text, said.cid.as_deref(), said.reply_to, said.mentions.len())?;
        // Stored once, so the batch would lack one of its messages.
        if said.cid.is_some() && messages[..index].iter().any(|earlier| earlier.cid == said.cid) {
            return Err(bad_field("cid", "two messages of a batch cannot have the same"));
        }
    }
    Ok(())
}

/// Checks the number of a message. 0 is the position before the first, so no message has it.
fn check_number(field: &str, seq: Option<Seq>) -> Result<(), Refusal> {
    if seq == Some(Seq(0)) { Err(bad_field(field, "messages are numbered from 1")) } else { Ok(()) }
}

fn check_cid(cid: Option<&str>) -> Result<(), Refusal> {
    match cid {
        Some(cid) if cid.is_empty() || cid.len() > CID_BYTES || cid.as_bytes().contains(&0) => {
            Err(bad_field("cid", "1 to 64 bytes without U+0000"))
        }
        _ => Ok(()),
    }
}

fn check_text(field: &str, text: &str) -> Result<(), Refusal> {
    if text.as_bytes().contains(&0) {
        let rule = format!("{field}: must not hold the character U+0000");
        return Err(Refusal::because(ErrorCode::InvalidText, rule));
    }
    Ok(())
}

fn check_presence_text(text: &str) -> Result<(), Refusal> {
    if text.len() > PRESENCE_TEXT_BYTES {
        return Err(bad_field("text", "at most 140 bytes"));
    }
    check_text("text", text)
}

fn check_emoji(emoji: &str) -> Result<(), Refusal> {
    let is_one = !emoji.contains(|c: char| c.is_whitespace() || c.is_control());
    if is_one && (1..=EMOJI_BYTES).contains(&emoji.len()) {
        return Ok(());
    }
    Err(bad_field("emoji", "1 to 32 bytes without spaces and control characters"))
}

fn check_settings(settings: &Settings) -> Result<(), Refusal> {
    let title = settings.title.as_deref().unwrap_or_default();
    let topic = settings.topic.as_deref().unwrap_or_default();
    if title.len() > TITLE_BYTES || title.contains(char::is_control) {
        return Err(bad_field("title", "at most 128 bytes without control characters"));
    }
    if topic.len() > TOPIC_BYTES {
        return Err(bad_field("topic", "at most 1024 bytes"));
    }
    if settings.slow_ms.is_some_and(|slow_ms| slow_ms > SLOW_MS) {
        return Err(bad_field("slow_ms", format_args!("at most {SLOW_MS}, which is 6 hours")));
    }
    check_text("topic", topic)
}

fn check_sanction(sanction: &SetSanction) -> Result<(), Refusal> {
    if sanction.for_ms.is_some_and(|for_ms| !(1..=SANCTION_MS).contains(&for_ms)) {
        return Err(bad_field("for_ms", format_args!("1 to {SANCTION_MS}")));
    }
    if sanction.for_ms.is_some() && sanction.kind < SanctionKind::Mute {
        return Err(bad_field("for_ms", "only a mute or a ban takes time"));
    }
    check_reason(sanction.reason.as_deref())?;
    check_cid(sanction.cid.as_deref())
}

fn check_reason(reason: Option<&str>) -> Result<(), Refusal> {
    let reason = reason.unwrap_or_default();
    if reason.len() > REASON_BYTES || reason.contains(char::is_control) {
        return Err(bad_field("reason", "at most 256 bytes without control characters"));
    }
    Ok(())
}

fn check_query(query: &str) -> Result<(), Refusal> {
    if query.len() > QUERY_BYTES || query.trim().is_empty() {
        return Err(bad_field("query", "words of 1 to 256 bytes"));
    }
    check_text("query", query)
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
