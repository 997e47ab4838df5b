//! Requests, their answers, and the end of a client.

use std::time::Duration;

use parlour_client::{
    Availability, Client, Draft, Encoding, Error, ErrorCode, Event, Found, JoinOptions, Lost, MessageStatus,
    Page, Receipts, Refusal, RoomInfo, RoomSummary, Seq, Settings, Update,
};
use parlour_protocol::Command;
use parlour_protocol::event::{Ack, HistoryPage, Left, MemberList, Pong, ReportList, Reported};

use crate::fake::{EPOCH, Fake, Peer, joined, room, stored, user};
use crate::{next, within_limits};

/// Answers every command as a server would, until the client is gone; returns their names.
async fn serve(mut peer: Peer) -> Vec<&'static str> {
    let mut names = Vec::new();
    while let Some(request) = peer.request().await {
        names.push(request.command.name());
        let event = match request.command {
            Command::Join(_) => Event::Joined(Box::new(joined(4))),
            Command::Leave(_) => Event::Left(Left { room: room() }),
            Command::Publish(said) => {
                assert!(said.cid.is_some_and(|cid| !cid.is_empty()), "a cid makes repeating safe");
                stored(5)
            }
            Command::Private(_) => stored(1),
            command @ (Command::Batch(_)
            | Command::Edit(_)
            | Command::Delete(_)
            | Command::React(_)
            | Command::Pin(_)
            | Command::Create(_)
            | Command::Configure(_)
            | Command::Role(_)
            | Command::Sanction(_)) => change(&command),
            Command::Reports(_) => {
                let reported = Reported { target: Seq(3), user: user("Bob"), ts: 0, reason: None };
                Event::Reports(Box::new(ReportList { room: room(), reports: vec![reported] }))
            }
            Command::Report(report) => {
                assert_eq!(report.reason.as_deref(), Some("rude"));
                Event::Ack(Ack::default())
            }
            Command::Status(query) => {
                Event::Status(MessageStatus { room: query.room, cid: query.cid, stored: None })
            }
            Command::Info(_) => {
                let settings = Settings { topic: Some("tea".into()), ..Settings::default() };
                Event::Info(Box::new(RoomInfo {
                    room: room(),
                    settings,
                    roles: Vec::new(),
                    pins: vec![Seq(3)],
                    sanctions: Vec::new(),
                }))
            }
            Command::Receipts(cursor) => {
                let (room, seq, receipts) = (cursor.room, cursor.seq, Vec::new());
                Event::Receipts(Receipts { room, seq, read: 1, delivered: 2, of: 3, receipts })
            }
            Command::Search(search) => {
                assert_eq!((&*search.query, search.room), ("tea", Some(room())));
                Event::Found(Box::new(Found { hits: Vec::new(), next: Some("on".into()) }))
            }
            Command::Members(_) => {
                let members = Vec::new();
                Event::Members(Box::new(MemberList { room: room(), member_count: 3, members }))
            }
            Command::History(query) => {
                assert_eq!((query.before, query.after, query.limit), (Some(Seq(9)), None, Some(2)));
                Event::History(Box::new(HistoryPage {
                    room: room(),
                    epoch: EPOCH,
                    head: Seq(9),
                    floor: Seq(0),
                    events: Vec::new(),
                    more: true,
                }))
            }
            Command::Rooms => {
                let (room, member_count, unread) = (room(), 1, 2);
                Event::Rooms(vec![RoomSummary {
                    room,
                    member_count,
                    joined: true,
                    unread,
                    title: None,
                    with: None,
                }])
            }
            Command::Ping => Event::Pong(Pong { server_time_ms: 42 }),
            Command::Presence(_) | Command::Read(_) | Command::Delivered(_) | Command::Resolve(_) => {
                Event::Ack(Ack::default())
            }
            Command::Typing(_) | Command::Hello(_) | Command::More(_) => continue,
        };
        peer.answer(request.id, event).await;
    }
    peer.goodbye().await;
    names
}

/// Answers what changes something, which must have a cid.
fn change(command: &Command) -> Event {
    let has_cid = match command {
        Command::Batch(batch) => batch.messages.iter().all(|message| message.cid.is_some()),
        Command::Edit(edit) => edit.cid.is_some(),
        Command::Delete(delete) => delete.cid.is_some(),
        Command::React(react) => react.cid.is_some(),
        Command::Pin(pin) => pin.cid.is_some(),
        Command::Create(configure) | Command::Configure(configure) => configure.cid.is_some(),
        Command::Role(role) => role.cid.is_some(),
        Command::Sanction(sanction) => sanction.cid.is_some(),
        _ => false,
    };
    assert!(has_cid, "a cid makes repeating safe: {command:?}");
    stored(6)
}

