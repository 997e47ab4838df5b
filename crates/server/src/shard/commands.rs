//! From a command to the room that it concerns.

use parlour_hub::Input;
use parlour_hub::input::{Caller, CursorKind};
use parlour_hub::log::NewEntry;
use parlour_protocol::command::{
    Command, Configure, Cursor, HistoryQuery, Report, Request, Resolve, SetPresence, StatusQuery,
};
use parlour_protocol::dialect::{Decoded, DialectId, Misunderstood};
use parlour_protocol::event::{Ack, Event, Left, Pong, Reply};
use parlour_protocol::{ErrorCode, Refusal, RequestId, RoomName, limits};

use super::Shard;
use super::connection::Phase;
use super::consult::Entrance;
use super::ending::Reason;
use super::entries;
use crate::identity::is_guest;

/// How long to wait when a shard is crowded, in milliseconds.
const CROWDED_RETRY_MS: u32 = 1_000;

impl Shard {
    pub(super) fn on_decoded(&mut self, slot: u32, decoded: Decoded) {
        match self.postpone(slot, decoded) {
            Some(Ok(request)) => self.on_request(slot, request),
            Some(Err(Misunderstood { id, refusal })) => self.reject(slot, id, refusal),
            None => {}
        }
    }

    /// Refuses a request; too many refusals, or one with a close code, end the connection.
    pub(super) fn reject(&mut self, slot: u32, id: Option<RequestId>, refusal: Refusal) {
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
        let admitted = self.admit(slot, &command);
        match command {
            Command::Hello(hello) => match admitted {
                Ok(()) => self.hello(slot, id, hello),
                Err(refusal) => self.reject(slot, id, refusal),
            },
            command => {
                let Some(caller) = self.caller(slot, id) else {
                    return;
                };
                match (entries::entries(command, &caller.user, self.now.wall_ms), admitted) {
                    (Ok((room, entries)), admitted) => self.say(caller, room, entries, admitted),
                    (Err(command), Ok(())) => self.carry_command(slot, caller, command),
                    (Err(_), Err(refusal)) => self.reject(slot, caller.request, refusal),
                }
            }
        }
    }

    /// Lets a room store entries, unless something that they must not pass has failed.
    pub(super) fn publish(
        &mut self,
        caller: Caller,
        room: &RoomName,
        entries: Vec<NewEntry>,
        admitted: Result<(), Refusal>,
    ) {
        let slot = caller.conn.slot;
        let allowed = admitted
            .and_then(|()| self.may_follow(slot, room, &entries))
            .and_then(|()| self.may_converse(&caller, room))
            .and_then(|()| self.may_ask(room));
        match allowed {
            Ok(()) => {
                self.connections[slot as usize].in_flight += 1;
                self.dispatch(room, Input::Publish { caller, entries });
            }
            Err(mut refusal) => {
                if refusal.blocked_by.is_none() {
                    let cid = entries.into_iter().next().and_then(|entry| entry.cid);
                    let request = caller.request.clone();
                    refusal.blocked_by = self.note_failure(slot, room, cid, request, refusal.code);
                }
                self.reject(slot, caller.request, refusal);
            }
        }
    }

