//! Who is in a room: users, their connections, and those who may come back.

use std::collections::{BTreeSet, HashMap, VecDeque};

use parlour_protocol::command::SetPresence;
use parlour_protocol::event::{Member, Status};
use parlour_protocol::{Seq, UserId};

use super::presence::{Connection, Connections, Presence};
use crate::effect::ShardSet;
use crate::input::{ConnId, Ending};
use crate::rights::Rights;

/// Most users remembered after they left.
const LATELY: usize = 100;

/// The users of a room. A user is a member from the first connection until the last has left, or
/// until the grace period after the loss of the last has passed.
#[derive(Debug, Default)]
pub struct Members {
    present: HashMap<UserId, Presence>,
    /// Users without a connection, by the end of their grace.
    grace: BTreeSet<(u64, UserId)>,
    lately: VecDeque<Member>,
    per_shard: Vec<u32>,
}

/// How far a connection has come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The past is being read for it.
    Entering,
    /// It was told the past up to an event, and may ask for more.
    Behind(Seq),
    /// It was told the past up to an event, and the next part is being read for it.
    Reading(Seq),
    /// It is on its shard's list and gets broadcasts. While its socket is slow, its shard leaves them
    /// out, which is nothing to the room.
    Live,
}

/// What a change of members means to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing that others see.
    Nothing,
    /// The user is new here.
    Joined,
    /// The user is gone.
    Left,
    /// The user's status differs from what others were told.
    Presence,
}

impl Members {
    /// Returns the number of users.
    #[must_use]
    pub fn count(&self) -> usize {
        self.present.len()
    }

