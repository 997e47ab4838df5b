//! What is kept: messages, and what changes them or their room.
//!
//! All of it is repeated under its cid, in its order within the room, until it is stored or refused
//! for good.

use std::sync::Arc;

use compact_str::{CompactString, format_compact};
use parlour_protocol::command::{
    Batch, Command, Configure, Delete, Draft, Edit, Pin, Private, Publish, React, SetRole, StatusQuery,
};
use parlour_protocol::content::{Role, Settings};
use parlour_protocol::event::{Ack, Event, MessageStatus, Stored};
use parlour_protocol::{Seq, UserId};

use super::{Client, parse, unexpected};
use crate::error::Error;

impl Client {
    /// Says something in a room and waits until it is stored.
    ///
    /// # Errors
    /// As every request; see [`Error`].
    pub async fn publish(&self, room: &str, text: impl Into<Arc<str>>) -> Result<Stored, Error> {
        self.say(draft(room, text)?).await
    }

    /// Says something under a `cid` of 1 to 64 bytes: repeating it after [`Error::TimedOut`] or a
    /// restart of the program stores it once.
    ///
    /// # Errors
    /// As every request; see [`Error`].
    pub async fn publish_as(
        &self,
        cid: impl Into<CompactString>,
        room: &str,
        text: impl Into<Arc<str>>,
    ) -> Result<Stored, Error> {
        self.say(Publish { cid: Some(cid.into()), ..draft(room, text)? }).await
    }

    /// Answers a message.
    ///
    /// # Errors
    /// As every request; see [`Error`]. `not_found`: the message is not kept, or was deleted.
    pub async fn reply(&self, room: &str, to: Seq, text: impl Into<Arc<str>>) -> Result<Stored, Error> {
        self.say(Publish { reply_to: Some(to), ..draft(room, text)? }).await
    }

    /// Says something with all that a message may have.
    ///
    /// # Errors
    /// As every request; see [`Error`].
    pub async fn say(&self, said: Publish) -> Result<Stored, Error> {
        self.stored(Command::Publish(said)).await
    }

    /// Says something to one user and waits until it is stored.
    ///
    /// # Errors
    /// As every request; see [`Error`].
    pub async fn private(&self, to: &str, text: impl Into<Arc<str>>) -> Result<Stored, Error> {
        let (to, text) = (UserId::parse(to)?, text.into());
        let said = Private { to, text, cid: None, reply_to: None, mentions: Vec::new() };
        self.stored(Command::Private(said)).await
    }

    /// Says up to 64 messages with consecutive numbers, all or none. [`Stored::seq`] is the first.
    ///
    /// # Errors
    /// As every request; see [`Error`].
    pub async fn batch(&self, room: &str, messages: Vec<Draft>) -> Result<Stored, Error> {
        self.stored(Command::Batch(Batch { room: parse(room)?, messages })).await
    }

    /// Replaces the text of one's own message.
    ///
    /// # Errors
    /// As every request; see [`Error`].
    pub async fn edit(&self, room: &str, target: Seq, text: impl Into<Arc<str>>) -> Result<Stored, Error> {
        let (room, text) = (parse(room)?, text.into());
        self.stored(Command::Edit(Edit { room, target, text, cid: None, mentions: Vec::new() })).await
    }

    /// Erases a message: one's own, or any as a moderator.
    ///
    /// # Errors
    /// As every request; see [`Error`].
    pub async fn delete(&self, room: &str, target: Seq) -> Result<Stored, Error> {
        self.stored(Command::Delete(Delete { room: parse(room)?, target, cid: None })).await
    }

    /// Adds a reaction to a message.
    ///
    /// # Errors
    /// As every request; see [`Error`].
    pub async fn react(
        &self,
        room: &str,
        target: Seq,
        emoji: impl Into<CompactString>,
    ) -> Result<Stored, Error> {
        self.reaction(room, target, emoji.into(), true).await
    }

    /// Takes a reaction back.
    ///
    /// # Errors
    /// As every request; see [`Error`].
    pub async fn unreact(
        &self,
        room: &str,
        target: Seq,
        emoji: impl Into<CompactString>,
    ) -> Result<Stored, Error> {
        self.reaction(room, target, emoji.into(), false).await
    }

