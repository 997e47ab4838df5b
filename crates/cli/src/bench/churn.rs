//! People who come and go, while others talk: whether memory stays where it is, and whether the
//! server counts everybody who left.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use clap::Args;

use super::crowd::open_everybody;
use super::engine::Engine;
use super::engine::connection::Id;
use super::engine::room::Room;
use super::engine::wire::Dialect;
use super::pace::Pace;
use super::process::mib;
use super::progress::Progress;
use super::regression::slope;
use super::report::{Chart, Figures, Line, Report};
use super::scene::{publish_due, turn_until};
use super::target::{Target, TargetArgs};

/// Gauges that are what they were when everybody has left.
const GAUGES: [&str; 5] =
    ["parlour_connections", "parlour_rooms", "parlour_members", "parlour_outbox_bytes", "parlour_inbox"];
/// Longest wait for those gauges: rooms stay for a grace of 10 s.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between a last word and the end of the connection.
const FAREWELL_US: u64 = 200_000;
/// A close frame with code 1000, masked with zeros.
const CLOSE: [u8; 8] = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8];

/// How much load.
#[derive(Debug, Clone, Args)]
pub(super) struct ChurnArgs {
    /// Connections per second
    #[arg(long, default_value_t = 100.0)]
    connects: f64,
    /// Seconds that each stays
    #[arg(long, default_value_t = 10.0)]
    stay: f64,
    /// Rooms, each with one member who stays and publishes
    #[arg(long, default_value_t = 50)]
    rooms: usize,
    /// Messages per second in each room
    #[arg(long, default_value_t = 1.0)]
    rate: f64,
    /// Seconds in all
    #[arg(long, default_value_t = 300.0)]
    seconds: f64,
    /// Seconds of them before memory counts
    #[arg(long, default_value_t = 60.0)]
    warm_up: f64,
    /// How commands and events are spelled
    #[arg(long, value_enum, default_value_t = Dialect::Json)]
    dialect: Dialect,
    #[command(flatten)]
    target: TargetArgs,
}

pub(super) fn run(args: &ChurnArgs) -> anyhow::Result<Report> {
    args.target.prepare()?;
    let mut progress = Progress::new();
    progress.stage("churn");
    let target = args.target.open()?;
    let before = gauges(&target)?;
    let mut churn = Churn::open(args, &target, &mut progress)?;
    let seen = churn.run(&mut progress)?;
    let (mut figures, mut report) = (Figures::default(), Report::default());
    churn.close_all();
    let after = settle(&mut churn.engine, &target, &before, &mut progress)?;
    for ((name, before), (_, after)) in before.iter().zip(&after) {
        figures.add(name, "after, less before", after - before);
        if after > before {
            report.faults.push(format!("{name} was {before} and is {after} when everybody has left"));
        }
    }
    let gauges = figures.section("gauges of the server");
    let tally = &churn.engine.tally;
    report.faults.extend(tally.faults.lines());
    // The answer to a close frame is no fault.
    let closed = tally.closed.iter().filter(|(reason, _)| *reason != "closed with 1000");
    report.faults.extend(closed.map(|(reason, times)| format!("{times} x connection ended: {reason}")));
    let mut figures = Figures::default();
    figures.add("connections that came", "", churn.came as f64);
    figures.add("deliveries", "", tally.groups[0].len() as f64);
    figures.add("delivery p50", "ms", tally.groups[0].quantile_ms(0.5));
    figures.add("delivery p99", "ms", tally.groups[0].quantile_ms(0.99));
    let counted: Vec<_> = seen.memory.iter().copied().filter(|(at_s, _)| *at_s >= args.warm_up).collect();
    figures.add_if("memory at the end of the warm-up", "MiB", counted.first().map(|(_, mib)| *mib));
    figures.add_if("memory at the end", "MiB", counted.last().map(|(_, mib)| *mib));
    figures.add_if(
        "growth after the warm-up (regression)",
        "MiB/h",
        slope(&counted).map(|slope| slope * 3_600.0),
    );
    report.sections = vec![figures.section("churn"), gauges];
    let line = |name: &str, points| vec![Line { name: name.to_owned(), points }];
    report.charts = vec![
        Chart::new("memory of the server", ["seconds", "MiB"], line("memory", seen.memory)),
        Chart::new("connections", ["seconds", "in a room"], line("connections", seen.live)),
    ];
    report.title = format!(
        "churn: {} connects/s that stay {} s, {} rooms with {} messages/s each, {:?}, {} s",
        args.connects, args.stay, args.rooms, args.rate, args.dialect, args.seconds
    );
    Ok(report)
}

/// What was seen each second.
#[derive(Debug, Default)]
struct Seen {
    /// MiB.
    memory: Vec<(f64, f64)>,
    live: Vec<(f64, f64)>,
}

/// Those who come and go.
#[derive(Debug)]
struct Churn<'a> {
    args: &'a ChurnArgs,
    target: &'a Target,
    engine: Engine,
    names: Vec<String>,
    came: u64,
    /// Who is there, and when each leaves, in microseconds.
    guests: VecDeque<(u64, u64, Id)>,
    /// Who has said farewell, and when each is gone.
    leaving: VecDeque<(u64, Id)>,
    speakers: Vec<Id>,
}

