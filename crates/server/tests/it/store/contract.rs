//! What every store promises about logs and documents. Each function gets an empty store.

use std::collections::HashMap;
use std::sync::Arc;

use parlour_hub::log::{Draft, Head};
use parlour_protocol::{Epoch, RoomName, Seq};
use parlour_server::store::{Document, Span};

use super::{
    Any, EPOCH, NOON, all, append, append_many, draft, draft_with_cid, open, room, seq, seqs, texts, trim_to,
    user, with_cid,
};

pub(super) async fn a_room_that_was_never_written_does_not_exist(store: Any) {
    append_many(&*store, "other", 0..3).await;
    trim_to(&*store, "lobby", 9).await;
    assert_eq!(store.open(room("lobby"), 50).await, Ok(None));
    assert_eq!(store.read(room("lobby"), Span::After(Seq(0)), 50).await, Ok(vec![]));
    assert_eq!(store.check().await, Ok(()));
}

pub(super) async fn an_empty_batch_stores_nothing(store: Any) {
    assert_eq!(store.append(vec![]).await, Ok(vec![]));
    assert_eq!(store.put(vec![]).await, Ok(()));
}

pub(super) async fn numbers_are_gap_free_over_interleaved_rooms(store: Any) {
    let batch = ["a", "b", "a", "c", "b", "a"].map(|name| draft(name, "x"));
    assert_eq!(seqs(&append(&*store, batch.to_vec()).await), [1, 1, 2, 1, 2, 3]);
    let batch = ["c", "a"].map(|name| draft(name, "x"));
    assert_eq!(seqs(&append(&*store, batch.to_vec()).await), [2, 4]);
    let opened = store.open(room("a"), 2).await.expect("read").expect("exists");
    let tail = opened.tail;
    assert_eq!(opened.ends, Head { epoch: EPOCH, head: Seq(4), floor: Seq(0) });
    assert_eq!(tail.iter().map(|record| record.seq.0).collect::<Vec<_>>(), [3, 4]);
}

pub(super) async fn concurrent_appends_are_gap_free_and_keep_the_order_of_each_caller(store: Any) {
    const CALLERS: u64 = 8;
    const EACH: u64 = 40;
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut given = Vec::new();
                for n in 0..EACH {
                    let batch = [draft("left", &format!("{caller} {n}")), draft("right", "x")];
                    given.push(seq(&append(&*store, batch.to_vec()).await[0]));
                }
                given
            })
        })
        .collect();
    let mut all = Vec::new();
    for caller in callers {
        let given = caller.await.expect("a caller");
        assert!(given.is_sorted(), "{given:?}");
        all.extend(given);
    }
    all.sort_unstable();
    assert_eq!(all, (1..=CALLERS * EACH).collect::<Vec<_>>());
    for name in ["left", "right"] {
        let records = store.read(room(name), Span::After(Seq(0)), u32::MAX).await.expect("read");
        assert_eq!(records.len() as u64, CALLERS * EACH, "{name}");
    }
}

pub(super) async fn a_dropped_future_does_not_undo_its_work(store: Any) {
    drop(store.append(vec![draft("lobby", "first")]));
    append(&*store, vec![draft("lobby", "second")]).await;
    let records = store.read(room("lobby"), Span::After(Seq(0)), 9).await.expect("read");
    assert_eq!(texts(&records), ["first", "second"]);
}

pub(super) async fn reads_go_in_both_directions(store: Any) {
    append_many(&*store, "lobby", 1..=9).await;
    append_many(&*store, "other", 1..=9).await;
    for (span, limit, expected) in [
        (Span::After(Seq(0)), 3, vec!["1", "2", "3"]),
        (Span::After(Seq(3)), 3, vec!["4", "5", "6"]),
        (Span::After(Seq(7)), 3, vec!["8", "9"]),
        (Span::Before(Seq(10)), 3, vec!["7", "8", "9"]),
        (Span::Before(Seq(7)), 3, vec!["4", "5", "6"]),
        (Span::Before(Seq(3)), 3, vec!["1", "2"]),
    ] {
        let records = store.read(room("lobby"), span, limit).await.expect("read");
        assert_eq!(texts(&records), expected, "{span:?}");
    }
}

