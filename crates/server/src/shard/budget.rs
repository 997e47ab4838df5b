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
        // Who holds nothing has nothing to give.
        while self.metrics.outbox_bytes.get() > 0 && self.node.is_over_budget() {
            let largest = self.largest_outbox();
            self.metrics.outbox_largest.set(largest.map_or(0, |(bytes, _)| bytes));
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

    /// Finds the connection for which most bytes wait, and is not told goodbye yet.
    pub(super) fn largest_outbox(&self) -> Option<(u64, u32)> {
        if self.metrics.outbox_bytes.get() == 0 {
            return None;
        }
        let lagging = self.connections.iter().filter(|(_, connection)| connection.is_live());
        let outboxes = lagging.map(|(slot, connection)| (connection.outbox.bytes() as u64, slot as u32));
        outboxes.max().filter(|(bytes, _)| *bytes > 0)
    }
}
