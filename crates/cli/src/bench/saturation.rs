//! How much a server delivers in time: the rate is raised until it does not hold.

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use super::bare::Way;
use super::charts;
use super::progress::Progress;
use super::report::{Chart, Figures, Line, Report};
use super::scene::{Layout, Measurement, Scene, Span};
use super::search::{Tried, highest};
use super::target::TargetArgs;

/// Share of its core from which on the generator may be what limits the rate.
const BUSY: f64 = 0.9;

/// How much load.
#[derive(Debug, Clone, Args)]
pub(super) struct SaturationArgs {
    #[command(flatten)]
    layout: Layout,
    /// Deliveries per second to begin with
    #[arg(long, default_value_t = 50_000.0)]
    start: f64,
    /// Longest p99 of a rate that holds, in milliseconds
    #[arg(long, default_value_t = 50.0)]
    p99_ms: f64,
    /// How near the highest rate is found, as a share of it
    #[arg(long, default_value_t = 0.05)]
    precision: f64,
    /// Seconds of each rate
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Seconds of each rate before it is measured
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// Searches for server and baseline, alternating
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    #[command(flatten)]
    target: TargetArgs,
}

/// What one rate gave.
#[derive(Debug, Clone, Copy)]
struct Outcome {
    p99_ms: f64,
    holds: bool,
    generator: f64,
    frame_bytes: usize,
}

/// Who delivers.
#[derive(Debug, Clone, Copy)]
enum Side {
    Server,
    /// The program that does nothing but send, with frames of so many bytes.
    Bare(usize),
}

/// What one search found.
struct Found {
    /// Deliveries per second.
    rate: f64,
    generator: f64,
    frame_bytes: usize,
    /// Offered deliveries per second and their p99, rising.
    curve: Line,
}

pub(super) fn run(args: &SaturationArgs) -> anyhow::Result<Report> {
    args.target.prepare()?;
    let mut figures = Figures::default();
    let mut search = Search { args, progress: Progress::new(), faults: Vec::new(), last: None };
    let mut report = Report::default();
    for round in 1..=args.rounds {
        let name = format!("round {round} of {}", args.rounds);
        let server = search.find(Side::Server, &format!("{name}: server"))?;
        figures.add("server", "deliveries/s", server.rate);
        let half = search.attempt(Side::Server, server.rate / 2.0)?;
        figures.add("server, p99 at half of that", "ms", half.p99_ms);
        figures.add("generator at the highest rate", "% busy", server.generator * 100.0);
        let mut lines = vec![server.curve];
        let last = search.last.take();
        if args.target.is_own() {
            let bare = search.find(Side::Bare(server.frame_bytes), &format!("{name}: bare program"))?;
            figures.add("bare program, one send per frame", "deliveries/s", bare.rate);
            figures.add("server / bare program", "", server.rate / bare.rate);
            lines.push(bare.curve);
        }
        let title = "p99 by rate, last round (cut at three times the limit)";
        report.charts = vec![Chart::new(title, ["deliveries/s", "ms"], lines)];
        report.charts.extend(last.map(|last| charts::latencies(&[("server at half", last)])));
        report.title = title_of(args, server.frame_bytes);
        if server.generator > BUSY && report.notes.is_empty() {
            let note = "the generator was nearly as busy as it can be: the server may be able to do more";
            report.notes.push(note.to_owned());
        }
    }
    report.sections.push(figures.section(&format!("highest rate with p99 <= {} ms", args.p99_ms)));
    report.faults = search.faults;
    Ok(report)
}

struct Search<'a> {
    args: &'a SaturationArgs,
    progress: Progress,
    faults: Vec<String>,
    /// The last measurement of a server.
    last: Option<Measurement>,
}

impl Search<'_> {
    fn find(&mut self, side: Side, stage: &str) -> anyhow::Result<Found> {
        let SaturationArgs { start, precision, p99_ms, .. } = *self.args;
        let attempt = |rate| {
            self.progress.stage(format!("{stage}, {rate:.0} deliveries/s"));
            let outcome = self.attempt(side, rate)?;
            // Another program that wanted the core for a moment is not what is measured.
            if outcome.holds { Ok(outcome) } else { self.attempt(side, rate) }
        };
        let mut all = highest(start, precision, attempt, |outcome: &Outcome| outcome.holds)?;
        let held = all.iter().filter(|tried| tried.outcome.holds);
        let best = held.max_by(|one, other| one.rate.total_cmp(&other.rate));
        let Tried { rate, outcome } = *best.context("no rate holds")?;
        all.sort_by(|one, other| one.rate.total_cmp(&other.rate));
        let points = all.iter().map(|tried| (tried.rate, tried.outcome.p99_ms.min(p99_ms * 3.0))).collect();
        let name = if matches!(side, Side::Server) { "server" } else { "bare program" };
        let curve = Line { name: name.to_owned(), points };
        Ok(Found { rate, generator: outcome.generator, frame_bytes: outcome.frame_bytes, curve })
    }

    /// Loads a new server, or bare program, with so many deliveries per second.
    ///
    /// What is lost, doubled or disordered without a word is a fault at any rate; to be cut off, or
    /// told that something is left out, only means that the rate does not hold.
    fn attempt(&mut self, side: Side, rate: f64) -> anyhow::Result<Outcome> {
        let layout = &self.args.layout;
        let target = matches!(side, Side::Server).then(|| self.args.target.open()).transpose()?;
        let mut scene = match (&target, side) {
            (_, Side::Bare(bytes)) => Scene::open_bare(layout, bytes, Way::Send, &mut self.progress)?,
            (Some(target), Side::Server) => Scene::open(target, layout, &mut self.progress)?,
            (None, Side::Server) => anyhow::bail!("no server"),
        };
        let span = Span {
            warm_up: Duration::from_secs_f64(self.args.warm_up),
            measured: Duration::from_secs_f64(self.args.seconds),
            drain: Duration::from_secs(1),
        };
        let measurement = scene.measure(rate / layout.members as f64, span, &mut self.progress)?;
        let tally = &scene.engine.tally;
        self.faults.extend(tally.faults.lines());
        let p99_ms = if measurement.is_complete { measurement.latency_ms(0.99) } else { f64::INFINITY };
        let is_whole = tally.closed.is_empty() && tally.left_out + tally.refused == 0;
        let outcome = Outcome {
            p99_ms,
            holds: is_whole && p99_ms <= self.args.p99_ms,
            generator: measurement.generator,
            frame_bytes: measurement.frame_bytes,
        };
        self.last = Some(measurement);
        Ok(outcome)
    }
}

fn title_of(args: &SaturationArgs, frame_bytes: usize) -> String {
    let Layout { rooms, members, dialect, .. } = args.layout;
    format!(
        "saturation: {rooms} rooms, {members} members each, {dialect:?}, frames of {frame_bytes} bytes, {} s \
         at each rate",
        args.seconds
    )
}
