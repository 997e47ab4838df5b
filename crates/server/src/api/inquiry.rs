//! Questions that every shard answers.

use std::time::Duration;

use parlour_protocol::{ErrorCode, Refusal};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::inbox::{Inquiry, Mail};
use crate::node::Node;

/// How long the answers are waited for. A shard that is alive answers within its turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// What somebody is told to wait when too much is asked, in milliseconds.
const CROWDED_RETRY_MS: u32 = 1_000;

impl Node {
    /// Asks every shard, and waits for all answers, in the order of the shards.
    ///
    /// # Errors
    /// `overloaded` if a shard has no time.
    pub(crate) async fn inquire<T>(
        &self,
        question: impl Fn(oneshot::Sender<T>) -> Inquiry,
    ) -> Result<Vec<T>, Refusal> {
        let overloaded = || Refusal::retry_after(ErrorCode::Overloaded, CROWDED_RETRY_MS);
        if self.inboxes.iter().any(|inbox| inbox.is_crowded()) {
            return Err(overloaded());
        }
        let until = Instant::now() + PATIENCE;
        let asked = self.inboxes.iter().map(|inbox| {
            let (answer, receiver) = oneshot::channel();
            inbox.post(Mail::Inquiry(question(answer)));
            receiver
        });
        let mut answers = Vec::with_capacity(self.inboxes.len());
        for receiver in asked.collect::<Vec<_>>() {
            let answer = timeout_at(until, receiver).await.ok().and_then(Result::ok);
            answers.push(answer.ok_or_else(overloaded)?);
        }
        Ok(answers)
    }
}

/// Adds up what the shards have counted, place by place.
pub(super) fn sums(length: usize, counts: impl IntoIterator<Item = Vec<u32>>) -> Vec<u32> {
    counts.into_iter().fold(vec![0; length], |mut sums, counts| {
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        sums
    })
}
