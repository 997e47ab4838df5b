//! P3: the order of each sender, and that of real time.

use std::collections::HashMap;

use super::{Case, Key};
use crate::record::History;
use crate::violation::Violation;

pub(super) fn check(case: &Case<'_>, out: &mut Vec<Violation>) {
    for (worker, sayings) in &case.order {
        check_sender(case, worker, sayings, out);
    }
    case.histories.values().for_each(|history| check_real_time(case, history, out));
}

/// What one worker sends to a room is stored in that order, whatever was repeated in between.
fn check_sender(case: &Case<'_>, worker: &str, sayings: &[Key<'_>], out: &mut Vec<Violation>) {
    let mut last: HashMap<&str, (u64, &str)> = HashMap::new();
    for key in sayings {
        let Some(entry) = case.stored.get(key) else {
            continue;
        };
        let (seq, first) = last.get(key.0).copied().unwrap_or_default();
        if entry.seq < seq {
            out.push(Violation::SenderOrder {
                worker: worker.to_owned(),
                room: key.0.to_owned(),
                first: first.to_owned(),
                second: key.2.to_owned(),
            });
        } else {
            last.insert(key.0, (entry.seq, key.2));
        }
    }
}

/// Going back from the newest entry, no number is smaller than one that was acknowledged before its
/// own entry was sent.
fn check_real_time(case: &Case<'_>, history: &History, out: &mut Vec<Violation>) {
    let mut soonest: Option<(u64, &str)> = None;
    for entry in history.entries.iter().rev() {
        let is_first = |key: &Key<'_>| case.stored.get(key).is_some_and(|first| first.seq == entry.seq);
        let key = super::key_of(entry).filter(is_first);
        let Some(saying) = key.and_then(|key| case.sayings.get(&key)) else {
            continue;
        };
        let cid = saying.said.cid.as_str();
        if let Some((acked_us, earlier)) = soonest
            && acked_us < saying.sent_us
        {
            let (room, earlier) = (history.room.clone(), earlier.to_owned());
            out.push(Violation::RealTimeOrder { room, earlier, later: cid.to_owned() });
        }
        if let Some(ack) = saying.acked
            && soonest.is_none_or(|(acked_us, _)| ack.at_us < acked_us)
        {
            soonest = Some((ack.at_us, cid));
        }
    }
}
