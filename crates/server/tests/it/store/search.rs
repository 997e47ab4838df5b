//! What can be found, and what is unread. Each function gets an empty store.

use compact_str::CompactString;
use parlour_protocol::Seq;
use parlour_protocol::content::Role;
use parlour_server::store::{Hits, Query, Store};

use super::{
    Any, NOON, append, append_many, delete, draft, edit, pin, private, reaction, role, room, saying, trim_to,
    user,
};

fn query(who: &str, words: &str) -> Query {
    Query { user: user(who), room: None, words: words.into(), before: None, limit: 9 }
}

async fn find(store: &dyn Store, query: Query) -> Vec<(String, u64)> {
    let Hits { hits, .. } = store.search(query).await.expect("searched");
    hits.into_iter().map(|hit| (hit.room.to_string(), hit.seq.0)).collect()
}

/// Returns the numbers of the messages with these words.
pub(super) async fn numbers(store: &dyn Store, words: &str) -> Vec<u64> {
    find(store, query("Alice", words)).await.into_iter().map(|(_, seq)| seq).collect()
}

pub(super) async fn all_words_must_occur_in_whatever_case(store: Any) {
    let said = ["The quick brown fox", "a QUICK Fox?", "quick", "größe ÉTÉ 日本 42", "foxes are not"];
    append(&*store, said.map(|text| draft("lobby", text)).to_vec()).await;
    for (words, expected) in [
        ("quick fox", vec![2, 1]),
        ("FOX, quick!", vec![2, 1]),
        ("fox", vec![2, 1]),
        ("GRÖSSE", vec![]),
        ("Größe été", vec![4]),
        ("日本", vec![4]),
        ("42", vec![4]),
        ("qui", vec![]),
        ("", vec![]),
        (" -- \"'", vec![]),
    ] {
        assert_eq!(numbers(&*store, words).await, expected, "{words:?}");
    }
    let found = store.search(query("Bob", "quick fox")).await.expect("searched");
    let hit = &found.hits[1];
    assert_eq!((hit.sender.as_str(), hit.ts), ("Alice", NOON));
    assert_eq!(hit.snippet, "The \u{e000}quick\u{e001} brown \u{e000}fox\u{e001}");
}

