//! Breaks a real server and its database under load, again and again, and lets the checker say
//! whether anything that was promised was lost.

use std::time::Instant;

use anyhow::{Result, bail};

use crate::shell;

mod cluster;
mod embedded;
mod process;
mod remote;

use process::{Dice, Outcome};

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// How often each fault happens; the database is killed 2 times for every 5 of these
    #[arg(long, default_value_t = 50)]
    kills: u32,
    /// Which store is used
    #[arg(long, value_enum, default_value_t = Database::Both)]
    database: Database,
    /// Where random choices begin
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only the faults whose names hold this
    #[arg(long)]
    only: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Database {
    Sqlite,
    Postgres,
    Both,
}

/// A kind of fault, and how it is done so often.
#[derive(Debug, Clone, Copy)]
struct Fault {
    name: &'static str,
    run: fn(&mut Job) -> Result<Outcome>,
}

/// How a fault is to be done.
#[derive(Debug)]
struct Job {
    times: u32,
    dice: Dice,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    measure(options).map(drop)
}

/// The short version, as a step of `cargo xtask test`: returns the number of faults.
pub(crate) fn short() -> Result<u32> {
    let options = Options { kills: 2, database: Database::Both, seed: 1, only: None };
    Ok(u32::try_from(measure(&options)?.len()).unwrap_or(u32::MAX))
}

/// What was done, how often, and what came of it; faults that are not possible here are left out.
type Figures = Vec<(&'static str, u32, Outcome)>;

fn measure(options: &Options) -> Result<Figures> {
    shell::cargo(&["build", "--package", "parlour", "--package", "parlour-checker"]).run()?;
    let mut figures: Figures = Vec::new();
    println!(
        "{:34} {:>5} {:>9} {:>8} {:>9} {:>10} {:>7}",
        "fault", "times", "acked", "resumes", "pause", "violations", "time"
    );
    for Fault { name, run } in chosen(options) {
        let begun = Instant::now();
        let mut job = Job { times: times(options, name), dice: Dice::new(options.seed) };
        let outcome = run(&mut job)?;
        let seconds = begun.elapsed().as_secs_f64();
        if let Some(reason) = outcome.skipped {
            println!("{name:34} skipped: {reason}");
            continue;
        }
        let (times, Outcome { acked, resumes, pause_ms, violations, .. }) = (job.times, &outcome);
        println!(
            "{name:34} {times:>5} {acked:>9} {resumes:>8} {pause_ms:>6} ms {violations:>10} {seconds:>5.0} s"
        );
        outcome.first.iter().for_each(|violation| println!("    {violation}"));
        figures.push((name, times, outcome));
    }
    match figures.iter().map(|(_, _, outcome)| outcome.violations).sum() {
        0_u64 => Ok(figures),
        broken => bail!("{broken} violations"),
    }
}

fn chosen(options: &Options) -> Vec<Fault> {
    let (embedded, remote) = (embedded::FAULTS.iter(), remote::FAULTS.iter());
    let all: Vec<&Fault> = match options.database {
        Database::Sqlite => embedded.collect(),
        Database::Postgres => remote.collect(),
        Database::Both => embedded.chain(remote).collect(),
    };
    let is_wanted = |fault: &&Fault| options.only.as_ref().is_none_or(|only| fault.name.contains(&**only));
    all.into_iter().filter(is_wanted).copied().collect()
}

/// Faults that take long, because a database recovers or a disk is copied, happen less often.
fn times(options: &Options, name: &str) -> u32 {
    match name.contains("kill -9 of the server") {
        true => options.kills,
        false => (options.kills * 2 / 5).max(2).min(options.kills),
    }
}
