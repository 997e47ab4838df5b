//! Who may say and change what: the roles of a room, and what its owners and moderators do.

use std::collections::BTreeMap;

use compact_str::CompactString;
use parlour_protocol::content::{Content, Role, RoleChange, Sanction, SanctionKind, Settings};
use parlour_protocol::event::{Event, RoleHolder, RoomInfo};
use parlour_protocol::{ErrorCode, Refusal, UserId, limits};

use super::publish::fail;
use super::{Room, Scene, answer, refuse};
use crate::effect::{Deed, Effect};
use crate::input::Caller;
use crate::log::{Guard, NewEntry, Record};
use crate::rights::{Access, Action};

impl Room {
    /// Decides about all entries of a draft, and what the commit has still to check.
    ///
    /// # Errors
    /// `forbidden` for a room that was not joined, whether it exists or not; otherwise as
    /// [`Room::require`].
    pub(super) fn permit_all(&self, caller: &Caller, entries: &[NewEntry]) -> Result<Guard, Refusal> {
        if !self.may_speak(caller) {
            return Err(forbidden("join the room before publishing in it"));
        }
        self.may_read(caller)?;
        let mut guard = Guard::Author;
        for entry in entries {
            if self.permit(caller, &entry.content)? == Guard::Moderator {
                guard = Guard::Moderator;
            }
        }
        Ok(guard)
    }

    fn permit(&self, caller: &Caller, content: &Content) -> Result<Guard, Refusal> {
        // Who was silenced may still take back what they have said.
        if !matches!(content, Content::Delete(_)) {
            self.require_voice(&caller.user)?;
        }
        match content {
            Content::Delete(_) if self.moderates(caller) => return Ok(Guard::Moderator),
            Content::Delete(_) => Ok(()),
            Content::Message(_) | Content::Edit(_) => self.require(caller, Action::Publish),
            // Everybody who reads announcements may react to them.
            Content::Reaction(_) if self.setup.access == Access::Announcement => Ok(()),
            Content::Reaction(_) => self.require(caller, Action::Publish),
            Content::Pin(_) | Content::Settings(_) | Content::Role(_) | Content::Sanction(_)
                if self.name.is_private() =>
            {
                Err(forbidden("a private conversation has no pins, settings, roles and sanctions"))
            }
            Content::Pin(_) if self.moderates(caller) => Ok(()),
            Content::Pin(_) if self.has_owner() => {
                Err(forbidden("only moderators and owners pin messages here"))
            }
            Content::Pin(_) => self.require(caller, Action::Publish),
            Content::Settings(_) => self.permit_settings(caller),
            Content::Role(change) => self.permit_role(caller, change),
            Content::Sanction(sanction) => self.permit_sanction(caller, sanction),
        }
        .map(|()| Guard::Author)
    }

    /// Whether somebody may act on what others say, and on those who say it.
    fn moderates(&self, caller: &Caller) -> bool {
        !self.name.is_private() && self.may(caller, Action::Moderate)
    }

    fn role_of(&self, user: &UserId) -> Option<Role> {
        self.state.roles.get(user).copied()
    }

    fn permit_settings(&self, caller: &Caller) -> Result<(), Refusal> {
        match self.role_of(&caller.user) {
            Some(Role::Owner) => Ok(()),
            _ if self.has_owner() => Err(forbidden("only an owner changes the room")),
            _ => Err(forbidden("the room has no owner: only rooms made by `create` have")),
        }
    }

    fn permit_role(&self, caller: &Caller, change: &RoleChange) -> Result<(), Refusal> {
        let (role, had) = (self.role_of(&caller.user), self.role_of(&change.user));
        let stays = |user: &UserId| *user != change.user && !self.errands.resigning.contains(user);
        let mut owners = self.state.roles.iter().filter(|(_, role)| **role == Role::Owner);
        if self.resigns(change) && !owners.any(|(user, _)| stays(user)) {
            return Err(forbidden("a room keeps its last owner: make somebody else an owner first"));
        }
        if had.is_none() && change.role.is_some() && self.state.roles.len() >= MOST_ROLES {
            return Err(Refusal::because(ErrorCode::LimitExceeded, "the room has as many roles as may be"));
        }
        let plain = had <= Some(Role::Member) && change.role <= Some(Role::Member);
        let own = change.user == caller.user && change.role.is_none();
        match role {
            Some(Role::Owner) => Ok(()),
            // A backend that moderates does so for the operator.
            _ if (plain || caller.conn.is_desk()) && self.moderates(caller) => Ok(()),
            Some(_) if own => Ok(()),
            _ => Err(forbidden("owners give roles; moderators only let members in and out")),
        }
    }

