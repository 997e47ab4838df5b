//! Who is in a room.

use std::collections::BTreeMap;

use parlour_hub::ConnId;
use parlour_hub::input::{Caller, Ending, Input, Now};
use parlour_protocol::UserId;
use parlour_protocol::command::Availability;
use parlour_protocol::event::Status;

use super::GRACE_MS;

/// A room as those know it who know everything.
#[derive(Debug)]
pub enum RoomState {
    Opening(Vec<Step>),
    Open(Truth),
}

#[derive(Debug, Default)]
pub struct Truth(pub BTreeMap<UserId, Place>);

#[derive(Debug, Default)]
pub struct Place {
    connections: BTreeMap<ConnId, Availability>,
    pub grace_until: Option<u64>,
    pub status: Option<Status>,
    /// End of the grace and status before the last connection came.
    before: Option<(u64, Option<Status>)>,
}

/// What changes who is in a room.
#[derive(Debug, Clone)]
pub enum Step {
    Enter(UserId, ConnId, Availability),
    Change(UserId, ConnId, Availability),
    Exit(UserId, ConnId, Ending),
}

impl Step {
    /// Reads what an input does to a room, if nothing stands in its way.
    pub fn of(input: &Input) -> Option<Self> {
        Some(match input {
            Input::Join { caller: Caller { user, conn, .. }, presence, .. } => {
                Self::Enter(user.clone(), *conn, presence.status)
            }
            Input::Presence { caller: Caller { user, conn, .. }, presence } => {
                Self::Change(user.clone(), *conn, presence.status)
            }
            Input::Detach { conn, user, ending } => Self::Exit(user.clone(), *conn, *ending),
            Input::Leave { caller: Caller { user, conn, .. } } => {
                Self::Exit(user.clone(), *conn, Ending::Deliberate)
            }
            _ => return None,
        })
    }

    /// Returns who enters.
    pub fn enters(&self) -> Option<&UserId> {
        match self {
            Self::Enter(user, ..) => Some(user),
            Self::Change(..) | Self::Exit(..) => None,
        }
    }
}

impl Truth {
    pub fn apply(&mut self, step: Step, now: Now) {
        match step {
            Step::Enter(user, conn, availability) => {
                let place = self.0.entry(user).or_default();
                place.connections.entry(conn).or_insert(availability);
                place.before = place.grace_until.take().map(|until| (until, place.status));
                place.merge();
            }
            Step::Change(user, conn, availability) => {
                if let Some(place) = self.0.get_mut(&user)
                    && let Some(known) = place.connections.get_mut(&conn)
                {
                    *known = availability;
                    place.merge();
                }
            }
            Step::Exit(user, conn, ending) => self.exit(&user, conn, ending, now),
        }
    }

    /// A connection was not let in. If that was so at the door, nobody noticed that it was there.
    pub fn turn_away(&mut self, user: &UserId, conn: ConnId, at_the_door: bool, now: Now) {
        let is_only = |place: &&Place| place.connections.keys().eq([&conn]);
        let place = self.0.get(user).filter(|place| at_the_door && is_only(place));
        let before = place.and_then(|place| place.before);
        self.exit(user, conn, Ending::Deliberate, now);
        if let Some((grace_until, status)) = before {
            let place = Place { grace_until: Some(grace_until), status, ..Place::default() };
            self.0.insert(user.clone(), place);
        }
    }

    /// Nobody waits for a user who was lost before the room opened, and would not have been let in.
    pub fn forget_waiting(&mut self, user: &UserId) {
        self.0.retain(|waiting, place| waiting != user || !place.connections.is_empty());
    }

    /// Lets those go whom a room may not keep.
    pub fn expel(&mut self, conn: ConnId, now: Now) {
        let user = self.0.iter().find(|(_, place)| place.connections.contains_key(&conn));
        let user = user.expect("who is expelled was there").0.clone();
        self.exit(&user, conn, Ending::Deliberate, now);
    }

    fn exit(&mut self, user: &UserId, conn: ConnId, ending: Ending, now: Now) {
        let Some(place) = self.0.get_mut(user) else {
            return;
        };
        if place.connections.remove(&conn).is_none() {
            return;
        }
        match (place.connections.is_empty(), ending) {
            (false, _) => place.merge(),
            (true, Ending::Lost) => place.grace_until = Some(now.mono_ms + GRACE_MS),
            (true, Ending::Deliberate) => {
                self.0.remove(user);
            }
        }
    }
}

impl Place {
    fn merge(&mut self) {
        let online = self.connections.values().any(|said| *said == Availability::Online);
        self.status = Some(if online { Status::Online } else { Status::Away });
    }
}
