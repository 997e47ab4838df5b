//! Who may do what in a room, and what becomes of those who no longer may.

use std::collections::{BTreeMap, BTreeSet};

use compact_str::CompactString;
use parlour_protocol::content::{Content, Role, RoleChange, Settings};
use parlour_protocol::event::{Event, RoleHolder, RoomInfo};
use parlour_protocol::{ErrorCode, Refusal, UserId, limits};

use super::publish::fail;
use super::{Room, Scene, answer, refuse, store_refusal};
use crate::effect::Effect;
use crate::input::{Caller, Ending};
use crate::log::{Guard, NewEntry, RoomState};
use crate::rights::{Action, Rights};

impl Room {
    /// Whether the room is somebody else's: a private one, in which the user has no part.
    pub(super) fn is_stranger(&self, user: &UserId) -> bool {
        match self.name.is_private() {
            true => self.name.peer_of(user).is_none(),
            false => self.state.is_private() && !self.state.roles.contains_key(user),
        }
    }

    /// Decides what somebody may do here: what every user may, what the credentials allow, and what
    /// the role adds.
    pub(super) fn rights_of(&self, caller: &Caller) -> Rights {
        let granted = caller.rights_in(&self.name);
        if self.is_stranger(&caller.user) && (self.name.is_private() || !granted.has(Action::Moderate)) {
            return Rights::NONE;
        }
        let role =
            self.state.roles.get(&caller.user).map_or(Rights::NONE, |role| self.access.rights_of(*role));
        self.access.rights() | granted | role
    }

    /// Checks that somebody may do something here.
    ///
    /// # Errors
    /// `forbidden`, or `not_found` to those who may not even know that the room exists.
    pub(super) fn require(&self, caller: &Caller, action: Action) -> Result<(), Refusal> {
        let rights = self.rights_of(caller);
        match action {
            action if rights.has(action) => Ok(()),
            // The same answer as for what does not exist: a stranger does not learn that it does.
            _ if !rights.has(Action::Join) => Err(ErrorCode::NotFound.into()),
            action => {
                let rule = format!("you have no right to `{}` in this room", action.word());
                Err(Refusal::because(ErrorCode::Forbidden, rule))
            }
        }
    }

    /// Whether somebody may enter the room and read in it.
    pub(super) fn may_read(&self, caller: &Caller) -> Result<(), Refusal> {
        self.require(caller, Action::Join)?;
        self.require(caller, Action::Read)
    }

    /// Whether somebody may read in the room now.
    pub(super) fn may_read_log(&self, caller: &Caller) -> Result<(), Refusal> {
        self.may_read(caller)?;
        match self.errands.reload {
            Some(_) => Err(store_refusal(ErrorCode::Unavailable)),
            None => Ok(()),
        }
    }

    /// Decides about all entries of a draft, and what the commit has still to check.
    pub(super) fn permit_all(&self, caller: &Caller, entries: &[NewEntry]) -> Result<Guard, Refusal> {
        self.require(caller, Action::Publish)?;
        if !self.may_speak(caller) {
            return Err(forbidden("join the room before publishing in it"));
        }
        let mut guard = Guard::Author;
        for entry in entries {
            if self.permit(&caller.user, &entry.content)? == Guard::Moderator {
                guard = Guard::Moderator;
            }
        }
        Ok(guard)
    }

    fn permit(&self, user: &UserId, content: &Content) -> Result<Guard, Refusal> {
        let role = self.state.roles.get(user).copied();
        match content {
            Content::Message(_) | Content::Edit(_) | Content::Reaction(_) => Ok(Guard::Author),
            Content::Delete(_) if role >= Some(Role::Moderator) => Ok(Guard::Moderator),
            Content::Delete(_) => Ok(Guard::Author),
            Content::Pin(_) | Content::Settings(_) | Content::Role(_) if self.name.is_private() => {
                Err(forbidden("a private conversation has no pins, settings and roles"))
            }
            Content::Pin(_) if role >= Some(Role::Moderator) || !self.has_owner() => Ok(Guard::Author),
            Content::Pin(_) => Err(forbidden("only moderators and owners pin messages here")),
            Content::Settings(_) if role == Some(Role::Owner) => Ok(Guard::Author),
            Content::Settings(_) if self.has_owner() => Err(forbidden("only an owner changes the room")),
            Content::Settings(_) => Err(forbidden("the room has no owner: only rooms made by `create` have")),
            Content::Role(change) => self.permit_role(user, role, change).map(|()| Guard::Author),
        }
    }

