//! Entries as columns, and columns as entries.

use std::borrow::Cow;

use parlour_hub::log::{Record, RoomState};
use parlour_protocol::content::{
    Content, Details, NewText, PinChange, Reaction, Role, RoleChange, Sanction, SanctionKind, Settings,
    Target, Text,
};
use parlour_protocol::{Seq, UserId};
use sha2::{Digest as _, Sha256};
use tokio_postgres::Row;
use uuid::Uuid;

use super::super::sanction::{sanction_of_value, sanction_value};
use super::super::words::distinct;
use super::escape::{SEPARATOR, escape, unescape};
use super::fault::Fault;

/// The columns of a record, in the order that [`record`] expects.
pub(super) const COLUMNS: &str = "m.seq, m.ts, m.sender, m.cid, m.kind, m.target, m.thread, m.body, \
     m.mentions, m.active, m.count, m.edited, m.deleted, m.digest, m.checksum";

/// Most bytes of the different words of a text: 64 KiB of text never have more.
const WORDS_BYTES: usize = 256 * 1024;

/// The columns of an entry that follow from what it says.
#[derive(Debug, Default)]
pub(super) struct Columns<'a> {
    pub(super) kind: i16,
    pub(super) target: Option<i64>,
    pub(super) body: Option<Cow<'a, str>>,
    pub(super) mentions: Option<String>,
    pub(super) active: Option<bool>,
    /// The words of a text, or what becomes of the room's state.
    pub(super) extra: Option<String>,
}

impl<'a> Columns<'a> {
    pub(super) fn of(content: &'a Content) -> Self {
        match content {
            Content::Message(Text { text, details }) => {
                let details = details.as_deref();
                Self {
                    target: details.and_then(|details| details.reply_to).map(number),
                    mentions: list(details.map_or(&[][..], |details| &details.mentions)),
                    ..Self::saying(0, text)
                }
            }
            Content::Edit(NewText { target, text, mentions }) => Self {
                target: Some(number(*target)),
                mentions: list(mentions),
                body: text.as_deref().map(escape),
                ..Self::saying(1, text.as_deref().unwrap_or_default())
            },
            Content::Delete(Target { target }) => {
                Self { kind: 2, target: Some(number(*target)), ..Self::default() }
            }
            Content::Reaction(Reaction { target, emoji, active, .. }) => Self {
                kind: 3,
                target: Some(number(*target)),
                body: Some(escape(emoji)),
                active: Some(*active),
                ..Self::default()
            },
            Content::Pin(PinChange { target, active }) => {
                Self { kind: 4, target: Some(number(*target)), active: Some(*active), ..Self::default() }
            }
            Content::Settings(settings) => Self::changing(5, settings, settings_changes(settings)),
            Content::Role(change) => {
                let value = change.role.map(|role| role_word(role).to_owned());
                Self::changing(6, change, vec![(format!("role:{}", change.user), value)])
            }
            Content::Sanction(sanction) => Self::changing(7, sanction, sanction_changes(sanction)),
        }
    }

    fn saying(kind: i16, text: &'a str) -> Self {
        Self { kind, body: Some(escape(text)), extra: Some(words(text)), ..Self::default() }
    }

    fn changing(kind: i16, content: &impl serde::Serialize, changes: Vec<(String, Option<String>)>) -> Self {
        let json = serde_json::to_string(content).unwrap_or_default();
        let pairs = changes.into_iter().map(|(key, value)| {
            let value = value.map_or_else(|| "-".to_owned(), |value| format!("+{}", escape(&value)));
            format!("{key}{SEPARATOR}{value}")
        });
        let extra = pairs.collect::<Vec<_>>().join(SEPARATOR.encode_utf8(&mut [0; 4]));
        Self { kind, body: Some(escape(&json).into_owned().into()), extra: Some(extra), ..Self::default() }
    }

    /// Whether nothing has to be looked at before it is stored but its cid.
    pub(super) fn is_plain(&self) -> bool {
        self.kind == 0 && self.target.is_none()
    }
}

/// Returns the words by which a text is found, separated by spaces.
fn words(text: &str) -> String {
    let mut words = String::new();
    for word in distinct(text) {
        // A text search vector holds at most a megabyte.
        if words.len() + word.len() > WORDS_BYTES {
            break;
        }
        words.push_str(&word);
        words.push(' ');
    }
    words.truncate(words.trim_end().len());
    words
}

