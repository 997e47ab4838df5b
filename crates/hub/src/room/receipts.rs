//! How far the members have got: a read and a delivered cursor each.
//!
//! Cursors are state, not entries of the log: one entry per member and message would make the log
//! grow with the square of the conversation. They only move forward, so a list of them tells a
//! client that comes back all that it missed.

use std::collections::HashMap;

use parlour_protocol::event::{Ack, CursorNotice, Event, Receipt, Receipts};
use parlour_protocol::{ErrorCode, Refusal, Seq, UserId, limits};

use super::{Room, Scene, answer, refuse};
use crate::effect::{Document, Effect, StoreRequest, cursor_key, read_cursor_key};
use crate::input::{Caller, CursorKind};
use crate::rights::Action;

/// Most cursors in memory.
const MOST: usize = 10_000;

/// The cursors of a room's members.
#[derive(Debug, Default)]
pub(super) struct Cursors(HashMap<UserId, (Seq, Seq)>);

impl Cursors {
    /// Reads what [`Room::advance`] wrote.
    pub(super) fn load(documents: &[Document]) -> Self {
        let receipts = documents.iter().filter_map(|document| serde_json::from_slice(&document.value).ok());
        Self(receipts.map(|receipt: Receipt| (receipt.user, (receipt.read, receipt.delivered))).collect())
    }

    /// Moves a cursor forward; `None` if it is there already.
    fn advance(&mut self, user: &UserId, seq: Seq, cursor: CursorKind) -> Option<Receipt> {
        if self.0.len() >= MOST && !self.0.contains_key(user) {
            // Who is furthest behind tells the others least.
            let last = self.0.iter().min_by_key(|(_, cursors)| **cursors).map(|(user, _)| user.clone());
            last.and_then(|user| self.0.remove(&user));
        }
        let (read, delivered) = self.0.entry(user.clone()).or_default();
        let before = (*read, *delivered);
        if cursor == CursorKind::Read {
            *read = seq.max(*read);
        }
        // What was read has arrived.
        *delivered = seq.max(*delivered);
        let moved = before != (*read, *delivered);
        moved.then(|| Receipt { user: user.clone(), read: *read, delivered: *delivered })
    }

    /// Takes back what is beyond the newest event: the log may have been rewound.
    pub(super) fn clamp(&mut self, head: Seq) {
        for (read, delivered) in self.0.values_mut() {
            (*read, *delivered) = ((*read).min(head), (*delivered).min(head));
        }
    }

    pub(super) fn forget(&mut self, user: &UserId) {
        self.0.remove(user);
    }

    pub(super) fn read_by(&self, user: &UserId) -> Option<Seq> {
        self.0.get(user).map(|(read, _)| *read)
    }
}

impl Room {
    pub(super) fn advance(
        &mut self,
        scene: Scene<'_>,
        caller: Caller,
        seq: Seq,
        cursor: CursorKind,
        out: &mut Vec<Effect>,
    ) {
        if !self.may_speak(&caller) {
            let refusal = Refusal::because(ErrorCode::Forbidden, "join the room before reading in it");
            return refuse(&caller, refusal, out);
        }
        if let Err(refusal) = self.may_read(&caller) {
            return refuse(&caller, refusal, out);
        }
        if seq > self.position {
            let rule = format!("the room's messages end at {}", self.position);
            return refuse(&caller, Refusal::because(ErrorCode::InvalidCursor, rule), out);
        }
        if let Some(receipt) = self.cursors.advance(&caller.user, seq, cursor) {
            self.tell_receipt(scene, &receipt, cursor, out);
            self.keep_receipt(&receipt, cursor, out);
        }
        answer(caller, Event::Ack(Ack::default()), out);
    }

    fn tell_receipt(&self, scene: Scene<'_>, receipt: &Receipt, cursor: CursorKind, out: &mut Vec<Effect>) {
        if self.members.count() > scene.rules.notice_members {
            return;
        }
        let (room, user, of) = (self.name.clone(), receipt.user.clone(), self.readers());
        let event = match cursor {
            CursorKind::Read => {
                let (count, _) = self.count(receipt.read);
                Event::Read(CursorNotice { room, user, seq: receipt.read, count, of })
            }
            CursorKind::Delivered => {
                let (_, count) = self.count(receipt.delivered);
                Event::Delivered(CursorNotice { room, user, seq: receipt.delivered, count, of })
            }
        };
        self.tell_all(event, out);
    }

