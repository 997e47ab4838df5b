//! Lost connections, gaps, and what is said twice.

use parlour_client::{
    Client, Epoch, Error, ErrorCode, Event, HistoryPage, JoinOptions, Joined, Position, PrivateMessage,
    Refusal, RoomName, Seq, Update, Updates,
};
use parlour_protocol::Command;
use parlour_protocol::event::{Pong, ReplayPage, Resync, Unrecovered};

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
    let head = Seq(*seqs.end());
    let events = seqs.map(|seq| Event::Message(message(seq))).collect();
    let page = HistoryPage { room: room(), epoch: EPOCH, head, floor: Seq(floor), events, more: true };
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
async fn what_was_missed_for_long_comes_in_pages_when_the_reader_is_ready() {
    within_limits(async {
        let fake = Fake::start().await;
        let (peer, client, mut updates) = entered(&fake, 1).await;
        peer.close(1001).await;
        let mut peer = fake.welcome().await;
        peer.let_in(Joined { replayed: 2, behind: 3, ..joined(6) }).await;
        peer.say_messages([2, 3]).await;
        assert_eq!(seqs(&mut updates, 1).await, [2]);
        // The reader has not taken the second one, so the next page is not asked for.
        let server = async {
            let (id, command) = peer.command().await;
            assert_eq!(command, Command::Ping);
            peer.answer(id, Event::Pong(Pong { server_time_ms: 0 })).await;
        };
        tokio::join!(server, client.ping()).1.expect("answered");
        assert_eq!(seqs(&mut updates, 1).await, [3]);
        let (id, command) = peer.command().await;
        assert!(matches!(command, Command::More(_)), "{command:?}");
        peer.answer(id, Event::Page(ReplayPage { room: room(), replayed: 3, behind: 0 })).await;
        peer.say_messages(4..=7).await;
        assert_eq!(seqs(&mut updates, 4).await, [4, 5, 6, 7]);
    })
    .await;
}

