//! Publishers, as many as wanted: each with several messages in flight, or at a fixed rate.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use hdrhistogram::Histogram;
use parlour_protocol::RoomName;
use tokio::sync::Notify;
use tokio::task::LocalSet;
use tokio::time::{Instant, interval, sleep_until, timeout};

use super::engine::stamp::Stamp;
use super::engine::wire::{Dialect, Template};
use super::progress::{PAUSE, Progress};
use super::raw::{self, Listener, Talker};
use super::target::Target;

/// Bytes of text in a message.
pub(super) const TEXT_BYTES: usize = 128;
/// Rooms that one connection may be in.
const ROOMS_PER_CONNECTION: u16 = 512;
/// Longest wait for a server that answers nothing any more.
const PATIENCE: Duration = Duration::from_secs(30);

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
    ///
    /// # Errors
    /// A server that refuses, ends a connection, or does not acknowledge.
    pub(super) async fn run(
        self,
        target: &Target,
        pace: Pace,
        span: Duration,
        progress: &mut Progress,
    ) -> anyhow::Result<Histogram<u64>> {
        let everything = async {
            let mut publishers = Vec::with_capacity(self.publishers);
            for number in 0..self.publishers {
                publishers.push(Publisher::connect(target, Share { load: self, number }).await?);
                progress.show(|| format!("{} connected", number + 1));
            }
            let (begin, acked) = (Instant::now(), Rc::new(Cell::new(0)));
            let tasks = publishers.into_iter().map(|publisher| {
                let publishing = publisher.run(pace, begin, begin + span, Rc::clone(&acked));
                tokio::task::spawn_local(timeout(span + PATIENCE, publishing))
            });
            let tasks: Vec<_> = tasks.collect();
            let mut gathering = pin!(async {
                let mut all = Histogram::new(3)?;
                for task in tasks {
                    all.add(task.await?.context("acknowledgements did not come")??)?;
                }
                anyhow::Ok(all)
            });
            let mut ticks = interval(PAUSE);
            loop {
                tokio::select! {
                    all = &mut gathering => return all,
                    _ = ticks.tick() => progress.show(|| format!("{} acknowledged", acked.get())),
                }
            }
        };
        LocalSet::new().run_until(everything).await
    }
}

/// One connection.
struct Publisher {
    listener: Listener,
    talker: Talker,
    /// One for each of its rooms, which have their turns.
    templates: Vec<Template>,
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

    fn room(self, index: usize) -> usize {
        (self.number + index * self.load.publishers) % self.load.rooms
    }
}

/// What was sent and what of it was acknowledged. The id of a request counts from 1.
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
        let Some(rest) = frame.strip_prefix(br#"{"type":"ack","id":""#) else {
            return refuse_error(frame);
        };
        let id = rest.first_chunk::<8>().and_then(|id| std::str::from_utf8(id).ok()?.parse::<usize>().ok());
        let due = id.and_then(|id| self.due.get(id.checked_sub(1)?));
        let due = due.context("an acknowledgement of nothing")?;
        latencies.record(u64::try_from(due.elapsed().as_micros())?)?;
        self.acked += 1;
        Ok(())
    }
}

impl Publisher {
    /// Connects and enters the publisher's rooms.
    async fn connect(target: &Target, share: Share) -> anyhow::Result<Self> {
        let (mut listener, talker) = raw::connect(target, share.number).await?;
        let mut templates = Vec::with_capacity(share.rooms());
        for id in 0..share.rooms() {
            let room = RoomName::parse(&target.room(share.room(id)))?;
            let join = format!(r#"{{"type":"join","id":{id},"payload":{{"room":"{room}","history":0}}}}"#);
            talker.say(&join).await?;
            templates.push(Template::new(Dialect::Json, &room, TEXT_BYTES)?);
        }
        let mut entered = 0;
        while entered < share.rooms() {
            let heard = listener.listen(|frame| {
                entered += usize::from(frame.starts_with(br#"{"type":"joined""#));
                refuse_error(frame)
            });
            timeout(PATIENCE, heard).await.context("a room does not answer")??;
        }
        Ok(Self { listener, talker, templates, share })
    }

    async fn run(
        self,
        pace: Pace,
        begin: Instant,
        end: Instant,
        acked: Rc<Cell<u64>>,
    ) -> anyhow::Result<Histogram<u64>> {
        let Self { mut listener, talker, mut templates, share } = self;
        let (flight, landed) = (RefCell::new(Flight::default()), Notify::new());
        let mut latencies = Histogram::new(3)?;
        let mut talking = pin!(async {
            match pace {
                Pace::InFlight(most) => {
                    while Instant::now() < end {
                        while flight.borrow().len() >= most {
                            landed.notified().await;
                        }
                        publish(&talker, &mut templates, &flight, Instant::now()).await?;
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
                        publish(&talker, &mut templates, &flight, due).await?;
                        due = after(turn);
                    }
                }
            }
            anyhow::Ok(())
        });
        let mut is_talking = true;
        while is_talking || flight.borrow().len() > 0 {
            let before = flight.borrow().acked;
            tokio::select! {
                talked = &mut talking, if is_talking => {
                    talked?;
                    is_talking = false;
                }
                heard = listener.listen(|frame| flight.borrow_mut().land(frame, &mut latencies)) => {
                    heard?;
                    acked.set(acked.get() + (flight.borrow().acked - before) as u64);
                    landed.notify_one();
                }
            }
        }
        Ok(latencies)
    }
}

async fn publish(
    talker: &Talker,
    templates: &mut [Template],
    flight: &RefCell<Flight>,
    due: Instant,
) -> anyhow::Result<()> {
    let number = flight.borrow().due.len();
    flight.borrow_mut().due.push(due);
    let room = number % templates.len();
    let stamp = Stamp { counter: number as u64 + 1, room: 0, due_us: 0 };
    talker.send(templates[room].stamped(stamp)?.to_vec()).await
}

/// Nothing may be refused in a benchmark.
pub(super) fn refuse_error(frame: &[u8]) -> anyhow::Result<()> {
    if frame.starts_with(br#"{"type":"error""#) {
        bail!("the server refuses: {}", String::from_utf8_lossy(frame));
    }
    Ok(())
}
