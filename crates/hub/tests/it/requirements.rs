//! The requirements that are about numbers and about races.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parlour_hub::input::{Caller, Ending, Input};
use parlour_hub::log::NewEntry;
use parlour_hub::{ConnId, Effect, Rules};
use parlour_protocol::command::{Availability, HistoryQuery, SetPresence};
use parlour_protocol::content::{Content, Text};
use parlour_protocol::event::{Event, Status};
use parlour_protocol::{ErrorCode, Position, RoomName, Seq, UserId};

use crate::store::{Fault, Hold};
use crate::world::{Seen, World, conn, room, user};

mod messages;
mod presence;
mod rooms;

const ONLINE: SetPresence = SetPresence { status: Availability::Online, text: None };

/// Everything that a connection, a room or a user hears, as one list.
#[derive(Debug, Default)]
struct Heard(Vec<(BTreeSet<ConnId>, Event)>);

impl Heard {
    fn follow(&mut self, seen: &Seen<'_>) {
        let Seen::Effect(effect, list) = seen else {
            return;
        };
        match effect {
            Effect::Broadcast { event, .. } => self.0.push(((*list).clone(), (**event).clone())),
            Effect::Send { to, reply } => self.0.push((BTreeSet::from([*to]), reply.event.clone())),
            Effect::Detach { from: to, refusal: Some(refusal), .. } | Effect::Fail { to, refusal, .. } => {
                self.0.push((BTreeSet::from([*to]), Event::Error(refusal.clone())));
            }
            _ => {}
        }
    }

    fn count(&self, is_meant: impl Fn(&Event) -> bool) -> usize {
        self.0.iter().filter(|(_, event)| is_meant(event)).count()
    }
}

/// Lets something happen and returns what is heard of it.
fn feed(world: &mut World, room: &RoomName, input: Input) -> Heard {
    let mut heard = Heard::default();
    world.feed(room, input, &mut |seen| heard.follow(&seen));
    heard
}

fn advance(world: &mut World, at_ms: u64) -> Heard {
    let mut heard = Heard::default();
    world.advance(at_ms, &mut |seen| heard.follow(&seen));
    heard
}

fn join(world: &mut World, room: &RoomName, user: &UserId, conn: ConnId) -> Heard {
    let caller = world.caller(user, conn);
    feed(world, room, Input::Join { caller, since: None, history: 0, presence: ONLINE })
}

fn say(world: &mut World, room: &RoomName, user: &UserId, conn: ConnId, text: &str) -> Heard {
    let caller = world.caller(user, conn);
    feed(world, room, Input::Publish { caller, entries: message(text, None) })
}

fn message(text: &str, cid: Option<&str>) -> Vec<NewEntry> {
    vec![NewEntry { cid: cid.map(Into::into), content: Content::Message(Text::plain(text)) }]
}

fn is_left(event: &Event) -> bool {
    matches!(event, Event::MemberLeft(_))
}

fn is_joined(event: &Event) -> bool {
    matches!(event, Event::MemberJoined(_))
}

fn is_message(event: &Event) -> bool {
    matches!(event, Event::Message(_))
}
