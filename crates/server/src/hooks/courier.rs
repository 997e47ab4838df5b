//! Takes events to one endpoint: in order, one delivery at a time, until it has them.
//!
//! Each webhook has a courier of its own, so that none waits for another one's endpoint. What waits is in
//! the store, entries under their numbers and messages in the logs of their rooms; the courier holds no
//! more than one batch of it.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use parlour_protocol::RoomName;
use tokio::time::sleep;

use super::batch::{Batch, Item};
use super::entry::Entry;
use super::keys;
use super::webhook::{Failing, Webhook};
use crate::node::Node;
use crate::outbound::{OutboundError, PATIENCE};
use crate::store::{Document, StoreError};

/// Most events of a delivery.
const BATCH: usize = 100;
/// Wait after the first failure; it doubles with each one.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// Longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// Refusals after which an event that the endpoint does not understand becomes a dead letter.
const MISUNDERSTOOD: u32 = 3;
/// Most dead letters of a webhook; more are dropped and counted.
const MOST_DEAD: usize = 10_000;
/// How long to wait when the store does not answer.
const STORE_PATIENCE: Duration = Duration::from_secs(1);

/// Delivers for one webhook.
pub(super) struct Courier {
    pub(super) node: Arc<Node>,
    pub(super) webhook: Arc<Webhook>,
    /// The room up to which all rooms have been looked at, while that is going on.
    pub(super) looked: Option<Option<RoomName>>,
    /// Most events of the next delivery: fewer while the endpoint refuses, to find out which it is.
    pub(super) size: usize,
    /// Failures since the last success.
    failures: u32,
    /// Failures of the event that is next.
    attempts: u32,
}

/// Why a delivery failed.
struct Failure {
    /// What the endpoint said, if it said something.
    status: Option<StatusCode>,
    /// How long it wants to be left alone.
    wait: Duration,
    error: OutboundError,
}

impl Courier {
    pub(super) fn new(node: Arc<Node>, webhook: Arc<Webhook>) -> Self {
        Self { node, webhook, looked: None, size: BATCH, failures: 0, attempts: 0 }
    }

    /// Delivers for ever. Cancellation safe: what was not noted as delivered is delivered again.
    pub(super) async fn run(mut self) {
        loop {
            match self.next_batch().await {
                Ok(Some(batch)) => self.deliver(batch).await,
                Ok(None) => self.webhook.wake.notified().await,
                Err(error) => {
                    self.node.note_store_error(error);
                    sleep(STORE_PATIENCE).await;
                }
            }
        }
    }

    /// Returns the time before which events are too old: none is while the endpoint takes them.
    pub(super) fn horizon_ms(&self) -> i64 {
        let age_ms = i64::try_from(self.webhook.rule.max_age.as_millis()).unwrap_or(i64::MAX);
        match self.failures {
            0 => i64::MIN,
            _ => self.node.clock.now().wall_ms.saturating_sub(age_ms),
        }
    }

    async fn deliver(&mut self, batch: Batch) {
        if batch.items.is_empty() {
            return self.settle(&batch, Vec::new()).await;
        }
        if batch.is_overdue() {
            return self.bury(&batch, "too old").await;
        }
        match self.attempt(&batch).await {
            Ok(()) => {
                (self.failures, self.attempts, self.size) = (0, 0, BATCH);
                self.webhook.change(|status| {
                    status.delivered += batch.items.len() as u64;
                    status.failing = None;
                });
                self.settle(&batch, Vec::new()).await;
            }
            Err(failure) => self.fail(&batch, &failure).await,
        }
    }

    async fn attempt(&self, batch: &Batch) -> Result<(), Failure> {
        let rule = &self.webhook.rule;
        let (id, body) = batch.body(&rule.name);
        let headers = rule.signer.headers(&id, self.node.clock.now().wall_ms / 1_000, &body);
        let outcome = match self.node.outbound.post(&rule.endpoint, headers, body.into(), PATIENCE).await {
            Ok(answer) if answer.status.is_success() => Ok(()),
            Ok(answer) => Err(Failure {
                status: Some(answer.status),
                wait: answer.retry_after.unwrap_or_default(),
                error: OutboundError::Status(answer.status.as_u16()),
            }),
            Err(error) => Err(Failure { status: None, wait: Duration::ZERO, error }),
        };
        let word = outcome.as_ref().map_or_else(|failure| failure.error.word(), |()| "delivered");
        self.node.metrics.node().webhook_deliveries.inc(word);
        outcome
    }

    async fn fail(&mut self, batch: &Batch, failure: &Failure) {
        self.failures = self.failures.saturating_add(1);
        self.attempts += 1;
        self.report(failure);
        if self.attempts >= self.most_attempts(batch, failure) {
            self.bury(batch, &failure.error.to_string()).await;
        } else {
            if failure.status.is_some() && batch.items.len() > 1 {
                (self.size, self.attempts) = (batch.items.len() / 2, 0);
            }
            self.give_back(batch);
        }
        sleep(self.wait(failure)).await;
    }