impl<'a> Churn<'a> {
    /// Connects the members who stay.
    fn open(args: &'a ChurnArgs, target: &'a Target, progress: &mut Progress) -> anyhow::Result<Self> {
        let names: Vec<_> = (0..args.rooms).map(|room| target.room(room)).collect();
        let rooms = names.iter().map(|name| Room::new(args.dialect, name, 0, 128));
        let mut engine = Engine::new(args.dialect, rooms.collect::<anyhow::Result<_>>()?)?;
        let dials = names.iter().enumerate().map(|(room, name)| target.dial(args.dialect, room, room, name));
        let speakers = open_everybody(&mut engine, dials, progress)?;
        for (room, id) in engine.rooms.iter_mut().zip(&speakers) {
            room.speaker = Some(*id);
        }
        engine.expect_all();
        let (guests, leaving) = (VecDeque::new(), VecDeque::new());
        Ok(Self { args, target, engine, names, came: 0, guests, leaving, speakers })
    }

    fn run(&mut self, progress: &mut Progress) -> anyhow::Result<Seen> {
        let (began, span) = (Instant::now(), Duration::from_secs_f64(self.args.seconds));
        let now_us = self.engine.now_us();
        let mut messages = Pace::new(now_us, self.args.rate * self.args.rooms as f64, self.args.rooms, span);
        let mut connects = Pace::new(now_us, self.args.connects, self.args.rooms, span);
        let (mut seen, mut next_s) = (Seen::default(), 0.0);
        self.engine.measure();
        while began.elapsed() < span {
            let passed_s = began.elapsed().as_secs_f64();
            if passed_s >= next_s {
                next_s = passed_s.floor() + 1.0;
                let memory = self.target.memory().map(mib);
                seen.memory.extend(memory.map(|mib| (passed_s, mib)));
                seen.live.push((passed_s, self.engine.live() as f64));
            }
            let message_us = publish_due(&mut self.engine, &mut messages)?;
            let guest_us = self.come_and_go(&mut connects)?;
            let next_us = message_us.into_iter().chain(guest_us).min();
            turn_until(&mut self.engine, next_us, span.saturating_sub(began.elapsed()))?;
            progress
                .show(|| format!("{} came, {} are there, {passed_s:.0} s", self.came, self.engine.live()));
        }
        self.engine.end_measure()?;
        Ok(seen)
    }

    /// Lets those come and go who are due; returns when the next one comes.
    fn come_and_go(&mut self, connects: &mut Pace) -> anyhow::Result<Option<u64>> {
        let now_us = self.engine.now_us();
        while connects.due_us().is_some_and(|due_us| due_us <= now_us) {
            let room = connects.take();
            let user = self.args.rooms + usize::try_from(self.came)?;
            let dial = self.target.dial(self.args.dialect, user, room, &self.names[room])?;
            let id = self.engine.open(dial)?;
            let leaves_us = now_us + (self.args.stay * 1e6) as u64;
            self.guests.push_back((leaves_us, self.came, id));
            self.came += 1;
        }
        while let Some((_, number, id)) = self.guests.pop_front_if(|(due_us, _, _)| *due_us <= now_us) {
            self.leave(number, id, now_us);
        }
        while let Some((_, id)) = self.leaving.pop_front_if(|(due_us, _)| *due_us <= now_us) {
            self.engine.close(id);
        }
        Ok(connects.due_us())
    }

    /// People leave in three ways: the room first, with a close frame, or without a word.
    fn leave(&mut self, number: u64, id: Id, now_us: u64) {
        let room =
            self.engine.rooms[usize::try_from(number).unwrap_or_default() % self.args.rooms].name.clone();
        match number % 3 {
            0 if self.engine.is_live(id) => self.engine.say(id, &self.args.dialect.leave(&room)),
            1 if self.engine.is_live(id) => self.engine.say(id, &CLOSE),
            _ => {}
        }
        self.leaving.push_back((now_us + FAREWELL_US, id));
    }

    fn close_all(&mut self) {
        let leaving = self.leaving.drain(..).map(|(_, id)| id);
        let everybody =
            leaving.chain(self.guests.drain(..).map(|(_, _, id)| id)).chain(self.speakers.drain(..));
        everybody.for_each(|id| self.engine.close(id));
    }
}

fn gauges(target: &Target) -> anyhow::Result<Vec<(&'static str, f64)>> {
    let Some(metrics) = target.metrics()? else {
        return Ok(Vec::new());
    };
    GAUGES.iter().map(|name| Ok((*name, metrics.get(name)?))).collect()
}

/// Waits until the gauges are what they were, or not in time.
fn settle(
    engine: &mut Engine,
    target: &Target,
    before: &[(&'static str, f64)],
    progress: &mut Progress,
) -> anyhow::Result<Vec<(&'static str, f64)>> {
    let end = Instant::now() + PATIENCE;
    loop {
        let after = gauges(target)?;
        let is_back = after.iter().zip(before).all(|((_, after), (_, before))| after <= before);
        if is_back || Instant::now() >= end {
            return Ok(after);
        }
        engine.turn(Duration::from_millis(200))?;
        progress.show(|| "everybody has left: waiting for the gauges".to_owned());
    }
}
