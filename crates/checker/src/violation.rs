//! What a server can do wrong.

use std::fmt;

/// A promise that was broken, with what somebody needs in order to look for the cause.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each sentence names its fields")]
pub enum Violation {
    /// P4, P12
    AckedButMissing {
        worker: String,
        room: String,
        cid: String,
        seq: u64,
    },
    /// P4
    AckedElsewhere {
        worker: String,
        room: String,
        cid: String,
        acked: u64,
        stored: u64,
    },
    /// P6
    StoredTwice {
        room: String,
        sender: String,
        cid: String,
        first: u64,
        second: u64,
    },
    NeverSaid {
        room: String,
        seq: u64,
        entry: String,
    },
    /// P4
    RefusedButStored {
        worker: String,
        room: String,
        cid: String,
        code: String,
        seq: u64,
    },
    /// P2
    Hole {
        room: String,
        after: u64,
        next: u64,
    },
    /// P2
    ShortHistory {
        room: String,
        head: u64,
        last: u64,
    },
    Garbled {
        room: String,
        seq: u64,
        by: String,
        found: String,
        expected: String,
    },
    /// P22
    Fold {
        room: String,
        seq: u64,
        problem: String,
    },
    /// P8
    Skipped {
        worker: String,
        room: String,
        expected: u64,
        got: u64,
    },
    /// P8
    Doubled {
        worker: String,
        room: String,
        expected: u64,
        got: u64,
    },
    /// P8
    FellShort {
        worker: String,
        room: String,
        last: u64,
        head: u64,
    },
    /// P10
    Uninformed {
        worker: String,
        room: String,
        epoch: String,
        current: String,
    },
    /// P8
    FalseResume {
        worker: String,
        room: String,
        problem: String,
    },
    /// P4
    Phantom {
        worker: String,
        room: String,
        seq: u64,
        entry: String,
    },
    /// P10
    TwoContents {
        room: String,
        epoch: String,
        seq: u64,
        one: String,
        other: String,
    },
    /// P10
    EpochChanged {
        room: String,
        from: String,
        to: String,
    },
    /// P3
    SenderOrder {
        worker: String,
        room: String,
        first: String,
        second: String,
    },
    /// P3
    RealTimeOrder {
        room: String,
        earlier: String,
        later: String,
    },
    /// P7
    AnsweredTwice {
        worker: String,
        life: u32,
        id: u64,
    },
    /// P7
    NotAsked {
        worker: String,
        life: u32,
        id: u64,
    },
    /// P7
    Unanswered {
        worker: String,
        life: u32,
        id: u64,
    },
    /// P14, P15
    NeverSettled {
        worker: String,
        room: String,
        cid: String,
    },
    /// P16
    TimeWentBack {
        room: String,
        seq: u64,
        ts: i64,
        before: i64,
    },
    /// P21
    ReadAfterRemoval {
        worker: String,
        room: String,
        removed: u64,
        seq: u64,
    },
}

impl Violation {
    /// A word for the kind, such as `acked_but_missing`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::AckedButMissing { .. } => "acked_but_missing",
            Self::AckedElsewhere { .. } => "acked_elsewhere",
            Self::StoredTwice { .. } => "stored_twice",
            Self::NeverSaid { .. } => "never_said",
            Self::RefusedButStored { .. } => "refused_but_stored",
            Self::Hole { .. } => "hole",
            Self::ShortHistory { .. } => "short_history",
            Self::Garbled { .. } => "garbled",
            Self::Fold { .. } => "fold",
            Self::Skipped { .. } => "skipped",
            Self::Doubled { .. } => "doubled",
            Self::FellShort { .. } => "fell_short",
            Self::Uninformed { .. } => "uninformed",
            Self::FalseResume { .. } => "false_resume",
            Self::Phantom { .. } => "phantom",
            Self::TwoContents { .. } => "two_contents",
            Self::EpochChanged { .. } => "epoch_changed",
            Self::SenderOrder { .. } => "sender_order",
            Self::RealTimeOrder { .. } => "real_time_order",
            Self::AnsweredTwice { .. } => "answered_twice",
            Self::NotAsked { .. } => "not_asked",
            Self::Unanswered { .. } => "unanswered",
            Self::NeverSettled { .. } => "never_settled",
            Self::TimeWentBack { .. } => "time_went_back",
            Self::ReadAfterRemoval { .. } => "read_after_removal",
        }
    }
}

