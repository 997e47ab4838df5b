//! From the embedded store to PostgreSQL.

use std::path::Path;

use crate::postgres::Database;
use crate::program::{Running, parlour, run};
use crate::serving::dev;

/// Runs a command with a database; returns its code and what it prints.
fn with(database: &Database, directory: &Path, arguments: &[&str]) -> (i32, String, String) {
    run(parlour(directory, arguments).env("DATABASE_URL", database.address()))
}

/// Returns where a server takes clients; it says so once.
pub(crate) fn url(server: &Running) -> String {
    format!("ws://{}/ws", server.address("Web client"))
}

/// Says lines in a room.
pub(crate) fn say(url: &str, directory: &Path, lines: &str) {
    let said = directory.join("said");
    std::fs::write(&said, lines).expect("written");
    let talk = ["chat", "--room", "general", "--user", "Alice", "--url", url];
    let file = std::fs::File::open(said).expect("opened");
    let (code, _, err) = run(parlour(directory, &talk).stdin(file));
    assert_eq!(code, 0, "{err}");
}

/// The rooms of an export; its first and its last line depend on the time.
fn rooms(file: &str) -> Vec<&str> {
    let frames = ["{\"type\":\"parlour_export\"", "{\"type\":\"export_end\""];
    file.lines().filter(|line| !frames.iter().any(|frame| line.starts_with(frame))).collect()
}

#[test]
fn rooms_move_to_postgresql_and_go_on_there() {
    let (database, home) = (Database::new(), tempfile::tempdir().expect("a directory"));
    let here = home.path();
    let server = Running::start(&mut dev(&home, &["--no-limits"]));
    say(&url(&server), here, "one\ntwo\n");

    let (code, _, err) = with(&database, here, &["migrate"]);
    assert!(code == 1 && err.contains("locked by another process"), "{err}");
    server.signal("TERM");
    assert_eq!(server.end().0, 0);
    let (code, _, err) = run(&mut parlour(here, &["migrate"]));
    assert!(code == 1 && err.contains("set DATABASE_URL"), "{err}");
    let (code, _, err) = with(&database, here, &["migrate", "--data-dir", "nowhere"]);
    assert!(code == 1 && err.contains("there is no directory nowhere"), "{err}");
    for _ in 0..2 {
        let (code, out, err) = with(&database, here, &["migrate"]);
        assert!(code == 0 && out.starts_with("migrated 1 rooms with 2 entries in "), "{out}{err}");
    }
    let (_, before, _) = run(&mut parlour(here, &["export", "--data-dir", "parlour-data"]));
    let (_, after, _) = with(&database, here, &["export"]);
    assert_eq!(rooms(&after), rooms(&before));
    assert_eq!(rooms(&after).len(), 4, "{after}");

    let address = database.address();
    let on_postgres = ["--no-limits", "--set", &format!("database={address}")].map(str::to_owned);
    let server = Running::start(&mut dev(&home, &on_postgres.each_ref().map(String::as_str)));
    say(&url(&server), here, "three\n");
    server.signal("TERM");
    assert_eq!(server.end().0, 0);
    let texts = database.sql("SELECT seq, sender, body FROM message ORDER BY seq");
    assert_eq!(texts, "1|Alice|one\n2|Alice|two\n3|Alice|three\n");
    let (_, unchanged, _) = run(&mut parlour(here, &["export", "--data-dir", "parlour-data"]));
    assert_eq!(rooms(&unchanged), rooms(&before));
}
