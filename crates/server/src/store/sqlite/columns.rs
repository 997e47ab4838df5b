//! Entries as columns, and columns as entries.

use parlour_hub::log::{Record, RoomState};
use parlour_protocol::content::{
    Content, Details, NewText, PinChange, Reaction, Role, RoleChange, Settings, Target, Text,
};
use parlour_protocol::{Seq, UserId};
use rusqlite::Row;
use sha2::{Digest as _, Sha256};

use super::checksum::RoomChecksum;
use super::fault::Fault;

/// The columns of an entry, in the order that [`Columns::read`] expects.
pub(super) const COLUMNS: &str = "seq, ts, sender, cid, body, kind, target, thread, mentions, active, \
     count, edited, deleted, digest, checksum";

/// The kinds of entries.
pub(super) mod kind {
    pub(in super::super) const MESSAGE: i64 = 0;
    pub(in super::super) const EDIT: i64 = 1;
    pub(in super::super) const DELETE: i64 = 2;
    pub(in super::super) const REACTION: i64 = 3;
    pub(in super::super) const PIN: i64 = 4;
    pub(in super::super) const SETTINGS: i64 = 5;
    pub(in super::super) const ROLE: i64 = 6;
}

/// An entry as it is stored.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Columns {
    // tidy: the columns of one table
    pub(super) seq: i64,
    pub(super) ts: i64,
    pub(super) sender: String,
    pub(super) cid: Option<String>,
    pub(super) body: String,
    pub(super) kind: i64,
    pub(super) target: Option<i64>,
    pub(super) thread: Option<i64>,
    pub(super) mentions: Option<String>,
    pub(super) active: Option<bool>,
    pub(super) count: Option<i64>,
    pub(super) edited: Option<i64>,
    pub(super) deleted: Option<i64>,
    pub(super) digest: Option<Vec<u8>>,
}

impl Columns {
    /// Returns the columns that follow from what an entry says.
    pub(super) fn of(content: &Content) -> Self {
        let empty = Self::default();
        match content {
            Content::Message(Text { text, details }) => {
                let details = details.as_deref();
                Self {
                    body: text.as_ref().into(),
                    target: details.and_then(|details| details.reply_to).map(number),
                    thread: details.and_then(|details| details.thread).map(number),
                    mentions: list(details.map_or(&[][..], |details| &details.mentions)),
                    edited: details.and_then(|details| details.edited).map(number),
                    deleted: details.and_then(|details| details.deleted).map(number),
                    ..empty
                }
            }
            Content::Edit(NewText { target, text, mentions }) => Self {
                kind: kind::EDIT,
                target: Some(number(*target)),
                body: text.as_deref().unwrap_or_default().into(),
                mentions: list(mentions),
                ..empty
            },
            Content::Delete(Target { target }) => {
                Self { kind: kind::DELETE, target: Some(number(*target)), ..empty }
            }
            Content::Reaction(Reaction { target, emoji, active, count }) => Self {
                kind: kind::REACTION,
                target: Some(number(*target)),
                body: emoji.to_string(),
                active: Some(*active),
                count: Some((*count).into()),
                ..empty
            },
            Content::Pin(PinChange { target, active }) => {
                Self { kind: kind::PIN, target: Some(number(*target)), active: Some(*active), ..empty }
            }
            Content::Settings(settings) => Self { kind: kind::SETTINGS, body: json(settings), ..empty },
            Content::Role(change) => Self { kind: kind::ROLE, body: json(change), ..empty },
        }
    }

    /// Reads the [`COLUMNS`], unless they do not match their checksum.
    pub(super) fn read(row: &Row<'_>, room: &RoomChecksum) -> Result<Self, Fault> {
        let columns = Self {
            seq: row.get(0)?,
            ts: row.get(1)?,
            sender: row.get(2)?,
            cid: row.get(3)?,
            body: row.get(4)?,
            kind: row.get(5)?,
            target: row.get(6)?,
            thread: row.get(7)?,
            mentions: row.get(8)?,
            active: row.get(9)?,
            count: row.get(10)?,
            edited: row.get(11)?,
            deleted: row.get(12)?,
            digest: row.get(13)?,
        };
        match row.get::<_, i64>(14)? == room.of(&columns) {
            true => Ok(columns),
            false => Err(Fault::Corrupt),
        }
    }

    /// Makes the record of the entry.
    pub(super) fn record(self) -> Result<Record, Fault> {
        Ok(Record {
            seq: seq(self.seq)?,
            sender: user(&self.sender)?,
            ts: self.ts,
            content: self.content()?,
            cid: self.cid.map(Into::into),
        })
    }

    fn content(&self) -> Result<Content, Fault> {
        let target = || seq(self.target.ok_or(Fault::Corrupt)?);
        let active = self.active.ok_or(Fault::Corrupt);
        Ok(match self.kind {
            kind::MESSAGE => Content::Message(Text { text: self.body.as_str().into(), details: self.details()? }),
            kind::EDIT => Content::Edit(NewText {
                target: target()?,
                // Nobody can say nothing: it was overtaken, or erased.
                text: (!self.body.is_empty()).then(|| self.body.as_str().into()),
                mentions: self.mentions()?,
            }),
            kind::DELETE => Content::Delete(Target { target: target()? }),
            kind::REACTION => Content::Reaction(Reaction {
                target: target()?,
                emoji: self.body.as_str().into(),
                active: active?,
                count: self.count.and_then(|count| count.try_into().ok()).ok_or(Fault::Corrupt)?,
            }),
            kind::PIN => Content::Pin(PinChange { target: target()?, active: active? }),
            kind::SETTINGS => Content::Settings(from_json(&self.body)?),
            kind::ROLE => Content::Role(from_json::<RoleChange>(&self.body)?),
            _ => return Err(Fault::Corrupt),
        })
    }

