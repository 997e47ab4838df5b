//! Carries out what rooms want done: the effects of the hub, and mail from other shards.

use std::sync::Arc;

use parlour_hub::effect::{REPORTS, Replayed, StoreRequest, reports_key};
use parlour_hub::input::{Caller, Ending, Opened};
use parlour_hub::log::Draft;
use parlour_hub::{ConnId, Effect, Input};
use parlour_protocol::event::{Event, Left, Reply};
use parlour_protocol::{Epoch, ErrorCode, Refusal, RoomName, Seq, UserId};

use super::Shard;
use super::connection::Membership;
use super::fanout::Place;
use super::open;
use crate::documents;
use crate::inbox::Mail;

/// How long a client should wait when the queue of the store is full, in milliseconds.
const STORE_RETRY_MS: u32 = 1_000;

impl Shard {
    pub(super) fn carry_out(&mut self, effects: &mut Vec<Effect>) {
        for effect in effects.drain(..) {
            self.carry_out_one(effect);
        }
    }

    fn carry_out_one(&mut self, effect: Effect) {
        match effect {
            Effect::Broadcast { room, shards, event } => {
                self.node.hooks.heard(self.now, &event);
                for shard in shards.iter() {
                    self.broadcast(shard, &room, &event);
                }
            }
            Effect::ToUsers { users, event } => {
                self.node.hooks.heard(self.now, &event);
                self.tell_users(&users, &event);
            }
            Effect::Store { room, request } => self.ask_store(room, request),
            Effect::Vacated { .. } => self.metrics.rooms_vacated.add(1),
            Effect::Audit(deed) => self.node.shell.audit.note(*deed),
            Effect::Occupancy { room, is_occupied, position } => {
                self.node.hooks.occupancy(self.now, room, is_occupied, position);
            }
            Effect::Send { to, .. }
            | Effect::Attach { to, .. }
            | Effect::CatchUp { to, .. }
            | Effect::Unread { to, .. }
            | Effect::Fail { to, .. }
            | Effect::Expel { from: to, .. }
            | Effect::Detach { from: to, .. } => match to.shard {
                ConnId::DESK => self.tell_desk(effect),
                shard if shard == self.id => self.apply(effect),
                shard => self.post(usize::from(shard), Mail::Effect(effect)),
            },
        }
    }

