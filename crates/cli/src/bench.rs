//! `parlour bench`: load against a server of its own, beside a baseline in the same run.
//!
//! Server and generator are pinned to different cores. CPU time is read from the kernel's scheduler
//! statistics, so what other programs do on the machine matters little; every figure is the median
//! of several rounds and comes with its spread.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};

mod bare;
mod clients;
mod fanout;
mod idle;
mod limit;
mod load;
mod process;
mod publish;
mod raw;
mod slow;
mod storm;

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// CPU per delivery at a fixed rate, beside a bare program that only writes to sockets.
    Fanout(fanout::FanoutArgs),
    /// Memory per idle connection.
    Idle(idle::IdleArgs),
    /// Acknowledged durable messages per second, beside what the database could do alone.
    Publish(publish::PublishArgs),
    /// Everybody comes back at once: exactness, cost, and what others notice.
    Storm(storm::StormArgs),
    /// How much never-readers change the delivery to others.
    Slow(slow::SlowArgs),
    /// The baseline of `fanout`: writes one frame to every connected socket at a fixed rate.
    #[command(hide = true)]
    Bare(bare::BareArgs),
    /// The baseline of `publish`: the same transactions without a server.
    #[command(hide = true)]
    Limit(limit::LimitArgs),
}

/// Runs a benchmark and prints its report.
///
/// # Errors
/// What kept the measurement from being made.
pub(crate) fn run(args: BenchArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Before the generator is pinned to one of the cores.
    let machine = machine();
    let report = match args.scenario {
        Scenario::Fanout(args) => runtime.block_on(fanout::run(args))?,
        Scenario::Idle(args) => runtime.block_on(idle::run(args))?,
        Scenario::Publish(args) => runtime.block_on(publish::run(args))?,
        Scenario::Storm(args) => runtime.block_on(storm::run(args))?,
        Scenario::Slow(args) => runtime.block_on(slow::run(args))?,
        Scenario::Bare(args) => return bare::run(&args),
        Scenario::Limit(args) => return runtime.block_on(limit::run(args)),
    };
    println!("{machine}\n{report}");
    Ok(())
}

/// Describes the machine and the command, as every report must.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = writeln!(
        text,
        "machine: {} ({cores} cores), Linux {}",
        model.trim_start_matches([' ', '\t', ':']),
        kernel.trim()
    );
    let _ = write!(text, "command: parlour {}", std::env::args().skip(1).collect::<Vec<_>>().join(" "));
    text
}

/// Several measurements of one thing.
#[derive(Debug)]
struct Rounds(Vec<f64>);

impl Rounds {
    fn new(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    fn median(&self) -> f64 {
        self.0[self.0.len() / 2]
    }
}

impl std::fmt::Display for Rounds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (first, last) = (self.0[0], self.0[self.0.len() - 1]);
        write!(f, "{:.2} (from {first:.2} to {last:.2}, {} rounds)", self.median(), self.0.len())
    }
}

/// Returns the program to measure: this one, unless told otherwise.
fn program(given: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    given.map_or_else(|| std::env::current_exe().context("the path of this program is not known"), Ok)
}
