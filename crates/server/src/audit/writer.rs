//! The one thread that writes the audit log.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use serde_json::json;

use super::chain::Head;
use super::{Act, Failure, Order, beside};
use crate::clock::Clock;
use crate::metrics::Metrics;

/// Lines of one write.
const BATCH: usize = 256;
/// Lines that wait for a file that cannot be written; older ones are lost and counted.
const WAITING: usize = 10_000;
/// How often failed logins are noted, and a lost file is tried again.
const ROUND: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_secs(1);
/// Different failures of one round; more are noted as one.
const FAILURES: usize = 1_000;
/// How much of the end of a log is read to find its last line, in bytes.
const TAIL: u64 = 128 * 1024;

pub(super) struct Writer {
    pub(super) path: PathBuf,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    log: Option<Log>,
    /// Where the last line ends that is known to be there.
    length: Option<u64>,
    waiting: VecDeque<Waiting>,
    failures: BTreeMap<Failure, u64>,
    next_round: Instant,
}

/// An act that is to be written.
struct Waiting {
    time_ms: i64,
    act: Act,
    /// It happens only if it is written.
    is_promise: bool,
}

/// An open log.
struct Log {
    file: File,
    head: Head,
}

impl Writer {
    pub(super) fn new(path: PathBuf, clock: Clock, metrics: Arc<Metrics>) -> Self {
        let next_round = Instant::now() + ROUND;
        let (waiting, failures) = (VecDeque::new(), BTreeMap::new());
        Self { path, clock, metrics, log: None, length: None, waiting, failures, next_round }
    }

    /// Writes until all senders are gone or it is told to stop.
    pub(super) fn run(mut self, orders: &Receiver<Order>) {
        let mut is_last = false;
        while !is_last {
            let patience = match self.waiting.is_empty() {
                true => self.next_round.saturating_duration_since(Instant::now()),
                false => RETRY,
            };
            let first = orders.recv_timeout(patience);
            is_last = matches!(first, Err(RecvTimeoutError::Disconnected));
            let mut answers = Vec::new();
            for order in first.into_iter().chain(orders.try_iter().take(BATCH)) {
                match order {
                    Order::Note(act) => self.add(act, false),
                    Order::Attest(act, answer) => {
                        self.add(act, true);
                        answers.push(answer);
                    }
                    Order::Failed(failure) => self.count(failure),
                    Order::Stop => is_last = true,
                }
            }
            if is_last || Instant::now() >= self.next_round {
                self.end_round();
            }
            let is_written = self.write();
            if !is_written {
                self.waiting.retain(|waiting| !waiting.is_promise);
            }
            for answer in answers {
                // Whoever asked may have stopped waiting.
                let _ = answer.send(is_written);
            }
        }
    }

    fn add(&mut self, act: Act, is_promise: bool) {
        if self.waiting.len() >= WAITING {
            self.waiting.pop_front();
            self.metrics.node().audit_lost.add(1);
        }
        self.waiting.push_back(Waiting { time_ms: self.clock.now().wall_ms, act, is_promise });
    }

    fn count(&mut self, failure: Failure) {
        let is_known = self.failures.contains_key(&failure);
        let failure = match is_known || self.failures.len() < FAILURES {
            true => failure,
            false => Failure { address: "others".into(), ..failure },
        };
        *self.failures.entry(failure).or_default() += 1;
    }

    /// Notes how many logins have failed, and from where.
    fn end_round(&mut self) {
        self.next_round = Instant::now() + ROUND;
        for (Failure { address, code }, count) in std::mem::take(&mut self.failures) {
            let act = Act::new("-", "login_failed").because(json!({ "code": code, "count": count }));
            self.add(Act { address: Some(address), ..act }, false);
        }
    }

    /// Writes what waits, and makes it durable; returns whether it is.
    fn write(&mut self) -> bool {
        if self.waiting.is_empty() {
            return true;
        }
        let written = self.try_write();
        let failing = &self.metrics.node().audit_failing;
        if let Err(error) = &written {
            if failing.get() == 0 {
                let path = self.path.display();
                tracing::error!(%path, %error, "the audit log cannot be written; administration waits for it");
            }
            // What is in the file now is found out when it is opened again.
            self.log = None;
        }
        failing.set(u64::from(written.is_err()));
        written.is_ok()
    }

    fn try_write(&mut self) -> io::Result<()> {
        let log = match &mut self.log {
            Some(log) => log,
            None => self.log.insert(Log::open(&self.path, self.length)?),
        };
        let (mut lines, mut head) = (String::new(), log.head.clone());
        self.waiting.iter().for_each(|Waiting { time_ms, act, .. }| head.append(act, *time_ms, &mut lines));
        let length = log.file.metadata()?.len();
        self.length = Some(length);
        log.file.write_all(lines.as_bytes())?;
        log.file.sync_data()?;
        self.length = Some(length + lines.len() as u64);
        log.head = head;
        self.waiting.clear();
        note_head(&self.path, &log.head)
    }
}

impl Log {
    /// Opens a log and finds its end. What was not written to its end is cut off, and what is beyond
    /// `known`, after a write that failed: nobody was told that it is there.
    fn open(path: &Path, known: Option<u64>) -> io::Result<Self> {
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            fs::create_dir_all(directory)?;
        }
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::Error(error) => error,
            TryLockError::WouldBlock => {
                io::Error::new(io::ErrorKind::ResourceBusy, "another server writes it")
            }
        })?;
        let mut length = file.metadata()?.len();
        if let Some(known) = known.filter(|known| *known < length) {
            file.set_len(known)?;
            length = known;
        }
        let tail = read_tail(&mut file, length)?;
        let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let cut = tail.len() - whole;
        if cut > 0 {
            file.set_len(length - cut as u64)?;
        }
        let last = tail[..whole].split(|byte| *byte == b'\n').rfind(|line| !line.is_empty());
        let found = last.map(|line| std::str::from_utf8(line).ok().and_then(Head::at));
        let noted = fs::read_to_string(beside(path)).ok().and_then(|note| Head::parse(&note));
        let head = match (found, noted) {
            (Some(Some(found)), Some(noted)) if noted.number > found.number => {
                tracing::error!(path = %path.display(), "lines of the audit log are missing: `parlour audit verify` says which");
                noted
            }
            (Some(Some(found)), _) => found,
            (None, None) => Head::default(),
            (_, noted) => {
                tracing::error!(path = %path.display(), "the audit log was changed: `parlour audit verify` says where");
                noted.unwrap_or_default()
            }
        };
        Ok(Self { file, head })
    }
}

fn read_tail(file: &mut File, length: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    Ok(tail)
}

/// Writes the file beside the log. It may be one write behind, but never ahead.
fn note_head(path: &Path, head: &Head) -> io::Result<()> {
    let (to, new) = (beside(path), path.with_extension("head.new"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(head.note().as_bytes())?;
    fs::rename(new, to)
}
