//! Many connections that do nothing: what each costs in user space, and what its heartbeats cost.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;

use super::crowd::{open_all, wait_for_quiet};
use super::engine::Engine;
use super::engine::room::Room;
use super::engine::wire::Dialect;
use super::process::{Usage, mib};
use super::progress::Progress;
use super::report::{Chart, Figures, Line, Report};
use super::target::{Target, TargetArgs};

/// Connections that pay for what all share, and do not count.
const FIRST: usize = 100;
/// What CPU is told for.
const MANY: f64 = 100_000.0;

/// How many.
#[derive(Debug, Args)]
pub(super) struct IdleArgs {
    /// Connections; fewer if a limit is met
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// Rooms that they are spread over
    #[arg(long, default_value_t = 100)]
    rooms: usize,
    /// Seconds of idling with heartbeats, which are 25 s apart unless configured
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
    /// How commands and events are spelled
    #[arg(long, value_enum, default_value_t = Dialect::Json)]
    dialect: Dialect,
    /// Measurements, each with a new server
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    #[command(flatten)]
    target: TargetArgs,
}

pub(super) fn run(args: &IdleArgs) -> anyhow::Result<Report> {
    args.target.prepare()?;
    let mut progress = Progress::new();
    let mut report = Report::default();
    let variants = args.target.variants();
    let mut figures: Vec<_> = variants.iter().map(|_| Figures::default()).collect();
    for round in 1..=args.rounds {
        let mut memory = Vec::new();
        for ((name, target), figures) in variants.iter().zip(&mut figures) {
            progress.stage(format!("round {round} of {}: {name}", args.rounds));
            let points = measure(args, &target.open()?, &mut progress, figures, &mut report)?;
            memory.push(Line { name: (*name).to_owned(), points });
        }
        report.charts = vec![Chart::new("memory while idling, last round", ["seconds", "MiB"], memory)];
    }
    report.title = format!(
        "idle: up to {} connections, each with its own user, in {} rooms, {:?}, {} s",
        args.connections, args.rooms, args.dialect, args.seconds
    );
    let sections = variants.iter().zip(figures);
    report.sections =
        sections.map(|((name, _), figures)| figures.section(&format!("idle connections: {name}"))).collect();
    report.notes.sort();
    report.notes.dedup();
    Ok(report)
}

/// Returns the memory while idling.
fn measure(
    args: &IdleArgs,
    target: &Target,
    progress: &mut Progress,
    figures: &mut Figures,
    report: &mut Report,
) -> anyhow::Result<Vec<(f64, f64)>> {
    let names: Vec<_> = (0..args.rooms).map(|room| target.room(room)).collect();
    let rooms =
        names.iter().map(|name| Room::new(args.dialect, name, 0, 0)).collect::<anyhow::Result<_>>()?;
    let mut engine = Engine::new(args.dialect, rooms)?;
    let dial = |user: usize| target.dial(args.dialect, user, user % args.rooms, &names[user % args.rooms]);
    let mut limit = open_all(&mut engine, (0..FIRST.min(args.connections)).map(dial), progress)?.limit;
    wait_for_quiet(&mut engine)?;
    let before = target.memory();
    if limit.is_none() {
        limit = open_all(&mut engine, (FIRST..args.connections).map(dial), progress)?.limit;
    }
    wait_for_quiet(&mut engine)?;
    let live = engine.live();
    ensure!(live > 0, "nobody came in: {}", limit.unwrap_or_default());
    report.notes.extend(limit.map(|limit| format!("the limit was met at {live} connections: {limit}")));
    engine.tally.closed.clear();
    figures.add("connections", "", live as f64);
    let counted = live.saturating_sub(FIRST).max(1) as f64;
    let each =
        before.zip(target.memory()).map(|(before, after)| after.saturating_sub(before) as f64 / counted);
    figures.add_if("user-space memory per connection", "bytes", each);
    let points = watch(args, target, &mut engine, progress)?;
    if let (Some((first_s, first_ns)), Some((last_s, last_ns))) = (points.cpu.first(), points.cpu.last()) {
        let share = (last_ns - first_ns) / 1e9 / (last_s - first_s).max(1e-9) * 100.0;
        figures.add("CPU", "% of a core", share);
        figures.add("CPU of 100,000 of them, extrapolated", "% of a core", share / live as f64 * MANY);
    }
    report.faults.extend(engine.tally.closed.iter().map(|(reason, times)| format!("{times} x {reason}")));
    Ok(points.memory)
}

/// What was seen each second.
#[derive(Debug, Default)]
struct Points {
    /// Nanoseconds.
    cpu: Vec<(f64, f64)>,
    /// MiB.
    memory: Vec<(f64, f64)>,
}

/// Answers heartbeats for a while.
fn watch(
    args: &IdleArgs,
    target: &Target,
    engine: &mut Engine,
    progress: &mut Progress,
) -> anyhow::Result<Points> {
    let (began, span) = (Instant::now(), Duration::from_secs_f64(args.seconds));
    let (mut points, mut next) = (Points::default(), Duration::ZERO);
    loop {
        let passed = began.elapsed();
        if passed >= next || passed >= span {
            next = passed + Duration::from_secs(1);
            let cpu = target.usage.map(Usage::cpu_ns).transpose().context("the server has ended")?;
            points.cpu.extend(cpu.map(|cpu| (passed.as_secs_f64(), cpu as f64)));
            let memory = target.memory().map(mib);
            points.memory.extend(memory.map(|mib| (passed.as_secs_f64(), mib)));
            progress.show(|| format!("{} connections, {:.0} s", engine.live(), passed.as_secs_f64()));
        }
        if passed >= span {
            return Ok(points);
        }
        engine.turn(Duration::from_millis(100).min(span.saturating_sub(passed)))?;
    }
}
