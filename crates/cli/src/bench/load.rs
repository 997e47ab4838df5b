//! Publishers, as many as wanted: each with several messages in flight, or at a fixed rate.

use std::cell::RefCell;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context as _, bail};
use hdrhistogram::Histogram;
use tokio::sync::Notify;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::process::Measured;
use super::raw::{self, Listener, Talker};
use crate::admin;

/// Bytes of text in a message.
pub(super) const TEXT_BYTES: usize = 128;
/// Rooms that one connection may be in.
const ROOMS_PER_CONNECTION: u16 = 512;
/// Longest wait for a server that answers nothing any more.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that keeps messages, and where it is.
#[derive(Debug)]
pub(super) struct Served {
    _process: Measured,
    /// Of clients.
    pub(super) address: String,
    admin: String,
}

/// What the server has counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counts {
    pub(super) commits: f64,
    /// In all commits.
    pub(super) messages: f64,
    /// Questions to the store.
    pub(super) reads: f64,
}

impl Served {
    /// Starts a server without limits, on a directory or a PostgreSQL database.
    pub(super) fn start(program: &Path, directory: &Path, database: Option<&str>) -> anyhow::Result<Self> {
        let directory = directory.to_string_lossy();
        let free = "127.0.0.1:0";
        let mut args = vec!["dev", "--no-limits", "--listen", free, "--admin-listen", free];
        let setting = database.map(|url| format!("database={url}"));
        match &setting {
            Some(setting) => args.extend(["--set", setting]),
            None => args.extend(["--data-dir", &*directory]),
        }
        let mut process = Measured::start(program, &args)?;
        let address = process.line_with("Web client  http://")?;
        let admin = process.line_with("Metrics     http://")?;
        let admin = admin.trim_end_matches("/metrics").to_owned();
        Ok(Self { _process: process, address, admin })
    }

    /// Reads the metrics.
    pub(super) fn counts(&self) -> anyhow::Result<Counts> {
        let page = admin::ask("GET", &self.admin, "/metrics")?;
        let count = |name: &str| {
            let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            let count = line.and_then(|value| value.parse::<f64>().ok());
            count.with_context(|| format!("the server does not count {name}"))
        };
        Ok(Counts {
            commits: count("parlour_commits_total")?,
            messages: count("parlour_commit_batch_messages_sum")?,
            reads: count("parlour_store_reads_total")?,
        })
    }
}

/// Who publishes where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) rooms: usize,
    pub(super) publishers: usize,
}

/// How fast.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    /// So many messages of each publisher wait for their acknowledgement.
    InFlight(usize),
    /// So many messages of all publishers together, whatever is acknowledged.
    PerSecond(f64),
}

impl Load {
    /// Publishes for a while and returns how long the acknowledgements took, in microseconds.
    ///
    /// At a fixed rate the time counts from the moment when a message was due, so that a server that
    /// hesitates is not measured less often (coordinated omission).
    pub(super) async fn run(
        self,
        address: &str,
        pace: Pace,
        span: Duration,
    ) -> anyhow::Result<Histogram<u64>> {
        let everything = async {
            let mut publishers = Vec::with_capacity(self.publishers);
            for number in 0..self.publishers {
                publishers.push(Publisher::connect(address, Share { load: self, number }).await?);
            }
            let begin = Instant::now();
            let tasks = publishers.into_iter().map(|publisher| {
                let publishing = publisher.run(pace, begin, begin + span);
                tokio::task::spawn_local(timeout(span + PATIENCE, publishing))
            });
            let mut all = Histogram::new(3)?;
            for task in tasks.collect::<Vec<_>>() {
                all.add(task.await?.context("acknowledgements did not come")??)?;
            }
            Ok(all)
        };
        LocalSet::new().run_until(everything).await
    }
}

/// One connection.
#[derive(Debug)]
struct Publisher {
    listener: Listener,
    talker: Talker,
    share: Share,
}

/// Which rooms one publisher talks in.
#[derive(Debug, Clone, Copy)]
struct Share {
    load: Load,
    /// Of the publisher.
    number: usize,
}

impl Share {
    /// How many: an even part of them, or one where there are fewer than publishers.
    fn rooms(self) -> usize {
        let part = self.load.rooms.saturating_sub(self.number).div_ceil(self.load.publishers);
        part.clamp(1, usize::from(ROOMS_PER_CONNECTION))
    }

