//! Every store keeps the same promises.

use std::sync::Arc;

use parlour_hub::log::{Draft, Guard, NewEntry, Record, Refused, Snapshot, Stored};
use parlour_protocol::content::{
    Content, Details, NewText, PinChange, Reaction, Role, RoleChange, Sanction, SanctionKind, Settings,
    Target, Text,
};
use parlour_protocol::{Epoch, RoomName, Seq, UserId};
use parlour_server::store::memory::MemoryStore;
use parlour_server::store::sqlite::SqliteStore;
use parlour_server::store::{Keep, Span, Store};

mod archive;
mod cids;
mod contract;
mod damage;
mod durable;
mod entries;
mod erasure;
mod full;
mod lineage;
mod migrate;
mod model;
mod search;

/// A store that is empty at first, and all it needs to live.
trait Fixture {
    fn new() -> Self;
    fn store(&self) -> Arc<dyn Store>;
}

struct Memory(Arc<MemoryStore>);

impl Fixture for Memory {
    fn new() -> Self {
        Self(Arc::new(MemoryStore::new(64 << 20)))
    }

    fn store(&self) -> Arc<dyn Store> {
        self.0.clone()
    }
}

/// The store goes before its directory.
struct Sqlite(Arc<SqliteStore>, #[expect(dead_code, reason = "removed when dropped")] tempfile::TempDir);

impl Fixture for Sqlite {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        Self(Arc::new(SqliteStore::open(dir.path()).expect("a new store")), dir)
    }

    fn store(&self) -> Arc<dyn Store> {
        self.0.clone()
    }
}

/// The store goes before its database.
#[cfg(feature = "postgres")]
struct Postgres(
    Arc<parlour_server::store::postgres::PostgresStore>,
    #[expect(dead_code, reason = "removed when dropped")] crate::harness::postgres::Database,
);

#[cfg(feature = "postgres")]
impl Fixture for Postgres {
    fn new() -> Self {
        let database = crate::harness::postgres::Database::new();
        let store = parlour_server::store::postgres::PostgresStore::open(&database.address());
        Self(Arc::new(store.expect("a new store")), database)
    }

    fn store(&self) -> Arc<dyn Store> {
        self.0.clone()
    }
}

macro_rules! promises {
    ($fixture:ident: $($part:ident { $($promise:ident)* })*) => {$(
        mod $part {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let fixture = <super::super::$fixture as super::super::Fixture>::new();
                super::super::$part::$promise(super::super::Fixture::store(&fixture)).await;
            }
        )*}
    )*};
}

