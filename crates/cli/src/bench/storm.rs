//! Everybody comes back at about the same time, each having missed the same part of one busy room:
//! whether all of them get all of it, what that costs the database, and whether others notice.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use hdrhistogram::Histogram;
use parlour_server::config;
use serde::Deserialize;
use tokio::task::LocalSet;
use tokio::time::{Instant, interval, sleep, sleep_until, timeout};

use super::load::{Served, TEXT_BYTES, refuse_error};
use super::process::pin_generator;
use super::program;
use super::raw::{self, Listener, Talker};
use super::report::{Figures, Report};

/// A message of the room, up to its number.
const MESSAGE: &[u8] = br#"{"type":"message","payload":{"room":"storm","seq":"#;
/// What stands between the number of a message and the time in its text.
const SAID: &[u8] = br#","sender":"speaker","text":""#;
const JOINED: &[u8] = br#"{"type":"joined""#;
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
    #[arg(long, default_value_t = 10)]
    window: u64,
    /// Messages per second in the room, before and during the storm
    #[arg(long, default_value_t = 10)]
    rate: u32,
    /// Members who were never away, and whose deliveries are timed
    #[arg(long, default_value_t = 20)]
    witnesses: usize,
    /// Seconds of quiet traffic before the storm
    #[arg(long, default_value_t = 10)]
    before: u64,
    /// Measurements, each with a new server and database
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Where the databases lie
    #[arg(long, default_value = "target/bench-data")]
    data_dir: PathBuf,
    /// The program to measure instead of this one
    #[arg(long)]
    program: Option<PathBuf>,
}

/// What one storm gave.
struct Storm {
    /// Clients whose stream had no hole and no double, to the last message.
    exact: usize,
    reads_before: f64,
    reads_during: f64,
    p99_before_ms: f64,
    p99_during_ms: f64,
    /// From coming back to having everything, the slowest.
    slowest_s: f64,
    /// From the beginning of the storm until the last one had everything.
    all_s: f64,
}

