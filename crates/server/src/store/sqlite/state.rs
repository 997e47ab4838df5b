//! What the entries of a room have made of it, kept as pairs.

use parlour_hub::log::RoomState;
use parlour_protocol::content::{Content, Role, RoleChange, Sanction, SanctionKind, Settings};
use parlour_protocol::{Seq, UserId};
use rusqlite::{Connection, params};

use super::super::sanction::{sanction_of_value, sanction_value};
use super::fault::Fault;
use super::room::Room;
use super::row::{column, json, parse, user};

const READ: &str = "SELECT key, value, checksum FROM state WHERE room_id = ?1";
const SET: &str = "INSERT INTO state (room_id, key, value, checksum) VALUES (?1, ?2, ?3, ?4) \
     ON CONFLICT (room_id, key) DO UPDATE SET value = excluded.value, checksum = excluded.checksum";
const UNSET: &str = "DELETE FROM state WHERE room_id = ?1 AND key = ?2";
/// Sanctions whose time was over. A value begins with the end.
const EXPIRED: &str = "DELETE FROM state WHERE room_id = ?1 AND key GLOB 'sanction:*' \
     AND value NOT GLOB 'never *' AND CAST(value AS INTEGER) <= ?2";
const CLEAR: &str = "DELETE FROM state WHERE room_id = ?1";

pub(super) fn pin_key(target: i64) -> String {
    format!("pin:{target}")
}

pub(super) fn sanction_key(user: &UserId) -> String {
    format!("sanction:{user}")
}

pub(super) fn role_key(user: &UserId) -> String {
    format!("role:{user}")
}

/// Reads the state of a room; every pair must match its checksum.
pub(super) fn read(connection: &Connection, room: &Room) -> Result<RoomState, Fault> {
    let mut select = connection.prepare_cached(READ)?;
    let mut rows = select.query([room.id])?;
    let mut state = RoomState::default();
    let mut pins = Vec::new();
    while let Some(row) = rows.next()? {
        let (key, value) = (row.get_ref(0)?.as_str()?, row.get_ref(1)?.as_str()?);
        if row.get::<_, i64>(2)? != checksum(room, key, value) {
            return Err(Fault::Corrupt);
        }
        match key.split_once(':').unwrap_or((key, "")) {
            ("title", _) => state.settings.title = Some(value.into()),
            ("topic", _) => state.settings.topic = Some(value.into()),
            ("private", _) => state.settings.private = Some(parse(value)?),
            ("slow_ms", _) => state.settings.slow_ms = Some(parse(value)?),
            ("sanction", whose) => {
                let whose = user(whose)?;
                let sanction = sanction_of_value(whose.clone(), value).ok_or(Fault::Corrupt)?;
                state.sanctions.insert(whose, sanction);
            }
            ("role", whose) => {
                state.roles.insert(user(whose)?, parse(value)?);
            }
            ("pin", target) => pins.push((parse::<i64>(value)?, Seq(parse(target)?))),
            _ => return Err(Fault::Corrupt),
        }
    }
    pins.sort_unstable();
    state.pins = pins.into_iter().map(|(_, target)| target).collect();
    Ok(state)
}

/// Takes over what an entry of this time changes.
pub(super) fn apply(connection: &Connection, room: &Room, content: &Content, ts: i64) -> Result<(), Fault> {
    match content {
        Content::Settings(settings) => apply_settings(connection, room, settings),
        Content::Role(RoleChange { user, role }) => {
            set(connection, room, &role_key(user), role.map(role_value).as_deref())
        }
        Content::Sanction(sanction) => {
            connection.prepare_cached(EXPIRED)?.execute(params![room.id, ts])?;
            match sanction.kind {
                SanctionKind::None => set(connection, room, &sanction_key(&sanction.user), None),
                SanctionKind::Kick => Ok(()),
                SanctionKind::Mute | SanctionKind::Ban => set_sanction(connection, room, sanction),
            }
        }
        _ => Ok(()),
    }
}

pub(super) fn set_sanction(connection: &Connection, room: &Room, sanction: &Sanction) -> Result<(), Fault> {
    set(connection, room, &sanction_key(&sanction.user), Some(&sanction_value(sanction)))
}

/// Takes the reason from the sanction of a user.
pub(super) fn silence(connection: &Connection, room: &Room, user: &UserId) -> Result<(), Fault> {
    match read(connection, room)?.sanctions.remove(user) {
        Some(sanction) => set_sanction(connection, room, &Sanction { reason: None, ..sanction }),
        None => Ok(()),
    }
}

fn apply_settings(connection: &Connection, room: &Room, settings: &Settings) -> Result<(), Fault> {
    let private = settings.private.map(|private| private.to_string());
    let slow_ms = settings.slow_ms.map(|slow_ms| slow_ms.to_string());
    let given = [
        ("title", settings.title.as_deref()),
        ("topic", settings.topic.as_deref()),
        ("private", private.as_deref()),
        ("slow_ms", slow_ms.as_deref()),
    ];
    for (key, value) in given.into_iter().filter(|(_, value)| value.is_some()) {
        set(connection, room, key, value)?;
    }
    Ok(())
}

/// Puts another state in the place of what a room has.
pub(super) fn replace(connection: &Connection, room: &Room, state: &RoomState) -> Result<(), Fault> {
    connection.prepare_cached(CLEAR)?.execute([room.id])?;
    apply_settings(connection, room, &state.settings)?;
    for (user, role) in &state.roles {
        set(connection, room, &role_key(user), Some(&role_value(*role)))?;
    }
    for sanction in state.sanctions.values() {
        set_sanction(connection, room, sanction)?;
    }
    for (place, pin) in (1..).zip(&state.pins) {
        set(connection, room, &pin_key(column(*pin)), Some(&i64::to_string(&place)))?;
    }
    Ok(())
}

/// Writes a pair; `None` removes it.
pub(super) fn set(connection: &Connection, room: &Room, key: &str, value: Option<&str>) -> Result<(), Fault> {
    match value {
        Some(value) => {
            let checksum = checksum(room, key, value);
            connection.prepare_cached(SET)?.execute(params![room.id, key, value, checksum])?
        }
        None => connection.prepare_cached(UNSET)?.execute(params![room.id, key])?,
    };
    Ok(())
}

fn role_value(role: Role) -> String {
    json(&role).into_owned()
}

fn checksum(room: &Room, key: &str, value: &str) -> i64 {
    room.checksum.of_fields(&[key.as_bytes(), value.as_bytes()])
}
