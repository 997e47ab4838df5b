//! How scripts say and change things.
//!
//! ```text
//! alice@1 says "hello" in general cid c1 re 3 for bob,carol
//! alice@1 batches "one" "two" in general cid c2
//! alice@1 edits 3 in general to "hello"
//! alice@1 deletes 3 in general
//! alice@1 adds ok to 3 in general
//! alice@1 takes ok from 3 in general
//! alice@1 pins 3 in general
//! alice@1 configures general title "Everybody" private
//! alice@1 makes bob moderator in general
//! alice@1 mutes bob in general until 60 "shouting"
//! alice@1 pardons bob in general
//! ```

use compact_str::CompactString;
use parlour_hub::log::NewEntry;
use parlour_protocol::Seq;
use parlour_protocol::content::{
    Content, Details, NewText, PinChange, Reaction, Role, RoleChange, Sanction, SanctionKind, Settings,
    Target, Text,
};

use super::{number, quoted};
use crate::world::{WALL_MS, user};

/// Reads what somebody wants stored, and in which room.
pub fn entries<'a>(words: &[&'a str]) -> Option<(&'a str, Vec<NewEntry>)> {
    let content = match words {
        ["says", text, "in", room, more @ ..] => return Some((room, said(text, more)?)),
        ["batches", words @ ..] => return batch(words),
        ["edits", target, "in", _, "to", text, more @ ..] => Content::Edit(NewText {
            target: seq(target)?,
            text: Some(text.trim_matches('"').into()),
            mentions: details(more).mentions,
        }),
        ["deletes", target, ..] => Content::Delete(Target { target: seq(target)? }),
        [verb @ ("adds" | "takes"), emoji, "to" | "from", target, ..] => Content::Reaction(Reaction {
            target: seq(target)?,
            emoji: (*emoji).into(),
            active: *verb == "adds",
            count: 0,
        }),
        [verb @ ("pins" | "unpins"), target, ..] => {
            Content::Pin(PinChange { target: seq(target)?, active: *verb == "pins" })
        }
        ["configures", room, more @ ..] => {
            let entry = NewEntry { cid: cid(more), content: Content::Settings(settings(more)) };
            return Some((room, vec![entry]));
        }
        ["makes", who, role, ..] => Content::Role(RoleChange { user: user(who), role: self::role(role)? }),
        [verb @ ("kicks" | "mutes" | "bans" | "pardons"), who, ..] => Content::Sanction(Sanction {
            user: user(who),
            kind: match *verb {
                "kicks" => SanctionKind::Kick,
                "mutes" => SanctionKind::Mute,
                "bans" => SanctionKind::Ban,
                _ => SanctionKind::None,
            },
            until_ms: number(words, "until").map(|seconds| WALL_MS + 1_000 * seconds as i64),
            reason: quoted(words),
        }),
        _ => return None,
    };
    Some((after(words, "in")?, vec![NewEntry { cid: cid(words), content }]))
}

/// Reads one message.
pub fn said(text: &str, more: &[&str]) -> Option<Vec<NewEntry>> {
    let details = details(more);
    let details = (details != Details::default()).then(|| Box::new(details));
    let content = Content::Message(Text { text: text.trim_matches('"').into(), details });
    Some(vec![NewEntry { cid: cid(more), content }])
}

pub fn cid(words: &[&str]) -> Option<CompactString> {
    after(words, "cid").map(Into::into)
}

pub fn settings(words: &[&str]) -> Settings {
    let text = |key| after(words, key).map(|text| text.trim_matches('"').into());
    let private = match words.contains(&"open") {
        true => Some(false),
        false => words.contains(&"private").then_some(true),
    };
    let slow_ms = number(words, "slow").map(|seconds| 1_000 * seconds as u32);
    Settings { title: text("title"), topic: text("topic"), private, slow_ms }
}

/// The cids of the messages are numbered.
fn batch<'a>(words: &[&'a str]) -> Option<(&'a str, Vec<NewEntry>)> {
    let texts: Vec<_> = words.iter().take_while(|word| word.starts_with('"')).collect();
    let entry = |(number, text): (usize, &&&str)| {
        let mut entry = said(text, &words[texts.len()..])?.pop()?;
        entry.cid = entry.cid.map(|cid| format!("{cid}.{number}").into());
        Some(entry)
    };
    Some((after(words, "in")?, texts.iter().enumerate().map(entry).collect::<Option<_>>()?))
}

fn details(words: &[&str]) -> Details {
    let mentions = after(words, "for").map(|names| names.split(',').map(user).collect());
    let reply_to = number(words, "re").map(Seq);
    Details { reply_to, mentions: mentions.unwrap_or_default(), ..Details::default() }
}

fn role(word: &str) -> Option<Option<Role>> {
    Some(match word {
        "owner" => Some(Role::Owner),
        "moderator" => Some(Role::Moderator),
        "member" => Some(Role::Member),
        "nobody" => None,
        _ => return None,
    })
}

fn after<'a>(words: &[&'a str], key: &str) -> Option<&'a str> {
    let index = words.iter().position(|word| *word == key)?;
    words.get(index + 1).copied()
}

fn seq(word: &str) -> Option<Seq> {
    word.parse().ok().map(Seq)
}
