//! Looking at rooms.

use axum::body::Body;
use axum::http::Response;
use parlour_hub::Input;
use parlour_protocol::command::{Command, SetRole, SetSanction};
use parlour_protocol::event::Event;
use parlour_protocol::{ErrorCode, Refusal, RoomName};

use super::call::{Call, json, payload, unexpected};
use super::shapes::{Give, Room, Rooms, Sanction, Stats};
use super::{cursor, inquiry};
use super::{messages, routes};
use crate::inbox::Inquiry;

/// Rooms of a page unless told.
const USUAL_ROOMS: u32 = 50;
/// Most rooms of a page.
const MOST_ROOMS: u32 = 500;
/// What a cursor of this list is for.
const LIST: &str = "rooms";

/// Tells who is in a room.
pub(super) async fn members(call: Call<'_>) -> Result<Response<Body>, Refusal> {
    let room = call.room()?;
    match call.node.ask(&room, &call.reader(&room), |caller| Input::Members { caller }).await? {
        event @ Event::Members(_) => json(&payload(event)?),
        _ => Err(unexpected()),
    }
}

/// Tells what a room is about.
pub(super) async fn room(call: Call<'_>) -> Result<Response<Body>, Refusal> {
    let room = call.room()?;
    match call.node.ask(&room, &call.reader(&room), |caller| Input::Info { caller }).await? {
        event @ Event::Info(_) => json(&payload(event)?),
        _ => Err(unexpected()),
    }
}

/// Lists rooms.
pub(super) async fn list(call: Call<'_>) -> Result<Response<Body>, Refusal> {
    let limit = call.query.limit(USUAL_ROOMS, MOST_ROOMS)?;
    let after = call.query.get("cursor").map(place).transpose()?;
    let read = call.node.store.rooms(after, limit).await;
    let read = read.map_err(|error| Refusal::from(call.node.note_store_error(error)))?;
    let next = (read.len() == limit as usize).then(|| read.last().map(|(room, _)| room)).flatten();
    let next = next.map(|room| cursor::write(LIST, room.as_str()));
    let covered: Vec<_> = read.into_iter().filter(|(room, _)| call.key.covers(room)).collect();
    let names: std::sync::Arc<[RoomName]> = covered.iter().map(|(room, _)| room.clone()).collect();
    let counts = call.node.inquire(|answer| Inquiry::Members { rooms: names.clone(), answer }).await?;
    let counts = inquiry::sums(names.len(), counts);
    let rooms = covered.into_iter().zip(counts).map(|((room, ends), member_count)| Room {
        room,
        epoch: ends.epoch,
        head: ends.head,
        floor: ends.floor,
        member_count,
    });
    json(&Rooms { rooms: rooms.collect(), next })
}

fn place(given: &str) -> Result<RoomName, Refusal> {
    let name = cursor::read(LIST, given)?;
    RoomName::parse_any(&name).map_err(|_| ErrorCode::InvalidCursor.into())
}

/// Gives a role, or takes it.
pub(super) async fn role(call: Call<'_>) -> Result<Response<Body>, Refusal> {
    let (room, user) = (call.room()?, call.parts.user()?);
    let Give { role } = call.body()?;
    let cid = call.cid(None)?;
    let asker = call.asker(None)?;
    let command = Command::Role(SetRole { room, user, role, cid });
    json(&messages::store(call.node, &asker, command).await?)
}

/// Kicks, mutes or bans, or takes that back.
pub(super) async fn sanction(call: Call<'_>) -> Result<Response<Body>, Refusal> {
    let room = call.room()?;
    let Sanction { kind, user, for_ms, reason } = call.body()?;
    let user = routes::user("user", &user)?;
    let (reason, cid) = (reason.map(Into::into), call.cid(None)?);
    let asker = call.asker(None)?;
    let command = Command::Sanction(Box::new(SetSanction { room, user, kind, for_ms, reason, cid }));
    json(&messages::store(call.node, &asker, command).await?)
}

/// Tells what the server does.
pub(super) fn stats(call: &Call<'_>) -> Result<Response<Body>, Refusal> {
    let node = call.node;
    let shards: Vec<_> = (0..node.inboxes.len()).map(|shard| node.metrics.shard(shard)).collect();
    json(&Stats {
        connections: node.metrics.connections(),
        rooms: shards.iter().map(|shard| shard.rooms.get()).sum(),
        memberships: shards.iter().map(|shard| shard.members.get()).sum(),
        messages_received: shards.iter().map(|shard| shard.messages_in.get()).sum(),
        deliveries: shards.iter().map(|shard| shard.deliveries.get()).sum(),
        commit_queue: node.commits.len() as u64,
        unready: node.shell.health.reasons(),
        uptime_ms: node.clock.now().mono_ms,
    })
}
