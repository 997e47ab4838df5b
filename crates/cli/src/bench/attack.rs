//! Attacks beside people who just talk: whether those notice, what the server needs meanwhile, and
//! what becomes of the attackers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use clap::Args;
use parlour_server::config;

use super::charts;
use super::engine::wire::Dialect;
use super::process::mib;
use super::progress::Progress;
use super::report::{Figure, Figures, Report, Section};
use super::scene::{Layout, Measurement, Scene, Span};
use super::target::{Target, TargetArgs};

mod attackers;
mod kind;
mod weapons;

use attackers::{Attackers, Toll};
use kind::{Chosen, Kind, Strength};
use weapons::Forgery;

/// Descriptors of either process that are not for attackers, beside those of good users.
const SPARE_FILES: u64 = 512;
/// Time between two looks at memory.
const LOOK: Duration = Duration::from_millis(250);

/// How much of what.
#[derive(Debug, Clone, Args)]
pub(super) struct AttackArgs {
    /// slowloris, silent, never-read, drip, ping, bomb, rooms, tokens, or all
    #[arg(long, value_name = "KIND", default_value = "all", value_parser = Kind::chosen)]
    kind: Chosen,
    /// Share of each attack
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Good users, all in one room
    #[arg(long, default_value_t = 500)]
    users: usize,
    /// Messages per second there
    #[arg(long, default_value_t = 20.0)]
    rate: f64,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 30.0)]
    seconds: f64,
    /// Seconds after the attack in which memory may come back
    #[arg(long, default_value_t = 15.0)]
    recovery: f64,
    /// Measurements without and with each attack, alternating
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    #[command(flatten)]
    target: TargetArgs,
}

/// What one attack gave.
struct Outcome {
    measurement: Measurement,
    toll: Toll,
    /// Bytes of the server before and after it.
    memory: [Option<u64>; 2],
    evicted: Option<f64>,
}

/// One kind of attack, in all rounds.
struct Siege<'a> {
    args: &'a AttackArgs,
    kind: Kind,
    strength: Strength,
    /// Of a server of ours.
    options: Vec<String>,
    forgery: Option<Forgery>,
}

pub(super) fn run(args: &AttackArgs) -> anyhow::Result<Report> {
    args.target.prepare()?;
    let mut progress = Progress::new();
    let mut report = Report::default();
    let AttackArgs { users, rate, seconds, .. } = args;
    report.title = format!("attacks beside {users} users and {rate} messages/s, {seconds} s each");
    report.notes = vec![
        "the server has its default limits, but for connections of one address, since everybody comes from \
         this machine, and messages per second, since one of the good users says everything"
            .into(),
    ];
    for kind in &args.kind.0 {
        Siege::new(args, *kind, &mut report)?.run(&mut report, &mut progress)?;
    }
    Ok(report)
}

impl<'a> Siege<'a> {
    fn new(args: &'a AttackArgs, kind: Kind, report: &mut Report) -> anyhow::Result<Self> {
        let mut strength = kind.strength(args.scale, args.seconds);
        let (settings, note) = kind.settings(args.rate);
        let mut options: Vec<_> =
            settings.into_iter().flat_map(|setting| ["--set".to_owned(), setting]).collect();
        let forgery = (kind == Kind::Tokens).then(Forgery::new).transpose()?;
        if let Some(forgery) = &forgery {
            options.extend(["--config".to_owned(), forgery.config().to_string_lossy().into_owned()]);
        }
        let (files, word) = (config::raise_open_files(), kind.word());
        let most = files.saturating_sub(SPARE_FILES + args.users as u64);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        if strength.connections > most {
            report.notes.push(format!(
                "{word}: {most} instead of {}, because a process has {files} descriptors",
                strength.connections
            ));
            strength.connections = most;
        }
        report.notes.push(format!("{word}: {note}"));
        Ok(Self { args, kind, strength, options, forgery })
    }

    fn run(&self, report: &mut Report, progress: &mut Progress) -> anyhow::Result<()> {
        let (word, rounds) = (self.kind.word(), self.args.rounds);
        let (mut figures, mut answers) = (Figures::default(), BTreeMap::new());
        for round in 1..=rounds {
            progress.stage(format!("{word}, round {round} of {rounds}: without the attack"));
            let quiet = self.quiet(&mut report.faults, progress)?;
            progress.stage(format!("{word}, round {round} of {rounds}: beside it"));
            let outcome = self.attacked(&mut report.faults, progress)?;
            for (answer, times) in &outcome.toll.answers {
                answers.entry(answer.clone()).or_insert_with(Vec::new).push(*times as f64);
            }
            let last = [("without", quiet), ("beside", outcome.measurement.clone())];
            self.note(&mut figures, &last, &outcome);
            if round == rounds {
                let mut charts = vec![charts::p99(&last), charts::memory(&last)];
                charts.iter_mut().for_each(|chart| chart.title = format!("{word}: {}", chart.title));
                report.charts.append(&mut charts);
            }
        }
        let title = format!("{word}: {} {}", self.strength.connections, self.kind.deed());
        let Section { mut figures, .. } = figures.section(&title);
        figures.extend(answers.into_iter().map(|(answer, times)| Figure::new(&answer, "times", times)));
        report.sections.push(Section::new(&title, figures));
        Ok(())
    }

