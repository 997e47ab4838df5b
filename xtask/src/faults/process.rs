//! The processes of a run: the server, the checker, and signals.

use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::shell;

/// How long a server may take to listen again; it recovers its database first.
const START: Duration = Duration::from_secs(60);

/// What the checker says.
#[derive(Debug, Clone, Default)]
pub(super) struct Outcome {
    pub(super) acked: u64,
    /// How often the server asked to try again.
    pub(super) refused: u64,
    pub(super) resumes: u64,
    /// The longest time without any acknowledgement.
    pub(super) pause_ms: u64,
    pub(super) violations: u64,
    /// The first violations, in words.
    pub(super) first: Vec<String>,
    /// Why the fault cannot happen here.
    pub(super) skipped: Option<&'static str>,
}

impl Outcome {
    pub(super) fn skipped(reason: &'static str) -> Self {
        Self { skipped: Some(reason), ..Self::default() }
    }
}

/// Choices that are the same for the same seed (xorshift64*).
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Waits for between `least` and `most` milliseconds, so that the fault meets every state.
    pub(super) fn wait(&mut self, least: u64, most: u64) {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16;
        sleep(Duration::from_millis(least + number % (most - least)));
    }
}

/// A folder that goes with the run.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("parlour-faults-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is in the folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A server that is started again at the same address.
#[derive(Debug)]
pub(super) struct Server {
    child: Option<Child>,
    port: u16,
    /// Where its messages are: options of `parlour dev`.
    store: Vec<String>,
}

impl Server {
    pub(super) fn start(store: &[&str]) -> Result<Self> {
        let store = store.iter().map(|option| (*option).to_owned()).collect();
        let mut server = Self { child: None, port: free_port()?, store };
        server.start_again()?;
        Ok(server)
    }

    /// Starts it again, and waits until it listens.
    pub(super) fn start_again(&mut self) -> Result<()> {
        let program = shell::target().join("debug/parlour");
        let listen = format!("127.0.0.1:{}", self.port);
        let child = Command::new(&program)
            .args([
                "dev",
                "--no-limits",
                "--listen",
                &listen,
                "--admin-listen",
                "127.0.0.1:0",
                "--log",
                "error",
            ])
            .args(["--set", "shards=2", "--set", "timeouts.grace_ms=500"])
            .args(["--set", "timeouts.drain_notice_ms=0", "--set", "timeouts.drain_spread_ms=0"])
            .args(&self.store)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        self.child = Some(child);
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten()) {
                bail!("the server does not start: {status}; try `parlour dev {}`", self.store.join(" "));
            }
            if begun.elapsed() > START {
                bail!("the server does not listen");
            }
            sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Ends it without a warning.
    pub(super) fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Asks it to end, and waits.
    pub(super) fn stop(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            signal("TERM", child.id())?;
            child.wait()?;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.kill();
    }
}

/// A checker at work.
#[derive(Debug)]
pub(super) struct Checker(Child);

impl Checker {
    /// Starts workers, with further options.
    pub(super) fn start(server: &Server, options: &[&str]) -> Result<Self> {
        let program = shell::target().join("debug/parlour-check");
        let url = format!("ws://127.0.0.1:{}/ws", server.port);
        let child = Command::new(&program)
            .args(["--url", &url, "--json", "--until-eof", "--seconds", "3600", "--edits"])
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        sleep(Duration::from_millis(500));
        Ok(Self(child))
    }

    /// Lets the workers finish, and hears the verdict.
    pub(super) fn finish(mut self) -> Result<Outcome> {
        drop(self.0.stdin.take());
        let mut text = String::new();
        self.0.stdout.take().context("its output")?.read_to_string(&mut text)?;
        self.0.wait()?;
        let verdict: Value = serde_json::from_str(&text).context("the checker says no verdict")?;
        let number = |name: &str| verdict[name].as_u64().unwrap_or_default();
        if number("acked") == 0 {
            bail!("nothing was acknowledged, so nothing was shown");
        }
        let first = verdict["first"].as_array().into_iter().flatten().take(5);
        Ok(Outcome {
            acked: number("acked"),
            refused: number("refused"),
            resumes: number("resumes"),
            pause_ms: number("pause_ms"),
            violations: number("violations"),
            first: first.filter_map(|violation| violation["text"].as_str().map(str::to_owned)).collect(),
            skipped: None,
        })
    }
}

impl Drop for Checker {
    fn drop(&mut self) {
        // It has ended already, unless something went wrong.
        let _ = self.0.kill();
    }
}

/// Sends a signal to one process.
pub(super) fn signal(name: &str, process: u32) -> Result<()> {
    let arguments = [format!("-{name}"), process.to_string()];
    let output = Command::new("kill").args(arguments).output().context("cannot start kill")?;
    match output.status.success() {
        true => Ok(()),
        false => bail!("{}", String::from_utf8_lossy(&output.stderr).trim()),
    }
}

pub(super) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
