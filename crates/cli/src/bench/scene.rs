//! Rooms with members, one of whom publishes: set up, loaded, and looked at.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;

use super::bare::{LEAST_BYTES, Way};
use super::crowd::open_everybody;
use super::engine::Engine;
use super::engine::connection::{Dial, Greeting, Id, Tuning};
use super::engine::room::Room;
use super::engine::tally::{Second, Tally};
use super::engine::wire::Dialect;
use super::pace::Pace;
use super::process::{Measured, Usage, mib};
use super::progress::Progress;
use super::target::Target;

/// Messages that are published before the sockets are read again.
const PUBLISHED_AT_ONCE: usize = 256;
/// Seconds between two looks at the memory of the server.
const SAMPLE_S: f64 = 0.5;
/// Longest sleep, so that progress is seen and time-outs are noticed.
const NAP: Duration = Duration::from_millis(100);

/// How many, and what they say.
#[derive(Debug, Clone, Args)]
pub(crate) struct Layout {
    /// Rooms
    #[arg(long, default_value_t = 1)]
    pub(crate) rooms: usize,
    /// Members of each room; one of them publishes
    #[arg(long, default_value_t = 1_000)]
    pub(crate) members: usize,
    /// Bytes of text in a message, at least 32
    #[arg(long, default_value_t = 128)]
    pub(crate) text_bytes: usize,
    /// How commands and events are spelled
    #[arg(long, value_enum, default_value_t = Dialect::Json)]
    pub(crate) dialect: Dialect,
}

/// Who publishes.
#[derive(Debug)]
enum Voice {
    /// One member of each room.
    Members,
    /// The bare program, asked on this connection.
    Bare(Id),
}

/// A load that is ready to begin.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) engine: Engine,
    voice: Voice,
    /// Rooms with a publisher; the engine may have others.
    rooms: usize,
    /// Who pays, if that can be seen.
    usage: Option<Usage>,
    /// Seconds since the measurement began, and MiB of the server.
    memory: Vec<(f64, f64)>,
    /// The bare program, which ends with the scene.
    _bare: Option<Measured>,
}

/// What a load gave.
#[derive(Debug, Clone)]
pub(crate) struct Measurement {
    pub(crate) delivered: u64,
    /// Whether everything came that was due.
    pub(crate) is_complete: bool,
    /// CPU time of the server.
    pub(crate) cpu_ns: Option<u64>,
    /// Share of a core that the generator needed, from 0 to 1.
    pub(crate) generator: f64,
    pub(crate) frame_bytes: usize,
    /// Everything that came over the network, heartbeats and notices too.
    pub(crate) wire_bytes: u64,
    /// Frames that came compressed.
    pub(crate) compressed: u64,
    /// Pairs of a quantile and the latency there, in milliseconds.
    pub(crate) latencies: Vec<(f64, f64)>,
    pub(crate) seconds: Vec<Second>,
    /// Pairs of seconds and MiB of the server.
    pub(crate) memory: Vec<(f64, f64)>,
}

/// Something that goes on beside a load: see [`Scene::measure_beside`].
type Beside<'a> = dyn FnMut(&mut Engine) -> anyhow::Result<Option<u64>> + 'a;

/// Quantiles that are kept of a measurement.
pub(crate) const QUANTILES: [f64; 9] = [0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 0.9999, 1.0];

/// How long a load lasts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    /// Without being measured.
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
    /// After the last message was due, for what is still on its way.
    pub(crate) drain: Duration,
}

impl Scene {
    /// Connects everybody to a server.
    ///
    /// # Errors
    /// A connection that does not come into its room.
    pub(crate) fn open(target: &Target, layout: &Layout, progress: &mut Progress) -> anyhow::Result<Self> {
        let rooms = rooms(layout, layout.dialect, |number| target.room(number))?;
        let mut engine = Engine::new(layout.dialect, rooms)?;
        let names: Vec<_> = (0..layout.rooms).map(|number| target.room(number)).collect();
        let dials = (0..layout.rooms * layout.members).map(|user| {
            let room = user / layout.members;
            target.dial(layout.dialect, user, room, &names[room])
        });
        let ids = open_everybody(&mut engine, dials, progress)?;
        for (room, id) in ids.iter().step_by(layout.members).enumerate() {
            engine.rooms[room].speaker = Some(*id);
        }
        Ok(Self {
            engine,
            voice: Voice::Members,
            rooms: layout.rooms,
            usage: target.usage,
            memory: Vec::new(),
            _bare: None,
        })
    }

