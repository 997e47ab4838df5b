//! Connections whose sockets are slow. Their shards leave out what they cannot take, and ask for it
//! when they can, so nothing of the room waits for them in memory.
//!
//! For the room they are here like all others: whatever is broadcast reaches their shard. So an answer
//! that ends at the room's position is exact, and nothing has to be noted for it.

use parlour_protocol::event::{Event, Unrecovered};

use super::members::Stage;
use super::{Room, Scene};
use crate::effect::{Cause, Effect, Replay, Replayed};
use crate::input::{Caller, Lag};

/// Most events told at once: less than what makes a connection count as slow again.
pub(super) const CATCH_UP_EVENTS: u64 = 256;
/// Most bytes told at once, as [`weight`](super::ring::weight) counts them, but for the event that
/// goes beyond.
pub(super) const CATCH_UP_BYTES: usize = 64 * 1024;

impl Room {
    pub(super) fn catch_up(&mut self, scene: Scene<'_>, caller: Caller, lag: Lag, out: &mut Vec<Effect>) {
        if self.members.stage(&caller.user, caller.conn) != Some(Stage::Live) {
            return;
        }
        match self.lost_after(lag.after) {
            Some(reason) => self.skip_ahead(scene, &caller, lag, reason, out),
            None => {
                let replay = Replay { caller, cause: Cause::Lag(lag), after: lag.after, events: Vec::new() };
                self.replay(scene, replay, out);
            }
        }
    }

    /// Tells a part of what was left out, perhaps nothing if the store has failed; its shard asks for
    /// the rest.
    pub(super) fn catch_up_partly(&self, replay: Replay, lag: Lag, out: &mut Vec<Effect>) {
        let Replay { caller, after: upto, events, .. } = replay;
        let replay = Replayed { events, upto, is_live: false };
        let (to, room) = (caller.conn, self.name.clone());
        out.push(Effect::CatchUp { to, room, after: lag.after, news: Vec::new(), replay });
    }

    /// Tells the last part of what was left out.
    pub(super) fn caught_up(&self, scene: Scene<'_>, replay: Replay, lag: Lag, out: &mut Vec<Effect>) {
        let Replay { caller, events, .. } = replay;
        let replayed = u32::try_from(events.len()).unwrap_or(u32::MAX);
        let news = self.who_is_here(scene, &caller, lag, replayed).into_iter().collect();
        let replay = Replayed { events, upto: self.position, is_live: true };
        let (to, room) = (caller.conn, self.name.clone());
        out.push(Effect::CatchUp { to, room, after: lag.after, news, replay });
    }

    /// Goes on with live events, because what was left out can no longer be told.
    pub(super) fn skip_ahead(
        &self,
        scene: Scene<'_>,
        caller: &Caller,
        lag: Lag,
        reason: Unrecovered,
        out: &mut Vec<Effect>,
    ) {
        let news =
            std::iter::once(self.resync(reason)).chain(self.who_is_here(scene, caller, lag, 0)).collect();
        let replay = Replayed { events: Vec::new(), upto: self.position, is_live: true };
        let (to, room) = (caller.conn, self.name.clone());
        out.push(Effect::CatchUp { to, room, after: lag.after, news, replay });
    }

    /// Tells all that the notices would have told.
    fn who_is_here(&self, scene: Scene<'_>, caller: &Caller, lag: Lag, replayed: u32) -> Option<Event> {
        lag.missed_notices.then(|| Event::Joined(Box::new(self.joined(scene, caller, replayed, 0, None))))
    }
}
