//! Who is here, who types, who is away: what is told to those who are there, and not kept.

use std::sync::Arc;

use parlour_protocol::command::{Availability, SetPresence};
use parlour_protocol::event::{Event, MemberList, PresenceNotice, TypingNotice};
use parlour_protocol::{ErrorCode, Refusal, UserId, limits};

use super::members::Change;
use super::{Room, Scene, answer, refuse};
use crate::effect::Effect;
use crate::input::Caller;
use crate::rights::Action;

impl Room {
    /// Tells members something that is not worth its price in a very large room.
    pub(super) fn notice(&self, scene: Scene<'_>, event: Event, out: &mut Vec<Effect>) {
        if self.members.count() <= scene.rules.notice_members {
            self.broadcast(Arc::new(event), out);
        }
    }

    pub(super) fn set_typing(
        &mut self,
        scene: Scene<'_>,
        caller: &Caller,
        active: bool,
        out: &mut Vec<Effect>,
    ) {
        if !self.members.contains(&caller.user, caller.conn) {
            return refuse(
                caller,
                Refusal::because(ErrorCode::Forbidden, "join the room before typing in it"),
                out,
            );
        }
        let allowed = self.require(caller, Action::Presence).and_then(|()| self.require_voice(&caller.user));
        if let Err(refusal) = allowed {
            return refuse(caller, refusal, out);
        }
        self.members.touch(&caller.user, scene.now.wall_ms);
        let news = match active {
            true => self.typing.start(&caller.user, scene.now.mono_ms + scene.rules.typing_ms),
            false => self.typing.stop(&caller.user),
        };
        if news {
            self.tell_typing(scene, caller.user.clone(), active, out);
        }
    }

    pub(super) fn tell_typing(&self, scene: Scene<'_>, user: UserId, active: bool, out: &mut Vec<Effect>) {
        self.notice(scene, Event::Typing(TypingNotice { room: self.name.clone(), user, active }), out);
    }

    pub(super) fn set_presence(
        &mut self,
        scene: Scene<'_>,
        caller: &Caller,
        presence: SetPresence,
        out: &mut Vec<Effect>,
    ) {
        if !self.may(caller, Action::Presence) {
            return;
        }
        let is_active = presence.status == Availability::Online;
        let change = self.members.set_presence(&caller.user, caller.conn, presence);
        if is_active {
            self.members.touch(&caller.user, scene.now.wall_ms);
        }
        if change == Change::Presence {
            self.tell_presence(scene, &caller.user, out);
        }
    }

    pub(super) fn tell_presence(&self, scene: Scene<'_>, user: &UserId, out: &mut Vec<Effect>) {
        if let Some(member) = self.members.describe(user) {
            self.notice(scene, Event::Presence(PresenceNotice { room: self.name.clone(), member }), out);
        }
    }

    pub(super) fn list_members(&self, caller: Caller, out: &mut Vec<Effect>) {
        if !caller.conn.is_desk() && !self.members.contains(&caller.user, caller.conn) {
            return refuse(
                &caller,
                Refusal::because(ErrorCode::Forbidden, "join the room to see its members"),
                out,
            );
        }
        if let Err(refusal) = self.require(&caller, Action::Presence) {
            return refuse(&caller, refusal, out);
        }
        let members = self.members.list(limits::MEMBERS_LISTED);
        let list = MemberList { room: self.name.clone(), member_count: self.count_u32(), members };
        answer(caller, Event::Members(Box::new(list)), out);
    }
}
