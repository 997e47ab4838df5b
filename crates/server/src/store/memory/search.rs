//! Looking for words: every text is looked at.

use compact_str::{CompactString, format_compact};
use parlour_hub::log::Record;
use parlour_protocol::content::Content;
use parlour_protocol::event::Hit;
use parlour_protocol::{RoomName, Seq};

use super::super::{Hits, Query, words};
use super::state::State;

/// Where a message stands among those of all rooms.
type Place<'a> = (i64, &'a str, Seq);

impl State {
    pub(super) fn search(&self, query: &Query) -> Hits {
        let wanted = words::distinct(&query.words);
        let before = query.before.as_deref().map(parse);
        if wanted.is_empty() || before == Some(None) {
            return Hits::default();
        }
        let in_scope = |name: &RoomName| query.room.as_ref().is_none_or(|room| room == name);
        let rooms = (self.rooms.iter())
            .filter(|(name, room)| in_scope(name) && query.scope.allows(name, &room.state, &query.user));
        let messages =
            rooms.flat_map(|(name, room)| room.records.iter().map(move |entry| (name, &entry.record)));
        let older = messages
            .filter(|(name, record)| before.flatten().is_none_or(|before| place(name, record) < before));
        let mut found: Vec<_> =
            older.filter(|(_, record)| wanted.is_subset(&words::distinct(text(record)))).collect();
        found.sort_unstable_by(|a, b| place(b.0, b.1).cmp(&place(a.0, a.1)));
        let is_more = found.len() > query.limit as usize;
        found.truncate(query.limit as usize);
        let next = found.last().filter(|_| is_more).map(|(name, record)| show(place(name, record)));
        let hit = |(name, record): &(&RoomName, &Record)| Hit {
            room: (*name).clone(),
            seq: record.seq,
            sender: record.sender.clone(),
            ts: record.ts,
            snippet: words::snippet(text(record), &wanted),
        };
        Hits { hits: found.iter().map(hit).collect(), next }
    }
}

fn text(record: &Record) -> &str {
    match &record.content {
        Content::Message(said) => &said.text,
        _ => "",
    }
}

fn place<'a>(name: &'a RoomName, record: &Record) -> Place<'a> {
    (record.ts, name.as_str(), record.seq)
}

fn show((ts, name, seq): Place<'_>) -> CompactString {
    format_compact!("{ts}.{seq}.{name}")
}

/// `None` for what was never given out.
fn parse(cursor: &str) -> Option<Place<'_>> {
    let mut parts = cursor.splitn(3, '.');
    let (ts, seq) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some((ts, parts.next()?, Seq(seq)))
}
