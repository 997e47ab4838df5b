//! The requirements that are about numbers and about races.

use std::collections::BTreeSet;
use std::sync::Arc;

use parlour_hub::input::{Caller, Ending, Input};
use parlour_hub::{ConnId, Effect, Rules};
use parlour_protocol::command::{Availability, HistoryQuery, SetPresence};
use parlour_protocol::event::{Event, Status};
use parlour_protocol::{ErrorCode, Position, RoomName, Seq, UserId};

use crate::store::{Fault, Hold};
use crate::world::{Seen, World, conn, room, user};

const ONLINE: SetPresence = SetPresence { status: Availability::Online, text: None };

/// Everything that a connection, a room or a user hears, as one list.
#[derive(Debug, Default)]
struct Heard(Vec<(BTreeSet<ConnId>, Event)>);

impl Heard {
    fn follow(&mut self, seen: &Seen<'_>) {
        let Seen::Effect(effect, list) = seen else {
            return;
        };
        match effect {
            Effect::Broadcast { event, .. } => self.0.push(((*list).clone(), (**event).clone())),
            Effect::Send { to, reply } => self.0.push((BTreeSet::from([*to]), reply.event.clone())),
            Effect::Detach { from, refusal: Some(refusal), .. } => {
                self.0.push((BTreeSet::from([*from]), Event::Error(refusal.clone())));
            }
            _ => {}
        }
    }

    fn count(&self, is_meant: impl Fn(&Event) -> bool) -> usize {
        self.0.iter().filter(|(_, event)| is_meant(event)).count()
    }
}

/// Lets something happen and returns what is heard of it.
fn feed(world: &mut World, room: &RoomName, input: Input) -> Heard {
    let mut heard = Heard::default();
    world.feed(room, input, &mut |seen| heard.follow(&seen));
    heard
}

fn advance(world: &mut World, at_ms: u64) -> Heard {
    let mut heard = Heard::default();
    world.advance(at_ms, &mut |seen| heard.follow(&seen));
    heard
}

fn join(world: &mut World, room: &RoomName, user: &UserId, conn: ConnId) -> Heard {
    let caller = world.caller(user, conn);
    feed(world, room, Input::Join { caller, since: None, history: 0, presence: ONLINE })
}

fn say(world: &mut World, room: &RoomName, user: &UserId, conn: ConnId, text: &str) -> Heard {
    let caller = world.caller(user, conn);
    feed(world, room, Input::Publish { caller, cid: None, text: text.into() })
}

fn is_left(event: &Event) -> bool {
    matches!(event, Event::MemberLeft(_))
}

fn is_joined(event: &Event) -> bool {
    matches!(event, Event::MemberJoined(_))
}

fn is_message(event: &Event) -> bool {
    matches!(event, Event::Message(_))
}

/// The number of rounds in R1 is a million; a debug build takes a tenth of them.
const ROUNDS: u64 = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };

#[test]
fn r1_empty_rooms_leave_memory() {
    let mut world = World::new(Rules::default());
    let (alice, conn) = (user("alice"), conn(1));
    let names: Vec<RoomName> = (0..1_000).map(|number| room(&format!("room {number}"))).collect();
    for (_, name) in (0..ROUNDS).zip(names.iter().cycle()) {
        let caller = Caller { conn, user: alice.clone(), request: None };
        let enter = Input::Join { caller: caller.clone(), since: None, history: 0, presence: ONLINE };
        world.feed(name, enter, &mut |_| {});
        world.feed(name, Input::Leave { caller }, &mut |_| {});
    }
    assert_eq!(world.hub.room_count(), 0);
    assert_eq!(world.hub.next_deadline(), None);
}

#[test]
fn r1_a_join_that_races_the_last_leave_is_never_stranded() {
    let general = room("general");
    // Every order of: the room opens, bob leaves, carol joins.
    for order in orders(3) {
        let mut world = World::new(Rules::default());
        world.store.hold = Hold::Answers;
        join(&mut world, &general, &user("bob"), conn(1));
        for step in order {
            match step {
                0 => world.release(0, &mut |_| {}),
                1 => drop(feed(
                    &mut world,
                    &general,
                    Input::Detach { conn: conn(1), user: user("bob"), ending: Ending::Deliberate },
                )),
                _ => drop(join(&mut world, &general, &user("carol"), conn(2))),
            }
        }
        world.store.hold = Hold::Nothing;
        world.settle(&mut |_| {});
        world.assert_all_answered();
        let heard = say(&mut world, &general, &user("carol"), conn(2), "anybody?");
        assert_eq!(heard.0[0].0, BTreeSet::from([conn(2)]), "carol is in the room and hears herself");
        assert_eq!(world.hub.rooms().collect::<Vec<_>>(), [(&general, 1)]);
    }
}

