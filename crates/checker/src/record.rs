//! What a worker writes down. Plain values: nothing here knows a socket or a clock.

/// Everything that one worker saw, in the order in which it happened to it.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// A name for people.
    pub worker: String,
    /// Whom the server takes it for.
    pub user: String,
    /// What happened.
    pub records: Vec<Record>,
}

/// Something that happened to a worker. A *life* is one connection; lives count from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A request left.
    Sent {
        /// On which connection.
        life: u32,
        /// Its id.
        id: u64,
        /// When, in microseconds since the run began.
        at_us: u64,
        /// What it adds to a room, if it does.
        said: Option<Said>,
    },
    /// An answer came.
    Answered {
        /// On which connection.
        life: u32,
        /// The id of the request.
        id: u64,
        /// When, in microseconds since the run began.
        at_us: u64,
        /// What it says.
        answer: Answer,
    },
    /// A room was entered, or entered again.
    Joined(Joined),
    /// An entry of a room arrived.
    Seen(Entry),
    /// The server said that the room changed under the client.
    Resynced {
        /// The room.
        room: String,
        /// Its epoch from now on, if the source tells it.
        epoch: Option<String>,
        /// The entry after which live ones go on; `None` where the stream goes on as it was.
        head: Option<u64>,
    },
    /// The connection ended, and requests without an answer will have none.
    Lost {
        /// Which one.
        life: u32,
    },
    /// The worker has stayed to the end: nothing that was published is allowed to be missing.
    Stayed {
        /// The room.
        room: String,
    },
}

/// What a request adds to a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The room.
    pub room: String,
    /// The client's id, the same in every repetition.
    pub cid: String,
    /// What it says.
    pub content: Content,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is stored.
    Stored {
        /// The lineage of the room.
        epoch: String,
        /// The number of the entry.
        seq: u64,
    },
    /// It was refused.
    Refused {
        /// The word of the error table.
        code: String,
        /// Whether the same may succeed later.
        retryable: bool,
    },
    /// Something else was asked.
    Other,
}

/// The answer to a join.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Joined {
    /// The room.
    pub room: String,
    /// After which position the worker wanted to go on.
    pub since: Option<(String, u64)>,
    /// The lineage of the room.
    pub epoch: String,
    /// The newest entry.
    pub head: u64,
    /// The oldest entry that is kept, less one.
    pub floor: u64,
    /// How many entries follow at once.
    pub replayed: u64,
    /// How many are left behind those.
    pub behind: u64,
    /// Whether exactly what was missed follows.
    pub recovered: bool,
    /// Why not.
    pub reason: Option<String>,
}

/// An entry of a room's log, as somebody was told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The room.
    pub room: String,
    /// Its number.
    pub seq: u64,
    /// Who said it.
    pub sender: String,
    /// The sender's id of it.
    pub cid: Option<String>,
    /// When it was stored, in milliseconds since 1970.
    pub ts: i64,
    /// What it says.
    pub content: Content,
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the protocol")]
pub enum Content {
    /// A message with its present state.
    Message { text: String, edited: Option<u64>, deleted: Option<u64> },
    /// A new text; `None`: it has been replaced or erased since.
    Edit { target: u64, text: Option<String> },
    /// An erasure.
    Delete { target: u64 },
    /// A reaction, or the end of one.
    Reaction { target: u64, active: bool },
    /// A pin, or the end of one.
    Pin { target: u64, active: bool },
    /// A change of the room.
    Settings { private: Option<bool> },
    /// Another role, or none.
    Role { user: String, role: Option<String> },
}

/// The log of a room, read when all was quiet.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The room.
    pub room: String,
    /// Its lineage.
    pub epoch: String,
    /// The newest entry.
    pub head: u64,
    /// The oldest entry that is kept, less one.
    pub floor: u64,
    /// Everything in between, oldest first.
    pub entries: Vec<Entry>,
}

impl History {
    /// Returns an entry by its number.
    #[must_use]
    pub fn at(&self, seq: u64) -> Option<&Entry> {
        let index = self.entries.binary_search_by_key(&seq, |entry| entry.seq).ok()?;
        self.entries.get(index)
    }
}

impl Content {
    /// Begins a message.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::Message { text: text.to_owned(), edited: None, deleted: None }
    }

    /// What no later entry can change.
    pub(crate) fn lasting(&self) -> String {
        match self {
            Self::Message { .. } => "a message".to_owned(),
            Self::Edit { target, .. } => format!("an edit of {target}"),
            Self::Delete { target } => format!("a deletion of {target}"),
            Self::Reaction { target, active } => format!("a reaction to {target} (active: {active})"),
            Self::Pin { target, active } => format!("a pin of {target} (active: {active})"),
            Self::Settings { private } => format!("settings (private: {private:?})"),
            Self::Role { user, role } => format!("the role {role:?} for {user}"),
        }
    }
}

impl Entry {
    /// What no later entry can change, in words that two of them can be compared by.
    #[must_use]
    pub fn lasting(&self) -> String {
        let Self { sender, cid, ts, content, .. } = self;
        let cid = cid.as_deref().unwrap_or("no cid");
        format!("{} of {sender} ({cid}, ts {ts})", content.lasting())
    }
}
