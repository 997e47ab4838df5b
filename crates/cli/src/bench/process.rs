//! Child processes that are measured: pinned, watched, ended.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, bail};

/// The core of the measured process.
const SERVER_CORE: &str = "0";
/// The core of the generator.
const GENERATOR_CORE: &str = "1";

/// A running child that is killed when dropped.
#[derive(Debug)]
pub(super) struct Measured {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Measured {
    /// Starts a program on the core of measured processes.
    pub(super) fn start(program: &Path, args: &[&str]) -> anyhow::Result<Self> {
        let mut command = Command::new("taskset");
        command.args(["-c", SERVER_CORE]).arg(program).args(args);
        let spawned = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn();
        let mut child = spawned.context("taskset (package util-linux) cannot be started")?;
        let stdout = child.stdout.take().context("the child has no output")?;
        Ok(Self { child, stdout: BufReader::new(stdout) })
    }

    /// Reads lines up to the one that holds `marker`; returns the word after it, without a slash.
    pub(super) fn line_with(&mut self, marker: &str) -> anyhow::Result<String> {
        let mut line = String::new();
        loop {
            line.clear();
            if self.stdout.read_line(&mut line)? == 0 {
                bail!("the measured program ended before it said {marker:?}");
            }
            if let Some((_, after)) = line.split_once(marker) {
                let word = after.split_whitespace().next().unwrap_or_default();
                return Ok(word.trim_end_matches('/').to_owned());
            }
        }
    }

    /// Returns what to ask about the costs of the process.
    pub(super) fn usage(&self) -> Usage {
        Usage { pid: self.child.id() }
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process on this machine, seen from outside.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usage {
    pub(super) pid: u32,
}

impl Usage {
    /// Looks at this process: the generator.
    pub(super) fn own() -> Self {
        Self { pid: std::process::id() }
    }

    /// Returns the CPU time of all threads so far, in nanoseconds.
    pub(super) fn cpu_ns(self) -> anyhow::Result<u64> {
        let mut total = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.pid))? {
            let statistics = std::fs::read_to_string(task?.path().join("schedstat"))?;
            let first = statistics.split_whitespace().next().context("no scheduler statistics")?;
            total += first.parse::<u64>()?;
        }
        Ok(total)
    }

    /// Returns the resident memory that is not shared with files, in bytes.
    pub(super) fn anonymous_bytes(self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).context("no RssAnon")?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024)
    }
}

/// Returns bytes in the unit of reports.
pub(super) fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}

/// Moves this process to the core of generators, if the machine has one.
pub(super) fn pin_generator() -> anyhow::Result<()> {
    let pid = std::process::id().to_string();
    let moved =
        Command::new("taskset").args(["-a", "-p", "-c", GENERATOR_CORE, &pid]).stdout(Stdio::null()).status();
    if !moved.context("taskset (package util-linux) cannot be started")?.success() {
        bail!("this benchmark needs two cores: one for the server, one for the load");
    }
    Ok(())
}