    /// Whether nobody is here and nobody is waited for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.present.is_empty()
    }

    /// Whether a connection has joined.
    #[must_use]
    pub fn contains(&self, user: &UserId, conn: ConnId) -> bool {
        self.stage(user, conn).is_some()
    }

    /// Whether a user is a member.
    #[must_use]
    pub fn contains_user(&self, user: &UserId) -> bool {
        self.present.contains_key(user)
    }

    /// Returns the shards with attached connections.
    #[must_use]
    pub fn shards(&self) -> ShardSet {
        let mut set = ShardSet::default();
        for (shard, _) in (0..).zip(&self.per_shard).filter(|(_, count)| **count > 0) {
            set.insert(shard);
        }
        set
    }

    /// Adds a connection, whose credentials grant these rights here.
    pub fn join(
        &mut self,
        user: &UserId,
        id: ConnId,
        granted: Rights,
        says: SetPresence,
        wall_ms: i64,
    ) -> Change {
        let connection = Connection { id, granted, availability: says.status, stage: Stage::Entering };
        let Some(presence) = self.present.get_mut(user) else {
            self.lately.retain(|member| member.user != *user);
            self.present.insert(user.clone(), Presence::new(connection, says.text, wall_ms));
            return Change::Joined;
        };
        presence.last_active_ms = wall_ms;
        if let Connections::Lost { until_ms } = presence.connections {
            self.grace.remove(&(until_ms, user.clone()));
        }
        match presence.connections.find_mut(id) {
            // What it asked for before is void; but as long as it is on the list, it is there.
            Some(known) => {
                known.granted = granted;
                if known.stage != Stage::Live {
                    known.stage = Stage::Entering;
                }
            }
            None => presence.connections.push(connection),
        }
        presence.retell()
    }

    /// Returns how far a connection has come in; `None` if it has not joined.
    #[must_use]
    pub fn stage(&self, user: &UserId, conn: ConnId) -> Option<Stage> {
        Some(self.present.get(user)?.connections.find(conn)?.stage)
    }

    /// Notes how far a connection has come in; false if it has not joined.
    pub fn set_stage(&mut self, user: &UserId, conn: ConnId, stage: Stage) -> bool {
        let presence = self.present.get_mut(user);
        let Some(connection) = presence.and_then(|presence| presence.connections.find_mut(conn)) else {
            return false;
        };
        let before = std::mem::replace(&mut connection.stage, stage);
        self.count_live(conn, before, -1);
        self.count_live(conn, stage, 1);
        true
    }

    /// Notes what the new credentials of a connection allow; false if it has not joined.
    pub fn grant(&mut self, user: &UserId, conn: ConnId, granted: Rights) -> bool {
        let presence = self.present.get_mut(user);
        let connection = presence.and_then(|presence| presence.connections.find_mut(conn));
        connection.map(|connection| connection.granted = granted).is_some()
    }

    fn count_live(&mut self, conn: ConnId, stage: Stage, change: i32) {
        if stage == Stage::Live {
            let shard = usize::from(conn.shard);
            self.per_shard.resize(self.per_shard.len().max(shard + 1), 0);
            self.per_shard[shard] = self.per_shard[shard].saturating_add_signed(change);
        }
    }

    /// Puts everybody who is behind beyond every event: what they were told is no longer the past.
    pub fn lose_places(&mut self) {
        let connections = self.present.values_mut().flat_map(|presence| presence.connections.all_mut());
        for connection in connections.filter(|connection| matches!(connection.stage, Stage::Behind(_))) {
            connection.stage = Stage::Behind(Seq(u64::MAX));
        }
    }

    /// Lists the users who are here, or waited for.
    pub fn users(&self) -> impl Iterator<Item = &UserId> {
        self.present.keys()
    }

    /// Lists the connections of a user, with what their credentials grant.
    #[must_use]
    pub fn connections(&self, user: &UserId) -> Vec<(ConnId, Rights)> {
        let connections = self.present.get(user).map_or(&[][..], |presence| presence.connections.all());
        connections.iter().map(|connection| (connection.id, connection.granted)).collect()
    }

    /// Removes all traces of a user.
    pub fn forget(&mut self, user: &UserId) {
        if let Some(Presence { connections: Connections::Lost { until_ms }, .. }) = self.present.remove(user)
        {
            self.grace.remove(&(until_ms, user.clone()));
        }
        self.forget_lately(user);
    }

    /// Forgets that a user was here lately.
    pub fn forget_lately(&mut self, user: &UserId) {
        self.lately.retain(|member| member.user != *user);
    }

    /// Removes a connection. The last lost one of a user leaves a place until `grace_until_ms`.
    pub fn leave(&mut self, user: &UserId, conn: ConnId, ending: Ending, grace_until_ms: u64) -> Change {
        self.set_stage(user, conn, Stage::Entering);
        let Some(presence) = self.present.get_mut(user) else {
            return Change::Nothing;
        };
        if presence.connections.find(conn).is_none() {
            return Change::Nothing;
        }
        presence.connections.remove(conn, grace_until_ms);
        match (&presence.connections, ending) {
            (Connections::Lost { .. }, Ending::Lost) => {
                self.grace.insert((grace_until_ms, user.clone()));
                Change::Nothing
            }
            (Connections::Lost { .. }, Ending::Deliberate) => {
                self.remove(user);
                Change::Left
            }
            _ => presence.retell(),
        }
    }

    /// Removes and returns the users whose grace period has passed.
    pub fn expire(&mut self, now_ms: u64) -> Vec<UserId> {
        let mut gone = Vec::new();
        while self.next_deadline().is_some_and(|until| until <= now_ms) {
            let Some((_, user)) = self.grace.pop_first() else {
                break;
            };
            self.remove(&user);
            gone.push(user);
        }
        gone
    }

    /// Returns the earliest end of a grace period.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        self.grace.first().map(|(until, _)| *until)
    }

    /// Sets what a connection says of itself.
    pub fn set_presence(&mut self, user: &UserId, conn: ConnId, says: SetPresence) -> Change {
        let Some(presence) = self.present.get_mut(user) else {
            return Change::Nothing;
        };
        let Some(connection) = presence.connections.find_mut(conn) else {
            return Change::Nothing;
        };
        connection.availability = says.status;
        let text_changed = presence.set_text(says.text);
        match presence.retell() {
            Change::Nothing if text_changed => Change::Presence,
            change => change,
        }
    }

    /// Notes that a user did something.
    pub fn touch(&mut self, user: &UserId, wall_ms: i64) {
        if let Some(presence) = self.present.get_mut(user) {
            presence.last_active_ms = wall_ms;
        }
    }

    /// Describes a user, present or lately gone.
    #[must_use]
    pub fn describe(&self, user: &UserId) -> Option<Member> {
        let gone = || self.lately.iter().find(|member| member.user == *user).cloned();
        self.present.get(user).map(|presence| presence.describe(user)).or_else(gone)
    }

    /// Lists at most `limit` users: those here, then those who were here lately.
    #[must_use]
    pub fn list(&self, limit: usize) -> Vec<Member> {
        let here = self.present.iter().map(|(user, presence)| presence.describe(user));
        here.chain(self.lately.iter().rev().cloned()).take(limit).collect()
    }

    /// Lists at most `limit` users who are here.
    #[must_use]
    pub fn list_present(&self, limit: usize) -> Vec<Member> {
        self.present.iter().map(|(user, presence)| presence.describe(user)).take(limit).collect()
    }

    /// Lists those of the users who are here whom a room would remember, the latest ones.
    #[must_use]
    pub fn latest(&self) -> Vec<Member> {
        let mut members = self.list_present(usize::MAX);
        members.sort_by_key(|member| std::cmp::Reverse(member.last_active_ms));
        members.truncate(LATELY);
        members
    }

    /// Remembers a user who was here before the room came into memory.
    pub fn remember(&mut self, member: Member) {
        if !self.present.contains_key(&member.user) {
            self.lately.push_back(member);
            if self.lately.len() > LATELY {
                self.lately.pop_front();
            }
        }
    }

    fn remove(&mut self, user: &UserId) {
        if let Some(presence) = self.present.remove(user) {
            self.remember(Member { status: Status::Offline, ..presence.describe(user) });
        }
        // A table does not shrink by itself after a crowd has left.
        if self.present.len() < self.present.capacity() / 8 {
            self.present.shrink_to(2 * self.present.len());
        }
    }
}
