//! Under which keys the store keeps what concerns webhooks.
//!
//! A user's name stands where [erasure](crate::store) looks for it.

use parlour_hub::effect::DOCUMENT_SEPARATOR as S;
use parlour_protocol::{RoomName, UserId};

/// A connection that webhooks were told of; its prefix without a user.
pub(super) const CONNECTIONS: &str = "told\u{1f}connection\u{1f}";
/// Users that webhooks were told to be online.
pub(super) const USERS: &str = "told\u{1f}user\u{1f}";
/// Rooms that webhooks were told to be occupied.
pub(super) const ROOMS: &str = "told\u{1f}room\u{1f}";

pub(super) fn connection(user: &UserId, connection: &str) -> String {
    format!("{CONNECTIONS}{user}{S}{connection}")
}

pub(super) fn user(user: &UserId) -> String {
    format!("{USERS}{user}")
}

pub(super) fn room(room: &RoomName) -> String {
    format!("{ROOMS}{room}")
}

/// That a webhook knows where the rooms ended when it began.
pub(super) fn begun(webhook: &str) -> String {
    format!("webhook{S}{webhook}{S}begun")
}

/// How far a webhook has been told what is said in a room.
pub(super) fn cursor(webhook: &str, room: &RoomName) -> String {
    // The end keeps rooms apart whose names begin alike.
    format!("webhook{S}{webhook}{S}cursor{S}{room}{S}")
}

/// The prefix of what waits for a webhook, in its order.
pub(super) fn entries(webhook: &str) -> String {
    format!("webhook{S}{webhook}{S}entry{S}")
}

/// The prefix of what could not be delivered.
pub(super) fn dead(webhook: &str) -> String {
    format!("webhook{S}{webhook}{S}dead{S}")
}

/// Completes a prefix for one entry. Twenty digits are enough for every number.
pub(super) fn numbered(prefix: &str, number: u64, user: Option<&UserId>) -> String {
    format!("{prefix}{number:020}{S}{}", user.map_or("", UserId::as_str))
}

/// Returns the number of an entry, and the name of the user whom it is about.
pub(super) fn number_of<'a>(prefix: &str, key: &'a str) -> Option<(u64, &'a str)> {
    let (number, user) = key.strip_prefix(prefix)?.split_once(S)?;
    Some((number.parse().ok()?, user))
}
