//! One user in a room, as small as can be: there are as many as there are connections.

use std::slice;

use compact_str::CompactString;
use parlour_protocol::UserId;
use parlour_protocol::command::Availability;
use parlour_protocol::event::{Member, Status};

use super::members::{Change, Stage};
use crate::input::ConnId;
use crate::rights::Rights;

/// A user who is here, or may come back.
#[derive(Debug)]
pub(crate) struct Presence {
    pub(super) connections: Connections,
    /// Boxed: few say something of themselves.
    text: Option<Box<CompactString>>,
    pub(super) last_active_ms: i64,
    /// The status that others were told last.
    told: Status,
}

/// The connections of a user: nearly always one, which needs no list.
#[derive(Debug)]
pub(crate) enum Connections {
    /// None any more; the place is kept until then.
    Lost {
        until_ms: u64,
    },
    One(Connection),
    Several(Vec<Connection>),
}

/// A connection of a user to the room.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Connection {
    pub(super) id: ConnId,
    /// What its credentials allowed in the room when it entered.
    pub(super) granted: Rights,
    pub(super) availability: Availability,
    pub(super) stage: Stage,
}

impl Presence {
    pub(super) fn new(connection: Connection, text: Option<CompactString>, wall_ms: i64) -> Self {
        let told = match connection.availability {
            Availability::Online => Status::Online,
            Availability::Away => Status::Away,
        };
        let connections = Connections::One(connection);
        Self { connections, text: text.map(Box::new), last_active_ms: wall_ms, told }
    }

    /// Sets what the user says; returns whether that is news.
    pub(super) fn set_text(&mut self, text: Option<CompactString>) -> bool {
        let is_news = self.text.as_deref() != text.as_ref();
        self.text = text.map(Box::new);
        is_news
    }

    /// Merges the connections: one that is online makes the user online.
    pub(super) fn retell(&mut self) -> Change {
        let online = self.connections.all().iter().any(|c| c.availability == Availability::Online);
        let status = if online { Status::Online } else { Status::Away };
        match std::mem::replace(&mut self.told, status) {
            told if told == status => Change::Nothing,
            _ => Change::Presence,
        }
    }

    pub(super) fn describe(&self, user: &UserId) -> Member {
        Member {
            user: user.clone(),
            status: self.told,
            text: self.text.as_deref().cloned(),
            last_active_ms: self.last_active_ms,
        }
    }
}

impl Connections {
    pub(super) fn all(&self) -> &[Connection] {
        match self {
            Self::Lost { .. } => &[],
            Self::One(connection) => slice::from_ref(connection),
            Self::Several(connections) => connections,
        }
    }

    pub(super) fn all_mut(&mut self) -> &mut [Connection] {
        match self {
            Self::Lost { .. } => &mut [],
            Self::One(connection) => slice::from_mut(connection),
            Self::Several(connections) => connections,
        }
    }

    pub(super) fn find(&self, id: ConnId) -> Option<&Connection> {
        self.all().iter().find(|connection| connection.id == id)
    }

    pub(super) fn find_mut(&mut self, id: ConnId) -> Option<&mut Connection> {
        self.all_mut().iter_mut().find(|connection| connection.id == id)
    }

    pub(super) fn push(&mut self, connection: Connection) {
        match self {
            Self::Lost { .. } => *self = Self::One(connection),
            Self::One(first) => *self = Self::Several(vec![*first, connection]),
            Self::Several(connections) => connections.push(connection),
        }
    }

    /// Removes a connection; after the last one the place is kept until `until_ms`.
    pub(super) fn remove(&mut self, id: ConnId, until_ms: u64) {
        match self {
            Self::One(connection) if connection.id == id => *self = Self::Lost { until_ms },
            Self::Several(connections) => {
                connections.retain(|connection| connection.id != id);
                if let [last] = connections[..] {
                    *self = Self::One(last);
                }
            }
            Self::Lost { .. } | Self::One(_) => {}
        }
    }
}
