//! Giving credentials, and taking them back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Response;
use parlour_hub::rights::{Action, Grants, Rights};
use parlour_protocol::{ErrorCode, Refusal};

use super::call::{Call, json};
use super::routes;
use super::shapes::{Done, Mint, Minted};
use crate::identity::RevokeError;
use crate::identity::revocation::Wish;
use crate::identity::ticket::TICKET_LIFE;
use crate::verifier::{Identity, Pass};

/// Most patterns of rooms of one ticket.
const PATTERNS: usize = 64;
/// Longest pattern, in bytes.
const PATTERN_BYTES: usize = 128;

/// Mints a ticket.
pub(super) async fn ticket(call: Call<'_>) -> Result<Response<Body>, Refusal> {
    let Mint { user, rooms, session_s } = call.body()?;
    let user = routes::user("user", &user)?;
    let (node, most_s) = (call.node, call.node.config.auth.max_life_s);
    if session_s.is_some_and(|session_s| !(1..=most_s).contains(&session_s)) {
        return Err(Refusal::because(ErrorCode::BadRequest, format!("session_s: 1 to {most_s}")));
    }
    let now = node.clock.now();
    let session_ms = session_s.map(|session_s| u64::from(session_s) * 1_000);
    let pass = Pass {
        grants: Arc::new(grants(rooms)?),
        issued_s: Some(now.wall_ms.div_euclid(1_000)),
        expires_ms: session_ms.map(|ms| now.wall_ms.saturating_add_unsigned(ms)),
        deadline_ms: session_ms.map(|ms| now.mono_ms.saturating_add(ms)),
        ..Pass::default()
    };
    let identity = Identity { user, pass: Some(Arc::new(pass)) };
    let act = call.act("ticket").to(&identity.user);
    let ticket = node.shell.records.tickets.mint(identity, TICKET_LIFE, now.mono_ms)?;
    // As many as there are logins, so they do not wait for the disk.
    node.shell.audit.note(act);
    json(&Minted { ticket, valid_ms: as_ms(TICKET_LIFE) })
}

fn as_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn grants(rooms: BTreeMap<String, Vec<String>>) -> Result<Grants, Refusal> {
    let bad = |rule: &str| Refusal::because(ErrorCode::BadRequest, format!("rooms: {rule}"));
    if rooms.len() > PATTERNS {
        return Err(bad("at most 64 patterns"));
    }
    let grants = rooms.into_iter().map(|(pattern, actions)| {
        if pattern.len() > PATTERN_BYTES || pattern.strip_suffix('*').unwrap_or(&pattern).contains('*') {
            return Err(bad("a pattern is a name, or a prefix followed by one `*`"));
        }
        let actions = actions.iter().map(|word| Action::parse(word)).collect::<Option<Rights>>();
        let rights = actions.ok_or_else(|| {
            let known: Vec<_> = Action::ALL.iter().map(|action| action.word()).collect();
            bad(&format!("the actions are {}", known.join(", ")))
        })?;
        Ok((pattern.into(), rights))
    });
    grants.collect::<Result<_, _>>().map(Grants)
}

/// Takes tokens back.
pub(super) async fn revoke(call: Call<'_>) -> Result<Response<Body>, Refusal> {
    let wish: Wish = call.body()?;
    let revocation = wish.check(call.node.clock.now().wall_ms.div_euclid(1_000)).ok_or_else(|| {
        let rule = "give `token`, or `user` and perhaps `issued_before`, or `issued_before`: seconds since \
                    1970, not in the future";
        Refusal::because(ErrorCode::BadRequest, rule)
    })?;
    call.node.shell.audit.attest(call.act("revoke").to(format!("{revocation:?}"))).await?;
    match call.node.revoke(revocation).await {
        Ok(()) => json(&Done { done: true }),
        Err(RevokeError::TooMany(error)) => {
            Err(Refusal::because(ErrorCode::LimitExceeded, error.to_string()))
        }
        Err(RevokeError::Store(error)) => Err(call.node.note_store_error(error).into()),
    }
}
