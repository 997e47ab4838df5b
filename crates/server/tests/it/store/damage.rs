//! What the disk turned over is never served (P11).

use parlour_hub::log::Refused;
use parlour_protocol::Seq;
use parlour_server::store::sqlite::SqliteStore;
use parlour_server::store::{Document, Span, Store as _, StoreError};

use super::durable::raw;
use super::search::numbers;
use super::{
    all, answer, append, append_many, assert_stored, delete, draft, draft_with_cid, edit, reaction, role,
    room, say, saying, texts,
};

/// Stores entries in two rooms, and then runs `sql` behind the store's back.
async fn damaged(dir: &std::path::Path, sql: &str) -> SqliteStore {
    let store = SqliteStore::open(dir).expect("the store opens");
    append_many(&store, "lobby", 1..=2).await;
    append(&store, vec![draft_with_cid("lobby", "three", "3"), draft("lobby", "4")]).await;
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
        "UPDATE message SET kind = 1 WHERE seq = 3",
        "UPDATE message SET kind = 9 WHERE seq = 3",
        "UPDATE message SET target = 1 WHERE seq = 3",
        "UPDATE message SET thread = 1 WHERE seq = 3",
        "UPDATE message SET mentions = '[]' WHERE seq = 3",
        "UPDATE message SET edited = 4 WHERE seq = 3",
        "UPDATE message SET deleted = 4 WHERE seq = 3",
        "UPDATE message SET digest = 4 WHERE seq = 3",
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
        assert_eq!([texts(&before), texts(&after)], [vec!["1", "2"], vec!["4"]], "{change}");
        assert_eq!(all(&store, "other").await.len(), 4);
    }
}

#[tokio::test]
async fn a_damaged_room_is_corrupt_and_the_others_take_messages() {
    for change in
        ["epoch = zeroblob(16)", "epoch = x'00'", "head = 5", "head = -1", "floor = 5", "floor = -1"]
    {
        let dir = tempfile::tempdir().expect("a directory");
        let sql = format!("UPDATE room SET {change} WHERE name = 'lobby'");
        let store = damaged(dir.path(), &sql).await;
        assert_eq!(store.open(room("lobby"), 9).await, Err(StoreError::Corrupt), "{change}");
        assert!(store.open(room("other"), 9).await.is_ok(), "{change}");
        let batch = vec![draft("other", "5"), draft("lobby", "x"), draft("other", "6")];
        let answers = store.append(batch).await.expect("the other room is intact");
        assert_eq!(
            [&answers[0], &answers[2]].map(|answer| answer.as_ref().map(super::seq)),
            [Ok(5), Ok(6)],
            "{change}"
        );
    }
}

#[tokio::test]
async fn a_number_is_not_given_twice_when_the_head_is_damaged() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = damaged(dir.path(), "UPDATE room SET head = 2 WHERE name = 'lobby'").await;
    let batch = vec![draft("lobby", "x"), draft("other", "5"), draft("lobby", "y")];
    let answers = store.append(batch).await.expect("the other room is intact");
    assert_stored(&answers, &[Err(Refused::Corrupt), Ok((5, false)), Err(Refused::Corrupt)]);
}

#[tokio::test]
async fn a_damaged_message_cannot_be_answered_or_changed() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = damaged(dir.path(), "UPDATE message SET body = 'e' WHERE room_id = 1 AND seq = 3").await;
    for content in [answer(3, "x"), edit(3, "x"), delete(3), reaction(3, "+1", true)] {
        let batch = vec![saying("Alice", "lobby", content), draft("other", "x")];
        let answers = store.append(batch).await.expect("the rest is stored");
        assert_eq!((&answers[0], answers[1].is_ok()), (&Err(Refused::Corrupt), true));
    }
    assert_eq!(say(&store, draft("lobby", "5")).await.map(|stored| super::seq(&stored)), Ok(5));
}

#[tokio::test]
async fn a_damaged_original_is_not_taken_for_the_same_message() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = damaged(dir.path(), "UPDATE message SET ts = 0 WHERE cid = 'three'").await;
    let batch = vec![draft_with_cid("lobby", "three", "3"), draft("lobby", "5")];
    let answers = store.append(batch).await.expect("the rest is stored");
    assert_stored(&answers, &[Err(Refused::Conflict), Ok((5, false))]);
}

#[tokio::test]
async fn what_hangs_on_a_room_is_corrupt_if_it_was_damaged() {
    for change in [
        "UPDATE reaction SET sender = 'Eve'",
        "UPDATE reaction SET emoji = 'x'",
        "UPDATE reaction SET seq = 9",
        "UPDATE reaction SET target = 2",
        "UPDATE state SET value = '\"owner\"'",
        "UPDATE state SET key = 'role:Eve'",
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let store = SqliteStore::open(dir.path()).expect("the store opens");
        append_many(&store, "lobby", 1..=2).await;
        let member = role("Bob", Some(parlour_protocol::content::Role::Member));
        append(&store, vec![saying("Bob", "lobby", reaction(1, "+1", true)), saying("Bob", "lobby", member)])
            .await;
        assert!(store.open(room("lobby"), 9).await.is_ok());
        assert!(raw(dir.path()).execute(change, ()).expect("damaged") > 0, "{change}");
        assert_eq!(store.open(room("lobby"), 9).await, Err(StoreError::Corrupt), "{change}");
    }
}

#[tokio::test]
async fn a_damaged_message_is_not_found() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = damaged(dir.path(), "UPDATE message SET sender = 'Eve' WHERE room_id = 1 AND seq = 3").await;
    append(&store, vec![draft("lobby", "3 again")]).await;
    // The third of the other room is found, and the fifth of this one.
    let mut found = numbers(&store, "3").await;
    found.sort_unstable();
    assert_eq!(found, [3, 5]);
    assert_eq!(numbers(&store, "4").await.len(), 2);
}

#[tokio::test]
async fn a_damaged_document_is_corrupt() {
    for change in ["value = x'02'", "value = x''", "key = 'kk'", "checksum = 0"] {
        let dir = tempfile::tempdir().expect("a directory");
        let store = damaged(dir.path(), &format!("UPDATE document SET {change}")).await;
        assert_eq!(store.documents("k".into(), 9).await, Err(StoreError::Corrupt), "{change}");
    }
}
