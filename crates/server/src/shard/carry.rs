//! Carries out what rooms want done: the effects of the hub, and mail from other shards.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use parlour_hub::effect::{Document, StoreRequest, read_cursor_key, seen_key};
use parlour_hub::input::{Caller, Ending, Opened};
use parlour_hub::{ConnId, Effect, Input};
use parlour_protocol::event::{Event, Joined, Left, Reply, RoomSummary};
use parlour_protocol::{Epoch, ErrorCode, Refusal, RoomName, Seq, UserId, limits};

use super::Shard;
use super::connection::{Membership, Phase};
use crate::documents;
use crate::inbox::{Mail, RoomList};
use crate::store::Span;

/// Most documents of users who were in a room lately.
const SEEN: u32 = 100;
/// Most private conversations whose unread messages are sent on arrival.
const CONVERSATIONS: u32 = 100;

impl Shard {
    pub(super) fn carry_out(&mut self, effects: &mut Vec<Effect>) {
        for effect in effects.drain(..) {
            self.carry_out_one(effect);
        }
    }

    fn carry_out_one(&mut self, effect: Effect) {
        match effect {
            Effect::Broadcast { room, shards, event } => {
                for shard in shards.iter() {
                    self.broadcast(shard, &room, &event);
                }
            }
            Effect::ToUsers { users, event } => self.tell_users(&users, &event),
            Effect::Store { room, request } => self.ask_store(room, request),
            Effect::Vacated { .. } => self.metrics.rooms_vacated.add(1),
            Effect::Send { to, .. }
            | Effect::Attach { to, .. }
            | Effect::Unread { to, .. }
            | Effect::Detach { from: to, .. } => match to.shard == self.id {
                true => self.apply(effect),
                false => self.node.inboxes[usize::from(to.shard)].post(Mail::Effect(effect)),
            },
        }
    }

