//! Entering a room: what is replayed, and the exact seam to what follows.

use std::sync::Arc;

use parlour_protocol::command::{Availability, SetPresence};
use parlour_protocol::event::{Event, Joined, Left, Unrecovered};
use parlour_protocol::{ErrorCode, Position, Refusal, RoomName, Seq, limits};

use super::members::Change;
use super::ring::text_bytes;
use super::{Room, Scene, answer, kind, store_refusal};
use crate::effect::{Effect, Replay, StoreRequest, Ticket};
use crate::input::{Caller, Ending};
use crate::log::Record;

/// Most bytes of text in one replay.
const REPLAY_BYTES: usize = 512 * 1024;
/// Records asked of the store at once.
const FETCH: u32 = limits::HISTORY_MESSAGES;

impl Room {
    pub(super) fn join(
        &mut self,
        scene: Scene<'_>,
        caller: Caller,
        since: Option<Position>,
        history: u32,
        presence: SetPresence,
        out: &mut Vec<Effect>,
    ) {
        if let Err(refusal) = self.may_join(scene, &caller) {
            return turn_away(&self.name, caller, refusal, out);
        }
        // `member_joined` means online and without a text; anything else is told as well.
        let presence_is_plain = presence.status == Availability::Online && presence.text.is_none();
        let change = self.members.join(&caller.user, caller.conn, presence, scene.now.wall_ms);
        // The newcomer is not attached yet, so the notice goes to the others.
        match change {
            Change::Joined => {
                self.notice(scene, Event::MemberJoined(self.membership(&caller.user)), out);
                if !presence_is_plain {
                    self.tell_presence(scene, &caller.user, out);
                }
            }
            Change::Presence => self.tell_presence(scene, &caller.user, out),
            Change::Nothing | Change::Left => {}
        }
        match since.map(|since| self.resume_after(since)) {
            Some(Ok(after)) => self.replay(Replay { caller, resumes: true, after, events: Vec::new() }, out),
            Some(Err(reason)) => self.attach(caller, Vec::new(), Some(reason), out),
            None => {
                let wanted = u64::from(history.min(scene.rules.history));
                let after = Seq(self.position.0.saturating_sub(wanted).max(self.floor.0));
                self.replay(Replay { caller, resumes: false, after, events: Vec::new() }, out);
            }
        }
    }

    fn may_join(&self, scene: Scene<'_>, caller: &Caller) -> Result<(), Refusal> {
        if self.name.is_private() && self.name.peer_of(&caller.user).is_none() {
            return Err(ErrorCode::NotFound.into());
        }
        if self.members.count() >= scene.rules.members_per_room && !self.members.contains_user(&caller.user) {
            return Err(Refusal::because(ErrorCode::LimitExceeded, "the room is full"));
        }
        Ok(())
    }

    /// Decides whether everything after a position can be replayed (P8).
    fn resume_after(&self, since: Position) -> Result<Seq, Unrecovered> {
        match since.seq {
            _ if since.epoch != self.epoch => Err(Unrecovered::Epoch),
            seq if seq > self.position => Err(Unrecovered::Ahead),
            seq if seq < self.floor => Err(Unrecovered::Expired),
            seq if self.position.0 - seq.0 > limits::RESUME_EVENTS => Err(Unrecovered::TooFar),
            seq => Ok(seq),
        }
    }

    /// Attaches the caller if memory has the rest of its replay, else fetches more.
    ///
    /// Only here does history meet live: what the ring adds ends at the room's position, and the
    /// effect is in order with later broadcasts.
    fn replay(&mut self, mut replay: Replay, out: &mut Vec<Effect>) {
        if !self.ring.covers(replay.after, self.position) {
            let after = replay.after;
            return self.fetch_after(after, FETCH, Ticket::Replay(Box::new(replay)), out);
        }
        replay.events.extend(self.ring.after(replay.after, self.position).cloned());
        let Replay { caller, resumes, mut events, .. } = replay;
        let skipped = events.len() - fitting_tail(&events);
        match skipped {
            0 => self.attach(caller, events, None, out),
            _ if resumes => self.attach(caller, Vec::new(), Some(Unrecovered::TooFar), out),
            _ => {
                events.drain(..skipped);
                self.attach(caller, events, None, out);
            }
        }
    }

