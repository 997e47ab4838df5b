//! The view of somebody who comes late, compared with that of somebody who was always there.

use std::collections::{BTreeMap, BTreeSet};

use parlour_protocol::Epoch;
use parlour_protocol::content::{Details, NewText, PinChange, Reaction, RoleChange, Target, Text};
use parlour_protocol::event::{CursorNotice, Erased, RoleHolder};

use super::*;

/// Numbers that are the same for the same seed.
struct Dice(u32);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as usize % sides
    }
}

fn room() -> RoomName {
    RoomName::parse("general").expect("valid")
}

fn user(name: &str) -> UserId {
    UserId::parse(name).expect("valid")
}

fn header(seq: u64, sender: &str) -> Header {
    Header { room: room(), seq: Seq(seq), sender: user(sender), ts: 0, cid: None }
}

/// A log in which everything happens, from entry 1 on.
fn log(dice: &mut Dice, length: u64) -> Vec<Event> {
    let mut messages = Vec::new();
    let mut on: BTreeMap<(Seq, &str), BTreeSet<&str>> = BTreeMap::new();
    let mut entries = Vec::new();
    for seq in 1..=length {
        let sender = ["Ann", "Bob", "Cleo"][dice.roll(3)];
        let kind = if messages.is_empty() { 0 } else { dice.roll(8) };
        let at = dice.roll(messages.len().max(1));
        let target = messages.get(at).copied().unwrap_or_default();
        let content = match kind {
            0..=2 => {
                messages.push(Seq(seq));
                Content::Message(Text::plain(format!("m{seq}")))
            }
            3 => {
                Content::Edit(NewText { target, text: Some(format!("e{seq}").into()), mentions: Vec::new() })
            }
            4 if messages.len() > 2 => {
                messages.remove(at);
                Content::Delete(Target { target })
            }
            5 => Content::Pin(PinChange { target, active: dice.roll(2) > 0 }),
            6 => Content::Settings(Settings { topic: Some(format!("t{seq}").into()), ..Settings::default() }),
            _ => {
                let emoji = ["👍", "🎉"][dice.roll(2)];
                let users = on.entry((target, emoji)).or_default();
                let active = users.insert(sender) || !users.remove(sender);
                let count = u32::try_from(users.len()).expect("small");
                Content::Reaction(Reaction { target, emoji: emoji.into(), active, count })
            }
        };
        entries.push(header(seq, sender).event(content));
    }
    entries
}

fn seen(entries: &[Event]) -> Conversation {
    let mut view = Conversation::new(room());
    entries.iter().for_each(|entry| view.apply(entry));
    view
}

/// Entries as the store tells them when the log ends with `upto`: messages as they are then.
fn told(log: &[Event], range: std::ops::Range<usize>, upto: usize) -> Vec<Event> {
    let view = seen(&log[..upto]);
    let now = |entry: &Event| {
        let (header, content) = entry.clone().into_entry()?;
        let content = match content {
            Content::Message(_) => {
                let message = view.message(header.seq)?.clone();
                let Spoken { text, edited, deleted, reactions, .. } = message;
                let details = Details { edited, deleted, reactions, ..Details::default() };
                Content::Message(Text { text, details: Some(Box::new(details)) })
            }
            Content::Edit(edit) => {
                let message = view.message(edit.target)?;
                let is_latest = message.edited == Some(header.seq) && message.deleted.is_none();
                Content::Edit(NewText { text: edit.text.filter(|_| is_latest), ..edit })
            }
            content => content,
        };
        Some(header.event(content))
    };
    log[range].iter().filter_map(now).collect()
}

fn page(events: Vec<Event>, head: usize) -> HistoryPage {
    let head = Seq(head as u64);
    HistoryPage { room: room(), epoch: Epoch(7), head, floor: Seq(0), events, more: false }
}

/// What is seen; those who reacted are a set.
fn shown(view: &Conversation) -> (Vec<Spoken>, Vec<Seq>, String) {
    let messages = view.messages().cloned().map(|mut message| {
        message.reactions.iter_mut().for_each(|tally| tally.users.sort());
        message.reactions.sort_by(|a, b| a.emoji.cmp(&b.emoji));
        message
    });
    (messages.collect(), view.pins(), view.topic().to_owned())
}

