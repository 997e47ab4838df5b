//! Rooms with something of everything.

use parlour_hub::log::{Draft, Guard, NewEntry, Stored};
use parlour_protocol::content::{
    Content, Details, NewText, PinChange, Reaction, Role, RoleChange, Sanction, SanctionKind, Settings,
    Target, Text,
};
use parlour_protocol::{Epoch, RoomName, Seq, UserId};
use parlour_server::store::{Keep, Store};

const NOON: i64 = 1_700_000_000_000;

pub(super) fn room(name: &str) -> RoomName {
    RoomName::parse_any(name).expect("a name")
}

fn user(name: &str) -> UserId {
    UserId::parse(name).expect("a name")
}

pub(super) fn message(text: &str) -> Content {
    Content::Message(Text::plain(text))
}

pub(super) fn draft(name: &str, sender: &str, contents: Vec<Content>) -> Draft {
    let entries = contents.into_iter().map(|content| NewEntry { cid: None, content });
    Draft {
        room: room(name),
        new_epoch: Epoch(7),
        sender: user(sender),
        ts: NOON,
        guard: Guard::Moderator,
        entries: entries.collect(),
    }
}

/// Stores contents one after another, and the answer to the last of them.
pub(super) async fn say(store: &dyn Store, name: &str, sender: &str, contents: Vec<Content>) -> Stored {
    let drafts = contents.into_iter().map(|content| draft(name, sender, vec![content]));
    let answers = store.append(drafts.collect()).await.expect("stored");
    answers.into_iter().map(|answer| answer.expect("accepted")).next_back().expect("something to say")
}

fn edit(target: u64, text: &str) -> Content {
    Content::Edit(NewText { target: Seq(target), text: Some(text.into()), mentions: vec![user("Bob")] })
}

fn react(target: u64, emoji: &str, active: bool) -> Content {
    Content::Reaction(Reaction { target: Seq(target), emoji: emoji.into(), active, count: 0 })
}

fn pin(target: u64, active: bool) -> Content {
    Content::Pin(PinChange { target: Seq(target), active })
}

fn reply(target: u64, text: &str) -> Content {
    let details = Details { reply_to: Some(Seq(target)), mentions: vec![user("Zoë")], ..Details::default() };
    Content::Message(Text { text: text.into(), details: Some(Box::new(details)) })
}

/// Makes six rooms.
pub(super) async fn fill(store: &dyn Store) {
    general(store).await;
    say(store, "@Alice,Bob", "Alice", vec![message("between us"), react(1, "👍", true)]).await;
    say(store, "@Alice,Bob", "Bob", vec![reply(1, "yes"), edit(3, "no")]).await;
    for part in 0..6 {
        let lines = (part * 100..part * 100 + 100).map(|n| message(&format!("line {n}")));
        say(store, "long", "Alice", lines.collect()).await;
    }
    say(store, "größe", "Zoë", vec![message("a\u{2028}b\n\"c\" \\ \u{0} 🎉")]).await;
    for (name, floor) in [("gone", 10), ("old", 6)] {
        let lines = (0..9).map(|n| message(&format!("{n}"))).chain([pin(9, true)]);
        say(store, name, "Alice", lines.collect()).await;
        let keep = Keep { after: Some(Seq(floor)), ..Keep::default() };
        store.trim(room(name), keep).await.expect("trimmed");
    }
}

/// A room with an owner and every kind of entry.
async fn general(store: &dyn Store) {
    let settings = Settings { title: Some("Everybody".into()), private: Some(true), ..Settings::default() };
    let owner = RoleChange { user: user("Alice"), role: Some(Role::Owner) };
    let mut create = draft("general", "Alice", vec![Content::Settings(settings), Content::Role(owner)]);
    create.guard = Guard::NewRoom;
    create.entries[0].cid = Some("c-1".into());
    assert!(store.append(vec![create]).await.expect("stored")[0].is_ok());
    let mut first = draft("general", "Alice", vec![message("first")]);
    first.entries[0].cid = Some("c \" 2".into());
    assert!(store.append(vec![first]).await.expect("stored")[0].is_ok());
    say(store, "general", "Bob", vec![reply(3, "second"), message("third"), message("fourth")]).await;
    say(store, "general", "Bob", vec![edit(5, "3rd"), edit(5, "third!"), react(3, "👍", true)]).await;
    say(store, "general", "Alice", vec![react(3, "👍", true), react(3, "🎉", true), pin(3, true)]).await;
    say(store, "general", "Alice", vec![pin(4, true), pin(3, false), react(3, "🎉", false)]).await;
    let gone = Content::Delete(Target { target: Seq(6) });
    let guest = |role| Content::Role(RoleChange { user: user("Zoë"), role });
    say(store, "general", "Alice", vec![gone, guest(Some(Role::Member)), guest(None)]).await;
    let against = |name, kind, until_ms, reason: Option<&str>| {
        Content::Sanction(Sanction { user: user(name), kind, until_ms, reason: reason.map(Into::into) })
    };
    let sanctions = [
        against("Zoë", SanctionKind::Ban, Some(i64::MAX), Some("spam \" 2")),
        against("Eve", SanctionKind::Mute, None, None),
        against("Eve", SanctionKind::Kick, None, None),
    ];
    say(store, "general", "Alice", sanctions.to_vec()).await;
}
