//! Connections that send small frames as fast as told, beside a quiet room: whether its members
//! notice, and whether the memory of the server stays bounded.

use std::time::{Duration, Instant};

use clap::Args;

use super::charts;
use super::crowd::open_everybody;
use super::engine::Engine;
use super::engine::connection::{Dial, Id};
use super::engine::room::Room;
use super::engine::wire::Dialect;
use super::pace::Pace;
use super::process::mib;
use super::progress::Progress;
use super::report::{Figures, Report};
use super::scene::{Layout, Measurement, Scene, Span};
use super::target::{Target, TargetArgs};

/// Frames of one connection that go out in one write, as a client that floods would do it.
const BURST: usize = 10;
/// Bytes that one connection may have unsent; beyond, the server is slower than the flood.
const UNSENT_BYTES: usize = 64 * 1024;
/// What lets many connections of this machine in while messages keep their limits.
const ADMIT_ALL: [&str; 4] =
    ["--set", "limits.connections_per_address=10000000", "--set", "limits.connections_per_user=10000000"];

/// How much load.
#[derive(Debug, Clone, Args)]
pub(super) struct FloodArgs {
    /// Connections that flood
    #[arg(long, default_value_t = 50)]
    connections: usize,
    /// Frames per second of all of them together
    #[arg(long, default_value_t = 100_000.0)]
    frames: f64,
    /// Members of the quiet room
    #[arg(long, default_value_t = 100)]
    members: usize,
    /// Messages per second in the quiet room
    #[arg(long, default_value_t = 5.0)]
    rate: f64,
    /// Keeps the server's limits on speed: it refuses, and cuts off those who go on; they come again
    #[arg(long)]
    limits: bool,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Measurements without and with the flood, alternating
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How commands and events are spelled
    #[arg(long, value_enum, default_value_t = Dialect::Json)]
    dialect: Dialect,
    #[command(flatten)]
    target: TargetArgs,
}

/// Those who flood.
#[derive(Debug)]
struct Flood<'a> {
    target: &'a Target,
    args: &'a FloodArgs,
    /// The room that they are in.
    room: String,
    ids: Vec<Id>,
    pace: Pace,
    frames: Vec<u8>,
    sent: u64,
    /// Frames that the server did not take in time.
    held_back: u64,
}

pub(super) fn run(args: &FloodArgs) -> anyhow::Result<Report> {
    args.target.prepare()?;
    let mut progress = Progress::new();
    let (mut figures, mut report) = (Figures::default(), Report::default());
    for round in 1..=args.rounds {
        progress.stage(format!("round {round} of {}: quiet", args.rounds));
        let quiet = measure(args, false, &mut progress, &mut figures, &mut report.faults)?;
        progress.stage(format!("round {round} of {}: flood", args.rounds));
        let flooded = measure(args, true, &mut progress, &mut figures, &mut report.faults)?;
        let p99_ms = [&quiet, &flooded].map(|measurement| measurement.latency_ms(0.99));
        figures.add("p99 of the quiet room without the flood", "ms", p99_ms[0]);
        figures.add("p99 of the quiet room beside the flood", "ms", p99_ms[1]);
        figures.add("beside / without", "", p99_ms[1] / p99_ms[0]);
        let last = [("quiet", quiet), ("flood", flooded)];
        report.charts = vec![charts::latencies(&last), charts::p99(&last), charts::memory(&last)];
    }
    report.title = format!(
        "flood: {} small frames/s of {} connections, {:?}, beside a room with {} members and {} messages/s, \
         {} s each, speed limits {}",
        args.frames,
        args.connections,
        args.dialect,
        args.members,
        args.rate,
        args.seconds,
        if args.limits { "as configured" } else { "lifted" },
    );
    report.sections.push(figures.section("flood"));
    Ok(report)
}

