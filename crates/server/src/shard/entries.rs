//! From what a client says to the entries of a room's log.

use std::sync::Arc;

use compact_str::CompactString;
use parlour_hub::log::NewEntry;
use parlour_protocol::command::{
    Batch, Command, Delete, Edit, Pin, Private, Publish, React, SetRole, SetSanction,
};
use parlour_protocol::content::{
    Content, Details, NewText, PinChange, Reaction, RoleChange, Sanction, Target, Text,
};
use parlour_protocol::{RoomName, Seq, UserId};

/// Turns a command that says or changes something into entries for a room; gives back any other.
/// `now_ms` is the wall clock.
#[expect(clippy::result_large_err, reason = "it goes back to where it came from")]
pub(crate) fn entries(
    command: Command,
    user: &UserId,
    now_ms: i64,
) -> Result<(RoomName, Vec<NewEntry>), Command> {
    Ok(match command {
        Command::Publish(Publish { room, text, cid, reply_to, mentions }) => {
            (room, vec![message(text, cid, reply_to, mentions)])
        }
        Command::Private(Private { to, text, cid, reply_to, mentions }) => {
            (RoomName::private(user, &to), vec![message(text, cid, reply_to, mentions)])
        }
        Command::Batch(Batch { room, messages }) => {
            let entries = messages
                .into_iter()
                .map(|draft| message(draft.text, draft.cid, draft.reply_to, draft.mentions));
            (room, entries.collect())
        }
        Command::Edit(Edit { room, target, text, cid, mentions }) => {
            one(room, cid, Content::Edit(NewText { target, text: Some(text), mentions }))
        }
        Command::Delete(Delete { room, target, cid }) => one(room, cid, Content::Delete(Target { target })),
        Command::React(React { room, target, emoji, active, cid }) => {
            one(room, cid, Content::Reaction(Reaction { target, emoji, active, count: 0 }))
        }
        Command::Pin(Pin { room, target, active, cid }) => {
            one(room, cid, Content::Pin(PinChange { target, active }))
        }
        Command::Configure(configure) => {
            one(configure.room, configure.cid, Content::Settings(configure.settings))
        }
        Command::Role(SetRole { room, user, role, cid }) => {
            one(room, cid, Content::Role(RoleChange { user, role }))
        }
        Command::Sanction(sanction) => {
            let SetSanction { room, user, kind, for_ms, reason, cid } = *sanction;
            let until_ms = for_ms.map(|for_ms| now_ms.saturating_add_unsigned(for_ms));
            one(room, cid, Content::Sanction(Sanction { user, kind, until_ms, reason }))
        }
        other => return Err(other),
    })
}

fn one(room: RoomName, cid: Option<CompactString>, content: Content) -> (RoomName, Vec<NewEntry>) {
    (room, vec![NewEntry { cid, content }])
}

fn message(
    text: Arc<str>,
    cid: Option<CompactString>,
    reply_to: Option<Seq>,
    mentions: Vec<UserId>,
) -> NewEntry {
    let is_plain = reply_to.is_none() && mentions.is_empty();
    let details = (!is_plain).then(|| Box::new(Details { reply_to, mentions, ..Details::default() }));
    NewEntry { cid, content: Content::Message(Text { text, details }) }
}
