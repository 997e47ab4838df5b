//! Entries as rows of the table of messages, and rows as entries.

use std::borrow::Cow;

use parlour_hub::log::Record;
use parlour_protocol::content::{Content, Details, NewText, PinChange, Reaction, Target, Text};
use parlour_protocol::{Seq, UserId};
use rusqlite::{CachedStatement, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::digest::digest;
use super::checksum::RoomChecksum;
use super::fault::Fault;

/// The columns in the order that [`Row::read`] expects.
pub(super) const COLUMNS: &str = "seq, ts, sender, cid, kind, body, mentions, target, thread, active, \
     count, edited, deleted, digest, checksum";

pub(super) const MESSAGE: i64 = 0;
pub(super) const EDIT: i64 = 1;
pub(super) const DELETE: i64 = 2;
pub(super) const REACTION: i64 = 3;
const PIN: i64 = 4;
pub(super) const SETTINGS: i64 = 5;
pub(super) const ROLE: i64 = 6;
pub(super) const SANCTION: i64 = 7;

/// A row of the table of messages. `kind` and the marks say what the other columns mean.
#[derive(Debug, Clone)]
pub(super) struct Row<'a> {
    pub(super) seq: i64,
    pub(super) ts: i64,
    pub(super) sender: Cow<'a, str>,
    pub(super) cid: Option<Cow<'a, str>>,
    pub(super) kind: i64,
    /// A text or an emoji, or the JSON of settings, of a role or of a sanction.
    pub(super) body: Cow<'a, str>,
    /// JSON.
    pub(super) mentions: Option<Cow<'a, str>>,
    pub(super) marks: Marks,
}

/// The columns that most rows leave empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Marks {
    pub(super) target: Option<i64>,
    pub(super) thread: Option<i64>,
    pub(super) active: Option<i64>,
    pub(super) count: Option<i64>,
    pub(super) edited: Option<i64>,
    /// Of an edit: the entry that made its text obsolete.
    pub(super) deleted: Option<i64>,
    pub(super) digest: Option<i64>,
}

impl Marks {
    pub(super) fn all(&self) -> [Option<i64>; 7] {
        [self.target, self.thread, self.active, self.count, self.edited, self.deleted, self.digest]
    }
}

impl<'a> Row<'a> {
    /// Builds the row of an entry.
    pub(super) fn new(
        seq: i64,
        ts: i64,
        sender: &'a UserId,
        cid: Option<&'a str>,
        content: &'a Content,
    ) -> Self {
        let mut row = Row {
            seq,
            ts,
            sender: sender.as_str().into(),
            cid: cid.map(Cow::Borrowed),
            kind: MESSAGE,
            body: Cow::Borrowed(""),
            mentions: None,
            marks: Marks::default(),
        };
        row.say(content);
        row
    }

    fn say(&mut self, content: &'a Content) {
        let marks = &mut self.marks;
        match content {
            Content::Message(Text { text, details }) => {
                self.body = Cow::Borrowed(text);
                if let Some(details) = details {
                    self.mentions = list(&details.mentions);
                    marks.target = details.reply_to.map(column);
                }
            }
            Content::Edit(NewText { target, text, mentions }) => {
                self.kind = EDIT;
                self.body = Cow::Borrowed(text.as_deref().unwrap_or_default());
                self.mentions = list(mentions);
                marks.target = Some(column(*target));
                // Only an import brings an edit that is obsolete already.
                marks.deleted = text.is_none().then_some(self.seq);
            }
            Content::Delete(Target { target }) => {
                self.kind = DELETE;
                marks.target = Some(column(*target));
            }
            Content::Reaction(Reaction { target, emoji, active, count }) => {
                self.kind = REACTION;
                self.body = Cow::Borrowed(emoji);
                marks.target = Some(column(*target));
                marks.active = Some((*active).into());
                marks.count = Some((*count).into());
            }
            Content::Pin(PinChange { target, active }) => {
                self.kind = PIN;
                marks.target = Some(column(*target));
                marks.active = Some((*active).into());
            }
            Content::Settings(settings) => (self.kind, self.body) = (SETTINGS, json(settings)),
            Content::Role(change) => (self.kind, self.body) = (ROLE, json(change)),
            Content::Sanction(sanction) => (self.kind, self.body) = (SANCTION, json(sanction)),
        }
    }

    /// Reads the [`COLUMNS`]; they must match their checksum.
    pub(super) fn read(row: &'a rusqlite::Row<'_>, room: &RoomChecksum) -> Result<Self, Fault> {
        let text =
            |index| -> Result<_, Fault> { Ok(row.get_ref(index)?.as_str_or_null()?.map(Cow::Borrowed)) };
        let read = Row {
            seq: row.get(0)?,
            ts: row.get(1)?,
            sender: text(2)?.ok_or(Fault::Corrupt)?,
            cid: text(3)?,
            kind: row.get(4)?,
            body: text(5)?.ok_or(Fault::Corrupt)?,
            mentions: text(6)?,
            marks: Marks {
                target: row.get(7)?,
                thread: row.get(8)?,
                active: row.get(9)?,
                count: row.get(10)?,
                edited: row.get(11)?,
                deleted: row.get(12)?,
                digest: row.get(13)?,
            },
        };
        if row.get::<_, i64>(14)? == room.of(&read) { Ok(read) } else { Err(Fault::Corrupt) }
    }

