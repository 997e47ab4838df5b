//! P10: a position never means two things, not even in an epoch that is gone.

use std::collections::HashMap;

use super::Case;
use super::stream::Walk;
use crate::record::Record;
use crate::violation::Violation;

/// What is known of a position: who said it, and all of it if somebody has seen it.
struct Known<'a> {
    cid: &'a str,
    whole: Option<String>,
}

pub(super) fn check(case: &Case<'_>, out: &mut Vec<Violation>) {
    let mut places: HashMap<(&str, String, u64), Known<'_>> = HashMap::new();
    for log in case.logs {
        let mut walk = Walk::default();
        for record in &log.records {
            walk.step(record);
            let Record::Seen(entry) = record else {
                continue;
            };
            let Some(epoch) = walk.epoch(&entry.room) else {
                continue;
            };
            let cid = entry.cid.as_deref().unwrap_or_default();
            let found = Known { cid, whole: Some(entry.lasting()) };
            compare(&mut places, (&entry.room, epoch.to_owned(), entry.seq), found, out);
        }
    }
    for saying in case.sayings.values() {
        if let Some(ack) = saying.acked {
            let found = Known { cid: &saying.said.cid, whole: None };
            compare(&mut places, (&saying.said.room, ack.epoch.to_owned(), ack.seq), found, out);
        }
    }
}

fn compare<'a>(
    places: &mut HashMap<(&'a str, String, u64), Known<'a>>,
    place: (&'a str, String, u64),
    found: Known<'a>,
    out: &mut Vec<Violation>,
) {
    let Some(known) = places.get(&place) else {
        places.insert(place, found);
        return;
    };
    let differs = match (&known.whole, &found.whole) {
        (Some(known), Some(found)) => known != found,
        _ => known.cid != found.cid,
    };
    if differs {
        let shown = |known: &Known<'_>| known.whole.clone().unwrap_or_else(|| known.cid.to_owned());
        let (one, other) = (shown(known), shown(&found));
        let (room, epoch, seq) = (place.0.to_owned(), place.1, place.2);
        out.push(Violation::TwoContents { room, epoch, seq, one, other });
    }
}
