//! `parlour bench`: load against a server of its own, beside a baseline in the same run, or against
//! any deployment.
//!
//! A server of its own and the generator are pinned to different cores. CPU time is read from the
//! kernel's scheduler statistics, so what other programs do on the machine matters little; every
//! figure is the median of several rounds and comes with its spread.
//!
//! Where to read next: `scene` (rooms with members under load), `engine` (the sockets), `report`
//! (what comes out); the other modules are the scenarios.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};

mod attack;
mod bare;
mod charts;
mod churn;
mod crowd;
mod engine;
mod fanout;
mod flood;
mod idle;
mod limit;
mod load;
mod machine;
mod pace;
mod process;
mod progress;
mod publish;
mod raw;
mod receive;
mod regression;
mod report;
mod saturation;
mod scene;
mod search;
mod slow;
mod storm;
mod target;

use machine::Machine;
use report::OutputArgs;

/// What to measure.
///
/// Latencies count from the moment when a message was due until it was read. Both moments are told
/// by the clock of this process, which publishes and receives; that is why the load cannot be split
/// over several processes.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    scenario: Box<Scenario>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// CPU per delivery at a fixed rate, beside a bare program that only writes to sockets.
    Fanout(fanout::FanoutArgs),
    /// The highest rate that is delivered in time, beside that of the bare program.
    Saturation(saturation::SaturationArgs),
    /// Memory and CPU of idle connections.
    Idle(idle::IdleArgs),
    /// How much never-readers change the delivery to others.
    Slow(slow::SlowArgs),
    /// People who come and go: memory over time, and whether everybody who left is forgotten.
    Churn(churn::ChurnArgs),
    /// Attacks of eight kinds, beside people who just talk.
    Attack(attack::AttackArgs),
    /// Small frames in great numbers, beside a quiet room.
    Flood(flood::FloodArgs),
    /// Acknowledged durable messages per second, beside what the database could do alone.
    Publish(publish::PublishArgs),
    /// Everybody comes back at once: exactness, cost, and what others notice.
    Storm(storm::StormArgs),
    /// The baseline of `fanout` and `saturation`: writes frames to sockets at a fixed rate.
    #[command(hide = true)]
    Bare(bare::BareArgs),
    /// What the load generator itself can receive on one thread.
    #[command(hide = true)]
    Receive(receive::ReceiveArgs),
    /// The other side of `receive`.
    #[command(hide = true)]
    Feed(receive::ReceiveArgs),
    /// The baseline of `publish`: the same transactions without a server.
    #[command(hide = true)]
    Limit(limit::LimitArgs),
}

/// Runs a benchmark and prints its report.
///
/// # Errors
/// What kept the measurement from being made, and what the server did wrong.
pub(crate) fn run(args: BenchArgs) -> anyhow::Result<()> {
    // Before the generator is pinned to one of the cores.
    let machine = Machine::here();
    // For the scenarios whose clients are tasks. One thread: it is pinned beside the server.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = match *args.scenario {
        Scenario::Fanout(args) => fanout::run(&args)?,
        Scenario::Saturation(args) => saturation::run(&args)?,
        Scenario::Idle(args) => idle::run(&args)?,
        Scenario::Slow(args) => slow::run(&args)?,
        Scenario::Churn(args) => churn::run(&args)?,
        Scenario::Attack(args) => attack::run(&args)?,
        Scenario::Flood(args) => flood::run(&args)?,
        Scenario::Receive(args) => receive::run(&args)?,
        Scenario::Feed(args) => return receive::feed(&args),
        Scenario::Publish(args) => runtime.block_on(publish::run(args))?,
        Scenario::Storm(args) => runtime.block_on(storm::run(args))?,
        Scenario::Bare(args) => return bare::run(&args),
        Scenario::Limit(args) => return runtime.block_on(limit::run(args)),
    };
    report::finish(&report, &machine, &args.output)
}

/// Returns the program to measure: this one, unless told otherwise.
fn program(given: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    given.map_or_else(|| std::env::current_exe().context("the path of this program is not known"), Ok)
}