pub(super) async fn run(args: StormArgs) -> anyhow::Result<Report> {
    let program = program(args.program.clone())?;
    config::raise_open_files();
    pin_generator()?;
    let (mut figures, mut report) = (Figures::default(), Report::default());
    for round in 0..args.rounds {
        let directory = args.data_dir.join(format!("{}-{round}", std::process::id()));
        std::fs::create_dir_all(&directory)?;
        let storm = LocalSet::new().run_until(measure(&program, &directory, &args)).await?;
        std::fs::remove_dir_all(&directory)?;
        add(&mut figures, &storm);
        let inexact = args.clients - storm.exact;
        if inexact > 0 {
            report
                .faults
                .push(format!("room storm: {inexact} of {} did not get every message once", args.clients));
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
    figures.add("reads of the store, quiet", "", storm.reads_before);
    figures.add("reads of the store, storm", "", storm.reads_during);
    figures.add("delivery p99 to others, quiet", "ms", storm.p99_before_ms);
    figures.add("delivery p99 to others, storm", "ms", storm.p99_during_ms);
    figures.add("from coming back to the last message missed, the slowest", "s", storm.slowest_s);
    figures.add("from the first to the last one that had everything", "s", storm.all_s);
}

/// What the tasks of one storm share.
#[derive(Debug)]
struct Scene {
    address: String,
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

async fn measure(program: &Path, directory: &Path, args: &StormArgs) -> anyhow::Result<Storm> {
    let served = Served::start(program, directory, None)?;
    let scene = Rc::new(Scene::new(served.address.clone())?);
    let mut speaker = Speaker::enter(&scene).await?;
    speaker.say_at_once(EARLIER).await?;
    let since = format!(r#"{{"epoch":"{}","seq":{EARLIER}}}"#, speaker.epoch);
    speaker.say_at_once(args.missed).await?;
    for number in 0..args.witnesses {
        let (mut listener, _, _) = enter(&scene, &format!("witness-{number}")).await?;
        let scene = Rc::clone(&scene);
        tokio::task::spawn_local(
            async move { while listener.listen(|frame| scene.time(frame)).await.is_ok() {} },
        );
    }
    let start = served.counts()?.reads;
    speaker.say_for(Duration::from_secs(args.before), args.rate, || false).await?;
    let (quiet, p99_before_ms) = (served.counts()?.reads, scene.p99_ms());

    let storm = Instant::now();
    let window = Duration::from_secs(args.window);
    let clients = (0..args.clients).map(|number| {
        let due = storm + window.mul_f64(number as f64 / args.clients as f64);
        let returning = come_back(Rc::clone(&scene), number, since.clone(), due);
        tokio::task::spawn_local(timeout(PATIENCE, returning))
    });
    let clients: Vec<_> = clients.collect();
    speaker.say_for(PATIENCE, args.rate, || scene.returned.get() == args.clients).await?;
    let all_s = storm.elapsed().as_secs_f64();
    let p99_during_ms = scene.p99_ms();
    let reads_during = served.counts()?.reads - quiet;
    speaker.say_last().await?;
    let mut exact = 0;
    for client in clients {
        match client.await? {
            Ok(Ok(())) => exact += 1,
            Ok(Err(error)) => eprintln!("a client: {error:#}"),
            Err(_) => eprintln!("a client did not get everything in time"),
        }
    }
    let slowest_s = scene.slowest.get().as_secs_f64();
    Ok(Storm {
        exact,
        reads_before: quiet - start,
        reads_during,
        p99_before_ms,
        p99_during_ms,
        slowest_s,
        all_s,
    })
}

impl Scene {
    fn new(address: String) -> anyhow::Result<Self> {
        Ok(Self {
            address,
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
        let Some(rest) = frame.strip_prefix(MESSAGE) else {
            return refuse_error(frame);
        };
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let said =
            rest[digits..].strip_prefix(SAID).and_then(raw::number).context("a message of somebody else")?;
        self.latencies.borrow_mut().record(self.now_us().saturating_sub(said))?;
        Ok(())
    }

    /// Returns the p99 since the last time.
    fn p99_ms(&self) -> f64 {
        let mut latencies = self.latencies.borrow_mut();
        let p99 = latencies.value_at_quantile(0.99) as f64 / 1_000.0;
        latencies.reset();
        p99
    }
}

/// Enters the room as it is now; returns its epoch too.
async fn enter(scene: &Scene, user: &str) -> anyhow::Result<(Listener, Talker, String)> {
    let (mut listener, mut talker) = raw::connect(&scene.address, &format!("user={user}")).await?;
    talker.say(r#"{"type":"join","id":"in","payload":{"room":"storm","history":0}}"#).await?;
    let mut epoch = None;
    while epoch.is_none() {
        let heard = listener.listen(|frame| {
            if frame.starts_with(JOINED) {
                epoch = Some(serde_json::from_slice::<Answer>(frame)?.payload.epoch);
            }
            refuse_error(frame)
        });
        timeout(PATIENCE, heard).await??;
    }
    Ok((listener, talker, epoch.unwrap_or_default()))
}

/// The only one who says something, so that every number is known before.
struct Speaker {
    scene: Rc<Scene>,
    talker: Talker,
    epoch: String,
    said: u64,
}

impl Speaker {
    async fn enter(scene: &Rc<Scene>) -> anyhow::Result<Self> {
        let (mut listener, talker, epoch) = enter(scene, "speaker").await?;
        let hearing = Rc::clone(scene);
        tokio::task::spawn_local(async move {
            let count = |frame: &[u8]| {
                let is_ack = frame.starts_with(br#"{"type":"ack""#);
                hearing.acked.set(hearing.acked.get() + u64::from(is_ack));
                refuse_error(frame)
            };
            let error = loop {
                if let Err(error) = listener.listen(count).await {
                    break error;
                }
            };
            hearing.problem.replace(Some(error));
        });
        Ok(Self { scene: Rc::clone(scene), talker, epoch, said: 0 })
    }

    async fn say(&mut self) -> anyhow::Result<()> {
        if let Some(problem) = self.scene.problem.take() {
            return Err(problem);
        }
        self.said += 1;
        let (id, text) = (self.said, format!("{:0>TEXT_BYTES$}", self.scene.now_us()));
        let payload = format!(r#"{{"room":"storm","text":"{text}"}}"#);
        self.talker.say(&format!(r#"{{"type":"publish","id":{id},"payload":{payload}}}"#)).await
    }

    /// Says many messages, a hundred at a time.
    async fn say_at_once(&mut self, messages: u64) -> anyhow::Result<()> {
        for number in 1..=messages {
            self.say().await?;
            while number % 100 == 0 && self.scene.acked.get() < self.said {
                sleep(Duration::from_millis(1)).await;
            }
        }
        Ok(())
    }

    async fn say_for(&mut self, span: Duration, rate: u32, is_over: impl Fn() -> bool) -> anyhow::Result<()> {
        let end = Instant::now() + span;
        let mut ticks = interval(Duration::from_secs(1) / rate);
        while !is_over() && Instant::now() < end {
            ticks.tick().await;
            self.say().await?;
        }
        Ok(())
    }

    async fn say_last(&mut self) -> anyhow::Result<()> {
        self.scene.last.set(Some(self.said + 1));
        self.say().await
    }
}

/// The part of `joined` and `page` that counts.
#[derive(Debug, Deserialize)]
struct Answer {
    payload: Progress,
}

#[derive(Debug, Deserialize)]
struct Progress {
    #[serde(default)]
    epoch: String,
    #[serde(default)]
    recovered: Option<bool>,
    #[serde(default)]
    head: Option<u64>,
    behind: u64,
}

/// The stream of one who comes back.
#[derive(Debug)]
struct Stream {
    /// The number that must come next.
    next: u64,
    /// The newest message at the moment of coming back.
    head: u64,
    /// Whether the server holds more of the past.
    wants_more: bool,
    is_live: bool,
}

impl Stream {
    fn hear(&mut self, frame: &[u8]) -> anyhow::Result<()> {
        if let Some(seq) = frame.strip_prefix(MESSAGE).and_then(raw::number) {
            if seq != self.next {
                bail!("message {seq} instead of {}", self.next);
            }
            self.next += 1;
        } else if frame.starts_with(JOINED) || frame.starts_with(br#"{"type":"page""#) {
            let Progress { recovered, head, behind, .. } = serde_json::from_slice::<Answer>(frame)?.payload;
            if recovered == Some(false) {
                bail!("not recovered: {}", String::from_utf8_lossy(&frame[..frame.len().min(300)]));
            }
            self.head = head.unwrap_or(self.head);
            self.is_live = behind == 0;
            self.wants_more = behind > 0;
        }
        refuse_error(frame)
    }

    fn has_everything(&self) -> bool {
        self.is_live && self.next > self.head
    }
}

/// Comes back at a moment, and checks everything up to the last message.
async fn come_back(scene: Rc<Scene>, number: usize, since: String, due: Instant) -> anyhow::Result<()> {
    sleep_until(due).await;
    let (mut listener, mut talker) = raw::connect(&scene.address, &format!("user=c{number}")).await?;
    let join = format!(r#"{{"type":"join","id":"in","payload":{{"room":"storm","since":{since}}}}}"#);
    talker.say(&join).await?;
    let mut stream = Stream { next: EARLIER + 1, head: 0, wants_more: false, is_live: false };
    let mut is_back = false;
    while scene.last.get().is_none_or(|last| stream.next <= last) {
        listener.listen(|frame| stream.hear(frame)).await?;
        if std::mem::take(&mut stream.wants_more) {
            talker.say(r#"{"type":"more","id":"more","payload":{"room":"storm"}}"#).await?;
        }
        if !is_back && stream.has_everything() {
            is_back = true;
            scene.returned.set(scene.returned.get() + 1);
            scene.slowest.set(scene.slowest.get().max(due.elapsed()));
        }
    }
    Ok(())
}
