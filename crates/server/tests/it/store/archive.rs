//! What every store promises about its upkeep. Each function gets an empty store.

use parlour_hub::log::{Head, Refused, Snapshot};
use parlour_protocol::content::{Content, Role, SanctionKind};
use parlour_protocol::{Epoch, RoomName, Seq};
use parlour_server::store::{Document, Keep, Span, StoreError};

use super::search::numbers;
use super::{
    Any, EPOCH, NOON, all, answer, append, append_many, delete, details, draft, draft_with_cid, edit, open,
    pin, private, reaction, role, room, sanction, say, saying, seqs, text, texts, trim_to, user,
};

fn ends(head: u64, floor: u64) -> Head {
    Head { epoch: EPOCH, head: Seq(head), floor: Seq(floor) }
}

pub(super) async fn rooms_are_listed_in_pages(store: Any) {
    let names = ["@Alice,Bob", "B", "a", "b", "größe", "z z", "日本"];
    append(&*store, names.iter().rev().map(|name| draft(name, "x")).collect()).await;
    let (mut after, mut listed) = (None, Vec::new());
    loop {
        let page = store.rooms(after.clone(), 3).await.expect("listed");
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        assert!(page.iter().all(|(_, head)| *head == ends(1, 0)));
        listed.extend(page.into_iter().map(|(name, _)| name.to_string()));
    }
    assert_eq!(listed, names, "in the order of their bytes");
}

pub(super) async fn heads_come_in_the_order_of_the_question(store: Any) {
    append_many(&*store, "a", 0..3).await;
    append_many(&*store, "b", 0..2).await;
    trim_to(&*store, "b", 1).await;
    let asked = ["b", "never", "a", "b"].map(room).to_vec();
    let expected = vec![Some(ends(2, 1)), None, Some(ends(3, 0)), Some(ends(2, 1))];
    assert_eq!(store.heads(asked).await, Ok(expected));
    assert_eq!(store.heads(vec![]).await, Ok(vec![]));
}

pub(super) async fn a_trimmed_room_goes_on_where_it_was(store: Any) {
    append_many(&*store, "lobby", 1..=6).await;
    for (upto, floor, left) in [(2, 2, vec!["3", "4", "5", "6"]), (1, 2, vec!["3", "4", "5", "6"])] {
        let keep = Keep { after: Some(Seq(upto)), ..Keep::default() };
        assert_eq!(store.trim(room("lobby"), keep).await, Ok(Some(ends(6, floor))));
        let opened = open(&*store, "lobby").await;
        assert_eq!((opened.ends, texts(&opened.tail)), (ends(6, floor), left));
    }
    let records = store.read(room("lobby"), Span::After(Seq(0)), 2).await.expect("read");
    assert_eq!(texts(&records), ["3", "4"]);
    assert_eq!(store.read(room("lobby"), Span::Before(Seq(3)), 2).await, Ok(vec![]));

    trim_to(&*store, "lobby", u64::MAX).await;
    let opened = open(&*store, "lobby").await;
    assert_eq!((opened.ends, opened.tail), (ends(6, 6), vec![]));
    assert_eq!(seqs(&append(&*store, vec![draft("lobby", "7")]).await), [7]);
    assert_eq!(texts(&all(&*store, "lobby").await), ["7"]);
}