    /// Applies an effect to connections of this shard.
    pub(super) fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Send { to, reply } => self.answer(to, &reply),
            Effect::Attach { to, room, joined, request, replay } => {
                self.attach(to, &room, *joined, request, &replay)
            }
            Effect::Detach { from, room, request, refusal } => self.detach(from, room, request, refusal),
            Effect::Unread { to, room, upto, events } => self.unread(to, room, upto, &events),
            Effect::ToUsers { users, event } => self.tell_local_users(&users, &event),
            Effect::Broadcast { room, event, .. } => self.broadcast_here(&room, &event),
            // These are carried out on the room's home.
            Effect::Store { .. } | Effect::Vacated { .. } => {}
        }
    }

    fn broadcast(&mut self, shard: u16, room: &RoomName, event: &Arc<Event>) {
        if shard == self.id {
            return self.broadcast_here(room, event);
        }
        let mail = Mail::Broadcast { room: room.clone(), event: Arc::clone(event) };
        self.node.inboxes[usize::from(shard)].post(mail);
    }

    pub(super) fn broadcast_here(&mut self, room: &RoomName, event: &Event) {
        let (members, full) = self.fanout.append(room, event, &mut self.codec.deflater);
        self.metrics.broadcasts.add(1);
        self.metrics.deliveries.add(u64::from(members));
        if full && let Some(room) = self.fanout.find(room) {
            self.settle(room);
        }
    }

    fn tell_users(&mut self, users: &(UserId, UserId), event: &Arc<Event>) {
        for (shard, inbox) in self.node.inboxes.iter().enumerate() {
            if shard != usize::from(self.id) {
                let (users, event) = (users.clone(), Arc::clone(event));
                inbox.post(Mail::Effect(Effect::ToUsers { users, event }));
            }
        }
        self.tell_local_users(users, event);
    }

    fn tell_local_users(&mut self, users: &(UserId, UserId), event: &Arc<Event>) {
        let (a, b) = users;
        let mut slots = self.users.get(a).cloned().unwrap_or_default();
        if a != b {
            slots.extend(self.users.get(b).into_iter().flatten());
        }
        for slot in slots {
            self.send_private(slot, event);
        }
    }

    /// Answers a request; the answer of a room ends its being in flight.
    fn answer(&mut self, to: ConnId, reply: &Reply) {
        if let Some(slot) = self.slot_of(to) {
            self.settle_request(slot);
            self.send(slot, reply);
        }
    }

    fn settle_request(&mut self, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        connection.in_flight = connection.in_flight.saturating_sub(1);
        if connection.in_flight == super::read::RESUME_READING {
            connection.wake();
        }
    }

    fn attach(
        &mut self,
        to: ConnId,
        room: &RoomName,
        joined: Joined,
        request: Caller,
        replay: &[Arc<Event>],
    ) {
        let Some(slot) = self.slot_of(to).filter(|slot| self.connections[*slot as usize].is_live()) else {
            // Usually the room knows by now. But an answer to `leave` that passed between this `join` and
            // its own answer took the room off the list of those to be told: without this the member
            // would stay for ever.
            let Caller { conn, user, .. } = request;
            return self.dispatch(room, Input::Detach { conn, user, ending: Ending::Lost });
        };
        self.settle_request(slot);
        // What this turn holds for the room is part of the replay already.
        if let Some(local) = self.fanout.find(room) {
            self.settle(local);
        }
        let connection = &mut self.connections[slot as usize];
        let found = connection.rooms.iter().position(|membership| membership.room == *room);
        let index = found.unwrap_or_else(|| {
            // The answer to a `leave` has passed between this `join` and its own answer.
            connection.rooms.push(Membership { room: room.clone(), place: None });
            connection.rooms.len() - 1
        });
        let membership = &mut connection.rooms[index];
        if membership.place.is_none() {
            membership.place = Some(self.fanout.add(room, connection.variant, slot));
        }
        self.send(slot, &Reply { id: request.request, event: Event::Joined(Box::new(joined)) });
        for event in replay {
            self.send_event(slot, event);
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

    /// Takes a connection off the list of a room; what was said before still reaches it.
    pub(super) fn take_off_list(&mut self, slot: u32, room: &RoomName) {
        if let Some(local) = self.fanout.find(room) {
            self.settle(local);
        }
        let connection = &mut self.connections[slot as usize];
        let Some(index) = connection.rooms.iter().position(|membership| membership.room == *room) else {
            return;
        };
        let Some(place) = connection.rooms.swap_remove(index).place else {
            return;
        };
        if let Some(moved) = self.fanout.remove(place)
            && let Some(theirs) = self.connections[moved as usize].rooms.iter_mut().find(|m| m.room == *room)
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
                let new_epoch = Epoch(uuid::Uuid::new_v4().as_u128());
                let opened = Opened { log: Ok(None), seen: Vec::new(), new_epoch };
                self.errands
                    .push(Box::pin(async move { Mail::Input { room, input: Input::Opened(opened) } }));
            }
            StoreRequest::Open { durable: true, tail } => self.errands.push(Box::pin(async move {
                let log = node.store.open(room.clone(), tail).await;
                let seen = documents::read(&node, seen_key(&room, ""), SEEN).await;
                let log = log.map_err(|error| node.note_store_error(error));
                let opened = Opened { log, seen, new_epoch: node.lineage.epoch(&room) };
                Mail::Input { room, input: Input::Opened(opened) }
            })),
            StoreRequest::After { after, limit, ticket } => self.errands.push(Box::pin(async move {
                let read = node.store.read(room.clone(), Span::After(after), limit).await;
                let records = read.map_err(|error| node.note_store_error(error));
                Mail::Input { room, input: Input::Fetched { ticket, records } }
            })),
            StoreRequest::Before { before, limit, ticket } => self.errands.push(Box::pin(async move {
                let read = node.store.read(room.clone(), Span::Before(before), limit).await;
                let records = read.map_err(|error| node.note_store_error(error));
                Mail::Input { room, input: Input::Fetched { ticket, records } }
            })),
            StoreRequest::Put { documents } => self.node.documents.put(documents),
        }
    }

    fn append(&mut self, room: RoomName, caller: Caller, draft: parlour_hub::log::Draft) {
        if let Err(refused) = self.node.commits.submit(caller, draft) {
            let (caller, draft) = *refused;
            let outcome = Err(ErrorCode::Overloaded);
            let input = Input::Appended { caller, draft, outcome };
            // Through the inbox, because the room is in the middle of an effect.
            self.node.inboxes[usize::from(self.id)].post(Mail::Input { room, input });
        }
    }

    /// Asks which private conversations a user has, when they arrive.
    pub(super) fn ask_conversations(&mut self, slot: u32, user: &UserId) {
        let (node, conn) = (Arc::clone(&self.node), self.id_of(slot));
        let prefix = read_cursor_key(user, "@");
        self.errands.push(Box::pin(async move {
            let documents = documents::read(&node, prefix, CONVERSATIONS).await;
            Mail::Conversations { conn, cursors: documents.iter().filter_map(cursor).collect() }
        }));
    }

    /// Asks the store for the caller's conversations, then every shard for its rooms.
    pub(super) fn ask_rooms(&mut self, caller: Caller) {
        self.connections[caller.conn.slot as usize].in_flight += 1;
        let node = Arc::clone(&self.node);
        self.errands.push(Box::pin(async move {
            let prefix = read_cursor_key(&caller.user, "@");
            let documents = documents::read(&node, prefix, CONVERSATIONS).await;
            let conversations =
                documents.iter().filter_map(cursor).map(|(room, _)| conversation(room, &caller.user));
            let list = Arc::new(RoomList {
                rooms: Mutex::new(conversations.collect()),
                conn: caller.conn,
                request: caller.request,
                missing: AtomicUsize::new(node.inboxes.len()),
            });
            for inbox in node.inboxes.iter().skip(1) {
                inbox.post(Mail::ListRooms(Arc::clone(&list)));
            }
            Mail::ListRooms(list)
        }));
    }

    /// Adds the rooms of this shard; the last shard sends the answer.
    pub(super) fn list_rooms(&mut self, list: &RoomList) {
        let mut rooms = list.rooms.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let here = self.hub.rooms().map(|(room, count)| RoomSummary {
            room: room.clone(),
            member_count: u32::try_from(count).unwrap_or(u32::MAX),
            joined: false,
            with: None,
        });
        let space = limits::ROOMS_LISTED.saturating_sub(rooms.len());
        rooms.extend(here.take(space));
        if list.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
            let mut rooms = std::mem::take(&mut *rooms);
            rooms.sort_by(|a, b| b.member_count.cmp(&a.member_count).then_with(|| a.room.cmp(&b.room)));
            let reply = Reply { id: list.request.clone(), event: Event::Rooms(rooms) };
            self.carry_out_one(Effect::Send { to: list.conn, reply });
        }
    }

    /// Marks which of the listed rooms the connection is in.
    pub(super) fn mark_joined(&self, slot: u32, rooms: &mut [RoomSummary]) {
        let connection = &self.connections[slot as usize];
        if connection.phase == Phase::Open {
            for summary in rooms {
                summary.joined = connection.rooms.iter().any(|membership| membership.room == summary.room);
            }
        }
    }
}

fn conversation(room: RoomName, user: &UserId) -> RoomSummary {
    let with = room.peer_of(user);
    let member_count = if with.as_ref() == Some(user) { 1 } else { 2 };
    RoomSummary { room, member_count, joined: false, with }
}

fn cursor(document: &Document) -> Option<(RoomName, Seq)> {
    let name = document.key.rsplit(parlour_hub::effect::DOCUMENT_SEPARATOR).next()?;
    let seq = std::str::from_utf8(&document.value).ok()?.parse().ok()?;
    Some((RoomName::parse_any(name).ok()?, Seq(seq)))
}
