//! Rooms come and go.

use super::*;

/// The number of rounds in R1 is a million; a debug build takes a fiftieth of them.
const ROUNDS: u64 = if cfg!(debug_assertions) { 20_000 } else { 1_000_000 };

#[test]
fn r1_empty_rooms_leave_memory() {
    let mut world = World::new(Rules::default());
    let (alice, conn) = (user("alice"), conn(1));
    let names: Vec<RoomName> = (0..1_000).map(|number| room(&format!("room {number}"))).collect();
    for (_, name) in (0..ROUNDS).zip(names.iter().cycle()) {
        let caller = Caller { conn, user: alice.clone(), request: None, grants: None };
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
        assert_eq!(world.counts(&user("anybody")), BTreeMap::from([(general.clone(), 1)]));
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
            let caller = Caller { conn: conn(2), user: bob.clone(), request: None, grants: None };
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
        assert_eq!(world.counts(&user("anybody")), BTreeMap::from([(general.clone(), 1)]));
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
    assert_eq!(world.counts(&user("anybody")), BTreeMap::from([(general.clone(), 10_000)]));
    world.assert_all_answered();
}

#[test]
fn p18_ten_thousand_who_resume_one_room_read_each_block_once() {
    let mut world = World::new(Rules::default());
    let general = room("general");
    // Memory has the last 43.
    world.store.fill(&general, 300, "alice", 6_000);
    join(&mut world, &general, &user("alice"), conn(0));
    world.store.hold = Hold::Requests;
    let epoch = world.store.rooms[&general].epoch;
    let (mut reads, mut replayed) = (0, 0);
    let mut see = |seen: Seen<'_>| match seen {
        Seen::Effect(Effect::Store { .. }, _) => reads += 1,
        Seen::Effect(Effect::Attach { replay, .. }, _) => replayed += replay.events.len(),
        _ => {}
    };
    for number in 1..=10_000 {
        let caller = world.caller(&user(&format!("user {}", number % 100)), conn(number));
        let since = Some(Position { epoch, seq: Seq(240) });
        world.feed(&general, Input::Join { caller, since, history: 0, presence: ONLINE }, &mut see);
    }
    world.store.hold = Hold::Nothing;
    world.store.work();
    world.settle(&mut see);
    assert_eq!((reads, replayed), (2, 10_000 * 60), "two blocks of 128 events");
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
    assert_eq!(world.counts(&user("anybody")), BTreeMap::from([(general.clone(), 9_999)]));
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

#[test]
fn r1_many_rooms_share_a_bounded_memory_and_the_idlest_forget_first() {
    let mut world = World::new(Rules { recent_bytes: 100_000, ..Rules::default() });
    let names: Vec<RoomName> = (0..50).map(|number| room(&format!("room {number}"))).collect();
    for (second, name) in (0..).zip(&names) {
        advance(&mut world, second * 1_000);
        world.store.fill(name, 20, "alice", 200);
        join(&mut world, name, &user("alice"), conn(1));
    }
    // Whoever enters a room that has forgotten gets the same, after a look into the store.
    let mut look = |name: &RoomName| {
        let (mut reads, mut replayed) = (0, 0);
        let caller = world.caller(&user("bob"), conn(2));
        let enter = Input::Join { caller, since: None, history: 20, presence: ONLINE };
        world.feed(name, enter, &mut |seen| match seen {
            Seen::Effect(Effect::Store { .. }, _) => reads += 1,
            Seen::Effect(Effect::Attach { replay, .. }, _) => replayed += replay.events.len(),
            _ => {}
        });
        (reads, replayed)
    };
    assert_eq!(look(&names[49]), (0, 20), "the newest has its messages at hand");
    assert_eq!(look(&names[0]), (1, 20), "the idlest has not");
}
