//! What somebody may do in a room, as far as their credentials and the configuration say.
//!
//! The room's log adds roles and sanctions to it: `Room::require` has the last word.

use std::fmt;
use std::ops::BitOr;

use compact_str::CompactString;
use parlour_protocol::content::Role;
use parlour_protocol::{RoomName, UserId};

use crate::log::RoomState;
use crate::rules::applies;

/// Something that may be allowed in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Be a member.
    Join,
    /// Get what is said from now on.
    Read,
    /// Say and change things.
    Publish,
    /// See what was said before.
    History,
    /// See who is there, and be seen typing.
    Presence,
    /// Erase, pin, mute, ban, and see private rooms.
    Moderate,
    /// Call other members.
    Signal,
}

impl Action {
    /// All of them, in the order in which documents list them.
    pub const ALL: [Self; 7] =
        [Self::Join, Self::Read, Self::Publish, Self::History, Self::Presence, Self::Moderate, Self::Signal];

    /// Returns the word for it in tokens and configurations.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Read => "read",
            Self::Publish => "publish",
            Self::History => "history",
            Self::Presence => "presence",
            Self::Moderate => "moderate",
            Self::Signal => "signal",
        }
    }

    /// Finds the action of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.word() == word)
    }
}

/// A set of actions.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Rights(u8);

impl Rights {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Everything.
    pub const ALL: Self = Self((1 << Action::ALL.len()) - 1);
    /// Being there and seeing everything.
    pub const READER: Self =
        Self::ALL.without(Action::Moderate).without(Action::Publish).without(Action::Signal);
    /// What is taken from those who may only listen.
    pub const MUTED: Self = Self::NONE.with(Action::Publish).with(Action::Moderate).with(Action::Signal);
    /// Taking part.
    pub const MEMBER: Self = Self::ALL.without(Action::Moderate);

    /// Whether an action is among them.
    #[must_use]
    pub const fn has(self, action: Action) -> bool {
        self.0 & 1 << action as u8 != 0
    }

    /// Whether all of these are among them.
    #[must_use]
    pub const fn has_all(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// Returns them as bits, which mean the same as long as the process runs.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Returns them with one action more.
    #[must_use]
    pub const fn with(self, action: Action) -> Self {
        Self(self.0 | 1 << action as u8)
    }

    /// Returns them without an action.
    #[must_use]
    pub const fn without(self, action: Action) -> Self {
        Self(self.0 & !(1 << action as u8))
    }
}

impl BitOr for Rights {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl FromIterator<Action> for Rights {
    fn from_iter<I: IntoIterator<Item = Action>>(actions: I) -> Self {
        actions.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(Action::ALL.into_iter().filter(|action| self.has(*action))).finish()
    }
}

/// What credentials allow, by patterns of room names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants(pub Vec<(CompactString, Rights)>);

impl Grants {
    /// Returns everything that any of them allows in a room.
    #[must_use]
    pub fn in_room(&self, room: &RoomName) -> Rights {
        let fitting = self.0.iter().filter(|(pattern, _)| applies(pattern, room));
        fitting.fold(Rights::NONE, |sum, (_, rights)| sum | *rights)
    }
}

/// What the configuration allows every user in the rooms of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Access {
    /// To take part.
    Public,
    /// Nothing: only roles and tokens do.
    #[default]
    Members,
    /// To see everything; nobody publishes but those whose token says so.
    ReadOnly,
    /// To see everything; moderators and owners publish.
    Announcement,
}

impl Access {
    /// Returns what every user may do.
    #[must_use]
    pub fn rights(self) -> Rights {
        match self {
            Self::Public => Rights::MEMBER,
            Self::Members => Rights::NONE,
            Self::ReadOnly | Self::Announcement => Rights::READER,
        }
    }

    /// Returns what the holder of a role may do.
    #[must_use]
    pub fn rights_of(self, role: Role) -> Rights {
        match (self, role) {
            (Self::Public | Self::Members, Role::Member) => Rights::MEMBER,
            (Self::ReadOnly | Self::Announcement, Role::Member) => Rights::READER,
            (Self::ReadOnly, Role::Moderator | Role::Owner) => Rights::READER.with(Action::Moderate),
            (_, Role::Moderator | Role::Owner) => Rights::ALL,
        }
    }
}

/// Decides what a user may do in a room but for sanctions: what every user may, what the credentials
/// allow, and what the role adds.
#[must_use]
pub fn rights(room: &RoomName, access: Access, state: &RoomState, user: &UserId, granted: Rights) -> Rights {
    let role = state.roles.get(user);
    let is_open = match room.is_private() {
        true => room.peer_of(user).is_some(),
        // Who moderates private rooms sees them.
        false => !state.is_private() || role.is_some() || granted.has(Action::Moderate),
    };
    match is_open {
        true => access.rights() | granted | role.map_or(Rights::NONE, |role| access.rights_of(*role)),
        false => Rights::NONE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rights_of_all_fitting_grants_add_up() {
        let grant = |pattern: &str, actions: &[Action]| (pattern.into(), actions.iter().copied().collect());
        let grants = Grants(vec![
            grant("team:*", &[Action::Join, Action::Read]),
            grant("team:red", &[Action::Publish]),
            grant("other", &[Action::Moderate]),
        ]);
        let rights = |room: &str| grants.in_room(&RoomName::parse(room).expect("valid"));
        let reader = Rights::NONE.with(Action::Join).with(Action::Read);
        assert_eq!(rights("team:blue"), reader);
        assert_eq!(rights("team:red"), reader.with(Action::Publish));
        assert_eq!(rights("team"), Rights::NONE);
    }

    #[test]
    fn every_action_has_a_word_and_a_place_of_its_own() {
        for action in Action::ALL {
            assert_eq!(Action::parse(action.word()), Some(action));
            assert!(Rights::ALL.has(action) && !Rights::ALL.without(action).has(action));
            assert_eq!(Rights::NONE.with(action).without(action), Rights::NONE);
        }
        assert_eq!(Action::parse("fly"), None);
    }
}
