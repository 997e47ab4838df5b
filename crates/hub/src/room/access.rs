//! What somebody may do in a room: the configuration, the credentials, the role and the sanctions
//! together. And what becomes of those who may no longer be there.

use std::collections::BTreeSet;

use parlour_protocol::content::{Content, Role, Sanction, SanctionKind, Settings};
use parlour_protocol::{ErrorCode, Refusal, UserId};

use super::members::Change;
use super::{Room, Scene, store_refusal};
use crate::effect::Effect;
use crate::input::{Caller, ConnId, Ending, Input};
use crate::rights::{Action, Rights, rights};

/// Whom an entry may put out of the room.
#[derive(Debug)]
pub(super) enum Reach {
    /// All who may no longer read.
    Everybody,
    /// This user, who may no longer read.
    One(UserId),
    /// This user, whatever they may do.
    Kicked(UserId),
}

impl Reach {
    /// Returns whom an entry may put out.
    pub(super) fn of(content: &Content) -> Option<Self> {
        match content {
            Content::Settings(Settings { private, .. }) => private.map(|_| Self::Everybody),
            // With the first owner, `create` is complete.
            Content::Role(change) if change.role == Some(Role::Owner) => Some(Self::Everybody),
            Content::Role(change) => Some(Self::One(change.user.clone())),
            Content::Sanction(Sanction { user, kind: SanctionKind::Kick, .. }) => {
                Some(Self::Kicked(user.clone()))
            }
            Content::Sanction(sanction) => Some(Self::One(sanction.user.clone())),
            Content::Message(_)
            | Content::Edit(_)
            | Content::Delete(_)
            | Content::Reaction(_)
            | Content::Pin(_) => None,
        }
    }
}

impl Room {
    /// Whether the room is somebody else's: a private one, in which the user has no part.
    pub(super) fn is_stranger(&self, user: &UserId) -> bool {
        match self.name.is_private() {
            true => self.name.peer_of(user).is_none(),
            false => self.state.is_private() && !self.state.roles.contains_key(user),
        }
    }

    /// Decides what a user may do here but for sanctions.
    fn rights(&self, user: &UserId, granted: Rights) -> Rights {
        rights(&self.name, self.setup.access, &self.state, user, granted)
    }

    /// Whether a connection has joined.
    pub(crate) fn has(&self, caller: &Caller) -> bool {
        self.members.contains(&caller.user, caller.conn)
    }

    /// Whether who asks must not learn that the room exists.
    pub(crate) fn is_hidden_from(&self, input: &Input) -> bool {
        let may_know = |caller: &Caller| {
            self.rights(&caller.user, caller.rights_in(&self.name)).has(Action::Join) || self.has(caller)
        };
        self.setup.durable && input.asker().is_some_and(|caller| !may_know(caller))
    }

    /// Returns the mute or ban of a user that holds now.
    pub(super) fn sanction_of(&self, user: &UserId) -> Option<&Sanction> {
        self.state.sanctions.get(user).filter(|sanction| sanction.is_in_force(self.time.now_ms))
    }

    /// Checks that somebody may do something here.
    ///
    /// # Errors
    /// `forbidden`, or `not_found` to those who may not even know that the room exists.
    pub(super) fn require(&self, caller: &Caller, action: Action) -> Result<(), Refusal> {
        let rights = self.rights(&caller.user, caller.rights_in(&self.name));
        // The same answer as for what does not exist: a stranger does not learn that it does.
        if !rights.has(Action::Join) {
            return Err(ErrorCode::NotFound.into());
        }
        if let Some(sanction) = self.sanction_of(&caller.user)
            && (sanction.kind == SanctionKind::Ban || Rights::MUTED.has(action))
        {
            return Err(self.sanctioned(sanction));
        }
        match rights.has(action) {
            true => Ok(()),
            false => {
                let rule = format!("you have no right to `{}` in this room", action.word());
                Err(Refusal::because(ErrorCode::Forbidden, rule))
            }
        }
    }

    /// Whether somebody may do something here.
    pub(super) fn may(&self, caller: &Caller, action: Action) -> bool {
        self.require(caller, action).is_ok()
    }

