//! A PostgreSQL of our own, on a free port of loopback and in a temporary directory.

use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getuid, kill_process};
use tempfile::TempDir;

/// Whose processes the server's are if the tests run as root, which it refuses to be.
const NOBODY: u32 = 65_534;
/// Who owns the databases, without further rights.
pub(crate) const OWNER: &str = "parlour";
const ADMINISTRATOR: &str = "postgres";
/// How long the server may take to start, also after it was killed.
const START: Duration = Duration::from_secs(60);

/// Ends the server when nobody holds the pipe any more, however that came about. Its arguments: the
/// directory that is removed then, the program and its arguments.
const KEEPER: &str = "dir=$1; shift; \"$@\" & server=$!; echo $server; exec 1>&-; read -r _; \
     kill -CONT $server; kill -QUIT $server; wait $server; rm -rf \"$dir\"";

/// A running server.
pub(crate) struct Cluster {
    keeper: Child,
    /// The process id of the server.
    server: i32,
    port: u16,
    dir: PathBuf,
}

impl Cluster {
    /// Makes and starts a server with further settings, such as `fsync=off`.
    pub(crate) fn start(settings: &[&str]) -> Self {
        let dir = tempfile::Builder::new().prefix("parlour-pg").tempdir().expect("a directory");
        let dir = owned_by_server(dir);
        let data = dir.join("data");
        // A locale in which `a` comes before `B`: ours are compared by their bytes all the same.
        let locale = ["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en"];
        let made = as_server(&program("initdb"))
            .args(locale)
            .args(["--encoding=UTF8", "--no-sync", "--auth=trust", "--username", ADMINISTRATOR])
            .arg("-D")
            .arg(&data)
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let cluster = Self::run(dir, settings);
        cluster.administer("postgres", &format!("CREATE ROLE {OWNER} LOGIN"));
        cluster
    }

    fn run(dir: PathBuf, settings: &[&str]) -> Self {
        let port = free_port();
        let settings = settings.iter().flat_map(|setting| ["-c", setting]);
        let mut keeper = as_server(Path::new("sh"))
            .args(["-c", KEEPER, "keeper"])
            .arg(&dir)
            .arg(program("postgres"))
            .arg("-D")
            .arg(dir.join("data"))
            .args(["-h", "127.0.0.1", "-k", "", "-p", &port.to_string(), "-c", "max_connections=300"])
            .args(["-c", "logging_collector=off"])
            .args(settings)
            .current_dir(&dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::options().append(true).create(true).open(dir.join("log")).expect("a log"))
            .spawn()
            .expect("a keeper");
        let mut line = String::new();
        let mut output = std::io::BufReader::new(keeper.stdout.take().expect("its output"));
        std::io::BufRead::read_line(&mut output, &mut line).expect("a line");
        let server = line.trim().parse().expect("a process id");
        let cluster = Self { keeper, server, port, dir };
        cluster.await_ready();
        cluster
    }

