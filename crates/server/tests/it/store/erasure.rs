//! What is erased from SQLite is in none of its files.

use std::fs;
use std::path::Path;

use parlour_protocol::content::Content;
use parlour_server::store::sqlite::SqliteStore;
use parlour_server::store::{Archive as _, Store};

use super::search::numbers;
use super::{append, delete, draft, draft_with_cid, edit, message, reaction, saying, trim_to, user};

/// In no word that anything else says.
const CANARY: &str = "xqzcanary";

/// Lists the files in which some bytes stand.
fn found_in(dir: &Path, bytes: &str) -> Vec<String> {
    let files = fs::read_dir(dir).expect("the directory").map(|file| file.expect("a file").path());
    let holds = |content: &[u8]| content.windows(bytes.len()).any(|window| window == bytes.as_bytes());
    let found = files.filter(|file| holds(&fs::read(file).expect("readable")));
    found.map(|file| file.display().to_string()).collect()
}

/// Fills pages around what is to be erased, so that they are split and moved.
async fn crowd(store: &dyn Store, round: usize) {
    for n in 0..40 {
        let text = |n: usize| format!("crowd {round} {n} {}", "lorem ipsum ".repeat(n % 23));
        let batch = (0..12).map(|index| draft(["lobby", "other"][index % 2], &text(n + index)));
        append(store, batch.collect()).await;
    }
}

/// Many messages with the canary, among others; returns their numbers.
async fn plant(store: &dyn Store, sender: &str) -> Vec<u64> {
    let mut planted = Vec::new();
    for round in 0..6 {
        for n in 0..20 {
            let text = format!("{CANARY}{round}x{n} {CANARY} {}", "padding ".repeat(n));
            let mut said = draft_with_cid("lobby", &format!("{CANARY}{round}.{n}"), &text);
            said.sender = user(sender);
            planted.extend(append(store, vec![said]).await.iter().map(super::seq));
        }
        crowd(store, round).await;
        // Some are indexed one by one, some together with later ones.
        numbers(store, "crowd").await;
    }
    planted
}

fn new_store() -> (tempfile::TempDir, SqliteStore) {
    let dir = tempfile::tempdir().expect("a directory");
    let store = SqliteStore::open(dir.path()).expect("the store opens");
    (dir, store)
}

#[tokio::test]
async fn an_erased_user_is_in_no_file() {
    let (dir, store) = new_store();
    let planted = plant(&store, CANARY).await;
    let react = Content::Reaction(parlour_protocol::content::Reaction {
        target: parlour_protocol::Seq(planted[0]),
        emoji: CANARY.into(),
        active: true,
        count: 0,
    });
    append(&store, vec![saying(CANARY, "lobby", react), saying(CANARY, "lobby", edit(planted[1], CANARY))])
        .await;
    assert!(!found_in(dir.path(), CANARY).is_empty(), "the test sees what is there");
    store.erase(user(CANARY), user("erased-1")).await.expect("erased");
    assert_eq!(found_in(dir.path(), CANARY), Vec::<String>::new());
    drop(store);
    assert_eq!(found_in(dir.path(), CANARY), Vec::<String>::new());
}

#[tokio::test]
async fn deleted_and_replaced_texts_are_in_no_file_after_a_check() {
    let (dir, store) = new_store();
    let planted = plant(&store, "Alice").await;
    let secret = "wjkdeeper";
    for (index, target) in planted.iter().enumerate() {
        let again = saying("Alice", "lobby", edit(*target, &format!("{secret} {index}")));
        let changes = match index % 3 {
            0 => vec![again, saying("Alice", "lobby", edit(*target, "clean"))],
            1 => vec![again, saying("Alice", "lobby", delete(*target))],
            _ => vec![
                saying("Bob", "lobby", reaction(*target, secret, true)),
                saying("Alice", "lobby", delete(*target)),
            ],
        };
        append(&store, changes).await;
    }
    crowd(&store, 99).await;
    store.check().await.expect("commits");
    assert_eq!(found_in(dir.path(), secret), Vec::<String>::new());
    // The cids stay: they decide about repetitions.
    assert_eq!(found_in(dir.path(), &format!("{CANARY} padding")), Vec::<String>::new());
    assert_eq!(found_in(dir.path(), &format!("{CANARY}0x")), Vec::<String>::new());
    assert_eq!(numbers(&store, CANARY).await, Vec::<u64>::new());
    integrity(dir.path());
}

#[tokio::test]
async fn trimmed_texts_are_in_no_file_once_their_rows_are_swept() {
    let (dir, store) = new_store();
    let mut said = draft("lobby", &format!("{CANARY} trimmed"));
    said.entries.push(parlour_hub::log::NewEntry { cid: None, content: message(CANARY) });
    append(&store, vec![said]).await;
    crowd(&store, 1).await;
    assert_eq!(numbers(&store, CANARY).await, [2, 1]);
    trim_to(&store, "lobby", 100).await;
    // Rows go after every transaction, and a check empties the log after them.
    for _ in 0..3 {
        store.check().await.expect("commits");
    }
    assert_eq!(found_in(dir.path(), CANARY), Vec::<String>::new());
    integrity(dir.path());
}

/// Asserts that the database and the index of words are whole.
fn integrity(dir: &Path) {
    let raw = super::durable::raw(dir);
    let whole: String = raw.query_row("PRAGMA integrity_check", (), |row| row.get(0)).expect("checked");
    assert_eq!(whole, "ok");
    raw.execute("INSERT INTO word (word) VALUES ('integrity-check')", ()).expect("the index is whole");
}
