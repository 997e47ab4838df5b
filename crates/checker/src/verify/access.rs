//! P21: nothing of a private room reaches a user after the removal.

use std::collections::HashMap;

use super::Case;
use crate::record::{Content, History, Log, Record};
use crate::violation::Violation;

pub(super) fn check(case: &Case<'_>, out: &mut Vec<Violation>) {
    for history in case.histories.values() {
        let removed = removed_for_good(history);
        for log in case.logs {
            if let Some(removal) = removed.get(log.user.as_str()) {
                check_log(log, history, *removal, out);
            }
        }
    }
}

/// Returns since when users have no place in a private room. Who got one again may have been sent
/// all of it then, so they are left out.
fn removed_for_good(history: &History) -> HashMap<&str, u64> {
    let (mut is_private, mut removed) = (false, HashMap::new());
    for entry in &history.entries {
        match &entry.content {
            Content::Settings { private: Some(private) } => is_private = *private,
            Content::Role { user, role: None } => drop(removed.insert(user.as_str(), entry.seq)),
            Content::Role { user, role: Some(_) } => drop(removed.remove(user.as_str())),
            _ => {}
        }
    }
    if is_private { removed } else { HashMap::new() }
}

fn check_log(log: &Log, history: &History, removed: u64, out: &mut Vec<Violation>) {
    let mut is_current = false;
    for record in &log.records {
        match record {
            Record::Joined(joined) if joined.room == history.room => {
                is_current = joined.epoch == history.epoch;
            }
            Record::Seen(entry) if is_current && entry.room == history.room && entry.seq > removed => {
                let (worker, room, seq) = (log.worker.clone(), entry.room.clone(), entry.seq);
                out.push(Violation::ReadAfterRemoval { worker, room, removed, seq });
            }
            _ => {}
        }
    }
}
