//! Whatever is written is read back the same, and no bytes whatsoever cause a panic.

use std::sync::Arc;

use compact_str::CompactString;
use parlour_protocol::command::{
    Availability, Command, Hello, HistoryQuery, InRoom, Join, Private, Publish, Read, Resume, SetPresence,
    Typing,
};
use parlour_protocol::dialect::{Context, DialectId, Payload, binary, json};
use parlour_protocol::event::{
    Ack, Event, GoAway, HistoryPage, Joined, Left, Limits, Member, MemberList, Membership, Message, Pong,
    PresenceNotice, PrivateMessage, ReadNotice, Reply, Resync, RoomSummary, Status, Stored, TypingNotice,
    Unrecovered, Welcome, Window,
};
use parlour_protocol::{Epoch, ErrorCode, Position, Refusal, Request, RequestId, RoomName, Seq, UserId};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

use crate::{decode, encode};

fn user() -> impl Strategy<Value = UserId> {
    "[a-zA-Z0-9,%:\"\\\\<>*-]{1,20}|größe|アリス愛".prop_map(|text| UserId::parse(&text).expect("valid"))
}

fn room() -> impl Strategy<Value = RoomName> {
    let named = "[a-z0-9:\"\\\\ü -]{0,20}[a-z]".prop_map(|text| RoomName::parse(text.trim()).expect("valid"));
    prop_oneof![named, (user(), user()).prop_map(|(a, b)| RoomName::private(&a, &b))]
}

/// Any text that may be said: quotes, line breaks, escapes and all of Unicode.
fn said() -> impl Strategy<Value = Arc<str>> {
    prop_oneof!["\\PC{1,40}", "[\"\\\\\n\r\t\u{1b}{}:,]{1,20}"].prop_map(Arc::from)
}

fn words() -> impl Strategy<Value = CompactString> {
    "\\PC{0,30}".prop_map(CompactString::from)
}

fn cid() -> impl Strategy<Value = Option<CompactString>> {
    of("[ -~]{1,64}".prop_map(CompactString::from))
}

fn seq() -> impl Strategy<Value = Seq> {
    prop_oneof![any::<u64>(), 0..1000_u64].prop_map(Seq)
}

fn epoch() -> impl Strategy<Value = Epoch> {
    any::<u128>().prop_map(Epoch)
}

fn position() -> impl Strategy<Value = Position> {
    (epoch(), seq()).prop_map(|(epoch, seq)| Position { epoch, seq })
}

pub(crate) fn command() -> impl Strategy<Value = Command> {
    let resume = (room(), position()).prop_map(|(room, since)| Resume { room, since });
    prop_oneof![
        (of(words()), of(user()), vec(resume, 0..4))
            .prop_map(|(token, user, resume)| Command::Hello(Hello { token, user, resume })),
        (room(), of(position()), of(any::<u32>())).prop_map(|(room, since, history)| Command::Join(Join {
            room,
            since,
            history
        })),
        room().prop_map(|room| Command::Leave(InRoom { room })),
        (room(), said(), cid()).prop_map(|(room, text, cid)| Command::Publish(Publish { room, text, cid })),
        (user(), said(), cid()).prop_map(|(to, text, cid)| Command::Private(Private { to, text, cid })),
        (room(), any::<bool>()).prop_map(|(room, active)| Command::Typing(Typing { room, active })),
        (
            select(vec![Availability::Online, Availability::Away]),
            of("[ -~]{0,140}".prop_map(CompactString::from))
        )
            .prop_map(|(status, text)| Command::Presence(SetPresence { status, text })),
        room().prop_map(|room| Command::Members(InRoom { room })),
        (room(), of(seq()), of(seq()), of(any::<u32>())).prop_map(|(room, before, after, limit)| {
            Command::History(HistoryQuery { room, before, after, limit })
        }),
        Just(Command::Rooms),
        (room(), seq()).prop_map(|(room, seq)| Command::Read(Read { room, seq })),
        Just(Command::Ping),
    ]
}

