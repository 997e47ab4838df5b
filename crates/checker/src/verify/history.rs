//! P2, P4, P6, P16, P22: the history itself.

use std::collections::HashMap;

use super::{Case, key_of};
use crate::record::{Content, Entry, History};
use crate::violation::Violation;

pub(super) fn check(case: &Case<'_>, out: &mut Vec<Violation>) {
    for history in case.histories.values() {
        check_numbers(history, out);
        check_origin(case, history, out);
        check_fold(history, out);
    }
    check_acks(case, out);
}

/// No holes, and times that do not go back.
fn check_numbers(history: &History, out: &mut Vec<Violation>) {
    let room = || history.room.clone();
    let (mut after, mut before) = (history.floor, i64::MIN);
    for entry in &history.entries {
        if entry.seq != after + 1 {
            out.push(Violation::Hole { room: room(), after, next: entry.seq });
        }
        if entry.ts < before {
            out.push(Violation::TimeWentBack { room: room(), seq: entry.seq, ts: entry.ts, before });
        }
        (after, before) = (entry.seq, entry.ts);
    }
    if after < history.head {
        out.push(Violation::ShortHistory { room: room(), head: history.head, last: after });
    }
}

/// Each entry was said by somebody, says what was said, and is there once.
fn check_origin(case: &Case<'_>, history: &History, out: &mut Vec<Violation>) {
    let mut first = HashMap::new();
    for entry in &history.entries {
        // What creating a room does beside is one entry under the cid, and the rest without.
        let is_said = !matches!(entry.content, Content::Settings { .. } | Content::Role { .. });
        let Some(key) = key_of(entry) else {
            if is_said {
                out.push(never_said(entry));
            }
            continue;
        };
        if let Some(first) = first.insert(key, entry.seq) {
            let (room, sender, cid) = (key.0.to_owned(), key.1.to_owned(), key.2.to_owned());
            out.push(Violation::StoredTwice { room, sender, cid, first, second: entry.seq });
        }
        match case.sayings.get(&key) {
            None => out.push(never_said(entry)),
            Some(saying) => {
                if let Some(code) = saying.refused {
                    let (worker, room) = (saying.worker.to_owned(), entry.room.clone());
                    let (cid, code) = (key.2.to_owned(), code.to_owned());
                    out.push(Violation::RefusedButStored { worker, room, cid, code, seq: entry.seq });
                }
                if !comes_from(&entry.content, &saying.said.content) {
                    out.push(garbled(entry, "the history", &saying.said.content));
                }
            }
        }
    }
}

/// Whether an entry may be what became of a saying.
pub(super) fn comes_from(content: &Content, said: &Content) -> bool {
    match (content, said) {
        (Content::Message { text, edited: None, deleted: None }, Content::Message { text: said, .. })
        | (Content::Edit { text: Some(text), .. }, Content::Edit { text: Some(said), .. })
            if text != said =>
        {
            false
        }
        _ => content.lasting() == said.lasting(),
    }
}

/// Says that somebody has an entry otherwise than it was said.
pub(super) fn garbled(entry: &Entry, by: &str, said: &Content) -> Violation {
    Violation::Garbled {
        room: entry.room.clone(),
        seq: entry.seq,
        by: by.to_owned(),
        found: shown(&entry.content),
        expected: shown(said),
    }
}

pub(super) fn shown(content: &Content) -> String {
    match content {
        Content::Message { text, edited: None, deleted: None } => text.clone(),
        Content::Edit { text: Some(text), target } => format!("{text} (edit of {target})"),
        other => format!("{other:?}"),
    }
}

fn never_said(entry: &Entry) -> Violation {
    Violation::NeverSaid { room: entry.room.clone(), seq: entry.seq, entry: entry.lasting() }
}

/// Messages show what later entries made of them, and what was replaced is nowhere.
fn check_fold(history: &History, out: &mut Vec<Violation>) {
    let (mut edits, mut deletions) = (HashMap::new(), HashMap::new());
    for entry in &history.entries {
        match &entry.content {
            Content::Edit { target, .. } => drop(edits.insert(*target, entry)),
            Content::Delete { target } => drop(deletions.insert(*target, entry.seq)),
            _ => {}
        }
    }
    for entry in &history.entries {
        if let Some(problem) = folded(entry, &edits, &deletions) {
            out.push(Violation::Fold { room: history.room.clone(), seq: entry.seq, problem });
        }
    }
}

fn folded(entry: &Entry, edits: &HashMap<u64, &Entry>, deletions: &HashMap<u64, u64>) -> Option<String> {
    match &entry.content {
        Content::Message { text, edited, deleted } => {
            let erased = deletions.get(&entry.seq).copied();
            if *deleted != erased {
                return Some(format!("its deletion is {erased:?}, but it shows {deleted:?}"));
            }
            if erased.is_some() {
                return (!text.is_empty()).then(|| "it was erased, but its text is there".to_owned());
            }
            let last = edits.get(&entry.seq);
            if *edited != last.map(|edit| edit.seq) {
                return Some(format!("it shows the edit {edited:?} instead of {:?}", last.map(|e| e.seq)));
            }
            let Content::Edit { text: Some(new), .. } = &last?.content else {
                return Some("the edit that it shows has no text".to_owned());
            };
            (new != text).then(|| format!("it shows \"{text}\" instead of \"{new}\""))
        }
        Content::Edit { target, text: Some(_) } => {
            let is_current = edits.get(target).is_some_and(|last| last.seq == entry.seq);
            match deletions.contains_key(target) || !is_current {
                true => Some("the old text of an edit is still there".to_owned()),
                false => None,
            }
        }
        _ => None,
    }
}

/// What was acknowledged is there, under the number that was told.
fn check_acks(case: &Case<'_>, out: &mut Vec<Violation>) {
    for (key, saying) in &case.sayings {
        let (Some(ack), Some(history)) = (saying.acked, case.histories.get(key.0)) else {
            continue;
        };
        let (worker, room, cid) = (saying.worker.to_owned(), key.0.to_owned(), key.2.to_owned());
        match case.stored.get(key) {
            Some(entry) if entry.seq != ack.seq && ack.epoch == history.epoch => {
                let (acked, stored) = (ack.seq, entry.seq);
                out.push(Violation::AckedElsewhere { worker, room, cid, acked, stored });
            }
            None if is_repeated(history, &saying.said.content, key.1, ack.seq) => {}
            None if ack.seq > history.floor && !case.is_rewound(key) => {
                out.push(Violation::AckedButMissing { worker, room, cid, seq: ack.seq });
            }
            _ => {}
        }
    }
}

/// Whether somebody reacted who had done so already: the answer names the entry that did it.
fn is_repeated(history: &History, said: &Content, user: &str, seq: u64) -> bool {
    matches!(said, Content::Reaction { .. })
        && history
            .at(seq)
            .is_some_and(|entry| entry.sender == user && entry.content.lasting() == said.lasting())
}
