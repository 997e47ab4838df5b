//! What the disk turned over is never served (P11).

use parlour_protocol::Seq;
use parlour_server::store::sqlite::SqliteStore;
use parlour_server::store::{Conflict, Document, Span, Store, StoreError};

use super::durable::raw;
use super::{append_many, assert_stored, bodies, draft, draft_with_cid, room};

/// Stores four messages in two rooms, and then runs `sql` behind the store's back.
async fn damaged(dir: &std::path::Path, sql: &str) -> SqliteStore {
    let store = SqliteStore::open(dir).expect("the store opens");
    append_many(&store, "lobby", 1..=2).await;
    let batch = vec![draft_with_cid("lobby", "three", "3"), draft("lobby", "4")];
    store.append(batch).await.expect("stored");
    append_many(&store, "other", 1..=4).await;
    let document = Document { key: "k".into(), value: vec![1] };
    store.put(vec![document]).await.expect("put");
    assert!(raw(dir).execute(sql, ()).expect("damaged") > 0, "{sql}");
    store
}

#[tokio::test]
async fn a_damaged_row_is_corrupt_and_the_others_are_served() {
    for change in [
        "UPDATE message SET body = 'e' WHERE seq = 3",
        "UPDATE message SET body = CAST(x'ff' AS TEXT) WHERE seq = 3",
        "UPDATE message SET sender = 'Bob' WHERE seq = 3",
        "UPDATE message SET sender = '' WHERE seq = 3",
        "UPDATE message SET cid = NULL WHERE seq = 3",
        "UPDATE message SET cid = '' WHERE seq = 3",
        "UPDATE message SET ts = ts + 1 WHERE seq = 3",
        "UPDATE message SET checksum = checksum | (1 << 40) WHERE seq = 3",
        "UPDATE message SET seq = 30 WHERE seq = 3",
        "DELETE FROM message WHERE seq = 3",
        "UPDATE message SET body = '4', seq = 9 WHERE seq = 3",
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let store = damaged(dir.path(), &format!("{change} AND room_id = 1")).await;
        let read = |span, limit| store.read(room("lobby"), span, limit);
        assert_eq!(read(Span::After(Seq(0)), 9).await, Err(StoreError::Corrupt), "{change}");
        assert_eq!(read(Span::Before(Seq(4)), 2).await, Err(StoreError::Corrupt), "{change}");
        assert_eq!(store.open(room("lobby"), 2).await, Err(StoreError::Corrupt), "{change}");
        let before = read(Span::After(Seq(0)), 2).await.expect("intact");
        let after = read(Span::After(Seq(3)), 2).await.expect("intact");
        assert_eq!([bodies(&before), bodies(&after)], [vec!["1", "2"], vec!["4"]], "{change}");
        assert_eq!(store.read(room("other"), Span::After(Seq(0)), 9).await.expect("read").len(), 4);
    }
}

#[tokio::test]
async fn a_damaged_room_is_corrupt() {
    for change in
        ["epoch = zeroblob(16)", "epoch = x'00'", "head = 5", "head = -1", "floor = 5", "floor = -1"]
    {
        let dir = tempfile::tempdir().expect("a directory");
        let sql = format!("UPDATE room SET {change} WHERE name = 'lobby'");
        let store = damaged(dir.path(), &sql).await;
        assert_eq!(store.open(room("lobby"), 9).await, Err(StoreError::Corrupt), "{change}");
        assert!(store.open(room("other"), 9).await.is_ok(), "{change}");
    }
}

#[tokio::test]
async fn a_number_is_not_given_twice_when_the_head_is_damaged() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = damaged(dir.path(), "UPDATE room SET head = 2 WHERE name = 'lobby'").await;
    assert_eq!(store.append(vec![draft("lobby", "x")]).await, Err(StoreError::Corrupt));
    let answers = store.append(vec![draft("other", "5")]).await.expect("stored");
    assert_stored(&answers, &[Ok((5, false))]);
}

#[tokio::test]
async fn a_damaged_original_is_not_taken_for_the_same_message() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = damaged(dir.path(), "UPDATE message SET ts = 0 WHERE cid = 'three'").await;
    let batch = vec![draft_with_cid("lobby", "three", "3"), draft("lobby", "5")];
    let answers = store.append(batch).await.expect("the rest is stored");
    assert_stored(&answers, &[Err(Conflict), Ok((5, false))]);
}

#[tokio::test]
async fn a_damaged_document_is_corrupt() {
    for change in ["value = x'02'", "value = x''", "key = 'kk'", "checksum = 0"] {
        let dir = tempfile::tempdir().expect("a directory");
        let store = damaged(dir.path(), &format!("UPDATE document SET {change}")).await;
        assert_eq!(store.documents("k".into(), 9).await, Err(StoreError::Corrupt), "{change}");
    }
}
