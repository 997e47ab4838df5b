//! PostgreSQL answers as the store in memory does, whatever it is asked.

use parlour_hub::log::{Draft, Guard, NewEntry, Snapshot, Span};
use parlour_hub::scope::Scope;
use parlour_protocol::content::{
    Content, Details, NewText, PinChange, Reaction, Role, RoleChange, Settings, Target, Text,
};
use parlour_protocol::{Epoch, Seq, UserId};
use parlour_server::store::memory::MemoryStore;
use parlour_server::store::postgres::PostgresStore;
use parlour_server::store::{Archive, Hits, Keep, Query, Store, StoreError};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::super::harness::postgres::Database;
use super::{open, room};

const ROOMS: [&str; 3] = ["general", "Größe", "@Alice,Bob"];
const USERS: [&str; 3] = ["Alice", "Bob", "Carol"];
const TEXTS: [&str; 6] = ["one", "Two words", "größe ONE", "nul\0 x\u{e00f}1 \u{1e}", "a-b one two", ""];
const NOON: i64 = 1_700_000_000_000;
/// More than any room gets.
const ALL: u32 = 1_000;

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<Draft>),
    Open(&'static str, u32),
    Read(&'static str, Span, u32),
    Find(&'static str, &'static str, u8),
    Search(&'static str, Option<&'static str>, &'static str),
    Unread(&'static str, u64),
    Trim(&'static str, Keep),
    Erase(&'static str),
    Copy(&'static str),
}

#[test]
fn random_histories_are_answered_as_in_memory() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut runner = TestRunner::new(Config { cases: 6, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&prop::collection::vec(any_step(), 1..100), |steps| {
        let database = Database::new();
        let (postgres, memory) = (open(&database.address()), MemoryStore::new(64 << 20));
        runtime.block_on(async {
            for (index, step) in steps.into_iter().enumerate() {
                compare(&postgres, &memory, index, step).await?;
            }
            Ok(())
        })
    });
    assert!(outcome.is_ok(), "{}", outcome.err().map_or_else(String::new, |failure| failure.to_string()));
}

/// Asks both the same.
async fn compare(
    ours: &PostgresStore,
    like: &MemoryStore,
    index: usize,
    step: Step,
) -> Result<(), TestCaseError> {
    match step {
        Step::Append(batch) => prop_assert_eq!(ours.append(batch.clone()).await, like.append(batch).await),
        Step::Open(name, tail) => {
            prop_assert_eq!(ours.open(room(name), tail).await, like.open(room(name), tail).await)
        }
        Step::Read(name, span, limit) => {
            prop_assert_eq!(
                ours.read(room(name), span, limit).await,
                like.read(room(name), span, limit).await
            );
        }
        Step::Find(name, sender, cid) => {
            let (who, cid) = (user(sender), cid.to_string());
            prop_assert_eq!(
                ours.find(room(name), who.clone(), cid.as_str().into()).await,
                like.find(room(name), who, cid.into()).await
            );
        }
        Step::Search(who, only, words) => {
            let query = Query {
                user: user(who),
                scope: Scope::open(NOON),
                room: only.map(room),
                words: words.into(),
                before: None,
                limit: ALL,
            };
            let (ours, like) = (ours.search(query.clone()).await, like.search(query).await);
            prop_assert_eq!(ours.map(sorted), like.map(sorted));
        }
        Step::Unread(who, after) => {
            let cursors = ROOMS.map(|name| (room(name), Seq(after))).to_vec();
            prop_assert_eq!(
                ours.unread(user(who), cursors.clone()).await,
                like.unread(user(who), cursors).await
            );
        }
        Step::Trim(name, keep) => {
            prop_assert_eq!(ours.trim(room(name), keep).await, like.trim(room(name), keep).await)
        }
        Step::Erase(who) => {
            let alias = user(&format!("erased-{index:08x}"));
            prop_assert_eq!(ours.erase(user(who), alias.clone()).await, like.erase(user(who), alias).await);
        }
        Step::Copy(name) => {
            let Ok(Some(part)) = like.open(room(name), ALL).await else { return Ok(()) };
            let copy = format!("copy {index}");
            let (ours, like) = (restored(ours, &copy, part.clone()).await, restored(like, &copy, part).await);
            prop_assert_eq!(ours, like);
        }
    }
    Ok(())
}

/// Restores a room and returns all of it but its epoch, which is drawn.
async fn restored(store: &dyn Store, name: &str, part: Snapshot) -> Result<Option<Snapshot>, StoreError> {
    store.restore(room(name), part).await?;
    let opened = store.open(room(name), ALL).await?;
    Ok(opened.map(|mut opened| {
        opened.ends.epoch = Epoch(0);
        opened
    }))
}

/// Among messages of the same moment, the order of rooms is not promised.
fn sorted(mut found: Hits) -> Hits {
    found.hits.sort_by_key(|hit| (hit.room.clone(), hit.seq));
    found
}

fn user(id: &str) -> UserId {
    UserId::parse(id).expect("a valid user id")
}

fn any_step() -> impl Strategy<Value = Step> {
    let name = || prop::sample::select(&ROOMS[..]);
    let who = || prop::sample::select(&USERS[..]);
    let span = (0..3u8, 0..30u64, 0..10u64).prop_map(|(kind, seq, after)| match kind {
        0 => Span::After(Seq(seq)),
        1 => Span::Before(Seq(seq)),
        _ => Span::Thread { root: Seq(seq), after: Seq(after) },
    });
    let words = prop::sample::select(vec!["one", "two WORDS", "größe", "b", "", "none"]);
    prop_oneof![
        10 => prop::collection::vec(any_draft(), 1..7).prop_map(Step::Append),
        2 => (name(), 0..12u32).prop_map(|(name, tail)| Step::Open(name, tail)),
        2 => (name(), span, 0..20u32).prop_map(|(name, span, limit)| Step::Read(name, span, limit)),
        1 => (name(), who(), 1..4u8).prop_map(|(name, who, cid)| Step::Find(name, who, cid)),
        2 => (who(), prop::option::of(name()), words).prop_map(|(who, only, words)| Step::Search(who, only, words)),
        1 => (who(), 0..20u64).prop_map(|(who, after)| Step::Unread(who, after)),
        1 => (name(), any_keep()).prop_map(|(name, keep)| Step::Trim(name, keep)),
        1 => name().prop_map(Step::Copy),
        1 => who().prop_map(Step::Erase),
    ]
}

fn any_keep() -> impl Strategy<Value = Keep> {
    (prop::option::of(5..15u64), prop::option::of(0..8u64), prop::option::of(-50..10i64)).prop_map(
        |(records, after, since)| Keep {
            records,
            after: after.map(Seq),
            since_ms: since.map(|jump| NOON + jump),
            ..Keep::default()
        },
    )
}

/// Few users, cids and texts, so that duplicates, conflicts and refusals are frequent.
fn any_draft() -> impl Strategy<Value = Draft> {
    let entry = || {
        (prop::option::of(1..7u8), any_content())
            .prop_map(|(cid, content)| NewEntry { cid: cid.map(|cid| cid.to_string().into()), content })
    };
    let entries = prop_oneof![
        3 => prop::collection::vec(entry(), 1..2),
        1 => prop::collection::vec(entry(), 2..4),
    ];
    let guard = prop::sample::select(vec![Guard::Author, Guard::Author, Guard::Moderator, Guard::NewRoom]);
    let (name, sender) = (prop::sample::select(&ROOMS[..]), prop::sample::select(&USERS[..]));
    (name, sender, guard, -50..50i64, entries).prop_map(|(name, sender, guard, jump, entries)| Draft {
        room: room(name),
        new_epoch: Epoch(7),
        sender: user(sender),
        ts: NOON + jump,
        guard,
        entries,
    })
}

fn any_content() -> impl Strategy<Value = Content> {
    let text = || prop::sample::select(&TEXTS[..]);
    let target = || (1..25u64).prop_map(Seq);
    let mentions = || prop::collection::vec(prop::sample::select(&USERS[..]).prop_map(user), 0..2);
    let emoji = prop::sample::select(vec!["👍", "👎"]);
    let role = prop::sample::select(vec![None, Some(Role::Member), Some(Role::Moderator), Some(Role::Owner)]);
    let title = prop::option::of(text());
    prop_oneof![
        4 => text().prop_map(|text| Content::Message(Text::plain(text))),
        2 => (text(), prop::option::of(target()), mentions()).prop_map(|(text, reply_to, mentions)| {
            let details = Details { reply_to, mentions, ..Details::default() };
            Content::Message(Text { text: text.into(), details: Some(Box::new(details)) })
        }),
        2 => (target(), text(), mentions()).prop_map(|(target, text, mentions)| {
            Content::Edit(NewText { target, text: Some(text.into()), mentions })
        }),
        1 => target().prop_map(|target| Content::Delete(Target { target })),
        2 => (target(), emoji, any::<bool>()).prop_map(|(target, emoji, active)| {
            Content::Reaction(Reaction { target, emoji: emoji.into(), active, count: 0 })
        }),
        1 => (target(), any::<bool>()).prop_map(|(target, active)| Content::Pin(PinChange { target, active })),
        1 => (title, prop::option::of(any::<bool>())).prop_map(|(title, private)| {
            let slow_ms = private.map(|private| private.into());
            Content::Settings(Settings { title: title.map(Into::into), topic: None, private, slow_ms })
        }),
        1 => (prop::sample::select(&USERS[..]), role)
            .prop_map(|(who, role)| Content::Role(RoleChange { user: user(who), role })),
    ]
}