    fn room(self, message: usize) -> String {
        let room = (self.number + message % self.rooms() * self.load.publishers) % self.load.rooms;
        format!("bench-{room}")
    }
}

/// What was sent and what of it was acknowledged. The id of a request is its index.
#[derive(Debug, Default)]
struct Flight {
    due: Vec<Instant>,
    acked: usize,
}

impl Flight {
    fn len(&self) -> usize {
        self.due.len() - self.acked
    }

    fn land(&mut self, frame: &[u8], latencies: &mut Histogram<u64>) -> anyhow::Result<()> {
        let Some(id) = frame.strip_prefix(br#"{"type":"ack","id":"#).and_then(raw::number) else {
            return refuse_error(frame);
        };
        let due = self.due.get(usize::try_from(id)?).context("an acknowledgement of nothing")?;
        latencies.record(u64::try_from(due.elapsed().as_micros())?)?;
        self.acked += 1;
        Ok(())
    }
}

impl Publisher {
    /// Connects and enters the publisher's rooms.
    async fn connect(address: &str, share: Share) -> anyhow::Result<Self> {
        let (listener, talker) = raw::connect(address, &format!("user=u{}", share.number)).await?;
        let mut publisher = Self { listener, talker, share };
        for id in 0..share.rooms() {
            let room = share.room(id);
            let join = format!(r#"{{"type":"join","id":{id},"payload":{{"room":"{room}","history":0}}}}"#);
            publisher.talker.say(&join).await?;
        }
        let mut entered = 0;
        while entered < share.rooms() {
            let heard = publisher.listener.listen(|frame| {
                entered += usize::from(frame.starts_with(br#"{"type":"joined""#));
                refuse_error(frame)
            });
            timeout(PATIENCE, heard).await.context("a room does not answer")??;
        }
        Ok(publisher)
    }

    async fn run(self, pace: Pace, begin: Instant, end: Instant) -> anyhow::Result<Histogram<u64>> {
        let Self { mut listener, mut talker, share } = self;
        let (flight, landed) = (RefCell::new(Flight::default()), Notify::new());
        let mut latencies = Histogram::new(3)?;
        let mut talking = pin!(async {
            match pace {
                Pace::InFlight(most) => {
                    while Instant::now() < end {
                        while flight.borrow().len() >= most {
                            landed.notified().await;
                        }
                        publish(&mut talker, share, &flight, Instant::now()).await?;
                    }
                }
                Pace::PerSecond(rate) => {
                    let after = |messages: usize| begin + Duration::from_secs_f64(messages as f64 / rate);
                    let mut due = after(share.number);
                    for turn in (share.number..).step_by(share.load.publishers).skip(1) {
                        if due >= end {
                            break;
                        }
                        sleep_until(due).await;
                        publish(&mut talker, share, &flight, due).await?;
                        due = after(turn);
                    }
                }
            }
            anyhow::Ok(())
        });
        let mut is_talking = true;
        while is_talking || flight.borrow().len() > 0 {
            tokio::select! {
                talked = &mut talking, if is_talking => {
                    talked?;
                    is_talking = false;
                }
                heard = listener.listen(|frame| flight.borrow_mut().land(frame, &mut latencies)) => {
                    heard?;
                    landed.notify_one();
                }
            }
        }
        Ok(latencies)
    }
}

async fn publish(
    talker: &mut Talker,
    share: Share,
    flight: &RefCell<Flight>,
    due: Instant,
) -> anyhow::Result<()> {
    let id = flight.borrow().due.len();
    flight.borrow_mut().due.push(due);
    let payload = format!(r#"{{"room":"{}","text":"{:x>TEXT_BYTES$}"}}"#, share.room(id), "");
    talker.say(&format!(r#"{{"type":"publish","id":{id},"payload":{payload}}}"#)).await
}

/// Nothing may be refused in a benchmark.
pub(super) fn refuse_error(frame: &[u8]) -> anyhow::Result<()> {
    if frame.starts_with(br#"{"type":"error""#) {
        bail!("the server refuses: {}", String::from_utf8_lossy(frame));
    }
    Ok(())
}