    /// Waits until the server takes connections again.
    pub(crate) fn await_ready(&self) {
        let begun = Instant::now();
        while !self.psql(ADMINISTRATOR, "postgres", "SELECT").status.success() {
            let log = || std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
            assert!(begun.elapsed() < START, "PostgreSQL does not start: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Makes an empty database.
    pub(crate) fn database(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.administer("postgres", &format!("CREATE DATABASE {name} OWNER {OWNER}"));
        name
    }

    pub(crate) fn address(&self, database: &str) -> String {
        format!("postgres://{OWNER}@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs SQL as the owner, behind the store's back; returns the rows, as text.
    pub(crate) fn sql(&self, database: &str, sql: &str) -> String {
        succeeded(&self.psql(OWNER, database, sql))
    }

    /// Runs SQL as the administrator.
    pub(crate) fn administer(&self, database: &str, sql: &str) -> String {
        succeeded(&self.psql(ADMINISTRATOR, database, sql))
    }

    fn psql(&self, user: &str, database: &str, sql: &str) -> std::process::Output {
        Command::new(program("psql"))
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", user, "-d", database])
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql])
            .env("PGOPTIONS", "-c search_path=parlour")
            .env("PGCONNECT_TIMEOUT", "10")
            .output()
            .expect("psql runs")
    }

    /// Sends a signal to the server and all processes that work for it.
    pub(crate) fn signal_all(&self, signal: Signal) {
        let children = format!("/proc/{0}/task/{0}/children", self.server);
        let children = std::fs::read_to_string(children).expect("its children");
        let children = children.split_ascii_whitespace().map(|child| child.parse().expect("a process id"));
        for process in std::iter::once(self.server).chain(children) {
            // One that has just ended need not be told.
            let _ = kill_process(Pid::from_raw(process).expect("not zero"), signal);
        }
    }

    /// Kills one process of the server in the middle of its work; the server then ends all the others
    /// and recovers, as it does after the loss of power.
    pub(crate) fn crash(&self) {
        let backend = "SELECT min(pid) FROM pg_stat_activity WHERE application_name = 'parlour'";
        let backend = self.administer("postgres", backend).trim().parse().expect("a connection of a store");
        let before = self.asked(CHECKPOINTER).expect("the server is up");
        if kill_process(Pid::from_raw(backend).expect("not zero"), Signal::KILL).is_err() {
            // It has ended since, and the server has not noticed a thing.
            return;
        }
        // Only a checkpointer of another time says that the server has been down: at first it does
        // not know yet.
        let begun = Instant::now();
        while self.asked(CHECKPOINTER).is_none_or(|now| now == before || now.trim().is_empty()) {
            assert!(begun.elapsed() < START, "the server comes back");
        }
    }

    /// Runs SQL as the administrator, if the server is up.
    pub(crate) fn asked(&self, sql: &str) -> Option<String> {
        let output = self.psql(ADMINISTRATOR, "postgres", sql);
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// When the process began that no server works without.
const CHECKPOINTER: &str = "SELECT backend_start FROM pg_stat_activity WHERE backend_type = 'checkpointer'";

impl Drop for Cluster {
    fn drop(&mut self) {
        // Closes the pipe, whereupon the keeper ends the server.
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// A database of its own on the server that all tests of this program share.
pub(crate) struct Database {
    pub(crate) cluster: &'static Cluster,
    pub(crate) name: String,
}

impl Database {
    pub(crate) fn new() -> Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        let cluster = SHARED.get_or_init(|| Cluster::start(&[]));
        Self { cluster, name: cluster.database() }
    }

    pub(crate) fn address(&self) -> String {
        self.cluster.address(&self.name)
    }

    pub(crate) fn sql(&self, sql: &str) -> String {
        self.cluster.sql(&self.name, sql)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        // If that fails it goes with the server.
        let _ = self.cluster.psql(ADMINISTRATOR, "postgres", &drop);
    }
}

fn succeeded(output: &std::process::Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Gives the directory to whom the server runs as; the keeper removes it.
fn owned_by_server(dir: TempDir) -> PathBuf {
    let dir = dir.keep();
    if getuid().is_root() {
        std::os::unix::fs::chown(&dir, Some(NOBODY), Some(NOBODY)).expect("the owner is changed");
    }
    dir
}

fn as_server(program: &Path) -> Command {
    let mut command = Command::new(program);
    if getuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// Finds a program of the newest PostgreSQL that is installed.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<_> = versions
        .filter_map(|version| Some((version.file_name().to_str()?.parse::<u32>().ok()?, version.path())))
        .map(|(version, path)| (version, path.join("bin").join(name)))
        .filter(|(_, path)| path.exists())
        .collect();
    found.sort();
    // Elsewhere they are on the path.
    found.pop().map_or_else(|| Path::new(name).to_owned(), |(_, path)| path)
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}
