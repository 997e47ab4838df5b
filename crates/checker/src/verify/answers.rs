//! P7: every request is answered exactly once, unless its connection is lost; and in the end
//! everything that was said is stored, or refused for good.

use std::collections::{HashMap, HashSet};

use super::Case;
use crate::record::{Log, Record};
use crate::violation::Violation;

pub(super) fn check(case: &Case<'_>, out: &mut Vec<Violation>) {
    case.logs.iter().for_each(|log| check_log(log, out));
    case.logs.iter().for_each(|log| check_end(case, log, out));
}

/// Whoever stayed to the end knows what became of all that it said.
fn check_end(case: &Case<'_>, log: &Log, out: &mut Vec<Violation>) {
    let stayed = |room: &str| {
        log.records.iter().any(|r| matches!(r, Record::Stayed { room: stayed } if stayed == room))
    };
    for ((room, user, cid), saying) in &case.sayings {
        if *user == log.user && saying.acked.is_none() && saying.refused.is_none() && stayed(room) {
            let (worker, room, cid) = (log.worker.clone(), (*room).to_owned(), (*cid).to_owned());
            out.push(Violation::NeverSettled { worker, room, cid });
        }
    }
}

fn check_log(log: &Log, out: &mut Vec<Violation>) {
    let (mut answers, mut lost, mut asked) = (HashMap::new(), HashSet::new(), Vec::new());
    let worker = || log.worker.clone();
    for record in &log.records {
        match record {
            Record::Sent { life, id, .. } => {
                asked.push((*life, *id));
                answers.insert((*life, *id), 0_u32);
            }
            Record::Answered { life, id, .. } => match answers.get_mut(&(*life, *id)) {
                None => out.push(Violation::NotAsked { worker: worker(), life: *life, id: *id }),
                Some(count) => {
                    *count += 1;
                    if *count == 2 {
                        out.push(Violation::AnsweredTwice { worker: worker(), life: *life, id: *id });
                    }
                }
            },
            Record::Lost { life } => drop(lost.insert(*life)),
            _ => {}
        }
    }
    for (life, id) in asked {
        if answers.get(&(life, id)) == Some(&0) && !lost.contains(&life) {
            out.push(Violation::Unanswered { worker: worker(), life, id });
        }
    }
}
