//! What entries do to older ones and to the room, inside the transaction that stores them.

use std::borrow::Cow;

use parlour_hub::log::{Guard, Place, Refused};
use parlour_protocol::Seq;
use parlour_protocol::content::Content;
use parlour_protocol::limits::{EMOJI_PER_MESSAGE, PINS};
use rusqlite::{Connection, OptionalExtension, params};

use super::fault::Fault;
use super::index;
use super::room::Room;
use super::row::{Marks, REACTION, Row};
use super::state;

const OWN_REACTION: &str =
    "SELECT seq FROM reaction WHERE room_id = ?1 AND target = ?2 AND emoji = ?3 AND sender = ?4";
const REACTIONS: &str = "SELECT count(*) FROM reaction WHERE room_id = ?1 AND target = ?2 AND emoji = ?3";
const EMOJIS: &str = "SELECT count(DISTINCT emoji) FROM reaction WHERE room_id = ?1 AND target = ?2";
const REACT: &str = "INSERT INTO reaction (room_id, target, emoji, sender, seq, checksum) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
     ON CONFLICT (room_id, target, emoji, sender) DO UPDATE SET seq = excluded.seq, checksum = excluded.checksum";
const TAKE_BACK: &str =
    "DELETE FROM reaction WHERE room_id = ?1 AND target = ?2 AND emoji = ?3 AND sender = ?4";
const FORGET_REACTIONS: &str = "DELETE FROM reaction WHERE room_id = ?1 AND target = ?2";
/// `kind` is spelt as in the index.
const REACTION_ENTRIES: &str = "SELECT seq FROM message WHERE room_id = ?1 AND target = ?2 AND kind = 3";

/// What becomes of an entry: it is new, or where the reaction is that is there already.
type Effect = Result<Result<Option<(i64, Place)>, Refused>, Fault>;

impl Room {
    /// Does what a row says before it is stored, and completes it. Changes nothing where it refuses.
    pub(super) fn take_effect(
        &mut self,
        connection: &Connection,
        row: &mut Row<'_>,
        content: &Content,
        guard: Guard,
    ) -> Effect {
        let target = match row.marks.target {
            None => {
                state::apply(connection, self, content, row.ts)?;
                return Ok(Ok(None));
            }
            Some(target) => self.row(connection, target)?.filter(Row::is_standing),
        };
        let Some(target) = target else { return Ok(Err(Refused::NoTarget)) };
        let done = match content {
            Content::Message(_) => {
                row.marks.thread = target.marks.thread.or(Some(target.seq));
                Ok(())
            }
            Content::Edit(_) => self.edit(connection, row, target)?,
            Content::Delete(_) => self.delete(connection, row, target, guard)?,
            Content::Reaction(_) => return self.react(connection, row, target.seq),
            Content::Pin(pin) => self.pin(connection, row.seq, target.seq, pin.active)?,
            Content::Settings(_) | Content::Role(_) | Content::Sanction(_) => Ok(()),
        };
        Ok(done.map(|()| None))
    }

