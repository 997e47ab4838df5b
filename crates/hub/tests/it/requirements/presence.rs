//! Who is here, as others are told.

use super::*;

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
    assert_eq!(world.counts(&user("anybody")), BTreeMap::from([(general.clone(), 1)]));
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
        let caller = Caller { conn: conn(2), user: bob.clone(), request: None, grants: None };
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
