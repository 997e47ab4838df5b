//! What the HTTP API wants of a shard: answers of rooms for the desk, and news of users.

use parlour_hub::{Effect, Input};
use parlour_protocol::command::Availability;
use parlour_protocol::event::Event;
use parlour_protocol::{ErrorCode, RoomName, UserId};

use super::Shard;
use super::connection::Phase;
use super::consult::Entrance;
use super::ending::Reason;
use crate::commit::Pipe;
use crate::inbox::{Act, Inquiry, Mail, Seen};

impl Shard {
    /// Gives the desk what a room says to one of its tickets.
    pub(super) fn tell_desk(&mut self, effect: Effect) {
        let desk = &self.node.api.desk;
        match effect {
            Effect::Send { to, reply } => desk.answer(to, reply.event),
            Effect::Fail { to, room, refusal, .. } => {
                // A ticket asks once, so nothing of it is behind the failure.
                let reopens = refusal.code.is_retryable() && refusal.blocked_by.is_none();
                desk.answer(to, Event::Error(refusal));
                if reopens {
                    self.post(self.node.home(&room), Mail::Reopen(Pipe::new(to, room)));
                }
            }
            Effect::Detach { from, refusal: Some(refusal), .. } => desk.answer(from, Event::Error(refusal)),
            // Nobody at the desk is in a room.
            _ => {}
        }
    }

    /// Answers a question to all shards.
    pub(super) fn inquire(&mut self, inquiry: Inquiry) {
        // Whoever asked may have stopped waiting.
        match inquiry {
            Inquiry::Members { rooms, answer } => drop(answer.send(self.count_members(&rooms))),
            Inquiry::Presence { users, answer } => drop(answer.send(self.look_for(&users))),
            Inquiry::Act { user, act, answer } => drop(answer.send(self.act(&user, &act))),
        }
    }

    fn count_members(&self, rooms: &[RoomName]) -> Vec<u32> {
        let count = |room| u32::try_from(self.hub.member_count(room)).unwrap_or(u32::MAX);
        rooms.iter().map(count).collect()
    }

    fn look_for(&self, users: &[UserId]) -> Seen {
        let mut seen = Seen { connections: Vec::new(), online: Vec::new() };
        for user in users {
            let (mut all, mut online) = (0, 0);
            for slot in self.users.of(user, &self.connections) {
                let extra = self.connections[slot as usize].extra.as_ref();
                let said = extra.and_then(|extra| extra.presence.as_ref()).map(|presence| presence.status);
                all += 1;
                online += u32::from(said != Some(Availability::Away));
            }
            seen.connections.push(all);
            seen.online.push(online);
        }
        seen
    }

    fn act(&mut self, user: &UserId, act: &Act) -> u32 {
        let slots: Vec<u32> = self.users.of(user, &self.connections).collect();
        let mut reached = 0;
        for slot in slots {
            let connection = &self.connections[slot as usize];
            let is_concerned = match act {
                Act::Unsubscribe(room) => connection.is_in(room),
                Act::Subscribe(_) | Act::Disconnect => true,
            };
            if connection.phase == Phase::Open && is_concerned {
                reached += 1;
                self.contain(slot, |shard| shard.act_on(slot, act));
            }
        }
        reached
    }

    fn act_on(&mut self, slot: u32, act: &Act) {
        match act {
            Act::Subscribe(room) => {
                self.enter(slot, Entrance { request: None, room: room.clone(), since: None, history: 0 });
            }
            Act::Unsubscribe(room) => {
                if let Some(caller) = self.caller(slot, None) {
                    self.connections[slot as usize].in_flight += 1;
                    self.dispatch(room, Input::Leave { caller });
                }
            }
            Act::Disconnect => self.end(slot, Reason::Error(ErrorCode::Disconnected)),
        }
    }
}
