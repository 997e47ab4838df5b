//! A server of a configuration file in a process of its own, all of whose output is kept.

use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;

use parlour_server::config::{Config, Flags, Mode};
use parlour_server::server::Server;
use rustix::process::{Pid, Signal, kill_process};

use crate::harness::PATIENCE;

/// Names the configuration of a child; its presence tells a child from the parent.
const FILE: &str = "PARLOUR_TEST_SECRETS_FILE";

/// Serves until a signal, if this process is such a child. Returns whether it was.
///
/// What goes wrong is written to the standard error stream, as the program does it.
pub(super) async fn served() -> bool {
    let Some(file) = std::env::var_os(FILE) else { return false };
    let text = std::fs::read_to_string(file).expect("a configuration");
    let config = match Config::from_sources(Some(&text), std::iter::empty(), Flags::new(Mode::Dev)) {
        Ok(config) => config,
        Err(errors) => {
            eprintln!("Error: {errors}");
            return true;
        }
    };
    parlour_server::logging::start(&config.log);
    match Server::start(config).await {
        Ok(server) => {
            println!("\naddresses {} {}", server.listen_addr(), server.admin_addr());
            server.run_until_signal().await.expect("signals can be received");
        }
        Err(error) => eprintln!("Error: {error}\n{error:?}"),
    }
    true
}

/// A child; killed if a test fails before it was ended.
pub(super) struct Serving {
    child: Child,
    pub(super) address: SocketAddr,
    pub(super) admin: SocketAddr,
    stdout: BufReader<ChildStdout>,
    /// What stood before the addresses.
    said: String,
    stderr: JoinHandle<String>,
}

impl Serving {
    /// Starts a child; `test` is the name of the calling test, which must begin with [`served`].
    pub(super) fn start(test: &str, file: &Path) -> Self {
        let (child, mut stdout, stderr) = launch(test, file);
        let mut said = String::new();
        let (address, admin) = loop {
            let before = said.len();
            assert!(stdout.read_line(&mut said).expect("a line") > 0, "the child has ended: {said}");
            if let Some(line) = said[before..].strip_prefix("addresses ") {
                break line.trim().split_once(' ').expect("two addresses");
            }
        };
        let parse = |text: &str| text.parse().expect("an address");
        let (address, admin) = (parse(address), parse(admin));
        Self { child, address, admin, stdout, said, stderr }
    }

    /// Ends it as an operator does; returns all that it has written to both streams.
    pub(super) fn end(mut self) -> [String; 2] {
        let id = i32::try_from(self.child.id()).expect("a process id");
        kill_process(Pid::from_raw(id).expect("not zero"), Signal::TERM).expect("it still runs");
        let mut stdout = std::mem::take(&mut self.said);
        self.stdout.read_to_string(&mut stdout).expect("UTF-8");
        self.child.wait().expect("its end");
        let stderr = std::mem::replace(&mut self.stderr, std::thread::spawn(String::new));
        [stdout, stderr.join().expect("its log")]
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It has ended already, unless the test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a child that cannot serve; returns all that it has written to both streams.
pub(super) fn fail(test: &str, file: &Path) -> [String; 2] {
    let (mut child, mut stdout, stderr) = launch(test, file);
    let mut said = String::new();
    stdout.read_to_string(&mut said).expect("UTF-8");
    assert!(!said.contains("addresses "), "it serves: {said}");
    child.wait().expect("its end");
    [said, stderr.join().expect("its log")]
}

fn launch(test: &str, file: &Path) -> (Child, BufReader<ChildStdout>, JoinHandle<String>) {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args([test, "--exact", "--nocapture"])
        .env(FILE, file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a child");
    let stdout = BufReader::new(child.stdout.take().expect("its output"));
    let mut stderr = child.stderr.take().expect("its log");
    let reading = std::thread::spawn(move || {
        let mut log = Vec::new();
        stderr.read_to_end(&mut log).expect("its log");
        String::from_utf8_lossy(&log).into_owned()
    });
    (child, stdout, reading)
}

/// How long the parent waits for a child in all, where nothing else bounds it.
pub(super) async fn in_time<T: Send + 'static>(deed: impl FnOnce() -> T + Send + 'static) -> T {
    let done = tokio::time::timeout(PATIENCE, tokio::task::spawn_blocking(deed)).await;
    done.expect("it ends in time").expect("it does not panic")
}
