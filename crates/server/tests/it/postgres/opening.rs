//! What is checked when a connection is made.

use parlour_protocol::Epoch;
use parlour_server::store::postgres::{OpenError, PostgresStore};
use parlour_server::store::{Archive, Document, Store, StoreError};

use super::super::harness::postgres::{Cluster, Database};
use super::{cut, open, room, say, texts, until_ok};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_lose_messages_are_refused_at_every_connection() {
    let unsafe_cluster = Cluster::start(&["fsync=off"]);
    let refused = PostgresStore::open(&unsafe_cluster.address(&unsafe_cluster.database()));
    assert!(
        matches!(&refused, Err(OpenError::NotDurable { setting, .. }) if setting == "fsync"),
        "{refused:?}"
    );

    let database = Database::new();
    let store = open(&database.address());
    say(&store, "lobby", "1").await.expect("stored");
    for (value, is_safe) in
        [("off", false), ("local", false), ("remote_write", false), ("remote_apply", true)]
    {
        let name = &database.name;
        database.sql(&format!("ALTER DATABASE {name} SET synchronous_commit = {value}"));
        let opened = PostgresStore::open(&database.address());
        assert_eq!(opened.is_ok(), is_safe, "{value}");
        assert!(opened.err().is_none_or(|error| error.to_string().contains("`synchronous_commit` is")));
    }
    database.sql(&format!("ALTER DATABASE {} SET synchronous_commit = off", database.name));
    cut(&database);
    assert_eq!(say(&store, "lobby", "2").await, Err(StoreError::Unavailable));
    database.sql(&format!("ALTER DATABASE {} RESET synchronous_commit", database.name));
    until_ok(|| say(&store, "lobby", "3")).await;
    assert_eq!(texts(&store, "lobby").await, ["1", "3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_not_the_same_any_more_gets_new_epochs() {
    let database = Database::new();
    let store = open(&database.address());
    say(&store, "lobby", "1").await.expect("stored");
    let document = Document { key: "lineage".into(), value: vec![1] };
    store.put(vec![document.clone()]).await.expect("put");
    drop(store);
    let epoch = async |store: &PostgresStore| {
        let opened = until_ok(|| store.open(room("lobby"), 0)).await;
        opened.expect("it exists").ends.epoch
    };
    let store = open(&database.address());
    assert_eq!(epoch(&store).await, Epoch(7), "a restart changes nothing");
    assert_eq!(store.documents("lineage".into(), 1).await, Ok(vec![document]));

    // As after the promotion of a standby: the connections end, and the timeline is another one.
    database.sql("UPDATE lineage SET identity = 'another'");
    cut(&database);
    let renewed = epoch(&store).await;
    assert_ne!(renewed, Epoch(7), "found out while it runs");
    assert_eq!(
        store.documents("lineage".into(), 1).await,
        Ok(vec![]),
        "nor are the epochs of empty rooms kept"
    );
    assert_eq!(say(&store, "lobby", "2").await.expect("stored").epoch, renewed);
    // The others took their epoch from the old lineage: none of those may come again.
    assert_ne!(say(&store, "made anew", "1").await.expect("stored").epoch, Epoch(7));
    drop(store);

    let copy = format!("{}_copy", database.name);
    database
        .cluster
        .administer("postgres", &format!("CREATE DATABASE {copy} TEMPLATE {} OWNER parlour", database.name));
    let copied = open(&database.cluster.address(&copy));
    assert_ne!(epoch(&copied).await, renewed, "a copy is not the original");
    assert_eq!(epoch(&open(&database.address())).await, renewed);
    assert_eq!(texts(&copied, "lobby").await, ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_used_is_refused_with_a_reason() {
    let database = Database::new();
    drop(open(&database.address()));
    for mode in ["require", "verify-ca", "verify-full"] {
        let refused = PostgresStore::open(&format!("{}?sslmode={mode}", database.address()));
        assert!(matches!(refused, Err(OpenError::Encryption)), "{mode}: {refused:?}");
    }
    let refused = PostgresStore::open("postgres://parlour:s3cret@127.0.0.1:x/db").expect_err("refused");
    assert!(!format!("{refused} {refused:?}").contains("s3cret"), "{refused:?}");
    database.sql("INSERT INTO schema_version VALUES (999)");
    let refused = PostgresStore::open(&database.address());
    assert!(matches!(refused, Err(OpenError::NewerSchema { found: 999, .. })), "{refused:?}");

    let (administrate, name) = (|sql: &str| database.cluster.administer("postgres", sql), &database.name);
    administrate(&format!(
        "CREATE DATABASE {name}_latin OWNER parlour ENCODING LATIN1 TEMPLATE template0 LOCALE 'C'"
    ));
    let refused = PostgresStore::open(&database.cluster.address(&format!("{name}_latin")));
    assert!(matches!(&refused, Err(OpenError::Encoding(encoding)) if encoding == "LATIN1"), "{refused:?}");
    administrate(&format!("CREATE DATABASE {name}_ro OWNER parlour"));
    administrate(&format!("ALTER DATABASE {name}_ro SET default_transaction_read_only = on"));
    let refused = PostgresStore::open(&database.cluster.address(&format!("{name}_ro")));
    assert!(matches!(refused, Err(OpenError::ReadOnly)), "{refused:?}");
    let refused = PostgresStore::open(&format!("postgres://parlour@127.0.0.1:{}/x", free_port()));
    assert!(matches!(refused, Err(OpenError::Postgres(_))), "{refused:?}");
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_shows_one_moment_and_takes_no_writes() {
    let database = Database::new();
    let refused = PostgresStore::open_read_only(&database.address());
    assert!(matches!(refused, Err(OpenError::OlderSchema { found: 0, .. })), "{refused:?}");
    let store = open(&database.address());
    say(&store, "lobby", "before").await.expect("stored");
    let snapshot = PostgresStore::open_read_only(&database.address()).expect("the snapshot opens");
    let before = snapshot.open(room("lobby"), 9).await.expect("read");
    say(&store, "lobby", "after").await.expect("stored");
    say(&store, "other", "after").await.expect("stored");
    assert_eq!(snapshot.open(room("lobby"), 9).await, Ok(before));
    assert_eq!(snapshot.rooms(None, 9).await.expect("read").len(), 1);
    assert_eq!(texts(&store, "lobby").await, ["before", "after"]);
    assert_eq!(say(&snapshot, "lobby", "x").await, Err(StoreError::Unavailable));
    assert_eq!(snapshot.check().await, Err(StoreError::Unavailable));
    cut(&database);
    assert_eq!(snapshot.rooms(None, 9).await, Err(StoreError::Unavailable), "never another moment");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_at_once_migrate_the_database_once() {
    let database = Database::new();
    let nodes = [(); 4].map(|()| {
        let address = database.address();
        std::thread::spawn(move || open(&address))
    });
    let stores = nodes.map(|node| node.join().expect("it opens"));
    for (index, store) in stores.iter().enumerate() {
        say(store, "lobby", &index.to_string()).await.expect("stored");
    }
    assert_eq!(texts(&stores[0], "lobby").await, ["0", "1", "2", "3"]);
}
