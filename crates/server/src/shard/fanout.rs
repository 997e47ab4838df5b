//! The members of rooms on this shard, and what they are to hear at the end of the turn.
//!
//! Within a turn the frames of a room are appended to one buffer per group of members. At its end
//! every member whose outbox is empty gets that buffer in one write. Per recipient there is no
//! wake-up, no queue, no copy and no allocation.

use std::collections::HashMap;
use std::rc::Rc;

use parlour_protocol::dialect::DialectId;
use parlour_protocol::event::Event;
use parlour_protocol::{Epoch, RoomName, Seq};
use parlour_websocket::handshake::deflate::DeflateParams;
use parlour_websocket::{Deflater, Opcode, encode};
use slab::Slab;
use smallvec::SmallVec;

use super::stream;

/// Bytes in a buffer after which a turn does not wait for its end.
pub(super) const FULL: usize = 64 * 1024;
/// Messages below this size are not worth compressing, in bytes.
const COMPRESS_FROM: usize = 128;
/// Buffers kept for the next turns.
const SPARE_BUFFERS: usize = 32;

/// What decides about the bytes on the wire: members with the same variant share them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Variant {
    pub(super) dialect: DialectId,
    /// The agreement on compression, if there is one.
    pub(super) deflate: Option<DeflateParams>,
}

impl Variant {
    /// Returns what a connection gets from a room that compresses its events, or does not.
    pub(super) fn in_room(self, compresses: bool) -> Self {
        Self { deflate: self.deflate.filter(|_| compresses), ..self }
    }

    /// Whether a message is worth compressing and the client can take it compressed.
    pub(super) fn compresses(self, message_bytes: usize, deflater: &Deflater) -> bool {
        let can_receive = |params: DeflateParams| params.can_receive(deflater.window_bits(), message_bytes);
        message_bytes >= COMPRESS_FROM && self.deflate.is_some_and(can_receive)
    }
}

/// Where a connection stands on the list of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) room: u32,
    group: u32,
    index: u32,
}

/// The rooms with members on this shard.
#[derive(Debug, Default)]
pub(super) struct Fanout {
    names: HashMap<Rc<RoomName>, u32>,
    rooms: Slab<LocalRoom>,
    dirty: Vec<u32>,
    spare: Vec<Vec<u8>>,
    encoder: Encoder,
    places: u64,
}

#[derive(Debug)]
pub(super) struct LocalRoom {
    name: Rc<RoomName>,
    groups: SmallVec<[Group; 1]>,
    members: u32,
    is_dirty: bool,
    /// Whether this turn holds something that even slow members must be told.
    is_urgent: bool,
    /// The newest entry of the room, and the newest before this turn.
    position: Seq,
    since: Seq,
}

#[derive(Debug)]
struct Group {
    variant: Variant,
    /// Under which lineage they get the room's events, where these are told with their places.
    stream: Option<Box<Epoch>>,
    members: Vec<u32>,
    /// Frames of this turn.
    buffer: Vec<u8>,
}

/// What an event has added to a turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Appended {
    pub(super) room: u32,
    /// Connections that get it.
    pub(super) members: u32,
    /// What all of them get, in bytes.
    pub(super) bytes: usize,
    /// Whether the room had nothing to say in this turn before.
    pub(super) is_first: bool,
    /// Whether the buffers are so full that the room should be settled now.
    pub(super) is_full: bool,
}

/// A buffer of this turn and who gets it.
#[derive(Debug)]
pub(super) struct Batch {
    /// The frames.
    pub(super) frames: Rc<Vec<u8>>,
    /// Where they begin in the buffer.
    pub(super) start: usize,
    /// The room's position before them.
    pub(super) since: Seq,
    /// Whether slow members get it, too.
    pub(super) is_urgent: bool,
    pub(super) room: u32,
    group: u32,
}

impl Fanout {
    /// Returns how many places there are on all lists together.
    pub(super) fn place_count(&self) -> u64 {
        self.places
    }

    /// Returns the number of a room, if it has members here.
    pub(super) fn find(&self, name: &RoomName) -> Option<u32> {
        self.names.get(name).copied()
    }

    /// Returns a room's name, in the memory that its members here share.
    pub(super) fn share(&self, name: &RoomName) -> Rc<RoomName> {
        match self.find(name) {
            Some(room) => Rc::clone(&self.rooms[room as usize].name),
            None => Rc::new(name.clone()),
        }
    }

