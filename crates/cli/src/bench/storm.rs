//! Everybody comes back at about the same time, each having missed the same part of one busy room:
//! whether all of them get all of it, what that costs, and whether others notice.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use hdrhistogram::Histogram;
use parlour_protocol::RoomName;
use serde::Deserialize;
use tokio::task::LocalSet;
use tokio::time::{Instant, timeout};

use super::engine::wire::{Dialect, Heard};
use super::limit::Place;
use super::load::refuse_error;
use super::process::Usage;
use super::progress::Progress;
use super::raw::{self, Listener, Talker};
use super::report::{Figures, Report};
use super::target::{Counts, Target, TargetArgs};
use speaker::Speaker;

mod returning;
mod speaker;

/// Messages that the room has beside those that are missed.
const EARLIER: u64 = 1_000;
/// Longest wait for those who come back, and for the server.
const PATIENCE: Duration = Duration::from_secs(120);

/// How much.
#[derive(Debug, Clone, Args)]
pub(super) struct StormArgs {
    /// Clients that come back
    #[arg(long, default_value_t = 5_000)]
    clients: usize,
    /// Messages that each has missed, beside those that are said during the storm
    #[arg(long, default_value_t = 200)]
    missed: u64,
    /// Seconds within which all come back
    #[arg(long, default_value_t = 10.0)]
    window: f64,
    /// Messages per second in the room, before and during the storm
    #[arg(long, default_value_t = 10)]
    rate: u32,
    /// Members who were never away, and whose deliveries are timed
    #[arg(long, default_value_t = 20)]
    witnesses: usize,
    /// Seconds of quiet traffic before the storm
    #[arg(long, default_value_t = 10.0)]
    before: f64,
    /// Measurements, each with a room of its own and, unless there is a URL, a server of its own
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Where the databases lie
    #[arg(long, default_value = "target/bench-data")]
    data_dir: PathBuf,
    #[command(flatten)]
    target: TargetArgs,
}

/// What one storm gave.
struct Storm {
    /// Clients whose stream had no hole and no double, to the last message.
    exact: usize,
    /// Reads of the store, where they can be asked for.
    reads_before: Option<f64>,
    reads_during: Option<f64>,
    /// CPU time of the server, if that can be seen.
    cpu_s: Option<f64>,
    p99_before_ms: f64,
    p99_during_ms: f64,
    /// From coming back to having everything, the slowest.
    slowest_s: f64,
    /// From the beginning of the storm until the last one had everything.
    all_s: f64,
}

pub(super) async fn run(args: StormArgs) -> anyhow::Result<Report> {
    args.target.prepare()?;
    let mut progress = Progress::new();
    let (mut figures, mut report) = (Figures::default(), Report::default());
    for round in 0..args.rounds {
        progress.stage(format!("round {} of {}", round + 1, args.rounds));
        let directory = args.data_dir.join(format!("{}-{round}", std::process::id()));
        let target = args.target.open_durable(Place::Directory(&directory))?;
        let room = RoomName::parse(&target.room(0))?;
        let measured = measure(Rc::new(Scene::new(target, room)?), &args, &mut progress);
        let storm = LocalSet::new().run_until(measured).await?;
        if args.target.is_own() {
            std::fs::remove_dir_all(&directory)?;
        }
        add(&mut figures, &storm);
        let inexact = args.clients - storm.exact;
        if inexact > 0 {
            report.faults.push(format!("{inexact} of {} did not get every message once", args.clients));
        }
    }
    let StormArgs { clients, missed, window, rate, witnesses, before, .. } = args;
    report.title = format!(
        "storm: {clients} clients that each missed {missed} messages of one room with {rate} messages/s come \
         back within {window} s; {witnesses} others, {before} s of quiet before"
    );
    report.sections.push(figures.section("storm"));
    Ok(report)
}

fn add(figures: &mut Figures, storm: &Storm) {
    figures.add("clients with every message once", "", storm.exact as f64);
    figures.add_if("reads of the store, quiet", "", storm.reads_before);
    figures.add_if("reads of the store, storm", "", storm.reads_during);
    figures.add_if("CPU of the server, storm", "s", storm.cpu_s);
    figures.add("delivery p99 to others, quiet", "ms", storm.p99_before_ms);
    figures.add("delivery p99 to others, storm", "ms", storm.p99_during_ms);
    figures.add("from coming back to the last message missed, the slowest", "s", storm.slowest_s);
    figures.add("from the first to the last one that had everything", "s", storm.all_s);
}

/// What the tasks of one storm share.
struct Scene {
    target: Target,
    room: RoomName,
    begin: Instant,
    /// Of deliveries to the witnesses, in microseconds.
    latencies: RefCell<Histogram<u64>>,
    /// The number of the last message of all, once it is known.
    last: Cell<Option<u64>>,
    acked: Cell<u64>,
    returned: Cell<usize>,
    slowest: Cell<Duration>,
    /// What must not happen.
    problem: RefCell<Option<anyhow::Error>>,
}

