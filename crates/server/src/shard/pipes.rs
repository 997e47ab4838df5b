//! What one connection sends to one room keeps its order, also when some of it fails (P3).
//!
//! After a failure that a retry may mend, what stands behind it fails too, until the client has sent
//! the failed message again: so a client that repeats all that failed keeps their order. The rule
//! needs a way to recognise the message, so it holds for messages with a cid.

use compact_str::CompactString;
use parlour_hub::ConnId;
use parlour_hub::log::NewEntry;
use parlour_protocol::event::{Event, Reply};
use parlour_protocol::{ErrorCode, Refusal, RequestId, RoomName};

use super::Shard;
use crate::commit::Pipe;
use crate::inbox::Mail;

/// How long a failed message is waited for, in milliseconds: a client may give it up.
const PATIENCE_MS: u64 = 10_000;

/// The failures of a connection that are not mended yet, at most one per room.
#[derive(Debug, Default)]
pub(super) struct Pipes(Vec<Failure>);

#[derive(Debug)]
struct Failure {
    room: RoomName,
    cid: CompactString,
    request: Option<RequestId>,
    code: ErrorCode,
    until_ms: u64,
}

impl Pipes {
    /// Notes a failure, unless the room waits for an earlier message already; returns that one's
    /// request.
    fn note(&mut self, failure: Failure, now_ms: u64) -> Option<RequestId> {
        self.0.retain(|earlier| earlier.until_ms > now_ms && earlier.cid != failure.cid);
        match self.0.iter().find(|earlier| earlier.room == failure.room) {
            Some(earlier) => earlier.request.clone(),
            None => {
                self.0.push(failure);
                None
            }
        }
    }

    /// Decides whether a message may pass; the failed one itself opens the way.
    fn pass(&mut self, room: &RoomName, cid: &str, now_ms: u64) -> Result<(), Refusal> {
        self.0.retain(|failure| failure.until_ms > now_ms && (failure.room != *room || failure.cid != cid));
        match self.0.iter().find(|failure| failure.room == *room) {
            Some(failure) => Err(Refusal { blocked_by: failure.request.clone(), ..failure.code.into() }),
            None => Ok(()),
        }
    }
}

impl Shard {
    /// Decides whether entries may follow those that the connection has sent to the room before.
    pub(super) fn may_follow(
        &mut self,
        slot: u32,
        room: &RoomName,
        entries: &[NewEntry],
    ) -> Result<(), Refusal> {
        let now_ms = self.now.mono_ms;
        let cid = entries.first().and_then(|entry| entry.cid.as_ref());
        let pipes = self.connections[slot as usize].extra.as_mut().and_then(|extra| extra.pipes.as_mut());
        match (pipes, cid) {
            (Some(pipes), Some(cid)) => pipes.pass(room, cid, now_ms),
            _ => Ok(()),
        }
    }

    /// Notes that something was not stored; returns the failure that it shares, if any.
    pub(super) fn note_failure(
        &mut self,
        slot: u32,
        room: &RoomName,
        cid: Option<CompactString>,
        request: Option<RequestId>,
        code: ErrorCode,
    ) -> Option<RequestId> {
        let (Some(cid), true) = (cid, code.is_retryable()) else {
            return None;
        };
        let now_ms = self.now.mono_ms;
        let failure = Failure { room: room.clone(), cid, request, code, until_ms: now_ms + PATIENCE_MS };
        self.connections[slot as usize].extra().pipes.get_or_insert_default().note(failure, now_ms)
    }

    /// Tells a connection that something was not stored, and lets its next attempts pass the commit.
    pub(super) fn failed(
        &mut self,
        to: ConnId,
        room: RoomName,
        request: Option<RequestId>,
        cid: Option<CompactString>,
        mut refusal: Refusal,
    ) {
        let slot = self.slot_of(to);
        if let Some(slot) = slot {
            let shared = self.note_failure(slot, &room, cid, request.clone(), refusal.code);
            refusal.blocked_by = refusal.blocked_by.or(shared);
            self.metrics.error(refusal.code);
        }
        // Only now does the connection hold back what follows. The order goes through the room's
        // home, behind what was let through before.
        if refusal.code.is_retryable() && refusal.blocked_by.is_none() {
            let home = self.node.home(&room);
            self.post(home, Mail::Reopen(Pipe::new(to, room)));
        }
        self.answer(to, &Reply { id: request, event: Event::Error(refusal) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(room: &str, cid: &str, request: u64) -> Failure {
        let room = RoomName::parse(room).expect("valid");
        let request = Some(RequestId::Number(request));
        Failure { room, cid: cid.into(), request, code: ErrorCode::Unavailable, until_ms: PATIENCE_MS }
    }

    #[test]
    fn a_failure_blocks_its_room_until_it_is_sent_again() {
        let (mut pipes, room) = (Pipes::default(), RoomName::parse("a").expect("valid"));
        assert_eq!(pipes.note(failure("a", "one", 1), 0), None);
        assert_eq!(pipes.note(failure("a", "two", 2), 0), Some(RequestId::Number(1)));
        assert_eq!(pipes.note(failure("b", "other", 3), 0), None);
        let refusal = pipes.pass(&room, "two", 0).expect_err("one must come first");
        assert_eq!((refusal.code, refusal.blocked_by), (ErrorCode::Unavailable, Some(RequestId::Number(1))));
        assert_eq!(pipes.pass(&room, "one", 0), Ok(()));
        assert_eq!(pipes.pass(&room, "two", 0), Ok(()));
    }

    #[test]
    fn a_failure_that_is_given_up_is_forgotten() {
        let (mut pipes, room) = (Pipes::default(), RoomName::parse("a").expect("valid"));
        assert_eq!(pipes.note(failure("a", "one", 1), 0), None);
        assert!(pipes.pass(&room, "two", PATIENCE_MS - 1).is_err());
        assert_eq!(pipes.pass(&room, "two", PATIENCE_MS), Ok(()));
    }
}
