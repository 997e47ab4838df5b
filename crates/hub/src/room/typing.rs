//! Who is typing. Notices expire by themselves and are told once per change.

use parlour_protocol::UserId;

/// The users who are typing, with their deadlines.
#[derive(Debug, Default)]
pub struct Typing(Vec<(UserId, u64)>);

impl Typing {
    /// Notes that a user types until `until_ms`; returns whether that is news.
    pub fn start(&mut self, user: &UserId, until_ms: u64) -> bool {
        match self.0.iter_mut().find(|(typist, _)| typist == user) {
            Some((_, deadline)) => {
                *deadline = until_ms;
                false
            }
            None => {
                self.0.push((user.clone(), until_ms));
                true
            }
        }
    }

    /// Notes that a user stopped; returns whether that is news.
    pub fn stop(&mut self, user: &UserId) -> bool {
        let before = self.0.len();
        self.0.retain(|(typist, _)| typist != user);
        self.0.len() < before
    }

    /// Removes and returns the users whose notice has expired.
    pub fn expire(&mut self, now_ms: u64) -> Vec<UserId> {
        self.0.extract_if(.., |(_, deadline)| *deadline <= now_ms).map(|(user, _)| user).collect()
    }

    /// Returns the earliest deadline.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        self.0.iter().map(|(_, deadline)| *deadline).min()
    }
}
