//! How credentials end while their connection lives: they expire, or are taken back.

use std::sync::Arc;

use parlour_hub::Input;
use parlour_protocol::ErrorCode;
use parlour_protocol::event::{Event, TokenExpiring};

use super::Shard;
use super::ending::Reason;
use crate::identity::Revocation;
use crate::verifier::Pass;

/// How long before its end a client is asked for new credentials, in milliseconds.
const NOTICE_MS: u64 = 30_000;

impl Shard {
    /// Takes over credentials that are new or replace others.
    pub(super) fn take_pass(&mut self, slot: u32, mut pass: Option<Arc<Pass>>) {
        let now_ms = self.now.mono_ms;
        if let Some(pass) = &mut pass
            && let Some(deadline_ms) = pass.deadline_ms
        {
            // Of a short life half: who is asked at once and has no other would be asked for ever.
            let left_ms = deadline_ms.saturating_sub(now_ms);
            let ahead_ms = if left_ms > NOTICE_MS { NOTICE_MS } else { left_ms / 2 };
            Arc::make_mut(pass).notice_ms = Some(deadline_ms - ahead_ms);
        }
        let notice_ms = pass.as_ref().and_then(|pass| pass.notice_ms);
        self.connections[slot as usize].pass = pass;
        if let Some(notice_ms) = notice_ms {
            self.check_by(slot, notice_ms);
        }
    }

    /// Returns when the credentials of a connection expire.
    pub(super) fn expires_at(&self, slot: u32) -> Option<u64> {
        self.connections[slot as usize].pass.as_ref()?.deadline_ms
    }

    /// Tells a client in time that its credentials expire; returns when to look again.
    pub(super) fn warn_of_expiry(&mut self, slot: u32) -> Option<u64> {
        let now_ms = self.now.mono_ms;
        let pass = self.connections[slot as usize].pass.as_mut()?;
        let Some(notice_ms) = pass.notice_ms else {
            return pass.deadline_ms;
        };
        if notice_ms > now_ms {
            return Some(notice_ms);
        }
        let (expires_ms, deadline_ms) = (pass.expires_ms, pass.deadline_ms);
        Arc::make_mut(pass).notice_ms = None;
        if let Some(expires_ms) = expires_ms {
            self.send_event(slot, &Event::TokenExpiring(TokenExpiring { expires_ms }));
        }
        deadline_ms
    }

    /// Has the rooms of a connection look again at what it may do.
    pub(super) fn recheck_rooms(&mut self, slot: u32) {
        for room in self.connections[slot as usize].room_names() {
            if let Some(caller) = self.caller(slot, None) {
                self.dispatch(&room, Input::Recheck { caller });
            }
        }
    }

    /// Ends the connections whose credentials were taken back.
    pub(super) fn revoke(&mut self, revocation: &Revocation) {
        let is_hit = |slot: &u32| {
            let connection = &self.connections[*slot as usize];
            connection.user().is_some_and(|user| revocation.hits(user, connection.pass.as_deref()))
        };
        let slots: Vec<u32> = match revocation {
            Revocation::User(user, _) => self.users.of(user, &self.connections).filter(is_hit).collect(),
            Revocation::Token(_) | Revocation::IssuedBefore(_) => {
                self.connections.iter().map(|(slot, _)| slot as u32).filter(is_hit).collect()
            }
        };
        for slot in slots {
            self.end(slot, Reason::Error(ErrorCode::Revoked));
        }
    }
}