#[tokio::test]
async fn what_is_gone_is_named() {
    within_limits(async {
        let fake = Fake::start().await;
        let (mut peer, _client, mut updates) = entered(&fake, 4).await;
        peer.say_messages([5]).await;
        assert_eq!(seqs(&mut updates, 1).await, [5]);

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

/// A server says this to a client that was slow, where it has left out more than it keeps.
#[tokio::test]
async fn being_told_anew_who_is_there_skips_nothing() {
    within_limits(async {
        let fake = Fake::start().await;
        let (mut peer, _client, mut updates) = entered(&fake, 5).await;
        let (epoch, head, floor) = (EPOCH, Seq(9), Seq(7));
        let resync = Resync { room: room(), reason: Unrecovered::Expired, epoch, head, floor };
        peer.say(Event::Resync(Box::new(resync))).await;
        peer.say(Event::Joined(Box::new(joined(9)))).await;
        peer.say_messages([10]).await;
        page(&mut peer, 7, 8..=9, 7).await;
        assert!(matches!(next(&mut updates).await, Update::Missed { first: Seq(6), last: Seq(7), .. }));
        assert!(matches!(next(&mut updates).await, Update::Event(Event::Joined(_))));
        assert_eq!(seqs(&mut updates, 3).await, [8, 9, 10]);
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
        let (peer, client, mut updates) = entered(&fake, 1).await;
        peer.close(1012).await;
        let mut peer = fake.welcome().await;
        let said = tokio::spawn(async move { client.publish("general", "hi").await });
        for code in [ErrorCode::Unavailable, ErrorCode::NotFound] {
            let (id, command) = peer.command().await;
            assert!(matches!(command, Command::Join(_)), "{command:?}");
            let refusal = parlour_client::Refusal { retry_after_ms: Some(1), ..code.into() };
            peer.answer(id, Event::Error(refusal)).await;
        }
        // What was to be said there waits no longer.
        let (id, command) = peer.command().await;
        assert!(matches!(command, Command::Publish(_)), "{command:?}");
        peer.answer(id, Event::Error(ErrorCode::Forbidden.into())).await;
        let said = said.await.expect("no panic");
        assert_eq!(said.expect_err("refused").code(), Some(ErrorCode::Forbidden));
        let lost = next(&mut updates).await;
        assert!(
            matches!(&lost, Update::RoomLost { refusal, .. } if refusal.code == ErrorCode::NotFound),
            "{lost:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn private_conversations_go_on_where_they_were_and_each_entry_is_told_once() {
    within_limits(async {
        let fake = Fake::start().await;
        let private = |seq: u64| {
            let (from, to) = (user("Bob"), user("Alice"));
            let (room, text) = (RoomName::private(&from, &to), "hi".into());
            Event::Private(PrivateMessage {
                room,
                seq: Seq(seq),
                from,
                to,
                text,
                ts: 0,
                cid: None,
                details: None,
            })
        };
        let (mut peer, client, mut updates) = entered(&fake, 1).await;
        peer.say(private(1)).await;
        peer.say(private(2)).await;
        let mut told = Vec::new();
        told.extend(private_seqs(&mut updates, 2).await);
        peer.close(1012).await;
        let mut peer = fake.welcome().await;
        // The unread ones come again by themselves; what was missed is asked for.
        peer.say(private(2)).await;
        let asked = loop {
            match peer.command().await {
                (id, Command::History(query)) => break (id, query),
                (id, Command::Join(_)) => peer.answer(id, Event::Joined(Box::new(joined(1)))).await,
                (_, other) => unreachable!("neither: {other:?}"),
            }
        };
        let (id, query) = asked;
        assert_eq!(query.after, Some(Seq(2)));
        let (room, head, events) = (query.room, Seq(4), vec![private(3), private(4)]);
        let page = HistoryPage { room: room.clone(), epoch: EPOCH, head, floor: Seq(0), events, more: false };
        peer.answer(id, Event::History(Box::new(page))).await;
        peer.say(private(5)).await;
        told.extend(private_seqs(&mut updates, 3).await);
        assert_eq!(told, [1, 2, 3, 4, 5]);
        peer.say(private(6)).await;
        told.extend(private_seqs(&mut updates, 1).await);
        assert_eq!(client.cursors().get(&room).map(|at| (at.epoch, at.seq)), Some((EPOCH, Seq(5))));
    })
    .await;
}

async fn private_seqs(updates: &mut Updates, count: usize) -> Vec<u64> {
    let mut told = Vec::new();
    while told.len() < count {
        match next(updates).await {
            Update::Event(Event::Private(message)) => told.push(message.seq.0),
            other => assert!(matches!(other, Update::Rejoined(_)), "not private: {other:?}"),
        }
    }
    told
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

#[tokio::test]
async fn what_fails_for_now_is_said_again_in_its_old_order() {
    within_limits(async {
        let fake = Fake::start().await;
        let (mut peer, client, _updates) = entered(&fake, 1).await;
        let server = async {
            let mut asked = Vec::new();
            for _ in 0..3 {
                asked.push(peer.command().await);
            }
            let first = asked[0].0.clone();
            let mut cids: Vec<_> = asked.iter().map(|(_, command)| cid(command)).collect();
            for (index, (id, _)) in asked.into_iter().enumerate() {
                let blocked_by = first.clone().filter(|_| index > 0);
                let refusal = Refusal { blocked_by, ..ErrorCode::Unavailable.into() };
                peer.answer(id, Event::Error(refusal)).await;
            }
            for seq in 2..=4 {
                let (id, command) = peer.command().await;
                assert_eq!(cid(&command), cids.remove(0));
                peer.answer(id, stored(seq)).await;
            }
            peer
        };
        let calls = async {
            tokio::join!(
                client.publish("general", "one"),
                client.react("general", Seq(1), "👍"),
                client.delete("general", Seq(1))
            )
        };
        let (_peer, (one, two, three)) = tokio::join!(server, calls);
        let stored = [one, two, three].map(|outcome| outcome.expect("stored").seq.0);
        assert_eq!(stored, [2, 3, 4]);
    })
    .await;
}

fn cid(command: &Command) -> Option<String> {
    let cid = match command {
        Command::Publish(said) => &said.cid,
        Command::React(reaction) => &reaction.cid,
        Command::Delete(deletion) => &deletion.cid,
        other => unreachable!("not said: {other:?}"),
    };
    assert!(cid.is_some());
    cid.as_ref().map(ToString::to_string)
}

#[tokio::test]
async fn a_program_that_starts_anew_goes_on_where_the_last_one_was() {
    within_limits(async {
        let fake = Fake::start().await;
        let (mut peer, client, mut updates) = entered(&fake, 3).await;
        peer.say_messages([4, 5]).await;
        assert_eq!(seqs(&mut updates, 1).await, [4]);
        assert_eq!(client.cursors()[&room()].seq, Seq(3), "the reader may not be done with it");
        assert_eq!(seqs(&mut updates, 1).await, [5]);
        let cursors = client.cursors();
        assert_eq!(cursors[&room()], Position { epoch: EPOCH, seq: Seq(4) });
        drop((client, updates, peer));

        let (mut peer, connected) =
            tokio::join!(fake.welcome(), fake.builder().resume_from(cursors).report_delivery().connect());
        let (client, mut updates) = connected.expect("welcome");
        let resumed = Joined { replayed: 1, ..joined(5) };
        let (join, outcome) =
            tokio::join!(peer.let_in(resumed), client.join("general", JoinOptions::default()));
        outcome.expect("entered");
        assert_eq!(join.since, Some(Position { epoch: EPOCH, seq: Seq(4) }));
        peer.say_messages([5]).await;
        assert_eq!(seqs(&mut updates, 1).await, [5]);
        client.mark_read("general", Seq(4)).await.expect("noted");
        client.mark_read("general", Seq(5)).await.expect("noted");
        let told = [peer.command().await.1, peer.command().await.1];
        let names = told.each_ref().map(Command::name);
        assert_eq!(names, ["read", "delivered"], "each is told once: {told:?}");
        assert!(matches!(&told[0], Command::Read(cursor) if cursor.seq == Seq(5)), "{told:?}");
    })
    .await;
}