#[test]
fn r7_leave_detach_and_leave_together_are_one_departure_in_any_order() {
    let general = room("general");
    let bob = user("bob");
    for order in orders(4) {
        let mut world = World::new(Rules::default());
        join(&mut world, &general, &user("alice"), conn(1));
        join(&mut world, &general, &bob, conn(2));
        let mut left = 0;
        for step in order {
            let caller = Caller { conn: conn(2), user: bob.clone(), request: None };
            let end = |ending| Input::Detach { conn: conn(2), user: bob.clone(), ending };
            let input = match step {
                0 | 1 => Input::Leave { caller },
                2 => end(Ending::Lost),
                _ => end(Ending::Deliberate),
            };
            left += feed(&mut world, &general, input).count(is_left);
        }
        left += advance(&mut world, 60_000).count(is_left);
        assert_eq!(left, 1);
        assert_eq!(world.hub.rooms().collect::<Vec<_>>(), [(&general, 1)]);
    }
}

#[test]
fn r12_ten_thousand_first_joins_create_one_room() {
    let mut world = World::new(Rules::default());
    let general = room("general");
    world.store.hold = Hold::Requests;
    let mut opens = 0;
    let mut seats = 0;
    let mut see = |seen: Seen<'_>| match seen {
        Seen::Effect(Effect::Store { .. }, _) => opens += 1,
        Seen::Effect(Effect::Attach { .. }, _) => seats += 1,
        _ => {}
    };
    for number in 0..10_000 {
        let caller = world.caller(&user(&format!("user {number}")), conn(number));
        let input = Input::Join { caller, since: None, history: 0, presence: ONLINE };
        world.feed(&general, input, &mut see);
    }
    world.store.hold = Hold::Nothing;
    world.store.work();
    world.settle(&mut see);
    assert_eq!((opens, seats), (1, 10_000));
    assert_eq!(world.hub.rooms().collect::<Vec<_>>(), [(&general, 10_000)]);
    world.assert_all_answered();
}

#[test]
fn r12_more_than_the_queue_of_a_room_that_opens_are_refused() {
    let mut world = World::new(Rules::default());
    let general = room("general");
    world.store.hold = Hold::Requests;
    for number in 0..10_000 {
        join(&mut world, &general, &user(&format!("user {number}")), conn(number));
    }
    let heard = join(&mut world, &general, &user("late"), conn(10_000));
    assert!(matches!(&heard.0[..], [(_, Event::Error(refusal))] if refusal.code == ErrorCode::Overloaded));
    // A departure is taken in any case.
    let gone = Input::Detach { conn: conn(0), user: user("user 0"), ending: Ending::Deliberate };
    feed(&mut world, &general, gone);
    world.store.hold = Hold::Nothing;
    world.store.work();
    world.settle(&mut |_| {});
    assert_eq!(world.hub.rooms().collect::<Vec<_>>(), [(&general, 9_999)]);
}

/// R33 asks for a thousand cycles per user; a debug build does a hundredth of them.
const CYCLES: u32 = if cfg!(debug_assertions) { 10 } else { 1_000 };

#[test]
fn r33_r35_rapid_cycles_of_a_thousand_users_tell_each_change_once() {
    let mut world = World::new(Rules { notice_members: 2_000, ..Rules::default() });
    let general = room("general");
    let users: Vec<UserId> = (0..1_000).map(|number| user(&format!("user {number}"))).collect();
    join(&mut world, &general, &user("watcher"), conn(0));
    let (mut joined, mut left) = (0, 0);
    let mut next = 0;
    let mut now_ms = 0;
    for _ in 0..CYCLES {
        for user in &users {
            next += 1;
            joined += join(&mut world, &general, user, conn(next)).count(is_joined);
            let lost = Input::Detach { conn: conn(next), user: user.clone(), ending: Ending::Lost };
            left += feed(&mut world, &general, lost).count(is_left);
        }
        now_ms += 9_000; // within the grace of 10 s
        left += advance(&mut world, now_ms).count(is_left);
    }
    assert_eq!((joined, left), (1_000, 0), "reloads within the grace are no news");
    left += advance(&mut world, now_ms + 10_000).count(is_left);
    assert_eq!((joined, left), (1_000, 1_000), "each left once, when nobody came back");
    assert_eq!(world.hub.rooms().collect::<Vec<_>>(), [(&general, 1)]);
    assert_eq!(world.hub.next_deadline(), None);
}

