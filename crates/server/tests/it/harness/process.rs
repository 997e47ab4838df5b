//! A server in a process of its own: this test program once more, told to serve.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use parlour_server::server::Server;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::timeout;

use super::{PATIENCE, http, quick_config};

/// Holds the data directory of a child; its presence tells a child from the parent.
const DIRECTORY: &str = "PARLOUR_TEST_SERVE_IN";
/// How long a child tells that it goes away before it closes, in milliseconds.
const NOTICE: &str = "PARLOUR_TEST_NOTICE_MS";

/// A child that serves; killed if a test fails before it was ended.
pub(crate) struct ServerProcess {
    child: Leash,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    log: std::thread::JoinHandle<String>,
}

/// Does not outlive its test.
struct Leash(Child);

impl Drop for Leash {
    fn drop(&mut self) {
        // It has ended already, unless the test has failed.
        let _ = self.0.kill();
    }
}

/// Serves until a signal, if this process is such a child. Returns whether it was.
pub(crate) async fn served_as_child() -> bool {
    let (Some(directory), Ok(notice)) = (std::env::var_os(DIRECTORY), std::env::var(NOTICE)) else {
        return false;
    };
    let mut config = quick_config();
    config.data_dir = Some(directory.into());
    config.limits.rate_per_s = 0;
    // Well within a test's patience: until it has passed, a room waits for the lost.
    config.timeouts.grace = Duration::from_secs(1);
    config.timeouts.drain_notice = Duration::from_millis(notice.parse().expect("a number"));
    crate::webhooks::configure_child(&mut config);
    let log = config.log.clone();
    let server = Server::start(config).await.expect("the server starts");
    parlour_server::logging::start(&log);
    println!("\naddresses {} {}", server.listen_addr(), server.admin_addr());
    server.run_until_signal().await.expect("signals can be received");
    true
}

impl ServerProcess {
    /// Starts a child; `test` is the name of the calling test, which must begin with
    /// [`served_as_child`].
    pub(crate) fn start(test: &str, directory: &Path, notice: Duration) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args([test, "--exact", "--nocapture"])
            .env(DIRECTORY, directory)
            .env(NOTICE, notice.as_millis().to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a child");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let line = lines
            .find_map(|line| Some(line.ok()?.strip_prefix("addresses ")?.to_owned()))
            .expect("the child says where it listens");
        let (address, admin) = line.split_once(' ').expect("two addresses");
        let mut stderr = child.stderr.take().expect("its log");
        let log = std::thread::spawn(move || {
            // Both pipes are emptied, so that the child never waits for us.
            lines.for_each(drop);
            let mut log = String::new();
            stderr.read_to_string(&mut log).map(|_| log).unwrap_or_default()
        });
        let parse = |text: &str| text.parse().expect("an address");
        Self { child: Leash(child), address: parse(address), admin: parse(admin), log }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.0.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.0.id()).expect("a process id");
        kill_process(Pid::from_raw(id).expect("not zero"), signal).expect("it still runs");
    }

    /// Reads a page of the administration address: status and body.
    pub(crate) async fn admin(&self, request_line: &str) -> (u16, String) {
        http(self.admin, &format!("{request_line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
            .await
    }

    /// Returns the sum of a metric over its labels.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        super::sum_of(&self.admin("GET /metrics").await.1, name)
    }

    /// Waits until a metric has a value.
    pub(crate) async fn await_metric(&self, name: &str, wanted: f64) {
        let reached = async {
            while self.metric(name).await != wanted {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if timeout(PATIENCE, reached).await.is_err() {
            panic!("{name} is {} instead of {wanted}", self.metric(name).await);
        }
    }

    /// Waits for the end; returns how it was and what was logged.
    pub(crate) async fn ended(mut self) -> (ExitStatus, String) {
        let ended = tokio::task::spawn_blocking(move || {
            let status = self.child.0.wait().expect("its end");
            (status, self.log.join().expect("its log"))
        });
        timeout(PATIENCE, ended).await.expect("it ends in time").expect("waited")
    }
}
