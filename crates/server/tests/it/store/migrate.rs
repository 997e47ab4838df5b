//! A database of schema 1 goes on with all that it holds.

use std::path::Path;

use parlour_hub::log::{Record, Refused};
use parlour_protocol::{Epoch, Seq};
use parlour_server::store::sqlite::SqliteStore;
use parlour_server::store::{Document, Store as _};
use rusqlite::{Connection, params};

use super::search::numbers;
use super::{all, append, delete, draft, draft_with_cid, edit, message, open, room, say, saying, seq, user};

const SCHEMA_1: &str = include_str!("../../../src/store/sqlite/migrations/0001_rooms_and_documents.sql");

/// Numbers, cids and texts.
const ROWS: [(i64, Option<&str>, &str); 3] =
    [(2, None, "second"), (3, Some("three"), "third needle"), (4, Some(""), "größe")];

/// Makes a database as the first version did, with its floor at 1 and rows up to 4.
fn make(dir: &Path) {
    let raw = Connection::open(dir.join("parlour.db")).expect("a database");
    raw.execute_batch("PRAGMA journal_mode = wal").expect("configured");
    raw.execute_batch(SCHEMA_1).expect("the first schema");
    raw.execute_batch("CREATE TABLE schema_version (version INTEGER PRIMARY KEY) STRICT").expect("a version");
    raw.execute("INSERT INTO schema_version VALUES (1)", ()).expect("a version");
    let insert = "INSERT INTO room (name, epoch, head, floor, last_ts) VALUES ('lobby', ?1, 4, 1, 1000)";
    raw.execute(insert, [7_u128.to_be_bytes()]).expect("a room");
    for (seq, cid, body) in ROWS {
        let insert = "INSERT INTO message (room_id, seq, ts, sender, cid, body, checksum) \
             VALUES (1, ?1, ?2, 'Alice', ?3, ?4, ?5)";
        let checksum = checksum(seq, 1_000 + seq, cid, body);
        raw.execute(insert, params![seq, 1_000 + seq, cid, body, checksum]).expect("a message");
    }
    let document = "INSERT INTO document (key, value, checksum) VALUES ('k', x'01', ?1)";
    raw.execute(document, [crc32(&[field(b"k"), field(&[1])])]).expect("a document");
}

fn field(bytes: &[u8]) -> Vec<u8> {
    [&bytes.len().to_le_bytes()[..], bytes].concat()
}

fn checksum(seq: i64, ts: i64, cid: Option<&str>, body: &str) -> i64 {
    crc32(&[
        7_u128.to_le_bytes().to_vec(),
        field(b"lobby"),
        seq.to_le_bytes().to_vec(),
        ts.to_le_bytes().to_vec(),
        field(b"Alice"),
        vec![u8::from(cid.is_some())],
        field(cid.unwrap_or_default().as_bytes()),
        field(body.as_bytes()),
    ])
}

/// CRC-32 of IEEE 802.3, bit by bit.
fn crc32(parts: &[Vec<u8>]) -> i64 {
    let step = |crc: u32, bit: u32| (crc >> 1) ^ (0xedb8_8320 * ((crc ^ bit) & 1));
    let byte = |crc: u32, byte: &u8| (0..8).fold(crc, |crc, bit| step(crc, u32::from(byte >> bit)));
    (!parts.iter().flatten().fold(!0, byte)).into()
}

#[tokio::test]
async fn rows_of_the_first_schema_are_served_changed_and_found() {
    let dir = tempfile::tempdir().expect("a directory");
    make(dir.path());
    for start in 0..2 {
        let store = SqliteStore::open(dir.path()).expect("the store opens");
        let opened = open(&store, "lobby").await;
        assert_eq!(
            (opened.ends.epoch, opened.ends.head, opened.ends.floor),
            (Epoch(7), Seq(4), Seq(1)),
            "{start}"
        );
        let expected = ROWS.map(|(seq, cid, body)| Record {
            seq: Seq(seq.unsigned_abs()),
            sender: user("Alice"),
            cid: cid.map(Into::into),
            ts: 1_000 + seq,
            content: message(body),
        });
        assert_eq!(opened.tail, expected);
        assert_eq!(numbers(&store, "NEEDLE").await, [3]);
        let document = Document { key: "k".into(), value: vec![1] };
        assert_eq!(store.documents("k".into(), 9).await, Ok(vec![document]));
    }
    let store = SqliteStore::open(dir.path()).expect("the store opens");
    let again = say(&store, draft_with_cid("lobby", "three", "third needle")).await.expect("stored before");
    assert_eq!((again.dup, seq(&again), again.ts), (true, 3, 1_003));
    let batch = vec![
        saying("Alice", "lobby", edit(3, "edited")),
        saying("Alice", "lobby", delete(2)),
        draft("lobby", "7"),
    ];
    assert_eq!(super::seqs(&append(&store, batch).await), [5, 6, 7]);
    assert!(
        say(&store, draft_with_cid("lobby", "three", "third needle")).await.is_ok_and(|stored| stored.dup)
    );
    assert_eq!(say(&store, draft_with_cid("lobby", "three", "edited")).await, Err(Refused::Conflict));
    assert_eq!((numbers(&store, "needle").await, numbers(&store, "edited").await), (vec![], vec![3]));
    assert_eq!(all(&store, "lobby").await.len(), 6);
    assert_eq!(
        store.find(room("lobby"), user("Alice"), "".into()).await.map(|found| found.is_some()),
        Ok(true)
    );
}

#[tokio::test]
async fn a_view_waits_for_the_server_to_migrate() {
    let dir = tempfile::tempdir().expect("a directory");
    make(dir.path());
    let refused = SqliteStore::open_read_only(dir.path()).expect_err("too old");
    assert!(refused.to_string().contains("start the server once"), "{refused}");
}
