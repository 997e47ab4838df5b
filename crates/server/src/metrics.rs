//! What the server counts, and how it is told to Prometheus.
//!
//! Every shard has its own instruments and is their only writer; a scrape sums them. `docs/metrics.md`
//! is generated from the two tables in this file.

use std::fmt;
use std::sync::Arc;

use parlour_protocol::ErrorCode;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;

use crate::store::StoreError;

mod export;
mod instrument;
mod process;

use export::{Describe, Export, Row};
pub use instrument::{ByWord, Counter, Durations, Gauge, SharedCounter, Sizes};

/// Declares a set of instruments: a field, its type, its exported name (without `parlour_`), the
/// name of its label if it has one, and its help text.
macro_rules! instruments {
    ($(#[$meta:meta])* $set:ident { $(#[doc = $doc:literal] $field:ident: $kind:ident = $name:literal $([$label:literal])?;)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Default)]
        pub struct $set { $(#[doc = $doc] pub $field: $kind,)+ }

        impl $set {
            const ROWS: &[Row] = &[$(Row {
                name: $name,
                help: $doc.trim_ascii(),
                label: instruments!(@label $($label)?),
                kind: <$kind as Describe>::KIND,
            },)+];

            fn export(all: &[Arc<Self>], encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
                let mut rows = Self::ROWS.iter();
                $(if let Some(row) = rows.next() {
                    $kind::export(all.iter().map(|set| &set.$field), row, encoder)?;
                })+
                Ok(())
            }
        }
    };
    (@label $label:literal) => { $label };
    (@label) => { "" };
}

instruments! {
    /// What one shard counts. Only the shard's thread writes.
    ShardMetrics {
        /// WebSocket connections open now.
        connections: Gauge = "connections";
        /// WebSocket connections opened.
        connections_opened: Counter = "connections_opened";
        /// WebSocket connections that ended, by the reason's word.
        closes: ByWord = "closes" ["reason"];
        /// Slow clients that were cut off; they may resume.
        evicted_slow: Counter = "evicted_slow";
        /// Connections without a sign of life that were cut off.
        evicted_heartbeat: Counter = "evicted_heartbeat";
        /// Messages received from clients.
        messages_in: Counter = "messages_received";
        /// Messages sent to one client alone: answers, errors, replays.
        messages_out: Counter = "messages_sent";
        /// Bytes received from WebSocket clients, with framing.
        bytes_in: Counter = "received_bytes";
        /// Bytes sent to WebSocket clients, with framing.
        bytes_out: Counter = "sent_bytes";
        /// Commands understood, by name.
        commands: ByWord = "commands" ["command"];
        /// Errors sent to clients, by code word.
        errors: ByWord = "errors" ["code"];
        /// Commands refused because a client was too fast.
        rate_limited: Counter = "rate_limited";
        /// Acknowledgements of stored messages.
        acks: Counter = "acks";
        /// Events delivered to a room or a conversation on this shard.
        broadcasts: Counter = "broadcasts";
        /// Events delivered to single connections.
        deliveries: Counter = "deliveries";
        /// Bytes that wait for slow sockets now.
        outbox_bytes: Gauge = "outbox_bytes";
        /// Connections with bytes waiting for a slow socket now.
        outboxes: Gauge = "outboxes";
        /// Bytes that wait for the slowest sockets, one of each shard: at most so many.
        outbox_largest: Gauge = "outbox_largest_bytes";
        /// Connections to which something of a room is not given before they have read what waits, now.
        lagging: Gauge = "lagging";
        /// Times that a member of a room became too slow for its live events and was to read its log.
        lags: Counter = "lags";
        /// Notices that slow members were not given; they are told anew who is there.
        notices_left_out: Counter = "notices_left_out";
        /// Slow clients that were cut off because all of them together held too much.
        shed: Counter = "shed";
        /// Rooms in memory now.
        rooms: Gauge = "rooms";
        /// Rooms that left memory.
        rooms_vacated: Counter = "rooms_vacated";
        /// Questions of rooms to the store about their logs; one may serve many clients.
        store_reads: Counter = "store_reads";
        /// Resumes that could not be exact, by the reason's word.
        inexact_resumes: ByWord = "inexact_resumes" ["reason"];
        /// Memberships of connections in rooms now.
        members: Gauge = "members";
        /// Mails from other threads that wait now.
        inbox: Gauge = "inbox";
        /// Entries of the timer wheel now.
        timers: Gauge = "timers";
        /// Panics that ended one connection.
        panics: Counter = "panics";
        /// Things that the periodic clean-up had to repair; not zero is a bug.
        stale_reaped: Counter = "stale_reaped";
        /// Turns of the shards' loops.
        turns: Counter = "turns";
        /// Duration of a turn, without the waiting for it.
        turn_duration: Durations = "turn_duration_seconds";
    }
}

instruments! {
    /// What the node counts outside its shards.
    NodeMetrics {
        /// HTTP requests and handshakes that were refused, by code word.
        refused: ByWord = "refused" ["code"];
        /// Connections refused before their first byte, by code word.
        turned_away: ByWord = "turned_away" ["code"];
        /// TLS handshakes that failed, by the reason's word.
        tls_failures: ByWord = "tls_failures" ["reason"];
        /// HTTP requests answered without an error.
        http_requests: SharedCounter = "http_requests";
        /// Transactions made durable.
        commits: Counter = "commits";
        /// Transactions that failed.
        commit_failures: Counter = "commit_failures";
        /// Messages per transaction.
        commit_batch: Sizes = "commit_batch_messages";
        /// Duration of a transaction.
        commit_duration: Durations = "commit_duration_seconds";
        /// Failures of the store, by code word.
        store_errors: ByWord = "store_errors" ["code"];
        /// Times that the history was found rewound while the node ran: a promoted standby, a backup.
        rewinds: SharedCounter = "rewinds";
        /// 1 if many sockets are written to in one system call, 0 if each by itself.
        io_uring: Gauge = "io_uring";
        /// Handshakes and questions to the store that are under way; counted once a second.
        tasks: Gauge = "tasks";
        /// Events for webhooks, without messages, by type.
        webhook_events: ByWord = "webhook_events" ["type"];
        /// Deliveries to webhooks, by outcome: `delivered`, or why not.
        webhook_deliveries: ByWord = "webhook_deliveries" ["outcome"];
        /// Events that became dead letters; they can be replayed.
        webhook_dead: SharedCounter = "webhook_dead_letters";
        /// Events for webhooks that were lost because too many waited.
        webhook_dropped: SharedCounter = "webhook_events_dropped";
        /// Acts that the audit log has not taken.
        audit_lost: SharedCounter = "audit_lost";
        /// 1 if the audit log cannot be written, so that nothing can be administered; else 0.
        audit_failing: Gauge = "audit_failing";
        /// Questions to hooks, by outcome: `allowed`, `denied`, `rewritten`, `down`, or why there was no answer.
        hook_calls: ByWord = "hook_calls" ["outcome"];
        /// Messages that wait for the store now.
        commit_queue: Gauge = "commit_queue_messages";
    }
}

impl ShardMetrics {
    /// Counts the end of a connection.
    pub fn closed(&self, reason: &'static str) {
        self.closes.inc(reason);
        match reason {
            word if word == ErrorCode::SlowConsumer.word() => self.evicted_slow.inc(),
            word if word == ErrorCode::HeartbeatTimeout.word() => self.evicted_heartbeat.inc(),
            _ => {}
        }
    }

    /// Counts a command.
    pub fn command(&self, name: &'static str) {
        self.commands.inc(name);
    }

    /// Counts an error that a client was told.
    pub fn error(&self, code: ErrorCode) {
        self.errors.inc(code.word());
        if code == ErrorCode::RateLimited {
            self.rate_limited.inc();
        }
    }
}

/// All instruments of a node.
#[derive(Debug)]
pub struct Metrics {
    shards: Vec<Arc<ShardMetrics>>,
    node: [Arc<NodeMetrics>; 1],
}

impl Metrics {
    /// Builds instruments for `shards` shards.
    #[must_use]
    pub fn new(shards: usize) -> Arc<Self> {
        let shards = (0..shards).map(|_| Arc::default()).collect();
        Arc::new(Self { shards, node: [Arc::default()] })
    }

    /// Returns the instruments of a shard.
    ///
    /// # Panics
    /// If there is no such shard.
    #[must_use]
    pub fn shard(&self, index: usize) -> Arc<ShardMetrics> {
        Arc::clone(&self.shards[index])
    }

    /// Returns the instruments of the node.
    #[must_use]
    pub fn node(&self) -> &NodeMetrics {
        &self.node[0]
    }

    /// Returns how many WebSocket connections are open.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shards.iter().map(|shard| shard.connections.get()).sum()
    }

    /// Returns how many bytes wait for slow sockets.
    #[must_use]
    pub fn outbox_bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.outbox_bytes.get()).sum()
    }

    /// Counts a failure of the store.
    pub fn store_error(&self, error: StoreError) {
        self.node().store_errors.inc(crate::commit::error_code(error).word());
    }

    /// Notes one transaction. Only the committer calls this.
    pub fn commit(&self, messages: usize, elapsed_ns: u64, is_durable: bool) {
        let node = self.node();
        if is_durable {
            node.commits.inc();
        } else {
            node.commit_failures.inc();
        }
        node.commit_batch.observe(messages as u64);
        node.commit_duration.observe_ns(elapsed_ns);
    }

    /// Writes all metrics in the OpenMetrics text format.
    #[must_use]
    pub fn scrape(self: &Arc<Self>) -> String {
        let mut registry = Registry::with_prefix("parlour");
        registry.register_collector(Box::new(Arc::clone(self)));
        let mut out = String::with_capacity(16 * 1024);
        // Writing to a String does not fail.
        let _ = text::encode(&mut out, &registry);
        out
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        ShardMetrics::export(&self.shards, &mut encoder)?;
        NodeMetrics::export(&self.node, &mut encoder)?;
        process::export(&mut encoder)
    }
}

