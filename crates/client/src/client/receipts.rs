//! Who has got how far.

use parlour_protocol::Seq;
use parlour_protocol::command::{Command, Cursor};
use parlour_protocol::event::{Event, Receipts};

use super::{Client, done, parse, unexpected};
use crate::driver::Job;
use crate::error::Error;

impl Client {
    /// Moves the read cursor of a room or private conversation to an entry, now.
    ///
    /// # Errors
    /// As every request; see [`Error`].
    pub async fn read(&self, room: &str, seq: Seq) -> Result<(), Error> {
        done(self.request(Command::Read(Cursor { room: parse(room)?, seq })).await?)
    }

    /// Moves the read cursor soon: only the furthest entry is told, at most once per second and
    /// room, and after an outage too.
    ///
    /// # Errors
    /// [`Error::Name`] and [`Error::Closed`].
    pub async fn mark_read(&self, room: &str, seq: Seq) -> Result<(), Error> {
        self.jobs.send(Job::Read(parse(room)?, seq)).await.map_err(|_| Error::Closed)
    }

    /// Asks how many members have got as far as an entry, and who has got how far.
    ///
    /// # Errors
    /// As every request; see [`Error`].
    pub async fn receipts(&self, room: &str, seq: Seq) -> Result<Receipts, Error> {
        match self.request(Command::Receipts(Cursor { room: parse(room)?, seq })).await? {
            Event::Receipts(receipts) => Ok(receipts),
            other => unexpected(&other),
        }
    }
}