async fn every_change(client: &Client) -> Result<(), Error> {
    let draft = Draft { text: "hi".into(), cid: None, reply_to: None, mentions: Vec::new() };
    let topic = Settings { topic: Some("tea".into()), ..Settings::default() };
    for stored in [
        client.batch("general", vec![draft.clone(), draft]).await?,
        client.edit("general", Seq(5), "hello").await?,
        client.delete("general", Seq(5)).await?,
        client.react("general", Seq(3), "👍").await?,
        client.unreact("general", Seq(3), "👍").await?,
        client.pin("general", Seq(3)).await?,
        client.unpin("general", Seq(3)).await?,
        client.create("general", Settings::default()).await?,
        client.configure("general", topic).await?,
        client.set_role("general", "Bob", Some(parlour_client::Role::Moderator)).await?,
        client.kick("general", "Bob", "").await?,
        client.mute("general", "Bob", Some(Duration::from_secs(60)), "loud").await?,
        client.ban("general", "Bob", None, "spam").await?,
        client.pardon("general", "Bob").await?,
        client.slow_down("general", Duration::from_secs(30)).await?,
    ] {
        assert_eq!(stored.seq, Seq(6));
    }
    client.report("general", Seq(3), "rude").await?;
    assert_eq!(client.reports("general").await?.len(), 1);
    client.resolve("general", Seq(3)).await?;
    assert_eq!(client.reply("general", Seq(3), "indeed").await?.seq, Seq(5));
    assert_eq!(client.status("general", "some").await?.stored, None);
    assert_eq!(client.info("general").await?.pins, [Seq(3)]);
    assert_eq!(client.receipts("general", Seq(3)).await?.of, 3);
    assert_eq!(client.search("tea", Some("general"), None).await?.next.as_deref(), Some("on"));
    Ok(())
}

async fn every_request(encoding: Encoding) -> Result<(), Error> {
    let fake = Fake::start().await;
    let server = async { serve(fake.welcome().await).await };
    let calls = async {
        let (client, _updates) = fake.builder().encoding(encoding).connect().await?;
        assert_eq!(client.user(), &user("Alice"));
        assert_eq!(client.join("general", JoinOptions::default()).await?.head, Seq(4));
        assert_eq!(client.publish("general", "hi").await?.seq, Seq(5));
        assert_eq!(client.private("Bob", "hi").await?.seq, Seq(1));
        client.typing("general", true).await?;
        client.presence(Availability::Away, Some("lunch")).await?;
        assert_eq!(client.members("general").await?.member_count, 3);
        assert!(client.history("general", Page::Before(Seq(9)), Some(2)).await?.more);
        assert_eq!(client.rooms().await?.len(), 1);
        client.read("general", Seq(5)).await?;
        assert_eq!(client.ping().await?, 42);
        every_change(&client).await?;
        client.leave("general").await?;
        client.close().await;
        Ok::<_, Error>(())
    };
    let (names, outcome) = tokio::join!(server, calls);
    let expected = [
        "join",
        "publish",
        "private",
        "typing",
        "presence",
        "members",
        "history",
        "rooms",
        "read",
        "ping",
        "batch",
        "edit",
        "delete",
        "react",
        "react",
        "pin",
        "pin",
        "create",
        "configure",
        "role",
        "sanction",
        "sanction",
        "sanction",
        "sanction",
        "configure",
        "report",
        "reports",
        "resolve",
        "publish",
        "status",
        "info",
        "receipts",
        "search",
        "leave",
    ];
    assert_eq!(names, expected);
    outcome
}

#[tokio::test]
async fn every_request_gets_its_answer() -> Result<(), Error> {
    within_limits(every_request(Encoding::Json)).await?;
    within_limits(every_request(Encoding::Binary)).await
}

#[tokio::test]
async fn a_refusal_is_an_error_of_that_request_alone() {
    within_limits(async {
        let fake = Fake::start().await;
        let server = async {
            let mut peer = fake.welcome().await;
            let (first, _) = peer.command().await;
            let (second, _) = peer.command().await;
            // The second answer comes first.
            peer.answer(second, Event::Pong(Pong { server_time_ms: 1 })).await;
            let refusal = Refusal::retry_after(ErrorCode::RateLimited, 100);
            peer.answer(first, Event::Error(refusal)).await;
            peer
        };
        let calls = async {
            let (client, updates) = fake.builder().connect().await.expect("welcome");
            let outcome = tokio::join!(client.members("general"), client.ping());
            (client, updates, outcome)
        };
        let (_peer, (client, _updates, (members, ping))) = tokio::join!(server, calls);
        assert_eq!(members.expect_err("refused").code(), Some(ErrorCode::RateLimited));
        assert_eq!(ping.expect("answered"), 1);
        assert!(matches!(client.publish("*", "hi").await, Err(Error::Name(_))), "refused without asking");
    })
    .await;
}

