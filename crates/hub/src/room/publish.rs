//! Saying and changing things: from the wish of a member to the answer of the store.

use compact_str::CompactString;
use parlour_protocol::content::{Content, Details};
use parlour_protocol::event::{Ack, Event, MessageStatus, Stored as StoredAt, Unrecovered};
use parlour_protocol::{ErrorCode, Refusal, RoomName, Seq};

use super::roles::deed;
use super::{Room, Scene, answer, refuse, store_refusal};
use crate::effect::{Effect, StoreRequest};
use crate::filter::Remedy;
use crate::input::Caller;
use crate::log::{Draft, Guard, NewEntry, Place, Record, Stored};

impl Room {
    pub(super) fn publish(
        &mut self,
        scene: Scene<'_>,
        caller: Caller,
        mut entries: Vec<NewEntry>,
        out: &mut Vec<Effect>,
    ) {
        let permitted = self.permit_all(&caller, &entries).and_then(|guard| {
            self.filter(scene, &mut entries)?;
            self.slow_down(scene, &caller, &entries).map(|()| guard)
        });
        let guard = match permitted {
            Ok(guard) => guard,
            Err(refusal) => return fail(&self.name, caller, first_cid(&entries), refusal, out),
        };
        for entry in &entries {
            if let Content::Role(change) = &entry.content
                && self.resigns(change)
            {
                self.errands.resigning.push(change.user.clone());
            }
        }
        self.members.touch(&caller.user, scene.now.wall_ms);
        if self.typing.stop(&caller.user) {
            self.tell_typing(scene, caller.user.clone(), false, out);
        }
        self.store(scene, caller, guard, entries, out);
    }