    fn edit<'a>(
        &self,
        connection: &Connection,
        edit: &'a Row<'_>,
        mut target: Row<'a>,
    ) -> Result<Result<(), Refused>, Fault> {
        if target.sender != edit.sender {
            return Ok(Err(Refused::NotAuthor));
        }
        self.supersede(connection, &target, edit.seq)?;
        let id = index::take(connection, self.id, &target)?;
        target.remember()?;
        target.body = Cow::Borrowed(&edit.body);
        target.mentions = edit.mentions.as_deref().map(Cow::Borrowed);
        target.marks.edited = Some(edit.seq);
        self.rewrite(connection, &target)?;
        if let Some(id) = id {
            index::put(connection, self.id, id, &target)?;
        }
        Ok(Ok(()))
    }

    /// Empties the edit that a message has its text from.
    fn supersede(&self, connection: &Connection, target: &Row<'_>, by: i64) -> Result<(), Fault> {
        let Some(edit) = target.marks.edited else { return Ok(()) };
        if let Some(mut edit) = self.row(connection, edit)? {
            edit.empty()?;
            edit.marks.deleted = Some(by);
            self.rewrite(connection, &edit)?;
        }
        Ok(())
    }

    fn delete(
        &self,
        connection: &Connection,
        deletion: &Row<'_>,
        mut target: Row<'_>,
        guard: Guard,
    ) -> Result<Result<(), Refused>, Fault> {
        if target.sender != deletion.sender && guard != Guard::Moderator {
            return Ok(Err(Refused::NotAuthor));
        }
        self.supersede(connection, &target, deletion.seq)?;
        index::take(connection, self.id, &target)?;
        connection.prepare_cached(FORGET_REACTIONS)?.execute(params![self.id, target.seq])?;
        let mut reactions = connection.prepare_cached(REACTION_ENTRIES)?;
        let reactions = reactions.query_map(params![self.id, target.seq], |row| row.get(0))?;
        for reaction in reactions.collect::<Result<Vec<i64>, _>>()? {
            if let Some(mut reaction) = self.row(connection, reaction)? {
                reaction.empty()?;
                self.rewrite(connection, &reaction)?;
            }
        }
        state::set(connection, self, &state::pin_key(target.seq), None)?;
        target.empty()?;
        target.marks.deleted = Some(deletion.seq);
        self.rewrite(connection, &target)?;
        Ok(Ok(()))
    }

    fn react(&self, connection: &Connection, row: &mut Row<'_>, target: i64) -> Effect {
        let key = params![self.id, target, row.body, row.sender];
        let own: Option<i64> =
            connection.prepare_cached(OWN_REACTION)?.query_row(key, |row| row.get(0)).optional()?;
        let present: i64 = connection
            .prepare_cached(REACTIONS)?
            .query_row(params![self.id, target, row.body], |row| row.get(0))?;
        match (row.marks.active == Some(1), own) {
            (true, Some(earlier)) => {
                let ts = self.row(connection, earlier)?.map_or(self.last_ts, |row| row.ts);
                let count = u32::try_from(present).map_err(|_| Fault::Corrupt)?;
                let seq = Seq(earlier.unsigned_abs());
                return Ok(Ok(Some((ts, Place { seq, thread: None, count }))));
            }
            (false, None) => return Ok(Err(Refused::NoTarget)),
            (true, None) => {
                let emojis: i64 = connection
                    .prepare_cached(EMOJIS)?
                    .query_row(params![self.id, target], |row| row.get(0))?;
                if present == 0 && emojis.unsigned_abs() >= EMOJI_PER_MESSAGE as u64 {
                    return Ok(Err(Refused::TooMany));
                }
                self.add_reaction(connection, row)?;
                row.marks.count = Some(present + 1);
            }
            (false, Some(_)) => {
                connection.prepare_cached(TAKE_BACK)?.execute(key)?;
                row.marks.count = Some(present - 1);
            }
        }
        Ok(Ok(None))
    }

    /// Switches on the reaction of a row.
    pub(super) fn add_reaction(&self, connection: &Connection, row: &Row<'_>) -> Result<(), Fault> {
        let target = row.marks.target.unwrap_or_default();
        let checksum = self.reaction_checksum(target, &row.body, &row.sender, row.seq);
        let mut react = connection.prepare_cached(REACT)?;
        react.execute(params![self.id, target, row.body, row.sender, row.seq, checksum])?;
        Ok(())
    }

    /// Takes over a reaction of an export.
    pub(super) fn replay_reaction(&self, connection: &Connection, row: &Row<'_>) -> Result<(), Fault> {
        let Marks { target: Some(target), active: Some(active), .. } = row.marks else { return Ok(()) };
        if row.kind != REACTION || row.body.is_empty() || target <= self.floor {
            return Ok(());
        }
        if active == 1 {
            return self.add_reaction(connection, row);
        }
        connection.prepare_cached(TAKE_BACK)?.execute(params![self.id, target, row.body, row.sender])?;
        Ok(())
    }

    pub(super) fn reaction_checksum(&self, target: i64, emoji: &str, sender: &str, seq: i64) -> i64 {
        let fields: [&[u8]; 4] =
            [&target.to_le_bytes(), emoji.as_bytes(), sender.as_bytes(), &seq.to_le_bytes()];
        self.checksum.of_fields(&fields)
    }

    fn pin(
        &self,
        connection: &Connection,
        by: i64,
        target: i64,
        active: bool,
    ) -> Result<Result<(), Refused>, Fault> {
        let pins = state::read(connection, self)?.pins;
        let is_pinned = pins.contains(&Seq(target.unsigned_abs()));
        match (active, is_pinned) {
            (false, false) => return Ok(Err(Refused::NoTarget)),
            (true, false) if pins.len() >= PINS => return Ok(Err(Refused::TooMany)),
            // The value is the order of pinning.
            (true, _) => state::set(connection, self, &state::pin_key(target), Some(&by.to_string()))?,
            (false, true) => state::set(connection, self, &state::pin_key(target), None)?,
        }
        Ok(Ok(()))
    }
}
