//! Clients that never read, among others: whether the others notice (R19), and what becomes of the
//! memory that waits for them.

use std::time::{Duration, Instant};

use clap::Args;

use super::charts;
use super::crowd::open_everybody;
use super::engine::wire::Dialect;
use super::process::mib;
use super::progress::Progress;
use super::report::{Figures, Report};
use super::scene::{Layout, Measurement, Scene, Span};
use super::target::{Target, TargetArgs};

/// How much load.
#[derive(Debug, Clone, Args)]
pub(super) struct SlowArgs {
    /// Members who read
    #[arg(long, default_value_t = 500)]
    readers: usize,
    /// Members who never read
    #[arg(long, default_value_t = 10)]
    stuck: usize,
    /// Messages per second
    #[arg(long, default_value_t = 50.0)]
    rate: f64,
    /// Bytes of text in a message
    #[arg(long, default_value_t = 1_024)]
    text_bytes: usize,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    /// Seconds after it in which memory may come back
    #[arg(long, default_value_t = 30.0)]
    recovery: f64,
    /// Measurements without and with those who never read, alternating
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    #[command(flatten)]
    target: TargetArgs,
}

/// What one measurement gave.
struct Outcome {
    measurement: Measurement,
    faults: Vec<String>,
    /// Of the server in the end, in bytes.
    memory: Option<u64>,
    evicted: Option<f64>,
}

pub(super) fn run(args: &SlowArgs) -> anyhow::Result<Report> {
    args.target.prepare()?;
    let mut progress = Progress::new();
    let (mut figures, mut report) = (Figures::default(), Report::default());
    for round in 1..=args.rounds {
        progress.stage(format!("round {round} of {}: without never-readers", args.rounds));
        let alone = measure(args, 0, None, &mut progress)?;
        progress.stage(format!("round {round} of {}: with them", args.rounds));
        let beside = measure(args, args.stuck, alone.memory, &mut progress)?;
        let p99_ms = [&alone, &beside].map(|outcome| outcome.measurement.latency_ms(0.99));
        figures.add("delivery p99 without never-readers", "ms", p99_ms[0]);
        figures.add("delivery p99 beside them", "ms", p99_ms[1]);
        figures.add("beside / without", "", p99_ms[1] / p99_ms[0]);
        let peak = beside.measurement.memory.iter().map(|(_, mib)| *mib).max_by(f64::total_cmp);
        figures.add_if("memory after the same without them", "MiB", alone.memory.map(mib));
        figures.add_if("memory beside them at its peak", "MiB", peak);
        figures.add_if("memory when they were cut off", "MiB", beside.memory.map(mib));
        figures.add_if("never-readers that were cut off", "", beside.evicted);
        report.faults.extend(alone.faults.into_iter().chain(beside.faults));
        let last = [("without", alone.measurement), ("beside", beside.measurement)];
        report.charts = vec![charts::latencies(&last), charts::p99(&last), charts::memory(&last)];
    }
    let SlowArgs { readers, stuck, rate, text_bytes, seconds, .. } = args;
    report.title = format!(
        "never-readers: {stuck} beside {readers} readers, {rate} messages/s of {text_bytes} bytes, {seconds} s each"
    );
    report.sections.push(figures.section("never-readers"));
    Ok(report)
}

/// Loads a server, and waits afterwards until its memory is what it would be without the stuck ones.
fn measure(
    args: &SlowArgs,
    stuck: usize,
    without: Option<u64>,
    progress: &mut Progress,
) -> anyhow::Result<Outcome> {
    let target = args.target.open()?;
    let layout =
        Layout { rooms: 1, members: args.readers, text_bytes: args.text_bytes, dialect: Dialect::Json };
    let mut scene = Scene::open(&target, &layout, progress)?;
    let name = target.room(0);
    let dials = (0..stuck).map(|number| target.dial(layout.dialect, args.readers + number, 0, &name));
    let deaf = open_everybody(&mut scene.engine, dials, progress)?;
    deaf.iter().try_for_each(|id| scene.engine.stop_reading(*id))?;
    let span = Span {
        warm_up: Duration::ZERO,
        measured: Duration::from_secs_f64(args.seconds),
        drain: Duration::from_secs(10),
    };
    let measurement = scene.measure(args.rate, span, progress)?;
    let faults = scene.faults(measurement.is_complete);
    let memory = recover(args, &target, &mut scene, without, progress)?;
    let evicted = target.metrics()?.map(|metrics| metrics.get("parlour_evicted_slow_total")).transpose()?;
    Ok(Outcome { measurement, faults, memory, evicted })
}

/// Waits until the memory has come back, or not in time; returns what it is then.
fn recover(
    args: &SlowArgs,
    target: &Target,
    scene: &mut Scene,
    wanted: Option<u64>,
    progress: &mut Progress,
) -> anyhow::Result<Option<u64>> {
    let end = Instant::now() + Duration::from_secs_f64(args.recovery);
    loop {
        let memory = target.memory();
        let is_back = memory.zip(wanted).is_none_or(|(memory, wanted)| memory <= wanted);
        if is_back || Instant::now() >= end {
            return Ok(memory);
        }
        scene.engine.turn(Duration::from_millis(100))?;
        progress.show(|| "waiting for the memory to come back".to_owned());
    }
}