fn window() -> impl Strategy<Value = Window> {
    any::<(u32, u32)>().prop_map(|(min_ms, max_ms)| Window { min_ms, max_ms })
}

fn member() -> impl Strategy<Value = Member> {
    let status = select(vec![Status::Online, Status::Away, Status::Offline]);
    (user(), status, of(words()), any::<i64>()).prop_map(|(user, status, text, last_active_ms)| Member {
        user,
        status,
        text,
        last_active_ms,
    })
}

fn reason() -> impl Strategy<Value = Unrecovered> {
    use Unrecovered::{Access, Ahead, Epoch, Expired, TooFar};
    select(vec![Expired, Epoch, Ahead, TooFar, Access])
}

fn message() -> impl Strategy<Value = Message> {
    (room(), seq(), user(), said(), any::<i64>(), cid())
        .prop_map(|(room, seq, sender, text, ts, cid)| Message { room, seq, sender, text, ts, cid })
}

fn session_event() -> impl Strategy<Value = Event> {
    let limits =
        any::<(u64, u32, u32, u32, u32)>().prop_map(|(message_bytes, rooms, rate_per_s, burst, history)| {
            Limits { message_bytes, rooms, rate_per_s, burst, history }
        });
    let welcome = (words(), user(), any::<(i64, u64, bool)>(), limits, window(), vec(room(), 0..4)).prop_map(
        |(session, user, (server_time_ms, heartbeat_ms, dev), limits, reconnect, resuming)| {
            let welcome =
                Welcome { session, user, server_time_ms, heartbeat_ms, limits, reconnect, dev, resuming };
            Event::Welcome(Box::new(welcome))
        },
    );
    let code = select(ErrorCode::ALL.to_vec());
    let error = (code, words(), of(any::<u32>())).prop_map(|(code, message, retry_after_ms)| {
        Event::Error(Refusal { code, message: message.into_string().into(), retry_after_ms })
    });
    prop_oneof![
        welcome,
        error,
        any::<i64>().prop_map(|server_time_ms| Event::Pong(Pong { server_time_ms })),
        (words(), window()).prop_map(|(reason, reconnect)| Event::GoAway(GoAway { reason, reconnect })),
    ]
}

fn conversation_event() -> impl Strategy<Value = Event> {
    let private = (room(), seq(), user(), user(), said(), any::<i64>(), cid()).prop_map(
        |(room, seq, from, to, text, ts, cid)| {
            Event::Private(PrivateMessage { room, seq, from, to, text, ts, cid })
        },
    );
    let stored = (room(), epoch(), seq(), any::<(i64, bool)>())
        .prop_map(|(room, epoch, seq, (ts, dup))| Stored { room, epoch, seq, ts, dup });
    let page = (room(), epoch(), seq(), seq(), vec(message(), 0..4), any::<bool>()).prop_map(
        |(room, epoch, head, floor, messages, more)| {
            Event::History(Box::new(HistoryPage { room, epoch, head, floor, messages, more }))
        },
    );
    prop_oneof![
        message().prop_map(Event::Message),
        private,
        of(stored).prop_map(|stored| Event::Ack(Ack { stored })),
        page,
        (room(), reason(), epoch(), seq(), seq()).prop_map(|(room, reason, epoch, head, floor)| {
            Event::Resync(Box::new(Resync { room, reason, epoch, head, floor }))
        }),
    ]
}

