//! What is repeated is stored once (P6). Each function gets an empty store.

use parlour_hub::log::{Draft, Guard, NewEntry, Refused};
use parlour_protocol::Seq;
use parlour_protocol::content::Role;

use super::{
    Any, EPOCH, NOON, all, append, assert_stored, delete, draft, draft_with_cid, edit, group, message, open,
    private, reaction, role, room, say, saying, seq, seqs, text, texts, trim_to, user, with_cid,
};

pub(super) async fn the_same_cid_and_content_is_stored_once(store: Any) {
    let one = draft_with_cid("lobby", "one", "hello");
    let first = append(&*store, vec![one.clone(), one.clone(), draft("lobby", "next")]).await;
    assert_eq!(seqs(&first), [1, 1, 2], "also within one batch");
    assert_eq!([first[0].dup, first[1].dup, first[2].dup], [false, true, false]);
    let again = append(&*store, vec![Draft { ts: NOON + 5, ..one }]).await;
    assert_eq!((seq(&again[0]), again[0].ts, again[0].dup), (1, NOON, true));
    assert_eq!(again[0].epoch, EPOCH);
    assert_eq!(open(&*store, "lobby").await.ends.head, Seq(2), "a duplicate takes no number");
}

pub(super) async fn a_cid_counts_per_room_and_sender(store: Any) {
    let one = draft_with_cid("lobby", "one", "hello");
    let bob = Draft { sender: user("Bob"), ..one.clone() };
    let elsewhere = Draft { room: room("elsewhere"), ..one.clone() };
    let none = draft("lobby", "hello");
    let batch = vec![one, bob, elsewhere, none.clone(), none];
    let answers = store.append(batch).await.expect("stored");
    assert_stored(&answers, &[1, 2, 1, 3, 4].map(|seq| Ok((seq, false))));
}

pub(super) async fn another_content_under_a_cid_is_a_conflict_and_the_rest_is_stored(store: Any) {
    append(&*store, vec![draft_with_cid("lobby", "one", "hello")]).await;
    let batch = vec![
        draft("lobby", "before"),
        draft_with_cid("lobby", "one", "Hello"),
        with_cid(saying("Alice", "lobby", edit(1, "hello")), "one"),
        with_cid(saying("Alice", "lobby", private(true)), "one"),
        draft_with_cid("lobby", "two", "x"),
        draft_with_cid("lobby", "two", "y"),
        draft("lobby", "after"),
    ];
    let answers = store.append(batch).await.expect("stored");
    let (new, conflict) = (|seq| Ok((seq, false)), Err(Refused::Conflict));
    assert_stored(&answers, &[new(2), conflict, conflict, conflict, new(3), conflict, new(4)]);
    assert_eq!(texts(&all(&*store, "lobby").await), ["hello", "before", "x", "after"]);
}

pub(super) async fn what_was_said_first_decides_whatever_became_of_it(store: Any) {
    let said = draft_with_cid("lobby", "said", "first");
    let edited = with_cid(saying("Alice", "lobby", edit(1, "second")), "edited");
    let reacted = with_cid(saying("Alice", "lobby", reaction(1, "+1", true)), "reacted");
    let deleted = with_cid(saying("Alice", "lobby", delete(1)), "deleted");
    let again = saying("Alice", "lobby", edit(1, "third"));
    append(&*store, vec![said.clone(), edited.clone(), reacted.clone(), again, deleted.clone()]).await;
    let repeated = store.append(vec![said, edited, reacted, deleted]).await.expect("answered");
    assert_stored(&repeated, &[1, 2, 3, 5].map(|seq| Ok((seq, true))));
    for forged in [
        draft_with_cid("lobby", "said", ""),
        draft_with_cid("lobby", "said", "second"),
        with_cid(saying("Alice", "lobby", edit(1, "")), "edited"),
        with_cid(saying("Alice", "lobby", reaction(1, "", true)), "reacted"),
    ] {
        assert_eq!(say(&*store, forged).await, Err(Refused::Conflict));
    }
}

/// A draft of messages whose cids are their texts.
fn named(texts: &[&str]) -> Draft {
    let mut draft = group("Alice", "lobby", texts.iter().map(|text| message(text)));
    for (entry, text) in draft.entries.iter_mut().zip(texts) {
        entry.cid = Some((*text).into());
    }
    draft
}

pub(super) async fn a_group_is_repeated_as_a_whole_or_not_at_all(store: Any) {
    let stored = say(&*store, named(&["a", "b", "c"])).await.expect("stored");
    let again = say(&*store, named(&["a", "b", "c"])).await.expect("stored before");
    assert_eq!((again.dup, &again.entries), (true, &stored.entries));
    for other in [&["a", "b", "new"][..], &["new", "a"], &["b", "a", "c"], &["a", "c"], &["twice", "twice"]] {
        assert_eq!(say(&*store, named(other)).await, Err(Refused::Conflict), "{other:?}");
    }
    let part = say(&*store, named(&["b", "c"])).await.expect("stored before");
    assert_eq!((part.dup, seq(&part)), (true, 2));
    assert_eq!(texts(&all(&*store, "lobby").await), ["a", "b", "c"]);
}

pub(super) async fn entries_without_a_cid_are_repeated_with_their_group(store: Any) {
    let mut create = group("Alice", "club", [private(true), role("Alice", Some(Role::Owner))]);
    create.guard = Guard::NewRoom;
    create.entries[0].cid = Some("create".into());
    let first = say(&*store, create.clone()).await.expect("stored");
    append(&*store, vec![draft("club", "hello")]).await;
    let again = say(&*store, create.clone()).await.expect("the guard is not asked again");
    assert_eq!((again.dup, &again.entries), (true, &first.entries));
    create.entries.push(NewEntry { cid: Some("other".into()), content: message("x") });
    assert_eq!(say(&*store, create).await, Err(Refused::Conflict));
}

pub(super) async fn a_cid_is_remembered_after_its_record_was_trimmed(store: Any) {
    let one = draft_with_cid("lobby", "one", "hello");
    append(&*store, vec![one.clone(), draft("lobby", "next")]).await;
    trim_to(&*store, "lobby", 1).await;
    // Whether the row is gone already or not.
    for _ in 0..2 {
        let again = say(&*store, one.clone()).await.expect("stored before");
        assert_eq!((seq(&again), again.ts, again.dup), (1, NOON, true));
        assert_eq!(say(&*store, draft_with_cid("lobby", "one", "x")).await, Err(Refused::Conflict));
        store.check().await.expect("commits");
    }
    let found = store.find(room("lobby"), user("Alice"), "one".into()).await.expect("read");
    assert_eq!(found.map(|stored| seq(&stored)), Some(1));
    assert_eq!(text(&all(&*store, "lobby").await[0]), "next");
}

pub(super) async fn where_a_cid_is_stored_can_be_asked(store: Any) {
    append(&*store, vec![draft("lobby", "x"), draft_with_cid("lobby", "one", "hello")]).await;
    let ask = async |name, whose, cid: &str| {
        store
            .find(room(name), user(whose), cid.into())
            .await
            .expect("read")
            .map(|found| (seq(&found), found.ts))
    };
    assert_eq!(ask("lobby", "Alice", "one").await, Some((2, NOON)));
    assert_eq!(ask("lobby", "Alice", "One").await, None);
    assert_eq!(ask("lobby", "Bob", "one").await, None);
    assert_eq!(ask("elsewhere", "Alice", "one").await, None);
}