    fn details(&self) -> Result<Option<Box<Details>>, Fault> {
        let details = Details {
            reply_to: self.target.map(seq).transpose()?,
            thread: self.thread.map(seq).transpose()?,
            mentions: self.mentions()?,
            edited: self.edited.map(seq).transpose()?,
            deleted: self.deleted.map(seq).transpose()?,
            reactions: Vec::new(),
        };
        Ok((details != Details::default()).then(|| Box::new(details)))
    }

    fn mentions(&self) -> Result<Vec<UserId>, Fault> {
        self.mentions.as_deref().map_or(Ok(Vec::new()), from_json)
    }

    /// Returns what decides whether two entries under one cid are the same.
    pub(super) fn digest_of(&self) -> Vec<u8> {
        let mut digest = Sha256::new();
        let mentions = self.mentions.as_deref().unwrap_or_default();
        digest.update(format!("{} {:?} {:?} {} ", self.kind, self.target, self.active, mentions.len()));
        digest.update(mentions);
        digest.update(&self.body);
        digest.finalize()[..8].to_vec()
    }

    /// Whether a new entry says the same under a cid as this one did at first.
    pub(super) fn said_first(&self, new: &Self) -> bool {
        match &self.digest {
            Some(digest) => *digest == new.digest_of(),
            // Written before there were digests, and never changed since.
            None => self.kind == new.kind && self.body == new.body && self.target == new.target,
        }
    }
}

/// Returns a number as SQLite holds it; none of ours exceeds that.
pub(super) fn number(seq: Seq) -> i64 {
    i64::try_from(seq.0).unwrap_or(i64::MAX)
}

pub(super) fn seq(column: i64) -> Result<Seq, Fault> {
    u64::try_from(column).map(Seq).map_err(|_| Fault::Corrupt)
}

pub(super) fn user(column: &str) -> Result<UserId, Fault> {
    UserId::parse(column).map_err(|_| Fault::Corrupt)
}

fn list(users: &[UserId]) -> Option<String> {
    (!users.is_empty()).then(|| json(&users))
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(|_| Fault::Corrupt)
}

/// Returns what an entry changes in a room's state: keys with their new values, if any.
pub(super) fn state_changes(content: &Content, seq: i64) -> Vec<(String, Option<String>)> {
    match content {
        Content::Settings(Settings { title, topic, private }) => {
            let title = title.as_ref().map(|title| ("title".into(), Some(title.to_string())));
            let topic = topic.as_ref().map(|topic| ("topic".into(), Some(topic.to_string())));
            let private = private.map(|private| ("private".into(), Some(private.to_string())));
            [title, topic, private].into_iter().flatten().collect()
        }
        Content::Role(RoleChange { user, role }) => {
            vec![(format!("role:{user}"), role.map(|role| role_word(role).into()))]
        }
        Content::Pin(PinChange { target, active }) => {
            vec![(format!("pin:{target}"), active.then(|| seq.to_string()))]
        }
        Content::Delete(Target { target }) => vec![(format!("pin:{target}"), None)],
        Content::Message(_) | Content::Edit(_) | Content::Reaction(_) => Vec::new(),
    }
}

/// Returns the keys and values of a whole state.
pub(super) fn state_rows(state: &RoomState) -> Vec<(String, String)> {
    let settings = state_changes(&Content::Settings(state.settings.clone()), 0);
    let mut rows: Vec<_> = settings.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    rows.extend(state.roles.iter().map(|(user, role)| (format!("role:{user}"), role_word(*role).into())));
    rows.extend(state.pins.iter().enumerate().map(|(order, target)| (format!("pin:{target}"), order.to_string())));
    rows
}

/// Reads a state from its keys and values.
pub(super) fn state(rows: Vec<(String, String)>) -> Result<RoomState, Fault> {
    let mut state = RoomState::default();
    let mut pins = Vec::new();
    for (key, value) in rows {
        match (key.as_str(), key.split_once(':')) {
            ("title", _) => state.settings.title = Some(value.into()),
            ("topic", _) => state.settings.topic = Some(value.into()),
            ("private", _) => state.settings.private = Some(value == "true"),
            (_, Some(("role", name))) => {
                state.roles.insert(user(name)?, role(&value).ok_or(Fault::Corrupt)?);
            }
            (_, Some(("pin", target))) => {
                let parse = |text: &str| text.parse::<u64>().map_err(|_| Fault::Corrupt);
                pins.push((parse(&value)?, Seq(parse(target)?)));
            }
            _ => return Err(Fault::Corrupt),
        }
    }
    pins.sort_unstable();
    state.pins = pins.into_iter().map(|(_, target)| target).collect();
    Ok(state)
}

fn role_word(role: Role) -> &'static str {
    match role {
        Role::Member => "member",
        Role::Moderator => "moderator",
        Role::Owner => "owner",
    }
}

fn role(word: &str) -> Option<Role> {
    [Role::Member, Role::Moderator, Role::Owner].into_iter().find(|role| role_word(*role) == word)
}
