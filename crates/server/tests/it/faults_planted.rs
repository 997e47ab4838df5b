//! The checker itself: each bug that is planted into a server is found, and without one there is
//! nothing to find (see `docs/guarantees.md`).

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use parlour_checker::load::Load;
use parlour_checker::raw::Raw;
use parlour_checker::{Allowed, Verdict, verify};
use parlour_server::server::Server;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::harness::quick_config;

/// Where a child serves, and where it keeps its files; their presence tells a child from the parent.
const LISTEN: &str = "PARLOUR_TEST_PLANTED_LISTEN";
const DIRECTORY: &str = "PARLOUR_TEST_PLANTED_IN";
/// How long a child may take to listen.
const START: Duration = Duration::from_secs(30);

/// Serves for ever, if this process is a child.
async fn serve_as_child() {
    let (Some(directory), Ok(listen)) = (std::env::var_os(DIRECTORY), std::env::var(LISTEN)) else {
        return;
    };
    let mut config = quick_config();
    config.listen = listen.parse().expect("an address");
    config.data_dir = Some(directory.into());
    config.limits.rate_per_s = 0;
    config.timeouts.grace = Duration::from_millis(500);
    let server = Server::start(config).await.expect("the server starts");
    server.run_until_signal().await.expect("signals can be received");
    // The parent wants a server and no test.
    std::process::exit(0);
}

/// A server with a bug, in a process of its own that can be killed and started again.
struct Planted {
    child: Child,
    test: &'static str,
    plant: &'static str,
    address: SocketAddr,
    directory: tempfile::TempDir,
}

impl Planted {
    /// `test` is the path of the calling test, which begins with [`serve_as_child`].
    async fn start(test: &'static str, plant: &'static str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("its address");
        drop(free);
        let child = launch(test, plant, address, directory.path());
        let planted = Self { child, test, plant, address, directory };
        planted.await_start().await;
        planted
    }

    async fn await_start(&self) {
        let begun = Instant::now();
        while tokio::net::TcpStream::connect(self.address).await.is_err() {
            assert!(begun.elapsed() < START, "the child does not listen");
            sleep(Duration::from_millis(10)).await;
        }
    }

    fn kill(&mut self) {
        self.child.kill().expect("it still runs");
        self.child.wait().expect("its end");
    }

    async fn start_again(&mut self) {
        self.child = launch(self.test, self.plant, self.address, self.directory.path());
        self.await_start().await;
    }

    fn load(&self) -> Load {
        let (url, pace) = (format!("ws://{}/ws", self.address), Duration::from_millis(20));
        // With a bug, somebody may wait in vain; without one, nobody waits for long.
        let patience = if self.plant.is_empty() { Duration::from_secs(45) } else { Duration::from_secs(5) };
        Load { url, publishers: 3, subscribers: 4, rooms: 1, pace, patience, ..Load::default() }
    }

