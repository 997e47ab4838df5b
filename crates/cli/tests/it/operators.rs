//! What operators run beside a server, or instead of it.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::program::{Running, parlour, run};
use crate::serving::dev;

/// Runs a server while somebody says lines in a room.
fn say(directory: &tempfile::TempDir, lines: &str) -> Running {
    let server = Running::start(&mut dev(directory, &["--no-limits"]));
    let url = format!("ws://{}/ws", server.address("Web client"));
    let said = directory.path().join("said");
    std::fs::write(&said, lines).expect("written");
    let arguments = ["chat", "--room", "general", "--user", "Alice", "--url", &url];
    let mut talker = parlour(directory.path(), &arguments);
    let (code, _, err) = run(talker.stdin(std::fs::File::open(said).expect("opened")));
    assert_eq!(code, 0, "{err}");
    server
}

fn end(server: Running) {
    server.signal("TERM");
    assert_eq!(server.end().0, 0);
}

/// Runs a command that must succeed; returns what it prints.
#[track_caller]
fn succeed(directory: &Path, arguments: &[&str]) -> String {
    let (code, out, err) = run(&mut parlour(directory, arguments));
    assert_eq!((code, err.as_str()), (0, ""), "{arguments:?}");
    out
}

/// All lines but the first, which holds a time, and the last, which holds the checksum of that.
fn body(file: &str) -> &str {
    let rest = file.split_once('\n').expect("a first line").1;
    rest.rsplit_once("{\"type\":\"export_end\"").expect("a last line").0
}

#[test]
fn an_export_beside_a_server_is_imported_elsewhere() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = say(&directory, "Hello, world!\nBye\n");
    let here = directory.path();
    let told = succeed(here, &["export", "--data-dir", "parlour-data", "--output", "rooms.jsonl"]);
    assert!(told.starts_with("exported 1 rooms with 2 entries in "), "{told}");
    let file = std::fs::read_to_string(here.join("rooms.jsonl")).expect("exported");
    assert!(file.contains("\"text\":\"Hello, world!\""), "{file}");
    assert_eq!(body(&succeed(here, &["export", "--room", "general"])), body(&file), "the default directory");

    let (code, _, err) = run(&mut parlour(here, &["import", "rooms.jsonl", "--data-dir", "parlour-data"]));
    assert!(code == 1 && err.contains("locked by another process"), "{err}");
    end(server);
    let told = succeed(here, &["import", "rooms.jsonl", "--data-dir", "copy"]);
    assert!(told.contains("\nimported 1 rooms with 2 entries in "), "{told}");
    assert_eq!(body(&succeed(here, &["export", "--data-dir", "copy"])), body(&file));
    succeed(here, &["import", "rooms.jsonl", "--data-dir", "copy"]);

    std::fs::write(here.join("bad.jsonl"), file.replacen("Hello", "Hullo", 1)).expect("written");
    let (code, _, err) = run(&mut parlour(here, &["import", "bad.jsonl", "--data-dir", "other"]));
    assert!(code == 1 && err.contains("lines 2 to 5, the room general, do not match"), "{err}");
    assert!(!here.join("other").exists(), "nothing was touched");
}

#[test]
fn an_import_that_is_killed_is_completed_by_the_next_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let here = directory.path();
    let lines: String = (0..3_000).map(|n| format!("line {n}\n")).collect();
    end(say(&directory, &lines));
    let file = succeed(here, &["export", "--data-dir", "parlour-data"]);
    std::fs::write(here.join("rooms.jsonl"), &file).expect("written");
    let log = here.join("copy/parlour.db-wal");
    let arguments = ["import", "rooms.jsonl", "--data-dir", "copy"];
    for kilobytes in [50, 300] {
        let mut import = parlour(here, &arguments).stdout(Stdio::null()).spawn().expect("the program runs");
        let deadline = Instant::now() + Duration::from_secs(30);
        let has_begun = || std::fs::metadata(&log).is_ok_and(|log| log.len() > kilobytes * 1_024);
        while !has_begun() && import.try_wait().expect("waited").is_none() && Instant::now() < deadline {
            std::thread::yield_now();
        }
        import.kill().expect("killed, or over");
        import.wait().expect("waited");
    }
    succeed(here, &arguments);
    assert_eq!(body(&succeed(here, &["export", "--data-dir", "copy"])), body(&file));
}

#[test]
fn a_user_is_erased_while_the_server_runs() {
    let directory = tempfile::tempdir().expect("a directory");
    let server = say(&directory, "Hello, world!\n");
    let admin = format!("http://{}", server.address("Metrics"));
    let here = directory.path();
    let told = succeed(here, &["erase", "--user", "Alice", "--admin", &admin]);
    assert!(
        told.starts_with("Alice is erased: `erased-") && told.ends_with("1 rooms were changed\n"),
        "{told}"
    );
    let file = succeed(here, &["export", "--data-dir", "parlour-data"]);
    assert!(
        !file.contains("Hello") && !file.contains("Alice") && file.contains("\"sender\":\"erased-"),
        "{file}"
    );
    let (code, _, err) = run(&mut parlour(here, &["erase", "--user", "", "--admin", &admin]));
    assert!(code == 1 && err.contains("the server answers 4"), "{err}");
    end(server);
    let (code, _, err) = run(&mut parlour(here, &["erase", "--user", "Alice", "--admin", &admin]));
    assert!(code == 1 && err.contains("cannot reach the administration address"), "{err}");
}
