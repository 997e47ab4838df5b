//! Small logs written by hand: a clean run, and one for everything that a server can do wrong.

mod changes;

use parlour_checker::record::{Answer, Content, Entry, History, Joined, Log, Record, Said};
use parlour_checker::{Allowed, Verdict, entry_of, page_of, verify};
use serde_json::json;

const ROOM: &str = "r";
const EPOCH: &str = "e1";

/// A run of one publisher and one subscriber, which a test spoils.
struct Run {
    publisher: Log,
    subscriber: Log,
    history: History,
    clock_us: u64,
}

fn entry(seq: u64, cid: &str, content: Content) -> Entry {
    let (room, sender, cid) = (ROOM.to_owned(), "ann".to_owned(), Some(cid.to_owned()));
    Entry { room, seq, sender, cid, ts: 1_000 + i64::try_from(seq).expect("small"), content }
}

fn edit(target: u64, text: &str) -> Content {
    Content::Edit { target, text: Some(text.to_owned()) }
}

fn message(text: &str, edited: Option<u64>, deleted: Option<u64>) -> Content {
    Content::Message { text: text.to_owned(), edited, deleted }
}

fn joined(since: Option<u64>, head: u64, replayed: u64) -> Joined {
    Joined {
        room: ROOM.to_owned(),
        since: since.map(|seq| (EPOCH.to_owned(), seq)),
        epoch: EPOCH.to_owned(),
        head,
        replayed,
        recovered: true,
        ..Joined::default()
    }
}

fn stayed() -> Record {
    Record::Stayed { room: ROOM.to_owned() }
}

impl Run {
    fn new() -> Self {
        let log = |user: &str| Log { worker: user.to_owned(), user: user.to_owned(), records: Vec::new() };
        let history = History { room: ROOM.to_owned(), epoch: EPOCH.to_owned(), ..History::default() };
        Self { publisher: log("ann"), subscriber: log("ben"), history, clock_us: 0 }
    }

    fn send(&mut self, id: u64, cid: &str, content: Content) {
        self.clock_us += 10;
        let said = Some(Said { room: ROOM.to_owned(), cid: cid.to_owned(), content });
        self.publisher.records.push(Record::Sent { life: 1, id, at_us: self.clock_us, said });
    }

    fn ack(&mut self, id: u64, seq: u64) {
        self.answer(id, Answer::Stored { epoch: EPOCH.to_owned(), seq });
    }

    fn answer(&mut self, id: u64, answer: Answer) {
        self.clock_us += 10;
        self.publisher.records.push(Record::Answered { life: 1, id, at_us: self.clock_us, answer });
    }

    fn keep(&mut self, entry: Entry) {
        self.history.head = self.history.head.max(entry.seq);
        self.history.entries.push(entry);
    }

    fn see(&mut self, entry: Entry) {
        self.subscriber.records.push(Record::Seen(entry));
    }

    /// "a", "b" and "c", acknowledged one after another, seen and kept.
    fn clean() -> Self {
        let mut run = Self::new();
        run.subscriber.records.push(Record::Joined(joined(None, 0, 0)));
        for (seq, text) in [(1, "a"), (2, "b"), (3, "c")] {
            run.send(seq, text, Content::text(text));
            run.ack(seq, seq);
            run.keep(entry(seq, text, Content::text(text)));
            run.see(entry(seq, text, Content::text(text)));
        }
        run
    }

    /// The same, without what the subscriber saw.
    fn unseen() -> Self {
        let mut run = Self::clean();
        run.subscriber.records.truncate(1);
        run
    }

    fn verdict(self, allowed: Allowed) -> Verdict {
        verify(&[self.publisher, self.subscriber], &[self.history], allowed)
    }

    /// The kinds of violations, each once.
    fn kinds(self) -> Vec<&'static str> {
        let verdict = self.verdict(Allowed::default());
        let mut kinds: Vec<_> = verdict.violations.iter().map(|violation| violation.kind()).collect();
        assert!(verdict.violations.iter().all(|violation| violation.to_string().len() > 20));
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }
}