pub(super) async fn each_limit_of_retention_counts(store: Any) {
    for (name, keep, floor) in [
        ("nothing", Keep::default(), 0),
        ("since", Keep { since_ms: Some(NOON + 30), ..Keep::default() }, 2),
        ("before", Keep { since_ms: Some(NOON), ..Keep::default() }, 0),
        ("later", Keep { since_ms: Some(NOON + 99), ..Keep::default() }, 5),
        ("records", Keep { records: Some(3), ..Keep::default() }, 2),
        ("many", Keep { records: Some(u64::MAX), ..Keep::default() }, 0),
        ("none", Keep { records: Some(0), ..Keep::default() }, 5),
        ("bytes", Keep { bytes: Some(20), ..Keep::default() }, 3),
        ("more bytes", Keep { bytes: Some(29), ..Keep::default() }, 3),
        ("all bytes", Keep { bytes: Some(50), ..Keep::default() }, 0),
        ("two", Keep { bytes: Some(35), since_ms: Some(NOON + 40), ..Keep::default() }, 3),
    ] {
        for n in 1..=5 {
            let mut draft = draft(name, "ten bytes!");
            draft.ts = NOON + 10 * n;
            append(&*store, vec![draft]).await;
        }
        assert_eq!(store.trim(room(name), keep).await, Ok(Some(ends(5, floor))), "{name}");
        assert_eq!(all(&*store, name).await.len() as u64, 5 - floor, "{name}");
    }
    assert_eq!(store.trim(room("never"), Keep::default()).await, Ok(None));
}

pub(super) async fn trimmed_messages_are_gone_from_pins_and_search(store: Any) {
    append(&*store, vec![draft("lobby", "needle 1"), draft("lobby", "needle 2")]).await;
    assert_eq!(numbers(&*store, "needle").await, [2, 1]);
    let change = |content| saying("Alice", "lobby", content);
    append(&*store, vec![change(pin(1, true)), change(pin(2, true)), change(reaction(2, "+1", true))]).await;
    trim_to(&*store, "lobby", 1).await;
    let opened = open(&*store, "lobby").await;
    assert_eq!((opened.state.pins, numbers(&*store, "needle").await), (vec![Seq(2)], vec![2]));
    trim_to(&*store, "lobby", 4).await;
    assert_eq!(all(&*store, "lobby").await.len(), 1, "an entry may outlive its message");
    assert_eq!(open(&*store, "lobby").await.state.pins, []);
}

pub(super) async fn an_erased_user_has_said_nothing(store: Any) {
    let by = |who, content| saying(who, "club", content);
    let batch = vec![
        by("Alice", private(true)),
        by("Alice", role("Alice", Some(Role::Owner))),
        draft_with_cid("club", "cid-of-alice", "secret of Alice"),
        by("Alice", edit(3, "another secret")),
        by("Bob", answer(3, "hm")),
        by("Alice", reaction(5, "sly", true)),
        by("Bob", reaction(5, "sly", true)),
        draft("elsewhere", "secret"),
        by("Alice", sanction("Bob", SanctionKind::Mute, None, Some("secret grudge"))),
        by("Bob", sanction("Alice", SanctionKind::Ban, Some(NOON), Some("Alice again"))),
        saying("Bob", "untouched", Content::Message(parlour_protocol::content::Text::plain("x"))),
    ];
    append(&*store, batch).await;
    assert_eq!(numbers(&*store, "secret").await.len(), 2);
    let touched = store.erase(user("Alice"), user("erased-1")).await.expect("erased");
    assert_eq!(touched, ["club", "elsewhere"].map(room));

    let opened = open(&*store, "club").await;
    let shown = format!("{opened:?}");
    assert!(!shown.contains("secret") && !shown.contains("Alice") && !shown.contains("cid-of"), "{shown}");
    assert_eq!(opened.ends.head, Seq(9), "the numbers stay");
    let erased: Vec<_> = opened.tail.iter().map(|record| record.sender.as_str() == "erased-1").collect();
    assert_eq!(erased, [true, true, true, true, false, true, false, true, false]);
    let sanctions: Vec<_> = opened.state.sanctions.values().cloned().map(Content::Sanction).collect();
    let expected = [("Bob", SanctionKind::Mute, None), ("erased-1", SanctionKind::Ban, Some(NOON))];
    assert_eq!(sanctions, expected.map(|(whose, kind, until)| sanction(whose, kind, until, None)));
    assert_eq!((text(&opened.tail[2]), text(&opened.tail[4])), ("", "hm"));
    let tallies = details(&opened.tail[4]).reactions;
    assert_eq!((tallies[0].count, &tallies[0].users), (1, &vec![user("Bob")]));
    assert_eq!(opened.state.roles, [(user("erased-1"), Role::Owner)].into(), "the room keeps its owner");
    assert_eq!(numbers(&*store, "secret").await, [0_u64; 0]);
    let again = append(&*store, vec![draft_with_cid("club", "cid-of-alice", "new")]).await;
    assert_eq!((seqs(&again), again[0].dup), (vec![10], false), "the cid is forgotten");
    assert_eq!(store.erase(user("Nobody"), user("erased-2")).await, Ok(vec![]));
}