macro_rules! store_contract {
    ($($(#[$condition:meta])? $module:ident: $fixture:ident)*) => {
        const LISTED: &[&str] = &[$(stringify!($module)),*];
        $($(#[$condition])? mod $module {
            promises! { $fixture:
                contract {
                    a_room_that_was_never_written_does_not_exist
                    an_empty_batch_stores_nothing
                    numbers_are_gap_free_over_interleaved_rooms
                    concurrent_appends_are_gap_free_and_keep_the_order_of_each_caller
                    a_dropped_future_does_not_undo_its_work
                    reads_go_in_both_directions
                    reads_stay_within_the_log
                    the_first_epoch_stays
                    time_never_goes_back_within_a_room
                    documents_are_put_replaced_and_deleted
                    documents_are_listed_by_prefix
                    wildcards_in_a_prefix_are_letters
                    hostile_texts_are_kept_verbatim
                    names_and_texts_of_any_size_are_kept
                }
                cids {
                    the_same_cid_and_content_is_stored_once
                    a_cid_counts_per_room_and_sender
                    another_content_under_a_cid_is_a_conflict_and_the_rest_is_stored
                    what_was_said_first_decides_whatever_became_of_it
                    a_group_is_repeated_as_a_whole_or_not_at_all
                    entries_without_a_cid_are_repeated_with_their_group
                    a_cid_is_remembered_after_its_record_was_trimmed
                    where_a_cid_is_stored_can_be_asked
                }
                entries {
                    an_answer_belongs_to_the_thread_of_what_it_answers
                    a_thread_is_read_by_itself
                    what_is_not_there_cannot_be_answered_or_changed
                    an_edit_replaces_the_text_and_those_before_it
                    only_the_author_edits
                    a_deletion_leaves_nothing_but_the_number
                    authors_and_moderators_delete
                    reactions_are_counted_per_user_and_emoji
                    a_reaction_that_is_there_is_repeated
                    a_message_has_so_many_different_reactions
                    many_reactions_are_counted_and_some_users_named
                    pins_are_ordered_and_limited
                    settings_change_only_what_they_name
                    roles_are_given_and_taken
                    sanctions_hold_until_they_are_taken_back_or_the_next_one_finds_them_over
                    a_sanction_is_repeated_whenever_it_ends
                    a_room_is_created_once
                    a_group_is_stored_as_a_whole_or_not_at_all
                    a_refused_draft_creates_no_room
                }
                search {
                    all_words_must_occur_in_whatever_case
                    hits_come_newest_first_page_by_page
                    changed_and_deleted_messages_are_found_as_they_are
                    private_rooms_are_found_by_those_who_may_read_them
                    only_rooms_within_the_scope_are_found
                    operators_are_words
                    unread_messages_are_counted
                }
                archive {
                    rooms_are_listed_in_pages
                    heads_come_in_the_order_of_the_question
                    a_trimmed_room_goes_on_where_it_was
                    each_limit_of_retention_counts
                    trimmed_messages_are_gone_from_pins_and_search
                    an_erased_user_has_said_nothing
                    documents_of_an_erased_user_are_gone
                    an_export_is_restored_as_it_was
                    an_export_is_restored_in_parts
                    a_part_that_does_not_follow_is_refused
                    renewing_gives_every_room_another_epoch
                    a_check_commits
                }
            }

            #[test]
            fn behaves_like_the_model() {
                super::model::check::<super::$fixture>();
            }
        })*
    };
}

store_contract! {
    memory: Memory
    #[cfg(feature = "postgres")]
    postgres: Postgres
    sqlite: Sqlite
}

#[test]
fn every_store_is_listed() {
    let source = include_str!("../../src/store.rs");
    let modules = source.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    assert_eq!(modules.collect::<Vec<_>>(), LISTED, "each store runs the contract");
}

type Any = Arc<dyn Store>;

fn room(name: &str) -> RoomName {
    RoomName::parse_any(name).expect("a valid room name")
}

fn user(id: &str) -> UserId {
    UserId::parse(id).expect("a valid user id")
}

const EPOCH: Epoch = Epoch(7);
const NOON: i64 = 1_700_000_000_000;

fn draft(name: &str, text: &str) -> Draft {
    saying("Alice", name, Content::Message(Text::plain(text)))
}

fn draft_with_cid(name: &str, cid: &str, text: &str) -> Draft {
    with_cid(draft(name, text), cid)
}

fn with_cid(mut draft: Draft, cid: &str) -> Draft {
    draft.entries[0].cid = Some(cid.into());
    draft
}

/// A draft of one entry.
fn saying(sender: &str, name: &str, content: Content) -> Draft {
    group(sender, name, [content])
}

fn group(sender: &str, name: &str, contents: impl IntoIterator<Item = Content>) -> Draft {
    Draft {
        room: room(name),
        new_epoch: EPOCH,
        sender: user(sender),
        ts: NOON,
        guard: Guard::Author,
        entries: contents.into_iter().map(|content| NewEntry { cid: None, content }).collect(),
    }
}

fn message(text: &str) -> Content {
    Content::Message(Text::plain(text))
}

fn answer(reply_to: u64, text: &str) -> Content {
    let details = Details { reply_to: Some(Seq(reply_to)), ..Details::default() };
    Content::Message(Text { text: text.into(), details: Some(Box::new(details)) })
}

fn edit(target: u64, text: &str) -> Content {
    Content::Edit(NewText { target: Seq(target), text: Some(text.into()), mentions: Vec::new() })
}

fn delete(target: u64) -> Content {
    Content::Delete(Target { target: Seq(target) })
}

fn reaction(target: u64, emoji: &str, active: bool) -> Content {
    Content::Reaction(Reaction { target: Seq(target), emoji: emoji.into(), active, count: 0 })
}

fn pin(target: u64, active: bool) -> Content {
    Content::Pin(PinChange { target: Seq(target), active })
}

fn private(private: bool) -> Content {
    Content::Settings(Settings { private: Some(private), ..Settings::default() })
}

fn role(whose: &str, role: Option<Role>) -> Content {
    Content::Role(RoleChange { user: user(whose), role })
}

fn sanction(whose: &str, kind: SanctionKind, until_ms: Option<i64>, reason: Option<&str>) -> Content {
    Content::Sanction(Sanction { user: user(whose), kind, until_ms, reason: reason.map(Into::into) })
}

/// Appends drafts of which none may be refused.
async fn append(store: &dyn Store, batch: Vec<Draft>) -> Vec<Stored> {
    let answers = store.append(batch).await.expect("stored");
    answers.into_iter().map(|answer| answer.expect("not refused")).collect()
}

/// Appends one draft.
async fn say(store: &dyn Store, draft: Draft) -> Result<Stored, Refused> {
    store.append(vec![draft]).await.expect("answered").pop().expect("one answer")
}

async fn append_many(store: &dyn Store, name: &str, texts: impl IntoIterator<Item = usize>) {
    let batch = texts.into_iter().map(|text| draft(name, &text.to_string())).collect();
    append(store, batch).await;
}

async fn trim_to(store: &dyn Store, name: &str, upto: u64) {
    let keep = Keep { after: Some(Seq(upto)), ..Keep::default() };
    store.trim(room(name), keep).await.expect("trimmed");
}

async fn all(store: &dyn Store, name: &str) -> Vec<Record> {
    store.read(room(name), Span::After(Seq(0)), u32::MAX).await.expect("read")
}

async fn open(store: &dyn Store, name: &str) -> Snapshot {
    store.open(room(name), u32::MAX).await.expect("read").expect("exists")
}

fn seqs(answers: &[Stored]) -> Vec<u64> {
    answers.iter().map(seq).collect()
}

/// Returns the number of the first entry.
fn seq(stored: &Stored) -> u64 {
    stored.entries[0].seq.0
}

fn texts(records: &[Record]) -> Vec<&str> {
    records.iter().map(text).collect()
}

fn text(record: &Record) -> &str {
    match &record.content {
        Content::Message(said) => &said.text,
        other => panic!("expected a message, got {other:?}"),
    }
}

fn details(record: &Record) -> Details {
    match &record.content {
        Content::Message(said) => said.details.as_deref().cloned().unwrap_or_default(),
        other => panic!("expected a message, got {other:?}"),
    }
}

/// Asserts that drafts of one entry were stored or refused, in this order.
fn assert_stored(answers: &[Result<Stored, Refused>], expected: &[Result<(u64, bool), Refused>]) {
    let short = |answer: &Result<Stored, Refused>| answer.as_ref().map(|s| (seq(s), s.dup)).map_err(|e| *e);
    assert_eq!(answers.iter().map(short).collect::<Vec<_>>(), expected);
}