    /// Says what was done to a user, for how long still, and why.
    fn sanctioned(&self, sanction: &Sanction) -> Refusal {
        let left_ms = sanction.until_ms.map(|until| until.saturating_sub(self.time.now_ms).unsigned_abs());
        let time = left_ms.map_or(String::new(), |ms| format!(" for another {} min", ms.div_ceil(60_000)));
        let reason = sanction.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
        let done = match sanction.kind {
            SanctionKind::Ban => "banned from",
            _ => "silenced in",
        };
        let rule = format!("you are {done} this room{time}{reason}");
        let retry_after_ms = left_ms.map(|ms| u32::try_from(ms).unwrap_or(u32::MAX));
        Refusal { retry_after_ms, ..Refusal::because(ErrorCode::Forbidden, rule) }
    }

    /// Checks that a user may be heard.
    pub(super) fn require_voice(&self, user: &UserId) -> Result<(), Refusal> {
        self.sanction_of(user).map_or(Ok(()), |sanction| Err(self.sanctioned(sanction)))
    }

    /// Checks that somebody may enter the room and read in it.
    pub(super) fn may_read(&self, caller: &Caller) -> Result<(), Refusal> {
        self.require(caller, Action::Join)?;
        self.require(caller, Action::Read)
    }

    /// Checks that somebody may read in the room now.
    pub(super) fn may_read_log(&self, caller: &Caller) -> Result<(), Refusal> {
        self.may_read(caller)?;
        match self.errands.reload {
            Some(_) => Err(store_refusal(ErrorCode::Unavailable)),
            None => Ok(()),
        }
    }

    /// Puts out those who may no longer be here, before anything later reaches them (P21).
    pub(super) fn expel(&mut self, scene: Scene<'_>, reach: Reach, out: &mut Vec<Effect>) {
        // In the middle of `create` the room is private and nobody has a role.
        if self.state.is_private() && !self.has_owner() {
            return;
        }
        match reach {
            Reach::Kicked(user) => {
                let connections = self.members.connections(&user).into_iter().map(|(conn, _)| conn).collect();
                self.put_out(scene, &user, connections, out);
            }
            Reach::One(user) => self.put_out_stranger(scene, &user, out),
            Reach::Everybody => {
                // Sorted, so that the same inputs have the same effects.
                let users: BTreeSet<_> = self.members.users().cloned().collect();
                users.iter().for_each(|user| self.put_out_stranger(scene, user, out));
            }
        }
    }

    /// Puts out a connection whose new credentials no longer let it be here.
    pub(super) fn recheck(&mut self, scene: Scene<'_>, caller: &Caller, out: &mut Vec<Effect>) {
        let granted = caller.rights_in(&self.name);
        if self.members.grant(&caller.user, caller.conn, granted) {
            self.put_out_stranger(scene, &caller.user, out);
        }
    }

    fn put_out_stranger(&mut self, scene: Scene<'_>, user: &UserId, out: &mut Vec<Effect>) {
        let connections = self.members.connections(user);
        // Whoever may come back within the grace has no connection to keep the place.
        if connections.is_empty() && self.belongs(user, Rights::NONE) {
            return;
        }
        let is_lost = connections.is_empty();
        let strangers = connections.into_iter().filter(|(_, granted)| !self.belongs(user, *granted));
        let strangers: Vec<_> = strangers.map(|(conn, _)| conn).collect();
        if is_lost || !strangers.is_empty() {
            self.put_out(scene, user, strangers, out);
        }
    }

    /// Whether a user whose credentials allow this may be here.
    fn belongs(&self, user: &UserId, granted: Rights) -> bool {
        let rights = self.rights(user, granted);
        let is_banned = self.sanction_of(user).is_some_and(|sanction| sanction.kind == SanctionKind::Ban);
        !is_banned && rights.has(Action::Join) && rights.has(Action::Read)
    }

    fn put_out(&mut self, scene: Scene<'_>, user: &UserId, connections: Vec<ConnId>, out: &mut Vec<Effect>) {
        if !self.members.contains_user(user) {
            return;
        }
        let mut change = Change::Nothing;
        for conn in connections {
            out.push(Effect::Expel { from: conn, room: self.name.clone() });
            change = self.members.leave(user, conn, Ending::Deliberate, 0);
        }
        if !self.members.connections(user).is_empty() {
            if change == Change::Presence {
                self.tell_presence(scene, user, out);
            }
            return;
        }
        self.members.forget(user);
        self.announce_left(scene, user, out);
    }
}
