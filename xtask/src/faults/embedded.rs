//! Faults of a server with the embedded store.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::process::{Checker, Folder, Outcome, Server};
use super::{Fault, Job};
use crate::shell;

pub(super) const FAULTS: [Fault; 3] = [
    Fault { name: "SQLite: kill -9 of the server", run: kill },
    Fault { name: "SQLite: older backup put back", run: restore },
    Fault { name: "SQLite: disk full", run: fill },
];

/// Size of the disk that is filled, in MiB: room for the database, and for its log up to the next
/// checkpoint.
const DISK_MIB: usize = 192;

fn on(directory: &Path) -> Result<Server> {
    Server::start(&["--data-dir", &directory.to_string_lossy()])
}

fn kill(job: &mut Job) -> Result<Outcome> {
    let folder = Folder::new("kill")?;
    let mut server = on(folder.path())?;
    let checker = Checker::start(&server, &[])?;
    for _ in 0..job.times {
        job.dice.wait(200, 1_200);
        server.kill()?;
        server.start_again()?;
    }
    job.dice.wait(500, 1_000);
    checker.finish()
}

/// Puts an older copy of the database back, under clients that have seen more than it holds.
fn restore(job: &mut Job) -> Result<Outcome> {
    let folder = Folder::new("restore")?;
    let (database, backup) = (folder.path().join("parlour.db"), folder.path().join("backup.db"));
    let mut server = on(folder.path())?;
    let checker = Checker::start(&server, &["--rewinds"])?;
    for _ in 0..job.times {
        job.dice.wait(500, 1_000);
        // After an orderly end the file is complete without its log.
        server.stop()?;
        fs::copy(&database, &backup).context("the backup")?;
        server.start_again()?;
        job.dice.wait(1_000, 2_000);
        server.kill()?;
        fs::copy(&backup, &database).context("the restore")?;
        for ending in ["-wal", "-shm"] {
            // They belong to the database that is gone, and may not exist.
            let _ = fs::remove_file(folder.path().join(format!("parlour.db{ending}")));
        }
        server.start_again()?;
        job.dice.wait(1_000, 2_000);
    }
    checker.finish()
}

/// A disk of its own, which is unmounted at the end.
struct Disk(Folder);

impl Disk {
    fn mount() -> Option<Self> {
        let folder = Folder::new("disk").ok()?;
        let (size, path) = (format!("size={DISK_MIB}m"), folder.path().to_string_lossy().into_owned());
        let mounted = shell::program("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", &path]).run();
        mounted.is_ok().then_some(Self(folder))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let path = self.0.path().to_string_lossy().into_owned();
        // A disk that stays in use is in memory, and goes with the machine.
        let _ = shell::program("umount", &["--lazy", &path]).run();
    }
}

fn fill(job: &mut Job) -> Result<Outcome> {
    let Some(disk) = Disk::mount() else {
        return Ok(Outcome::skipped("a small disk can only be mounted by root, on Linux"));
    };
    let ballast = disk.0.path().join("ballast");
    let server = on(&disk.0.path().join("data"))?;
    let checker = Checker::start(&server, &[])?;
    for _ in 0..job.times {
        job.dice.wait(500, 1_000);
        // Writes until there is no space left.
        let _ = fs::write(&ballast, vec![0; DISK_MIB << 20]);
        job.dice.wait(1_000, 2_000);
        fs::remove_file(&ballast).context("the ballast")?;
        job.dice.wait(1_000, 2_000);
    }
    let outcome = checker.finish()?;
    if outcome.refused == 0 {
        bail!("the disk was never full for the server, so nothing was shown");
    }
    Ok(outcome)
}
