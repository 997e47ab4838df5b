//! What can be found, and what is unread. Each function gets an empty store.

use std::sync::Arc;

use compact_str::CompactString;
use parlour_hub::rights::{Access, Action, Grants, Rights};
use parlour_hub::scope::Scope;
use parlour_protocol::Seq;
use parlour_protocol::content::{Role, SanctionKind};
use parlour_server::store::{Hits, Query, Store};

use super::{
    Any, NOON, append, append_many, delete, draft, edit, pin, private, reaction, role, room, sanction,
    saying, trim_to, user,
};

fn query(who: &str, words: &str) -> Query {
    let scope = Scope::open(NOON);
    Query { user: user(who), scope, room: None, words: words.into(), before: None, limit: 9 }
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

/// Rooms, each with its messages, for [`only_rooms_within_the_scope_are_found`].
async fn rooms_of_all_sorts(store: &dyn Store) {
    let made = [
        saying("Ann", "team:red", role("Mia", Some(Role::Member))),
        saying("Ann", "vault", private(true)),
        saying("Ann", "free", sanction("Eve", SanctionKind::Ban, Some(NOON + 10), None)),
        saying("Ann", "free", sanction("Zed", SanctionKind::Mute, None, None)),
    ];
    append(store, made.to_vec()).await;
    for name in ["team:red", "team:blue", "vault", "free", "news", "@Ann,Mia"] {
        append(store, vec![draft(name, "needle")]).await;
    }
}

pub(super) async fn only_rooms_within_the_scope_are_found(store: Any) {
    rooms_of_all_sorts(&*store).await;
    let told =
        |told: &[(&str, Access)]| told.iter().map(|(name, access)| ((*name).to_owned(), *access)).collect();
    let members: Vec<_> = told(&[("team:*", Access::Members), ("news", Access::Announcement)]);
    let closed: Vec<_> = told(&[("free", Access::ReadOnly), ("@*", Access::Members), ("*", Access::Members)]);
    let reader = Scope::NEEDED;
    let grants = |grants: &[(&str, Rights)]| {
        let grants = grants.iter().map(|(pattern, rights)| ((*pattern).into(), *rights)).collect();
        Some(Arc::new(Grants(grants)))
    };
    let by_halves =
        [("team:*", reader.without(Action::History)), ("team:red", Scope::NEEDED.without(Action::Join))];
    let rows = [
        ("Bob", &members, Access::Public, None, NOON, vec!["free", "news"]),
        ("Bob", &members, Access::Members, None, NOON, vec!["news"]),
        ("Mia", &members, Access::Public, None, NOON, vec!["@Ann,Mia", "free", "news", "team:red"]),
        ("Mia", &closed, Access::Public, None, NOON, vec!["free", "team:red"]),
        (
            "Mia",
            &closed,
            Access::Public,
            grants(&[("*", reader)]),
            NOON,
            vec!["free", "news", "team:blue", "team:red"],
        ),
        (
            "Mia",
            &closed,
            Access::Public,
            grants(&[("@*", reader)]),
            NOON,
            vec!["@Ann,Mia", "free", "team:red"],
        ),
        ("Bob", &closed, Access::Public, grants(&[("@*", reader)]), NOON, vec!["free"]),
        ("Bob", &members, Access::Public, grants(&by_halves), NOON, vec!["free", "news", "team:red"]),
        (
            "Bob",
            &members,
            Access::Public,
            grants(&[("vault", Rights::ALL)]),
            NOON,
            vec!["free", "news", "vault"],
        ),
        ("Bob", &members, Access::Public, grants(&[("vault", reader)]), NOON, vec!["free", "news"]),
        ("Eve", &members, Access::Public, None, NOON + 9, vec!["news"]),
        (
            "Eve",
            &members,
            Access::Public,
            grants(&[("*", Rights::ALL)]),
            NOON + 9,
            vec!["news", "team:blue", "team:red", "vault"],
        ),
        ("Eve", &members, Access::Public, None, NOON + 10, vec!["free", "news"]),
        ("Zed", &members, Access::Public, None, NOON, vec!["free", "news"]),
    ];
    for (who, access, otherwise, grants, now_ms, expected) in rows {
        let scope = Scope { access: access.clone(), otherwise, grants, now_ms };
        let query = Query { scope: scope.clone(), ..query(who, "needle") };
        let mut found: Vec<_> =
            find(&*store, query.clone()).await.into_iter().map(|(room, _)| room).collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{who} {scope:?}");
        // Page by page it is the same, whatever lies between.
        let (mut paged, mut before) = (Vec::new(), None);
        loop {
            let page = store.search(Query { limit: 1, before, ..query.clone() }).await.expect("searched");
            paged.extend(page.hits.into_iter().map(|hit| hit.room.to_string()));
            before = page.next;
            if before.is_none() {
                break;
            }
            assert!(paged.len() <= expected.len(), "pages without end");
        }
        paged.sort_unstable();
        assert_eq!(paged, expected, "{who} {scope:?}");
    }
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
