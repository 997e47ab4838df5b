//! Slow mode: each user says one thing in a while. Kept in memory only, so a room that nobody is in
//! forgets it, and so does a restart.

use std::collections::BTreeMap;

use compact_str::CompactString;
use parlour_protocol::content::Content;
use parlour_protocol::{ErrorCode, Refusal, UserId};

use super::{Room, Scene};
use crate::input::Caller;
use crate::log::NewEntry;
use crate::rights::Action;

/// When each user has said something last.
#[derive(Debug, Default)]
pub(super) struct Slow {
    last: BTreeMap<UserId, Last>,
    /// Those who need not wait any more are forgotten when there are so many.
    crowded_at: usize,
}

#[derive(Debug)]
struct Last {
    at_ms: u64,
    /// Saying the same once more is a repetition, which stores nothing.
    cid: Option<CompactString>,
}

/// Users that are remembered without looking for those who need not be.
const FEW: usize = 64;

impl Slow {
    /// Notes that a user says something.
    ///
    /// # Errors
    /// How long the user has to wait, in milliseconds.
    fn check(
        &mut self,
        user: &UserId,
        cid: Option<&CompactString>,
        slow_ms: u64,
        now_ms: u64,
    ) -> Result<(), u64> {
        if let Some(last) = self.last.get(user) {
            let next_ms = last.at_ms + slow_ms;
            if last.cid.is_some() && last.cid.as_ref() == cid {
                return Ok(());
            }
            if now_ms < next_ms {
                return Err(next_ms - now_ms);
            }
        }
        if self.last.len() >= self.crowded_at.max(FEW) {
            self.last.retain(|_, last| now_ms < last.at_ms + slow_ms);
            self.crowded_at = 2 * self.last.len();
        }
        self.last.insert(user.clone(), Last { at_ms: now_ms, cid: cid.cloned() });
        Ok(())
    }

    /// Forgets what was not stored after all.
    pub(super) fn forget(&mut self, user: &UserId) {
        self.last.remove(user);
    }
}

impl Room {
    /// Checks that somebody does not speak too often.
    ///
    /// # Errors
    /// `rate_limited` with the time to wait; `forbidden` for more than one message at once.
    pub(super) fn slow_down(
        &mut self,
        scene: Scene<'_>,
        caller: &Caller,
        entries: &[NewEntry],
    ) -> Result<(), Refusal> {
        let slow_ms = self.state.settings.slow_ms.unwrap_or(0);
        let mut said = entries.iter().filter(|entry| matches!(entry.content, Content::Message(_)));
        let Some(first) = said.next().filter(|_| slow_ms > 0) else {
            return Ok(());
        };
        if self.may(caller, Action::Moderate) {
            return Ok(());
        }
        if said.next().is_some() {
            let rule = "this room is slow: one message at a time";
            return Err(Refusal::because(ErrorCode::Forbidden, rule));
        }
        let slow = self.time.slow.get_or_insert_default();
        let checked = slow.check(&caller.user, first.cid.as_ref(), slow_ms.into(), scene.now.mono_ms);
        checked.map_err(|wait_ms| Refusal {
            message: format!("this room is slow: one message in {} s", slow_ms.div_ceil(1_000)).into(),
            ..Refusal::retry_after(ErrorCode::RateLimited, u32::try_from(wait_ms).unwrap_or(u32::MAX))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        UserId::parse(name).expect("valid")
    }

    #[test]
    fn everybody_waits_for_themselves_and_a_repetition_does_not() {
        let (mut slow, ann, bob) = (Slow::default(), user("Ann"), user("Bob"));
        let cid = Some(CompactString::from("c"));
        assert_eq!(slow.check(&ann, cid.as_ref(), 1_000, 0), Ok(()));
        assert_eq!(slow.check(&ann, None, 1_000, 400), Err(600));
        assert_eq!(slow.check(&bob, None, 1_000, 400), Ok(()));
        assert_eq!(slow.check(&ann, cid.as_ref(), 1_000, 400), Ok(()));
        assert_eq!(slow.check(&ann, None, 1_000, 1_000), Ok(()));
        slow.forget(&ann);
        assert_eq!(slow.check(&ann, None, 1_000, 1_001), Ok(()));
    }

    #[test]
    fn those_who_need_not_wait_are_forgotten() {
        let mut slow = Slow::default();
        for number in 0..10_000_u64 {
            assert_eq!(slow.check(&user(&format!("u{number}")), None, 50, number), Ok(()));
        }
        assert!(slow.last.len() <= 2 * FEW, "{}", slow.last.len());
    }
}