    fn permit_sanction(&self, caller: &Caller, sanction: &Sanction) -> Result<(), Refusal> {
        self.require(caller, Action::Moderate)?;
        if sanction.user == caller.user {
            return Err(forbidden("nobody moderates themself: leave the room instead"));
        }
        let is_owner = caller.conn.is_desk() || self.role_of(&caller.user) == Some(Role::Owner);
        if !is_owner && self.role_of(&sanction.user) >= Some(Role::Moderator) {
            return Err(forbidden("only owners act against moderators and owners"));
        }
        let known = &self.state.sanctions;
        let lasts = sanction.kind >= SanctionKind::Mute && !known.contains_key(&sanction.user);
        let in_force = || known.values().filter(|other| other.is_in_force(self.time.now_ms)).count();
        if lasts && known.len() >= MOST_SANCTIONS && in_force() >= MOST_SANCTIONS {
            let rule = "the room has as many mutes and bans as may be";
            return Err(Refusal::because(ErrorCode::LimitExceeded, rule));
        }
        Ok(())
    }

    /// Whether a change would leave the room with one owner less.
    pub(super) fn resigns(&self, change: &RoleChange) -> bool {
        self.role_of(&change.user) == Some(Role::Owner) && change.role != Some(Role::Owner)
    }

    pub(super) fn has_owner(&self) -> bool {
        self.state.roles.values().any(|role| *role == Role::Owner)
    }

    /// Makes the caller the owner of a room that has never been written.
    pub(super) fn create(
        &mut self,
        scene: Scene<'_>,
        caller: Caller,
        settings: Settings,
        cid: Option<CompactString>,
        out: &mut Vec<Effect>,
    ) {
        if let Err(refusal) = self.may_create(scene, &caller) {
            return fail(&self.name, caller, cid, refusal, out);
        }
        let owner = RoleChange { user: caller.user.clone(), role: Some(Role::Owner) };
        let entries = vec![
            NewEntry { cid, content: Content::Settings(settings) },
            NewEntry { cid: None, content: Content::Role(owner) },
        ];
        self.store(scene, caller, Guard::NewRoom, entries, out);
    }

    /// Decides by the name alone, so that nobody learns which rooms exist whom that does not concern.
    fn may_create(&self, scene: Scene<'_>, caller: &Caller) -> Result<(), Refusal> {
        if !self.setup.durable || self.name.is_private() {
            return Err(forbidden("this room keeps nothing, so it has no owner"));
        }
        let rights = self.setup.access.rights() | caller.rights_in(&self.name);
        match scene.rules.may_create(&self.name).unwrap_or(rights.has(Action::Publish)) {
            true => Ok(()),
            false => Err(forbidden("you have no right to create rooms of this name")),
        }
    }

    pub(super) fn info(&self, caller: Caller, out: &mut Vec<Effect>) {
        if let Err(refusal) = self.may_read(&caller) {
            return refuse(&caller, refusal, out);
        }
        let state = self.state.clone();
        let in_force = state.sanctions.into_values().filter(|one| one.is_in_force(self.time.now_ms));
        let info = RoomInfo {
            room: self.name.clone(),
            settings: state.settings,
            roles: holders(state.roles),
            pins: state.pins,
            sanctions: in_force.take(limits::MEMBERS_LISTED).collect(),
        };
        answer(caller, Event::Info(Box::new(info)), out);
    }
}

/// Returns what an entry does to others, for the audit log.
pub(super) fn deed(room: &Room, record: &Record, guard: Guard) -> Option<Effect> {
    let is_deed = match &record.content {
        Content::Role(_) | Content::Sanction(_) => true,
        Content::Delete(_) => guard == Guard::Moderator,
        Content::Message(_)
        | Content::Edit(_)
        | Content::Reaction(_)
        | Content::Pin(_)
        | Content::Settings(_) => false,
    };
    let deed = || Deed { room: room.name.clone(), record: record.clone() };
    is_deed.then(|| Effect::Audit(Box::new(deed())))
}

/// Most users with a role in one room.
const MOST_ROLES: usize = 100_000;
/// Most users who are silenced in a room or banned from it at the same time.
const MOST_SANCTIONS: usize = 10_000;

fn holders(roles: BTreeMap<UserId, Role>) -> Vec<RoleHolder> {
    let mut holders: Vec<_> = roles.into_iter().map(|(user, role)| RoleHolder { user, role }).collect();
    holders.sort_by_key(|holder| std::cmp::Reverse(holder.role));
    holders.truncate(limits::MEMBERS_LISTED);
    holders
}

fn forbidden(why: &'static str) -> Refusal {
    Refusal::because(ErrorCode::Forbidden, why)
}
