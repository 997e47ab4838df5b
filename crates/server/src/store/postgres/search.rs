//! Searching: which words a text has, and where they stand in it.
//!
//! PostgreSQL's own parsers depend on the locale of the database and take `example.com` for one word,
//! so words are found here, the same everywhere, and the database only looks them up.

use std::collections::BTreeSet;
use std::ops::Range;

use compact_str::CompactString;
use parlour_protocol::event::Hit;
use parlour_protocol::{RoomName, UserId};
use tokio_postgres::Row;
use uuid::Uuid;

use super::super::{Hits, Query};
use super::content::{self, COLUMNS, RoomKey};
use super::fault::Fault;
use super::session::Session;
use parlour_protocol::content::{Content, Text};

/// Longest part of a word that counts, in characters.
const WORD_CHARS: usize = 64;
/// Most different words of a text that are found: a message of 64 KiB has some 10,000.
const WORDS: usize = 16_384;
/// Longest snippet, in characters.
const SNIPPET_CHARS: usize = 200;
/// Characters of a snippet before the first hit.
const BEFORE_CHARS: usize = 40;
/// Around each hit in a snippet.
const MARKS: [char; 2] = ['\u{e000}', '\u{e001}'];

/// Returns the words of a text with their places.
fn words(text: &str) -> impl Iterator<Item = (Range<usize>, String)> {
    let runs = text.split(|c: char| !c.is_alphanumeric()).filter(|run| !run.is_empty());
    runs.map(move |run| {
        let start = run.as_ptr().addr() - text.as_ptr().addr();
        let word = run.chars().flat_map(char::to_lowercase).take(WORD_CHARS).collect();
        (start..start + run.len(), word)
    })
}

/// Returns the different words of a text, separated by spaces.
pub(super) fn index(text: &str) -> String {
    let mut distinct = BTreeSet::new();
    for (_, word) in words(text) {
        if distinct.len() == WORDS {
            break;
        }
        distinct.insert(word);
    }
    distinct.into_iter().collect::<Vec<_>>().join(" ")
}

/// Returns the part of a text around the first of the words, in which all of them are marked.
fn snippet(text: &str, wanted: &BTreeSet<String>) -> CompactString {
    let hits: Vec<_> =
        words(text).filter(|(_, word)| wanted.contains(word)).map(|(place, _)| place).collect();
    let first = hits.first().map_or(0, |place| place.start);
    let back = text[..first].char_indices().rev().take(BEFORE_CHARS).last();
    let start = back.map_or(first, |(index, _)| index);
    let mut snippet = CompactString::default();
    let mut left = SNIPPET_CHARS;
    let mut at = start;
    for place in hits {
        // A hit is shown whole with its marks, or the snippet ends before it.
        let between = text[at..place.start].chars().count();
        let within = text[place.clone()].chars().count();
        if between + within + MARKS.len() > left {
            break;
        }
        left -= between + within + MARKS.len();
        snippet.push_str(&text[at..place.start]);
        snippet.push(MARKS[0]);
        snippet.push_str(&text[place.clone()]);
        snippet.push(MARKS[1]);
        at = place.end;
    }
    snippet.extend(text[at..].chars().take_while(|c| !MARKS.contains(c)).take(left));
    snippet
}

/// Rooms that a user may not read are left out; so is all that is no longer shown.
const VISIBLE: &str = "m.seq > r.floor AND CASE WHEN starts_with(r.name, '@') \
     THEN starts_with(r.name, '@' || $3 || ',') OR right(r.name, length($3) + 1) = ',' || $3 \
     ELSE NOT EXISTS (SELECT FROM state s WHERE s.room_id = r.id AND s.key = 'private' AND s.value = 'true') \
         OR EXISTS (SELECT FROM state s WHERE s.room_id = r.id AND s.key = 'role:' || $4) END";

