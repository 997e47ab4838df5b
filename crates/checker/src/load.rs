//! A run: workers, the end of their work, and the history that they are compared with.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep};
use url::Url;

use crate::keeper::{self, Keeper};
use crate::record::{Content, History, Log};
use crate::sdk;
use crate::worker::Worker;

/// What is done to a server.
#[derive(Debug, Clone)]
pub struct Load {
    /// Where it is, such as `ws://127.0.0.1:8080/ws`. It must let anybody take any name.
    pub url: String,
    /// Workers that say something, and listen.
    pub publishers: u32,
    /// Workers that listen, and whose connections are lost all the time.
    pub subscribers: u32,
    /// Whether the last publisher loses its connection again and again, with answers on the way.
    pub restless: bool,
    /// Rooms; every worker is in all of them.
    pub rooms: u32,
    /// How long to publish.
    pub duration: Duration,
    /// How often each publisher says 1 to 4 messages.
    pub pace: Duration,
    /// The share of publishers and subscribers that are the Rust SDK, 0 to 1.
    pub sdk_share: f64,
    /// Whether messages are also changed, erased and reacted to.
    pub changes: bool,
    /// Whether the rooms are private, and one worker loses its place in the end.
    pub private: bool,
    /// How long workers may take in the end to get final answers, and then to see everything.
    pub patience: Duration,
    /// Where the random choices begin.
    pub seed: u64,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            url: "ws://127.0.0.1:8080/ws".into(),
            publishers: 4,
            subscribers: 4,
            restless: true,
            rooms: 2,
            duration: Duration::from_secs(10),
            pace: Duration::from_millis(25),
            sdk_share: 0.25,
            changes: false,
            private: false,
            patience: Duration::from_secs(45),
            seed: 1,
        }
    }
}

/// What is known after a run.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// What each worker saw.
    pub logs: Vec<Log>,
    /// The log of each room.
    pub histories: Vec<History>,
}

/// Why a run cannot be judged.
#[derive(Debug)]
pub enum Failed {
    /// The address is not one of a server.
    Url,
    /// The server was away for too long, or let nobody in.
    Away,
    /// A worker panicked.
    Worker(JoinError),
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Url => f.write_str("the address must look like ws://127.0.0.1:8080/ws"),
            Self::Away => write!(f, "the server did not answer for {} s", keeper::AWAY.as_secs()),
            Self::Worker(error) => write!(f, "a worker failed: {error}"),
        }
    }
}

impl std::error::Error for Failed {}

/// Newest entries by room, with their epochs.
pub(crate) type Heads = HashMap<String, (String, u64)>;

/// What workers are to do.
#[derive(Debug, Clone)]
pub(crate) enum Phase {
    Publishing,
    /// Say nothing new; repeat what has no final answer.
    Settling,
    /// See everything up to here, then end; at the latest at this moment.
    Draining(Arc<Heads>, Instant),
}

/// The part of one worker.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) name: String,
    pub(crate) url: Url,
    pub(crate) rooms: Vec<String>,
    pub(crate) says: bool,
    pub(crate) changes: bool,
    pub(crate) comes_and_goes: bool,
    pub(crate) pace: Duration,
    pub(crate) dice: Dice,
    pub(crate) began: Instant,
    pub(crate) phase: watch::Receiver<Phase>,
    /// How much has no final answer.
    pub(crate) open: Arc<AtomicUsize>,
}

impl Task {
    pub(crate) fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase.borrow().clone()
    }

    pub(crate) fn is_publishing(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Publishing)
    }

    /// Waits for the next phase.
    pub(crate) async fn phase_changed(&mut self) {
        if self.phase.changed().await.is_err() {
            // The run was dropped; the worker will be too.
            std::future::pending::<()>().await;
        }
    }

    /// Whether the worker has waited long enough for what it still misses.
    pub(crate) fn is_late(&self) -> bool {
        match *self.phase.borrow() {
            Phase::Draining(_, deadline) => Instant::now() > deadline,
            // Without a run there is nothing to wait for.
            _ => self.phase.has_changed().is_err(),
        }
    }
}

/// Choices that are the same in every run with the same seed (xorshift64*).
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Returns a number below `limit`; 0 if that is 0.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16).checked_rem(limit).unwrap_or(0)
    }
}

