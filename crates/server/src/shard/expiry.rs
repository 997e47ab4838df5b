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
    pub(super) fn take_pass(&mut self, slot: u32, pass: Option<Arc<Pass>>) {
        let connection = &mut self.connections[slot as usize];
        connection.pass = pass;
        if let Some(extra) = &mut connection.extra {
            extra.knows_expiry = false;
        }
        connection.tidy();
        if let Some(deadline_ms) = self.expires_at(slot) {
            self.check_by(slot, deadline_ms.saturating_sub(NOTICE_MS));
        }
    }

    /// Returns when the credentials of a connection expire.
    pub(super) fn expires_at(&self, slot: u32) -> Option<u64> {
        self.connections[slot as usize].pass.as_ref()?.deadline_ms
    }

    /// Tells a client in time that its credentials expire; returns when to look again.
    pub(super) fn warn_of_expiry(&mut self, slot: u32) -> Option<u64> {
        let deadline_ms = self.expires_at(slot)?;
        let notice_ms = deadline_ms.saturating_sub(NOTICE_MS);
        if notice_ms > self.now.mono_ms {
            return Some(notice_ms);
        }
        let connection = &mut self.connections[slot as usize];
        if !std::mem::replace(&mut connection.extra().knows_expiry, true) {
            let expires_ms = connection.pass.as_ref()?.expires_ms?;
            self.send_event(slot, &Event::TokenExpiring(TokenExpiring { expires_ms }));
        }
        Some(deadline_ms)
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