/// Looks for messages, newest first.
pub(super) async fn find(session: &Session, query: &Query) -> Result<Hits, Fault> {
    let wanted: BTreeSet<_> = words(&query.words).map(|(_, word)| word).collect();
    let cursor = query.before.as_deref().map(Cursor::parse);
    let (false, Some(cursor)) = (wanted.is_empty(), cursor.unwrap_or(Some(Cursor::NEWEST))) else {
        return Ok(Hits::default());
    };
    let lexemes: Vec<_> = wanted.iter().map(|word| format!("'{word}'")).collect();
    let room = query.room.as_ref().map(RoomName::as_str);
    let participant = participant(&query.user);
    let sql = format!(
        "SELECT {COLUMNS}, r.name, r.epoch, m.room_id FROM message m JOIN room r ON r.id = m.room_id \
         WHERE m.words @@ $1::text::tsquery AND ($2::text IS NULL OR r.name = $2) AND {VISIBLE} \
         AND (m.ts, m.room_id, m.seq) < ($5::bigint, $6::bigint, $7::bigint) \
         ORDER BY m.ts DESC, m.room_id DESC, m.seq DESC LIMIT $8"
    );
    let statement = session.prepared(&sql).await?;
    let limit = i64::from(query.limit);
    let rows = session
        .client
        .query(
            &statement,
            &[
                &lexemes.join(" & "),
                &room,
                &participant,
                &query.user.as_str(),
                &cursor.ts,
                &cursor.room_id,
                &cursor.seq,
                &limit,
            ],
        )
        .await?;
    let hits = rows.iter().map(|row| hit(row, &wanted)).collect::<Result<Vec<_>, _>>()?;
    let is_full = hits.len() == query.limit as usize;
    let next = rows.last().filter(|_| is_full).map(Cursor::of).transpose()?;
    Ok(Hits { hits, next: next.map(|cursor| cursor.show()) })
}

fn hit(row: &Row, wanted: &BTreeSet<String>) -> Result<Hit, Fault> {
    let (name, epoch): (&str, Uuid) = (row.try_get("name")?, row.try_get("epoch")?);
    let record = content::record(row, &RoomKey { epoch, name })?;
    let Content::Message(Text { text, .. }) = &record.content else {
        return Err(Fault::Corrupt);
    };
    Ok(Hit {
        room: RoomName::parse_any(name).map_err(|_| Fault::Corrupt)?,
        seq: record.seq,
        sender: record.sender,
        ts: record.ts,
        snippet: snippet(text, wanted),
    })
}

/// Returns how a user is spelt in the names of private conversations.
fn participant(user: &UserId) -> String {
    let alone = RoomName::private(user, user);
    alone.as_str().trim_start_matches('@').split(',').next().unwrap_or_default().to_owned()
}

/// Where a page ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cursor {
    ts: i64,
    room_id: i64,
    seq: i64,
}

impl Cursor {
    const NEWEST: Self = Self { ts: i64::MAX, room_id: i64::MAX, seq: i64::MAX };

    fn of(row: &Row) -> Result<Self, Fault> {
        Ok(Self { ts: row.try_get("ts")?, room_id: row.try_get("room_id")?, seq: row.try_get("seq")? })
    }

    fn show(self) -> CompactString {
        compact_str::format_compact!("{}.{}.{}", self.ts, self.room_id, self.seq)
    }

    /// `None` for what was never given out.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|part| part.parse().ok());
        let cursor = Self { ts: parts.next()??, room_id: parts.next()??, seq: parts.next()?? };
        parts.next().is_none().then_some(cursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(text: &str, wanted: &str) -> String {
        let wanted = words(wanted).map(|(_, word)| word).collect();
        snippet(text, &wanted).replace(MARKS[0], "[").replace(MARKS[1], "]")
    }

    #[test]
    fn words_are_runs_of_letters_and_digits_in_lower_case() {
        assert_eq!(index("Große ÉTÉ, große x-1 example.com 日本!"), "1 com example große x été 日本");
        assert_eq!(index(" \u{e000}-- "), "");
        assert_eq!(index(&"a".repeat(100)).len(), WORD_CHARS);
    }

    #[test]
    fn snippets_show_the_hits_and_what_is_around() {
        assert_eq!(marked("The quick fox, quick!", "QUICK"), "The [quick] fox, [quick]!");
        let long = format!("{} needle {}", "hay ".repeat(100), "hay ".repeat(100));
        let shown = marked(&long, "needle");
        assert_eq!(shown.chars().count(), SNIPPET_CHARS);
        assert!(shown.starts_with("hay ") && shown.contains("hay  [needle]  hay"), "{shown}");
        assert_eq!(marked(&format!("needle {}", "ü".repeat(300)), "needle").chars().count(), SNIPPET_CHARS);
    }

    #[test]
    fn cursors_are_read_back() {
        let cursor = Cursor { ts: -5, room_id: 2, seq: 3 };
        assert_eq!(Cursor::parse(&cursor.show()), Some(cursor));
        for bad in ["", "1.2", "1.2.3.4", "a.b.c"] {
            assert_eq!(Cursor::parse(bad), None);
        }
    }

    #[test]
    fn a_user_is_spelt_as_in_names() {
        let user = UserId::parse("50%,a").expect("valid");
        assert_eq!(participant(&user), "50%25%2Ca");
    }
}