/// Returns a number as PostgreSQL holds it; none of ours exceeds that.
pub(super) fn number(seq: Seq) -> i64 {
    i64::try_from(seq.0).unwrap_or(i64::MAX)
}

pub(super) fn seq(column: i64) -> Result<Seq, Fault> {
    u64::try_from(column).map(Seq).map_err(|_| Fault::Corrupt)
}

fn list(users: &[UserId]) -> Option<String> {
    (!users.is_empty()).then(|| serde_json::to_string(users).unwrap_or_default())
}

/// Returns the pairs of a room's state that its settings are kept as.
pub(super) fn settings_changes(settings: &Settings) -> Vec<(String, Option<String>)> {
    let text = |text: &Option<compact_str::CompactString>| text.as_ref().map(ToString::to_string);
    let given = [
        ("title", text(&settings.title)),
        ("topic", text(&settings.topic)),
        ("private", settings.private.map(|is_private| is_private.to_string())),
        ("slow_ms", settings.slow_ms.map(|slow_ms| slow_ms.to_string())),
    ];
    given
        .into_iter()
        .filter(|(_, value)| value.is_some())
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

/// Returns the pair of a room's state that a sanction is kept as; none for what does not last.
fn sanction_changes(sanction: &Sanction) -> Vec<(String, Option<String>)> {
    match sanction.kind {
        SanctionKind::None => vec![(format!("sanction:{}", sanction.user), None)],
        SanctionKind::Kick => Vec::new(),
        SanctionKind::Mute | SanctionKind::Ban => vec![sanction_pair(sanction)],
    }
}

pub(super) fn sanction_pair(sanction: &Sanction) -> (String, Option<String>) {
    (format!("sanction:{}", sanction.user), Some(sanction_value(sanction)))
}

pub(super) fn role_word(role: Role) -> &'static str {
    match role {
        Role::Member => "member",
        Role::Moderator => "moderator",
        Role::Owner => "owner",
    }
}

/// Reads a room's state from its pairs.
pub(super) fn state(rows: &[Row]) -> Result<RoomState, Fault> {
    let mut state = RoomState::default();
    let mut pins = Vec::new();
    for row in rows {
        let (key, value): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
        let value = unescape(value).ok_or(Fault::Corrupt)?;
        match (key, key.split_once(':')) {
            ("title", _) => state.settings.title = Some(value.into()),
            ("topic", _) => state.settings.topic = Some(value.into()),
            ("private", _) => state.settings.private = Some(value.parse().map_err(|_| Fault::Corrupt)?),
            ("slow_ms", _) => state.settings.slow_ms = Some(value.parse().map_err(|_| Fault::Corrupt)?),
            (_, Some(("sanction", user))) => {
                let user = user_id(user)?;
                let sanction = sanction_of_value(user.clone(), &value).ok_or(Fault::Corrupt)?;
                state.sanctions.insert(user, sanction);
            }
            (_, Some(("role", user))) => {
                let role = match &*value {
                    "member" => Role::Member,
                    "moderator" => Role::Moderator,
                    "owner" => Role::Owner,
                    _ => return Err(Fault::Corrupt),
                };
                state.roles.insert(user_id(user)?, role);
            }
            (_, Some(("pin", target))) => {
                let parse = |text: &str| text.parse().map_err(|_| Fault::Corrupt);
                pins.push((parse(&value)?, Seq(parse(target)?)));
            }
            _ => return Err(Fault::Corrupt),
        }
    }
    pins.sort_unstable();
    state.pins = pins.into_iter().map(|(_, target)| target).collect();
    Ok(state)
}

/// What the checksums of a room's rows have in common.
#[derive(Debug)]
pub(super) struct RoomKey<'a> {
    /// The room's own epoch, before the generation is applied.
    pub(super) epoch: Uuid,
    pub(super) name: &'a str,
}

