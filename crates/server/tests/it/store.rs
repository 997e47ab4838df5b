//! Every store keeps the same promises.

use std::sync::Arc;

use parlour_hub::log::{Draft, Record, Stored};
use parlour_protocol::{Epoch, RoomName, UserId};
use parlour_server::store::memory::MemoryStore;
use parlour_server::store::sqlite::SqliteStore;
use parlour_server::store::{Conflict, Store};

mod contract;
mod damage;
mod durable;
mod full;
mod model;

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

macro_rules! promise {
    ($fixture:ident: $($promise:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $promise() {
            let fixture = <super::$fixture as super::Fixture>::new();
            super::contract::$promise(super::Fixture::store(&fixture)).await;
        }
    )*};
}

macro_rules! store_contract {
    ($($module:ident: $fixture:ident)*) => {
        const LISTED: &[&str] = &[$(stringify!($module)),*];
        $(mod $module {
            promise! { $fixture:
                a_room_that_was_never_written_does_not_exist
                an_empty_batch_stores_nothing
                numbers_are_gap_free_over_interleaved_rooms
                concurrent_appends_are_gap_free_and_keep_the_order_of_each_caller
                a_dropped_future_does_not_undo_its_work
                the_same_cid_and_body_is_stored_once
                a_cid_counts_per_room_and_sender
                another_body_under_a_cid_is_a_conflict_and_the_rest_is_stored
                reads_go_in_both_directions
                reads_stay_within_the_log
                a_trimmed_room_goes_on_where_it_was
                the_first_epoch_stays
                time_never_goes_back_within_a_room
                documents_are_put_replaced_and_deleted
                documents_are_listed_by_prefix
                wildcards_in_a_prefix_are_letters
                hostile_texts_are_kept_verbatim
                names_and_bodies_of_any_size_are_kept
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
    sqlite: Sqlite
}

#[test]
fn every_store_is_listed() {
    let source = include_str!("../../src/store.rs");
    let modules = source.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    assert_eq!(modules.collect::<Vec<_>>(), LISTED, "each store runs the contract");
}

fn room(name: &str) -> RoomName {
    RoomName::parse_any(name).expect("a valid room name")
}

fn user(id: &str) -> UserId {
    UserId::parse(id).expect("a valid user id")
}

const EPOCH: Epoch = Epoch(7);
const NOON: i64 = 1_700_000_000_000;

fn draft(name: &str, body: &str) -> Draft {
    Draft {
        room: room(name),
        new_epoch: EPOCH,
        sender: user("Alice"),
        cid: None,
        body: body.into(),
        ts: NOON,
    }
}

fn draft_with_cid(name: &str, cid: &str, body: &str) -> Draft {
    Draft { cid: Some(cid.into()), ..draft(name, body) }
}

/// Appends drafts of which none may be refused.
async fn append(store: &dyn Store, batch: Vec<Draft>) -> Vec<Stored> {
    let answers = store.append(batch).await.expect("stored");
    answers.into_iter().map(|answer| answer.expect("no conflict")).collect()
}

async fn append_many(store: &dyn Store, name: &str, bodies: impl IntoIterator<Item = usize>) {
    let batch = bodies.into_iter().map(|body| draft(name, &body.to_string())).collect();
    append(store, batch).await;
}

fn seqs(answers: &[Stored]) -> Vec<u64> {
    answers.iter().map(|stored| stored.seq.0).collect()
}

fn bodies(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| &*record.body).collect()
}

/// Asserts that the drafts were stored or refused, in this order.
fn assert_stored(answers: &[Result<Stored, Conflict>], expected: &[Result<(u64, bool), Conflict>]) {
    let short: Vec<_> = answers.iter().map(|answer| answer.map(|s| (s.seq.0, s.dup))).collect();
    assert_eq!(short, expected);
}
