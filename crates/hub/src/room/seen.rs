//! Who was here lately, kept beyond the room's time in memory and the life of the process.

use parlour_protocol::Seq;
use parlour_protocol::event::{Member, Status};

use super::Room;
use crate::effect::{Document, Effect, StoreRequest, seen_key};

impl Room {
    /// Notes who is here, because the process ends: nobody will be told that they left.
    pub fn note_present(&self, out: &mut Vec<Effect>) {
        let present = self.members.latest().into_iter();
        self.note_seen(present.map(|member| Member { status: Status::Offline, ..member }), out);
    }

    /// Notes when users were here last.
    pub(super) fn note_seen(&self, members: impl IntoIterator<Item = Member>, out: &mut Vec<Effect>) {
        // Without a log the room is forgotten as a whole.
        if !self.setup.durable || self.position == Seq(0) {
            return;
        }
        let document = |member: Member| Document {
            key: seen_key(&self.name, member.user.as_str()),
            value: serde_json::to_vec(&member).unwrap_or_default(),
        };
        let documents: Vec<_> = members.into_iter().map(document).collect();
        if !documents.is_empty() {
            out.push(Effect::Store { room: self.name.clone(), request: StoreRequest::Put { documents } });
        }
    }
}
