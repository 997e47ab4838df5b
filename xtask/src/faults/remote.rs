//! Faults of a server with PostgreSQL, and of PostgreSQL itself.

use std::time::Duration;

use anyhow::{Result, bail};

use super::cluster::Cluster;
use super::process::{Checker, Outcome, Server};
use super::{Fault, Job};

pub(super) const FAULTS: [Fault; 4] = [
    Fault { name: "PostgreSQL: kill -9 of the server", run: kill_server },
    Fault { name: "PostgreSQL: kill -9 of the database", run: kill_database },
    Fault { name: "PostgreSQL: SIGSTOP of the database", run: freeze },
    Fault { name: "PostgreSQL: connections terminated", run: terminate },
];

const MISSING: &str = "PostgreSQL is not installed; on Debian: apt-get install postgresql";

/// Runs a fault so often under load.
fn under_load(
    job: &mut Job,
    mut fault: impl FnMut(&mut Cluster, &mut Server) -> Result<()>,
) -> Result<Outcome> {
    let Some(mut cluster) = Cluster::start()? else {
        return Ok(Outcome::skipped(MISSING));
    };
    let mut server = Server::start(&["--set", &format!("database={}", cluster.address())])?;
    let checker = Checker::start(&server, &[])?;
    for _ in 0..job.times {
        job.dice.wait(300, 1_500);
        fault(&mut cluster, &mut server)?;
    }
    job.dice.wait(1_000, 2_000);
    checker.finish()
}

fn kill_server(job: &mut Job) -> Result<Outcome> {
    under_load(job, |_, server| {
        server.kill()?;
        server.start_again()
    })
}

fn kill_database(job: &mut Job) -> Result<Outcome> {
    under_load(job, |cluster, _| cluster.kill())
}

/// Longer than the server waits for an answer, so that it does not know what became of a commit.
const FROZEN: Duration = Duration::from_secs(4);

fn freeze(job: &mut Job) -> Result<Outcome> {
    let outcome = under_load(job, |cluster, _| cluster.freeze(FROZEN))?;
    if outcome.skipped.is_none() && Duration::from_millis(outcome.pause_ms) < FROZEN {
        bail!("the database did not stand still for the server, so nothing was shown");
    }
    Ok(outcome)
}

fn terminate(job: &mut Job) -> Result<Outcome> {
    under_load(job, |cluster, _| cluster.terminate())
}