fn room_event() -> impl Strategy<Value = Event> {
    let joined = (room(), position(), seq(), any::<(u32, bool, u32)>(), of(reason()), vec(member(), 0..4))
        .prop_map(
            |(
                room,
                Position { epoch, seq: head },
                floor,
                (replayed, durable, member_count),
                reason,
                members,
            )| {
                let recovered = reason.is_none();
                let joined = Joined {
                    room,
                    epoch,
                    head,
                    floor,
                    replayed,
                    recovered,
                    reason,
                    durable,
                    member_count,
                    members,
                };
                Event::Joined(Box::new(joined))
            },
        );
    let membership = || {
        (room(), user(), any::<u32>()).prop_map(|(room, user, member_count)| Membership {
            room,
            user,
            member_count,
        })
    };
    let summary = (room(), any::<(u32, bool)>(), of(user()))
        .prop_map(|(room, (member_count, joined), with)| RoomSummary { room, member_count, joined, with });
    prop_oneof![
        joined,
        room().prop_map(|room| Event::Left(Left { room })),
        membership().prop_map(Event::MemberJoined),
        membership().prop_map(Event::MemberLeft),
        (room(), user(), any::<bool>()).prop_map(|(room, user, active)| Event::Typing(TypingNotice {
            room,
            user,
            active
        })),
        (room(), member()).prop_map(|(room, member)| Event::Presence(PresenceNotice { room, member })),
        (room(), user(), seq()).prop_map(|(room, user, seq)| Event::Read(ReadNotice { room, user, seq })),
        (room(), any::<u32>(), vec(member(), 0..4)).prop_map(|(room, member_count, members)| {
            Event::Members(Box::new(MemberList { room, member_count, members }))
        }),
        vec(summary, 0..4).prop_map(Event::Rooms),
    ]
}

pub(crate) fn event() -> impl Strategy<Value = Event> {
    prop_oneof![session_event(), conversation_event(), room_event()]
}

fn number() -> impl Strategy<Value = RequestId> {
    (1..=u64::from(u32::MAX)).prop_map(RequestId::Number)
}

fn any_id() -> impl Strategy<Value = RequestId> {
    let text = "[ -~]{1,64}".prop_map(|text| RequestId::Text(text.into()));
    prop_oneof![any::<u64>().prop_map(RequestId::Number), text]
}

fn events_of(
    payload: Payload<'_>,
    read: impl Fn(Payload<'_>, &mut dyn FnMut(Event, Option<RequestId>)),
) -> Vec<Reply> {
    let mut replies = Vec::new();
    read(payload, &mut |event, id| replies.push(Reply { id, event }));
    replies
}

fn text(bytes: &[u8]) -> Payload<'_> {
    Payload::Text(std::str::from_utf8(bytes).expect("the dialect writes UTF-8"))
}

