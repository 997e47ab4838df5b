//! Reading: several questions that belong together are sent at once, within one transaction.

use compact_str::CompactString;
use parlour_hub::log::{Head, Place, Record, Snapshot, Span, Stored};
use parlour_protocol::content::{Content, Details, Tally, Text};
use parlour_protocol::limits::REACTION_USERS;
use parlour_protocol::{Epoch, RoomName, Seq, UserId};
use sha2::{Digest as _, Sha256};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::super::{Document, within};
use super::content::{self, COLUMNS, RoomKey, number, seq, user_id};
use super::escape::{escape, unescape};
use super::fault::Fault;
use super::session::Session;

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
const COMMIT: &str = "COMMIT";
const ROOM: &str =
    "SELECT r.name, r.epoch, r.head, r.floor, l.generation FROM room r, lineage l WHERE r.name = $1";
const STATE: &str = "SELECT s.key, s.value FROM state s JOIN room r ON r.id = s.room_id WHERE r.name = $1";

/// Which records, as conditions on `message m`; `$2` and `$3` are numbers, `$4` the limit.
fn condition(span: Span) -> (&'static str, i64, i64) {
    match span {
        Span::After(after) => ("m.seq > $2 AND $3::bigint = 0 ORDER BY m.seq", number(after), 0),
        Span::Before(before) => ("m.seq < $2 AND $3::bigint = 0 ORDER BY m.seq DESC", number(before), 0),
        Span::Thread { root, after } => (
            "(m.thread = $2 OR m.seq = $2) AND m.kind = 0 AND m.seq > $3 ORDER BY m.seq",
            number(root),
            number(after),
        ),
    }
}

/// Reads a room as it is at one moment.
pub(super) async fn open(session: &Session, room: &RoomName, tail: u32) -> Result<Option<Snapshot>, Fault> {
    let span = Span::Before(Seq(u64::MAX));
    let Some((ends, tail, state)) = page(session, room, span, tail, true).await? else {
        return Ok(None);
    };
    Ok(Some(Snapshot { ends, tail, state: content::state(&state)? }))
}

/// Reads records of a room.
pub(super) async fn read(
    session: &Session,
    room: &RoomName,
    span: Span,
    limit: u32,
) -> Result<Vec<Record>, Fault> {
    Ok(page(session, room, span, limit, false).await?.map_or_else(Vec::new, |(_, records, _)| records))
}

/// Reads records of a room, with its ends at that moment and, if wanted, its state.
async fn page(
    session: &Session,
    room: &RoomName,
    span: Span,
    limit: u32,
    with_state: bool,
) -> Result<Option<(Head, Vec<Record>, Vec<Row>)>, Fault> {
    let (condition, first, second) = condition(span);
    // With a join the database would sort a whole room to find its end.
    let from = "FROM message m WHERE m.room_id = (SELECT id FROM room WHERE name = $1) \
                AND m.seq > (SELECT floor FROM room WHERE name = $1)";
    let records = format!("SELECT {COLUMNS} {from} AND {condition} LIMIT $4");
    let reactions = format!(
        "SELECT a.target, a.emoji, count(*), (array_agg(a.sender ORDER BY a.seq))[1:{REACTION_USERS}] \
         FROM reaction a WHERE a.room_id = (SELECT id FROM room WHERE name = $1) \
         AND a.target IN (SELECT m.seq {from} AND {condition} LIMIT $4) \
         GROUP BY a.target, a.emoji ORDER BY a.target, min(a.seq)"
    );
    let (room_query, state_query) = (session.prepared(ROOM).await?, session.prepared(STATE).await?);
    let (records, reactions) = (session.prepared(&records).await?, session.prepared(&reactions).await?);
    let (name, limit_rows) = (room.as_str(), i64::from(limit));
    let which: [&(dyn ToSql + Sync); 4] = [&name, &first, &second, &limit_rows];
    let just_name: [&(dyn ToSql + Sync); 1] = [&name];
    let client = &session.client;
    let state =
        async { if with_state { client.query(&state_query, &just_name).await } else { Ok(Vec::new()) } };
    // Sent in this order, without waiting in between: nothing of another reader comes into it.
    let (begun, ends, records, reactions, state, ended) = tokio::join!(
        biased;
        bracket(session, BEGIN),
        client.query_opt(&room_query, &just_name),
        client.query(&records, &which),
        client.query(&reactions, &which),
        state,
        bracket(session, COMMIT),
    );
    begun?;
    let (ends, records, reactions, state) = (ends?, records?, reactions?, state?);
    ended?;
    let Some(ends) = ends else {
        return Ok(None);
    };
    let key = RoomKey { epoch: ends.try_get("epoch")?, name };
    let ends = head(&ends)?;
    let mut records = records.iter().map(|row| content::record(row, &key)).collect::<Result<Vec<_>, _>>()?;
    if matches!(span, Span::Before(_)) {
        records.reverse();
    }
    if !matches!(span, Span::Thread { .. }) {
        let expected = within(span, ends, limit).map(Seq);
        if !expected.eq(records.iter().map(|record| record.seq)) {
            return Err(Fault::Corrupt);
        }
    }
    tally(&mut records, &reactions)?;
    Ok(Some((ends, records, state)))
}

