//! A shard: one thread, one runtime, the connections and rooms that live on it.
//!
//! Everything here is single-threaded; the only way in from other threads is the [`crate::inbox`].
//! A turn is: read the sockets that are readable, carry out their commands, take the mail, then
//! write what has gathered, once per socket. Nothing in a turn waits: the only pause is the poll
//! between two of them, and what has to wait for others is an [errand](crate::errands).

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use parlour_hub::{ConnId, Effect, Hub, Input, Now};
use parlour_protocol::RoomName;
use parlour_websocket::{Deflater, Inflater};
use slab::Slab;

use crate::inbox::Mail;
use crate::metrics::ShardMetrics;
use crate::node::Node;

mod adopt;
mod budget;
mod carry;
mod commands;
mod connection;
mod consult;
mod deadlines;
mod desk;
mod ending;
pub(crate) mod entries;
mod expiry;
#[cfg(feature = "failpoints")]
pub(crate) mod failpoint;
mod fanout;
mod flush;
mod lag;
mod listing;
mod mails;
#[doc(hidden)]
pub mod measure;
mod open;
mod outbox;
mod pace;
mod pin;
mod pipes;
mod read;
mod run;
mod send;
#[cfg(test)]
mod sizes;
mod socket;
mod stream;
mod users;
mod wheel;
mod writer;

use connection::Connection;
use fanout::{Batch, Fanout};
use flush::Write;
use lag::Laggards;
use mails::Mails;
use outbox::Tally;
use pace::Pace;
use users::Users;
use wheel::{Entry, Wheel};
use writer::Writer;

pub use ending::Reason;
pub use run::{ShardThread, spawn};

/// The state of a shard.
pub struct Shard {
    id: u16,
    node: Arc<Node>,
    metrics: Arc<ShardMetrics>,
    now: Now,
    hub: Hub,
    connections: Slab<Connection>,
    users: Users,
    fanout: Fanout,
    laggards: Laggards,
    intake: Intake,
    output: Output,
    mails: Mails,
    schedule: Schedule,
    pace: Pace,
    codec: Codec,
    scratch: Scratch,
}

/// What comes from sockets.
struct Intake {
    registry: mio::Registry,
    next_generation: u32,
    /// Connections with something to read, in the order of their turns.
    readable: VecDeque<(u32, u32)>,
}

/// What goes to sockets.
struct Output {
    writer: Writer,
    /// Connections with messages of their own to write at the end of the turn.
    dirty: Vec<u32>,
    tally: Rc<Tally>,
}

/// What is done at its time, in milliseconds on the shard's clock.
struct Schedule {
    wheel: Wheel,
    next_tick_ms: u64,
    next_survey_ms: u64,
    /// Where the next survey begins.
    next_surveyed: usize,
    drain_spread_ms: Option<u64>,
}

/// Compression state and the read buffer, shared by all connections.
struct Codec {
    inflater: Inflater,
    deflater: Deflater,
    read_buffer: Vec<u8>,
}

/// Buffers that are empty between two steps.
#[derive(Default)]
struct Scratch {
    effects: Vec<Effect>,
    payload: Vec<u8>,
    batches: Vec<Batch>,
    writes: Vec<Write>,
    /// Writes that stopped short, and after how many bytes.
    short: Vec<(Write, usize)>,
    due: Vec<Entry>,
}

/// Size of the buffer that all connections of a shard read into, in bytes; no connection gets more
/// read in a turn.
const READ_BUFFER: usize = socket::SPACE;
/// Compression of outgoing messages: fast, and a window that small memory pays for.
const DEFLATE: (u32, u8) = (1, 12);

impl Shard {
    fn new(id: u16, node: Arc<Node>, registry: mio::Registry) -> Self {
        let metrics = node.metrics.shard(usize::from(id));
        let uses_ring = node.writes.is_ring();
        let (level, window_bits) = DEFLATE;
        Self {
            id,
            now: node.clock.now(),
            hub: Hub::new(node.rules()),
            metrics,
            pace: Pace::new(node.config.timeouts.gather),
            mails: Mails::new(node.inboxes.len()),
            node,
            connections: Slab::new(),
            intake: Intake { registry, next_generation: 0, readable: VecDeque::new() },
            output: Output { writer: Writer::new(uses_ring), dirty: Vec::new(), tally: Rc::default() },
            schedule: Schedule {
                wheel: Wheel::new(),
                next_tick_ms: 0,
                next_survey_ms: 0,
                next_surveyed: 0,
                drain_spread_ms: None,
            },
            users: Users::default(),
            fanout: Fanout::default(),
            laggards: Laggards::default(),
            codec: Codec {
                inflater: Inflater::new(),
                deflater: Deflater::new(level, window_bits),
                read_buffer: vec![0; READ_BUFFER],
            },
            scratch: Scratch::default(),
        }
    }

    fn is_current(&self, slot: u32, generation: u32) -> bool {
        self.connections.get(slot as usize).is_some_and(|connection| connection.generation == generation)
    }

    fn id_of(&self, slot: u32) -> ConnId {
        ConnId { shard: self.id, slot, generation: self.connections[slot as usize].generation }
    }

    /// Finds a connection of this shard that is still the one that was meant.
    fn slot_of(&self, conn: ConnId) -> Option<u32> {
        self.is_current(conn.slot, conn.generation).then_some(conn.slot)
    }

    /// Tells a room that something happened to it.
    fn dispatch(&mut self, room: &RoomName, input: Input) {
        let home = self.node.home(room);
        if home == usize::from(self.id) {
            self.handle(room, input);
        } else {
            self.post(home, Mail::Input { room: room.clone(), input });
        }
    }

    fn handle(&mut self, room: &RoomName, input: Input) {
        let mut effects = std::mem::take(&mut self.scratch.effects);
        self.hub.handle(self.now, room, input, &mut effects);
        self.carry_out(&mut effects);
        self.scratch.effects = effects;
    }
}
