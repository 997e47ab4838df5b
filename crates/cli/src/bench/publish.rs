//! Durable messages: how many are acknowledged per second, how long that takes, and what the
//! database could do without a server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use hdrhistogram::Histogram;

use super::limit::{self, Place};
use super::load::{Load, Pace};
use super::process::Usage;
use super::progress::Progress;
use super::report::{Figures, Report};
use super::target::{Counts, TargetArgs};

/// How much load.
#[derive(Debug, Args)]
pub(super) struct PublishArgs {
    /// Rooms that the messages are spread over
    #[arg(long, value_delimiter = ',', default_value = "1,20,1000")]
    rooms: Vec<usize>,
    /// Connections that publish
    #[arg(long, value_delimiter = ',', default_value = "1,64")]
    publishers: Vec<usize>,
    /// Messages of each that wait for their acknowledgement at the same time
    #[arg(long, default_value_t = 1)]
    in_flight: usize,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Measurements of everything
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Where SQLite databases lie; the disk is part of the measurement
    #[arg(long, default_value = "target/bench-data")]
    data_dir: PathBuf,
    /// A PostgreSQL database to measure instead of SQLite; what it holds is kept, and grows
    #[arg(long, value_name = "URL", conflicts_with = "url")]
    database: Option<String>,
    #[command(flatten)]
    target: TargetArgs,
}

pub(super) async fn run(args: PublishArgs) -> anyhow::Result<Report> {
    args.target.prepare()?;
    let database = match &args.database {
        _ if !args.target.is_own() => "a deployment",
        None => "SQLite with synchronous=FULL",
        Some(_) => "PostgreSQL",
    };
    let mut progress = Progress::new();
    let mut report = Report {
        title: format!("durable publish: {database}, {} s each", args.seconds),
        ..Report::default()
    };
    for rooms in &args.rooms {
        for publishers in &args.publishers {
            let title = format!("{rooms} rooms, {publishers} publishers, {} in flight each", args.in_flight);
            let mut figures = Figures::default();
            for round in 1..=args.rounds {
                progress.stage(format!("{title}, round {round} of {}", args.rounds));
                let load = Load { rooms: *rooms, publishers: *publishers };
                measure(&args, load, &mut figures, &mut progress).await?;
            }
            report.sections.push(figures.section(&title));
        }
    }
    Ok(report)
}

/// Measures the most, then the database alone with transactions of the same size, then latency at
/// half of the most.
async fn measure(
    args: &PublishArgs,
    load: Load,
    figures: &mut Figures,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let directory = args.data_dir.join(std::process::id().to_string());
    let [most_directory, half_directory, limit_directory] =
        ["most", "half", "limit"].map(|name| directory.join(name));
    if args.target.is_own() {
        std::fs::create_dir_all(&directory)?;
    }
    let span = Duration::from_secs(args.seconds);
    let target = args.target.open_durable(place(args, &most_directory))?;
    let (before, cpu) = (Counts::of(&target)?, target.usage.map(Usage::cpu_ns).transpose()?);
    let most = load.run(&target, Pace::InFlight(args.in_flight), span, progress).await?;
    let (after, cpu_after) = (Counts::of(&target)?, target.usage.map(Usage::cpu_ns).transpose()?);
    drop(target);
    let rate = most.len() as f64 / span.as_secs_f64();
    figures.add("acknowledged", "messages/s", rate);
    figures.add("acknowledgement p50", "ms", quantile_ms(&most, 0.5));
    figures.add("acknowledgement p99", "ms", quantile_ms(&most, 0.99));
    let cpu_ns = cpu_after.zip(cpu).map(|(after, before)| after - before);
    figures.add_if("CPU per message", "us", cpu_ns.map(|ns| ns as f64 / 1e3 / most.len().max(1) as f64));
    let counts = after.zip(before).map(|(after, before)| after - before);
    figures.add_if("commits", "1/s", counts.map(|counts| counts.commits / span.as_secs_f64()));
    // Joins and documents are not among the messages.
    let batch = counts.map(|counts| counts.messages / counts.commits.max(1.0));
    figures.add_if("messages per commit", "", batch);
    if let Some(batch) = batch.filter(|_| args.target.is_own()) {
        progress.show(|| "the database alone".to_owned());
        let program = args.target.program()?;
        let limit = limit::measure(&program, place(args, &limit_directory), load.rooms, batch, span)?;
        figures.add("the same transactions without a server", "messages/s", limit);
        figures.add("share of that", "%", rate / limit * 100.0);
    }
    let target = args.target.open_durable(place(args, &half_directory))?;
    let half = load.run(&target, Pace::PerSecond(rate / 2.0), span, progress).await?;
    drop(target);
    figures.add("acknowledgement p99 at half of the rate", "ms", quantile_ms(&half, 0.99));
    if args.target.is_own() {
        std::fs::remove_dir_all(&directory)?;
    }
    Ok(())
}

fn place<'a>(args: &'a PublishArgs, directory: &'a Path) -> Place<'a> {
    args.database.as_deref().map_or(Place::Directory(directory), Place::Url)
}

fn quantile_ms(latencies: &Histogram<u64>, quantile: f64) -> f64 {
    latencies.value_at_quantile(quantile) as f64 / 1_000.0
}