    async fn reaction(
        &self,
        room: &str,
        target: Seq,
        emoji: CompactString,
        active: bool,
    ) -> Result<Stored, Error> {
        self.stored(Command::React(React { room: parse(room)?, target, emoji, active, cid: None })).await
    }

    /// Pins a message.
    ///
    /// # Errors
    /// As every request; see [`Error`].
    pub async fn pin(&self, room: &str, target: Seq) -> Result<Stored, Error> {
        self.stored(Command::Pin(Pin { room: parse(room)?, target, active: true, cid: None })).await
    }

    /// Unpins a message.
    ///
    /// # Errors
    /// As every request; see [`Error`].
    pub async fn unpin(&self, room: &str, target: Seq) -> Result<Stored, Error> {
        self.stored(Command::Pin(Pin { room: parse(room)?, target, active: false, cid: None })).await
    }

    /// Creates a room and becomes its owner. Join it to speak there.
    ///
    /// # Errors
    /// As every request; see [`Error`]. `exists`: something was said there already.
    pub async fn create(&self, room: &str, settings: Settings) -> Result<Stored, Error> {
        self.stored(Command::Create(Configure { room: parse(room)?, settings, cid: None })).await
    }

    /// Changes what is given of a room's title, topic, privacy and pace.
    ///
    /// # Errors
    /// As every request; see [`Error`].
    pub async fn configure(&self, room: &str, settings: Settings) -> Result<Stored, Error> {
        self.stored(Command::Configure(Configure { room: parse(room)?, settings, cid: None })).await
    }

    /// Gives a user a role in a room; `None` takes it.
    ///
    /// # Errors
    /// As every request; see [`Error`].
    pub async fn set_role(&self, room: &str, user: &str, role: Option<Role>) -> Result<Stored, Error> {
        let (room, user) = (parse(room)?, UserId::parse(user)?);
        self.stored(Command::Role(SetRole { room, user, role, cid: None })).await
    }

    /// Asks where one's own message is stored, if it is.
    ///
    /// # Errors
    /// As every request; see [`Error`].
    pub async fn status(&self, room: &str, cid: impl Into<CompactString>) -> Result<MessageStatus, Error> {
        match self.request(Command::Status(StatusQuery { room: parse(room)?, cid: cid.into() })).await? {
            Event::Status(status) => Ok(status),
            other => unexpected(&other),
        }
    }

    pub(super) async fn stored(&self, command: Command) -> Result<Stored, Error> {
        match self.request(command).await? {
            Event::Ack(Ack { stored: Some(stored) }) => Ok(stored),
            other => unexpected(&other),
        }
    }
}

fn draft(room: &str, text: impl Into<Arc<str>>) -> Result<Publish, Error> {
    let (room, text) = (parse(room)?, text.into());
    Ok(Publish { room, text, cid: None, reply_to: None, mentions: Vec::new() })
}

/// Gives a cid to what is stored under one and has none.
pub(super) fn name(command: &mut Command) -> Result<(), Error> {
    let cid = match command {
        Command::Publish(said) => &mut said.cid,
        Command::Private(said) => &mut said.cid,
        Command::Batch(Batch { messages, .. }) => {
            return messages.iter_mut().try_for_each(|message| unless_named(&mut message.cid));
        }
        Command::Edit(edit) => &mut edit.cid,
        Command::Delete(delete) => &mut delete.cid,
        Command::React(react) => &mut react.cid,
        Command::Pin(pin) => &mut pin.cid,
        Command::Create(configure) | Command::Configure(configure) => &mut configure.cid,
        Command::Role(role) => &mut role.cid,
        Command::Sanction(sanction) => &mut sanction.cid,
        _ => return Ok(()),
    };
    unless_named(cid)
}

/// Draws 128 random bits.
fn unless_named(cid: &mut Option<CompactString>) -> Result<(), Error> {
    if cid.is_none() {
        let mut bits = [0; 16];
        getrandom::fill(&mut bits).map_err(|_| Error::NoRandomness)?;
        *cid = Some(format_compact!("{:032x}", u128::from_ne_bytes(bits)));
    }
    Ok(())
}