pub(super) async fn hits_come_newest_first_page_by_page(store: Any) {
    let at = |name, ts| {
        let mut draft = draft(name, "needle");
        draft.ts = NOON + ts;
        draft
    };
    append(&*store, vec![at("a", 10), at("b", 20), at("a", 30), at("b", 40), draft("a", "hay")]).await;
    // What is found while pages are read does not move them.
    let mut before: Option<CompactString> = None;
    let mut seen = Vec::new();
    loop {
        let page = Query { before: before.clone(), limit: 2, ..query("Alice", "needle") };
        let page = store.search(page).await.expect("searched");
        assert!(page.hits.len() <= 2);
        seen.extend(page.hits.iter().map(|hit| (hit.room.to_string(), hit.seq.0)));
        append(&*store, vec![at("c", 50)]).await;
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(seen, [("b", 2), ("a", 2), ("b", 1), ("a", 1)].map(|(name, seq)| (name.to_owned(), seq)));
    let one = Query { room: Some(room("a")), ..query("Alice", "needle") };
    assert_eq!(find(&*store, one).await, [("a".to_owned(), 2), ("a".to_owned(), 1)]);
    for (elsewhere, cursor) in [(Some(room("never")), None), (None, Some("nonsense".into()))] {
        let query = Query { room: elsewhere, before: cursor, ..query("Alice", "needle") };
        assert_eq!(find(&*store, query).await, []);
    }
}

pub(super) async fn changed_and_deleted_messages_are_found_as_they_are(store: Any) {
    append(&*store, vec![draft("lobby", "old one"), draft("lobby", "old two"), draft("lobby", "")]).await;
    // Before and after the index knows them.
    for round in ["new", "newer"] {
        let change = |target| saying("Alice", "lobby", edit(target, round));
        append(&*store, vec![change(1), change(3)]).await;
        assert_eq!(numbers(&*store, "old").await, [2]);
        assert_eq!(numbers(&*store, round).await, [3, 1], "{round}");
    }
    assert_eq!(numbers(&*store, "new").await, [0_u64; 0]);
    append(
        &*store,
        vec![saying("Alice", "lobby", delete(1)), saying("Alice", "lobby", reaction(2, "old", true))],
    )
    .await;
    assert_eq!(numbers(&*store, "newer").await, [3]);
    assert_eq!(numbers(&*store, "old").await, [2], "only messages are found");
}

pub(super) async fn private_rooms_are_found_by_those_who_may_read_them(store: Any) {
    let batch = vec![
        draft("open", "needle"),
        saying("Alice", "club", private(true)),
        saying("Alice", "club", role("Bob", Some(Role::Member))),
        draft("club", "needle"),
        draft("@Alice,Carol", "needle"),
        draft("@50%25%2Cx,Bob", "needle"),
    ];
    append(&*store, batch).await;
    let found = async |who| {
        let mut rooms: Vec<_> =
            find(&*store, query(who, "needle")).await.into_iter().map(|(room, _)| room).collect();
        rooms.sort_unstable();
        rooms
    };
    assert_eq!(found("Alice").await, ["@Alice,Carol", "open"]);
    assert_eq!(found("Bob").await, ["@50%25%2Cx,Bob", "club", "open"]);
    assert_eq!(found("50%,x").await, ["@50%25%2Cx,Bob", "open"]);
    assert_eq!(found("Carol").await, ["@Alice,Carol", "open"]);
    assert_eq!(found("Dave").await, ["open"]);
    append(&*store, vec![saying("Alice", "club", role("Bob", None)), saying("Alice", "open", pin(1, true))])
        .await;
    assert_eq!(found("Bob").await, ["@50%25%2Cx,Bob", "open"]);
    let named = Query { room: Some(room("club")), ..query("Bob", "needle") };
    assert_eq!(find(&*store, named).await, []);
    append(&*store, vec![saying("Alice", "club", private(false))]).await;
    assert_eq!(found("Dave").await, ["club", "open"]);
}

pub(super) async fn operators_are_words(store: Any) {
    append(&*store, vec![draft("lobby", "a b near"), draft("lobby", "not or and a")]).await;
    for (words, expected) in [
        ("a NOT b", vec![]),
        ("b OR or", vec![]),
        ("a AND", vec![2]),
        ("NEAR(a b)", vec![1]),
        ("a*", vec![2, 1]),
        ("^a", vec![2, 1]),
        ("words:a", vec![]),
        ("\"b a\"", vec![1]),
        ("a' OR 1=1 --", vec![]),
        ("a & !b | near:*", vec![1]),
        ("\0a\0", vec![2, 1]),
    ] {
        assert_eq!(numbers(&*store, words).await, expected, "{words:?}");
    }
}

pub(super) async fn unread_messages_are_counted(store: Any) {
    append_many(&*store, "lobby", 1..=6).await;
    let bob = |text| {
        let mut draft = draft("lobby", text);
        draft.sender = user("Bob");
        draft
    };
    let change = |content| saying("Alice", "lobby", content);
    append(&*store, vec![bob("7"), change(delete(6)), change(edit(5, "x")), change(reaction(5, "+1", true))])
        .await;
    let count = async |who, cursors: &[(&str, u64)]| {
        let cursors = cursors.iter().map(|(name, seq)| (room(name), Seq(*seq))).collect();
        store.unread(user(who), cursors).await.expect("counted")
    };
    assert_eq!(
        count("Bob", &[("lobby", 0), ("never", 0), ("lobby", 3), ("lobby", u64::MAX)]).await,
        [5, 0, 2, 0]
    );
    assert_eq!(count("Alice", &[("lobby", 0)]).await, [1]);
    trim_to(&*store, "lobby", 4).await;
    assert_eq!(count("Carol", &[("lobby", 0), ("lobby", 5)]).await, [2, 1]);
    assert_eq!(count("Carol", &[]).await, [0_u32; 0]);
}