    fn report(&self, failure: &Failure) {
        let (attempts, error) = (self.attempts, failure.error.to_string());
        let now_ms = self.node.clock.now().wall_ms;
        let is_news = self.webhook.change(|status| {
            let since_ms = status.failing.as_ref().map_or(now_ms, |failing| failing.since_ms);
            status.failing.replace(Failing { since_ms, error, attempts }).is_none()
        });
        if is_news {
            let webhook = &self.webhook.rule.name;
            tracing::warn!(webhook, error = %failure.error, "the endpoint of a webhook does not take events");
        }
    }

    /// Whoever understands HTTP and not the event will not understand it tomorrow.
    fn most_attempts(&self, batch: &Batch, failure: &Failure) -> u32 {
        let most = self.webhook.rule.max_attempts;
        match failure.status {
            Some(
                StatusCode::BAD_REQUEST
                | StatusCode::PAYLOAD_TOO_LARGE
                | StatusCode::UNSUPPORTED_MEDIA_TYPE
                | StatusCode::UNPROCESSABLE_ENTITY,
            ) if batch.items.len() == 1 => most.min(MISUNDERSTOOD),
            _ => most,
        }
    }

    /// Doubles with each failure; the second half of it is chance, so that couriers spread.
    fn wait(&self, failure: &Failure) -> Duration {
        let doubled = FIRST_WAIT.saturating_mul(1 << self.failures.saturating_sub(1).min(16));
        let half = doubled.min(LONGEST_WAIT) / 2;
        let chance = (uuid::Uuid::new_v4().as_u128() % 1_000) as u32;
        (half + half * chance / 1_000).max(failure.wait.min(LONGEST_WAIT))
    }

    /// Notes that nothing of a batch is to be delivered any more, and keeps `letters`.
    async fn settle(&self, batch: &Batch, letters: Vec<Document>) {
        let name = &self.webhook.rule.name;
        let mut documents = letters;
        documents.extend(batch.cursors.iter().map(|(room, cursor)| cursor.document(name, room)));
        let entries: Vec<_> =
            batch.items.iter().filter_map(|item| item.key.as_ref()).chain(&batch.void).collect();
        documents.extend(entries.iter().map(|key| Document { key: (*key).clone(), value: Vec::new() }));
        while let Err(error) = self.node.store.put(documents.clone()).await {
            self.node.note_store_error(error);
            sleep(STORE_PATIENCE).await;
        }
        self.webhook.change(|status| status.waiting = status.waiting.saturating_sub(entries.len()));
        if let Some(room) = batch.rooms.last().filter(|_| batch.is_cut) {
            self.webhook.note_room(room);
        }
    }

    /// Makes dead letters of a batch, and goes on with what is behind it.
    async fn bury(&mut self, batch: &Batch, reason: &str) {
        self.attempts = 0;
        let webhook = &self.webhook.rule.name;
        let most = MOST_DEAD.saturating_sub(self.webhook.status().dead);
        let letters: Vec<_> = batch.items.iter().take(most).map(|item| self.letter(item, reason)).collect();
        let (buried, dropped) = (letters.len(), batch.items.len() - letters.len());
        tracing::error!(webhook, buried, dropped, reason, "events could not be delivered");
        let metrics = self.node.metrics.node();
        metrics.webhook_dead.add(buried as u64);
        metrics.webhook_dropped.add(dropped as u64);
        self.settle(batch, letters).await;
        self.webhook.change(|status| status.dead += buried);
    }

    /// Returns the dead letter for an event. An entry keeps its number and its user.
    fn letter(&self, item: &Item, reason: &str) -> Document {
        let name = &self.webhook.rule.name;
        let (entries, dead) = (keys::entries(name), keys::dead(name));
        let rest = item.key.as_ref().and_then(|key| key.strip_prefix(&entries));
        let key = match rest {
            Some(rest) => format!("{dead}{rest}"),
            None => keys::numbered(&dead, self.node.hooks.notebook.next_number(), None),
        };
        let entry = Entry { time_ms: item.time_ms, reason: Some(reason.into()), what: item.what.clone() };
        Document { key, value: entry.bytes() }
    }

    /// Lets the next batch begin where this one did.
    pub(super) fn give_back(&self, batch: &Batch) {
        batch.cursors.keys().chain(&batch.rooms).for_each(|room| self.webhook.note_room(room));
    }
}

/// Moves dead letters to what waits; returns how many.
///
/// # Errors
/// The store's; what was moved before is delivered.
pub(super) async fn replay(node: &Node, webhook: &Webhook) -> Result<usize, StoreError> {
    let (dead, entries) = (keys::dead(&webhook.rule.name), keys::entries(&webhook.rule.name));
    let mut moved = 0;
    loop {
        let letters = node.store.documents(dead.clone(), BATCH as u32).await?;
        if letters.is_empty() {
            return Ok(moved);
        }
        let count = letters.len();
        let moves = letters.into_iter().flat_map(|Document { key, value }| {
            let there = format!("{entries}{}", key.strip_prefix(&dead).unwrap_or_default());
            [Document { key: there, value }, Document { key, value: Vec::new() }]
        });
        node.store.put(moves.collect()).await?;
        moved += count;
        webhook.change(|status| {
            status.waiting += count;
            status.dead = status.dead.saturating_sub(count);
        });
        webhook.wake.notify_one();
    }
}
