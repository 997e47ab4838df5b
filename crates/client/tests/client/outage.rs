//! Lost connections, gaps, and what is said twice.

use parlour_client::{
    Client, Epoch, Error, ErrorCode, Event, HistoryPage, JoinOptions, Joined, Position, PrivateMessage,
    RoomName, Seq, Update, Updates,
};
use parlour_protocol::Command;
use parlour_protocol::event::Unrecovered;

use crate::fake::{EPOCH, Fake, Peer, joined, message, room, stored, user};
use crate::{next, seqs, within_limits};

/// A client in the room `general`, whose newest message is `head`.
async fn entered(fake: &Fake, head: u64) -> (Peer, Client, Updates) {
    let (mut peer, connected) = tokio::join!(fake.welcome(), fake.builder().connect());
    let (client, updates) = connected.expect("welcome");
    let (_, outcome) =
        tokio::join!(peer.let_in(joined(head)), client.join("general", JoinOptions::default()));
    outcome.expect("entered");
    (peer, client, updates)
}

/// Answers a repair with these messages.
async fn page(peer: &mut Peer, after: u64, seqs: std::ops::RangeInclusive<u64>, floor: u64) {
    let (id, command) = peer.command().await;
    let Command::History(query) = command else { unreachable!("not a repair: {command:?}") };
    assert_eq!((query.after, query.limit), (Some(Seq(after)), Some(500)));
    let messages = seqs.map(message).collect();
    let page =
        HistoryPage { room: room(), epoch: EPOCH, head: Seq(99), floor: Seq(floor), messages, more: true };
    peer.answer(id, Event::History(Box::new(page))).await;
}

#[tokio::test]
async fn rooms_go_on_where_they_were_after_an_outage() {
    within_limits(async {
        let fake = Fake::start().await;
        let (mut peer, client, mut updates) = entered(&fake, 3).await;
        peer.say_messages([4, 5]).await;
        assert_eq!(seqs(&mut updates, 2).await, [4, 5]);
        for (first, lose) in [(6, 1012), (8, 1006)] {
            match lose {
                1006 => peer.lose().expect("lost"),
                code => peer.close(code).await,
            }
            peer = fake.welcome().await;
            let resumed = Joined { head: Seq(first), replayed: 1, ..joined(0) };
            let join = peer.let_in(resumed).await;
            assert_eq!(join.since, Some(Position { epoch: EPOCH, seq: Seq(first - 1) }));
            // The seam: one is said again, then it goes on.
            peer.say_messages([first, first, first - 1, first + 1]).await;
            assert_eq!(seqs(&mut updates, 2).await, [first, first + 1]);
        }
        drop(client);
    })
    .await;
}

#[tokio::test]
async fn a_gap_is_filled_from_history() {
    within_limits(async {
        let fake = Fake::start().await;
        let (mut peer, _client, mut updates) = entered(&fake, 1).await;
        peer.say_messages([2, 6, 7]).await;
        page(&mut peer, 2, 3..=4, 0).await;
        page(&mut peer, 4, 5..=7, 0).await;
        assert_eq!(seqs(&mut updates, 6).await, [2, 3, 4, 5, 6, 7]);
    })
    .await;
}

#[tokio::test]
async fn what_was_too_far_is_paged_and_what_is_gone_is_named() {
    within_limits(async {
        let fake = Fake::start().await;
        let (peer, _client, mut updates) = entered(&fake, 1).await;
        peer.close(1001).await;
        let mut peer = fake.welcome().await;
        let too_far = Joined { recovered: false, reason: Some(Unrecovered::TooFar), ..joined(4) };
        peer.let_in(too_far).await;
        peer.say_messages([5]).await;
        page(&mut peer, 1, 2..=4, 0).await;
        assert_eq!(seqs(&mut updates, 4).await, [2, 3, 4, 5]);

        peer.close(1011).await;
        let mut peer = fake.welcome().await;
        let expired =
            Joined { floor: Seq(8), recovered: false, reason: Some(Unrecovered::Expired), ..joined(9) };
        peer.let_in(expired).await;
        page(&mut peer, 8, 9..=9, 8).await;
        let missed = next(&mut updates).await;
        assert!(matches!(missed, Update::Missed { first: Seq(6), last: Seq(8), .. }), "{missed:?}");
        assert_eq!(seqs(&mut updates, 1).await, [9]);

        peer.close(1013).await;
        let mut peer = fake.welcome().await;
        let restored =
            Joined { epoch: Epoch(8), recovered: false, reason: Some(Unrecovered::Epoch), ..joined(2) };
        peer.let_in(restored).await;
        peer.say_messages([3]).await;
        let rewound = next(&mut updates).await;
        assert!(
            matches!(rewound, Update::Rewound { reason: Unrecovered::Epoch, head: Seq(2), .. }),
            "{rewound:?}"
        );
        assert_eq!(seqs(&mut updates, 1).await, [3]);
    })
    .await;
}