#[test]
fn a_clean_run_is_clean_and_counted() {
    let mut run = Run::clean();
    run.subscriber.records.push(Record::Lost { life: 1 });
    run.subscriber.records.push(Record::Joined(joined(Some(3), 3, 0)));
    run.subscriber.records.push(stayed());
    let mut verdict = run.verdict(Allowed::default());
    assert!(std::mem::take(&mut verdict.pause_ms) < 1, "one ack every 20 microseconds");
    let expected = Verdict { acked: 3, entries: 3, seen: 3, lost: 1, resumes: 1, ..Verdict::default() };
    assert_eq!(verdict, expected);
}

#[test]
fn what_was_acknowledged_must_be_there_once_and_where_it_was_said_to_be() {
    let mut lost = Run::unseen();
    lost.history.entries.pop();
    lost.history.head = 2;
    assert_eq!(lost.kinds(), ["acked_but_missing"]);

    let mut twice = Run::unseen();
    twice.keep(entry(4, "b", Content::text("b")));
    assert_eq!(twice.kinds(), ["stored_twice"]);

    let mut elsewhere = Run::new();
    elsewhere.send(1, "a", Content::text("a"));
    elsewhere.ack(1, 7);
    elsewhere.keep(entry(1, "a", Content::text("a")));
    assert_eq!(elsewhere.kinds(), ["acked_elsewhere"]);
}

#[test]
fn nothing_is_stored_that_was_not_said() {
    let mut strange = Run::unseen();
    strange.keep(entry(4, "x", Content::text("x")));
    assert_eq!(strange.kinds(), ["never_said"]);

    let mut nameless = Run::unseen();
    nameless.keep(Entry { cid: None, ..entry(4, "x", Content::text("x")) });
    assert_eq!(nameless.kinds(), ["never_said"]);

    let mut other = Run::unseen();
    other.history.entries[1].content = Content::text("B");
    assert_eq!(other.kinds(), ["garbled"]);

    let mut refused = Run::unseen();
    refused.send(4, "d", Content::text("d"));
    refused.answer(4, Answer::Refused { code: "forbidden".to_owned(), retryable: false });
    refused.keep(entry(4, "d", Content::text("d")));
    assert_eq!(refused.kinds(), ["refused_but_stored"]);
}

#[test]
fn a_refusal_that_may_be_repeated_says_nothing_about_the_store_for_good() {
    let mut run = Run::unseen();
    run.send(4, "d", Content::text("d"));
    run.answer(4, Answer::Refused { code: "indeterminate".to_owned(), retryable: true });
    run.send(5, "d", Content::text("d"));
    run.ack(5, 4);
    run.keep(entry(4, "d", Content::text("d")));
    assert_eq!(run.kinds(), [""; 0]);
}

#[test]
fn a_history_has_no_holes_and_its_time_does_not_go_back() {
    let mut hole = Run::unseen();
    hole.history.floor = 1;
    hole.history.entries.remove(0);
    assert_eq!(hole.kinds(), [""; 0], "what is beyond the floor may be gone");

    let mut hole = Run::new();
    hole.send(1, "a", Content::text("a"));
    hole.ack(1, 2);
    hole.keep(entry(2, "a", Content::text("a")));
    assert_eq!(hole.kinds(), ["hole"]);

    let mut short = Run::unseen();
    short.history.head = 5;
    assert_eq!(short.kinds(), ["short_history"]);

    let mut back = Run::unseen();
    back.history.entries[2].ts = 1;
    assert_eq!(back.kinds(), ["time_went_back"]);
}

#[test]
fn a_stream_goes_on_by_one() {
    let mut skipped = Run::unseen();
    skipped.see(entry(1, "a", Content::text("a")));
    skipped.see(entry(3, "c", Content::text("c")));
    assert_eq!(skipped.kinds(), ["skipped"]);

    let mut doubled = Run::clean();
    doubled.see(entry(3, "c", Content::text("c")));
    assert_eq!(doubled.kinds(), ["doubled"]);

    let mut short = Run::unseen();
    short.see(entry(1, "a", Content::text("a")));
    short.subscriber.records.push(stayed());
    assert_eq!(short.kinds(), ["fell_short"]);
}

