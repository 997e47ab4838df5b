//! Entering a room: what is replayed, and the exact seam to what follows.

use std::sync::Arc;

use parlour_protocol::command::{Availability, SetPresence};
use parlour_protocol::event::{Event, Joined, Left, ReplayPage, Unrecovered};
use parlour_protocol::{ErrorCode, Position, Refusal, RoomName, Seq, limits};

use super::catch_up::{CATCH_UP_BYTES, CATCH_UP_EVENTS};
use super::members::{Change, Stage};
use super::pages::BLOCK;
use super::ring::weight;
use super::{Room, Scene, answer, kind, refuse, store_refusal};
use crate::effect::{Cause, Effect, Replay, Replayed, Ticket};
use crate::input::{Caller, Ending};
use crate::log::{Record, Span};
use crate::rights::Action;

/// Most bytes in one replay, as [`weight`] counts them, but for the event that goes beyond.
const REPLAY_BYTES: usize = 512 * 1024;

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
            return self.send_off(scene, caller, refusal, out);
        }
        // `member_joined` means online and without a text; anything else is told as well.
        let presence_is_plain = presence.status == Availability::Online && presence.text.is_none();
        let granted = caller.rights_in(&self.name);
        let change = self.members.join(&caller.user, caller.conn, granted, presence, scene.now.wall_ms);
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
        let sees_history = self.may(&caller, Action::History);
        match since.map(|since| self.resume_after(since, sees_history)) {
            Some(Ok(after)) => {
                self.replay(scene, Replay { caller, cause: Cause::Resume, after, events: Vec::new() }, out);
            }
            Some(Err(reason)) => self.attach(scene, caller, Vec::new(), Some(reason), out),
            None => {
                let wanted = if sees_history { u64::from(history.min(scene.rules.history)) } else { 0 };
                let after = Seq(self.position.0.saturating_sub(wanted).max(self.floor.0));
                self.replay(scene, Replay { caller, cause: Cause::Join, after, events: Vec::new() }, out);
            }
        }
    }

    fn may_join(&self, scene: Scene<'_>, caller: &Caller) -> Result<(), Refusal> {
        self.may_read_log(caller)?;
        if self.members.count() >= scene.rules.members_per_room && !self.members.contains_user(&caller.user) {
            return Err(Refusal::because(ErrorCode::LimitExceeded, "the room is full"));
        }
        Ok(())
    }

    /// Decides whether everything after a position can be replayed (P8). Without the right to see
    /// what was said before, nobody reaches further back than one replay.
    fn resume_after(&self, since: Position, sees_history: bool) -> Result<Seq, Unrecovered> {
        match since.seq {
            _ if since.epoch != self.epoch => Err(Unrecovered::Epoch),
            seq if seq > self.position => Err(Unrecovered::Ahead),
            seq if seq < self.floor => Err(Unrecovered::Expired),
            seq if !sees_history && self.position.0 - seq.0 > limits::RESUME_EVENTS => {
                Err(Unrecovered::Access)
            }
            seq => Ok(seq),
        }
    }

    /// Goes on with what somebody missed, after they asked for it.
    pub(super) fn more(&mut self, scene: Scene<'_>, caller: Caller, out: &mut Vec<Effect>) {
        let stage = self.members.stage(&caller.user, caller.conn);
        let Some(Stage::Behind(after)) = stage else {
            return self.nothing_more(caller, stage, out);
        };
        if let Err(refusal) = self.may_read_log(&caller) {
            return refuse(&caller, refusal, out);
        }
        if let Some(reason) = self.lost_after(after) {
            return self.go_live(caller, self.resync(reason), Vec::new(), out);
        }
        self.members.set_stage(&caller.user, caller.conn, Stage::Reading(after));
        self.replay(scene, Replay { caller, cause: Cause::More, after, events: Vec::new() }, out);
    }

    /// Says why what follows an event that the room has told cannot be told any more.
    pub(super) fn lost_after(&self, after: Seq) -> Option<Unrecovered> {
        match after {
            after if after > self.position => Some(Unrecovered::Epoch),
            after if after < self.floor => Some(Unrecovered::Expired),
            _ => None,
        }
    }

    /// Answers somebody who is not waiting for more, or for whom it is being read already.
    fn nothing_more(&self, caller: Caller, stage: Option<Stage>, out: &mut Vec<Effect>) {
        let behind = match stage {
            Some(Stage::Behind(after) | Stage::Reading(after)) => self.position.0.saturating_sub(after.0),
            Some(Stage::Entering | Stage::Live) => 0,
            None => {
                let rule = "join the room before asking for more of it";
                return refuse(&caller, Refusal::because(ErrorCode::Forbidden, rule), out);
            }
        };
        answer(caller, Event::Page(ReplayPage { room: self.name.clone(), replayed: 0, behind }), out);
    }

    /// Tells the caller what it missed, as far as one answer goes, and lets it wait for what memory
    /// does not have.
    ///
    /// Only here does history meet live: a replay that ends at the room's position puts the
    /// connection on the list, and the effect is in order with later broadcasts.
    pub(super) fn replay(&mut self, scene: Scene<'_>, mut replay: Replay, out: &mut Vec<Effect>) {
        let mut bytes = replay.events.iter().map(|event| weight(event)).sum::<usize>();
        while replay.after < self.position {
            if is_full(&replay, bytes) {
                return self.tell_part(scene, replay, out);
            }
            let position = self.position;
            let known: Vec<_> = match self.past.ring.covers(replay.after, position) {
                true => self.past.ring.after(replay.after, position).cloned().collect(),
                false => self.past.pages.after(replay.after, scene.now.mono_ms).to_vec(),
            };
            if known.is_empty() {
                return self.read_block(replay, out);
            }
            for event in known {
                // What the room has not delivered yet comes live; replaying it would double it.
                let next = event.seq().filter(|seq| *seq <= position && !is_full(&replay, bytes));
                let Some(seq) = next else {
                    break;
                };
                bytes += weight(&event);
                replay.after = seq;
                replay.events.push(event);
            }
        }
        self.finish(scene, replay, out);
    }

    fn read_block(&mut self, replay: Replay, out: &mut Vec<Effect>) {
        if let Some((block, after)) = self.past.pages.wait(replay) {
            self.read(Span::After(after), BLOCK as u32, Ticket::Block(block), out);
        }
    }

    pub(super) fn block_read(
        &mut self,
        scene: Scene<'_>,
        block: u64,
        records: Result<Vec<Record>, ErrorCode>,
        out: &mut Vec<Effect>,
    ) {
        if let Some(replays) = self.past.pages.take_void(block) {
            return replays.into_iter().for_each(|replay| self.read_block(replay, out));
        }
        let records = match records {
            Ok(records) => records,
            Err(code) => {
                return self.past.pages.failed(block).into_iter().for_each(|replay| {
                    self.turn_back(scene, replay, code, out);
                });
            }
        };
        let oldest = records.first().map_or(Seq(u64::MAX), |record| record.seq);
        let newest = records.last().map_or(Seq(u64::MAX), |record| record.seq);
        let events =
            records.into_iter().map(|record| Arc::new(kind::of(&self.name).event(&self.name, record)));
        let waiting = self.past.pages.arrived(block, events.collect(), scene.now.mono_ms);
        for replay in waiting {
            let next = replay.after.next();
            if newest < next {
                // Asking again would go on for ever; a survey will tell what has become of the log.
                self.turn_back(scene, replay, ErrorCode::Unavailable, out);
            } else if let Some(replay) = self.still_wanted(replay, out) {
                match oldest > next {
                    true => self.expired(scene, replay, oldest, out),
                    false => self.replay(scene, replay, out),
                }
            }
        }
        self.past.pages.expire(scene.now.mono_ms);
    }

    /// Answers those who have left while the store was reading, or asked for something else since.
    fn still_wanted(&self, replay: Replay, out: &mut Vec<Effect>) -> Option<Replay> {
        let stage = self.members.stage(&replay.caller.user, replay.caller.conn);
        match (stage, replay.cause) {
            (Some(Stage::Live), Cause::Lag(_)) => return Some(replay),
            // What became of it was told already.
            (_, Cause::Lag(_)) => {}
            // It was taken off the list when it left.
            (None, _) => answer(replay.caller, Event::Left(Left { room: self.name.clone() }), out),
            // It joined once more: that answer counts.
            (Some(Stage::Entering | Stage::Behind(_) | Stage::Live), Cause::More) => {
                self.nothing_more(replay.caller, stage, out);
            }
            _ => return Some(replay),
        }
        None
    }

    /// Not an empty history: the client must know that it has not seen the room (P14).
    pub(super) fn turn_back(
        &mut self,
        scene: Scene<'_>,
        replay: Replay,
        code: ErrorCode,
        out: &mut Vec<Effect>,
    ) {
        let Some(replay) = self.still_wanted(replay, out) else {
            return;
        };
        if let Cause::Lag(lag) = replay.cause {
            return self.catch_up_partly(replay, lag, out);
        }
        if replay.cause != Cause::Join && !replay.events.is_empty() {
            return self.tell_part(scene, replay, out);
        }
        let Replay { caller, cause, after, .. } = replay;
        if cause == Cause::More {
            self.members.set_stage(&caller.user, caller.conn, Stage::Behind(after));
            return refuse(&caller, store_refusal(code), out);
        }
        self.send_off(scene, caller, store_refusal(code), out);
    }

    /// Tells a connection that it could not enter; if it was here already, it no longer is.
    fn send_off(&mut self, scene: Scene<'_>, caller: Caller, refusal: Refusal, out: &mut Vec<Effect>) {
        let Caller { conn, user, .. } = caller.clone();
        turn_away(&self.name, caller, refusal, out);
        self.remove(scene, &user, conn, Ending::Deliberate, out);
    }

    /// The store has forgotten, at least in part, what the replay was planned to tell.
    fn expired(&mut self, scene: Scene<'_>, mut replay: Replay, oldest: Seq, out: &mut Vec<Effect>) {
        self.floor = self.floor.max(Seq(oldest.0 - 1)).min(self.position);
        replay.events.clear();
        match replay.cause {
            Cause::Join => {
                replay.after = self.floor;
                self.replay(scene, replay, out);
            }
            Cause::Resume => self.attach(scene, replay.caller, Vec::new(), Some(Unrecovered::Expired), out),
            Cause::More => {
                let resync = self.resync(Unrecovered::Expired);
                self.go_live(replay.caller, resync, Vec::new(), out);
            }
            Cause::Lag(lag) => self.skip_ahead(scene, &replay.caller, lag, Unrecovered::Expired, out),
        }
    }

    /// Tells a part of what was missed; the connection asks for the rest when it is ready.
    fn tell_part(&mut self, scene: Scene<'_>, replay: Replay, out: &mut Vec<Effect>) {
        if let Cause::Lag(lag) = replay.cause {
            return self.catch_up_partly(replay, lag, out);
        }
        let Replay { caller, cause, after, events } = replay;
        self.members.set_stage(&caller.user, caller.conn, Stage::Behind(after));
        let behind = self.position.0 - after.0;
        let answer = Box::new(self.replay_answer(scene, &caller, cause, &events, behind));
        let (to, room) = (caller.conn, self.name.clone());
        let replay = Replayed { events, upto: after, is_live: false };
        out.push(Effect::Attach { to, room, answer, request: caller, replay });
    }

    fn finish(&mut self, scene: Scene<'_>, replay: Replay, out: &mut Vec<Effect>) {
        if let Cause::Lag(lag) = replay.cause {
            return self.caught_up(scene, replay, lag, out);
        }
        let Replay { caller, cause, mut events, .. } = replay;
        if cause == Cause::Join {
            let skipped = events.len() - fitting_tail(&events);
            events.drain(..skipped);
        }
        let answer = self.replay_answer(scene, &caller, cause, &events, 0);
        self.go_live(caller, answer, events, out);
    }

    fn replay_answer(
        &self,
        scene: Scene<'_>,
        caller: &Caller,
        cause: Cause,
        events: &[Arc<Event>],
        behind: u64,
    ) -> Event {
        let replayed = u32::try_from(events.len()).unwrap_or(u32::MAX);
        match cause {
            Cause::More => Event::Page(ReplayPage { room: self.name.clone(), replayed, behind }),
            Cause::Join | Cause::Resume | Cause::Lag(_) => {
                Event::Joined(Box::new(self.joined(scene, caller, replayed, behind, None)))
            }
        }
    }

    fn attach(
        &mut self,
        scene: Scene<'_>,
        caller: Caller,
        events: Vec<Arc<Event>>,
        reason: Option<Unrecovered>,
        out: &mut Vec<Effect>,
    ) {
        let replayed = u32::try_from(events.len()).unwrap_or(u32::MAX);
        let joined = Event::Joined(Box::new(self.joined(scene, &caller, replayed, 0, reason)));
        self.go_live(caller, joined, events, out);
    }

    fn go_live(&mut self, caller: Caller, answer: Event, events: Vec<Arc<Event>>, out: &mut Vec<Effect>) {
        self.members.set_stage(&caller.user, caller.conn, Stage::Live);
        let (to, room) = (caller.conn, self.name.clone());
        let replay = Replayed { events, upto: self.position, is_live: true };
        out.push(Effect::Attach { to, room, answer: Box::new(answer), request: caller, replay });
    }

    pub(super) fn joined(
        &self,
        scene: Scene<'_>,
        caller: &Caller,
        replayed: u32,
        behind: u64,
        reason: Option<Unrecovered>,
    ) -> Joined {
        // When thousands come back at once, long lists would cost more than all that they missed.
        let is_large = self.members.count() > scene.rules.notice_members;
        let sees_members = self.may(caller, Action::Presence);
        let listed = match (sees_members, is_large) {
            (false, _) => 0,
            (true, true) => limits::MEMBERS_GLIMPSED,
            (true, false) => limits::MEMBERS_LISTED,
        };
        Joined {
            room: self.name.clone(),
            epoch: self.epoch,
            head: self.position,
            floor: self.floor,
            replayed,
            behind,
            recovered: reason.is_none(),
            reason,
            durable: self.setup.durable,
            member_count: self.count_u32(),
            members: self.members.list_present(listed),
            receipts: if is_large || !sees_members { Vec::new() } else { self.receipts() },
        }
    }
}

/// Tells a connection that it could not enter.
pub(crate) fn turn_away(room: &RoomName, caller: Caller, refusal: Refusal, out: &mut Vec<Effect>) {
    let (from, room) = (caller.conn, room.clone());
    out.push(Effect::Detach { from, room, request: caller, refusal: Some(refusal) });
}

/// Whether one answer holds no more.
fn is_full(replay: &Replay, bytes: usize) -> bool {
    let (most_events, most_bytes) = match replay.cause {
        Cause::Join => return false,
        Cause::Resume | Cause::More => (limits::RESUME_EVENTS, REPLAY_BYTES),
        Cause::Lag(_) => (CATCH_UP_EVENTS, CATCH_UP_BYTES),
    };
    bytes >= most_bytes || replay.events.len() as u64 >= most_events
}

/// Counts the newest events whose text fits into one replay.
fn fitting_tail(events: &[Arc<Event>]) -> usize {
    let mut bytes = 0;
    let fits = |event: &&Arc<Event>| {
        bytes += weight(event);
        bytes <= REPLAY_BYTES
    };
    events.iter().rev().take_while(fits).count()
}