    fn keep_receipt(&self, receipt: &Receipt, cursor: CursorKind, out: &mut Vec<Effect>) {
        if !self.setup.durable {
            return;
        }
        let value = serde_json::to_vec(receipt).unwrap_or_default();
        let mut documents = vec![Document { key: cursor_key(&self.name, receipt.user.as_str()), value }];
        if self.name.is_private() && cursor == CursorKind::Read {
            documents.push(inbox_cursor(&receipt.user, self.name.as_str(), receipt.read));
        }
        out.push(Effect::Store { room: self.name.clone(), request: StoreRequest::Put { documents } });
    }

    /// Lists how far those have got who may read here, at most as many as an answer names.
    pub(super) fn receipts(&self) -> Vec<Receipt> {
        let readers = self.cursors.0.iter().filter(|(user, _)| !self.is_stranger(user));
        readers
            .take(limits::MEMBERS_LISTED)
            .map(|(user, (read, delivered))| Receipt {
                user: user.clone(),
                read: *read,
                delivered: *delivered,
            })
            .collect()
    }

    /// Counts those who may read here and have read, or have got, an event.
    fn count(&self, seq: Seq) -> (u32, u32) {
        let readers = self.cursors.0.iter().filter(|(user, _)| !self.is_stranger(user));
        readers.fold((0, 0), |(read, delivered), (_, (r, d))| {
            (read + u32::from(*r >= seq), delivered + u32::from(*d >= seq))
        })
    }

    pub(super) fn tell_receipts(&self, caller: Caller, seq: Seq, out: &mut Vec<Effect>) {
        if !self.may_speak(&caller) {
            let refusal = Refusal::because(ErrorCode::Forbidden, "join the room before asking who reads");
            return refuse(&caller, refusal, out);
        }
        if let Err(refusal) = self.require(&caller, Action::Presence) {
            return refuse(&caller, refusal, out);
        }
        let (read, delivered) = self.count(seq);
        let (room, of, receipts) = (self.name.clone(), self.readers(), self.receipts());
        answer(caller, Event::Receipts(Receipts { room, seq, read, delivered, of, receipts }), out);
    }

    /// Of how many users a receipt says how many have got somewhere: those with a role, or else
    /// those who are here and those who have read here.
    fn readers(&self) -> u32 {
        let readers = match (self.name.participants(), self.state.is_private()) {
            (Some((a, b)), _) => 1 + usize::from(a != b),
            (None, true) => self.state.roles.len(),
            (None, false) => {
                let silent = self.members.users().filter(|user| !self.cursors.0.contains_key(*user));
                self.cursors.0.len() + silent.count()
            }
        };
        u32::try_from(readers).unwrap_or(u32::MAX)
    }

    /// Puts a new private conversation into the inbox of both.
    pub(super) fn begin_inbox(&self, out: &mut Vec<Effect>) {
        if let Some((a, b)) = self.name.participants() {
            let documents =
                [a, b].iter().map(|user| inbox_cursor(user, self.name.as_str(), Seq(0))).collect();
            out.push(Effect::Store { room: self.name.clone(), request: StoreRequest::Put { documents } });
        }
    }
}

/// By user first: a user who comes online is asked about, and not the rooms.
fn inbox_cursor(user: &UserId, room: &str, seq: Seq) -> Document {
    Document { key: read_cursor_key(user, room), value: seq.to_string().into_bytes() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_where_many_read_remembers_those_who_have_got_furthest() {
        let mut cursors = Cursors::default();
        let user = |number: usize| UserId::parse(&format!("user {number}")).expect("valid");
        for number in 0..MOST + 50 {
            cursors.advance(&user(number), Seq(1 + number as u64), CursorKind::Read);
        }
        assert_eq!(cursors.0.len(), MOST);
        assert_eq!((cursors.read_by(&user(49)), cursors.read_by(&user(50))), (None, Some(Seq(51))));
    }
}