/// Begins or ends a transaction, where there is none already.
async fn bracket(session: &Session, sql: &str) -> Result<(), tokio_postgres::Error> {
    if session.is_snapshot { Ok(()) } else { session.client.batch_execute(sql).await }
}

/// Puts reactions into the messages that they belong to.
fn tally(records: &mut [Record], reactions: &[Row]) -> Result<(), Fault> {
    for row in reactions {
        let target = seq(row.try_get(0)?)?;
        let index = records.binary_search_by_key(&target, |record| record.seq).map_err(|_| Fault::Corrupt)?;
        let Content::Message(Text { details, .. }) = &mut records[index].content else {
            return Err(Fault::Corrupt);
        };
        let (emoji, count): (&str, i64) = (row.try_get(1)?, row.try_get(2)?);
        let users: Vec<&str> = row.try_get(3)?;
        details.get_or_insert_with(|| Box::new(Details::default())).reactions.push(Tally {
            emoji: (&*unescape(emoji).ok_or(Fault::Corrupt)?).into(),
            count: u32::try_from(count).map_err(|_| Fault::Corrupt)?,
            users: users.into_iter().map(user_id).collect::<Result<_, _>>()?,
        });
    }
    Ok(())
}

/// Reads the ends of a room from columns of these names.
fn head(row: &Row) -> Result<Head, Fault> {
    let (epoch, generation): (Uuid, Uuid) = (row.try_get("epoch")?, row.try_get("generation")?);
    let (head, floor) = (seq(row.try_get("head")?)?, seq(row.try_get("floor")?)?);
    if floor > head {
        return Err(Fault::Corrupt);
    }
    Ok(Head { epoch: Epoch(epoch.as_u128() ^ generation.as_u128()), head, floor })
}

/// Finds where a cid is stored.
pub(super) async fn find(
    session: &Session,
    room: &RoomName,
    sender: &UserId,
    cid: &CompactString,
) -> Result<Option<Stored>, Fault> {
    let sql = "SELECT o.seq, o.ts, o.thread, o.count, r.epoch, r.head, r.floor, l.generation \
               FROM lineage l, room r CROSS JOIN LATERAL original(r.id, $2, $3) o WHERE r.name = $1";
    let statement = session.prepared(sql).await?;
    let cid = escape(cid);
    let row = session.client.query_opt(&statement, &[&room.as_str(), &sender.as_str(), &cid]).await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let thread: Option<i64> = row.try_get("thread")?;
    let place = Place {
        seq: seq(row.try_get("seq")?)?,
        thread: thread.map(seq).transpose()?,
        count: row.try_get::<_, i32>("count")?.try_into().map_err(|_| Fault::Corrupt)?,
    };
    Ok(Some(Stored { epoch: head(&row)?.epoch, ts: row.try_get("ts")?, dup: true, entries: vec![place] }))
}

