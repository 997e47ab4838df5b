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
    /// Nobody.
    Nobody,
}

/// One unanswered request.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) command: Command,
    pub(crate) waiter: Waiter,
}

/// The unanswered requests by id, in the order of their sending.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    asked: BTreeMap<u32, Asked>,
    last_id: u32,
}

impl Pending {
    /// Notes a request and gives it an id.
    pub(crate) fn add(&mut self, command: Command, waiter: Waiter) -> Request {
        if self.asked.len() > 2 * MOST {
            // Their callers gave up, and a server that answers nothing must not fill the memory.
            self.asked.retain(|_, asked| !matches!(&asked.waiter, Waiter::Caller(gone) if gone.is_closed()));
        }
        loop {
            // `u32::MAX` is the id of `hello`, 0 is none.
            self.last_id = if self.last_id >= u32::MAX - 1 { 1 } else { self.last_id + 1 };
            if !self.asked.contains_key(&self.last_id) {
                break;
            }
        }
        let request = request(self.last_id, &command);
        self.asked.insert(self.last_id, Asked { command, waiter });
        request
    }

    /// Finds what an event answers.
    pub(crate) fn take(&mut self, id: Option<&RequestId>) -> Option<Asked> {
        let Some(RequestId::Number(number)) = id else {
            return None;
        };
        self.asked.remove(&u32::try_from(*number).ok()?)
    }

    /// Fails what a lost connection leaves open, except what is safe and meant to be repeated.
    pub(crate) fn disconnect(&mut self) {
        let lost = self.asked.extract_if(.., |_, asked| !asked.is_repeatable());
        for (_, asked) in lost {
            if let Waiter::Caller(caller) = asked.waiter {
                let _ = caller.send(Err(Error::Disconnected));
            }
        }
    }

    /// Lists the requests to send again, in their order.
    pub(crate) fn repeated(&self) -> impl Iterator<Item = Request> {
        self.asked.iter().map(|(id, asked)| request(*id, &asked.command))
    }
}

impl Asked {
    fn is_repeatable(&self) -> bool {
        match (&self.command, &self.waiter) {
            // Messages have a cid and are stored once; the others may be done twice.
            (
                Command::Publish(_) | Command::Private(_) | Command::Join(_) | Command::Leave(_),
                Waiter::Caller(caller),
            ) => !caller.is_closed(),
            _ => false,
        }
    }
}

fn request(id: u32, command: &Command) -> Request {
    Request { id: Some(RequestId::Number(id.into())), command: command.clone() }
}
