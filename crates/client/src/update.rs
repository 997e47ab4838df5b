//! What a client learns without asking.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use parlour_protocol::event::{Event, Joined, Unrecovered, Welcome};
use parlour_protocol::{Position, Refusal, RoomName, Seq};
use tokio::sync::mpsc;

use crate::error::Lost;

/// Something that happened.
#[derive(Debug)]
pub enum Update {
    /// The connection is there, for the first time or again.
    Connected(Box<Welcome>),
    /// The connection is gone; the next attempt follows after `wait`.
    Reconnecting {
        /// Why.
        cause: Lost,
        /// The time until the next attempt.
        wait: Duration,
    },
    /// An event of the server. Answers to requests are not among them.
    Event(Event),
    /// A room was entered again after a lost connection; missed messages follow.
    Rejoined(Box<Joined>),
    /// So much of what was missed is left behind what follows; live events come when it is 0.
    Behind {
        /// The room.
        room: RoomName,
        /// How many entries.
        left: u64,
    },
    /// Entries of a room that are no longer kept, from `first` to `last`.
    Missed {
        /// The room.
        room: RoomName,
        /// The first of them.
        first: Seq,
        /// The last of them.
        last: Seq,
    },
    /// The history of a room is not the one that was seen: forget it and fetch the newest page.
    Rewound {
        /// The room.
        room: RoomName,
        /// Why.
        reason: Unrecovered,
        /// The newest message now.
        head: Seq,
    },
    /// A room could not be entered again; the client is no longer in it.
    RoomLost {
        /// The room.
        room: RoomName,
        /// Why.
        refusal: Refusal,
    },
    /// The client has given up: another attempt would fail too. Nothing follows.
    Ended(Lost),
}

/// How far the reader has got: the last entry of each room that [`Updates`] handed out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reached(Arc<Mutex<HashMap<RoomName, Position>>>);

impl Reached {
    pub(crate) fn new(positions: HashMap<RoomName, Position>) -> Self {
        Self(Arc::new(Mutex::new(positions)))
    }

    pub(crate) fn list(&self) -> HashMap<RoomName, Position> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, room: RoomName, position: Option<Position>) {
        let mut positions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match position {
            Some(position) => positions.insert(room, position),
            None => positions.remove(&room),
        };
    }
}

/// What goes to the reader: an update, a position that is reached with it, or both.
#[derive(Debug)]
pub(crate) struct Told {
    update: Option<Update>,
    reached: Option<(RoomName, Option<Position>)>,
}

impl Told {
    /// An entry of a room; the position is unknown where the lineage is.
    pub(crate) fn entry(room: RoomName, entry: Event, position: Option<Position>) -> Self {
        let reached = position.map(|position| (room, Some(position)));
        Self { update: Some(Update::Event(entry)), reached }
    }

    /// A position without an entry; `None` where the room was left.
    pub(crate) fn position(room: RoomName, position: Option<Position>) -> Self {
        Self { update: None, reached: Some((room, position)) }
    }

    pub(crate) fn is_attempt(&self) -> bool {
        matches!(self.update, Some(Update::Reconnecting { .. }))
    }
}

impl From<Update> for Told {
    fn from(update: Update) -> Self {
        Self { update: Some(update), reached: None }
    }
}

/// The updates of one client, in order. Dropping them makes the client discard what follows.
#[derive(Debug)]
pub struct Updates {
    receiver: mpsc::Receiver<Told>,
    reached: Reached,
    /// Where the reader is once it is done with the last update: when it asks for the next one.
    handed: Option<(RoomName, Option<Position>)>,
}

impl Updates {
    pub(crate) fn new(receiver: mpsc::Receiver<Told>, reached: Reached) -> Self {
        Self { receiver, reached, handed: None }
    }

    /// Waits for the next update; `None` after the client was closed or has ended. Cancel-safe.
    pub async fn next(&mut self) -> Option<Update> {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Update>> {
        loop {
            if let Some((room, position)) = self.handed.take() {
                self.reached.note(room, position);
            }
            let Some(Told { update, reached }) = std::task::ready!(self.receiver.poll_recv(context)) else {
                return Poll::Ready(None);
            };
            self.handed = reached;
            if update.is_some() {
                return Poll::Ready(update);
            }
        }
    }
}

impl Stream for Updates {
    type Item = Update;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Update>> {
        self.poll(context)
    }
}
