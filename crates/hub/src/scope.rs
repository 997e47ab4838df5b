//! Which rooms somebody may search. Configuration and credentials are known beforehand; what the log of
//! a room says, only where the room is.

use std::sync::Arc;

use parlour_protocol::content::SanctionKind;
use parlour_protocol::{RoomName, UserId};

use crate::log::RoomState;
use crate::rights::{Access, Action, Grants, Rights, rights};
use crate::rules::{Rules, applies};

/// What configuration and credentials say about the rooms that somebody searches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    /// By patterns; the first that is about a room counts.
    pub access: Vec<(String, Access)>,
    /// In all other rooms.
    pub otherwise: Access,
    /// What the credentials allow beyond that.
    pub grants: Option<Arc<Grants>>,
    /// The time, in milliseconds since the Unix epoch.
    pub now_ms: i64,
}

impl Scope {
    /// What lets somebody see what was said: all of these together.
    pub const NEEDED: Rights = Rights::NONE.with(Action::Join).with(Action::Read).with(Action::History);

    /// Returns the scope of somebody with these credentials.
    #[must_use]
    pub fn new(rules: &Rules, grants: Option<Arc<Grants>>, now_ms: i64) -> Self {
        let told = rules.patterns.iter().map(|rule| (rule.pattern.clone(), rule.access));
        // The first pattern about a room counts, also where it leaves this as it is everywhere.
        let access = told.map(|(pattern, access)| {
            let usual = if pattern.starts_with('@') { Access::Public } else { rules.access };
            (pattern, access.unwrap_or(usual))
        });
        Self { access: access.collect(), otherwise: rules.access, grants, now_ms }
    }

    /// The whole history of all rooms that are not private, for users without credentials.
    #[must_use]
    pub fn open(now_ms: i64) -> Self {
        Self { access: Vec::new(), otherwise: Access::Public, grants: None, now_ms }
    }

    /// Whether a user may see the history of a room of which the log has made this.
    #[must_use]
    pub fn allows(&self, room: &RoomName, state: &RoomState, user: &UserId) -> bool {
        let granted = self.grants.as_ref().map_or(Rights::NONE, |grants| grants.in_room(room));
        let sanction = state.sanctions.get(user).filter(|sanction| sanction.is_in_force(self.now_ms));
        let is_banned = sanction.is_some_and(|sanction| sanction.kind == SanctionKind::Ban);
        !is_banned && rights(room, self.access_of(room), state, user, granted).has_all(Self::NEEDED)
    }

    fn access_of(&self, room: &RoomName) -> Access {
        let usual = if room.is_private() { Access::Public } else { self.otherwise };
        let told = self.access.iter().find(|(pattern, _)| applies(pattern, room));
        told.map_or(usual, |(_, access)| *access)
    }
}