    fn note(&self, figures: &mut Figures, last: &[(&str, Measurement); 2], outcome: &Outcome) {
        let Outcome { measurement, toll, memory: [before, after], evicted } = outcome;
        let p99_ms = [&last[0].1, &last[1].1].map(|measurement| measurement.latency_ms(0.99));
        figures.add("p99 of the good users without the attack", "ms", p99_ms[0]);
        figures.add("p99 of the good users beside it", "ms", p99_ms[1]);
        figures.add("beside / without", "", p99_ms[1] / p99_ms[0]);
        let peak = measurement.memory.iter().map(|(_, mib)| *mib).max_by(f64::total_cmp);
        figures.add_if("memory of the server before", "MiB", before.map(mib));
        figures.add_if("memory at its peak", "MiB", peak);
        figures.add_if("growth", "MiB", peak.zip(*before).map(|(peak, before)| peak - mib(before)));
        figures.add_if("memory afterwards", "MiB", after.map(mib));
        let busy = measurement.cpu_ns.map(|cpu_ns| cpu_ns as f64 / 1e7 / self.args.seconds);
        figures.add_if("core of the server", "% busy", busy);
        figures.add("core of the generator", "% busy", measurement.generator * 100.0);
        figures.add("connections of attackers", "", toll.opened as f64);
        figures.add("of them at the same time", "", toll.most as f64);
        figures.add("still there in the end", "", toll.remaining as f64);
        match self.kind {
            Kind::NeverRead => figures.add_if("slow clients that were cut off", "", *evicted),
            Kind::Rooms => figures.add("rooms entered and left", "", toll.rooms as f64),
            _ => {}
        }
        if toll.refused > 0 {
            figures.add("commands refused", "", toll.refused as f64);
        }
    }

    fn open(&self, progress: &mut Progress) -> anyhow::Result<(Target, Scene)> {
        let options: Vec<_> = self.options.iter().map(String::as_str).collect();
        let target = self.args.target.open_with(&options)?;
        let layout = Layout { rooms: 1, members: self.args.users, text_bytes: 128, dialect: Dialect::Json };
        let scene = Scene::open(&target, &layout, progress)?;
        Ok((target, scene))
    }

    fn span(&self) -> Span {
        Span {
            warm_up: Duration::ZERO,
            measured: Duration::from_secs_f64(self.args.seconds),
            drain: Duration::from_secs(10),
        }
    }

    fn quiet(&self, faults: &mut Vec<String>, progress: &mut Progress) -> anyhow::Result<Measurement> {
        let (_target, mut scene) = self.open(progress)?;
        let measurement = scene.measure(self.args.rate, self.span(), progress)?;
        faults.extend(scene.faults(measurement.is_complete));
        Ok(measurement)
    }

    fn attacked(&self, faults: &mut Vec<String>, progress: &mut Progress) -> anyhow::Result<Outcome> {
        let (target, mut scene) = self.open(progress)?;
        let before = target.memory();
        let is_over = AtomicBool::new(false);
        let (measurement, toll) = std::thread::scope(|scope| {
            let attack = scope.spawn(|| {
                let (users, forgery) = (self.args.users, self.forgery.as_ref());
                Attackers::new(&target, self.kind, self.strength, users, forgery)?.run(&is_over)
            });
            let measurement = scene.measure(self.args.rate, self.span(), progress);
            is_over.store(true, Relaxed);
            let toll = attack.join().unwrap_or_else(|_| Err(anyhow!("the attackers have panicked")));
            anyhow::Ok((measurement?, toll?))
        })?;
        faults.extend(scene.faults(measurement.is_complete));
        let after = self.recover(&target, &mut scene, before, progress)?;
        let evicted =
            target.metrics()?.map(|metrics| metrics.get("parlour_evicted_slow_total")).transpose()?;
        Ok(Outcome { measurement, toll, memory: [before, after], evicted })
    }

    /// Waits until the memory has come back, or not in time; returns what it is then.
    fn recover(
        &self,
        target: &Target,
        scene: &mut Scene,
        before: Option<u64>,
        progress: &mut Progress,
    ) -> anyhow::Result<Option<u64>> {
        let end = Instant::now() + Duration::from_secs_f64(self.args.recovery);
        loop {
            let memory = target.memory();
            let is_back = memory.zip(before).is_none_or(|(memory, before)| memory <= before);
            if is_back || Instant::now() >= end {
                return Ok(memory);
            }
            scene.engine.turn(LOOK)?;
            progress.show(|| "waiting for the memory to come back".to_owned());
        }
    }
}
