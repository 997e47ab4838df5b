//! Every event.

use parlour_protocol::content::{
    Content, Details, NewText, PinChange, Reaction, RoleChange, Tally, Target, Text,
};
use parlour_protocol::event::{
    Ack, CursorNotice, Erased, Event, Found, GoAway, Header, HistoryPage, Hit, Joined, Left, Limits, Member,
    MemberList, Membership, MessageStatus, Pong, PresenceNotice, PrivateMessage, Receipt, Receipts,
    ReplayPage, ReportList, Reported, Resync, RoleHolder, RoomInfo, RoomSummary, Status, Stored,
    TokenExpiring, TypingNotice, Unrecovered, Welcome, Window,
};
use parlour_protocol::{ErrorCode, Position, Refusal, RoomName, Seq};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

use super::{
    cid, emoji, epoch, number, position, role, room, said, sanction, seq, settings, user, users, words,
};

pub(crate) fn event() -> impl Strategy<Value = Event> {
    // In boxes: the generators of all events at once are larger than the stack of a test.
    prop_oneof![4 => session_event().boxed(), 8 => entry().boxed(), 10 => room_event().boxed(), 9 => answer().boxed()]
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

fn receipt() -> impl Strategy<Value = Receipt> {
    (user(), any::<(u64, u64)>()).prop_map(|(user, (read, delivered))| Receipt {
        user,
        read: Seq(read),
        delivered: Seq(delivered),
    })
}

fn reason() -> impl Strategy<Value = Unrecovered> {
    use Unrecovered::{Access, Ahead, Epoch, Expired};
    select(vec![Expired, Epoch, Ahead, Access])
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
    let error = (code, words(), of(any::<u32>()), of(number())).prop_map(
        |(code, message, retry_after_ms, blocked_by)| {
            let message = message.into_string().into();
            Event::Error(Refusal { code, message, retry_after_ms, blocked_by })
        },
    );
    prop_oneof![
        welcome,
        error,
        any::<i64>().prop_map(|server_time_ms| Event::Pong(Pong { server_time_ms })),
        (words(), window()).prop_map(|(reason, reconnect)| Event::GoAway(GoAway { reason, reconnect })),
        any::<i64>().prop_map(|expires_ms| Event::TokenExpiring(TokenExpiring { expires_ms })),
    ]
}

/// Details that are not empty: without any there are none.
fn details() -> impl Strategy<Value = Option<Box<Details>>> {
    let tally =
        (emoji(), any::<u32>(), users()).prop_map(|(emoji, count, users)| Tally { emoji, count, users });
    (of(seq()), of(seq()), users(), of(seq()), of(seq()), vec(tally, 0..3)).prop_map(
        |(reply_to, thread, mentions, edited, deleted, reactions)| {
            let details = Details { reply_to, thread, mentions, edited, deleted, reactions };
            (details != Details::default()).then(|| Box::new(details))
        },
    )
}

fn content() -> impl Strategy<Value = Content> {
    let reaction = (seq(), emoji(), any::<(bool, u32)>())
        .prop_map(|(target, emoji, (active, count))| Reaction { target, emoji, active, count });
    prop_oneof![
        said().prop_map(|text| Content::Message(Text::plain(text))),
        (said(), details()).prop_map(|(text, details)| Content::Message(Text { text, details })),
        (seq(), of(said()), users()).prop_map(|(target, text, mentions)| Content::Edit(NewText {
            target,
            text,
            mentions
        })),
        seq().prop_map(|target| Content::Delete(Target { target })),
        reaction.prop_map(Content::Reaction),
        (seq(), any::<bool>()).prop_map(|(target, active)| Content::Pin(PinChange { target, active })),
        settings().prop_map(Content::Settings),
        (user(), of(role())).prop_map(|(user, role)| Content::Role(RoleChange { user, role })),
        sanction().prop_map(Content::Sanction),
    ]
}

/// What the log of a room keeps.
pub(crate) fn entry() -> impl Strategy<Value = Event> {
    let header = (room(), seq(), user(), any::<i64>(), cid())
        .prop_map(|(room, seq, sender, ts, cid)| Header { room, seq, sender, ts, cid });
    let private = (seq(), user(), user(), said(), any::<i64>(), cid(), details()).prop_map(
        |(seq, from, to, text, ts, cid, details)| {
            let room = RoomName::private(&from, &to);
            Event::Private(PrivateMessage { room, seq, from, to, text, ts, cid, details })
        },
    );
    prop_oneof![8 => (header, content()).prop_map(|(header, content)| header.event(content)), 1 => private]
}

fn joined() -> impl Strategy<Value = Event> {
    let counts = any::<(u32, u64, bool, u32, u64)>();
    let people = (vec(member(), 0..4), vec(receipt(), 0..3));
    (room(), position(), counts, of(reason()), people).prop_map(
        |(room, at, (replayed, behind, durable, member_count, floor), reason, (members, receipts))| {
            let Position { epoch, seq: head } = at;
            let (floor, recovered) = (Seq(floor), reason.is_none());
            Event::Joined(Box::new(Joined {
                room,
                epoch,
                head,
                floor,
                replayed,
                behind,
                recovered,
                reason,
                durable,
                member_count,
                members,
                receipts,
            }))
        },
    )
}

pub(crate) fn room_event() -> impl Strategy<Value = Event> {
    let membership = || {
        (room(), user(), any::<u32>()).prop_map(|(room, user, member_count)| Membership {
            room,
            user,
            member_count,
        })
    };
    let cursor =
        || {
            (room(), user(), seq(), any::<(u32, u32)>())
                .prop_map(|(room, user, seq, (count, of))| CursorNotice { room, user, seq, count, of })
        };
    prop_oneof![
        joined().boxed(),
        room().prop_map(|room| Event::Left(Left { room })),
        membership().prop_map(Event::MemberJoined),
        membership().prop_map(Event::MemberLeft),
        (room(), user(), any::<bool>()).prop_map(|(room, user, active)| Event::Typing(TypingNotice {
            room,
            user,
            active
        })),
        (room(), member()).prop_map(|(room, member)| Event::Presence(PresenceNotice { room, member })),
        cursor().prop_map(Event::Read),
        cursor().prop_map(Event::Delivered),
        (room(), user()).prop_map(|(room, user)| Event::Erased(Erased { room, user })),
        (room(), reason(), epoch(), seq(), seq()).prop_map(|(room, reason, epoch, head, floor)| {
            Event::Resync(Box::new(Resync { room, reason, epoch, head, floor }))
        }),
    ]
}

fn stored() -> impl Strategy<Value = Stored> {
    (room(), epoch(), seq(), any::<(i64, bool)>(), of(any::<u32>()))
        .prop_map(|(room, epoch, seq, (ts, dup), count)| Stored { room, epoch, seq, ts, dup, count })
}

fn answer() -> impl Strategy<Value = Event> {
    let page = (room(), epoch(), seq(), seq(), vec(entry(), 0..4), any::<bool>()).prop_map(
        |(room, epoch, head, floor, events, more)| {
            Event::History(Box::new(HistoryPage { room, epoch, head, floor, events, more }))
        },
    );
    let status = (room(), words(), of(stored()))
        .prop_map(|(room, cid, stored)| Event::Status(MessageStatus { room, cid, stored }));
    prop_oneof![
        of(stored()).prop_map(|stored| Event::Ack(Ack { stored })),
        page.boxed(),
        status,
        (room(), any::<(u32, u64)>()).prop_map(|(room, (replayed, behind))| Event::Page(ReplayPage {
            room,
            replayed,
            behind
        })),
        room_answer().boxed(),
    ]
}

fn room_answer() -> impl Strategy<Value = Event> {
    let summary = (room(), any::<(u32, bool, u32)>(), of(words()), of(user())).prop_map(
        |(room, (member_count, joined, unread), title, with)| RoomSummary {
            room,
            member_count,
            joined,
            unread,
            title,
            with,
        },
    );
    let holder = (user(), role()).prop_map(|(user, role)| RoleHolder { user, role });
    let receipts = (room(), seq(), any::<(u32, u32, u32)>(), vec(receipt(), 0..3)).prop_map(
        |(room, seq, (read, delivered, of), receipts)| {
            Event::Receipts(Receipts { room, seq, read, delivered, of, receipts })
        },
    );
    let report = (seq(), user(), any::<i64>(), of(words())).prop_map(|(target, user, ts, reason)| Reported {
        target,
        user,
        ts,
        reason,
    });
    let hit = (room(), seq(), user(), any::<i64>(), words())
        .prop_map(|(room, seq, sender, ts, snippet)| Hit { room, seq, sender, ts, snippet });
    prop_oneof![
        (room(), any::<u32>(), vec(member(), 0..4)).prop_map(|(room, member_count, members)| {
            Event::Members(Box::new(MemberList { room, member_count, members }))
        }),
        vec(summary, 0..4).prop_map(Event::Rooms),
        (room(), settings(), vec(holder, 0..3), vec(seq(), 0..3), vec(sanction(), 0..2)).prop_map(
            |(room, settings, roles, pins, sanctions)| {
                Event::Info(Box::new(RoomInfo { room, settings, roles, pins, sanctions }))
            }
        ),
        (room(), vec(report, 0..3))
            .prop_map(|(room, reports)| Event::Reports(Box::new(ReportList { room, reports }))),
        receipts,
        (vec(hit, 0..3), of(words())).prop_map(|(hits, next)| Event::Found(Box::new(Found { hits, next }))),
    ]
}