impl fmt::Display for Violation {
    // tidy: a flat table of sentences
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AckedButMissing { worker, room, cid, seq } => {
                write!(f, "{worker} got an ack for {cid} as {room}/{seq}, but the history does not have it")
            }
            Self::AckedElsewhere { worker, room, cid, acked, stored } => {
                write!(f, "{worker} got an ack for {cid} as {room}/{acked}, but it is stored as {stored}")
            }
            Self::StoredTwice { room, sender, cid, first, second } => {
                write!(f, "{cid} of {sender} is stored twice in {room}: as {first} and as {second}")
            }
            Self::NeverSaid { room, seq, entry } => write!(f, "nobody has said {room}/{seq}: {entry}"),
            Self::RefusedButStored { worker, room, cid, code, seq } => {
                write!(f, "{worker} was told that {cid} is refused for good ({code}), but it is {room}/{seq}")
            }
            Self::Hole { room, after, next } => {
                write!(f, "the history of {room} has a hole: {next} follows {after}")
            }
            Self::ShortHistory { room, head, last } => {
                write!(f, "the head of {room} is {head}, but its history ends with {last}")
            }
            Self::Garbled { room, seq, by, found, expected } => {
                write!(f, "{by} has {room}/{seq} as \"{found}\", but it should be \"{expected}\"")
            }
            Self::Fold { room, seq, problem } => {
                write!(f, "{room}/{seq} does not show what later entries made of it: {problem}")
            }
            Self::Skipped { worker, room, expected, got } => {
                write!(f, "{worker} was never sent {room}/{expected}: it got {got} instead")
            }
            Self::Doubled { worker, room, expected, got } => {
                write!(f, "{worker} got {room}/{got} again where {expected} had to follow")
            }
            Self::FellShort { worker, room, last, head } => {
                write!(f, "{worker} stayed in {room} to the end and saw only {last} of {head}")
            }
            Self::Uninformed { worker, room, epoch, current } => {
                write!(f, "{worker} still thinks that the epoch of {room} is {epoch}; it is {current}")
            }
            Self::FalseResume { worker, room, problem } => {
                write!(f, "the resume of {worker} in {room} is wrong: {problem}")
            }
            Self::Phantom { worker, room, seq, entry } => {
                write!(f, "{worker} was sent {room}/{seq} ({entry}), which the history does not have")
            }
            Self::TwoContents { room, epoch, seq, one, other } => {
                write!(f, "{room}/{seq} of the epoch {epoch} is two things: {one}; and {other}")
            }
            Self::EpochChanged { room, from, to } => {
                write!(f, "{room} changed from the epoch {from} to {to}, although nothing was rewound")
            }
            Self::SenderOrder { worker, room, first, second } => {
                write!(
                    f,
                    "{worker} sent {first} to {room} before {second}, but they are stored the other way"
                )
            }
            Self::RealTimeOrder { room, earlier, later } => write!(
                f,
                "{earlier} was acknowledged before {later} was sent to {room}, but has the greater number"
            ),
            Self::AnsweredTwice { worker, life, id } => {
                write!(f, "request {id} of {worker} (connection {life}) was answered more than once")
            }
            Self::NotAsked { worker, life, id } => {
                write!(f, "{worker} got an answer to {id} (connection {life}), which it had not asked")
            }
            Self::Unanswered { worker, life, id } => {
                write!(f, "request {id} of {worker} (connection {life}) has no answer")
            }
            Self::NeverSettled { worker, room, cid } => {
                write!(
                    f,
                    "{worker} repeated {cid} to the end, and {room} neither stored nor refused it for good"
                )
            }
            Self::TimeWentBack { room, seq, ts, before } => {
                write!(f, "the time of {room}/{seq} is {ts}, before that of its predecessor, {before}")
            }
            Self::ReadAfterRemoval { worker, room, removed, seq } => {
                write!(
                    f,
                    "{worker} lost its place in the private room {room} with {removed}, but was sent {seq}"
                )
            }
        }
    }
}