    /// Puts a connection on the list of a room, whose position is `upto`. The room must be settled.
    pub(super) fn add(
        &mut self,
        name: &Rc<RoomName>,
        upto: Seq,
        (variant, stream): (Variant, Option<Epoch>),
        slot: u32,
    ) -> Place {
        let room = self.find(name).unwrap_or_else(|| self.create(name));
        let local = &mut self.rooms[room as usize];
        (local.position, local.since) = (upto, upto);
        local.members += 1;
        self.places += 1;
        let found = local
            .groups
            .iter()
            .position(|group| group.variant == variant && group.stream.as_deref() == stream.as_ref());
        let group = found.unwrap_or_else(|| {
            local.groups.push(Group {
                variant,
                stream: stream.map(Box::new),
                members: Vec::new(),
                buffer: Vec::new(),
            });
            local.groups.len() - 1
        });
        let members = &mut local.groups[group].members;
        members.push(slot);
        Place { room, group: group as u32, index: members.len() as u32 - 1 }
    }

    /// Takes a connection off a list. The room must be settled.
    ///
    /// Returns the connection that took over the place, if any; its own record must follow.
    pub(super) fn remove(&mut self, place: Place) -> Option<u32> {
        let local = &mut self.rooms[place.room as usize];
        let members = &mut local.groups[place.group as usize].members;
        members.swap_remove(place.index as usize);
        let moved = members.get(place.index as usize).copied();
        if members.is_empty() {
            *members = Vec::new();
        }
        local.members -= 1;
        self.places -= 1;
        if local.members == 0 {
            let local = self.rooms.remove(place.room as usize);
            self.names.remove(&local.name);
        }
        moved
    }

    /// Appends an event to the turn of a room, if it has members here.
    pub(super) fn append(
        &mut self,
        name: &RoomName,
        event: &Event,
        deflater: &mut Deflater,
    ) -> Option<Appended> {
        let room = self.find(name)?;
        let local = &mut self.rooms[room as usize];
        let is_first = !std::mem::replace(&mut local.is_dirty, true);
        if is_first {
            self.dirty.push(room);
        }
        match event {
            Event::Resync(resync) => local.position = resync.head,
            event => local.position = event.seq().unwrap_or(local.position),
        }
        local.is_urgent |= matches!(event, Event::Resync(_) | Event::Erased(_));
        self.encoder.forget();
        let mut appended = Appended { room, members: local.members, bytes: 0, is_first, is_full: false };
        for group in local.groups.iter_mut().filter(|group| !group.members.is_empty()) {
            if group.buffer.capacity() == 0 {
                group.buffer = self.spare.pop().unwrap_or_default();
            }
            let before = group.buffer.len();
            let how = (group.variant, group.stream.as_deref().copied());
            self.encoder.append(event, how, deflater, &mut group.buffer);
            appended.bytes += (group.buffer.len() - before) * group.members.len();
            appended.is_full |= group.buffer.len() >= FULL;
        }
        Some(appended)
    }

    /// Lists the connections of a room that only listen.
    pub(super) fn streams(&self, room: u32) -> Vec<u32> {
        let groups = self.rooms.get(room as usize).map(|local| &local.groups);
        let streams = groups.into_iter().flatten().filter(|group| group.stream.is_some());
        streams.flat_map(|group| group.members.iter().copied()).collect()
    }

    /// Whether any room has something to say at the end of the turn.
    pub(super) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Takes the buffers of all rooms for writing.
    pub(super) fn take_turn(&mut self, batches: &mut Vec<Batch>) {
        for room in std::mem::take(&mut self.dirty) {
            self.take_room(room, batches);
        }
    }

    /// Takes the buffers of one room for writing, before its list of members changes.
    pub(super) fn settle(&mut self, room: u32, batches: &mut Vec<Batch>) {
        if self.rooms.get(room as usize).is_some_and(|local| local.is_dirty) {
            self.dirty.retain(|dirty| *dirty != room);
            self.take_room(room, batches);
        }
    }

