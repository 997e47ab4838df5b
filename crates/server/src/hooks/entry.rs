//! What is kept for webhooks, and what they get of it.

use std::sync::Arc;

use parlour_hub::kind;
use parlour_hub::log::{Head, Record};
use parlour_protocol::content::Content;
use parlour_protocol::dialect::DialectId;
use parlour_protocol::{Epoch, RoomName, Seq};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::event::EventKind;
use super::notebook::Notice;

/// Something that waits for a webhook, or could not be delivered, as the store keeps it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    /// When it happened, in milliseconds since the Unix epoch.
    pub(super) time_ms: i64,
    /// Why it is a dead letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    pub(super) what: What,
}

/// What it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum What {
    /// An event as it is sent; what was said in its room up to `after` goes before it.
    Event {
        event: Box<RawValue>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<(RoomName, Seq)>,
    },
    /// A message. Its text stays in the room's log, where edits and erasure reach it.
    Message { room: RoomName, seq: Seq },
}

/// How far a webhook has been told what is said in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    pub(super) epoch: Epoch,
    pub(super) seq: Seq,
    /// The time of the newest entry of the log that was read.
    pub(super) ts: i64,
    /// The history was rewound: entries from before this time were told under other numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) told_until: Option<i64>,
}

impl Cursor {
    /// Where nothing has been told yet.
    pub(super) fn at(epoch: Epoch, seq: Seq) -> Self {
        Self { epoch, seq, ts: i64::MIN, told_until: None }
    }

    /// Returns the same place in a log with these ends.
    ///
    /// After a rewind (a restored backup, a promoted standby) numbers mean something else, so the log is
    /// read again from its beginning; times never go back within a room.
    pub(super) fn in_log(self, ends: Head) -> Self {
        match self.epoch == ends.epoch {
            true => self,
            false => Self { told_until: Some(self.ts), ..Self::at(ends.epoch, ends.floor) },
        }
    }

    /// Whether an entry of this time was told before the history was rewound.
    pub(super) fn has_told(self, ts: i64) -> bool {
        self.told_until.is_some_and(|until| ts < until)
    }

    pub(super) fn advanced(self, seq: Seq, ts: i64) -> Self {
        // While the log is read again, another rewind must not forget what was told.
        Self { seq, ts: ts.max(self.told_until.unwrap_or(i64::MIN)), ..self }
    }
}

/// An event as a webhook gets it.
#[derive(Serialize)]
struct Body<'a, T: ?Sized> {
    id: &'a str,
    r#type: EventKind,
    time_ms: i64,
    payload: &'a T,
}

/// A frame of the JSON dialect.
#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    payload: &'a RawValue,
}

impl Entry {
    /// Keeps a notice. `None`: it cannot be written as JSON, which is a bug.
    pub(super) fn of(notice: &Notice) -> Option<Self> {
        let Notice { kind, id, time_ms, room, payload, .. } = notice;
        let body = Body { id: &id.to_string(), r#type: *kind, time_ms: *time_ms, payload };
        let what = What::Event { event: to_raw_value(&body).ok()?, after: room.clone() };
        Some(Self { time_ms: *time_ms, reason: None, what })
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        // Texts and numbers have no way to fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// Returns the event for a record, if it is a message.
pub(super) fn message(room: &RoomName, epoch: Epoch, record: Record) -> Option<Box<RawValue>> {
    if !matches!(record.content, Content::Message(_)) {
        return None;
    }
    let (id, time_ms) = (format!("{epoch}-{}", record.seq), record.ts);
    let event = Arc::new(kind::of(room).event(room, record));
    let mut frame = Vec::new();
    DialectId::Json.dialect().encode(&event, None, &mut frame);
    let Frame { payload } = serde_json::from_slice(&frame).ok()?;
    to_raw_value(&Body { id: &id, r#type: EventKind::Message, time_ms, payload }).ok()
}