    fn permit_role(&self, user: &UserId, role: Option<Role>, change: &RoleChange) -> Result<(), Refusal> {
        let had = self.state.roles.get(&change.user).copied();
        let stays = |user: &UserId| *user != change.user && !self.errands.resigning.contains(user);
        let mut owners = self.state.roles.iter().filter(|(_, role)| **role == Role::Owner);
        if self.resigns(change) && !owners.any(|(user, _)| stays(user)) {
            return Err(forbidden("a room keeps its last owner: make somebody else an owner first"));
        }
        if had.is_none() && change.role.is_some() && self.state.roles.len() >= MOST_ROLES {
            return Err(Refusal::because(ErrorCode::LimitExceeded, "the room has as many roles as may be"));
        }
        let plain = had <= Some(Role::Member) && change.role <= Some(Role::Member);
        let own = change.user == *user && change.role.is_none();
        match role {
            Some(Role::Owner) => Ok(()),
            Some(Role::Moderator) if plain => Ok(()),
            Some(_) if own => Ok(()),
            _ => Err(forbidden("owners give roles; moderators only let members in and out")),
        }
    }

    /// Whether a change would leave the room with one owner less.
    pub(super) fn resigns(&self, change: &RoleChange) -> bool {
        let had = self.state.roles.get(&change.user);
        had == Some(&Role::Owner) && change.role != Some(Role::Owner)
    }

    fn has_owner(&self) -> bool {
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
        if !self.durable || self.name.is_private() {
            let refusal = forbidden("this room keeps nothing, so it has no owner");
            return fail(&self.name, caller, cid, refusal, out);
        }
        let owner = RoleChange { user: caller.user.clone(), role: Some(Role::Owner) };
        let entries = vec![
            NewEntry { cid, content: Content::Settings(settings) },
            NewEntry { cid: None, content: Content::Role(owner) },
        ];
        self.store(scene, caller, Guard::NewRoom, entries, out);
    }

    pub(super) fn info(&self, caller: Caller, out: &mut Vec<Effect>) {
        if let Err(refusal) = self.may_read(&caller) {
            return refuse(&caller, refusal, out);
        }
        let RoomState { settings, roles, pins } = self.state.clone();
        let info = RoomInfo { room: self.name.clone(), settings, roles: holders(roles), pins };
        answer(caller, Event::Info(Box::new(info)), out);
    }

    /// Lets go those who may no longer read, before anything later reaches them (P21).
    pub(super) fn expel_strangers(&mut self, scene: Scene<'_>, out: &mut Vec<Effect>) {
        // In the middle of `create` the room is private and nobody has a role.
        if !self.state.is_private() || !self.has_owner() {
            return;
        }
        let strangers = self.members.users().filter(|user| !self.state.roles.contains_key(*user));
        // Sorted, so that the same inputs have the same effects.
        for user in strangers.cloned().collect::<BTreeSet<_>>() {
            for conn in self.members.connections(&user) {
                out.push(Effect::Expel { from: conn, room: self.name.clone() });
                self.members.leave(&user, conn, Ending::Deliberate, 0);
            }
            self.members.forget(&user);
            self.announce_left(scene, &user, out);
        }
    }
}

/// Most users with a role in one room.
const MOST_ROLES: usize = 100_000;

fn holders(roles: BTreeMap<UserId, Role>) -> Vec<RoleHolder> {
    let mut holders: Vec<_> = roles.into_iter().map(|(user, role)| RoleHolder { user, role }).collect();
    holders.sort_by_key(|holder| std::cmp::Reverse(holder.role));
    holders.truncate(limits::MEMBERS_LISTED);
    holders
}

fn forbidden(why: &'static str) -> Refusal {
    Refusal::because(ErrorCode::Forbidden, why)
}
