//! Requests that wait for their answers.

use std::collections::BTreeMap;

use parlour_protocol::event::Event;
use parlour_protocol::{Command, Position, Request, RequestId, RoomName};
use tokio::sync::oneshot;

use crate::error::Error;

/// Most unanswered requests of callers; more wait before they are sent.
pub(crate) const MOST: usize = 1_024;

/// Who wants an answer.
#[derive(Debug)]
pub(crate) enum Waiter {
    /// A caller.
    Caller(oneshot::Sender<Result<Event, Error>>),
    /// The driver, to enter a room again.
    Rejoin(RoomName, Option<Position>),
    /// The driver, to fill a gap.
    Repair(RoomName),
    /// The driver, to go on with what was missed.
    More(RoomName),
    /// Nobody.
    Nobody,
}

/// One unanswered request.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) command: Command,
    pub(crate) waiter: Waiter,
    /// Where it must not overtake earlier ones; only what is said has a lane.
    pub(crate) lane: Option<RoomName>,
    /// Whether this connection has sent it.
    pub(crate) is_sent: bool,
}

/// The unanswered requests by id, in the order of their asking.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    asked: BTreeMap<u32, Asked>,
    last_id: u32,
}

impl Pending {
    /// Notes a request that is not sent yet, and gives it an id.
    pub(crate) fn add(&mut self, command: Command, waiter: Waiter, lane: Option<RoomName>) -> u32 {
        if self.asked.len() > 2 * MOST {
            // Their callers gave up, and a server that answers nothing must not fill the memory.
            self.asked.retain(|_, asked| !asked.is_abandoned());
        }
        loop {
            // `u32::MAX` is the id of `hello`, 0 is none.
            self.last_id = if self.last_id >= u32::MAX - 1 { 1 } else { self.last_id + 1 };
            if !self.asked.contains_key(&self.last_id) {
                break;
            }
        }
        self.asked.insert(self.last_id, Asked { command, waiter, lane, is_sent: false });
        self.last_id
    }

    /// Marks a request as sent and returns it.
    pub(crate) fn send(&mut self, id: u32) -> Option<Request> {
        let asked = self.asked.get_mut(&id)?;
        asked.is_sent = true;
        Some(Request { id: Some(RequestId::Number(id.into())), command: asked.command.clone() })
    }

    /// Finds what an event answers.
    pub(crate) fn take(&mut self, id: Option<&RequestId>) -> Option<(u32, Asked)> {
        let Some(RequestId::Number(number)) = id else {
            return None;
        };
        let id = u32::try_from(*number).ok()?;
        Some((id, self.asked.remove(&id)?))
    }

    /// Puts a request back to be sent again in its old place, unless its caller gave up.
    pub(crate) fn put_back(&mut self, id: u32, asked: Asked) {
        if !asked.is_abandoned() {
            self.asked.insert(id, Asked { is_sent: false, ..asked });
        }
    }

    /// Whether requests of a lane are on their way.
    pub(crate) fn is_busy(&self, lane: &RoomName) -> bool {
        self.asked.values().any(|asked| asked.is_sent && asked.lane.as_ref() == Some(lane))
    }

    /// Lists the requests of a lane that are to be sent, in their order.
    pub(crate) fn unsent(&self, lane: Option<&RoomName>) -> Vec<u32> {
        let waits = |asked: &Asked| !asked.is_sent && !asked.is_abandoned() && asked.lane.as_ref() == lane;
        self.asked.iter().filter(|(_, asked)| waits(asked)).map(|(id, _)| *id).collect()
    }

    /// Lists the lanes in which something waits.
    pub(crate) fn lanes(&self) -> Vec<RoomName> {
        let mut lanes: Vec<_> = self.asked.values().filter_map(|asked| asked.lane.clone()).collect();
        lanes.sort();
        lanes.dedup();
        lanes
    }

    /// Fails what a lost connection leaves open, except what is safe and meant to be repeated.
    pub(crate) fn disconnect(&mut self) {
        let lost = self.asked.extract_if(.., |_, asked| !asked.is_repeatable());
        for (_, asked) in lost {
            if let Waiter::Caller(caller) = asked.waiter {
                let _ = caller.send(Err(Error::Disconnected));
            }
        }
        self.asked.values_mut().for_each(|asked| asked.is_sent = false);
    }
}

impl Asked {
    /// Whether nobody waits for the answer any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        matches!(&self.waiter, Waiter::Caller(gone) if gone.is_closed())
    }

    fn is_repeatable(&self) -> bool {
        // What has a lane has a cid and is stored once; entering and leaving may be done twice.
        let is_safe = self.lane.is_some() || matches!(self.command, Command::Join(_) | Command::Leave(_));
        is_safe && matches!(&self.waiter, Waiter::Caller(caller) if !caller.is_closed())
    }
}