#[test]
fn a_resume_goes_on_exactly_where_the_worker_was() {
    let resume = |joined: Joined, seen: &[u64]| {
        let mut run = Run::unseen();
        run.see(entry(1, "a", Content::text("a")));
        run.subscriber.records.push(Record::Joined(joined));
        for seq in seen {
            let text = ["a", "b", "c"][usize::try_from(*seq).expect("small") - 1];
            run.see(entry(*seq, text, Content::text(text)));
        }
        run.kinds()
    };
    assert_eq!(resume(joined(Some(1), 3, 2), &[2, 3]), [""; 0]);
    assert_eq!(resume(joined(Some(1), 3, 2), &[3]), ["skipped"]);
    assert_eq!(resume(joined(Some(1), 3, 2), &[1, 2, 3]), ["doubled"]);
    assert_eq!(resume(joined(Some(1), 3, 1), &[2, 3]), ["false_resume"], "the count is wrong");
    let part = Joined { behind: 1, ..joined(Some(1), 3, 1) };
    assert_eq!(resume(part, &[2, 3]), [""; 0], "the rest comes in pages");
    let refused = Joined { recovered: false, reason: Some("ahead".into()), ..joined(Some(1), 3, 0) };
    assert_eq!(resume(refused.clone(), &[]), ["false_resume"]);
    let expired = Joined { floor: 2, ..refused };
    assert_eq!(resume(expired, &[]), [""; 0]);
    let elsewhere = Joined { epoch: "e2".into(), ..joined(Some(1), 3, 2) };
    assert_eq!(resume(elsewhere, &[]), ["epoch_changed", "false_resume"]);
}

#[test]
fn what_is_delivered_is_what_is_kept() {
    let mut phantom = Run::clean();
    phantom.send(4, "d", Content::text("d"));
    phantom.publisher.records.push(Record::Lost { life: 1 });
    phantom.see(entry(4, "d", Content::text("d")));
    assert_eq!(phantom.kinds(), ["phantom"]);

    let mut other = Run::unseen();
    other.see(entry(1, "a", Content::text("A")));
    assert_eq!(other.kinds(), ["garbled"]);
}

#[test]
fn a_position_never_means_two_things() {
    let mut run = Run::unseen();
    run.see(entry(1, "b", Content::text("b")));
    assert_eq!(run.kinds(), ["phantom", "two_contents"]);

    // In an epoch that is gone, only the workers can contradict each other.
    let mut run = Run::clean();
    run.history = History { epoch: "e2".to_owned(), ..run.history };
    run.subscriber.records.push(Record::Joined(joined(None, 0, 0)));
    run.see(entry(1, "b", Content::text("b")));
    let verdict = run.verdict(Allowed { rewinds: true });
    let kinds: Vec<_> = verdict.violations.iter().map(|violation| violation.kind()).collect();
    assert_eq!(kinds, ["two_contents"]);
}

#[test]
fn the_order_is_that_of_senders_and_of_real_time() {
    let mut swapped = Run::new();
    swapped.send(1, "a", Content::text("a"));
    swapped.send(2, "b", Content::text("b"));
    swapped.ack(1, 2);
    swapped.ack(2, 1);
    swapped.keep(entry(1, "b", Content::text("b")));
    swapped.keep(entry(2, "a", Content::text("a")));
    assert_eq!(swapped.kinds(), ["sender_order"]);

    let mut late = Run::new();
    late.send(1, "a", Content::text("a"));
    late.ack(1, 2);
    late.keep(Entry { sender: "ben".to_owned(), ..entry(1, "z", Content::text("z")) });
    late.keep(entry(2, "a", Content::text("a")));
    let said = Some(Said { room: ROOM.to_owned(), cid: "z".to_owned(), content: Content::text("z") });
    let at_us = late.clock_us + 1;
    late.subscriber.records.push(Record::Sent { life: 1, id: 1, at_us, said });
    late.subscriber.records.push(Record::Lost { life: 1 });
    assert_eq!(late.kinds(), ["real_time_order"]);
}