#[tokio::test]
async fn close_says_goodbye_and_leaves_no_task_behind() {
    within_limits(async {
        let tasks = tokio::runtime::Handle::current().metrics();
        assert_eq!(tasks.num_alive_tasks(), 0);
        let fake = Fake::start().await;
        let (peer, connected) = tokio::join!(fake.welcome(), fake.builder().connect());
        let (client, mut updates) = connected.expect("welcome");
        assert_eq!(tasks.num_alive_tasks(), 1, "one task per client");
        let (code, ()) = tokio::join!(peer.goodbye(), client.close());
        assert_eq!(code, Some(1000));
        assert_eq!(tasks.num_alive_tasks(), 0);
        assert!(matches!(client.ping().await, Err(Error::Closed)));
        assert!(matches!(updates.next().await, Some(Update::Connected(_))));
        assert!(updates.next().await.is_none());
        client.close().await; // twice is no mistake
    })
    .await;
}

#[tokio::test]
async fn dropping_the_last_handle_closes_the_connection() {
    within_limits(async {
        let fake = Fake::start().await;
        let (peer, connected) = tokio::join!(fake.welcome(), fake.builder().connect());
        drop(connected.expect("welcome"));
        assert_eq!(peer.goodbye().await, Some(1000));
    })
    .await;
}

#[tokio::test]
async fn a_reader_that_rests_loses_nothing_and_does_not_stop_the_close() {
    within_limits(async {
        let fake = Fake::start().await;
        let (mut peer, connected) = tokio::join!(fake.welcome(), fake.builder().capacity(2).connect());
        let (client, mut updates) = connected.expect("welcome");
        let (_, entered) =
            tokio::join!(peer.let_in(joined(0)), client.join("general", JoinOptions::default()));
        entered.expect("entered");
        peer.say_messages(1..=200).await;
        assert_eq!(crate::seqs(&mut updates, 200).await, (1..=200).collect::<Vec<_>>());
        peer.say_messages(201..=400).await;
        let (code, ()) = tokio::join!(peer.goodbye(), client.close());
        assert_eq!(code, Some(1000));
    })
    .await;
}

#[tokio::test]
async fn the_first_connection_fails_clearly() {
    within_limits(async {
        let fake = Fake::start().await;
        let refusal = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 7\r\n\r\nno key!";
        let builder = fake.builder().token("secret");
        let (head, outcome) = tokio::join!(fake.refuse(refusal), builder.connect());
        assert!(head.contains("\r\nAuthorization: Bearer secret\r\n"), "a token goes into a header: {head}");
        let Err(Error::Connect(lost)) = outcome else { unreachable!("refused") };
        assert!(matches!(&lost, Lost::Refused { status: 401, body, .. } if body == "no key!"), "{lost}");

        let unwelcome = async {
            let (mut peer, _) = fake.upgrade().await;
            let (id, _) = peer.command().await;
            peer.answer(id, Event::Error(ErrorCode::NameConfusable.into())).await;
        };
        let ((), outcome) = tokio::join!(unwelcome, fake.builder().connect());
        assert!(matches!(outcome, Err(Error::Connect(Lost::Unwelcome(refusal)))
            if refusal.code == ErrorCode::NameConfusable));
    })
    .await;
}

#[tokio::test]
async fn what_must_not_be_repeated_ends_the_client() {
    within_limits(async {
        let fake = Fake::start().await;
        let (mut peer, connected) = tokio::join!(fake.welcome(), fake.builder().connect());
        let (client, mut updates) = connected.expect("welcome");
        let server = async {
            peer.command().await;
            peer.close(1008).await;
        };
        let ((), outcome) = tokio::join!(server, client.publish("general", "hi"));
        assert!(matches!(outcome, Err(Error::Closed)), "{outcome:?}");
        let update = next(&mut updates).await;
        assert!(matches!(&update, Update::Ended(Lost::Closed { code: 1008, reason }) if reason == "because"));
        assert!(updates.next().await.is_none());
    })
    .await;
}
