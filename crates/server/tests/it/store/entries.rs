//! What entries do to messages and rooms (P22). Each function gets an empty store.

use parlour_hub::log::{Draft, Guard, Place, Refused, RoomState};
use parlour_protocol::content::{Content, Details, Role, SanctionKind, Settings, Tally, Text};
use parlour_protocol::limits::{EMOJI_PER_MESSAGE, PINS, REACTION_USERS};
use parlour_protocol::{RoomName, Seq};
use parlour_server::store::Span;

use super::{
    Any, NOON, all, answer, append, append_many, assert_stored, delete, details, draft, draft_with_cid, edit,
    group, message, open, pin, private, reaction, role, room, sanction, say, saying, seq, text, texts,
    trim_to, user, with_cid,
};

fn moderating(draft: Draft) -> Draft {
    Draft { guard: Guard::Moderator, ..draft }
}

pub(super) async fn an_answer_belongs_to_the_thread_of_what_it_answers(store: Any) {
    let contents =
        [message("root"), answer(1, "first"), message("other"), answer(2, "deeper"), answer(3, "elsewhere")];
    let stored = append(&*store, contents.map(|content| saying("Alice", "lobby", content)).to_vec()).await;
    let threads: Vec<_> = stored.iter().map(|stored| stored.entries[0].thread.map(|seq| seq.0)).collect();
    assert_eq!(threads, [None, Some(1), None, Some(1), Some(3)]);
    let records = all(&*store, "lobby").await;
    let kept: Vec<_> = records.iter().map(details).map(|said| (said.reply_to, said.thread)).collect();
    let at = |reply_to, thread| (Some(Seq(reply_to)), Some(Seq(thread)));
    assert_eq!(kept, [(None, None), at(1, 1), (None, None), at(2, 1), at(3, 3)]);
}

pub(super) async fn a_thread_is_read_by_itself(store: Any) {
    let contents =
        [message("root"), answer(1, "a"), message("other"), answer(2, "b"), edit(2, "A"), answer(1, "c")];
    append(&*store, contents.map(|content| saying("Alice", "lobby", content)).to_vec()).await;
    append(&*store, vec![saying("Bob", "lobby", reaction(4, "+1", true))]).await;
    for (root, after, limit, expected) in [
        (1, 0, 9, vec!["root", "A", "b", "c"]),
        (1, 1, 9, vec!["A", "b", "c"]),
        (1, 0, 2, vec!["root", "A"]),
        (1, 2, 1, vec!["b"]),
        (1, 6, 9, vec![]),
        (3, 0, 9, vec!["other"]),
        (5, 0, 9, vec![]),
        (9, 0, 9, vec![]),
    ] {
        let span = Span::Thread { root: Seq(root), after: Seq(after) };
        let records = store.read(room("lobby"), span, limit).await.expect("read");
        assert_eq!(texts(&records), expected, "{span:?}, {limit}");
    }
    let thread = Span::Thread { root: Seq(1), after: Seq(0) };
    let records = store.read(room("lobby"), thread, 9).await.expect("read");
    assert_eq!(details(&records[2]).reactions.len(), 1);
}

pub(super) async fn what_is_not_there_cannot_be_answered_or_changed(store: Any) {
    append_many(&*store, "lobby", 1..=3).await;
    append(&*store, vec![saying("Alice", "lobby", edit(2, "x")), saying("Alice", "lobby", delete(3))]).await;
    trim_to(&*store, "lobby", 1).await;
    for (target, why) in
        [(1, "trimmed"), (3, "deleted"), (4, "an edit"), (5, "a deletion"), (9, "never"), (0, "never")]
    {
        let contents = [
            answer(target, "x"),
            edit(target, "x"),
            delete(target),
            reaction(target, "+1", true),
            reaction(target, "+1", false),
            pin(target, true),
            pin(target, false),
        ];
        for content in contents {
            let draft = moderating(saying("Alice", "lobby", content));
            assert_eq!(say(&*store, draft).await, Err(Refused::NoTarget), "{why}");
        }
    }
    assert_eq!(open(&*store, "lobby").await.ends.head, Seq(5), "what is refused takes no number");
}