/// Reads a record from the [`COLUMNS`], unless they do not match their checksum.
pub(super) fn record(row: &Row, room: &RoomKey<'_>) -> Result<Record, Fault> {
    let columns = Stored::read(row)?;
    if columns.checksum(room) != columns.checksum {
        return Err(Fault::Corrupt);
    }
    Ok(Record {
        seq: seq(columns.seq)?,
        sender: user_id(columns.sender)?,
        cid: columns.cid.map(text).transpose()?.map(Into::into),
        ts: columns.ts,
        content: columns.content()?,
    })
}

/// The [`COLUMNS`] as they are stored.
// tidy: the columns of one table
struct Stored<'a> {
    seq: i64,
    ts: i64,
    sender: &'a str,
    cid: Option<&'a str>,
    kind: i16,
    target: Option<i64>,
    thread: Option<i64>,
    body: Option<&'a str>,
    mentions: Option<&'a str>,
    active: Option<bool>,
    count: Option<i32>,
    edited: Option<i64>,
    deleted: Option<i64>,
    digest: Option<i64>,
    checksum: &'a [u8],
}

impl<'a> Stored<'a> {
    fn read(row: &'a Row) -> Result<Self, Fault> {
        Ok(Self {
            seq: row.try_get(0)?,
            ts: row.try_get(1)?,
            sender: row.try_get(2)?,
            cid: row.try_get(3)?,
            kind: row.try_get(4)?,
            target: row.try_get(5)?,
            thread: row.try_get(6)?,
            body: row.try_get(7)?,
            mentions: row.try_get(8)?,
            active: row.try_get(9)?,
            count: row.try_get(10)?,
            edited: row.try_get(11)?,
            deleted: row.try_get(12)?,
            digest: row.try_get(13)?,
            checksum: row.try_get(14)?,
        })
    }

    /// The same as `checksum_of` in the migrations.
    fn checksum(&self, room: &RoomKey<'_>) -> Vec<u8> {
        fn shown<T: std::fmt::Display>(value: Option<T>) -> String {
            value.map_or_else(String::new, |value| value.to_string())
        }
        let active = self.active.map(|active| if active { 't' } else { 'f' });
        let length = |text: Option<&str>| shown(text.map(str::len));
        let head = [
            room.epoch.to_string(),
            room.name.len().to_string(),
            self.seq.to_string(),
            self.ts.to_string(),
            self.kind.to_string(),
            shown(self.target),
            shown(self.thread),
            shown(active),
            shown(self.count),
            shown(self.edited),
            shown(self.deleted),
            shown(self.digest),
            self.sender.len().to_string(),
            length(self.cid),
            length(self.mentions),
            length(self.body),
        ];
        let mut hash = Sha256::new();
        for field in head {
            hash.update(field);
            hash.update(" ");
        }
        for text in [Some(room.name), Some(self.sender), self.cid, self.mentions, self.body] {
            hash.update(text.unwrap_or_default());
        }
        hash.finalize()[..8].to_vec()
    }

    fn content(&self) -> Result<Content, Fault> {
        let body = self.body.map(text).transpose()?;
        let target = || seq(self.target.ok_or(Fault::Corrupt)?);
        let said = || body.as_deref().ok_or(Fault::Corrupt);
        let active = self.active.ok_or(Fault::Corrupt);
        Ok(match self.kind {
            0 => Content::Message(Text { text: said()?.into(), details: self.details()? }),
            1 => Content::Edit(NewText {
                target: target()?,
                text: body.as_deref().map(Into::into),
                mentions: self.mentions()?,
            }),
            2 => Content::Delete(Target { target: target()? }),
            3 => Content::Reaction(Reaction {
                target: target()?,
                emoji: said()?.into(),
                active: active?,
                count: self.count.and_then(|count| count.try_into().ok()).ok_or(Fault::Corrupt)?,
            }),
            4 => Content::Pin(PinChange { target: target()?, active: active? }),
            5 => Content::Settings(json(said()?)?),
            6 => Content::Role(json::<RoleChange>(said()?)?),
            7 => Content::Sanction(json(said()?)?),
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
        self.mentions.map_or(Ok(Vec::new()), json)
    }
}

fn json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(|_| Fault::Corrupt)
}

fn text(stored: &str) -> Result<Cow<'_, str>, Fault> {
    unescape(stored).ok_or(Fault::Corrupt)
}

pub(super) fn user_id(stored: &str) -> Result<UserId, Fault> {
    UserId::parse(stored).map_err(|_| Fault::Corrupt)
}
