//! Several servers on one PostgreSQL database.

use crate::migrate::{say, url};
use crate::postgres::Database;
use crate::program::{Running, parlour};
use crate::serving::dev;

#[test]
fn servers_on_one_database_tell_each_other_what_is_said() {
    let (database, home) = (Database::new(), tempfile::tempdir().expect("a directory"));
    let setting = format!("database={}", database.address());
    let servers = [(); 2].map(|()| Running::start(&mut dev(&home, &["--no-limits", "--set", &setting])));
    let [one, other] = servers.each_ref().map(url);
    let listen = ["tail", "--room", "general", "--user", "Bob", "--url", &other];
    let listener = Running::start(&mut parlour(home.path(), &listen));
    listener.line("connected as Bob");
    say(&one, home.path(), "first\n");
    listener.line("Alice: first");

    // The database ends all connections, as when it restarts.
    database.sql(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
         WHERE datname = current_database() AND application_name = 'parlour'",
    );
    say(&other, home.path(), "second\n");
    listener.line("Alice: second");
    say(&one, home.path(), "third\n");
    listener.line("Alice: third");
    for server in servers {
        server.signal("TERM");
        assert_eq!(server.end().0, 0);
    }
    let said = database.sql("SELECT body FROM message ORDER BY seq");
    assert_eq!(said, "first\nsecond\nthird\n");
}