pub(super) async fn reads_stay_within_the_log(store: Any) {
    append_many(&*store, "lobby", 1..=3).await;
    for (span, limit, expected) in [
        (Span::After(Seq(0)), 0, 0),
        (Span::After(Seq(3)), 9, 0),
        (Span::After(Seq(u64::MAX)), 9, 0),
        (Span::After(Seq(0)), u32::MAX, 3),
        (Span::Before(Seq(0)), 9, 0),
        (Span::Before(Seq(1)), 9, 0),
        (Span::Before(Seq(u64::MAX)), 0, 0),
        (Span::Before(Seq(u64::MAX)), u32::MAX, 3),
    ] {
        let records = store.read(room("lobby"), span, limit).await.expect("read");
        assert_eq!(records.len(), expected, "{span:?}, {limit}");
    }
    for (tail, expected) in [(0, 0), (2, 2), (u32::MAX, 3)] {
        let opened = store.open(room("lobby"), tail).await.expect("read").expect("exists");
        assert_eq!(opened.tail.len(), expected, "the last {tail}");
    }
}

pub(super) async fn the_first_epoch_stays(store: Any) {
    append(&*store, vec![draft("lobby", "1")]).await;
    trim_to(&*store, "lobby", 1).await;
    let other = Draft { new_epoch: Epoch(u128::MAX), ..draft("lobby", "2") };
    let elsewhere = Draft { room: room("elsewhere"), ..other.clone() };
    let stored = append(&*store, vec![other, elsewhere]).await;
    assert_eq!([stored[0].epoch, stored[1].epoch], [EPOCH, Epoch(u128::MAX)]);
    assert_eq!(open(&*store, "elsewhere").await.ends.epoch, Epoch(u128::MAX));
}

pub(super) async fn time_never_goes_back_within_a_room(store: Any) {
    let at = |name, ts| Draft { ts, ..draft(name, "x") };
    let hour = 3_600_000;
    let batch = vec![at("a", NOON), at("a", NOON - hour), at("b", NOON - hour), at("a", NOON + 1)];
    let first = append(&*store, batch).await;
    let times: Vec<_> = first.iter().map(|stored| stored.ts - NOON).collect();
    assert_eq!(times, [0, 0, -hour, 1]);
    trim_to(&*store, "a", u64::MAX).await;
    let later = append(&*store, vec![at("a", NOON - hour)]).await;
    assert_eq!(later[0].ts, NOON + 1, "also when the last record is gone");
    let records = store.read(room("a"), Span::After(Seq(0)), 9).await.expect("read");
    assert_eq!(records[0].ts, NOON + 1, "what is answered is what is stored");
}

fn document(key: &str, value: &[u8]) -> Document {
    Document { key: key.to_owned(), value: value.to_vec() }
}

pub(super) async fn documents_are_put_replaced_and_deleted(store: Any) {
    let put = |documents: &[Document]| store.put(documents.to_vec());
    put(&[document("a", b"1"), document("b", &[0, 255]), document("c", b"3")]).await.expect("put");
    put(&[document("a", b"2"), document("c", b""), document("never", b"")]).await.expect("put");
    put(&[document("d", b"1"), document("d", b"2")]).await.expect("put");
    let expected = vec![document("a", b"2"), document("b", &[0, 255]), document("d", b"2")];
    assert_eq!(store.documents(String::new(), 9).await, Ok(expected));
}