    /// The files of the database of a dead server.
    fn copy(&self, from: &Path, to: &Path) {
        for name in ["parlour.db", "parlour.db-wal"] {
            // Without a log there is nothing in it.
            let _ = std::fs::remove_file(to.join(name));
            let _ = std::fs::copy(from.join(name), to.join(name));
        }
        assert!(to.join("parlour.db").exists());
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn launch(test: &str, plant: &str, address: SocketAddr, directory: &Path) -> Child {
    Command::new(std::env::current_exe().expect("this program"))
        .args([test, "--exact"])
        .env(LISTEN, address.to_string())
        .env(DIRECTORY, directory)
        .env("PARLOUR_PLANT", plant)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a child")
}

async fn some_time() {
    sleep(Duration::from_millis(900)).await;
}

/// Kills the server twice under load.
async fn through_kills(test: &'static str, plant: &'static str) -> Verdict {
    let mut server = Planted::start(test, plant).await;
    let running = server.load().start().await.expect("a load");
    for _ in 0..2 {
        some_time().await;
        server.kill();
        server.start_again().await;
    }
    some_time().await;
    let evidence = running.finish().await.expect("the server answers");
    verify(&evidence.logs, &evidence.histories, Allowed::default())
}

/// Puts an older database back under load.
async fn through_restore(test: &'static str, plant: &'static str) -> Verdict {
    let mut server = Planted::start(test, plant).await;
    let backup = tempfile::tempdir().expect("a directory");
    let running = server.load().start().await.expect("a load");
    some_time().await;
    server.kill();
    server.copy(server.directory.path(), backup.path());
    server.start_again().await;
    some_time().await;
    server.kill();
    server.copy(backup.path(), server.directory.path());
    server.start_again().await;
    some_time().await;
    let evidence = running.finish().await.expect("the server answers");
    verify(&evidence.logs, &evidence.histories, Allowed { rewinds: true })
}

/// Takes the place of one worker in a private room.
async fn through_removal(test: &'static str, plant: &'static str) -> Verdict {
    let server = Planted::start(test, plant).await;
    let load = Load { private: true, ..server.load() };
    let running = load.start().await.expect("a load");
    some_time().await;
    let evidence = running.finish().await.expect("the server answers");
    verify(&evidence.logs, &evidence.histories, Allowed::default())
}

fn assert_clean(verdict: &Verdict) {
    let first: Vec<_> = verdict.violations.iter().take(5).map(ToString::to_string).collect();
    assert!(first.is_empty(), "{first:#?}");
    assert!(verdict.acked > 50 && verdict.seen > verdict.acked, "{verdict:?}");
}

fn assert_found(verdict: &Verdict, kinds: &[&str]) {
    let mut found: Vec<_> = verdict.violations.iter().map(|violation| violation.kind()).collect();
    found.sort_unstable();
    found.dedup();
    assert!(kinds.iter().all(|kind| found.contains(kind)), "{kinds:?} should be in {found:?}");
}

/// P4, P8, P12
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_a_bug_nothing_is_lost_by_kills() {
    serve_as_child().await;
    let verdict = through_kills("faults_planted::without_a_bug_nothing_is_lost_by_kills", "").await;
    assert_clean(&verdict);
}

/// P10
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_a_bug_everybody_is_told_of_a_restore() {
    serve_as_child().await;
    let verdict = through_restore("faults_planted::without_a_bug_everybody_is_told_of_a_restore", "").await;
    assert_clean(&verdict);
    assert!(verdict.rewound > 0, "the backup was not older: {verdict:?}");
}

/// P21
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_a_bug_the_removed_see_nothing() {
    serve_as_child().await;
    let verdict = through_removal("faults_planted::without_a_bug_the_removed_see_nothing", "").await;
    assert_clean(&verdict);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_ack_before_the_commit_is_found() {
    serve_as_child().await;
    let verdict =
        through_kills("faults_planted::an_ack_before_the_commit_is_found", "ack-before-commit").await;
    assert_found(&verdict, &["acked_but_missing"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_broadcast_before_the_commit_is_found() {
    serve_as_child().await;
    let verdict =
        through_kills("faults_planted::a_broadcast_before_the_commit_is_found", "broadcast-before-commit")
            .await;
    assert_found(&verdict, &["phantom"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_silent_skip_is_found() {
    serve_as_child().await;
    let verdict = through_kills("faults_planted::a_silent_skip_is_found", "skip-when-full").await;
    assert_found(&verdict, &["skipped"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_forgotten_cid_is_found() {
    serve_as_child().await;
    let verdict = through_kills("faults_planted::a_forgotten_cid_is_found", "no-dedup").await;
    assert_found(&verdict, &["never_said"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_resume_that_loses_one_is_found() {
    serve_as_child().await;
    let verdict = through_kills("faults_planted::a_resume_that_loses_one_is_found", "resume-loses-one").await;
    assert_found(&verdict, &["skipped"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_resume_that_doubles_one_is_found() {
    serve_as_child().await;
    let verdict =
        through_kills("faults_planted::a_resume_that_doubles_one_is_found", "resume-doubles-one").await;
    assert_found(&verdict, &["doubled"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_epoch_kept_on_restore_is_found() {
    serve_as_child().await;
    let verdict = through_restore("faults_planted::an_epoch_kept_on_restore_is_found", "epoch-kept").await;
    assert_found(&verdict, &["acked_but_missing", "two_contents"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_membership_that_is_not_checked_is_found() {
    serve_as_child().await;
    let verdict =
        through_removal("faults_planted::a_membership_that_is_not_checked_is_found", "membership-unchecked")
            .await;
    assert_found(&verdict, &["read_after_removal"]);
}

/// P16: the wall clock jumps by an hour, there and back, and nobody notices.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn jumps_of_the_clock_change_nothing() {
    const HOUR_MS: i64 = 3_600_000;
    serve_as_child().await;
    let server = Planted::start("faults_planted::jumps_of_the_clock_change_nothing", "").await;
    let load = Load { subscribers: 0, sdk_share: 0.0, restless: false, ..server.load() };
    let running = load.start().await.expect("a load");
    let mut hand = Raw::connect(running.url()).await.expect("a server");
    hand.ask("hello", 1, json!({"user": "hand"})).await.expect("a welcome");
    let mut times = Vec::new();
    for offset_ms in [HOUR_MS, 0, -HOUR_MS, 0] {
        hand.say(&format!("!clock {offset_ms}")).await.expect("a connection");
        sleep(Duration::from_millis(300)).await;
        let pong = hand.ask("ping", 2, json!({})).await.expect("a connection");
        times.push(pong["payload"]["server_time_ms"].as_i64().expect("a time"));
    }
    let evidence = running.finish().await.expect("the server answers");
    let verdict = verify(&evidence.logs, &evidence.histories, Allowed::default());
    assert_clean(&verdict);
    assert_eq!(verdict.lost, 0, "no connection ends because of the clock");
    assert!(times[0] - times[1] > HOUR_MS / 2 && times[1] - times[2] > HOUR_MS / 2, "it jumped: {times:?}");
}