    /// Copies what is borrowed.
    pub(super) fn into_owned(self) -> Row<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        Row {
            seq: self.seq,
            ts: self.ts,
            sender: owned(self.sender),
            cid: self.cid.map(owned),
            kind: self.kind,
            body: owned(self.body),
            mentions: self.mentions.map(owned),
            marks: self.marks,
        }
    }

    /// Returns what the row says, without reactions to it.
    pub(super) fn content(&self) -> Result<Content, Fault> {
        let Self { body, marks, .. } = self;
        let target = || seq(marks.target.ok_or(Fault::Corrupt)?);
        let active = || Ok::<_, Fault>(marks.active.ok_or(Fault::Corrupt)? != 0);
        Ok(match self.kind {
            MESSAGE => Content::Message(Text { text: (&**body).into(), details: self.details()? }),
            EDIT => Content::Edit(NewText {
                target: target()?,
                text: marks.deleted.is_none().then(|| (&**body).into()),
                mentions: self.mentioned()?,
            }),
            DELETE => Content::Delete(Target { target: target()? }),
            REACTION => Content::Reaction(Reaction {
                target: target()?,
                emoji: (&**body).into(),
                active: active()?,
                count: marks.count.and_then(|count| count.try_into().ok()).ok_or(Fault::Corrupt)?,
            }),
            PIN => Content::Pin(PinChange { target: target()?, active: active()? }),
            SETTINGS => Content::Settings(parse(body)?),
            ROLE => Content::Role(parse(body)?),
            SANCTION => Content::Sanction(parse(body)?),
            _ => return Err(Fault::Corrupt),
        })
    }

    fn details(&self) -> Result<Option<Box<Details>>, Fault> {
        let Marks { target, thread, edited, deleted, .. } = self.marks;
        if self.mentions.is_none() && [target, thread, edited, deleted] == [None; 4] {
            return Ok(None);
        }
        Ok(Some(Box::new(Details {
            reply_to: target.map(seq).transpose()?,
            thread: thread.map(seq).transpose()?,
            mentions: self.mentioned()?,
            edited: edited.map(seq).transpose()?,
            deleted: deleted.map(seq).transpose()?,
            reactions: Vec::new(),
        })))
    }

    fn mentioned(&self) -> Result<Vec<UserId>, Fault> {
        self.mentions.as_deref().map_or(Ok(Vec::new()), parse)
    }

    pub(super) fn record(&self) -> Result<Record, Fault> {
        Ok(Record {
            seq: seq(self.seq)?,
            sender: user(&self.sender)?,
            cid: self.cid.as_deref().map(Into::into),
            ts: self.ts,
            content: self.content()?,
        })
    }

    /// Returns the digest of what was said first.
    pub(super) fn digest(&self) -> Result<i64, Fault> {
        self.marks.digest.map_or_else(|| Ok(digest(&self.content()?)), Ok)
    }

    /// Whether this is a message that was not deleted.
    pub(super) fn is_standing(&self) -> bool {
        self.kind == MESSAGE && self.marks.deleted.is_none()
    }

    /// Takes out what was said; what decides about duplicates is remembered.
    pub(super) fn empty(&mut self) -> Result<(), Fault> {
        self.remember()?;
        self.body = Cow::Borrowed("");
        self.mentions = None;
        Ok(())
    }

    /// Keeps the digest of what was said first before that changes.
    pub(super) fn remember(&mut self) -> Result<(), Fault> {
        if self.cid.is_some() {
            self.marks.digest = Some(self.digest()?);
        }
        Ok(())
    }

    /// Writes the row with a statement whose parameters are the room and the [`COLUMNS`].
    pub(super) fn write(
        &self,
        statement: &mut CachedStatement<'_>,
        room_id: i64,
        checksum: &RoomChecksum,
    ) -> rusqlite::Result<usize> {
        let Marks { target, thread, active, count, edited, deleted, digest } = self.marks;
        statement.execute(params![
            room_id,
            self.seq,
            self.ts,
            self.sender,
            self.cid,
            self.kind,
            self.body,
            self.mentions,
            target,
            thread,
            active,
            count,
            edited,
            deleted,
            digest,
            checksum.of(self)
        ])
    }
}

/// Returns a number as SQLite holds it; none of ours exceeds that.
pub(super) fn column(seq: Seq) -> i64 {
    i64::try_from(seq.0).unwrap_or(i64::MAX)
}

pub(super) fn seq(column: i64) -> Result<Seq, Fault> {
    u64::try_from(column).map(Seq).map_err(|_| Fault::Corrupt)
}

pub(super) fn user(column: &str) -> Result<UserId, Fault> {
    UserId::parse(column).map_err(|_| Fault::Corrupt)
}

pub(super) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(|_| Fault::Corrupt)
}

/// Names, texts and numbers always become JSON.
pub(super) fn json(value: &impl Serialize) -> Cow<'static, str> {
    Cow::Owned(serde_json::to_string(value).unwrap_or_default())
}

pub(super) fn list(users: &[UserId]) -> Option<Cow<'static, str>> {
    (!users.is_empty()).then(|| json(&users))
}