    fn take_room(&mut self, room: u32, batches: &mut Vec<Batch>) {
        let Some(local) = self.rooms.get_mut(room as usize) else {
            return;
        };
        local.is_dirty = false;
        let since = std::mem::replace(&mut local.since, local.position);
        let is_urgent = std::mem::take(&mut local.is_urgent);
        for (index, group) in (0..).zip(&mut local.groups) {
            if !group.buffer.is_empty() {
                let mut buffer = std::mem::take(&mut group.buffer);
                let start = finish(group.variant.dialect, &mut buffer);
                batches.push(Batch { frames: Rc::new(buffer), start, since, is_urgent, room, group: index });
            }
        }
    }

    /// Lists the connections that get a batch.
    pub(super) fn recipients(&self, batch: &Batch) -> &[u32] {
        &self.rooms[batch.room as usize].groups[batch.group as usize].members
    }

    /// Takes back the buffer of a batch that nobody holds any more.
    pub(super) fn recycle(&mut self, batch: Batch) {
        if let Ok(mut buffer) = Rc::try_unwrap(batch.frames)
            && self.spare.len() < SPARE_BUFFERS
            && buffer.capacity() <= 2 * FULL
        {
            buffer.clear();
            self.spare.push(buffer);
        }
    }

    fn create(&mut self, name: &Rc<RoomName>) -> u32 {
        let local = LocalRoom {
            name: Rc::clone(name),
            groups: SmallVec::new(),
            members: 0,
            is_dirty: false,
            is_urgent: false,
            position: Seq(0),
            since: Seq(0),
        };
        let room = self.rooms.insert(local) as u32;
        self.names.insert(Rc::clone(name), room);
        room
    }
}

/// Encodes and compresses an event once per dialect, whatever the number of groups.
#[derive(Debug, Default)]
struct Encoder {
    payloads: [Vec<u8>; DialectId::ALL.len()],
    /// Whole frames: without context takeover one serves everybody who can take it.
    compressed: [Vec<u8>; DialectId::ALL.len()],
}

impl Encoder {
    fn forget(&mut self) {
        self.payloads.iter_mut().chain(&mut self.compressed).for_each(Vec::clear);
    }

    fn append(
        &mut self,
        event: &Event,
        (variant, stream): (Variant, Option<Epoch>),
        deflater: &mut Deflater,
        out: &mut Vec<u8>,
    ) {
        let dialect = variant.dialect.dialect();
        let payload = &mut self.payloads[variant.dialect as usize];
        if payload.is_empty() {
            dialect.encode(event, None, payload);
        }
        if payload.is_empty() {
            return;
        }
        if let Some(epoch) = stream {
            return stream::append(out, stream::place(event, epoch), payload);
        }
        if dialect.separator().is_some() || !variant.compresses(payload.len(), deflater) {
            return append_message(out, variant, payload, deflater);
        }
        let frame = &mut self.compressed[variant.dialect as usize];
        if frame.is_empty() {
            append_message(frame, variant, payload, deflater);
        }
        out.extend_from_slice(frame);
    }
}

/// Appends a message to a buffer of frames.
///
/// A dialect that allows several messages per frame gets one open frame per buffer: its header is
/// written by [`finish`] into the space that is left free at the beginning.
pub(super) fn append_message(out: &mut Vec<u8>, variant: Variant, payload: &[u8], deflater: &mut Deflater) {
    let dialect = variant.dialect.dialect();
    let opcode = opcode(variant.dialect);
    match dialect.separator() {
        Some(_) if out.is_empty() => {
            out.resize(encode::MAX_HEADER, 0);
            out.extend_from_slice(payload);
        }
        Some(separator) => {
            out.extend_from_slice(separator);
            out.extend_from_slice(payload);
        }
        None if variant.compresses(payload.len(), deflater) => {
            encode::compressed_frame(out, deflater, opcode, payload);
        }
        None => encode::frame(out, opcode, payload),
    }
}

/// Completes a buffer and returns where its frames begin.
pub(super) fn finish(dialect: DialectId, buffer: &mut [u8]) -> usize {
    match dialect.dialect().separator() {
        Some(_) => encode::header_before(buffer, encode::MAX_HEADER, opcode(dialect)),
        None => 0,
    }
}

/// Returns the frame type that a dialect uses.
pub(super) fn opcode(dialect: DialectId) -> Opcode {
    match dialect.dialect().is_binary() {
        true => Opcode::Binary,
        false => Opcode::Text,
    }
}
