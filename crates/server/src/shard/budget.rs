//! The bound on all outboxes of the node together: beyond it, whoever lags most goes first.
//!
//! Each shard counts its own bytes, and any shard may read the counts of the others. So nothing is
//! shared that every write would have to touch; only a shard that finds the sum too large looks for
//! the largest outbox, and lets the shard that seems to have it do the same.

use parlour_protocol::ErrorCode;

use super::Shard;
use super::ending::Reason;
use crate::inbox::Mail;

impl Shard {
    /// Ends the connections with the largest outboxes until the node keeps within its bound, or
    /// another shard has a larger one.
    pub(super) fn keep_budget(&mut self) {
        loop {
            self.show_outboxes();
            // Who holds nothing has nothing to give.
            if self.output.tally.bytes.get() == 0 || !self.node.is_over_budget() {
                return;
            }
            let largest = self.measure_largest();
            let others = (0..self.node.inboxes.len()).filter(|shard| *shard != usize::from(self.id));
            let claims = others.map(|shard| (self.node.metrics.shard(shard).outbox_largest.get(), shard));
            let larger = claims.max().filter(|(bytes, _)| *bytes > largest.map_or(0, |(bytes, _)| bytes));
            match (larger, largest) {
                (Some((_, shard)), _) => return self.post(shard, Mail::KeepBudget),
                (None, Some((_, slot))) => {
                    self.metrics.shed.inc();
                    self.end(slot, Reason::Error(ErrorCode::SlowConsumer));
                }
                (None, None) => return,
            }
        }
    }

    /// Shows the other shards, and whoever watches, what waits here.
    pub(super) fn show_outboxes(&self) {
        self.metrics.outbox_bytes.set(self.output.tally.bytes.get());
        self.metrics.outboxes.set(self.output.tally.outboxes.get());
        self.metrics.outbox_largest.set(self.output.tally.largest.get());
    }

    /// Finds the connection for which most bytes wait, and which is not told goodbye yet.
    pub(super) fn measure_largest(&self) -> Option<(u64, u32)> {
        // Idle connections must not be looked at for nothing.
        let connections =
            (self.output.tally.bytes.get() > 0).then_some(&self.connections).into_iter().flatten();
        let live = connections.filter(|(_, connection)| connection.is_live());
        let outboxes = live.map(|(slot, connection)| (connection.outbox.bytes() as u64, slot as u32));
        let largest = outboxes.max().filter(|(bytes, _)| *bytes > 0);
        self.output.tally.largest.set(largest.map_or(0, |(bytes, _)| bytes));
        self.metrics.outbox_largest.set(self.output.tally.largest.get());
        largest
    }
}
