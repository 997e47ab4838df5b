//! A PostgreSQL of our own, which is killed without regret.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::process::{Folder, free_port, signal};

/// Whose processes the server's are if this runs as root, which it refuses to be.
const NOBODY: u32 = 65_534;
const START: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Cluster {
    server: Child,
    port: u16,
    // Removed last.
    folder: Folder,
}

impl Cluster {
    /// Makes and starts a server with the settings of a careful operator; `None` without PostgreSQL.
    pub(super) fn start() -> Result<Option<Self>> {
        let Some(initdb) = program("initdb") else {
            return Ok(None);
        };
        let (folder, port) = (Folder::new("postgres")?, free_port()?);
        if is_root()? {
            std::os::unix::fs::chown(folder.path(), Some(NOBODY), Some(NOBODY))?;
        }
        let made = as_server(&initdb)?
            .args(["--encoding=UTF8", "--no-locale", "--auth=trust", "--username=parlour", "-D"])
            .arg(folder.path().join("data"))
            .output()?;
        if !made.status.success() {
            bail!("initdb failed: {}", String::from_utf8_lossy(&made.stderr));
        }
        let cluster = Self { server: launch(folder.path(), port)?, port, folder };
        cluster.await_ready()?;
        Ok(Some(cluster))
    }

    pub(super) fn address(&self) -> String {
        format!("postgres://parlour@127.0.0.1:{}/postgres", self.port)
    }

    /// Kills all of its processes at once, as the loss of power would, and starts it again.
    pub(super) fn kill(&mut self) -> Result<()> {
        self.signal_all("STOP")?;
        self.signal_all("KILL")?;
        self.server.wait()?;
        self.server = launch(self.folder.path(), self.port)?;
        self.await_ready()
    }

    /// Holds all of its processes up for some time.
    pub(super) fn freeze(&self, time: Duration) -> Result<()> {
        self.signal_all("STOP")?;
        sleep(time);
        self.signal_all("CONT")
    }

    /// Ends the connections that commit at this moment, or else all others.
    pub(super) fn terminate(&self) -> Result<()> {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() \
                   AND backend_type = 'client backend' ORDER BY state = 'active' DESC";
        let output = self.psql(sql)?;
        // One "t" per connection.
        if !output.status.success() || !output.stdout.contains(&b't') {
            bail!("no connection was terminated: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    fn psql(&self, sql: &str) -> Result<Output> {
        let psql = program("psql").context("psql is not installed")?;
        let port = self.port.to_string();
        let output = Command::new(psql)
            .args(["-h", "127.0.0.1", "-p", &port, "-U", "parlour", "-d", "postgres", "-XqAt", "-c", sql])
            .output()?;
        Ok(output)
    }

    fn await_ready(&self) -> Result<()> {
        let begun = Instant::now();
        while !self.psql("SELECT")?.status.success() {
            if begun.elapsed() > START {
                bail!("PostgreSQL does not start");
            }
            sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn signal_all(&self, name: &str) -> Result<()> {
        let server = self.server.id();
        let children = std::fs::read_to_string(format!("/proc/{server}/task/{server}/children"))?;
        signal(name, server)?;
        for child in children.split_ascii_whitespace() {
            // One that has just ended need not be told.
            let _ = signal(name, child.parse()?);
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Nothing of it is needed any more; the folder goes too.
        let _ = self.signal_all("KILL");
        let _ = self.server.wait();
    }
}

fn launch(folder: &Path, port: u16) -> Result<Child> {
    let log = File::options().append(true).create(true).open(folder.join("log"))?;
    let postgres = program("postgres").context("postgres is not installed")?;
    let server = as_server(&postgres)?
        .arg("-D")
        .arg(folder.join("data"))
        .args(["-h", "127.0.0.1", "-k", "", "-p", &port.to_string(), "-c", "logging_collector=off"])
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()?;
    Ok(server)
}

fn as_server(program: &Path) -> Result<Command> {
    let mut command = Command::new(program);
    if is_root()? {
        command.uid(NOBODY).gid(NOBODY);
    }
    Ok(command)
}

fn is_root() -> Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    Ok(std::fs::metadata("/proc/self").context("/proc")?.uid() == 0)
}

/// Finds a program of the newest PostgreSQL that is installed.
fn program(name: &str) -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let paths = versions.filter_map(|version| {
        let number: u32 = version.file_name().to_str()?.parse().ok()?;
        let path = version.path().join("bin").join(name);
        path.exists().then_some((number, path))
    });
    let installed = paths.max().map(|(_, path)| path);
    let directories = std::env::var_os("PATH")?;
    installed
        .or_else(|| std::env::split_paths(&directories).map(|dir| dir.join(name)).find(|path| path.exists()))
}
