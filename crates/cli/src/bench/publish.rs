//! Durable messages: how many are acknowledged per second, how long that takes, and what the
//! database could do without a server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use hdrhistogram::Histogram;

use super::limit::{self, Place};
use super::load::{Load, Pace, Served};
use super::process::pin_generator;
use super::program;
use super::report::{Figures, Report};

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
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// The program to measure instead of this one
    #[arg(long)]
    program: Option<PathBuf>,
}

pub(super) async fn run(args: PublishArgs) -> anyhow::Result<Report> {
    let program = program(args.program.clone())?;
    pin_generator()?;
    let database = match &args.database {
        None => "SQLite with synchronous=FULL",
        Some(_) => "PostgreSQL",
    };
    let mut report = Report {
        title: format!("durable publish: {database}, {} s each", args.seconds),
        ..Report::default()
    };
    for rooms in &args.rooms {
        for publishers in &args.publishers {
            let mut figures = Figures::default();
            for _ in 0..args.rounds {
                let load = Load { rooms: *rooms, publishers: *publishers };
                measure(&program, &args, load, &mut figures).await?;
            }
            let title = format!("{rooms} rooms, {publishers} publishers, {} in flight each", args.in_flight);
            report.sections.push(figures.section(&title));
        }
    }
    Ok(report)
}

/// Measures the most, then the database alone with transactions of the same size, then latency at
/// half of the most.
async fn measure(
    program: &Path,
    args: &PublishArgs,
    load: Load,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let directory = args.data_dir.join(std::process::id().to_string());
    std::fs::create_dir_all(&directory)?;
    let span = Duration::from_secs(args.seconds);
    let served = Served::start(program, &directory.join("most"), args.database.as_deref())?;
    let before = served.counts()?;
    let most = load.run(&served.address, Pace::InFlight(args.in_flight), span).await?;
    let after = served.counts()?;
    drop(served);
    let rate = most.len() as f64 / span.as_secs_f64();
    let commits = after.commits - before.commits;
    // Joins and documents are not among the messages.
    let batch = (after.messages - before.messages) / commits.max(1.0);

    let limit_directory = directory.join("limit");
    let place = args.database.as_deref().map_or(Place::Directory(&limit_directory), Place::Url);
    let limit = limit::measure(program, place, load.rooms, batch, span)?;

    let served = Served::start(program, &directory.join("half"), args.database.as_deref())?;
    let half = load.run(&served.address, Pace::PerSecond(rate / 2.0), span).await?;
    drop(served);
    std::fs::remove_dir_all(&directory)?;

    figures.add("acknowledged", "messages/s", rate);
    figures.add("acknowledgement p50", "ms", quantile_ms(&most, 0.5));
    figures.add("acknowledgement p99", "ms", quantile_ms(&most, 0.99));
    figures.add("commits", "1/s", commits / span.as_secs_f64());
    figures.add("messages per commit", "", batch);
    figures.add("the same transactions without a server", "messages/s", limit);
    figures.add("share of that", "%", rate / limit * 100.0);
    figures.add("acknowledgement p99 at half of the rate", "ms", quantile_ms(&half, 0.99));
    Ok(())
}

fn quantile_ms(latencies: &Histogram<u64>, quantile: f64) -> f64 {
    latencies.value_at_quantile(quantile) as f64 / 1_000.0
}