fn measure(
    args: &FloodArgs,
    is_flooded: bool,
    progress: &mut Progress,
    figures: &mut Figures,
    faults: &mut Vec<String>,
) -> anyhow::Result<Measurement> {
    let options = if args.limits { &ADMIT_ALL[..] } else { &["--no-limits"] };
    let target = args.target.open_with(options)?;
    let layout = Layout { rooms: 1, members: args.members, text_bytes: 128, dialect: args.dialect };
    let mut scene = Scene::open(&target, &layout, progress)?;
    let span = Span {
        warm_up: Duration::ZERO,
        measured: Duration::from_secs_f64(args.seconds),
        drain: Duration::from_secs(10),
    };
    if !is_flooded {
        let measurement = scene.measure(args.rate, span, progress)?;
        faults.extend(scene.faults(measurement.is_complete));
        return Ok(measurement);
    }
    let before = target.memory();
    let mut flood = Flood::open(args, &target, &mut scene, progress)?;
    let began = Instant::now();
    flood.pace =
        Pace::new(scene.engine.now_us(), args.frames / BURST as f64, args.connections, span.measured);
    let measurement = scene.measure_beside(args.rate, span, progress, &mut |engine| flood.go_on(engine))?;
    let seconds = began.elapsed().as_secs_f64();
    let tally = &mut scene.engine.tally;
    figures.add("frames sent", "frames/s", flood.sent as f64 / seconds);
    figures.add("frames that the server did not take in time", "frames/s", flood.held_back as f64 / seconds);
    figures.add("answered", "frames/s", tally.answered as f64 / seconds);
    figures.add("refused", "frames/s", tally.refused as f64 / seconds);
    figures.add("floods that were cut off", "", tally.closed.values().sum::<u64>() as f64);
    let peak = measurement.memory.iter().map(|(_, mib)| *mib).max_by(f64::total_cmp);
    figures.add_if("memory of the server before", "MiB", before.map(mib));
    figures.add_if("memory at its peak", "MiB", peak);
    // To refuse a flood, and to cut it off, is what the limits are for.
    tally.refused = 0;
    tally.closed.clear();
    faults.extend(scene.faults(measurement.is_complete));
    Ok(measurement)
}

impl<'a> Flood<'a> {
    /// Connects those who flood, into a room of their own.
    fn open(
        args: &'a FloodArgs,
        target: &'a Target,
        scene: &mut Scene,
        progress: &mut Progress,
    ) -> anyhow::Result<Self> {
        let room = target.room(1);
        scene.engine.rooms.push(Room::new(args.dialect, &room, 0, 0)?);
        let frames = args.dialect.ping().repeat(BURST);
        let pace = Pace::new(0, 1.0, 1, Duration::ZERO);
        let mut flood = Self { target, args, room, ids: Vec::new(), pace, frames, sent: 0, held_back: 0 };
        let dials = (0..args.connections).map(|number| flood.dial(number));
        flood.ids = open_everybody(&mut scene.engine, dials, progress)?;
        Ok(flood)
    }

    fn dial(&self, number: usize) -> anyhow::Result<Dial> {
        self.target.dial(self.args.dialect, self.args.members + number, 1, &self.room)
    }

    /// Sends what is due. Whoever was cut off comes again.
    fn go_on(&mut self, engine: &mut Engine) -> anyhow::Result<Option<u64>> {
        let now_us = engine.now_us();
        while self.pace.due_us().is_some_and(|due_us| due_us <= now_us) {
            let number = self.pace.take();
            let id = self.ids[number];
            if engine.is_live(id) && engine.unsent(id) < UNSENT_BYTES {
                engine.say(id, &self.frames);
                self.sent += BURST as u64;
                continue;
            }
            self.held_back += BURST as u64;
            if !engine.is_open(id) {
                self.ids[number] = engine.open(self.dial(number)?)?;
            }
        }
        // Every millisecond is often enough, and leaves the core to those who receive.
        Ok(self.pace.due_us().map(|due_us| due_us.max(now_us + 1_000)))
    }
}