pub(super) async fn documents_are_listed_by_prefix(store: Any) {
    let keys = ["cursor\u{1f}Zoë\u{1f}a", "cursor\u{1f}Zoë\u{1f}b", "cursor\u{1f}Zoëy\u{1f}a", "cursor"];
    store.put(keys.map(|key| document(key, b"x")).to_vec()).await.expect("put");
    for (prefix, limit, expected) in [
        ("cursor\u{1f}Zoë\u{1f}", 9, vec![keys[0], keys[1]]),
        ("cursor\u{1f}Zoë", 9, vec![keys[0], keys[1], keys[2]]),
        ("cursor", 2, vec![keys[3], keys[0]]),
        ("cursor", 0, vec![]),
        ("cursors", 9, vec![]),
        ("", 9, vec![keys[3], keys[0], keys[1], keys[2]]),
    ] {
        let found = store.documents(prefix.to_owned(), limit).await.expect("read");
        let found: Vec<_> = found.iter().map(|document| document.key.as_str()).collect();
        assert_eq!(found, expected, "{prefix:?}");
    }
}

pub(super) async fn wildcards_in_a_prefix_are_letters(store: Any) {
    let keys = ["a%c", "a*c", "a?c", "a[b]c", "a\\c", "a_c", "abc"];
    store.put(keys.map(|key| document(key, b"x")).to_vec()).await.expect("put");
    for prefix in ["a%", "a_", "a*", "a?", "a[b]", "a\\", "%", "_"] {
        let found = store.documents(prefix.to_owned(), 9).await.expect("read");
        let found: Vec<_> = found.iter().map(|document| document.key.as_str()).collect();
        let expected: Vec<_> = keys.into_iter().filter(|key| key.starts_with(prefix)).collect();
        assert_eq!(found, expected, "{prefix:?}");
    }
}

pub(super) async fn hostile_texts_are_kept_verbatim(store: Any) {
    let hostile = [
        "'; DROP TABLE message; --",
        "\"; DELETE FROM room WHERE \"\"=\"",
        "{\"$ne\":1}",
        "\"},\"user\":\"admin",
        "?1 :name @name $name",
        "\n2026 ERROR forged \u{1b}[31m",
        "<img onerror=alert(1)>",
        "\u{202e}right to left",
        "\u{feff}mark",
        "",
    ];
    let as_cid = |text: &str| text.chars().take(16).collect::<String>();
    let name = "'; DROP TABLE room; --";
    let batch = hostile.map(|text| with_cid(draft(name, text), &as_cid(text)));
    append(&*store, batch.to_vec()).await;
    let records = all(&*store, name).await;
    assert_eq!(texts(&records), hostile);
    for (record, text) in records.iter().zip(hostile) {
        assert_eq!(record.cid.as_deref(), Some(&*as_cid(text)));
    }
    let documents = hostile.map(|text| document(text, b"x"));
    store.put(documents.to_vec()).await.expect("put");
    for text in hostile.into_iter().filter(|text| !text.is_empty()) {
        let found = store.documents(text.to_owned(), 9).await.expect("read");
        assert_eq!(found, [document(text, b"x")]);
    }
}

pub(super) async fn names_and_texts_of_any_size_are_kept(store: Any) {
    let (short, long) = (user("x"), user(&"日".repeat(21)));
    let rooms = [
        room("a"),
        room("A"),
        room(&"ß".repeat(64)),
        room("日本 🦀 %_"),
        RoomName::private(&short, &long),
        RoomName::private(&user("50%,a"), &user("b")),
    ];
    let sizes = [0, 1, 4_095, 65_536];
    let mut expected = HashMap::new();
    for room in &rooms {
        let drafts = sizes.map(|size| Draft {
            room: room.clone(),
            sender: long.clone(),
            ..draft_with_cid("x", &size.to_string(), &"é".repeat(size / 2))
        });
        expected.insert(room, append(&*store, drafts.to_vec()).await);
    }
    for room in &rooms {
        let records = store.read(room.clone(), Span::After(Seq(0)), 9).await.expect("read");
        let found: Vec<_> = records.iter().map(|record| (record.seq.0, super::text(record).len())).collect();
        let stored = expected[room].iter().map(seq);
        let wanted: Vec<_> = stored.zip(sizes.map(|size| size / 2 * 2)).collect();
        assert_eq!(found, wanted, "{room}");
        assert!(records.iter().all(|record| record.sender == long));
    }
}