    /// Starts the bare program for the same load, with frames of the same size.
    ///
    /// # Errors
    /// A program that does not start.
    pub(crate) fn open_bare(
        layout: &Layout,
        frame_bytes: usize,
        way: Way,
        progress: &mut Progress,
    ) -> anyhow::Result<Self> {
        let numbers = [layout.rooms, layout.members, frame_bytes.max(LEAST_BYTES)].map(|one| one.to_string());
        let [rooms_word, members, bytes] = &numbers;
        let words = ["bench", "bare", "--way", way.word(), "--rooms", rooms_word, "--members", members];
        let mut bare =
            Measured::start(&super::program(None)?, &[&words[..], &["--frame-bytes", bytes]].concat())?;
        let address = bare.line_with("listening on ")?.parse()?;
        let rooms = rooms(layout, Dialect::Text, |number| format!("bare-{number}"))?;
        let mut engine = Engine::new(Dialect::Text, rooms)?;
        let dials = (0..layout.rooms * layout.members).map(|member| {
            let room = member / layout.members;
            let greeting = Greeting::Room(u32::try_from(room)?.to_be_bytes().to_vec());
            Ok(Dial { address, source: None, room, trust: None, greeting, tuning: Tuning::default() })
        });
        let ids = open_everybody(&mut engine, dials, progress)?;
        let first = *ids.first().context("at least one member")?;
        let usage = Some(bare.usage());
        Ok(Self {
            engine,
            voice: Voice::Bare(first),
            rooms: layout.rooms,
            usage,
            memory: Vec::new(),
            _bare: Some(bare),
        })
    }

    /// Loads the rooms with so many messages per second, in all of them together.
    ///
    /// # Errors
    /// Of the operating system. Whatever the server does wrong is in the tally.
    pub(crate) fn measure(
        &mut self,
        per_second: f64,
        span: Span,
        progress: &mut Progress,
    ) -> anyhow::Result<Measurement> {
        self.measure_beside(per_second, span, progress, &mut |_| Ok(None))
    }

    /// The same, while something else goes on. `beside` does what is due and returns when it wants to
    /// be asked again, in microseconds of the engine's clock.
    ///
    /// # Errors
    /// Also those of `beside`.
    pub(crate) fn measure_beside(
        &mut self,
        per_second: f64,
        span: Span,
        progress: &mut Progress,
        beside: &mut Beside<'_>,
    ) -> anyhow::Result<Measurement> {
        self.engine.expect_all();
        if !span.warm_up.is_zero() {
            self.play(per_second, span.warm_up, progress, beside)?;
            self.drain(span.drain)?;
        }
        let Tally { delivered, bytes, compressed, .. } = self.engine.tally;
        let cpu = self.usage.map(Usage::cpu_ns).transpose()?;
        let (own, began) = (Usage::own().cpu_ns()?, Instant::now());
        self.engine.measure();
        self.memory.clear();
        self.play(per_second, span.measured, progress, beside)?;
        let generator = (Usage::own().cpu_ns()? - own) as f64 / began.elapsed().as_nanos() as f64;
        let is_complete = self.drain(span.drain)?;
        self.engine.end_measure()?;
        let cpu_ns =
            self.usage.map(Usage::cpu_ns).transpose()?.zip(cpu).map(|(after, before)| after - before);
        let tally = &self.engine.tally;
        Ok(Measurement {
            delivered: tally.delivered - delivered,
            is_complete,
            cpu_ns,
            generator,
            frame_bytes: tally.frame_bytes,
            wire_bytes: tally.bytes - bytes,
            compressed: tally.compressed - compressed,
            latencies: QUANTILES.map(|quantile| (quantile, tally.groups[0].quantile_ms(quantile))).to_vec(),
            seconds: tally.groups[0].seconds.clone(),
            memory: std::mem::take(&mut self.memory),
        })
    }

