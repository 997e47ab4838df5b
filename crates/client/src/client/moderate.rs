//! What moderators do, and how members call them.

use std::time::Duration;

use compact_str::CompactString;
use parlour_protocol::command::{Command, InRoom, Report, Resolve, SetSanction};
use parlour_protocol::content::{SanctionKind, Settings};
use parlour_protocol::event::{Event, Reported, Stored};
use parlour_protocol::{Seq, UserId};

use super::{Client, parse, unexpected};
use crate::error::Error;

impl Client {
    /// Puts a user out of a room, who may come back. `why` is read by everybody there; empty: no word.
    ///
    /// # Errors
    /// As every request; see [`Error`].
    pub async fn kick(&self, room: &str, user: &str, why: &str) -> Result<Stored, Error> {
        self.sanction(room, user, SanctionKind::Kick, None, why).await
    }

    /// Lets a user only listen in a room: for some time, or until [`Client::pardon`].
    ///
    /// # Errors
    /// As every request; see [`Error`].
    pub async fn mute(
        &self,
        room: &str,
        user: &str,
        time: Option<Duration>,
        why: &str,
    ) -> Result<Stored, Error> {
        self.sanction(room, user, SanctionKind::Mute, time, why).await
    }

    /// Puts a user out of a room and keeps them out: for some time, or until [`Client::pardon`].
    ///
    /// # Errors
    /// As every request; see [`Error`].
    pub async fn ban(
        &self,
        room: &str,
        user: &str,
        time: Option<Duration>,
        why: &str,
    ) -> Result<Stored, Error> {
        self.sanction(room, user, SanctionKind::Ban, time, why).await
    }

    /// Takes back a mute or a ban.
    ///
    /// # Errors
    /// As every request; see [`Error`].
    pub async fn pardon(&self, room: &str, user: &str) -> Result<Stored, Error> {
        self.sanction(room, user, SanctionKind::None, None, "").await
    }

    /// Lets each user of a room say one thing in this time, to the millisecond; zero ends that.
    ///
    /// # Errors
    /// As every request; see [`Error`].
    pub async fn slow_down(&self, room: &str, pace: Duration) -> Result<Stored, Error> {
        let slow_ms = Some(u32::try_from(pace.as_millis()).unwrap_or(u32::MAX));
        self.configure(room, Settings { slow_ms, ..Settings::default() }).await
    }

    /// Tells the moderators of a message. `why` is read by them alone; empty: no word.
    ///
    /// # Errors
    /// As every request; see [`Error`].
    pub async fn report(&self, room: &str, target: Seq, why: &str) -> Result<(), Error> {
        let report = Report { room: parse(room)?, target, reason: some(why) };
        self.done(Command::Report(report)).await
    }

    /// Lists what was reported and not yet dealt with.
    ///
    /// # Errors
    /// As every request; see [`Error`].
    pub async fn reports(&self, room: &str) -> Result<Vec<Reported>, Error> {
        match self.request(Command::Reports(InRoom { room: parse(room)? })).await? {
            Event::Reports(list) => Ok(list.reports),
            other => unexpected(&other),
        }
    }

    /// Takes the reports of a message off the list.
    ///
    /// # Errors
    /// As every request; see [`Error`]. `not_found`: there are none.
    pub async fn resolve(&self, room: &str, target: Seq) -> Result<(), Error> {
        self.done(Command::Resolve(Resolve { room: parse(room)?, target })).await
    }

    async fn sanction(
        &self,
        room: &str,
        user: &str,
        kind: SanctionKind,
        time: Option<Duration>,
        why: &str,
    ) -> Result<Stored, Error> {
        let (room, user) = (parse(room)?, UserId::parse(user)?);
        let for_ms = time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        let sanction = SetSanction { room, user, kind, for_ms, reason: some(why), cid: None };
        self.stored(Command::Sanction(Box::new(sanction))).await
    }

    async fn done(&self, command: Command) -> Result<(), Error> {
        match self.request(command).await? {
            Event::Ack(_) => Ok(()),
            other => unexpected(&other),
        }
    }
}

fn some(words: &str) -> Option<CompactString> {
    (!words.is_empty()).then(|| words.into())
}
