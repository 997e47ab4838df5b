//! Random commands and events: every field takes every form that it may have.

pub(crate) mod commands;
pub(crate) mod events;

use std::sync::Arc;

use compact_str::CompactString;
use parlour_protocol::content::{Role, Sanction, SanctionKind, Settings};
use parlour_protocol::limits::SLOW_MS;
use parlour_protocol::{Epoch, Position, RequestId, RoomName, Seq, UserId};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

pub(crate) use commands::command;
pub(crate) use events::event;

fn user() -> impl Strategy<Value = UserId> {
    "[a-zA-Z0-9,%:\"\\\\<>*#-]{1,20}|größe|アリス愛".prop_map(|text| UserId::parse(&text).expect("valid"))
}

fn users() -> impl Strategy<Value = Vec<UserId>> {
    vec(user(), 0..4)
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

fn emoji() -> impl Strategy<Value = CompactString> {
    "👍|🏳️‍🌈|:\\)|[a-z(#]{1,32}".prop_map(CompactString::from)
}

fn cid() -> impl Strategy<Value = Option<CompactString>> {
    of("[ -~]{1,64}".prop_map(CompactString::from))
}

/// A number of a message, which is never 0.
fn seq() -> impl Strategy<Value = Seq> {
    prop_oneof![1..=u64::MAX, 1..1000_u64].prop_map(Seq)
}

fn epoch() -> impl Strategy<Value = Epoch> {
    any::<u128>().prop_map(Epoch)
}

fn position() -> impl Strategy<Value = Position> {
    (epoch(), any::<u64>()).prop_map(|(epoch, seq)| Position { epoch, seq: Seq(seq) })
}

fn settings() -> impl Strategy<Value = Settings> {
    (of(words()), of(words()), of(any::<bool>()), of(0..=SLOW_MS))
        .prop_map(|(title, topic, private, slow_ms)| Settings { title, topic, private, slow_ms })
}

fn sanction_kind() -> impl Strategy<Value = SanctionKind> {
    select(SanctionKind::ALL.to_vec())
}

fn sanction() -> impl Strategy<Value = Sanction> {
    (user(), sanction_kind(), of(any::<i64>()), of(words()))
        .prop_map(|(user, kind, until_ms, reason)| Sanction { user, kind, until_ms, reason })
}

fn role() -> impl Strategy<Value = Role> {
    select(vec![Role::Member, Role::Moderator, Role::Owner])
}

pub(crate) fn number() -> impl Strategy<Value = RequestId> {
    (1..=u64::from(u32::MAX)).prop_map(RequestId::Number)
}

pub(crate) fn any_id() -> impl Strategy<Value = RequestId> {
    let text = "[ -~]{1,64}".prop_map(|text| RequestId::Text(text.into()));
    prop_oneof![any::<u64>().prop_map(RequestId::Number), text]
}