proptest! {
    #[test]
    fn requests_in_json(command in command(), id in any_id()) {
        let request = Request { id: Some(id), command };
        let mut bytes = Vec::new();
        json::encode_request(&request, &mut bytes);
        for dialect in [DialectId::Json, DialectId::JsonLines] {
            prop_assert_eq!(decode(dialect, text(&bytes), Context::default()), vec![Ok(request.clone())]);
        }
    }

    #[test]
    fn requests_in_binary(commands in vec((command(), number()), 1..4)) {
        let requests: Vec<_> =
            commands.into_iter().map(|(command, id)| Request { id: Some(id), command }).collect();
        let mut bytes = Vec::new();
        requests.iter().for_each(|request| binary::encode_request(request, &mut bytes));
        let decoded = decode(DialectId::Binary, Payload::Binary(&bytes), Context::default());
        prop_assert_eq!(decoded, requests.into_iter().map(Ok).collect::<Vec<_>>());
    }

    #[test]
    fn events_in_json(events in vec((event(), of(any_id())), 1..4)) {
        let mut frame = Vec::new();
        for (event, id) in &events {
            if !frame.is_empty() {
                frame.extend_from_slice(DialectId::JsonLines.dialect().separator().expect("lines"));
            }
            frame.extend(encode(DialectId::JsonLines, event, id.as_ref()));
        }
        let replies = events_of(text(&frame), |payload, each| {
            json::decode_events(payload, &mut |one| { let Reply { id, event } = one.expect("valid"); each(event, id) })
        });
        prop_assert_eq!(replies, events.into_iter().map(|(event, id)| Reply { id, event }).collect::<Vec<_>>());
    }

    #[test]
    fn events_in_binary(events in vec((event(), of(number())), 1..4)) {
        let mut frame = Vec::new();
        events.iter().for_each(|(event, id)| frame.extend(encode(DialectId::Binary, event, id.as_ref())));
        let replies = events_of(Payload::Binary(&frame), |payload, each| {
            binary::decode_events(payload, &mut |one| { let Reply { id, event } = one.expect("valid"); each(event, id) })
        });
        prop_assert_eq!(replies, events.into_iter().map(|(event, id)| Reply { id, event }).collect::<Vec<_>>());
    }

    /// Whoever says or is called what: an event is one line that nobody else could have caused.
    #[test]
    fn lines_of_text_cannot_be_forged(event in prop_oneof![conversation_event(), room_event()]) {
        let bytes = encode(DialectId::Text, &event, None);
        let shown = std::str::from_utf8(&bytes).expect("UTF-8");
        if !matches!(event, Event::History(_)) {
            prop_assert!(!shown.contains('\n'));
        }
        prop_assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{:?}", shown);
        if let Event::Message(message) = &event {
            let (name, said) = speaker(shown);
            prop_assert_eq!(name, message.sender.as_str());
            prop_assert!(said.chars().count() >= message.text.trim_end().chars().count().min(1));
            prop_assert!(!shown.starts_with(['*', '!', '[']));
        }
    }

    #[test]
    fn random_bytes_are_refused_in_peace(bytes in vec(any::<u8>(), 0..200)) {
        let lossy = String::from_utf8_lossy(&bytes);
        for dialect in DialectId::ALL {
            decode(dialect, Payload::Binary(&bytes), Context::default());
            decode(dialect, Payload::Text(&lossy), Context::default());
        }
        binary::decode_events(Payload::Binary(&bytes), &mut |_| ());
        json::decode_events(Payload::Text(&lossy), &mut |_| ());
    }

    #[test]
    fn cut_and_bent_messages_are_refused_in_peace(command in command(), at in any::<prop::sample::Index>(), byte: u8) {
        let request = Request { id: Some(RequestId::Number(1)), command };
        let mut bytes = Vec::new();
        binary::encode_request(&request, &mut bytes);
        let at = at.index(bytes.len());
        let cut = decode(DialectId::Binary, Payload::Binary(&bytes[..at]), Context::default());
        prop_assert!(cut.iter().all(Result::is_err), "a cut message is never carried out");
        bytes[at] = byte;
        decode(DialectId::Binary, Payload::Binary(&bytes), Context::default());
        let mut json = Vec::new();
        json::encode_request(&request, &mut json);
        let cut = String::from_utf8_lossy(&json[..at.min(json.len() - 1)]);
        prop_assert!(decode(DialectId::Json, Payload::Text(&cut), Context::default()).iter().all(Result::is_err));
    }
}

/// Messages are written by hand; the shape that the derived code writes is the reference.
#[test]
fn messages_are_written_as_they_are_declared() {
    for text in ["plain", "\"quoted\" \\ \u{8}\n\u{1f}\u{7f}", "größe 日本 \u{2028}"] {
        for (cid, seq) in [(None, Seq(1)), (Some("c\"1".into()), Seq(u64::MAX))] {
            let room = RoomName::parse("a\"b").expect("valid");
            let sender = UserId::parse("c\\d").expect("valid");
            let message = Message { room, seq, sender, text: text.into(), ts: -1, cid };
            let expected = serde_json::to_string(&message).expect("JSON");
            let written = encode(DialectId::Json, &Event::Message(message), None);
            let written = String::from_utf8(written).expect("UTF-8");
            assert_eq!(written, format!(r#"{{"type":"message","payload":{expected}}}"#));
        }
    }
}

/// Reads who speaks in a line, as a careful reader of the dialect would.
fn speaker(line: &str) -> (String, &str) {
    if line.starts_with('"') {
        let mut strings = serde_json::Deserializer::from_str(line).into_iter::<String>();
        let name = strings.next().expect("a name").expect("a JSON string");
        let rest = &line[strings.byte_offset()..];
        return (name, rest.strip_prefix(": ").expect("a colon"));
    }
    let (name, said) = line.split_once(": ").expect("a colon");
    (name.to_owned(), said)
}