#[tokio::test]
async fn an_unanswered_message_is_repeated_under_its_cid_and_a_question_fails() {
    within_limits(async {
        let fake = Fake::start().await;
        let (mut peer, client, _updates) = entered(&fake, 1).await;
        let server = async {
            let mut before = Vec::new();
            for _ in 0..3 {
                before.push(peer.command().await.1);
            }
            peer.lose().expect("lost");
            let mut peer = fake.welcome().await;
            peer.let_in(joined(1)).await;
            let mut after = Vec::new();
            for seq in [2, 3] {
                let (id, command) = peer.command().await;
                after.push(command);
                peer.answer(id, stored(seq)).await;
            }
            (peer, before, after)
        };
        let calls = async {
            tokio::join!(client.publish("general", "one"), client.publish("general", "two"), client.ping())
        };
        let ((_peer, before, after), (one, two, ping)) = tokio::join!(server, calls);
        assert_eq!(before[..2], after[..], "the same messages under the same cids, in order");
        assert_eq!((one.expect("stored").seq, two.expect("stored").seq), (Seq(2), Seq(3)));
        assert!(matches!(ping, Err(Error::Disconnected)), "{ping:?}");
    })
    .await;
}

#[tokio::test]
async fn a_room_that_has_no_time_is_asked_again_and_one_that_is_gone_is_named() {
    within_limits(async {
        let fake = Fake::start().await;
        let (peer, _client, mut updates) = entered(&fake, 1).await;
        peer.close(1012).await;
        let mut peer = fake.welcome().await;
        for code in [ErrorCode::Unavailable, ErrorCode::NotFound] {
            let (id, command) = peer.command().await;
            assert!(matches!(command, Command::Join(_)), "{command:?}");
            let refusal = parlour_client::Refusal { retry_after_ms: Some(1), ..code.into() };
            peer.answer(id, Event::Error(refusal)).await;
        }
        let lost = next(&mut updates).await;
        assert!(
            matches!(&lost, Update::RoomLost { refusal, .. } if refusal.code == ErrorCode::NotFound),
            "{lost:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn private_messages_that_come_again_are_told_once() {
    within_limits(async {
        let fake = Fake::start().await;
        let private = |seq: u64| {
            let (from, to) = (user("Bob"), user("Alice"));
            let room = RoomName::private(&from, &to);
            let ts = i64::try_from(seq).expect("small");
            Event::Private(PrivateMessage { room, seq: Seq(seq), from, to, text: "hi".into(), ts, cid: None })
        };
        let (mut peer, _client, mut updates) = entered(&fake, 1).await;
        peer.say(private(1)).await;
        peer.say(private(2)).await;
        peer.close(1012).await;
        let mut peer = fake.welcome().await;
        for seq in 1..=3 {
            peer.say(private(seq)).await;
        }
        let mut told = Vec::new();
        while told.len() < 3 {
            match next(&mut updates).await {
                Update::Event(Event::Private(message)) => told.push(message.seq.0),
                other => unreachable!("not private: {other:?}"),
            }
        }
        assert_eq!(told, [1, 2, 3]);
    })
    .await;
}

#[tokio::test]
async fn a_full_server_is_tried_again() {
    within_limits(async {
        let fake = Fake::start().await;
        let (peer, client, _updates) = entered(&fake, 1).await;
        peer.close(1012).await;
        fake.refuse("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n").await;
        let mut peer = fake.welcome().await;
        peer.let_in(joined(1)).await;
        let server = async {
            let (id, _) = peer.command().await;
            peer.answer(id, stored(2)).await;
        };
        let ((), outcome) = tokio::join!(server, client.publish("general", "hi"));
        assert_eq!(outcome.expect("stored").seq, Seq(2));
    })
    .await;
}
