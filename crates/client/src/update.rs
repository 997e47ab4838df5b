//! What a client learns without asking.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use parlour_protocol::event::{Event, Joined, Unrecovered, Welcome};
use parlour_protocol::{Refusal, RoomName, Seq};
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
    /// Messages of a room that are no longer kept, from `first` to `last`.
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

/// The updates of one client, in order. Dropping them makes the client discard what follows.
#[derive(Debug)]
pub struct Updates {
    receiver: mpsc::Receiver<Update>,
}

impl Updates {
    pub(crate) fn new(receiver: mpsc::Receiver<Update>) -> Self {
        Self { receiver }
    }

    /// Waits for the next update; `None` after the client was closed or has ended. Cancel-safe.
    pub async fn next(&mut self) -> Option<Update> {
        self.receiver.recv().await
    }
}

impl Stream for Updates {
    type Item = Update;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Update>> {
        self.receiver.poll_recv(context)
    }
}
