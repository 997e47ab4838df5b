//! Searching.
//!
//! PostgreSQL's own parsers depend on the locale of the database and take `example.com` for one word,
//! so words are found by us, the same in every store, and the database only looks them up.

use std::collections::BTreeSet;

use compact_str::CompactString;
use parlour_hub::rights::{Access, Action, Rights};
use parlour_hub::scope::Scope;
use parlour_protocol::content::{Content, Text};
use parlour_protocol::event::Hit;
use parlour_protocol::{RoomName, UserId};
use tokio_postgres::Row;
use uuid::Uuid;

use super::super::words::{distinct, snippet};
use super::super::{Hits, Query};
use super::content::{self, COLUMNS, RoomKey};
use super::fault::Fault;
use super::session::Session;

/// Rooms whose history a user may not see are left out, as [`Scope::allows`] says; so is all that is no
/// longer shown. `open` is what everybody may, by patterns of which the first counts; `granted`, what
/// credentials allow by patterns, as bits.
const VISIBLE: &str = "m.seq > r.floor \
     AND NOT EXISTS (SELECT FROM state s WHERE s.room_id = r.id AND s.key = 'sanction:' || $4 \
         AND split_part(s.value, ' ', 2) = 'ban' AND is_in_force(s.value, $9)) \
     AND CASE WHEN starts_with(r.name, '@') \
         THEN (starts_with(r.name, '@' || $3 || ',') OR right(r.name, length($3) + 1) = ',' || $3) \
             AND (open.is_so OR granted.bits & $10 = $10) \
         ELSE EXISTS (SELECT FROM state s WHERE s.room_id = r.id AND s.key = 'role:' || $4) \
             OR ((open.is_so OR granted.bits & $10 = $10) AND (granted.bits & $11 = $11 OR NOT EXISTS (\
                 SELECT FROM state s WHERE s.room_id = r.id AND s.key = 'private' AND s.value = 'true'))) END";
const OPEN: &str = "SELECT coalesce((SELECT o.is_so FROM unnest($12::text[], $13::boolean[]) \
         WITH ORDINALITY AS o (pattern, is_so, place) WHERE fits(r.name, o.pattern) ORDER BY o.place LIMIT 1), \
     starts_with(r.name, '@') OR $14) AS is_so";
const GRANTED: &str = "SELECT coalesce(bit_or(g.bits), 0) AS bits FROM unnest($15::text[], $16::integer[]) \
     AS g (pattern, bits) WHERE fits(r.name, g.pattern)";

/// Looks for messages, newest first.
pub(super) async fn find(session: &Session, query: &Query) -> Result<Hits, Fault> {
    let wanted = distinct(&query.words);
    let cursor = query.before.as_deref().map(Cursor::parse);
    let (false, Some(cursor)) = (wanted.is_empty(), cursor.unwrap_or(Some(Cursor::NEWEST))) else {
        return Ok(Hits::default());
    };
    let lexemes: Vec<_> = wanted.iter().map(|word| format!("'{word}'")).collect();
    let room = query.room.as_ref().map(RoomName::as_str);
    let participant = participant(&query.user);
    let sql = format!(
        "SELECT {COLUMNS}, r.name, r.epoch, m.room_id FROM message m JOIN room r ON r.id = m.room_id \
         CROSS JOIN LATERAL ({OPEN}) AS open CROSS JOIN LATERAL ({GRANTED}) AS granted \
         WHERE m.words @@ $1::text::tsquery AND ($2::text IS NULL OR r.name = $2) AND {VISIBLE} \
         AND (m.ts, m.room_id, m.seq) < ($5::bigint, $6::bigint, $7::bigint) \
         ORDER BY m.ts DESC, m.room_id DESC, m.seq DESC LIMIT $8"
    );
    let statement = session.prepared(&sql).await?;
    let Bounds { needed, moderate, open_patterns, open, granted_patterns, granted } =
        Bounds::of(&query.scope);
    let otherwise = shows_history(query.scope.otherwise);
    // One more tells whether there is another page.
    let limit = i64::from(query.limit) + 1;
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
                &query.scope.now_ms,
                &needed,
                &moderate,
                &open_patterns,
                &open,
                &otherwise,
                &granted_patterns,
                &granted,
            ],
        )
        .await?;
    let shown = &rows[..rows.len().min(query.limit as usize)];
    let hits = shown.iter().map(|row| hit(row, &wanted)).collect::<Result<Vec<_>, _>>()?;
    let next = shown.last().filter(|_| shown.len() < rows.len()).map(Cursor::of).transpose()?;
    Ok(Hits { hits, next: next.map(|cursor| cursor.show()) })
}

/// A scope as the parameters of the question.
struct Bounds<'a> {
    needed: i32,
    moderate: i32,
    open_patterns: Vec<&'a str>,
    open: Vec<bool>,
    granted_patterns: Vec<&'a str>,
    granted: Vec<i32>,
}

impl<'a> Bounds<'a> {
    fn of(scope: &'a Scope) -> Self {
        let (open_patterns, open) =
            scope.access.iter().map(|(pattern, access)| (pattern.as_str(), shows_history(*access))).unzip();
        let grants = scope.grants.iter().flat_map(|grants| &grants.0);
        let (granted_patterns, granted) =
            grants.map(|(pattern, rights)| (pattern.as_str(), i32::from(rights.bits()))).unzip();
        Self {
            needed: Scope::NEEDED.bits().into(),
            moderate: Rights::NONE.with(Action::Moderate).bits().into(),
            open_patterns,
            open,
            granted_patterns,
            granted,
        }
    }
}

/// Whether everybody sees what was said.
fn shows_history(access: Access) -> bool {
    access.rights().has_all(Scope::NEEDED)
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