/// Counts what a user has not read.
pub(super) async fn unread(
    session: &Session,
    user: &UserId,
    cursors: &[(RoomName, Seq)],
) -> Result<Vec<u32>, Fault> {
    let sql = "SELECT (SELECT count(*) FROM message m WHERE m.room_id = r.id \
                   AND m.seq > greatest(c.seq, r.floor) AND m.kind = 0 AND m.deleted IS NULL AND m.sender <> $1) \
               FROM unnest($2::text[], $3::bigint[]) WITH ORDINALITY AS c (name, seq, place) \
               LEFT JOIN room r ON r.name = c.name ORDER BY c.place";
    let statement = session.prepared(sql).await?;
    let names: Vec<_> = cursors.iter().map(|(room, _)| room.as_str()).collect();
    let seqs: Vec<_> = cursors.iter().map(|(_, seq)| number(*seq)).collect();
    let rows = session.client.query(&statement, &[&user.as_str(), &names, &seqs]).await?;
    let count = |row: &Row| Ok(u32::try_from(row.try_get::<_, i64>(0)?).unwrap_or(u32::MAX));
    rows.iter().map(count).collect()
}

/// Lists documents by the beginning of their keys.
pub(super) async fn documents(session: &Session, prefix: &str, limit: u32) -> Result<Vec<Document>, Fault> {
    // The last character there is ends the range; `LIKE` would take `%` and `_` for wildcards.
    let sql = "SELECT key, value, checksum FROM document WHERE key >= $1 AND key < $1 || chr(1114111) \
               AND starts_with(key, $1) ORDER BY key LIMIT $2";
    let statement = session.prepared(sql).await?;
    let rows = session.client.query(&statement, &[&escape(prefix), &i64::from(limit)]).await?;
    let document = |row: &Row| {
        let (key, value): (&str, &[u8]) = (row.try_get(0)?, row.try_get(1)?);
        if row.try_get::<_, &[u8]>(2)? != document_checksum(key, value) {
            return Err(Fault::Corrupt);
        }
        Ok(Document { key: unescape(key).ok_or(Fault::Corrupt)?.into_owned(), value: value.to_vec() })
    };
    rows.iter().map(document).collect()
}

/// Returns the checksum of a document whose key is as it is stored.
pub(super) fn document_checksum(key: &str, value: &[u8]) -> Vec<u8> {
    let hash = Sha256::new().chain_update(key.len().to_le_bytes()).chain_update(key).chain_update(value);
    hash.finalize()[..8].to_vec()
}

/// Lists rooms in the order of their names.
pub(super) async fn rooms(
    session: &Session,
    after: Option<&RoomName>,
    limit: u32,
) -> Result<Vec<(RoomName, Head)>, Fault> {
    let sql = "SELECT r.name, r.epoch, r.head, r.floor, l.generation FROM room r, lineage l \
               WHERE r.name > $1 ORDER BY r.name LIMIT $2";
    let statement = session.prepared(sql).await?;
    let after = after.map_or("", RoomName::as_str);
    let rows = session.client.query(&statement, &[&after, &i64::from(limit)]).await?;
    let room =
        |row: &Row| Ok((RoomName::parse_any(row.try_get("name")?).map_err(|_| Fault::Corrupt)?, head(row)?));
    rows.iter().map(room).collect()
}

/// Reads the ends of rooms, in the order of the question.
pub(super) async fn heads(session: &Session, rooms: &[RoomName]) -> Result<Vec<Option<Head>>, Fault> {
    let sql = "SELECT r.id, r.epoch, r.head, r.floor, l.generation \
               FROM unnest($1::text[]) WITH ORDINALITY AS q (name, place) CROSS JOIN lineage l \
               LEFT JOIN room r ON r.name = q.name ORDER BY q.place";
    let statement = session.prepared(sql).await?;
    let names: Vec<_> = rooms.iter().map(RoomName::as_str).collect();
    let rows = session.client.query(&statement, &[&names]).await?;
    let room = |row: &Row| row.try_get::<_, Option<i64>>("id")?.map(|_| head(row)).transpose();
    rows.iter().map(room).collect()
}
