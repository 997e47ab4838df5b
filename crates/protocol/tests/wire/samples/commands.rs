//! Every command.

use compact_str::CompactString;
use parlour_protocol::Command;
use parlour_protocol::command::{
    Availability, Batch, Configure, Cursor, Delete, Draft, Edit, Hello, HistoryQuery, InRoom, Join, Pin,
    Private, Publish, React, Report, Resolve, Resume, Search, SetPresence, SetRole, SetSanction, StatusQuery,
    Typing,
};
use parlour_protocol::content::{SanctionKind, Settings};
use parlour_protocol::limits::SANCTION_MS;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

use super::{cid, emoji, position, role, room, said, sanction_kind, seq, settings, user, users, words};

pub(crate) fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        6 => session().boxed(),
        3 => saying().boxed(),
        4 => changing().boxed(),
        4 => ruling().boxed(),
        4 => moderating().boxed(),
        9 => asking().boxed(),
    ]
}

fn session() -> impl Strategy<Value = Command> {
    let resume = (room(), position()).prop_map(|(room, since)| Resume { room, since });
    let status = select(vec![Availability::Online, Availability::Away]);
    let text = of("[ -~]{0,140}".prop_map(CompactString::from));
    prop_oneof![
        (of(words()), of(user()), vec(resume, 0..4))
            .prop_map(|(token, user, resume)| Command::Hello(Hello { token, user, resume })),
        (room(), of(position()), of(any::<u32>())).prop_map(|(room, since, history)| Command::Join(Join {
            room,
            since,
            history
        })),
        room().prop_map(|room| Command::Leave(InRoom { room })),
        (room(), any::<bool>()).prop_map(|(room, active)| Command::Typing(Typing { room, active })),
        (status, text).prop_map(|(status, text)| Command::Presence(SetPresence { status, text })),
        Just(Command::Ping),
    ]
}

fn draft() -> impl Strategy<Value = Draft> {
    (said(), cid(), of(seq()), users()).prop_map(|(text, cid, reply_to, mentions)| Draft {
        text,
        cid,
        reply_to,
        mentions,
    })
}

fn saying() -> impl Strategy<Value = Command> {
    prop_oneof![
        (room(), draft()).prop_map(|(room, Draft { text, cid, reply_to, mentions })| {
            Command::Publish(Publish { room, text, cid, reply_to, mentions })
        }),
        (user(), draft()).prop_map(|(to, Draft { text, cid, reply_to, mentions })| {
            Command::Private(Private { to, text, cid, reply_to, mentions })
        }),
        (room(), vec(draft(), 1..4)).prop_map(|(room, mut messages)| {
            for (index, message) in messages.iter_mut().enumerate() {
                message.cid = message.cid.take().map(|_| index.to_string().into());
            }
            Command::Batch(Batch { room, messages })
        }),
    ]
}

fn changing() -> impl Strategy<Value = Command> {
    let edit = (room(), seq(), said(), cid(), users()).prop_map(|(room, target, text, cid, mentions)| Edit {
        room,
        target,
        text,
        cid,
        mentions,
    });
    let react = (room(), seq(), emoji(), any::<bool>(), cid())
        .prop_map(|(room, target, emoji, active, cid)| React { room, target, emoji, active, cid });
    prop_oneof![
        edit.prop_map(Command::Edit),
        (room(), seq(), cid()).prop_map(|(room, target, cid)| Command::Delete(Delete { room, target, cid })),
        react.prop_map(Command::React),
        (room(), seq(), any::<bool>(), cid()).prop_map(|(room, target, active, cid)| Command::Pin(Pin {
            room,
            target,
            active,
            cid
        })),
    ]
}

fn ruling() -> impl Strategy<Value = Command> {
    let change =
        || (room(), settings(), cid()).prop_map(|(room, settings, cid)| Configure { room, settings, cid });
    prop_oneof![
        change().prop_map(Command::Create),
        change().prop_filter_map("configure changes something", |change| {
            (change.settings != Settings::default()).then_some(Command::Configure(change))
        }),
        (room(), user(), of(role()), cid()).prop_map(|(room, user, role, cid)| Command::Role(SetRole {
            room,
            user,
            role,
            cid
        })),
        room().prop_map(|room| Command::Info(InRoom { room })),
    ]
}

fn moderating() -> impl Strategy<Value = Command> {
    let sanction = (room(), user(), sanction_kind(), of(1..=SANCTION_MS), of(words()), cid()).prop_map(
        |(room, user, kind, for_ms, reason, cid)| {
            let for_ms = for_ms.filter(|_| kind >= SanctionKind::Mute);
            Box::new(SetSanction { room, user, kind, for_ms, reason, cid })
        },
    );
    prop_oneof![
        2 => sanction.prop_map(Command::Sanction),
        1 => (room(), seq(), of(words()))
            .prop_map(|(room, target, reason)| Command::Report(Report { room, target, reason })),
        1 => room().prop_map(|room| Command::Reports(InRoom { room })),
        1 => (room(), seq()).prop_map(|(room, target)| Command::Resolve(Resolve { room, target })),
    ]
}

fn asking() -> impl Strategy<Value = Command> {
    let cursor = || (room(), seq()).prop_map(|(room, seq)| Cursor { room, seq });
    let status = (room(), cid()).prop_map(|(room, cid)| {
        Command::Status(StatusQuery { room, cid: cid.unwrap_or_else(|| "c".into()) })
    });
    let history = (room(), of(seq()), of(seq()), of(seq()), of(any::<u32>()))
        .prop_map(|(room, before, after, thread, limit)| HistoryQuery { room, before, after, thread, limit });
    let search = ("[a-zü\"*]{1,40}", of(room()), of(words()), of(any::<u32>()))
        .prop_map(|(query, room, before, limit)| Search { query: query.into(), room, before, limit });
    prop_oneof![
        room().prop_map(|room| Command::Members(InRoom { room })),
        history.prop_map(Command::History),
        Just(Command::Rooms),
        cursor().prop_map(Command::Read),
        cursor().prop_map(Command::Delivered),
        cursor().prop_map(Command::Receipts),
        status,
        room().prop_map(|room| Command::More(InRoom { room })),
        search.prop_map(Command::Search),
    ]
}