#[test]
fn every_request_has_one_answer() {
    let mut none = Run::clean();
    none.publisher.records.push(Record::Sent { life: 1, id: 9, at_us: 1_000, said: None });
    assert_eq!(none.kinds(), ["unanswered"]);

    let mut lost = Run::clean();
    lost.publisher.records.push(Record::Sent { life: 1, id: 9, at_us: 1_000, said: None });
    lost.publisher.records.push(Record::Lost { life: 1 });
    assert_eq!(lost.kinds(), [""; 0]);

    let mut twice = Run::clean();
    twice.ack(2, 2);
    assert_eq!(twice.kinds(), ["answered_twice"]);

    let mut unasked = Run::clean();
    unasked.answer(9, Answer::Other);
    assert_eq!(unasked.kinds(), ["not_asked"]);
}

#[test]
fn what_was_said_is_stored_or_refused_in_the_end() {
    let mut open = Run::clean();
    open.publisher.records.push(Record::Joined(joined(None, 3, 0)));
    open.send(4, "d", Content::text("d"));
    open.answer(4, Answer::Refused { code: "unavailable".to_owned(), retryable: true });
    open.publisher.records.push(stayed());
    assert_eq!(open.kinds(), ["never_settled"]);
}

#[test]
fn a_backup_that_was_put_back_may_take_what_it_did_not_have() {
    let rewound = || {
        let mut run = Run::clean();
        run.history.epoch = "e2".to_owned();
        run.history.entries.pop();
        run.history.head = 2;
        let told = Joined { epoch: "e2".into(), recovered: false, ..joined(Some(3), 2, 0) };
        run.subscriber.records.push(Record::Joined(told));
        run.subscriber.records.push(stayed());
        run
    };
    let verdict = rewound().verdict(Allowed { rewinds: true });
    assert_eq!((verdict.rewound, verdict.violations), (1, Vec::new()));
    assert_eq!(rewound().kinds(), ["acked_but_missing", "epoch_changed"]);

    let mut uninformed = rewound();
    uninformed.subscriber.records.remove(4);
    let verdict = uninformed.verdict(Allowed { rewinds: true });
    assert_eq!(verdict.violations.first().map(|violation| violation.kind()), Some("uninformed"));
}

#[test]
fn nothing_of_a_private_room_reaches_whom_it_has_removed() {
    let role = |role: Option<&str>| Content::Role { user: "ben".to_owned(), role: role.map(str::to_owned) };
    let private = |last: Content| {
        let mut run = Run::new();
        run.subscriber.records.push(Record::Joined(joined(None, 0, 0)));
        let contents = [Content::Settings { private: Some(true) }, role(Some("member")), role(None), last];
        for (seq, content) in (1..).zip(contents) {
            run.send(seq, &seq.to_string(), content.clone());
            run.ack(seq, seq);
            run.keep(entry(seq, &seq.to_string(), content.clone()));
            run.see(entry(seq, &seq.to_string(), content));
        }
        run.kinds()
    };
    assert_eq!(private(Content::text("secret")), ["read_after_removal"]);
    assert_eq!(private(role(Some("member"))), [""; 0], "who came back may read all of it");
}

#[test]
fn entries_are_read_from_the_words_of_the_protocol() {
    let event = json!({"type": "message", "payload": {"room": "r", "seq": "9007199254740993", "sender": "ann",
        "text": "hi", "ts": 7, "cid": "c", "edited": 12}});
    let read = entry_of(&event).expect("a message");
    assert_eq!((read.seq, &read.content), (9_007_199_254_740_993, &message("hi", Some(12), None)));
    assert_eq!(entry_of(&json!({"type": "typing", "payload": {"room": "r"}})), None);
    let page = json!({"type": "history", "id": 1, "payload": {"room": "r", "epoch": "e", "head": 1, "floor": 0,
        "events": [event], "more": false}});
    let (page, more) = page_of(&page).expect("a page");
    assert_eq!((page.entries, more), (vec![read], false));
}