async fn measure(scene: Rc<Scene>, args: &StormArgs, progress: &mut Progress) -> anyhow::Result<Storm> {
    let mut speaker = Speaker::enter(&scene).await?;
    speaker.say_at_once(EARLIER).await?;
    let since = speaker.position();
    speaker.say_at_once(args.missed).await?;
    for number in 0..args.witnesses {
        let (mut listener, _, _) = enter(&scene, 1 + number).await?;
        let scene = Rc::clone(&scene);
        tokio::task::spawn_local(
            async move { while listener.listen(|frame| scene.time(frame)).await.is_ok() {} },
        );
    }
    let start = Counts::of(&scene.target)?;
    let before = Instant::now() + Duration::from_secs_f64(args.before);
    speaker
        .say_until(before, args.rate, || false, || progress.show(|| "before the storm".to_owned()))
        .await?;
    let (quiet, p99_before_ms) = (Counts::of(&scene.target)?, scene.p99_ms());

    let cpu_ns = || scene.target.usage.map(Usage::cpu_ns).transpose();
    let (storm, cpu) = (Instant::now(), cpu_ns()?);
    let window = Duration::from_secs_f64(args.window);
    let clients = (0..args.clients).map(|number| {
        let due = storm + window.mul_f64(number as f64 / args.clients as f64);
        let user = 1 + args.witnesses + number;
        let returning = returning::come_back(Rc::clone(&scene), user, since.clone(), due);
        tokio::task::spawn_local(timeout(PATIENCE, returning))
    });
    let clients: Vec<_> = clients.collect();
    let are_back = || scene.returned.get() == args.clients;
    let show = || progress.show(|| format!("{} of {} are back", scene.returned.get(), args.clients));
    speaker.say_until(storm + PATIENCE, args.rate, are_back, show).await?;
    let all_s = storm.elapsed().as_secs_f64();
    let p99_during_ms = scene.p99_ms();
    let cpu_s = cpu_ns()?.zip(cpu).map(|(after, before)| (after - before) as f64 / 1e9);
    let after = Counts::of(&scene.target)?;
    speaker.say_last().await?;
    let mut exact = 0;
    for client in clients {
        match client.await? {
            Ok(Ok(())) => exact += 1,
            Ok(Err(error)) => eprintln!("a client: {error:#}"),
            Err(_) => eprintln!("a client did not get everything in time"),
        }
    }
    let reads =
        |after: Option<Counts>, before| after.zip(before).map(|(after, before)| (after - before).reads);
    Ok(Storm {
        exact,
        reads_before: reads(quiet, start),
        reads_during: reads(after, quiet),
        cpu_s,
        p99_before_ms,
        p99_during_ms,
        slowest_s: scene.slowest.get().as_secs_f64(),
        all_s,
    })
}

impl Scene {
    fn new(target: Target, room: RoomName) -> anyhow::Result<Self> {
        Ok(Self {
            target,
            room,
            begin: Instant::now(),
            latencies: RefCell::new(Histogram::new(3)?),
            last: Cell::new(None),
            acked: Cell::new(0),
            returned: Cell::new(0),
            slowest: Cell::new(Duration::ZERO),
            problem: RefCell::new(None),
        })
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Compares the time in a message with the time of its arrival.
    fn time(&self, frame: &[u8]) -> anyhow::Result<()> {
        match hear(frame) {
            Heard::Said { stamp, .. } => {
                self.latencies.borrow_mut().record(self.now_us().saturating_sub(stamp.due_us))?;
                Ok(())
            }
            _ => refuse_error(frame),
        }
    }

    /// Returns the p99 since the last time.
    fn p99_ms(&self) -> f64 {
        let mut latencies = self.latencies.borrow_mut();
        let p99 = latencies.value_at_quantile(0.99) as f64 / 1_000.0;
        latencies.reset();
        p99
    }
}

/// Tells what a frame is. In JSON it holds one message.
fn hear(frame: &[u8]) -> Heard {
    let mut heard = Heard::Other;
    Dialect::Json.hear(frame, &mut |one| heard = one);
    heard
}

/// What `joined` and `page` say of the room.
#[derive(Debug, Deserialize)]
struct Answer {
    payload: State,
}

#[derive(Debug, Deserialize)]
struct State {
    #[serde(default)]
    epoch: String,
    #[serde(default)]
    recovered: Option<bool>,
    #[serde(default)]
    head: Option<u64>,
    behind: u64,
}

/// Enters the room as it is now.
async fn enter(scene: &Scene, user: usize) -> anyhow::Result<(Listener, Talker, State)> {
    let (mut listener, talker) = raw::connect(&scene.target, user).await?;
    let room = &scene.room;
    talker.say(&format!(r#"{{"type":"join","id":"in","payload":{{"room":"{room}","history":0}}}}"#)).await?;
    let mut state = None;
    loop {
        let heard = listener.listen(|frame| {
            if hear(frame) == Heard::Entered {
                state = Some(serde_json::from_slice::<Answer>(frame)?.payload);
            }
            refuse_error(frame)
        });
        timeout(PATIENCE, heard).await.context("the room does not answer")??;
        if let Some(state) = state.take() {
            return Ok((listener, talker, state));
        }
    }
}