#[test]
fn r34_the_last_of_many_devices_makes_offline() {
    let mut world = World::new(Rules::default());
    let (general, bob) = (room("general"), user("bob"));
    join(&mut world, &general, &user("alice"), conn(0));
    let arrivals: usize =
        (1..=100).map(|device| join(&mut world, &general, &bob, conn(device)).count(is_joined)).sum();
    let end = |device| Input::Detach { conn: conn(device), user: bob.clone(), ending: Ending::Deliberate };
    let departures: Vec<_> =
        (1..=100).map(|device| feed(&mut world, &general, end(device)).count(is_left)).collect();
    assert_eq!(arrivals, 1);
    assert_eq!(departures.iter().sum::<usize>(), 1);
    assert_eq!(departures.last(), Some(&1), "only the last device's end is told");
}

#[test]
fn r36_typing_is_coalesced_expires_and_is_no_message() {
    let mut world = World::new(Rules::default());
    let (general, bob) = (room("general"), user("bob"));
    join(&mut world, &general, &user("alice"), conn(1));
    join(&mut world, &general, &bob, conn(2));
    let mut heard = Heard::default();
    for key in 0..50 {
        heard.0.extend(advance(&mut world, key * 100).0);
        let caller = Caller { conn: conn(2), user: bob.clone(), request: None };
        heard.0.extend(feed(&mut world, &general, Input::Typing { caller, active: true }).0);
    }
    let says = |active: bool| move |event: &Event| matches!(event, Event::Typing(t) if t.active == active);
    assert_eq!((heard.count(says(true)), heard.count(says(false))), (1, 0), "fifty keys, one notice");
    heard.0.extend(advance(&mut world, 4_900 + 5_999).0);
    assert_eq!(heard.count(says(false)), 0);
    heard.0.extend(advance(&mut world, 4_900 + 6_000).0);
    assert_eq!(heard.count(says(false)), 1, "it expires 6 s after the last key");
    assert_eq!(heard.count(is_message), 0);
    assert!(world.store.rooms.is_empty(), "nothing was stored");
}

#[test]
fn r38_a_private_message_waits_for_its_recipient() {
    let mut world = World::new(Rules::default());
    let (alice, bob) = (user("alice"), user("bob"));
    let conversation = RoomName::private(&alice, &bob);
    for number in 1..=3 {
        say(&mut world, &conversation, &alice, conn(1), &format!("psst {number}"));
    }
    assert_eq!(world.hub.room_count(), 0, "it waits in the store, not in memory");
    let caller = Caller { conn: conn(2), user: bob, request: None };
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
    world.release(0, &mut |seen| {
        if let Seen::Effect(Effect::Attach { replay, .. }, _) = seen {
            replayed.extend(replay.iter().filter_map(|event| crate::show::seq(event)));
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
        let query = HistoryQuery { room: general.clone(), before: None, after: None, limit };
        feed(world, &general, Input::History { caller, query })
    };
    let length = |heard: &Heard| match &heard.0[0].1 {
        Event::History(page) => Ok(page.messages.len()),
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
        feed(&mut world, &general, Input::Publish { caller, cid: Some("one".into()), text: text.into() })
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
            if let Seen::Effect(Effect::Attach { joined, replay, .. }, _) = seen {
                answers.push((joined.recovered, joined.head, replay.len()));
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

#[test]
fn presence_of_a_user_who_left_is_offline_with_the_last_activity() {
    let mut world = World::new(Rules::default());
    let (general, bob) = (room("general"), user("bob"));
    join(&mut world, &general, &user("alice"), conn(1));
    join(&mut world, &general, &bob, conn(2));
    advance(&mut world, 7_000);
    say(&mut world, &general, &bob, conn(2), "bye");
    let active_ms = world.now.wall_ms;
    advance(&mut world, 8_000);
    feed(
        &mut world,
        &general,
        Input::Detach { conn: conn(2), user: bob.clone(), ending: Ending::Deliberate },
    );
    let caller = world.caller(&user("alice"), conn(1));
    let heard = feed(&mut world, &general, Input::Members { caller });
    let Event::Members(list) = &heard.0[0].1 else {
        panic!("{heard:?}");
    };
    let member = list.members.iter().find(|member| member.user == bob).expect("remembered");
    assert_eq!((member.status, member.last_active_ms), (Status::Offline, active_ms));
}

/// Lists all orders of the numbers below `n`.
fn orders(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![Vec::new()];
    }
    let shorter = orders(n - 1);
    let with = |order: &Vec<usize>, at| {
        let mut order = order.clone();
        order.insert(at, n - 1);
        order
    };
    shorter.iter().flat_map(|order| (0..n).map(move |at| with(order, at))).collect()
}
