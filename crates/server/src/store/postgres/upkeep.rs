//! Small writes, and the upkeep: retention, erasure, import.

use std::collections::{BTreeMap, BTreeSet};

use parlour_hub::effect::DOCUMENT_SEPARATOR;
use parlour_hub::log::{Head, Record, Snapshot};
use parlour_protocol::content::{Content, Text};
use parlour_protocol::{RoomName, UserId};
use uuid::Uuid;

use super::super::digest::digest;
use super::super::erasure::room_of;
use super::super::{Document, Keep};
use super::content::{Columns, number, role_word, sanction_pair, settings_changes};
use super::escape::{escape, unescape};
use super::fault::Fault;
use super::reader::{self, document_checksum};
use super::session::Session;

/// Records that are deleted in one transaction.
const SWEEP: i32 = 5_000;

/// Writes documents; of several with the same key the last one counts.
pub(super) async fn put(session: &Session, documents: &[Document]) -> Result<(), Fault> {
    // In the order of keys, so that two nodes never wait for each other.
    let last: BTreeMap<_, _> =
        documents.iter().map(|document| (escape(&document.key), document.value.as_slice())).collect();
    let (gone, kept): (Vec<_>, Vec<_>) = last.into_iter().partition(|(_, value)| value.is_empty());
    let gone: Vec<_> = gone.into_iter().map(|(key, _)| key).collect();
    let checksums: Vec<_> = kept.iter().map(|(key, value)| document_checksum(key, value)).collect();
    let (keys, values): (Vec<_>, Vec<_>) = kept.into_iter().unzip();
    let sql = "WITH gone AS (DELETE FROM document WHERE key = ANY ($1)) \
               INSERT INTO document SELECT * FROM unnest($2::text[], $3::bytea[], $4::bytea[]) \
               ON CONFLICT (key) DO UPDATE SET value = excluded.value, checksum = excluded.checksum \
               WHERE document.key <> $5";
    let statement = session.prepared(sql).await?;
    // Of two nodes that begin at once, the first decides what the epochs of rooms follow from.
    let kept_once = crate::lineage::KEY;
    session.client.execute(&statement, &[&gone, &keys, &values, &checksums, &kept_once]).await?;
    Ok(())
}

/// Commits something that means nothing.
pub(super) async fn probe(session: &Session) -> Result<(), Fault> {
    session.client.execute("UPDATE probe SET count = count + 1", &[]).await?;
    Ok(())
}

/// Gives all rooms new epochs; returns the generation.
pub(super) async fn renew(session: &Session) -> Result<Uuid, Fault> {
    let sql = "WITH gone AS (DELETE FROM document WHERE key = $1) \
               UPDATE lineage SET generation = gen_random_uuid() RETURNING generation";
    let row = session.client.query_one(sql, &[&crate::lineage::KEY]).await?;
    Ok(row.try_get(0)?)
}

/// Raises the floor of a room and deletes what is below.
pub(super) async fn trim(session: &Session, room: &RoomName, keep: Keep) -> Result<Option<Head>, Fault> {
    let bound = |limit: Option<u64>| limit.map(|limit| i64::try_from(limit).unwrap_or(i64::MAX));
    let statement = session.prepared("SELECT id FROM trim_room($1, $2, $3, $4, $5)").await?;
    let (records, bytes, after) = (bound(keep.records), bound(keep.bytes), keep.after.map(number));
    let row = session
        .client
        .query_opt(&statement, &[&room.as_str(), &keep.since_ms, &records, &bytes, &after])
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let id: i64 = row.try_get(0)?;
    let statement = session.prepared("SELECT sweep_room($1, $2)").await?;
    while session.client.query_one(&statement, &[&id, &SWEEP]).await?.try_get::<_, i64>(0)?
        == i64::from(SWEEP)
    {}
    Ok(reader::heads(session, std::slice::from_ref(room)).await?.pop().flatten())
}

/// Erases what a user has said; returns the rooms concerned.
pub(super) async fn erase(session: &Session, user: &UserId, alias: &UserId) -> Result<Vec<RoomName>, Fault> {
    let role = role_prefix(user);
    // Nobody has seen the rest.
    let sql = "SELECT r.name, bool_or(found.is_seen) FROM room r JOIN (\
                   SELECT room_id, true FROM message WHERE sender = $1 OR (kind IN (6, 7) AND starts_with(body, $2)) \
                   UNION SELECT room_id, true FROM state WHERE key IN ('role:' || $1, 'sanction:' || $1) \
                   UNION SELECT room_id, false FROM reaction WHERE sender = $1 \
                   UNION SELECT room_id, false FROM cid_memory WHERE sender = $1\
               ) AS found (room_id, is_seen) ON found.room_id = r.id GROUP BY r.name";
    let rows = session.client.query(sql, &[&user.as_str(), &role]).await?;
    let mut rooms = BTreeSet::new();
    for row in rows {
        let room = RoomName::parse_any(row.try_get(0)?).map_err(|_| Fault::Corrupt)?;
        let erase = "CALL erase_room($1, $2, $3, $4, $5)";
        let other_role = role_prefix(alias);
        session
            .client
            .execute(erase, &[&room.as_str(), &user.as_str(), &alias.as_str(), &role, &other_role])
            .await?;
        if row.try_get(1)? {
            rooms.insert(room);
        }
    }
    rooms.extend(forget_documents(session, user).await?);
    // Takes what is no longer visible out of tables and indexes.
    session
        .client
        .batch_execute("VACUUM (INDEX_CLEANUP ON) message, reaction, cid_memory, state, document")
        .await?;
    Ok(rooms.into_iter().collect())
}