    /// Checks the rate; what is allowed is for the room to say.
    fn admit(&mut self, slot: u32, command: &Command) -> Result<(), Refusal> {
        let now_ns = self.node.clock.mono_ns();
        let connection = &mut self.connections[slot as usize];
        let permit = &connection.permit;
        let rates = &self.node.rates;
        connection.session.admit(now_ns, rates, command, |cost| permit.spend(rates, cost, now_ns))
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
                let (request, room, since) = (caller.request, join.room, join.since);
                self.enter(slot, Entrance { request, room, since, history });
            }
            Command::Leave(leave) => self.leave(slot, caller, leave.room),
            Command::Create(Configure { room, settings, cid }) => {
                self.ask(caller, &room, |caller| Input::Create { caller, settings, cid });
            }
            Command::Typing(typing) => {
                self.dispatch(&typing.room, Input::Typing { caller, active: typing.active });
            }
            Command::Presence(presence) => self.set_presence(slot, caller, &presence),
            Command::Members(members) => self.ask(caller, &members.room, |caller| Input::Members { caller }),
            Command::History(query) => self.history(caller, query),
            Command::Rooms => self.ask_rooms(caller),
            Command::Read(to) => self.advance(caller, to, CursorKind::Read),
            Command::Delivered(to) => self.advance(caller, to, CursorKind::Delivered),
            Command::Receipts(Cursor { room, seq }) => {
                self.ask(caller, &room, |caller| Input::Receipts { caller, seq });
            }
            Command::Info(info) => self.ask(caller, &info.room, |caller| Input::Info { caller }),
            Command::Report(Report { room, target, reason }) => {
                self.ask(caller, &room, |caller| Input::Report { caller, target, reason });
            }
            Command::Reports(reports) => self.ask(caller, &reports.room, |caller| Input::Reports { caller }),
            Command::Resolve(Resolve { room, target }) => {
                self.ask(caller, &room, |caller| Input::Resolve { caller, target });
            }
            Command::More(more) => self.ask(caller, &more.room, |caller| Input::More { caller }),
            Command::Status(StatusQuery { room, cid }) => {
                self.ask(caller, &room, |caller| Input::Status { caller, cid });
            }
            Command::Search(search) => self.search(caller, search),
            // Each of these is entries of a log by now.
            Command::Publish(_)
            | Command::Private(_)
            | Command::Batch(_)
            | Command::Edit(_)
            | Command::Delete(_)
            | Command::React(_)
            | Command::Pin(_)
            | Command::Configure(_)
            | Command::Role(_)
            | Command::Sanction(_) => {}
            Command::Ping => {
                let event = Event::Pong(Pong { server_time_ms: self.now.wall_ms });
                self.send(slot, &Reply { id: caller.request, event });
            }
        }
    }

    /// Guests have no private conversations: nobody could ever answer them.
    fn may_converse(&self, caller: &Caller, room: &RoomName) -> Result<(), Refusal> {
        match room.is_private() && self.node.config.access.guests && is_guest(&caller.user) {
            true => Err(Refusal::because(ErrorCode::Forbidden, "guests have no private conversations")),
            false => Ok(()),
        }
    }

    /// Asks a room something that it answers once.
    fn ask(&mut self, caller: Caller, room: &RoomName, input: impl FnOnce(Caller) -> Input) {
        let slot = caller.conn.slot;
        if let Err(refusal) = self.may_ask(room) {
            return self.refuse(slot, caller.request, refusal);
        }
        self.connections[slot as usize].in_flight += 1;
        self.dispatch(room, input(caller));
    }

    /// Whether the room's home takes new work.
    fn may_ask(&self, room: &RoomName) -> Result<(), Refusal> {
        match self.node.inboxes[self.node.home(room)].is_crowded() {
            true => Err(Refusal::retry_after(ErrorCode::Overloaded, CROWDED_RETRY_MS)),
            false => Ok(()),
        }
    }

    fn advance(&mut self, caller: Caller, Cursor { room, seq }: Cursor, cursor: CursorKind) {
        self.ask(caller, &room, |caller| Input::Advance { caller, seq, cursor });
    }

    fn history(&mut self, caller: Caller, query: HistoryQuery) {
        let room = query.room.clone();
        self.ask(caller, &room, |caller| Input::History { caller, query });
    }

    fn leave(&mut self, slot: u32, caller: Caller, room: RoomName) {
        match self.connections[slot as usize].is_in(&room) {
            true => self.ask(caller, &room, |caller| Input::Leave { caller }),
            // Leaving twice is no error: the client is where it wants to be.
            false => self.send(slot, &Reply { id: caller.request, event: Event::Left(Left { room }) }),
        }
    }

    /// A plain-text connection is in one room at a time.
    fn leave_others(&mut self, slot: u32, caller: &Caller, next: &RoomName) {
        let rooms = self.connections[slot as usize].room_names();
        for room in rooms.into_iter().filter(|room| room != next) {
            let caller = Caller { request: None, ..caller.clone() };
            self.ask(caller, &room, |caller| Input::Leave { caller });
        }
    }

    fn set_presence(&mut self, slot: u32, caller: Caller, presence: &SetPresence) {
        let connection = &mut self.connections[slot as usize];
        connection.extra().presence = Some(presence.clone());
        for room in connection.room_names() {
            let input = Input::Presence { caller: caller.clone(), presence: presence.clone() };
            self.dispatch(&room, input);
        }
        self.send(slot, &Reply { id: caller.request, event: Event::Ack(Ack::default()) });
    }
}
