//! Looking at users, and moving their connections.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Response;
use parlour_protocol::event::Status;
use parlour_protocol::{ErrorCode, Refusal, UserId};

use super::call::{Call, json};
use super::shapes::{InRoom, LookFor, Nothing, Presence, Presences, Reached};
use super::{inquiry, routes};
use crate::inbox::{Act, Inquiry};

/// Most users of one question.
const MOST_USERS: usize = 100;

/// Tells which users are connected.
pub(super) async fn presence(call: Call<'_>) -> Result<Response<Body>, Refusal> {
    let LookFor { users } = call.body()?;
    if !(1..=MOST_USERS).contains(&users.len()) {
        let rule = format!("users: 1 to {MOST_USERS} users");
        return Err(Refusal::because(ErrorCode::BadRequest, rule));
    }
    let users = users.iter().map(|name| routes::user("users", name)).collect::<Result<Arc<[UserId]>, _>>()?;
    let seen = call.node.inquire(|answer| Inquiry::Presence { users: Arc::clone(&users), answer }).await?;
    let all = inquiry::sums(users.len(), seen.iter().map(|seen| seen.connections.clone()));
    let online = inquiry::sums(users.len(), seen.into_iter().map(|seen| seen.online));
    let users = users.iter().zip(all.into_iter().zip(online)).map(|(user, (connections, online))| {
        let status = match (online, connections) {
            (1.., _) => Status::Online,
            (0, 1..) => Status::Away,
            (0, 0) => Status::Offline,
        };
        Presence { user: user.clone(), status, connections }
    });
    json(&Presences { users: users.collect() })
}

/// Has a user's connections enter a room.
pub(super) async fn subscribe(call: Call<'_>) -> Result<Response<Body>, Refusal> {
    let InRoom { room } = call.body()?;
    let room = routes::room("room", &room)?;
    call.covers(&room)?;
    act(&call, Act::Subscribe(room)).await
}

/// Has a user's connections leave a room.
pub(super) async fn unsubscribe(call: Call<'_>) -> Result<Response<Body>, Refusal> {
    let InRoom { room } = call.body()?;
    let room = routes::room("room", &room)?;
    call.covers(&room)?;
    act(&call, Act::Unsubscribe(room)).await
}

/// Ends a user's connections.
pub(super) async fn disconnect(call: Call<'_>) -> Result<Response<Body>, Refusal> {
    let Nothing {} = call.body()?;
    let user = call.parts.user()?;
    call.node.shell.audit.attest(call.act("disconnect").to(user)).await?;
    act(&call, Act::Disconnect).await
}

async fn act(call: &Call<'_>, act: Act) -> Result<Response<Body>, Refusal> {
    let user = call.parts.user()?;
    let reached = call.node.inquire(|answer| Inquiry::Act { user: user.clone(), act: act.clone(), answer });
    json(&Reached { connections: reached.await?.into_iter().sum() })
}
