//! From a command to the room that it concerns.

use parlour_hub::Input;
use parlour_hub::input::Caller;
use parlour_hub::session::Action;
use parlour_protocol::command::{Command, HistoryQuery, Private, Publish, Read, Request, SetPresence};
use parlour_protocol::dialect::{Decoded, DialectId, Misunderstood};
use parlour_protocol::event::{Ack, Event, Left, Pong, Reply};
use parlour_protocol::{ErrorCode, Refusal, RequestId, RoomName, limits};

use super::Shard;
use super::connection::Phase;
use super::ending::Reason;

/// How long to wait when a shard is crowded, in milliseconds.
const CROWDED_RETRY_MS: u32 = 1_000;

impl Shard {
    pub(super) fn on_decoded(&mut self, slot: u32, decoded: Decoded) {
        match decoded {
            Ok(request) => self.on_request(slot, request),
            Err(Misunderstood { id, refusal }) => self.reject(slot, id, refusal),
        }
    }

    /// Refuses a request; too many refusals, or one with a close code, end the connection.
    fn reject(&mut self, slot: u32, id: Option<RequestId>, refusal: Refusal) {
        let code = refusal.code;
        let abuse = self.connections[slot as usize].session.note_refusal(self.now.mono_ms, code);
        self.refuse(slot, id, refusal);
        if let Some(code) = abuse.or(code.close_code().map(|_| code)) {
            self.end(slot, Reason::Error(code));
        }
    }

    fn on_request(&mut self, slot: u32, Request { id, command }: Request) {
        self.metrics.command(command.name());
        let is_known = self.connections[slot as usize].phase == Phase::Open;
        if !is_known && !matches!(command, Command::Hello(_)) {
            return self.reject(slot, id, ErrorCode::Unauthenticated.into());
        }
        if let Err(refusal) = self.admit(slot, &command) {
            return self.reject(slot, id, refusal);
        }
        match command {
            Command::Hello(hello) => self.hello(slot, id, hello),
            command => {
                if let Some(caller) = self.caller(slot, id) {
                    self.carry_command(slot, caller, command);
                }
            }
        }
    }

    /// Checks rate and permission.
    fn admit(&mut self, slot: u32, command: &Command) -> Result<(), Refusal> {
        let now_ns = self.node.clock.mono_ns();
        let connection = &mut self.connections[slot as usize];
        let permit = &connection.permit;
        connection.session.admit(now_ns, &self.node.rates, command, |rate| permit.spend(rate, now_ns))?;
        match command {
            Command::Publish(publish) => self.allow(Action::Publish, &publish.room),
            Command::History(query) => self.allow(Action::Read, &query.room),
            _ => Ok(()),
        }
    }

    /// Whether this node lets anybody do that; the hook for roles.
    pub(super) fn allow(&self, action: Action, room: &RoomName) -> Result<(), Refusal> {
        match self.node.permissions.allow(action, room) {
            true => Ok(()),
            false => Err(ErrorCode::Forbidden.into()),
        }
    }

    fn carry_command(&mut self, slot: u32, caller: Caller, command: Command) {
        match command {
            Command::Hello(_) => {}
            Command::Join(join) => {
                let mut history = join.history.unwrap_or(0);
                if self.connections[slot as usize].variant.dialect == DialectId::Text {
                    self.leave_others(slot, &caller, &join.room);
                    history = limits::HISTORY_DEFAULT;
                }
                self.enter(slot, caller.request, &join.room, join.since, history);
            }
            Command::Leave(leave) => self.leave(slot, caller, leave.room),
            Command::Publish(Publish { room, text, cid }) => {
                self.ask(caller, &room, |caller| Input::Publish { caller, cid, text })
            }
            Command::Private(Private { to, text, cid }) => {
                let room = RoomName::private(&caller.user, &to);
                self.ask(caller, &room, |caller| Input::Publish { caller, cid, text });
            }
            Command::Typing(typing) => {
                self.dispatch(&typing.room, Input::Typing { caller, active: typing.active });
            }
            Command::Presence(presence) => self.set_presence(slot, caller, &presence),
            Command::Members(members) => self.ask(caller, &members.room, |caller| Input::Members { caller }),
            Command::History(query) => self.history(caller, query),
            Command::Rooms => self.ask_rooms(caller),
            Command::Read(Read { room, seq }) => {
                self.ask(caller, &room, |caller| Input::Read { caller, seq })
            }
            Command::Ping => {
                let event = Event::Pong(Pong { server_time_ms: self.now.wall_ms });
                self.send(slot, &Reply { id: caller.request, event });
            }
        }
    }

    /// Asks a room something that it answers once.
    fn ask(&mut self, caller: Caller, room: &RoomName, input: impl FnOnce(Caller) -> Input) {
        let slot = caller.conn.slot;
        if self.node.inboxes[self.node.home(room)].is_crowded() {
            let refusal = Refusal::retry_after(ErrorCode::Overloaded, CROWDED_RETRY_MS);
            return self.refuse(slot, caller.request, refusal);
        }
        self.connections[slot as usize].in_flight += 1;
        self.dispatch(room, input(caller));
    }

    fn history(&mut self, caller: Caller, query: HistoryQuery) {
        let room = query.room.clone();
        self.ask(caller, &room, |caller| Input::History { caller, query });
    }

    fn leave(&mut self, slot: u32, caller: Caller, room: RoomName) {
        match self.connections[slot as usize].rooms.iter().any(|membership| membership.room == room) {
            true => self.ask(caller, &room, |caller| Input::Leave { caller }),
            // Leaving twice is no error: the client is where it wants to be.
            false => self.send(slot, &Reply { id: caller.request, event: Event::Left(Left { room }) }),
        }
    }

    /// A plain-text connection is in one room at a time.
    fn leave_others(&mut self, slot: u32, caller: &Caller, next: &RoomName) {
        let rooms = self.connections[slot as usize].rooms.iter().map(|membership| membership.room.clone());
        let others: Vec<_> = rooms.filter(|room| room != next).collect();
        for room in others {
            let caller = Caller { request: None, ..caller.clone() };
            self.ask(caller, &room, |caller| Input::Leave { caller });
        }
    }

    fn set_presence(&mut self, slot: u32, caller: Caller, presence: &SetPresence) {
        let connection = &mut self.connections[slot as usize];
        connection.extra().presence = Some(presence.clone());
        let rooms: Vec<_> = connection.rooms.iter().map(|membership| membership.room.clone()).collect();
        for room in rooms {
            let input = Input::Presence { caller: caller.clone(), presence: presence.clone() };
            self.dispatch(&room, input);
        }
        self.send(slot, &Reply { id: caller.request, event: Event::Ack(Ack::default()) });
    }
}
