//! Compares what workers saw with the history, and with each other.

mod access;
mod answers;
mod history;
mod order;
mod places;
mod stream;

use std::collections::HashMap;

use crate::record::{Answer, Entry, History, Log, Record, Said};
use crate::violation::Violation;

/// What the run itself did, and what is therefore no fault of the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowed {
    /// An older backup was put back: epochs may change, and what was acknowledged in an epoch that
    /// is gone may be gone with it.
    pub rewinds: bool,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Sayings that were acknowledged.
    pub acked: u64,
    /// Entries of all histories.
    pub entries: u64,
    /// Entries that workers were sent.
    pub seen: u64,
    /// Answers that asked to try again: each is a moment in which the server could not.
    pub refused: u64,
    /// The longest time without any acknowledgement between the first and the last, in milliseconds.
    pub pause_ms: u64,
    /// Connections that were lost.
    pub lost: u64,
    /// Joins that went on exactly where the worker was.
    pub resumes: u64,
    /// Acknowledged in an epoch that is gone, and not in the history that was put back.
    pub rewound: u64,
    /// What was broken; empty is what it should be.
    pub violations: Vec<Violation>,
}

/// Compares the logs of all workers of a run with the histories of all its rooms.
///
/// Proves of each room that its log has no holes; that everything acknowledged is in it exactly
/// once, and nothing that nobody said; that every stream is the log, entry by entry, over a worker's
/// whole life; that the order is the senders' and that of real time; that every request has one
/// answer; that no position ever means two things; and that nothing reaches whom a private room has
/// removed.
///
/// The histories must have been read when all was quiet, with the eyes of somebody who may read
/// them. A room without a history is compared only as far as the workers contradict each other.
#[must_use]
pub fn verify(logs: &[Log], histories: &[History], allowed: Allowed) -> Verdict {
    let case = Case::new(logs, histories, allowed);
    let mut verdict = case.count();
    let out = &mut verdict.violations;
    answers::check(&case, out);
    history::check(&case, out);
    stream::check(&case, out);
    places::check(&case, out);
    order::check(&case, out);
    access::check(&case, out);
    verdict
}

/// Whose saying it is: room, user and cid.
type Key<'a> = (&'a str, &'a str, &'a str);

/// A saying over all its repetitions.
#[derive(Debug, Clone)]
struct Saying<'a> {
    worker: &'a str,
    said: &'a Said,
    /// When it was first sent.
    sent_us: u64,
    acked: Option<Ack<'a>>,
    /// The code, where the last answer was a refusal for good.
    refused: Option<&'a str>,
}

#[derive(Debug, Clone, Copy)]
struct Ack<'a> {
    epoch: &'a str,
    seq: u64,
    at_us: u64,
}

/// All that is known, indexed.
struct Case<'a> {
    logs: &'a [Log],
    histories: HashMap<&'a str, &'a History>,
    sayings: HashMap<Key<'a>, Saying<'a>>,
    /// The sayings of each worker, in the order of first sending.
    order: Vec<(&'a str, Vec<Key<'a>>)>,
    /// Where a saying is in the history.
    stored: HashMap<Key<'a>, &'a Entry>,
    allowed: Allowed,
}

impl<'a> Case<'a> {
    fn new(logs: &'a [Log], histories: &'a [History], allowed: Allowed) -> Self {
        let mut case = Self {
            logs,
            histories: histories.iter().map(|history| (history.room.as_str(), history)).collect(),
            sayings: HashMap::new(),
            order: Vec::new(),
            stored: HashMap::new(),
            allowed,
        };
        logs.iter().for_each(|log| case.add(log));
        for entry in histories.iter().flat_map(|history| &history.entries) {
            if let Some(key) = key_of(entry) {
                case.stored.entry(key).or_insert(entry);
            }
        }
        case
    }

    fn add(&mut self, log: &'a Log) {
        let mut asked = HashMap::new();
        let mut order = Vec::new();
        for record in &log.records {
            match record {
                Record::Sent { life, id, at_us, said: Some(said) } => {
                    let key = (said.room.as_str(), log.user.as_str(), said.cid.as_str());
                    asked.insert((*life, *id), key);
                    self.sayings.entry(key).or_insert_with(|| {
                        order.push(key);
                        Saying { worker: &log.worker, said, sent_us: *at_us, acked: None, refused: None }
                    });
                }
                Record::Answered { life, id, at_us, answer } => {
                    let key = asked.get(&(*life, *id));
                    if let Some(saying) = key.and_then(|key| self.sayings.get_mut(key)) {
                        saying.note(answer, *at_us);
                    }
                }
                _ => {}
            }
        }
        self.order.push((&log.worker, order));
    }

    fn count(&self) -> Verdict {
        let records = || self.logs.iter().flat_map(|log| &log.records);
        let number = |wanted: fn(&Record) -> bool| records().filter(|record| wanted(record)).count() as u64;
        let refused = |record: &Record| {
            matches!(record, Record::Answered { answer: Answer::Refused { retryable: true, .. }, .. })
        };
        let resumed =
            |record: &Record| matches!(record, Record::Joined(j) if j.since.is_some() && j.recovered);
        Verdict {
            acked: self.sayings.values().filter(|saying| saying.acked.is_some()).count() as u64,
            entries: self.histories.values().map(|history| history.entries.len() as u64).sum(),
            seen: number(|record| matches!(record, Record::Seen(_))),
            refused: number(refused),
            pause_ms: self.longest_pause_us() / 1_000,
            lost: number(|record| matches!(record, Record::Lost { .. })),
            resumes: number(resumed),
            rewound: self.sayings.keys().filter(|key| self.is_rewound(key)).count() as u64,
            violations: Vec::new(),
        }
    }

    fn longest_pause_us(&self) -> u64 {
        let acks = self.sayings.values().filter_map(|saying| saying.acked);
        let mut times: Vec<_> = acks.map(|ack| ack.at_us).collect();
        times.sort_unstable();
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0)
    }

    /// Whether a saying was acknowledged in an epoch that is gone, and is gone with it.
    fn is_rewound(&self, key: &Key<'_>) -> bool {
        let (Some(saying), Some(history)) = (self.sayings.get(key), self.histories.get(key.0)) else {
            return false;
        };
        let is_old = saying.acked.is_some_and(|ack| ack.epoch != history.epoch);
        self.allowed.rewinds && is_old && !self.stored.contains_key(key)
    }
}

impl<'a> Saying<'a> {
    fn note(&mut self, answer: &'a Answer, at_us: u64) {
        match answer {
            // The first acknowledgement counts for the order in time.
            Answer::Stored { epoch, seq } => {
                self.acked.get_or_insert(Ack { epoch, seq: *seq, at_us });
                self.refused = None;
            }
            Answer::Refused { code, retryable } => {
                self.refused = (!retryable && self.acked.is_none()).then_some(code.as_str());
            }
            Answer::Other => {}
        }
    }
}

fn key_of(entry: &Entry) -> Option<Key<'_>> {
    Some((entry.room.as_str(), entry.sender.as_str(), entry.cid.as_deref()?))
}