#[test]
fn pages_replays_and_live_entries_in_any_overlap_give_the_same() {
    for seed in 1..=200 {
        let mut dice = Dice(seed);
        let log = log(&mut dice, 60);
        let joined_at = dice.roll(40);
        let since = dice.roll(joined_at + 1);
        let mut view = seen(&told(&log, since..joined_at, joined_at));
        let mut oldest = since;
        for at in joined_at..log.len() {
            view.apply(&log[at]);
            if dice.roll(4) == 0 {
                view.apply(&log[at]);
            }
            if dice.roll(6) == 0 {
                // A page that was read a little earlier than it arrives.
                let read_at = joined_at.max((at + 1).saturating_sub(dice.roll(4)));
                let from = oldest.saturating_sub(dice.roll(20));
                view.take(&page(told(&log, from..read_at.min(oldest + 5).max(from), read_at), read_at));
                oldest = from;
            }
        }
        view.take(&page(told(&log, 0..oldest, log.len()), log.len()));
        assert_eq!(shown(&view), shown(&seen(&log)), "seed {seed}");
    }
}

#[test]
fn a_replay_in_parts_ends_where_everybody_is() {
    for seed in 1..=100 {
        let log = log(&mut Dice(seed), 80);
        let mut view = Conversation::new(room());
        for from in [0, 20, 40, 60] {
            told(&log, from..from + 20, 80).iter().for_each(|entry| view.apply(entry));
        }
        assert_eq!(shown(&view), shown(&seen(&log)), "seed {seed}");
    }
}

#[test]
fn a_deleted_message_is_a_tombstone_and_an_erased_user_is_nowhere() {
    let target = Seq(1);
    let like = |seq, by| {
        let reaction = Reaction { target, emoji: "👍".into(), active: true, count: 1 };
        header(seq, by).event(Content::Reaction(reaction))
    };
    let mut view = seen(&[
        header(1, "Ann").event(Content::Message(Text::plain("secret"))),
        like(2, "Bob"),
        header(3, "Ann").event(Content::Pin(PinChange { target, active: true })),
    ]);
    assert_eq!((view.pins(), view.message(target).map(|m| m.reactions.len())), (vec![target], Some(1)));
    view.apply(&Event::Erased(Erased { room: room(), user: user("Bob") }));
    assert_eq!(view.message(target).map(|message| message.reactions.len()), Some(0));
    view.apply(&header(4, "Ann").event(Content::Delete(Target { target })));
    // A late copy brings nothing back.
    view.apply(&header(1, "Ann").event(Content::Message(Text::plain("secret"))));
    let message = view.message(target).expect("a tombstone");
    assert_eq!((&*message.text, message.deleted, view.pins()), ("", Some(Seq(4)), vec![]));
    let mut view = seen(&[header(1, "Ann").event(Content::Message(Text::plain("secret")))]);
    view.apply(&Event::Erased(Erased { room: room(), user: user("Ann") }));
    assert_eq!(view.message(target).map(|message| &*message.text), Some(""));
}

#[test]
fn threads_roles_settings_and_receipts() {
    let answer = Details { reply_to: Some(Seq(1)), thread: Some(Seq(1)), ..Details::default() };
    let mut view = seen(&[
        header(1, "Ann").event(Content::Message(Text::plain("question"))),
        header(2, "Bob").event(Content::Message(Text::plain("aside"))),
        header(3, "Bob")
            .event(Content::Message(Text { text: "answer".into(), details: Some(Box::new(answer)) })),
    ]);
    assert_eq!(view.thread(Seq(1)).map(|message| message.seq.0).collect::<Vec<_>>(), [1, 3]);
    let settings = Settings { title: Some("Hall".into()), ..Settings::default() };
    let roles = vec![RoleHolder { user: user("Ann"), role: Role::Owner }];
    let sanctions = Vec::new();
    let info = RoomInfo { room: room(), settings, roles, pins: vec![Seq(2)], sanctions };
    view.apply(&Event::Info(Box::new(info)));
    let older = Settings { title: Some("older".into()), ..Settings::default() };
    view.take(&page(vec![header(0, "Ann").event(Content::Settings(older))], 3));
    let role =
        |seq, name, role| header(seq, "Ann").event(Content::Role(RoleChange { user: user(name), role }));
    view.apply(&role(4, "Bob", Some(Role::Moderator)));
    view.apply(&role(5, "Ann", None));
    let roles: Vec<_> = view.roles().map(|(user, role)| (user.as_str().to_owned(), role)).collect();
    assert_eq!(
        (view.title(), roles, view.pins()),
        ("Hall", vec![("Bob".to_owned(), Role::Moderator)], vec![Seq(2)])
    );
    for seq in [3, 2] {
        let (room, user) = (room(), user("Cleo"));
        view.apply(&Event::Read(CursorNotice { room, user, seq: Seq(seq), count: 1, of: 2 }));
    }
    let receipts: Vec<_> = view.receipts().map(|receipt| (receipt.read, receipt.delivered)).collect();
    assert_eq!(receipts, [(Seq(3), Seq(3))]);
}