/// Returns how the JSON of a change of a user's role begins, and that of a sanction.
fn role_prefix(user: &UserId) -> String {
    escape(&format!("{{\"user\":{}", serde_json::Value::from(user.as_str()))).into_owned()
}

/// Deletes a user's cursors and last activities; returns the rooms of those.
async fn forget_documents(session: &Session, user: &UserId) -> Result<Vec<RoomName>, Fault> {
    let read = format!("read{DOCUMENT_SEPARATOR}{user}{DOCUMENT_SEPARATOR}");
    let end = format!("{DOCUMENT_SEPARATOR}{user}");
    let sql = "DELETE FROM document WHERE starts_with(key, $1) \
               OR (split_part(key, $3, 1) IN ('seen', 'cursor', 'report') AND right(key, length($2)) = $2) RETURNING key";
    let rows =
        session.client.query(sql, &[&escape(&read), &escape(&end), &DOCUMENT_SEPARATOR.to_string()]).await?;
    let mut rooms = Vec::new();
    for row in rows {
        let key = unescape(row.try_get(0)?).ok_or(Fault::Corrupt)?;
        rooms.extend(room_of(&key));
    }
    Ok(rooms)
}

/// Stores a part of an export.
pub(super) async fn restore(session: &Session, room: &RoomName, part: &Snapshot) -> Result<Head, Fault> {
    let rows = Rows::of(&part.tail);
    let mut pairs = settings_changes(&part.state.settings);
    let roles = part.state.roles.iter();
    pairs.extend(roles.map(|(user, role)| (format!("role:{user}"), Some(role_word(*role).to_owned()))));
    pairs.extend(part.state.sanctions.values().map(sanction_pair));
    let pins = part.state.pins.iter().zip(1..);
    pairs.extend(pins.map(|(pin, place)| (format!("pin:{pin}"), Some(place.to_string()))));
    let (keys, values): (Vec<_>, Vec<_>) =
        pairs.into_iter().map(|(key, value)| (key, escape(&value.unwrap_or_default()).into_owned())).unzip();
    let sql = "SELECT FROM restore_room($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, \
               $16, $17, $18, $19, $20)";
    let statement = session.prepared(sql).await?;
    session
        .client
        .execute(
            &statement,
            &[
                &room.as_str(),
                &Uuid::new_v4(),
                &number(part.ends.floor),
                &keys,
                &values,
                &rows.seq,
                &rows.ts,
                &rows.sender,
                &rows.cid,
                &rows.kind,
                &rows.target,
                &rows.thread,
                &rows.body,
                &rows.mentions,
                &rows.active,
                &rows.count,
                &rows.edited,
                &rows.deleted,
                &rows.digest,
                &rows.words,
            ],
        )
        .await?;
    reader::heads(session, std::slice::from_ref(room)).await?.pop().flatten().ok_or(Fault::Corrupt)
}

/// Records as columns.
#[derive(Default)]
// tidy: one array per column of one table
struct Rows {
    seq: Vec<i64>,
    ts: Vec<i64>,
    sender: Vec<String>,
    cid: Vec<Option<String>>,
    kind: Vec<i16>,
    target: Vec<Option<i64>>,
    thread: Vec<Option<i64>>,
    body: Vec<Option<String>>,
    mentions: Vec<Option<String>>,
    active: Vec<Option<bool>>,
    count: Vec<Option<i32>>,
    edited: Vec<Option<i64>>,
    deleted: Vec<Option<i64>>,
    digest: Vec<i64>,
    words: Vec<Option<String>>,
}

impl Rows {
    fn of(records: &[Record]) -> Self {
        let mut rows = Self::default();
        records.iter().for_each(|record| rows.push(record));
        rows
    }

    fn push(&mut self, record: &Record) {
        let columns = Columns::of(&record.content);
        let details = match &record.content {
            Content::Message(Text { details: Some(details), .. }) => Some(&**details),
            _ => None,
        };
        let count = match &record.content {
            Content::Reaction(reaction) => i32::try_from(reaction.count).ok(),
            _ => None,
        };
        let is_found = columns.kind == 0 && details.is_none_or(|details| details.deleted.is_none());
        self.seq.push(number(record.seq));
        self.ts.push(record.ts);
        self.sender.push(record.sender.to_string());
        self.cid.push(record.cid.as_deref().map(|cid| escape(cid).into_owned()));
        self.digest.push(digest(&record.content));
        self.kind.push(columns.kind);
        self.target.push(columns.target);
        self.thread.push(details.and_then(|details| details.thread).map(number));
        self.body.push(columns.body.map(std::borrow::Cow::into_owned));
        self.mentions.push(columns.mentions);
        self.active.push(columns.active);
        self.count.push(count);
        self.edited.push(details.and_then(|details| details.edited).map(number));
        self.deleted.push(details.and_then(|details| details.deleted).map(number));
        self.words.push(columns.extra.filter(|_| is_found));
    }
}
