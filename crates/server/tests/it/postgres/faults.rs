//! Crashes, cut connections and a database that freezes.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parlour_hub::log::Stored;
use parlour_server::store::postgres::PostgresStore;
use parlour_server::store::{Archive, Document, Store, StoreError};
use rustix::process::Signal;

use super::super::harness::postgres::{Cluster, Database};
use super::{PATIENCE, SILENCE, draft, open, room, say, texts, until_ok};

/// Every text with its answer.
#[derive(Default)]
struct Said(HashMap<String, Result<Vec<u64>, StoreError>>);

impl Said {
    /// Appends batches to two rooms until told to stop, and notes what was answered.
    async fn talk(store: &PostgresStore, who: usize, stop: &AtomicBool) -> Self {
        let mut said = Self::default();
        for n in 0.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let words = ["left", "right", "left"].map(|name| (name, format!("{who} {n} {name}")));
            let batch: Vec<_> = words.iter().map(|(name, words)| draft(name, words)).collect();
            let answer = store.append(batch).await.map(|answers| {
                let seq = |answer: &Result<Stored, _>| answer.as_ref().expect("not refused").entries[0].seq.0;
                answers.iter().map(seq).collect()
            });
            said.0.insert(format!("{who} {n}"), answer);
        }
        said
    }

    /// Asserts that each batch is there as often as was answered, where that was answered.
    async fn verify(&self, store: &PostgresStore) {
        let (left, right) = (texts(store, "left").await, texts(store, "right").await);
        let count = |room: &[String], words: &str| room.iter().filter(|text| *text == words).count();
        for (key, answer) in &self.0 {
            let found = [count(&left, &format!("{key} left")), count(&right, &format!("{key} right"))];
            match answer {
                Ok(seqs) => {
                    assert_eq!(found, [2, 1], "{key} was acknowledged");
                    assert_eq!(right[seqs[1] as usize - 1], format!("{key} right"), "under its number");
                }
                Err(StoreError::Indeterminate) => assert!([[0, 0], [2, 1]].contains(&found), "{key}"),
                Err(_) => assert_eq!(found, [0, 0], "{key} was refused"),
            }
        }
    }

    fn acknowledged(&self) -> usize {
        self.0.values().filter(|answer| answer.is_ok()).count()
    }
}

/// Lets two callers append while something is done to the database; returns what they were told.
async fn talk_during(store: &Arc<PostgresStore>, disturbance: impl FnOnce() + Send + 'static) -> Said {
    let stop = Arc::new(AtomicBool::new(false));
    let talkers: Vec<_> = (0..2)
        .map(|who| {
            let (store, stop) = (Arc::clone(store), Arc::clone(&stop));
            tokio::spawn(async move { Said::talk(&store, who, &stop).await })
        })
        .collect();
    tokio::task::spawn_blocking(disturbance).await.expect("the disturbance");
    // The database works again.
    until_ok(|| say(store, "after", "works again")).await;
    stop.store(true, Ordering::Relaxed);
    let mut said = Said::default();
    for talker in talkers {
        said.0.extend(talker.await.expect("a talker").0);
    }
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_of_the_database_loses_nothing_and_doubles_nothing() {
    let cluster = Arc::new(Cluster::start(&[]));
    let name = cluster.database();
    let store = Arc::new(open(&cluster.address(&name)));
    say(&store, "left", "0").await.expect("stored");
    let victim = Arc::clone(&cluster);
    let said = talk_during(&store, move || {
        for _ in 0..3 {
            victim.crash();
            let connected = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'parlour'";
            let begun = Instant::now();
            while victim.asked(connected).is_none_or(|count| count.trim() == "0") {
                assert!(begun.elapsed() < PATIENCE, "the store connects again");
            }
        }
    })
    .await;
    assert!(said.acknowledged() > 0);
    said.verify(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_during_a_commit_lose_and_double_nothing() {
    let database = Database::new();
    let store = Arc::new(open(&database.address()));
    let (cluster, name) = (database.cluster, database.name.clone());
    let said = talk_during(&store, move || {
        let cut = "DO $$ BEGIN FOR n IN 1..150 LOOP \
                   PERFORM pg_terminate_backend(pid) FROM pg_stat_activity \
                       WHERE datname = current_database() AND pid <> pg_backend_pid() \
                       AND query LIKE 'SELECT * FROM append(%' AND state = 'active'; \
                   PERFORM pg_sleep(0.06 * random()); PERFORM pg_stat_clear_snapshot(); \
                   END LOOP; END $$";
        cluster.sql(&name, cut);
    })
    .await;
    assert!(said.acknowledged() > 0, "some came through");
    let unknown = said.0.values().filter(|answer| **answer == Err(StoreError::Indeterminate)).count();
    assert_eq!(unknown, 0, "the store finds out itself");
    said.verify(&store).await;
    assert!(database.sql("SELECT count(*) FROM writer WHERE closed").trim() != "0", "some were cut");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_database_is_unavailable_in_time_and_then_works_again() {
    let cluster = Cluster::start(&[]);
    let store = open(&cluster.address(&cluster.database()));
    say(&store, "left", "before").await.expect("stored");
    texts(&store, "left").await;
    cluster.signal_all(Signal::STOP);

    // Asked for in this order: the fate of the first is not known until the database works again.
    let in_flight = store.append(vec![draft("left", "in flight")]);
    let behind = store.append(vec![draft("left", "behind")]);
    let put = store.put(vec![Document { key: "k".into(), value: vec![1] }]);
    let begun = Instant::now();
    let (read, behind, check, put) = tokio::join!(store.open(room("left"), 1), behind, store.check(), put);
    assert!(begun.elapsed() < SILENCE * 2, "answered after {:?}", begun.elapsed());
    let unavailable = StoreError::Unavailable;
    assert_eq!((read, check, put), (Err(unavailable), Err(unavailable), Err(unavailable)));
    assert_eq!(behind, Err(unavailable));

    let crowd: Vec<_> = (0..1_100).map(|_| store.open(room("left"), 1)).collect();
    let begun = Instant::now();
    let mut at_once = 0;
    for asked in crowd {
        assert_eq!(asked.await, Err(StoreError::Unavailable));
        at_once += usize::from(begun.elapsed() < Duration::from_millis(500));
    }
    assert!(begun.elapsed() < SILENCE * 2, "all are answered after {:?}", begun.elapsed());
    assert!(at_once < 1_100, "those that wait are waited for");

    cluster.signal_all(Signal::CONT);
    let begun = Instant::now();
    let in_flight = in_flight.await;
    until_ok(|| say(&store, "left", "after")).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "recovered after {:?}", begun.elapsed());
    let texts = texts(&store, "left").await;
    let count = |words: &str| texts.iter().filter(|text| *text == words).count();
    assert_eq!([count("before"), count("after")], [1, 1]);
    match in_flight {
        Ok(_) => assert_eq!(count("in flight"), 1),
        Err(StoreError::Indeterminate) => assert!(count("in flight") < 2),
        Err(_) => assert_eq!(count("in flight"), 0),
    }
}
