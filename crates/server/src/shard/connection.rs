//! One connection: its socket and its state.

use std::num::NonZeroU64;
use std::rc::Rc;
use std::sync::Arc;

use parlour_hub::Session;
use parlour_hub::room::ring::weight;
use parlour_protocol::command::SetPresence;
use parlour_protocol::event::Event;
use parlour_protocol::{RoomName, Seq, UserId};
use parlour_websocket::Decoder;
use smallvec::SmallVec;

use super::consult::Consultation;
use super::fanout::{Place, Variant};
use super::outbox::Outbox;
use super::pipes::Pipes;
use super::read::Input;
use super::socket::Socket;
use super::stream::Stream;
use crate::admission::Permit;
use crate::upgrade::Greeting;
use crate::verifier::Pass;

/// What a shard keeps of a connection. Buffers exist only while something is incomplete or blocked.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) generation: u32,
    pub(super) socket: Socket,
    pub(super) input: Input,
    /// The peer sends no more than what is there to be read.
    pub(super) is_over: bool,
    pub(super) permit: Permit,
    /// What the user's credentials say; `None`: nothing beyond the name.
    pub(super) pass: Option<Arc<Pass>>,
    pub(super) decoder: Decoder,
    pub(super) variant: Variant,
    pub(super) phase: Phase,
    pub(super) session: Session,
    pub(super) rooms: SmallVec<[Membership; 1]>,
    pub(super) outbox: Outbox,
    /// Messages of this turn for this connection alone.
    pub(super) own: Vec<u8>,
    /// Buffers of this turn that this connection gets.
    pub(super) shares: u16,
    pub(super) is_dirty: bool,
    /// Requests that a room has not answered yet.
    pub(super) in_flight: u16,
    pub(super) pings: u16,
    pub(super) timing: Timing,
    /// Rare state, boxed so that an idle connection does not pay for it.
    pub(super) extra: Option<Box<Extra>>,
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Upgraded; `hello` must come by the deadline.
    Greeting { until_ms: u64 },
    /// The user is known.
    Open,
    /// A close frame is on its way; the peer's is awaited until the deadline.
    Closing { until_ms: u64 },
    /// The peer's close frame was answered; the connection ends when all is written.
    Closed { until_ms: u64 },
}

/// Moments in milliseconds on the shard's clock.
#[derive(Debug, Default)]
pub(super) struct Timing {
    /// When the wheel looks at this connection next.
    pub(super) check_ms: u64,
    pub(super) next_ping_ms: u64,
    /// When an unanswered ping was sent.
    pub(super) pinged: Option<Moment>,
    /// When the first part of an unfinished message came.
    pub(super) message_since: Option<Moment>,
    /// When to close while the node drains.
    pub(super) drain: Option<Moment>,
    pub(super) pings_since_ms: u64,
}

/// A moment in milliseconds on the shard's clock, which as an option is no larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment(NonZeroU64);

impl Moment {
    pub(super) fn at(ms: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(ms))
    }

    pub(super) fn ms(self) -> u64 {
        self.0.get() - 1
    }
}

/// A room that the connection is in or enters.
#[derive(Debug)]
pub(super) struct Membership {
    /// Shared by all members on the shard.
    pub(super) room: Rc<RoomName>,
    /// Its place on the room's list, once it is attached.
    pub(super) place: Option<Place>,
}

/// State that few connections have.
#[derive(Debug, Default)]
pub(super) struct Extra {
    /// What a room needs to know when the connection enters.
    pub(super) presence: Option<SetPresence>,
    /// The room to enter after `hello`.
    pub(super) greeting: Option<Box<Greeting>>,
    /// Private messages held back until the unread ones have been sent.
    pub(super) gate: Option<Gate>,
    /// Failures that hold back what follows them.
    pub(super) pipes: Option<Pipes>,
    /// What is kept of a connection that only listens.
    pub(super) stream: Option<Box<Stream>>,
    /// Hooks are being asked about something.
    pub(super) consultation: Option<Box<Consultation>>,
}

impl Extra {
    fn is_empty(&self) -> bool {
        let Self { presence, greeting, gate, pipes, stream, consultation } = self;
        let waits = gate.is_some() || pipes.is_some() || consultation.is_some();
        presence.is_none() && greeting.is_none() && stream.is_none() && !waits
    }
}

/// Keeps the order of private messages while a user's unread ones are being read.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// Conversations whose unread messages have not come yet.
    pub(super) missing: usize,
    /// Up to where each conversation has been sent.
    pub(super) sent: Vec<(RoomName, Seq)>,
    /// Events that came live in between.
    pub(super) held: Vec<Arc<Event>>,
    /// Text of the unread messages that were sent, in bytes.
    pub(super) unread_bytes: usize,
}

/// Most text of unread messages that is sent on arrival, in bytes. More than a slow line takes at once
/// would fill the outbox and end every connection of somebody who has got much mail.
const UNREAD_BYTES: usize = 256 * 1024;

impl Gate {
    /// Returns the newest of a conversation's unread messages, as many as the budget allows.
    pub(super) fn take_newest<'a>(&mut self, events: &'a [Arc<Event>]) -> &'a [Arc<Event>] {
        let fits = |event: &&Arc<Event>| {
            let bytes = self.unread_bytes + weight(event);
            let fits = bytes <= UNREAD_BYTES;
            self.unread_bytes = if fits { bytes } else { self.unread_bytes };
            fits
        };
        let count = events.iter().rev().take_while(fits).count();
        &events[events.len() - count..]
    }
}

impl Connection {
    pub(super) fn stream(&self) -> Option<&Stream> {
        self.extra.as_ref()?.stream.as_deref()
    }

    /// Whether the client only listens.
    pub(super) fn is_stream(&self) -> bool {
        self.stream().is_some()
    }

    /// Whether nobody has said goodbye.
    pub(super) fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Greeting { .. } | Phase::Open)
    }

    /// Whether new commands are carried out. While the node drains they are not any more once it is
    /// this connection's turn, so that what is in flight comes to an end.
    pub(super) fn takes_commands(&self, now_ms: u64) -> bool {
        self.is_live() && self.timing.drain.is_none_or(|drain| now_ms < drain.ms())
    }

    /// Returns who it is, once that is known.
    pub(super) fn user(&self) -> Option<&UserId> {
        self.permit.user()
    }

    /// Whether it is in a room, or enters it.
    pub(super) fn is_in(&self, room: &RoomName) -> bool {
        self.rooms.iter().any(|membership| *membership.room == *room)
    }

    /// Lists the rooms that it is in or enters.
    pub(super) fn room_names(&self) -> Vec<RoomName> {
        self.rooms.iter().map(|membership| RoomName::clone(&membership.room)).collect()
    }

    pub(super) fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    /// Gives back the box of the rare state, if there is none.
    pub(super) fn tidy(&mut self) {
        self.extra.take_if(|extra| extra.is_empty());
    }
}
