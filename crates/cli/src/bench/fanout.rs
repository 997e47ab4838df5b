//! Rooms with many members at a fixed rate: what a delivery costs the server.

use std::time::Duration;

use clap::Args;

use super::bare::Way;
use super::charts;
use super::progress::Progress;
use super::report::{Figures, Report};
use super::scene::{Layout, Measurement, Scene, Span};
use super::target::TargetArgs;

/// How much load.
#[derive(Debug, Clone, Args)]
pub(super) struct FanoutArgs {
    #[command(flatten)]
    layout: Layout,
    /// Messages per second in each room
    #[arg(long, default_value_t = 20.0)]
    rate: f64,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Seconds of the same load before each measurement
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// Measurements of server and baseline, alternating
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// A second baseline: one system call for many members
    #[arg(long)]
    bare_ring: bool,
    #[command(flatten)]
    target: TargetArgs,
}

pub(super) fn run(args: &FanoutArgs) -> anyhow::Result<Report> {
    args.target.prepare()?;
    let mut progress = Progress::new();
    let (mut figures, mut report) = (Figures::default(), Report::default());
    for round in 1..=args.rounds {
        progress.stage(format!("round {round} of {}: server", args.rounds));
        let target = args.target.open()?;
        let scene = Scene::open(&target, &args.layout, &mut progress)?;
        let (server, faults) = measure(scene, args, &mut progress)?;
        drop(target);
        report.faults.extend(faults);
        add_server(&mut figures, &server);
        let mut last = vec![("server", server.clone())];
        let second = args.bare_ring.then_some(("bare ring", "server / bare ring", Way::Ring));
        let ways = [("bare program", "server / bare program", Way::Send)].into_iter().chain(second);
        for (name, ratio, way) in ways.filter(|_| args.target.is_own()) {
            progress.stage(format!("round {round} of {}: {name}", args.rounds));
            let scene = Scene::open_bare(&args.layout, server.frame_bytes, way, &mut progress)?;
            let (bare, faults) = measure(scene, args, &mut progress)?;
            report.faults.extend(faults.into_iter().map(|fault| format!("{name}: {fault}")));
            let (ours, theirs) = (server.cpu_us_per_delivery(), bare.cpu_us_per_delivery());
            figures.add_if(name, "us CPU per delivery", theirs);
            figures.add_if(ratio, "", ours.zip(theirs).map(|(ours, theirs)| ours / theirs));
            last.push((name, bare));
        }
        report.charts = vec![charts::latencies(&last), charts::throughput(&last), charts::memory(&last)];
        report.title = title(args, server.frame_bytes);
    }
    report.sections.push(figures.section("each delivery"));
    Ok(report)
}

fn measure(
    mut scene: Scene,
    args: &FanoutArgs,
    progress: &mut Progress,
) -> anyhow::Result<(Measurement, Vec<String>)> {
    let span = Span {
        warm_up: Duration::from_secs_f64(args.warm_up),
        measured: Duration::from_secs_f64(args.seconds),
        drain: Duration::from_secs(10),
    };
    let measurement = scene.measure(args.rate * args.layout.rooms as f64, span, progress)?;
    let faults = scene.faults(measurement.is_complete);
    Ok((measurement, faults))
}

fn add_server(figures: &mut Figures, server: &Measurement) {
    figures.add_if("server", "us CPU per delivery", server.cpu_us_per_delivery());
    figures.add("delivery p50", "ms", server.latency_ms(0.5));
    figures.add("delivery p99", "ms", server.latency_ms(0.99));
    figures.add("delivery p99.9", "ms", server.latency_ms(0.999));
    figures.add("deliveries", "", server.delivered as f64);
    figures.add("core of the generator", "% busy", server.generator * 100.0);
}

fn title(args: &FanoutArgs, frame_bytes: usize) -> String {
    let Layout { rooms, members, dialect, .. } = args.layout;
    format!(
        "fan-out: {rooms} rooms, {members} members each, {} messages/s in each, {dialect:?}, frames of \
         {frame_bytes} bytes, {} s each",
        args.rate, args.seconds
    )
}
