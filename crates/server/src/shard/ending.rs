//! How connections end: once, whatever comes together.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use parlour_hub::Input;
use parlour_hub::input::Ending;
use parlour_protocol::ErrorCode;
use parlour_websocket::{DecodeError, Opcode, close, encode};

use super::Shard;
use super::connection::Phase;

/// How long the peer's close frame is awaited, in milliseconds.
const CLOSE_MS: u64 = 2_000;
/// How long the peer's end of the stream is awaited after both close frames, in milliseconds.
const LINGER_MS: u64 = 500;

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The peer sent a close frame, with this code if it gave one.
    Peer(Option<u16>),
    /// The socket failed or ended without a close frame.
    Lost,
    /// A row of the error table ends it; the peer is told.
    Error(ErrorCode),
    /// The peer broke the framing rules; it is told.
    Framing(DecodeError),
}

impl Reason {
    /// Returns the word for logs and metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Peer(_) => "peer",
            Self::Lost => "lost",
            Self::Error(code) => code.word(),
            Self::Framing(error) => error.reason(),
        }
    }
}

impl Shard {
    /// Ends a connection. What it was part of is left once; ending it again only shortens the wait.
    pub(super) fn end(&mut self, slot: u32, reason: Reason) {
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return;
        };
        let was_live = connection.is_live();
        let was_closing = matches!(connection.phase, Phase::Closing { .. });
        if was_live {
            connection.phase = Phase::Closing { until_ms: self.now.mono_ms + CLOSE_MS };
            self.metrics.closed(reason.word());
            self.log_end(slot, reason);
            self.leave_everything(slot, reason);
        }
        match reason {
            Reason::Lost => self.forget(slot),
            Reason::Peer(code) if was_live => {
                let code = code.unwrap_or(close::NORMAL);
                self.finish(slot, &encode::close_payload(code, ""));
            }
            Reason::Peer(_) if was_closing => self.linger(slot),
            Reason::Framing(error) if was_live => {
                self.finish(slot, &encode::close_payload(error.close_code(), error.reason()));
            }
            Reason::Error(code) if was_live => self.say_goodbye(slot, code),
            Reason::Peer(_) | Reason::Framing(_) | Reason::Error(_) => {}
        }
    }

    /// Sends a close frame and awaits the peer's.
    fn say_goodbye(&mut self, slot: u32, code: ErrorCode) {
        if code == ErrorCode::SlowConsumer {
            let connection = &mut self.connections[slot as usize];
            connection.own = Vec::new();
            connection.outbox.abandon();
        }
        let number = code.close_code().unwrap_or(close::POLICY);
        let reason = match code {
            ErrorCode::Restart => self.node.restart_reason(),
            // The client can name the incident, and the operator finds it (F26).
            ErrorCode::Internal => {
                let incident = uuid::Uuid::new_v4();
                tracing::error!(%incident, slot, shard = self.id, "a connection ends by a fault of the server");
                format!("{} {incident}", code.word())
            }
            code => code.word().into(),
        };
        let payload = encode::close_payload(number, &reason);
        if self.connections[slot as usize].is_stream() {
            // Nothing comes back from it.
            return self.finish(slot, &payload);
        }
        self.send_frame(slot, Opcode::Close, &payload);
        self.check_by(slot, self.now.mono_ms + CLOSE_MS);
    }

    /// Sends the last frame; the connection ends when it is written.
    fn finish(&mut self, slot: u32, close_payload: &[u8]) {
        self.linger(slot);
        self.send_frame(slot, Opcode::Close, close_payload);
    }

    fn linger(&mut self, slot: u32) {
        let until_ms = self.now.mono_ms + LINGER_MS;
        self.connections[slot as usize].phase = Phase::Closed { until_ms };
        self.check_by(slot, until_ms);
        self.mark_dirty(slot);
    }

    /// Leaves rooms, the user's list and the limits. The socket lives on for the close frames.
    fn leave_everything(&mut self, slot: u32, reason: Reason) {
        let Some(user) = self.connections[slot as usize].user().cloned() else {
            return;
        };
        self.users.remove(&user, slot);
        let ending = match reason {
            // The silent one has had its grace while its sign of life was awaited: with a second one
            // it would seem to be there for more than 40 s (R28).
            Reason::Peer(None | Some(close::NORMAL))
            | Reason::Error(ErrorCode::HeartbeatTimeout | ErrorCode::Revoked) => Ending::Deliberate,
            _ => Ending::Lost,
        };
        let conn = self.id_of(slot);
        self.node.hooks.disconnected(self.now, conn, &user, (reason.word(), ending));
        while let Some(room) =
            self.connections.get(slot as usize).and_then(|c| Some(Rc::clone(&c.rooms.last()?.room)))
        {
            self.take_off_list(slot, &room);
            self.dispatch(&room, Input::Detach { conn, user: user.clone(), ending });
        }
    }

    /// Removes a connection and closes its socket.
    pub(super) fn forget(&mut self, slot: u32) {
        if self.connections.try_remove(slot as usize).is_some() {
            self.metrics.connections.sub(1);
        }
    }

    /// Takes a step of one connection, whose panic must not take its neighbours along (R18).
    ///
    /// The shard's state is consistent between such steps; what was half done is this connection's.
    pub(super) fn contain<T>(&mut self, slot: u32, step: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let outcome = catch_unwind(AssertUnwindSafe(|| step(self)));
        if outcome.is_err() {
            self.contain_panic(slot);
        }
        outcome.ok()
    }

    fn contain_panic(&mut self, slot: u32) {
        self.metrics.panics.add(1);
        if self.codec.read_buffer.is_empty() {
            self.codec.read_buffer = vec![0; super::READ_BUFFER];
        }
        self.end(slot, Reason::Error(ErrorCode::Internal));
        self.flush();
    }

    fn log_end(&self, slot: u32, reason: Reason) {
        let connection = &self.connections[slot as usize];
        let user = connection.user().map_or("", |user| user.as_str());
        match reason {
            Reason::Peer(_) | Reason::Lost | Reason::Error(ErrorCode::Restart) => {
                tracing::debug!(reason = reason.word(), user, slot, shard = self.id, "connection ended");
            }
            Reason::Error(_) | Reason::Framing(_) => {
                tracing::info!(
                    reason = reason.word(),
                    user,
                    slot,
                    shard = self.id,
                    "connection ended by the server"
                );
            }
        }
    }
}