    /// Applies an effect to connections of this shard.
    pub(super) fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Send { to, reply } => self.answer(to, &reply),
            Effect::Attach { to, room, answer, request, replay } => {
                self.attach(to, &room, *answer, request, &replay)
            }
            Effect::CatchUp { to, room, after, news, replay } => {
                self.catch_up(to, &room, after, &news, &replay);
            }
            Effect::Fail { to, room, request, cid, refusal } => self.failed(to, room, request, cid, refusal),
            Effect::Expel { from, room } => self.expel(from, room),
            Effect::Detach { from, room, request, refusal } => self.detach(from, room, request, refusal),
            Effect::Unread { to, room, upto, events } => self.unread(to, room, upto, &events),
            Effect::ToUsers { users, event } => self.tell_local_users(&users, &event),
            Effect::Broadcast { room, event, .. } => self.broadcast_here(&room, &event),
            // These are carried out on the room's home.
            Effect::Store { .. } | Effect::Vacated { .. } | Effect::Audit(_) | Effect::Occupancy { .. } => {}
        }
    }

    fn broadcast(&mut self, shard: u16, room: &RoomName, event: &Arc<Event>) {
        if shard == self.id {
            return self.broadcast_here(room, event);
        }
        let mail = Mail::Broadcast { room: room.clone(), event: Arc::clone(event) };
        self.post(usize::from(shard), mail);
    }

    pub(super) fn broadcast_here(&mut self, room: &RoomName, event: &Event) {
        self.metrics.broadcasts.add(1);
        self.leave_out(room, event);
        let Some(appended) = self.fanout.append(room, event, &mut self.codec.deflater) else {
            return;
        };
        self.metrics.deliveries.add(u64::from(appended.members));
        self.pace.spend(appended);
        if matches!(event, Event::Resync(_)) {
            self.end_streams(appended.room);
        }
        if appended.is_full {
            self.settle(appended.room);
        }
    }

    fn tell_users(&mut self, users: &(UserId, UserId), event: &Arc<Event>) {
        let here = usize::from(self.id);
        for shard in (0..self.node.inboxes.len()).filter(|shard| *shard != here) {
            let (users, event) = (users.clone(), Arc::clone(event));
            self.post(shard, Mail::Effect(Effect::ToUsers { users, event }));
        }
        self.tell_local_users(users, event);
    }

    fn tell_local_users(&mut self, users: &(UserId, UserId), event: &Arc<Event>) {
        let (a, b) = users;
        let mut slots: Vec<u32> = self.users.of(a, &self.connections).collect();
        if a != b {
            slots.extend(self.users.of(b, &self.connections));
        }
        for slot in slots {
            self.send_private(slot, event);
        }
    }

    /// Answers a request; the answer of a room ends its being in flight.
    pub(super) fn answer(&mut self, to: ConnId, reply: &Reply) {
        if let Some(slot) = self.slot_of(to) {
            self.settle_request(slot);
            self.send(slot, reply);
        }
    }

    fn settle_request(&mut self, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        connection.in_flight = connection.in_flight.saturating_sub(1);
        if connection.in_flight == super::read::RESUME_READING {
            self.read_soon(slot);
        }
    }

    fn attach(&mut self, to: ConnId, room: &RoomName, answer: Event, request: Caller, replay: &Replayed) {
        let Some(slot) = self.slot_of(to).filter(|slot| self.connections[*slot as usize].is_live()) else {
            // Usually the room knows by now. But an answer to `leave` that passed between this `join` and
            // its own answer took the room off the list of those to be told: without this the member
            // would stay for ever.
            let Caller { conn, user, .. } = request;
            return self.dispatch(room, Input::Detach { conn, user, ending: Ending::Lost });
        };
        self.settle_request(slot);
        self.count_inexact(&answer);
        self.note_stream(slot, &answer, replay.is_live);
        // What this turn holds for the room is part of the replay already.
        if let Some(local) = self.fanout.find(room) {
            self.settle(local);
        }
        if !replay.is_live {
            // It joined again, from so far back that live events have to wait.
            self.take_off_list(slot, room);
        }
        let connection = &mut self.connections[slot as usize];
        let found = connection.rooms.iter().position(|membership| *membership.room == *room);
        let index = found.unwrap_or_else(|| {
            // The answer to a `leave` has passed between this `join` and its own answer.
            connection.rooms.push(Membership { room: self.fanout.share(room), place: None });
            connection.rooms.len() - 1
        });
        let is_listed = connection.rooms[index].place.is_some();
        self.laggards.forget(slot, room);
        if replay.is_live && !is_listed {
            self.put_on_list(slot, room, replay.upto);
        }
        self.send(slot, &Reply { id: request.request, event: answer });
        for event in &replay.events {
            self.send_event(slot, event);
        }
    }

    pub(super) fn count_inexact(&self, answer: &Event) {
        let reason = match answer {
            Event::Joined(joined) => joined.reason,
            Event::Resync(resync) => Some(resync.reason),
            _ => None,
        };
        if let Some(reason) = reason {
            self.metrics.inexact_resumes.inc(reason.word());
        }
    }

    fn detach(&mut self, from: ConnId, room: RoomName, request: Caller, refusal: Option<Refusal>) {
        let Some(slot) = self.slot_of(from) else {
            return;
        };
        self.settle_request(slot);
        self.take_off_list(slot, &room);
        match refusal {
            Some(refusal) => self.refuse(slot, request.request, refusal),
            None => self.send(slot, &Reply { id: request.request, event: Event::Left(Left { room }) }),
        }
    }

    fn expel(&mut self, from: ConnId, room: RoomName) {
        if let Some(slot) = self.slot_of(from) {
            self.take_off_list(slot, &room);
            self.send_event(slot, &Event::Left(Left { room }));
        }
    }

    /// Puts a member on the list of a room, who has been told everything up to the room's position.
    pub(super) fn put_on_list(&mut self, slot: u32, room: &RoomName, upto: Seq) {
        // What this turn holds for the room was among that.
        if let Some(local) = self.fanout.find(room) {
            self.settle(local);
        }
        let stream = self.stream_epoch(slot);
        let connection = &mut self.connections[slot as usize];
        if let Some(membership) = connection.rooms.iter_mut().find(|membership| *membership.room == *room) {
            let variant = connection.variant.in_room(self.node.config.compresses(room.as_str()));
            membership.place = Some(self.fanout.add(&membership.room, upto, (variant, stream), slot));
            membership.room = self.fanout.share(room);
        }
    }

    /// Takes a connection off the list of a room; what was said before still reaches it.
    pub(super) fn take_off_list(&mut self, slot: u32, room: &RoomName) {
        if let Some(local) = self.fanout.find(room) {
            self.settle(local);
        }
        self.laggards.forget(slot, room);
        let connection = &mut self.connections[slot as usize];
        let Some(index) = connection.rooms.iter().position(|membership| *membership.room == *room) else {
            return;
        };
        if let Some(place) = connection.rooms.swap_remove(index).place {
            self.vacate(room, place);
        }
    }

    /// Leaves a place on the list of a room.
    pub(super) fn vacate(&mut self, room: &RoomName, place: Place) {
        if let Some(moved) = self.fanout.remove(place)
            && let Some(theirs) = self.connections[moved as usize].rooms.iter_mut().find(|m| *m.room == *room)
        {
            theirs.place = Some(place);
        }
    }

    fn ask_store(&mut self, room: RoomName, request: StoreRequest) {
        let node = Arc::clone(&self.node);
        match request {
            StoreRequest::Append { caller, draft } => self.append(room, caller, draft),
            StoreRequest::Open { durable: false, .. } => {
                // Nothing of it outlives its members, so it begins anew each time.
                let opened = Opened::nothing(Epoch(uuid::Uuid::new_v4().as_u128()));
                // Later: the room is in the middle of an effect.
                self.post(usize::from(self.id), Mail::Input { room, input: Input::Opened(opened) });
            }
            StoreRequest::Open { durable: true, tail } => self.run_errand(async move {
                let opened = open::open(&node, &room, tail).await;
                Mail::Input { room, input: Input::Opened(opened) }
            }),
            StoreRequest::Detour { input } => self.run_errand(async move {
                open::open(&node, &room, 0).await;
                Mail::Input { room, input: Input::Late(input) }
            }),
            StoreRequest::Read { span, limit, ticket } => {
                self.metrics.store_reads.inc();
                self.run_errand(async move {
                    let read = node.store.read(room.clone(), span, limit).await;
                    let records = read.map_err(|error| node.note_store_error(error));
                    Mail::Input { room, input: Input::Fetched { ticket, records } }
                });
            }
            StoreRequest::Find { caller, cid } => self.run_errand(async move {
                let found = node.store.find(room.clone(), caller.user.clone(), cid.clone()).await;
                let found = found.map_err(|error| node.note_store_error(error));
                Mail::Input { room, input: Input::Found { caller, cid, found } }
            }),
            StoreRequest::Reports { caller, inquiry } => self.run_errand(async move {
                let found = documents::find(&node, reports_key(&room), REPORTS).await;
                let found = found.map_err(|error| node.note_store_error(error));
                Mail::Input { room, input: Input::Inquired { caller, inquiry, found } }
            }),
            StoreRequest::Put { documents } => self.node.documents.put(documents),
        }
    }

    fn append(&mut self, room: RoomName, caller: Caller, draft: Draft) {
        if let Err(refused) = self.node.commits.submit(caller, draft) {
            let (caller, draft) = *refused;
            let outcome = Err(Refusal::retry_after(ErrorCode::Overloaded, STORE_RETRY_MS));
            let input = Input::Appended { caller, draft, outcome };
            // Later: the room is in the middle of an effect.
            self.post(usize::from(self.id), Mail::Input { room, input });
        }
    }
}
