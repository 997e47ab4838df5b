//! Mail of a shard: what has come and what goes to the others, by whole turns.

use std::collections::VecDeque;

use super::Shard;
use crate::inbox::Mail;

/// What has not been opened yet, and what has not been handed over yet.
#[derive(Debug)]
pub(super) struct Mails {
    /// In the order in which it came; what a turn has no time for stays for the next one.
    pub(super) come: VecDeque<Mail>,
    /// For each shard, what this turn has for it.
    leaving: Vec<Vec<Mail>>,
}

impl Mails {
    pub(super) fn new(shards: usize) -> Self {
        Self { come: VecDeque::new(), leaving: (0..shards).map(|_| Vec::new()).collect() }
    }
}

impl Shard {
    /// Sends a mail to a shard, perhaps this one, at the end of the turn.
    ///
    /// All mail of a turn for another shard is handed over together: one lock and one wake-up,
    /// however many messages the turn has broadcast.
    pub(super) fn post(&mut self, shard: usize, mail: Mail) {
        match shard == usize::from(self.id) {
            true => self.mails.come.push_back(mail),
            false => self.mails.leaving[shard].push(mail),
        }
    }

    /// Opens the mail that has come, as far as the turn goes. Returns whether the shard is to end.
    pub(super) fn open_mails(&mut self) -> bool {
        self.node.inboxes[usize::from(self.id)].take(&mut self.mails.come);
        let mut is_last = false;
        while (is_last || !self.pace.is_spent())
            && let Some(mail) = self.mails.come.pop_front()
        {
            is_last |= matches!(mail, Mail::Stop);
            self.open(mail);
        }
        is_last
    }

    /// Hands over what the turn has for other shards.
    pub(super) fn hand_over(&mut self) {
        for (inbox, leaving) in self.node.inboxes.iter().zip(&mut self.mails.leaving) {
            if !leaving.is_empty() {
                inbox.post_all(leaving.drain(..));
            }
        }
    }
}