pub(super) async fn documents_of_an_erased_user_are_gone(store: Any) {
    let keys = [
        "cursor\u{1f}hall\u{1f}Alice",
        "cursor\u{1f}hall\u{1f}Alice2",
        "cursor\u{1f}hall\u{1f}Bob",
        "other\u{1f}hall\u{1f}Alice",
        "read\u{1f}Alice\u{1f}lobby",
        "read\u{1f}Bob\u{1f}Alice",
        "seen\u{1f}Alice\u{1f}Bob",
        "seen\u{1f}stairs\u{1f}Alice",
    ];
    let document = |key: &str| Document { key: key.to_owned(), value: vec![1] };
    store.put(keys.map(document).to_vec()).await.expect("put");
    let touched = store.erase(user("Alice"), user("erased-1")).await.expect("erased");
    assert_eq!(touched, ["hall", "stairs"].map(room));
    let left = [keys[1], keys[2], keys[3], keys[5], keys[6]].map(document);
    assert_eq!(store.documents(String::new(), 99).await, Ok(left.to_vec()));
}

/// A room with all that a room can have.
async fn rich_room(store: &Any) -> Snapshot {
    let by = |who, content| saying(who, "lobby", content);
    let batch = vec![
        draft_with_cid("lobby", "one", "first needle"),
        by("Bob", answer(1, "second needle")),
        by("Alice", edit(1, "edited needle")),
        by("Alice", edit(1, "again needle")),
        by("Bob", reaction(1, "+1", true)),
        by("Alice", reaction(1, "+1", true)),
        by("Bob", reaction(1, "+1", false)),
        by("Bob", reaction(2, "♥", true)),
        by("Alice", pin(2, true)),
        by("Alice", pin(1, true)),
        by("Alice", private(false)),
        by("Alice", role("Alice", Some(Role::Owner))),
        draft("lobby", "gone"),
        by("Alice", delete(13)),
        by("Alice", sanction("Eve", SanctionKind::Ban, Some(NOON + 9), Some("spam"))),
        by("Alice", sanction("Zed", SanctionKind::Mute, None, None)),
    ];
    append(&**store, batch).await;
    open(&**store, "lobby").await
}

pub(super) async fn an_export_is_restored_as_it_was(store: Any) {
    let part = rich_room(&store).await;
    let head = store.restore(room("copy"), part.clone()).await.expect("restored");
    assert_eq!((head.head, head.floor), (part.ends.head, part.ends.floor));
    assert_ne!(head.epoch, EPOCH, "it is another lineage");
    let copy = open(&*store, "copy").await;
    assert_eq!(copy.ends, head);
    assert_eq!(copy.tail, part.tail);
    assert_eq!(copy.state, part.state);
    let query = parlour_server::store::Query {
        user: user("Alice"),
        scope: parlour_hub::scope::Scope::open(NOON),
        room: Some(room("copy")),
        words: "needle".into(),
        before: None,
        limit: 9,
    };
    let found = store.search(query).await.expect("searched").hits;
    assert_eq!(found.iter().map(|hit| hit.seq.0).collect::<Vec<_>>(), [2, 1]);
    // It goes on as a room does.
    let on = saying("Alice", "copy", reaction(1, "+1", true));
    assert_eq!(say(&*store, on).await.map(|stored| stored.dup), Ok(true));
    let batch =
        vec![saying("Alice", "copy", edit(1, "third")), draft_with_cid("copy", "one", "again needle")];
    let answers = store.append(batch).await.expect("answered");
    assert_eq!(answers[0].as_ref().map(|stored| stored.entries[0].seq), Ok(Seq(17)));
    assert!(answers[1].as_ref().is_ok_and(|stored| stored.dup), "what it is now counts as said first");
}