    fn play(
        &mut self,
        per_second: f64,
        span: Duration,
        progress: &mut Progress,
        beside: &mut Beside<'_>,
    ) -> anyhow::Result<()> {
        let now_us = self.engine.now_us();
        let mut pace = Pace::new(now_us, per_second, self.rooms, span);
        if let Voice::Bare(asked) = self.voice {
            let line = format!("{per_second} {} {now_us}\n", span.as_secs_f64());
            self.engine.say(asked, line.as_bytes());
            while pace.due_us().is_some() {
                let room = pace.take();
                self.engine.rooms[room].said += 1;
            }
        }
        let began = Instant::now();
        // What was due is published, even if it is late.
        while began.elapsed() < span || pace.due_us().is_some() {
            self.sample(began.elapsed().as_secs_f64());
            let next_us = publish_due(&mut self.engine, &mut pace)?;
            let other_us = beside(&mut self.engine)?;
            let next_us = next_us.into_iter().chain(other_us).min();
            turn_until(&mut self.engine, next_us, span.saturating_sub(began.elapsed()))?;
            let tally = &self.engine.tally;
            progress.show(|| format!("{} delivered", tally.delivered));
        }
        Ok(())
    }

    /// Notes the memory of the server, now and then.
    fn sample(&mut self, now_s: f64) {
        if self.memory.last().is_none_or(|(last_s, _)| now_s - last_s >= SAMPLE_S) {
            let bytes = self.usage.and_then(|usage| usage.anonymous_bytes().ok());
            self.memory.extend(bytes.map(|bytes| (now_s, mib(bytes))));
        }
    }

    /// Waits for what is on its way. Tells whether everything came.
    fn drain(&mut self, patience: Duration) -> anyhow::Result<bool> {
        let end = Instant::now() + patience;
        while self.engine.tally.delivered < self.engine.wanted() {
            if Instant::now() >= end {
                return Ok(false);
            }
            self.engine.turn(NAP)?;
        }
        Ok(true)
    }

    /// Returns what is wrong: with the messages, and with members that did not get all of them.
    pub(crate) fn faults(&mut self, is_complete: bool) -> Vec<String> {
        if !is_complete {
            self.engine.note_losses();
        }
        let tally = &self.engine.tally;
        let mut faults = tally.faults.lines();
        let closed = tally.closed.iter();
        faults.extend(closed.map(|(reason, times)| format!("{times} x connection ended: {reason}")));
        let told = [("left out by the server", tally.left_out), ("refused by the server", tally.refused)];
        let told = told.into_iter().filter(|(_, times)| *times > 0);
        faults.extend(told.map(|(what, times)| format!("{times} x {what}")));
        faults
    }
}

impl Measurement {
    /// Returns the latency at one of [`QUANTILES`], in milliseconds.
    pub(crate) fn latency_ms(&self, quantile: f64) -> f64 {
        let found = self.latencies.iter().find(|(known, _)| *known == quantile);
        found.map_or(f64::NAN, |(_, latency)| *latency)
    }

    /// Returns how many bytes came over the network for each delivery.
    pub(crate) fn wire_bytes_per_delivery(&self) -> f64 {
        self.wire_bytes as f64 / self.delivered.max(1) as f64
    }

    /// Returns the CPU time of the server for each delivery, in microseconds.
    pub(crate) fn cpu_us_per_delivery(&self) -> Option<f64> {
        self.cpu_ns.map(|cpu_ns| cpu_ns as f64 / 1e3 / self.delivered.max(1) as f64)
    }
}

fn rooms(layout: &Layout, dialect: Dialect, name: impl Fn(usize) -> String) -> anyhow::Result<Vec<Room>> {
    (0..layout.rooms).map(|number| Room::new(dialect, &name(number), 0, layout.text_bytes)).collect()
}

/// Publishes what is due, or a part of it; returns when the next message is due.
///
/// # Errors
/// A room with too many messages.
pub(crate) fn publish_due(engine: &mut Engine, pace: &mut Pace) -> anyhow::Result<Option<u64>> {
    let now_us = engine.now_us();
    for _ in 0..PUBLISHED_AT_ONCE {
        let Some(due_us) = pace.due_us().filter(|due_us| *due_us <= now_us) else {
            break;
        };
        let room = pace.take();
        engine.publish(room, due_us)?;
    }
    Ok(pace.due_us())
}

/// Looks after the sockets until a moment, but not for longer than told.
///
/// # Errors
/// Of the operating system.
pub(crate) fn turn_until(engine: &mut Engine, next_us: Option<u64>, most: Duration) -> anyhow::Result<()> {
    let wait = next_us.map_or(NAP, |due_us| Duration::from_micros(due_us.saturating_sub(engine.now_us())));
    engine.turn(wait.min(most).min(NAP))
}
