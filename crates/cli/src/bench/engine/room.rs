//! A room of the load generator: who speaks there, and how much was said.

use parlour_protocol::RoomName;

use super::connection::Id;
use super::wire::{Dialect, Template};

/// A room with at most one publisher, so that its messages have one order.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) name: RoomName,
    /// Which of the [`Tally::groups`](super::tally::Tally) its deliveries belong to.
    pub(crate) group: usize,
    /// The connection that publishes.
    pub(crate) speaker: Option<Id>,
    pub(crate) template: Template,
    /// The counter of the last message.
    pub(crate) said: u64,
    /// Commands of members that were refused since `base`.
    pub(crate) refused: u64,
    /// The counter of the last message before members were expected to get everything.
    pub(crate) base: u64,
    /// Members who are expected to get everything.
    pub(crate) members: u64,
}

impl Room {
    /// Prepares a room with messages of so many bytes of text.
    ///
    /// # Errors
    /// A name that is no room's.
    pub(crate) fn new(dialect: Dialect, name: &str, group: usize, text_bytes: usize) -> anyhow::Result<Self> {
        let name = RoomName::parse(name)?;
        let template = Template::new(dialect, &name, text_bytes)?;
        Ok(Self { name, group, speaker: None, template, said: 0, refused: 0, base: 0, members: 0 })
    }

    /// Returns how many messages each member should have got since they were expected to.
    pub(crate) fn due(&self) -> u64 {
        (self.said - self.base).saturating_sub(self.refused)
    }
}