/// Writes the reference page `docs/metrics.md`.
#[must_use]
pub fn reference() -> String {
    let mut page = String::from(
        "# Metrics\n\n\
         Served on the administration address under `/metrics` in the OpenMetrics text format.\n\
         This page is generated from `crates/server/src/metrics.rs`.\n\n\
         | name | type | label | meaning |\n|---|---|---|---|\n",
    );
    let rows = ShardMetrics::ROWS.iter().chain(NodeMetrics::ROWS).chain(process::ROWS);
    rows.for_each(|row| page.push_str(&row.markdown()));
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_sums_the_shards() {
        let metrics = Metrics::new(2);
        metrics.shard(0).connections.add(3);
        metrics.shard(1).connections.add(4);
        metrics.shard(0).error(ErrorCode::RateLimited);
        metrics.shard(1).error(ErrorCode::RateLimited);
        metrics.commit(5, 3_000_000, true);
        let page = metrics.scrape();
        for line in [
            "parlour_connections 7",
            "parlour_errors_total{code=\"rate_limited\"} 2",
            "parlour_rate_limited_total 2",
            "parlour_commit_batch_messages_bucket{le=\"8.0\"} 1",
            "parlour_commit_batch_messages_sum 5.0",
            "parlour_commit_duration_seconds_bucket{le=\"0.0025\"} 0",
            "parlour_commit_duration_seconds_bucket{le=\"+Inf\"} 1",
            "parlour_commits_total 1",
            "# EOF",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} is missing in\n{page}");
        }
    }

    #[test]
    fn names_are_unique() {
        let rows = ShardMetrics::ROWS.iter().chain(NodeMetrics::ROWS).chain(process::ROWS);
        let mut names: Vec<_> = rows.map(|row| row.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn the_reference_page_is_current() {
        crate::generated::check("docs/metrics.md", &reference());
    }
}
