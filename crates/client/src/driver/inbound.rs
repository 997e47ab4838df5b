//! What the server says: answers to their callers, everything else to the reader.

use parlour_protocol::event::{Event, PrivateMessage, Reply};
use parlour_protocol::{Command, Refusal};

use super::{Driver, Errand, later};
use crate::pending::{Asked, Waiter};
use crate::update::Update;

/// Private conversations of which the newest message is remembered; beyond, a message that was not
/// read may be told twice.
const CONVERSATIONS: usize = 10_000;

impl Driver {
    pub(super) fn hear(&mut self, Reply { id, event }: Reply) {
        match self.pending.take(id.as_ref()) {
            Some(asked) => self.answer(asked, event),
            None => self.notice(event),
        }
    }

    fn answer(&mut self, Asked { command, waiter }: Asked, event: Event) {
        match waiter {
            Waiter::Caller(caller) => {
                self.follow(&command, &event);
                let answer = match event {
                    Event::Error(refusal) => Err(refusal.into()),
                    event => Ok(event),
                };
                // A caller that gave up does not want it any more.
                let _ = caller.send(answer);
            }
            Waiter::Rejoin(room, since) => match event {
                Event::Joined(joined) => self.rejoined(&joined, since),
                Event::Error(refusal) if refusal.code.is_retryable() => {
                    self.errands.push((later(refusal.retry_after_ms), Errand::Rejoin(room)));
                }
                Event::Error(refusal) => self.lose_room(room, refusal),
                _ => {}
            },
            Waiter::Repair(room) => match event {
                Event::History(page) => self.repair(*page),
                Event::Error(refusal) if refusal.code.is_retryable() => {
                    self.errands.push((later(refusal.retry_after_ms), Errand::Repair(room)));
                }
                _ => self.give_up(&room),
            },
            Waiter::Nobody => {}
        }
    }

    /// Notes what the success of a caller's request means for later connections.
    fn follow(&mut self, command: &Command, event: &Event) {
        match (command, event) {
            (Command::Join(join), Event::Joined(joined)) => self.joined(joined, join.since),
            (Command::Leave(leave), Event::Left(_)) => _ = self.rooms.remove(&leave.room),
            (Command::Presence(presence), Event::Ack(_)) => self.presence = Some(presence.clone()),
            _ => {}
        }
    }

    fn notice(&mut self, event: Event) {
        match event {
            Event::Message(message) => self.message(message),
            Event::Resync(resync) => self.resync(&resync),
            Event::Private(message) if self.is_known(&message) => {}
            Event::GoAway(goaway) => {
                self.backoff.follow(goaway.reconnect);
                self.tell(Update::Event(Event::GoAway(goaway)));
            }
            Event::Left(left) => {
                self.rooms.remove(&left.room);
                self.tell(Update::Event(Event::Left(left)));
            }
            Event::Joined(joined) => {
                self.joined(&joined, None);
                self.tell(Update::Event(Event::Joined(joined)));
            }
            event => self.tell(Update::Event(event)),
        }
    }

    /// Whether a private message was told before: the server repeats unread ones after a welcome.
    fn is_known(&mut self, message: &PrivateMessage) -> bool {
        if self.conversations.len() >= CONVERSATIONS && !self.conversations.contains_key(&message.room) {
            self.conversations.clear();
        }
        let newest = self.conversations.entry(message.room.clone()).or_default();
        // A conversation that was restored from a backup counts anew, but at a later time.
        let is_known = message.seq <= newest.0 && message.ts <= newest.1;
        if !is_known {
            *newest = (message.seq, message.ts);
        }
        is_known
    }

    fn lose_room(&mut self, room: parlour_protocol::RoomName, refusal: Refusal) {
        self.rooms.remove(&room);
        self.tell(Update::RoomLost { room, refusal });
    }
}
