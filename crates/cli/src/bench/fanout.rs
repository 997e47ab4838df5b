//! Rooms with many members at a fixed rate: what a delivery costs the server.

use std::time::Duration;

use clap::Args;

use super::bare::Way;
use super::charts;
use super::progress::Progress;
use super::report::{Figures, Report};
use super::scene::{Layout, Measurement, Scene, Span};
use super::target::TargetArgs;

/// What is compressed.
const COMPRESSED: &str = "JSON and text of 128 bytes and more are, in rooms whose rule says so";

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
    let mut report = Report::default();
    let variants = args.target.variants();
    let mut figures: Vec<_> = variants.iter().map(|_| Figures::default()).collect();
    for round in 1..=args.rounds {
        let mut last = Vec::new();
        for ((name, target), figures) in variants.iter().zip(&mut figures) {
            progress.stage(format!("round {round} of {}: {name}", args.rounds));
            let target = target.open()?;
            let scene = Scene::open(&target, &args.layout, &mut progress)?;
            let (server, faults) = measure(scene, args, &mut progress)?;
            report.faults.extend(faults.into_iter().map(|fault| format!("{name}: {fault}")));
            add_server(figures, &server);
            if target.is_deflated && server.compressed == 0 && report.notes.is_empty() {
                report.notes.push(format!("{name}: nothing came compressed ({COMPRESSED})"));
            }
            if let Some((_, plain)) = last.first() {
                add_beside(figures, &server, plain);
            }
            last.push((*name, server));
        }
        let (server, figures) = (last[0].1.clone(), &mut figures[0]);
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
    let sections = variants.iter().zip(figures);
    report.sections =
        sections.map(|((name, _), figures)| figures.section(&format!("each delivery: {name}"))).collect();
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
    figures.add("on the wire", "bytes per delivery", server.wire_bytes_per_delivery());
    figures.add("core of the generator", "% busy", server.generator * 100.0);
}

/// Adds what TLS or compression costs, and saves.
fn add_beside(figures: &mut Figures, server: &Measurement, plain: &Measurement) {
    let cpu = server.cpu_us_per_delivery().zip(plain.cpu_us_per_delivery());
    figures.add_if("CPU / that without", "", cpu.map(|(with, without)| with / without));
    let [with, without] = [server, plain].map(Measurement::wire_bytes_per_delivery);
    figures.add("bytes / those without", "", with / without);
}

fn title(args: &FanoutArgs, frame_bytes: usize) -> String {
    let Layout { rooms, members, dialect, .. } = args.layout;
    format!(
        "fan-out: {rooms} rooms, {members} members each, {} messages/s in each, {dialect:?}, frames of \
         {frame_bytes} bytes, {} s each",
        args.rate, args.seconds
    )
}