    /// Looks for words that may not be said, and masks those that may only not be read.
    fn filter(&self, scene: Scene<'_>, entries: &mut [NewEntry]) -> Result<(), Refusal> {
        for filter in scene.rules.filters.iter().filter(|filter| filter.is_about(&self.name)) {
            let texts = entries.iter_mut().filter_map(|entry| match &mut entry.content {
                Content::Message(said) => Some(&mut said.text),
                Content::Edit(edit) => edit.text.as_mut(),
                _ => None,
            });
            for text in texts {
                match filter.remedy {
                    Remedy::Reject if filter.finds(text) => return Err(ErrorCode::Filtered.into()),
                    Remedy::Reject => {}
                    Remedy::Mask => {
                        if let Some(masked) = filter.mask(text) {
                            *text = masked.into();
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Has entries stored, or numbers them itself where nothing is kept.
    pub(super) fn store(
        &mut self,
        scene: Scene<'_>,
        caller: Caller,
        guard: Guard,
        entries: Vec<NewEntry>,
        out: &mut Vec<Effect>,
    ) {
        let (room, sender, ts) = (self.name.clone(), caller.user.clone(), scene.now.wall_ms);
        let draft = Draft { room, new_epoch: self.epoch, sender, ts, guard, entries };
        if self.setup.durable {
            self.errands.awaited += 1;
            let request = StoreRequest::Append { caller, draft };
            out.push(Effect::Store { room: self.name.clone(), request });
        } else {
            let outcome = self.number(&draft);
            self.acknowledge(scene, caller, draft, outcome, out);
        }
    }

    /// Numbers messages of a room without a log, as a store would.
    fn number(&self, draft: &Draft) -> Result<Stored, Refusal> {
        let place = |seq| Place { seq, thread: None, count: 0 };
        let ts = draft.ts.max(self.time.last_ts);
        let mut stored = Stored { epoch: self.epoch, ts, dup: false, entries: Vec::new() };
        let mut next = self.position;
        for entry in &draft.entries {
            match self.earlier(draft, entry)? {
                Some((seq, ts)) => {
                    (stored.dup, stored.ts) = (true, ts);
                    stored.entries.push(place(seq));
                }
                None => {
                    next = next.next();
                    stored.entries.push(place(next));
                }
            }
        }
        match stored.dup && next != self.position {
            true => Err(ErrorCode::IdempotencyConflict.into()),
            false => Ok(stored),
        }
    }

    /// Finds a message under the same cid, as far back as memory goes.
    fn earlier(&self, draft: &Draft, entry: &NewEntry) -> Result<Option<(Seq, i64)>, Refusal> {
        let said = match &entry.content {
            Content::Message(said) if said.details.as_ref().is_none_or(|d| d.reply_to.is_none()) => said,
            // It lasts as long as the room stays in memory.
            Content::Sanction(_) => return Ok(None),
            _ => {
                let rule = "this room keeps nothing that could be answered or changed";
                return Err(Refusal::because(ErrorCode::Forbidden, rule));
            }
        };
        let found = entry.cid.as_ref().and_then(|_| {
            self.past.ring.newest_first().find_map(|event| match &**event {
                Event::Message(m) if m.cid == entry.cid && m.sender == draft.sender => Some(m),
                _ => None,
            })
        });
        match found {
            Some(m) if m.text == said.text => Ok(Some((m.seq, m.ts))),
            Some(_) => Err(ErrorCode::IdempotencyConflict.into()),
            None => Ok(None),
        }
    }

    pub(super) fn appended(
        &mut self,
        scene: Scene<'_>,
        caller: Caller,
        draft: Draft,
        outcome: Result<Stored, Refusal>,
        out: &mut Vec<Effect>,
    ) {
        self.errands.awaited -= 1;
        for entry in &draft.entries {
            if let Content::Role(change) = &entry.content {
                self.errands.resigning.retain(|user| *user != change.user);
            }
        }
        self.acknowledge(scene, caller, draft, outcome, out);
    }

    fn acknowledge(
        &mut self,
        scene: Scene<'_>,
        caller: Caller,
        draft: Draft,
        outcome: Result<Stored, Refusal>,
        out: &mut Vec<Effect>,
    ) {
        let stored = match outcome {
            Ok(stored) => stored,
            Err(refusal) => {
                // Nothing was said. After other refusals something was: another one with this cid.
                if let Some(slow) = self.time.slow.as_mut().filter(|_| refusal.code.is_retryable()) {
                    slow.forget(&caller.user);
                }
                return fail(&self.name, caller, first_cid(&draft.entries), refusal, out);
            }
        };
        let is_batch = draft.entries.len() > 1;
        let Some(first) = stored.entries.first().map(|place| place.seq) else {
            return;
        };
        let newest = stored.entries.last().map_or(first, |place| place.seq);
        if stored.epoch != self.epoch {
            self.reload(scene, Unrecovered::Epoch, stored.epoch, out);
        }
        if let Some(reload) = &mut self.errands.reload {
            reload.note(stored.epoch, newest);
        } else if !stored.dup {
            self.deliver_draft(scene, draft, &stored, out);
        } else if newest > self.position {
            // Also a duplicate may be news: the answer to the first attempt may have been lost.
            self.heal(newest, out);
        }
        let Stored { epoch, ts, dup, entries } = stored;
        let count = is_batch.then(|| u32::try_from(entries.len()).unwrap_or(u32::MAX));
        let stored = StoredAt { room: self.name.clone(), epoch, seq: first, ts, dup, count };
        answer(caller, Event::Ack(Ack { stored: Some(stored) }), out);
    }

    fn deliver_draft(&mut self, scene: Scene<'_>, draft: Draft, stored: &Stored, out: &mut Vec<Effect>) {
        for (NewEntry { cid, content }, place) in draft.entries.into_iter().zip(&stored.entries) {
            if place.seq == Seq(1) && self.name.is_private() {
                self.begin_inbox(out);
            }
            let content = placed(content, place);
            let record = Record { seq: place.seq, sender: draft.sender.clone(), cid, ts: stored.ts, content };
            out.extend(deed(self, &record, draft.guard));
            self.deliver(scene, record, out);
        }
    }

    /// Asks where a cid of the caller is stored.
    pub(super) fn status(&mut self, caller: Caller, cid: CompactString, out: &mut Vec<Effect>) {
        if let Err(refusal) = self.may_read(&caller) {
            return refuse(&caller, refusal, out);
        }
        if !self.setup.durable {
            return self.found(caller, cid, Ok(None), out);
        }
        self.errands.awaited += 1;
        let request = StoreRequest::Find { caller, cid };
        out.push(Effect::Store { room: self.name.clone(), request });
    }

    pub(super) fn found(
        &self,
        caller: Caller,
        cid: CompactString,
        found: Result<Option<Stored>, ErrorCode>,
        out: &mut Vec<Effect>,
    ) {
        let event = match found {
            Ok(stored) => {
                let stored = stored.and_then(|stored| {
                    let (epoch, seq, ts) = (stored.epoch, stored.entries.first()?.seq, stored.ts);
                    Some(StoredAt { room: self.name.clone(), epoch, seq, ts, dup: true, count: None })
                });
                Event::Status(MessageStatus { room: self.name.clone(), cid, stored })
            }
            Err(code) => Event::Error(store_refusal(code)),
        };
        answer(caller, event, out);
    }
}

/// Tells a connection that what it wanted stored was not.
pub(crate) fn fail(
    room: &RoomName,
    caller: Caller,
    cid: Option<CompactString>,
    refusal: Refusal,
    out: &mut Vec<Effect>,
) {
    let Caller { conn: to, request, .. } = caller;
    out.push(Effect::Fail { to, room: room.clone(), request, cid, refusal });
}

/// Returns the cid that stands for all entries of a draft.
pub(crate) fn first_cid(entries: &[NewEntry]) -> Option<CompactString> {
    entries.first().and_then(|entry| entry.cid.clone())
}

/// Puts into a content what only the store knew.
fn placed(content: Content, place: &Place) -> Content {
    match content {
        Content::Message(mut said) if place.thread.is_some() => {
            said.details =
                Some(Box::new(Details { thread: place.thread, ..*said.details.unwrap_or_default() }));
            Content::Message(said)
        }
        Content::Reaction(mut reaction) => {
            reaction.count = place.count;
            Content::Reaction(reaction)
        }
        content => content,
    }
}
