//! P8, P10, P22: what a worker was sent is the log, entry by entry, over all its connections.

use std::collections::HashMap;

use super::history::{comes_from, garbled, shown};
use super::{Case, key_of};
use crate::record::{Content, Entry, History, Joined, Log, Record};
use crate::violation::Violation;

/// Where a worker is in each of its rooms.
#[derive(Debug, Default)]
pub(super) struct Walk<'a>(HashMap<&'a str, Place>);

#[derive(Debug, Clone, Default)]
struct Place {
    /// Unknown between a change that does not tell it and the next join.
    epoch: Option<String>,
    /// The number that must come next.
    next: u64,
}

impl<'a> Walk<'a> {
    /// Follows a record.
    pub(super) fn step(&mut self, record: &'a Record) {
        match record {
            Record::Joined(joined) => {
                let next = match (&joined.since, joined.recovered) {
                    (Some((_, seq)), true) => seq + 1,
                    _ => (joined.head + 1).saturating_sub(joined.replayed),
                };
                self.0.insert(&joined.room, Place { epoch: Some(joined.epoch.clone()), next });
            }
            Record::Seen(entry) => {
                let place = self.0.entry(&entry.room).or_default();
                place.next = place.next.max(entry.seq + 1);
            }
            Record::Resynced { room, epoch, head } => {
                let place = self.0.entry(room).or_default();
                if let Some(head) = head {
                    *place = Place { epoch: epoch.clone(), next: head + 1 };
                }
            }
            _ => {}
        }
    }

    pub(super) fn epoch(&self, room: &str) -> Option<&str> {
        self.0.get(room)?.epoch.as_deref()
    }

    fn next(&self, room: &str) -> Option<u64> {
        self.0.get(room).map(|place| place.next)
    }
}

pub(super) fn check(case: &Case<'_>, out: &mut Vec<Violation>) {
    case.logs.iter().for_each(|log| check_log(case, log, out));
}

fn check_log(case: &Case<'_>, log: &Log, out: &mut Vec<Violation>) {
    let mut walk = Walk::default();
    for record in &log.records {
        match record {
            Record::Joined(joined) => check_joined(case, log, &walk, joined, out),
            Record::Seen(entry) => {
                check_step(log, &walk, entry, out);
                check_entry(case, log, &walk, entry, out);
            }
            Record::Resynced { room, epoch: Some(to), head: Some(_) } => {
                check_epoch(case, &walk, room, to, out);
            }
            Record::Stayed { room } => check_end(case, log, &walk, room, out),
            _ => {}
        }
        walk.step(record);
    }
}

fn check_epoch(case: &Case<'_>, walk: &Walk<'_>, room: &str, to: &str, out: &mut Vec<Violation>) {
    if let Some(from) = walk.epoch(room).filter(|from| *from != to && !case.allowed.rewinds) {
        let (from, to) = (from.to_owned(), to.to_owned());
        out.push(Violation::EpochChanged { room: room.to_owned(), from, to });
    }
}

fn check_joined(case: &Case<'_>, log: &Log, walk: &Walk<'_>, joined: &Joined, out: &mut Vec<Violation>) {
    check_epoch(case, walk, &joined.room, &joined.epoch, out);
    let Some((epoch, since)) = &joined.since else {
        return;
    };
    let arrives_at = since + joined.replayed + joined.behind;
    let problem = if joined.recovered && *epoch != joined.epoch {
        format!("it is said to go on after {epoch}/{since}, but the epoch is {}", joined.epoch)
    } else if joined.recovered && arrives_at != joined.head {
        format!("{} entries after {since} do not lead to {}", joined.replayed + joined.behind, joined.head)
    } else if joined.recovered
        || *epoch != joined.epoch
        || *since < joined.floor
        || (case.allowed.rewinds && *since > joined.head)
    {
        return;
    } else {
        format!(
            "{since} is between {} and {}, but it was refused: {:?}",
            joined.floor, joined.head, joined.reason
        )
    };
    out.push(Violation::FalseResume { worker: log.worker.clone(), room: joined.room.clone(), problem });
}