pub(super) async fn an_edit_replaces_the_text_and_those_before_it(store: Any) {
    append(&*store, vec![draft("lobby", "first"), saying("Alice", "lobby", edit(1, "second"))]).await;
    let mut third = saying("Alice", "lobby", edit(1, "third"));
    if let Content::Edit(edit) = &mut third.entries[0].content {
        edit.mentions = vec![user("Bob")];
    }
    assert_eq!(seq(&say(&*store, third.clone()).await.expect("stored")), 3);
    let records = all(&*store, "lobby").await;
    let expected = Details { edited: Some(Seq(3)), mentions: vec![user("Bob")], ..Details::default() };
    assert_eq!((text(&records[0]), details(&records[0])), ("third", expected));
    let Content::Edit(superseded) = &records[1].content else { panic!("an edit stays one") };
    assert_eq!((superseded.target, &superseded.text), (Seq(1), &None), "the old text is nowhere");
    assert_eq!(records[2].content, third.entries[0].content);
}

pub(super) async fn only_the_author_edits(store: Any) {
    append(&*store, vec![draft("lobby", "mine")]).await;
    let theirs = saying("Bob", "lobby", edit(1, "yours"));
    assert_eq!(say(&*store, theirs.clone()).await, Err(Refused::NotAuthor));
    assert_eq!(say(&*store, moderating(theirs)).await, Err(Refused::NotAuthor));
    assert_eq!(texts(&all(&*store, "lobby").await), ["mine"]);
}