pub(super) async fn an_export_is_restored_in_parts(store: Any) {
    append_many(&*store, "lobby", 1..=9).await;
    trim_to(&*store, "lobby", 3).await;
    let whole = open(&*store, "lobby").await;
    for (name, cuts) in
        [("one", vec![(0, 6)]), ("two", vec![(0, 2), (2, 6)]), ("twice", vec![(0, 4), (2, 6), (0, 6)])]
    {
        for (start, end) in cuts {
            let part = Snapshot { tail: whole.tail[start..end].to_vec(), ..whole.clone() };
            store.restore(room(name), part).await.expect("restored");
        }
        let copy = open(&*store, name).await;
        assert_eq!((copy.ends.head, copy.ends.floor, &copy.tail), (Seq(9), Seq(3), &whole.tail), "{name}");
        assert_eq!(seqs(&append(&*store, vec![draft(name, "10")]).await), [10]);
    }
    let trimmed = Snapshot { ends: Head { floor: Seq(9), ..whole.ends }, tail: vec![], ..whole };
    let head = store.restore(room("empty"), trimmed).await.expect("restored");
    assert_eq!((head.head, head.floor), (Seq(9), Seq(9)), "all of it was trimmed");
    assert_eq!(seqs(&append(&*store, vec![draft("empty", "10")]).await), [10]);
}

pub(super) async fn a_part_that_does_not_follow_is_refused(store: Any) {
    append_many(&*store, "lobby", 1..=9).await;
    let whole = open(&*store, "lobby").await;
    let hole = Snapshot { tail: vec![whole.tail[0].clone(), whole.tail[2].clone()], ..whole.clone() };
    assert_eq!(store.restore(room("copy"), hole).await, Err(StoreError::Corrupt));
    let late = Snapshot { tail: whole.tail[4..].to_vec(), ..whole };
    assert_eq!(store.restore(room("copy"), late).await, Err(StoreError::Corrupt));
}

pub(super) async fn renewing_gives_every_room_another_epoch(store: Any) {
    append(&*store, vec![draft("a", "x"), draft("b", "x")]).await;
    let documents = ["lineage", "other"].map(|key| Document { key: key.into(), value: vec![1] });
    store.put(documents.to_vec()).await.expect("put");
    store.renew().await.expect("renewed");
    let epochs = async || {
        let heads = store.heads(["a", "b"].map(room).to_vec()).await.expect("read");
        heads.into_iter().flatten().map(|head| head.epoch).collect::<Vec<_>>()
    };
    let new = epochs().await;
    assert!(!new.contains(&EPOCH), "{new:?}");
    assert_eq!(all(&*store, "a").await.len(), 1, "the records are intact");
    let batch = vec![draft("a", "y"), draft("c", "z")];
    let stored = append(&*store, batch).await;
    assert_eq!(
        [stored[0].epoch, stored[1].epoch],
        [new[0], EPOCH],
        "a new room has the epoch that was chosen"
    );
    assert_eq!(open(&*store, "a").await.ends.epoch, new[0]);
    assert_eq!(store.documents(String::new(), 9).await, Ok(documents[1..].to_vec()));
    store.renew().await.expect("renewed");
    assert!(epochs().await.iter().all(|epoch| *epoch != EPOCH && !new.contains(epoch)));
    assert_ne!(open(&*store, "c").await.ends.epoch, Epoch(0));
}

pub(super) async fn a_check_commits(store: Any) {
    assert_eq!(store.check().await, Ok(()));
    append(&*store, vec![draft("lobby", "x")]).await;
    assert_eq!(store.check().await, Ok(()));
    let name = RoomName::private(&user("Alice"), &user("Bob"));
    assert_eq!(say(&*store, saying("Alice", name.as_str(), delete(1))).await, Err(Refused::NoTarget));
}
