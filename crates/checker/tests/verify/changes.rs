//! Messages that are changed and erased: what later entries explain, and what they do not.

use parlour_checker::Record;
use parlour_checker::record::Content;

use super::{Run, edit, entry, joined, message};

/// "a" is said, changed to "b" and then to "c"; what is kept shows it.
fn edited() -> Run {
    let mut run = Run::new();
    run.subscriber.records.push(Record::Joined(joined(None, 0, 0)));
    for (seq, cid, content) in [(1, "a", Content::text("a")), (2, "b", edit(1, "b")), (3, "c", edit(1, "c"))]
    {
        run.send(seq, cid, content.clone());
        run.ack(seq, seq);
        run.see(entry(seq, cid, content));
    }
    run.keep(entry(1, "a", message("c", Some(3), None)));
    run.keep(entry(2, "b", Content::Edit { target: 1, text: None }));
    run.keep(entry(3, "c", edit(1, "c")));
    run
}

#[test]
fn later_entries_explain_how_a_message_has_changed() {
    assert_eq!(edited().kinds(), [""; 0]);

    let mut midway = edited();
    midway.subscriber.records[1] = Record::Seen(entry(1, "a", message("b", Some(2), None)));
    assert_eq!(midway.kinds(), [""; 0], "as it was between the two edits");

    let mut invented = edited();
    invented.subscriber.records[1] = Record::Seen(entry(1, "a", message("x", Some(2), None)));
    assert_eq!(invented.kinds(), ["garbled"]);

    let mut stale = edited();
    stale.history.entries[0].content = message("b", Some(2), None);
    assert_eq!(stale.kinds(), ["fold"]);

    let mut kept = edited();
    kept.history.entries[1].content = edit(1, "b");
    assert_eq!(kept.kinds(), ["fold"], "the old text is still there");
}

#[test]
fn what_was_erased_is_nowhere() {
    let mut run = edited();
    run.send(4, "d", Content::Delete { target: 1 });
    run.ack(4, 4);
    run.keep(entry(4, "d", Content::Delete { target: 1 }));
    run.history.entries[0].content = message("", None, Some(4));
    run.history.entries[2].content = Content::Edit { target: 1, text: None };
    let mut remembered = Run { history: run.history.clone(), ..edited() };
    remembered.publisher = run.publisher.clone();
    remembered.history.entries[0].content = message("c", Some(3), Some(4));
    assert_eq!(run.kinds(), [""; 0]);
    assert_eq!(remembered.kinds(), ["fold"]);
}