pub(super) async fn a_deletion_leaves_nothing_but_the_number(store: Any) {
    let mentioning = Details { mentions: vec![user("Bob")], ..Details::default() };
    let said = Content::Message(Text { text: "secret".into(), details: Some(Box::new(mentioning)) });
    let contents = [said, edit(1, "secret too"), pin(1, true), reaction(1, "hush", true), answer(1, "what?")];
    append(&*store, contents.map(|content| saying("Alice", "lobby", content)).to_vec()).await;
    assert_eq!(seq(&say(&*store, saying("Alice", "lobby", delete(1))).await.expect("stored")), 6);
    let opened = open(&*store, "lobby").await;
    assert_eq!(opened.state, RoomState::default(), "it is not pinned any more");
    let records = opened.tail;
    let expected = Details { edited: Some(Seq(2)), deleted: Some(Seq(6)), ..Details::default() };
    assert_eq!((text(&records[0]), details(&records[0])), ("", expected));
    assert!(
        !format!("{records:?}").contains("secret") && !format!("{records:?}").contains("hush"),
        "{records:?}"
    );
    assert_eq!(records.iter().map(|record| record.seq.0).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(details(&records[4]).reply_to, Some(Seq(1)), "answers stay");
    assert_eq!(say(&*store, saying("Alice", "lobby", delete(1))).await, Err(Refused::NoTarget));
}

pub(super) async fn authors_and_moderators_delete(store: Any) {
    append_many(&*store, "lobby", 1..=3).await;
    let theirs = saying("Bob", "lobby", delete(1));
    assert_eq!(say(&*store, theirs.clone()).await, Err(Refused::NotAuthor));
    assert!(say(&*store, moderating(theirs)).await.is_ok());
    assert!(say(&*store, saying("Alice", "lobby", delete(2))).await.is_ok());
    let name = RoomName::private(&user("Alice"), &user("Bob"));
    append(&*store, vec![draft(name.as_str(), "x")]).await;
    assert_eq!(say(&*store, saying("Bob", name.as_str(), delete(1))).await, Err(Refused::NotAuthor));
}

fn tally(emoji: &str, users: &[&str]) -> Tally {
    Tally { emoji: emoji.into(), count: users.len() as u32, users: users.iter().map(|id| user(id)).collect() }
}

pub(super) async fn reactions_are_counted_per_user_and_emoji(store: Any) {
    append(&*store, vec![draft("lobby", "x"), draft("lobby", "y")]).await;
    let mut counts = Vec::new();
    for (who, emoji, active) in [
        ("Bob", "+1", true),
        ("Alice", "♥", true),
        ("Alice", "+1", true),
        ("Bob", "+1", false),
        ("Bob", "♥", true),
    ] {
        let stored = say(&*store, saying(who, "lobby", reaction(1, emoji, active))).await.expect("stored");
        counts.push((seq(&stored), stored.entries[0].count));
    }
    assert_eq!(counts, [(3, 1), (4, 1), (5, 2), (6, 1), (7, 2)]);
    let records = all(&*store, "lobby").await;
    assert_eq!(details(&records[0]).reactions, [tally("♥", &["Alice", "Bob"]), tally("+1", &["Alice"])]);
    assert_eq!(details(&records[1]).reactions, []);
    let Content::Reaction(second) = &records[4].content else { panic!("a reaction stays one") };
    assert_eq!((second.active, second.count), (true, 2), "an entry says how many there were then");
}

pub(super) async fn a_reaction_that_is_there_is_repeated(store: Any) {
    append(&*store, vec![draft("lobby", "x")]).await;
    let on = saying("Bob", "lobby", reaction(1, "+1", true));
    append(&*store, vec![on.clone(), saying("Alice", "lobby", reaction(1, "+1", true))]).await;
    let again = say(&*store, Draft { ts: NOON + 9, ..on }).await.expect("it is there");
    assert_eq!((again.dup, again.ts), (true, NOON));
    assert_eq!(again.entries, [Place { seq: Seq(2), thread: None, count: 2 }]);
    assert_eq!(say(&*store, saying("Bob", "lobby", reaction(1, "-1", false))).await, Err(Refused::NoTarget));
    assert_eq!(open(&*store, "lobby").await.ends.head, Seq(3));
}

pub(super) async fn a_message_has_so_many_different_reactions(store: Any) {
    append(&*store, vec![draft("lobby", "x")]).await;
    let react = |who, index: usize| saying(who, "lobby", reaction(1, &format!("e{index}"), true));
    append(&*store, (0..EMOJI_PER_MESSAGE).map(|index| react("Bob", index)).collect()).await;
    assert_eq!(say(&*store, react("Alice", EMOJI_PER_MESSAGE)).await, Err(Refused::TooMany));
    assert!(say(&*store, react("Alice", 0)).await.is_ok(), "one of those that there are");
    assert!(say(&*store, saying("Bob", "lobby", reaction(1, "e1", false))).await.is_ok());
    assert!(say(&*store, react("Alice", EMOJI_PER_MESSAGE)).await.is_ok(), "one has become free");
}

pub(super) async fn many_reactions_are_counted_and_some_users_named(store: Any) {
    append(&*store, vec![draft("lobby", "x")]).await;
    let users = (0..REACTION_USERS + 5).map(|index| format!("user{index}"));
    append(&*store, users.map(|who| saying(&who, "lobby", reaction(1, "+1", true))).collect()).await;
    let reactions = details(&all(&*store, "lobby").await[0]).reactions;
    assert_eq!((reactions.len(), reactions[0].count), (1, REACTION_USERS as u32 + 5));
    let first: Vec<_> = (0..REACTION_USERS).map(|index| user(&format!("user{index}"))).collect();
    assert_eq!(reactions[0].users, first);
}

pub(super) async fn pins_are_ordered_and_limited(store: Any) {
    append_many(&*store, "lobby", 0..=PINS).await;
    let change = |target, active| saying("Alice", "lobby", pin(target, active));
    append(&*store, vec![change(3, true), change(1, true), change(2, true), change(1, false)]).await;
    assert_eq!(open(&*store, "lobby").await.state.pins, [Seq(3), Seq(2)]);
    assert_eq!(say(&*store, change(1, false)).await, Err(Refused::NoTarget));
    append(&*store, (4..=PINS as u64 + 1).map(|target| change(target, true)).collect()).await;
    assert_eq!(say(&*store, change(1, true)).await, Err(Refused::TooMany));
    append(&*store, vec![change(3, true), change(2, false), change(1, true)]).await;
    let pins = open(&*store, "lobby").await.state.pins;
    assert_eq!(pins[PINS - 2..], [Seq(3), Seq(1)], "what is pinned again is the last one");
}

pub(super) async fn settings_change_only_what_they_name(store: Any) {
    let set = |title: Option<&str>, topic: Option<&str>, private: Option<bool>| {
        let (title, topic) = (title.map(Into::into), topic.map(Into::into));
        let slow_ms = private.map(|_| 500);
        saying("Alice", "lobby", Content::Settings(Settings { title, topic, private, slow_ms }))
    };
    append(&*store, vec![set(Some("Title"), Some("'; --"), None), set(None, Some(""), Some(true))]).await;
    let opened = open(&*store, "lobby").await;
    let (title, topic) = (Some("Title".into()), Some("".into()));
    let expected = Settings { title, topic, private: Some(true), slow_ms: Some(500) };
    assert_eq!(opened.state.settings, expected);
    append(&*store, vec![set(None, None, Some(false))]).await;
    assert_eq!(open(&*store, "lobby").await.state.settings, Settings { private: Some(false), ..expected });
    assert_eq!(opened.tail[1].content, set(None, Some(""), Some(true)).entries[0].content);
}

pub(super) async fn roles_are_given_and_taken(store: Any) {
    let contents = [
        role("Alice", Some(Role::Owner)),
        role("Bob", Some(Role::Member)),
        role("Bob", Some(Role::Moderator)),
        role("%_\"'", Some(Role::Member)),
        role("Carol", Some(Role::Member)),
        role("Carol", None),
    ];
    append(&*store, contents.clone().map(|content| saying("Alice", "club", content)).to_vec()).await;
    let opened = open(&*store, "club").await;
    let expected = [("%_\"'", Role::Member), ("Alice", Role::Owner), ("Bob", Role::Moderator)];
    assert_eq!(opened.state.roles, expected.map(|(id, role)| (user(id), role)).into());
    let said: Vec<_> = opened.tail.into_iter().map(|record| record.content).collect();
    assert_eq!(said, contents);
}

pub(super) async fn sanctions_hold_until_they_are_taken_back_or_the_next_one_finds_them_over(store: Any) {
    use SanctionKind::{Ban, Kick, Mute, None as Pardon};
    let at = |ts, content| Draft { ts: NOON + ts, ..saying("Ann", "club", content) };
    let contents = [
        sanction("Bob", Mute, Some(NOON + 10), Some("it's \\ loud")),
        sanction("Bob", Ban, Some(NOON + 20), None),
        sanction("%_\"'", Mute, None, Some("")),
        sanction("Eve", Ban, Some(NOON + 5), Some("spam")),
        sanction("Zed", Mute, Some(NOON + 90), None),
        sanction("Zed", Kick, None, Some("out")),
        sanction("Ida", Ban, None, None),
        sanction("Ida", Pardon, None, None),
    ];
    append(&*store, contents.clone().map(|content| at(0, content)).to_vec()).await;
    let standing = async || {
        let opened = open(&*store, "club").await;
        let said: Vec<_> = opened.tail.into_iter().map(|record| record.content).collect();
        (opened.state.sanctions.into_values().map(Content::Sanction).collect::<Vec<_>>(), said)
    };
    let [_, banned, loud, spam, zed, ..] = &contents;
    assert_eq!(standing().await.0, [loud, banned, spam, zed].map(Clone::clone));
    assert_eq!(standing().await.1, contents);
    // A message changes nothing of it; the next sanction does.
    append(&*store, vec![at(15, message("x"))]).await;
    assert_eq!(standing().await.0.len(), 4);
    append(&*store, vec![at(20, sanction("Ida", Kick, None, None))]).await;
    assert_eq!(standing().await.0, [loud, zed].map(Clone::clone));
}

pub(super) async fn a_sanction_is_repeated_whenever_it_ends(store: Any) {
    let ban =
        |cid, until| with_cid(saying("Ann", "club", sanction("Eve", SanctionKind::Ban, until, None)), cid);
    let answers = store.append(vec![ban("c", Some(NOON)), ban("c", Some(NOON + 1)), ban("d", None)]).await;
    assert_stored(&answers.expect("answered"), &[Ok((1, false)), Ok((1, true)), Ok((2, false))]);
    let other = with_cid(saying("Ann", "club", sanction("Eve", SanctionKind::Mute, None, None)), "c");
    assert_eq!(say(&*store, other).await, Err(Refused::Conflict));
}

pub(super) async fn a_room_is_created_once(store: Any) {
    let create = |who| Draft {
        guard: Guard::NewRoom,
        ..group(who, "club", [private(true), role(who, Some(Role::Owner))])
    };
    let answers = store.append(vec![create("Alice"), create("Bob")]).await.expect("answered");
    assert_eq!(answers[0].as_ref().map(|stored| stored.entries.len()), Ok(2));
    assert_eq!(answers[1], Err(Refused::Exists));
    append(&*store, vec![draft("lobby", "x")]).await;
    trim_to(&*store, "lobby", 1).await;
    let late = Draft { guard: Guard::NewRoom, ..draft("lobby", "mine") };
    assert_eq!(say(&*store, late).await, Err(Refused::Exists), "also when nothing of its log is kept");
    assert_eq!(open(&*store, "club").await.state.roles, [(user("Alice"), Role::Owner)].into());
}

pub(super) async fn a_group_is_stored_as_a_whole_or_not_at_all(store: Any) {
    append(&*store, vec![draft("lobby", "1")]).await;
    let whole =
        group("Alice", "lobby", [message("2"), answer(1, "3"), edit(1, "one"), reaction(2, "+1", true)]);
    let refused = group(
        "Alice",
        "lobby",
        [message("lost"), edit(1, "lost"), private(true), pin(1, true), answer(99, "x")],
    );
    let batch = vec![whole, refused, draft("lobby", "6")];
    let answers = store.append(batch).await.expect("answered");
    let numbers: Vec<_> =
        answers[0].iter().flat_map(|stored| &stored.entries).map(|place| place.seq.0).collect();
    assert_eq!(numbers, [2, 3, 4, 5]);
    assert_eq!(answers[1], Err(Refused::NoTarget));
    assert_eq!(answers[2].as_ref().map(seq), Ok(6));
    let opened = open(&*store, "lobby").await;
    assert_eq!((text(&opened.tail[0]), opened.tail.len()), ("one", 6));
    assert_eq!(opened.state, RoomState::default());
    assert!(!format!("{opened:?}").contains("lost"));
}

pub(super) async fn a_refused_draft_creates_no_room(store: Any) {
    let refused = group("Alice", "club", [message("x"), private(true), delete(99)]);
    let batch = vec![saying("Alice", "lobby", edit(1, "x")), refused, draft_with_cid("other", "c", "y")];
    let answers = store.append(batch).await.expect("answered");
    assert_eq!([&answers[0], &answers[1]], [&Err(Refused::NoTarget); 2]);
    assert_eq!(store.open(room("lobby"), 9).await, Ok(None));
    assert_eq!(store.open(room("club"), 9).await, Ok(None));
    append(&*store, vec![draft("club", "first")]).await;
    assert_eq!(texts(&all(&*store, "club").await), ["first"]);
}