    pub(super) fn replay_fetched(
        &mut self,
        scene: Scene<'_>,
        mut replay: Replay,
        records: Result<Vec<Record>, ErrorCode>,
        out: &mut Vec<Effect>,
    ) {
        if !self.members.contains(&replay.caller.user, replay.caller.conn) {
            // It left while the store was reading, and was taken off the list then; by now it may
            // be on it again. The request still wants its answer.
            return answer(replay.caller, Event::Left(Left { room: self.name.clone() }), out);
        }
        let records = match records {
            Ok(records) => records,
            Err(code) => {
                // Not an empty history: the client must know that it has not seen the room (P14).
                let Caller { conn, user, .. } = replay.caller.clone();
                turn_away(&self.name, replay.caller, store_refusal(code), out);
                return self.remove(scene, &user, conn, Ending::Deliberate, out);
            }
        };
        if records.first().is_none_or(|first| first.seq != replay.after.next()) {
            // Forgotten by the store since the replay was planned, at least in part.
            replay.events.clear();
            self.floor = records.first().map_or(self.position, |first| Seq(first.seq.0 - 1));
            if replay.resumes || records.is_empty() {
                let reason = replay.resumes.then_some(Unrecovered::Expired);
                return self.attach(replay.caller, Vec::new(), reason, out);
            }
        }
        for record in records {
            replay.after = record.seq;
            replay.events.push(Arc::new(kind::of(&self.name).event(&self.name, record)));
        }
        // Records that the room has not delivered yet come live; replaying them would double them.
        let undelivered = replay.after.0.saturating_sub(self.position.0);
        let kept = replay.events.len().saturating_sub(usize::try_from(undelivered).unwrap_or(usize::MAX));
        replay.events.truncate(kept);
        replay.after = replay.after.min(self.position);
        self.replay(replay, out);
    }

    fn attach(
        &mut self,
        caller: Caller,
        replay: Vec<Arc<Event>>,
        reason: Option<Unrecovered>,
        out: &mut Vec<Effect>,
    ) {
        if !self.members.attach(&caller.user, caller.conn) {
            return;
        }
        let joined = Joined {
            room: self.name.clone(),
            epoch: self.epoch,
            head: self.position,
            floor: self.floor,
            replayed: u32::try_from(replay.len()).unwrap_or(u32::MAX),
            recovered: reason.is_none(),
            reason,
            durable: self.durable,
            member_count: self.count_u32(),
            members: self.members.list_present(limits::MEMBERS_LISTED),
        };
        let (to, room) = (caller.conn, self.name.clone());
        out.push(Effect::Attach { to, room, joined: Box::new(joined), request: caller, replay });
    }

    pub(super) fn fetch_after(&mut self, after: Seq, limit: u32, ticket: Ticket, out: &mut Vec<Effect>) {
        self.awaited += 1;
        let request = StoreRequest::After { after, limit, ticket };
        out.push(Effect::Store { room: self.name.clone(), request });
    }
}

/// Tells a connection that it could not enter.
pub(crate) fn turn_away(room: &RoomName, caller: Caller, refusal: Refusal, out: &mut Vec<Effect>) {
    let (from, room) = (caller.conn, room.clone());
    out.push(Effect::Detach { from, room, request: caller, refusal: Some(refusal) });
}

/// Counts the newest events whose text fits into one replay.
fn fitting_tail(events: &[Arc<Event>]) -> usize {
    let mut bytes = 0;
    let fits = |event: &&Arc<Event>| {
        bytes += text_bytes(event);
        bytes <= REPLAY_BYTES
    };
    events.iter().rev().take_while(fits).count()
}
