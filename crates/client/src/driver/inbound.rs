//! What the server says: answers to their callers, everything else to the reader.

use parlour_protocol::event::{Event, Reply};
use parlour_protocol::{Command, Refusal, RoomName};

use super::{Driver, Errand, later};
use crate::entry::place_of;
use crate::pending::{Asked, Waiter};
use crate::update::Update;

impl Driver {
    pub(super) fn hear(&mut self, Reply { id, event }: Reply) {
        match self.pending.take(id.as_ref()) {
            Some((id, asked)) => self.answer(id, asked, event),
            None => self.notice(event),
        }
    }

    fn answer(&mut self, id: u32, asked: Asked, event: Event) {
        if let Event::Error(refusal) = &event
            && asked.lane.is_some()
            && refusal.code.is_retryable()
        {
            return self.fail_for_now(id, asked, refusal);
        }
        let Asked { command, waiter, lane, .. } = asked;
        if let Some(lane) = lane {
            self.succeed(&lane);
        }
        match (waiter, event) {
            (Waiter::Caller(caller), event) => {
                self.follow(&command, &event);
                let answer = match event {
                    Event::Error(refusal) => Err(refusal.into()),
                    event => Ok(event),
                };
                // A caller that gave up does not want it any more.
                let _ = caller.send(answer);
            }
            (Waiter::Rejoin(_, since), Event::Joined(joined)) => self.rejoined(&joined, since),
            (Waiter::Rejoin(room, _), Event::Error(refusal)) => {
                self.unless_later(refusal, Errand::Rejoin(room.clone()), |driver, refusal| {
                    driver.lose_room(room, refusal);
                });
            }
            (Waiter::Repair(_), Event::History(page)) => self.repair(*page),
            (Waiter::Repair(room), Event::Error(refusal)) => {
                self.unless_later(refusal, Errand::Repair(room.clone()), |driver, _| driver.give_up(&room));
            }
            (Waiter::More(_), Event::Page(page)) => self.paged(&page),
            (Waiter::More(_), Event::Resync(resync)) => self.resync(&resync),
            (Waiter::More(room), Event::Error(refusal)) => {
                self.unless_later(refusal, Errand::More(room), |_, _| {});
            }
            _ => {}
        }
    }

    /// Does an errand again later if the server only asks for patience.
    fn unless_later(&mut self, refusal: Refusal, errand: Errand, otherwise: impl FnOnce(&mut Self, Refusal)) {
        if refusal.code.is_retryable() {
            self.errands.push((later(refusal.retry_after_ms), errand));
        } else {
            otherwise(self, refusal);
        }
    }

    /// Notes what the success of a caller's request means for later connections.
    fn follow(&mut self, command: &Command, event: &Event) {
        match (command, event) {
            (Command::Join(join), Event::Joined(joined)) => self.joined(joined, join.since),
            (Command::Leave(leave), Event::Left(_)) => self.forget(&leave.room),
            (Command::Presence(presence), Event::Ack(_)) => {
                self.standing.presence = Some(presence.clone());
            }
            _ => {}
        }
    }

    fn notice(&mut self, event: Event) {
        match event {
            Event::Resync(resync) => self.resync(&resync),
            Event::GoAway(goaway) => {
                self.backoff.follow(goaway.reconnect);
                self.tell(Update::Event(Event::GoAway(goaway)));
            }
            Event::TokenExpiring(expiring) => {
                self.renew();
                self.tell(Update::Event(Event::TokenExpiring(expiring)));
            }
            Event::Left(left) => {
                self.forget(&left.room);
                self.tell(Update::Event(Event::Left(left)));
            }
            Event::Joined(joined) => {
                // In a room that it is in, it is told who is there: notices were left out.
                if !self.rooms.get(&joined.room).is_some_and(|room| room.is_attached) {
                    self.joined(&joined, None);
                }
                self.tell(Update::Event(Event::Joined(joined)));
            }
            event => match place_of(&event) {
                Some((room, seq)) => {
                    let room = room.clone();
                    self.entry(&room, seq, event);
                }
                None => self.tell(Update::Event(event)),
            },
        }
    }

    fn lose_room(&mut self, room: RoomName, refusal: Refusal) {
        self.forget(&room);
        self.tell(Update::RoomLost { room, refusal });
    }
}