/// A run whose workers are at work.
#[derive(Debug)]
pub struct Running {
    url: Url,
    rooms: Vec<String>,
    private: bool,
    patience: Duration,
    /// Who loses the place in private rooms.
    victim: String,
    workers: JoinSet<Log>,
    phase: watch::Sender<Phase>,
    open: Vec<Arc<AtomicUsize>>,
    keeper: Keeper,
}

impl Load {
    /// Publishes for the given time, and reads everything.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn run(&self) -> Result<Evidence, Failed> {
        let running = self.start().await?;
        sleep(self.duration).await;
        running.finish().await
    }

    /// Lets the workers begin, in rooms of their own.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn start(&self) -> Result<Running, Failed> {
        let url = Url::parse(&self.url).map_err(|_| Failed::Url)?;
        let run = uuid::Uuid::new_v4().simple().to_string();
        let rooms: Vec<_> =
            (0..self.rooms.max(1)).map(|room| format!("check-{}-{room}", &run[..8])).collect();
        let (phase, follow) = watch::channel(Phase::Publishing);
        let began = Instant::now();
        let mut tasks = Vec::new();
        for (index, says) in
            (0..self.publishers).map(|n| (n, true)).chain((0..self.subscribers).map(|n| (n, false)))
        {
            tasks.push(Task {
                name: format!("{}-{}-{index}", if says { "pub" } else { "sub" }, &run[..8]),
                url: url.clone(),
                rooms: rooms.clone(),
                says,
                changes: self.changes,
                comes_and_goes: !says || (self.restless && index + 1 == self.publishers),
                pace: self.pace,
                dice: Dice::new(self.seed.wrapping_add(tasks.len() as u64 * 7919)),
                began,
                phase: follow.clone(),
                open: Arc::default(),
            });
        }
        let victim = tasks.last().map(|task| task.name.clone()).unwrap_or_default();
        let mut keeper = Keeper::new(url.clone(), began);
        if self.private {
            keeper.create(&rooms, tasks.iter().map(|task| task.name.as_str())).await?;
        }
        let open = tasks.iter().map(|task| Arc::clone(&task.open)).collect();
        let workers = self.spawn(tasks);
        let (private, patience) = (self.private, self.patience);
        Ok(Running { url, rooms, private, patience, victim, workers, phase, open, keeper })
    }

    fn spawn(&self, tasks: Vec<Task>) -> JoinSet<Log> {
        let mut workers = JoinSet::new();
        let sdk = |count: u32| (f64::from(count) * self.sdk_share).round() as usize;
        let (publishing, listening) = (sdk(self.publishers), sdk(self.subscribers));
        let publishers = self.publishers as usize;
        for (index, task) in tasks.into_iter().enumerate() {
            let is_sdk = if task.says { index < publishing } else { index - publishers < listening };
            match is_sdk {
                true => workers.spawn(sdk::run(task)),
                false => workers.spawn(Worker::new(task).run()),
            };
        }
        workers
    }
}

impl Running {
    /// Takes the place of one worker in the private rooms of the run; nothing of them may reach it
    /// any more.
    ///
    /// # Errors
    /// [`Failed::Away`].
    pub async fn remove_one(&mut self) -> Result<(), Failed> {
        let role = Content::Role { user: self.victim.clone(), role: None };
        let said = self.rooms.iter().map(|room| (room.clone(), role.clone())).collect();
        self.keeper.say(said).await
    }

    /// Lets the workers finish, and collects what they and the server know.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn finish(mut self) -> Result<Evidence, Failed> {
        if self.private {
            self.remove_one().await?;
            // The others go on, so that there is something that must not be seen.
            sleep(Duration::from_secs(2)).await;
        }
        let _ = self.phase.send(Phase::Settling);
        let deadline = Instant::now() + self.patience;
        // A worker counts what is open at its next step; until then it may still say something.
        sleep(Duration::from_millis(500)).await;
        while self.open.iter().any(|open| open.load(Relaxed) > 0) && Instant::now() < deadline {
            sleep(Duration::from_millis(50)).await;
        }
        let histories = self.keeper.histories(&self.rooms).await?;
        let place = |history: &History| (history.room.clone(), (history.epoch.clone(), history.head));
        let heads = Arc::new(histories.iter().map(place).collect());
        let _ = self.phase.send(Phase::Draining(heads, Instant::now() + self.patience));
        let mut logs = vec![self.keeper.into_log()];
        while let Some(ended) = self.workers.join_next().await {
            logs.push(ended.map_err(Failed::Worker)?);
        }
        Ok(Evidence { logs, histories })
    }

    /// Returns where the server is.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }
}
