//! Faults and bugs that a test plants: by a message in development mode, or by a variable of the
//! environment. Compiled only with the feature `failpoints`, which no release has.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use parlour_hub::input::Caller;
use parlour_protocol::dialect::Payload;
use parlour_protocol::{Position, Seq, UserId};

use crate::clock::WALL_OFFSET_MS;
use crate::config::Config;

/// Names the bug of this process, by one of the words of [`Plant`].
const VARIABLE: &str = "PARLOUR_PLANT";
/// Whom a planted server takes everybody for who comes back: the owner of the checker's rooms.
const OWNER: &str = "keeper";
/// Every so many deliveries one is left out.
const SKIP: u32 = 11;

/// A bug that the checker must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plant {
    AckBeforeCommit,
    BroadcastBeforeCommit,
    /// What does not fit is left out, and nobody is told.
    SkipWhenFull,
    /// A cid is not recognised.
    NoDedup,
    ResumeLosesOne,
    ResumeDoublesOne,
    /// A database that was put back keeps its epochs.
    EpochKept,
    /// Who comes back is not asked for a role.
    MembershipUnchecked,
}

/// Whether this process has a bug.
pub(crate) fn planted(plant: Plant) -> bool {
    static PLANTED: OnceLock<Option<Plant>> = OnceLock::new();
    *PLANTED.get_or_init(|| read(&std::env::var(VARIABLE).ok()?)) == Some(plant)
}

#[expect(clippy::panic, reason = "a misspelt bug would be found by no checker")]
fn read(word: &str) -> Option<Plant> {
    Some(match word {
        "" => return None,
        "ack-before-commit" => Plant::AckBeforeCommit,
        "broadcast-before-commit" => Plant::BroadcastBeforeCommit,
        "skip-when-full" => Plant::SkipWhenFull,
        "no-dedup" => Plant::NoDedup,
        "resume-loses-one" => Plant::ResumeLosesOne,
        "resume-doubles-one" => Plant::ResumeDoublesOne,
        "epoch-kept" => Plant::EpochKept,
        "membership-unchecked" => Plant::MembershipUnchecked,
        _ => panic!("{VARIABLE}: there is no bug {word}"),
    })
}

/// Changes how somebody enters a room.
pub(super) fn misjoin(mut caller: Caller, mut since: Option<Position>) -> (Caller, Option<Position>) {
    if let Some(since) = &mut since {
        if planted(Plant::ResumeLosesOne) {
            since.seq = since.seq.next();
        }
        if planted(Plant::ResumeDoublesOne) {
            since.seq = Seq(since.seq.0.saturating_sub(1));
        }
        if planted(Plant::MembershipUnchecked) {
            caller.user = UserId::parse(OWNER).expect("letters");
        }
    }
    (caller, since)
}

/// Whether a batch is left out for one of its recipients.
pub(super) fn skips() -> bool {
    thread_local!(static COUNT: Cell<u32> = const { Cell::new(0) });
    planted(Plant::SkipWhenFull) && {
        COUNT.set(COUNT.get().wrapping_add(1));
        COUNT.get().is_multiple_of(SKIP)
    }
}

/// Panics on `!panic`, holds the shard's thread up on `!stall` and a number of milliseconds, and puts
/// the wall clock so many milliseconds forward on `!clock`.
#[expect(clippy::panic, reason = "that is what it is for")]
pub(super) fn reach(config: &Config, payload: Payload<'_>) {
    let Payload::Text(text) = payload else { return };
    if !config.dev {
        return;
    }
    if text == "!panic" {
        panic!("a planted fault");
    }
    if let Some(ms) = text.strip_prefix("!stall ").and_then(|ms| ms.parse().ok()) {
        std::thread::sleep(Duration::from_millis(ms));
    }
    if let Some(ms) = text.strip_prefix("!clock ").and_then(|ms| ms.parse().ok()) {
        WALL_OFFSET_MS.store(ms, Relaxed);
    }
}