fn check_step(log: &Log, walk: &Walk<'_>, entry: &Entry, out: &mut Vec<Violation>) {
    let Some(expected) = walk.next(&entry.room).filter(|expected| *expected != entry.seq) else {
        return;
    };
    let (worker, room, got) = (log.worker.clone(), entry.room.clone(), entry.seq);
    out.push(match got > expected {
        true => Violation::Skipped { worker, room, expected, got },
        false => Violation::Doubled { worker, room, expected, got },
    });
}

/// Compares what was sent with the history, as far as both tell of the same lineage.
fn check_entry(case: &Case<'_>, log: &Log, walk: &Walk<'_>, entry: &Entry, out: &mut Vec<Violation>) {
    if let Some(saying) = key_of(entry).and_then(|key| case.sayings.get(&key))
        && !comes_from(&entry.content, &saying.said.content)
    {
        out.push(garbled(entry, &log.worker, &saying.said.content));
    }
    let Some(history) = case.histories.get(entry.room.as_str()) else {
        return;
    };
    if walk.epoch(&entry.room) != Some(&history.epoch) || entry.seq <= history.floor {
        return;
    }
    match history.at(entry.seq) {
        Some(kept) if kept.lasting() == entry.lasting() => {
            if !leads_to(case, history, entry, kept) {
                let (found, expected) = (shown(&entry.content), shown(&kept.content));
                let (room, by) = (entry.room.clone(), log.worker.clone());
                out.push(Violation::Garbled { room, seq: entry.seq, by, found, expected });
            }
        }
        _ => out.push(Violation::Phantom {
            worker: log.worker.clone(),
            room: entry.room.clone(),
            seq: entry.seq,
            entry: entry.lasting(),
        }),
    }
}

/// Whether later entries of the history explain how what was sent became what is kept.
fn leads_to(case: &Case<'_>, history: &History, sent: &Entry, kept: &Entry) -> bool {
    let (
        Content::Message { text, edited, deleted },
        Content::Message { text: kept_text, edited: kept_edited, deleted: kept_deleted },
    ) = (&sent.content, &kept.content)
    else {
        return match (&sent.content, &kept.content) {
            (Content::Edit { text: None, .. }, Content::Edit { text, .. }) => text.is_none(),
            (Content::Edit { text: Some(text), .. }, Content::Edit { text: Some(kept), .. }) => text == kept,
            _ => true,
        };
    };
    if deleted.is_some() {
        return deleted == kept_deleted && text.is_empty();
    }
    if edited == kept_edited && kept_deleted.is_none() {
        return text == kept_text;
    }
    // The original text was compared with what was said.
    edited.is_none_or(|edit| was_edited(case, history, sent, edit, text))
}

/// Whether an entry gave a message this text, once.
fn was_edited(case: &Case<'_>, history: &History, sent: &Entry, edit: u64, text: &str) -> bool {
    let Some(edit) = history.at(edit) else {
        return false;
    };
    let said = key_of(edit).and_then(|key| case.sayings.get(&key)).map(|saying| &saying.said.content);
    let is_of_it = matches!(edit.content, Content::Edit { target, .. } if target == sent.seq);
    is_of_it && !matches!(said, Some(Content::Edit { text: Some(said), .. }) if said != text)
}

/// Whoever stayed to the end has seen everything, or been told that it is another history.
fn check_end(case: &Case<'_>, log: &Log, walk: &Walk<'_>, room: &str, out: &mut Vec<Violation>) {
    let (Some(history), Some(next)) = (case.histories.get(room), walk.next(room)) else {
        return;
    };
    let (worker, room) = (log.worker.clone(), room.to_owned());
    match walk.epoch(&room) {
        Some(epoch) if epoch != history.epoch => {
            let (epoch, current) = (epoch.to_owned(), history.epoch.clone());
            out.push(Violation::Uninformed { worker, room, epoch, current });
        }
        _ if next <= history.head => {
            out.push(Violation::FellShort { worker, room, last: next - 1, head: history.head });
        }
        _ => {}
    }
}
