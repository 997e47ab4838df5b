//! What is said, stored and read back.

use super::*;

#[test]
fn r38_a_private_message_waits_for_its_recipient() {
    let mut world = World::new(Rules::default());
    let (alice, bob) = (user("alice"), user("bob"));
    let conversation = RoomName::private(&alice, &bob);
    for number in 1..=3 {
        say(&mut world, &conversation, &alice, conn(1), &format!("psst {number}"));
    }
    assert_eq!(world.hub.room_count(), 0, "it waits in the store, not in memory");
    let caller = Caller { conn: conn(2), user: bob, request: None, grants: None };
    let mut unread = Vec::new();
    world.feed(&conversation, Input::Inbox { caller, read: Seq(1) }, &mut |seen| {
        if let Seen::Effect(Effect::Unread { to, events, .. }, _) = seen {
            assert_eq!(*to, conn(2));
            unread.extend(events.iter().map(Arc::clone));
        }
    });
    let texts: Vec<&str> = unread
        .iter()
        .map(|event| match &**event {
            Event::Private(message) => &*message.text,
            other => panic!("{other:?} is not private"),
        })
        .collect();
    assert_eq!(texts, ["psst 2", "psst 3"], "what bob had not read, in order");
}

#[test]
fn r39_history_is_read_without_blocking_the_room() {
    let mut world = World::new(Rules::default());
    let (general, alice) = (room("general"), user("alice"));
    world.store.fill(&general, 400, "alice", 4);
    join(&mut world, &general, &alice, conn(1));
    world.store.hold = Hold::Answers;
    let caller = world.caller(&user("bob"), conn(2));
    feed(&mut world, &general, Input::Join { caller, since: None, history: 400, presence: ONLINE });
    // Bob's history is being read; alice's message is stored and delivered meanwhile.
    say(&mut world, &general, &alice, conn(1), "meanwhile");
    let mut live = Heard::default();
    world.release(1, &mut |seen| live.follow(&seen));
    assert_eq!(live.count(is_message), 1);
    // The history ends exactly where live begins.
    let mut replayed = Vec::new();
    world.store.hold = Hold::Nothing;
    world.settle(&mut |seen| {
        if let Seen::Effect(Effect::Attach { replay, .. }, _) = seen {
            replayed.extend(replay.events.iter().filter_map(|event| event.seq()).map(|seq| seq.0));
        }
    });
    assert_eq!(replayed, (1..=401).collect::<Vec<_>>());
}

#[test]
fn r39_a_page_of_history_is_bounded() {
    let mut world = World::new(Rules::default());
    let general = room("general");
    world.store.fill(&general, 2_000, "alice", 4);
    let page = |world: &mut World, limit| {
        let caller = world.caller(&user("alice"), conn(1));
        let query = HistoryQuery { room: general.clone(), before: None, after: None, thread: None, limit };
        feed(world, &general, Input::History { caller, query })
    };
    let length = |heard: &Heard| match &heard.0[0].1 {
        Event::History(page) => Ok(page.events.len()),
        Event::Error(refusal) => Err(refusal.code),
        other => panic!("{other:?}"),
    };
    assert_eq!(length(&page(&mut world, None)), Ok(50));
    assert_eq!(length(&page(&mut world, Some(500))), Ok(500));
    assert_eq!(length(&page(&mut world, Some(501))), Err(ErrorCode::InvalidLimit));
    assert_eq!(length(&page(&mut world, Some(1_000_000_000))), Err(ErrorCode::InvalidLimit));
}

#[test]
fn r40_what_is_not_stored_is_an_error_and_not_broadcast() {
    let mut world = World::new(Rules::default());
    let (general, alice) = (room("general"), user("alice"));
    join(&mut world, &general, &alice, conn(1));
    join(&mut world, &general, &user("bob"), conn(2));
    for code in [ErrorCode::Unavailable, ErrorCode::StorageFull, ErrorCode::Overloaded] {
        world.store.fault = Fault::Refuses(code);
        let heard = say(&mut world, &general, &alice, conn(1), "never said");
        assert_eq!(heard.0.len(), 1, "{heard:?}");
        assert_eq!(heard.0[0].0, BTreeSet::from([conn(1)]), "only the sender is told");
        assert!(matches!(&heard.0[0].1, Event::Error(r) if r.code == code && r.retry_after_ms.is_some()));
    }
    world.store.fault = Fault::None;
    let heard = say(&mut world, &general, &alice, conn(1), "said");
    assert!(matches!(&heard.0[0].1, Event::Message(m) if m.seq == Seq(1)), "no number was lost");
}

#[test]
fn c13_a_cid_names_one_message() {
    let mut world = World::new(Rules::default());
    let (general, alice) = (room("general"), user("alice"));
    join(&mut world, &general, &alice, conn(1));
    let mut publish = |text: &str| {
        let caller = world.caller(&alice, conn(1));
        feed(&mut world, &general, Input::Publish { caller, entries: message(text, Some("one")) })
    };
    assert_eq!(publish("hello").count(is_message), 1);
    let again = publish("hello");
    assert_eq!(again.count(is_message), 0);
    assert!(matches!(&again.0[0].1, Event::Ack(ack) if ack.stored.as_ref().is_some_and(|s| s.dup)));
    let other = publish("bye");
    assert!(matches!(&other.0[0].1, Event::Error(r) if r.code == ErrorCode::IdempotencyConflict));
}

#[test]
fn c18_a_position_ahead_or_of_another_lineage_is_not_recovered() {
    let mut world = World::new(Rules::default());
    let general = room("general");
    world.store.fill(&general, 5, "alice", 4);
    let epoch = world.store.rooms[&general].epoch;
    let other = parlour_protocol::Epoch(77);
    let since = [(epoch, 5, true), (epoch, 6, false), (other, 5, false), (other, 0, false)];
    for (device, (epoch, seq, recovers)) in (1..).zip(since) {
        let caller = world.caller(&user("bob"), conn(device));
        let since = Some(Position { epoch, seq: Seq(seq) });
        let mut answers = Vec::new();
        let input = Input::Join { caller, since, history: 0, presence: ONLINE };
        world.feed(&general, input, &mut |seen| {
            if let Seen::Effect(Effect::Attach { answer, replay, .. }, _) = seen
                && let Event::Joined(joined) = &**answer
            {
                answers.push((joined.recovered, joined.head, replay.events.len()));
            }
        });
        assert_eq!(answers, [(recovers, Seq(5), 0)], "{since:?}");
    }
}

#[test]
fn c19_only_members_publish() {
    let mut world = World::new(Rules::default());
    let general = room("general");
    join(&mut world, &general, &user("alice"), conn(1));
    let heard = say(&mut world, &general, &user("eve"), conn(2), "let me in");
    assert!(matches!(&heard.0[..], [(_, Event::Error(r))] if r.code == ErrorCode::Forbidden));
    assert!(world.store.rooms.is_empty());
}

#[test]
fn p16_time_stamps_of_a_room_never_go_back() {
    let mut world = World::new(Rules::default());
    let (live, alice) = (room("general"), user("alice"));
    join(&mut world, &live, &alice, conn(1));
    let mut stamps = Vec::new();
    for wall_ms in [5_000_000, 9_000_000, 1_000, 9_000_001] {
        world.now.wall_ms = wall_ms;
        let heard = say(&mut world, &live, &alice, conn(1), "tick");
        stamps.extend(heard.0.iter().filter_map(|(_, event)| match event {
            Event::Message(message) => Some(message.ts),
            _ => None,
        }));
    }
    assert_eq!(stamps, [5_000_000, 9_000_000, 9_000_000, 9_000_001]);
}
