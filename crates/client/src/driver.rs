//! The one task of a client: it owns the connection, the rooms and the unanswered requests.

mod cursors;
mod inbound;
mod lanes;
mod renewal;
mod rooms;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use parlour_protocol::command::SetPresence;
use parlour_protocol::event::{Event, Reply, Welcome};
use parlour_protocol::{Command, Position, Request, RoomName, Seq, UserId};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::backoff::Backoff;
use crate::error::{Error, Lost};
use crate::link::{Dial, Link};
use crate::pending::{Pending, Waiter};
use crate::token::{Getting, NoToken};
use crate::track::Track;
use crate::update::{Told, Update};
use cursors::Cursors;
use lanes::{Pause, lane_of};

/// What a handle asks of the task.
#[derive(Debug)]
pub(crate) enum Job {
    /// A command with an answer.
    Ask(Command, oneshot::Sender<Result<Event, Error>>),
    /// A command without one; forgotten while there is no connection.
    Say(Command),
    /// The reader has got this far in a room; told to others soon.
    Read(RoomName, Seq),
    /// Say goodbye and end.
    Close,
}

/// What the task begins with.
#[derive(Debug)]
pub(crate) struct Beginning {
    pub(crate) dial: Dial,
    /// Positions to resume from when their rooms are entered.
    pub(crate) positions: HashMap<RoomName, Position>,
    /// Whether to tell others what has arrived here.
    pub(crate) reports_delivery: bool,
}

/// A room to be in, or a private conversation.
#[derive(Debug)]
struct Room {
    track: Track,
    /// Whether this connection is in it.
    is_attached: bool,
}

/// State of the task.
#[derive(Debug)]
pub(crate) struct Driver {
    beginning: Beginning,
    /// Who the server takes this client for.
    user: UserId,
    jobs: mpsc::Receiver<Job>,
    reader: Reader,
    pending: Pending,
    /// Requests to send before anything else is awaited.
    outbox: VecDeque<Request>,
    rooms: HashMap<RoomName, Room>,
    /// Lanes in which something failed.
    pauses: HashMap<RoomName, Pause>,
    errands: Vec<(Instant, Errand)>,
    cursors: Cursors,
    standing: Standing,
    backoff: Backoff,
}

/// What the server is told of the user on every connection.
#[derive(Default)]
struct Standing {
    presence: Option<SetPresence>,
    /// A new token that is on its way.
    renewal: Option<Getting>,
}

/// The way to the reader of the updates.
#[derive(Debug)]
struct Reader {
    updates: mpsc::Sender<Told>,
    /// Updates that wait for the reader; the socket is not read while there are too many.
    backlog: VecDeque<Told>,
    /// Rooms of which more is asked for as soon as the reader has got all that was told.
    wanting: VecDeque<RoomName>,
}

/// Something to do later.
#[derive(Debug)]
enum Errand {
    Rejoin(RoomName),
    Repair(RoomName),
    /// Say again what failed in a lane.
    Repeat(RoomName),
    More(RoomName),
    /// Tell others what was read and what has arrived.
    Cursors,
    /// Get a new token.
    Renew,
}

/// What ends the wait of the loop.
enum Turn {
    Heard(Result<Reply, Lost>),
    Asked(Option<Job>),
    Delivered,
    Consumed,
    Check,
    Errand,
    Renewed(Result<String, NoToken>),
}

/// Why a connection is no longer served.
enum End {
    Lost(Lost),
    Closed,
}

impl Driver {
    pub(crate) fn new(
        beginning: Beginning,
        user: UserId,
        jobs: mpsc::Receiver<Job>,
        updates: mpsc::Sender<Told>,
    ) -> Self {
        let begun = beginning.positions.iter().filter(|(room, _)| room.is_private());
        let begun = begun.map(|(room, at)| (room.clone(), Room { track: Track::at(*at), is_attached: true }));
        Self {
            rooms: begun.collect(),
            beginning,
            user,
            jobs,
            reader: Reader { updates, backlog: VecDeque::new(), wanting: VecDeque::new() },
            pending: Pending::default(),
            outbox: VecDeque::new(),
            pauses: HashMap::new(),
            errands: Vec::new(),
            cursors: Cursors::default(),
            standing: Standing::default(),
            backoff: Backoff::new(),
        }
    }

    /// Serves connection after connection until the client is closed or has to give up.
    pub(crate) async fn run(mut self, mut link: Link) {
        loop {
            let cause = match self.serve(&mut link).await {
                Ok(()) => continue,
                Err(End::Closed) => return link.close().await,
                Err(End::Lost(cause)) => cause,
            };
            self.pending.disconnect();
            match self.reconnect(cause).await {
                Some(next) => link = next,
                None => return,
            }
        }
    }

    /// Takes over what a welcome says, and repeats what the last connection left open.
    pub(crate) fn begin(&mut self, welcome: &Welcome) {
        self.user = welcome.user.clone();
        self.backoff.succeed();
        self.backoff.follow(welcome.reconnect);
        self.outbox.clear();
        self.errands.clear();
        self.pauses.clear();
        self.reader.wanting.clear();
        self.rejoin_all();
        self.standing.renewal = None;
        if let Some(presence) = self.standing.presence.clone() {
            self.ask(Command::Presence(presence), Waiter::Nobody);
        }
        for id in self.pending.unsent(None) {
            self.outbox.extend(self.pending.send(id));
        }
        self.pending.lanes().iter().for_each(|lane| self.run_lane(lane));
        self.tell_cursors_soon();
    }

    /// One turn: sends what is due, waits for one thing, and handles it.
    async fn serve(&mut self, link: &mut Link) -> Result<(), End> {
        while let Some(request) = self.outbox.pop_front() {
            link.send(&request).await.map_err(End::Lost)?;
        }
        let listens = self.reader.backlog.len() < self.reader.updates.max_capacity();
        if !listens {
            link.forgive();
        }
        let (check_at, errand_at) = (link.check_at(), self.errand_at());
        let Reader { updates, backlog, wanting } = &mut self.reader;
        let renewal = &mut self.standing.renewal;
        let turn = tokio::select! {
            reply = link.next(), if listens => Turn::Heard(reply),
            job = self.jobs.recv() => Turn::Asked(job),
            permit = updates.reserve(), if !backlog.is_empty() => {
                deliver(permit, backlog);
                Turn::Delivered
            }
            // All permits: nothing waits to be read any more. An error says that nobody reads.
            _ = updates.reserve_many(updates.max_capacity()), if backlog.is_empty() && !wanting.is_empty() => {
                Turn::Consumed
            }
            () = sleep_until(check_at), if listens => Turn::Check,
            () = sleep_until(errand_at), if !self.errands.is_empty() => Turn::Errand,
            token = renewal::finish(renewal) => Turn::Renewed(token),
        };
        match turn {
            Turn::Heard(reply) => self.hear(reply.map_err(End::Lost)?),
            Turn::Asked(None | Some(Job::Close)) => return Err(End::Closed),
            Turn::Asked(Some(Job::Say(command))) => self.outbox.push_back(Request { id: None, command }),
            Turn::Asked(Some(Job::Ask(command, caller))) => self.ask_for(command, caller),
            Turn::Asked(Some(Job::Read(room, seq))) => self.note_read(room, seq),
            Turn::Check => link.check().await.map_err(End::Lost)?,
            Turn::Errand => self.run_errands(),
            Turn::Renewed(token) => self.renewed(token),
            Turn::Consumed => self.ask_more(),
            Turn::Delivered => {}
        }
        Ok(())
    }

    /// Sends a request of the driver's own.
    fn ask(&mut self, command: Command, waiter: Waiter) {
        let id = self.pending.add(command, waiter, None);
        self.outbox.extend(self.pending.send(id));
    }

    fn ask_for(&mut self, mut command: Command, caller: oneshot::Sender<Result<Event, Error>>) {
        if let Command::Join(join) = &mut command
            && join.since.is_none()
        {
            join.since = self.beginning.positions.remove(&join.room);
        }
        match lane_of(&command, &self.user) {
            None => self.ask(command, Waiter::Caller(caller)),
            Some(lane) => {
                self.pending.add(command, Waiter::Caller(caller), Some(lane.clone()));
                self.run_lane(&lane);
            }
        }
    }

    /// Hands an update to the reader, now or as soon as there is room.
    pub(crate) fn tell(&mut self, update: Update) {
        self.reader.tell(update.into());
    }

    fn errand_at(&self) -> Instant {
        self.errands.iter().map(|(at, _)| *at).min().unwrap_or_else(Instant::now)
    }

    /// Tries until there is a connection. Returns `None` when the client is closed or gives up.
    async fn reconnect(&mut self, mut cause: Lost) -> Option<Link> {
        loop {
            let is_retryable = cause.is_retryable() || (cause.wants_token() && self.is_renewable());
            if !is_retryable {
                self.end(cause).await;
                return None;
            }
            let wait = self.backoff.next(random()).max(cause.retry_after().unwrap_or_default());
            self.tell(Update::Reconnecting { cause, wait });
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.idle() => return None,
            }
            let dialled = tokio::select! {
                dialled = Link::connect(self.beginning.dial.clone()) => dialled,
                () = self.idle() => return None,
            };
            match dialled {
                Ok((link, welcome)) => {
                    self.begin(&welcome);
                    self.tell(Update::Connected(welcome));
                    return Some(link);
                }
                Err(error) => cause = error,
            }
        }
    }

    /// Gives up, and tells why as soon as the reader has room.
    async fn end(&mut self, cause: Lost) {
        // Callers learn at once that nothing will be answered any more.
        self.pending = Pending::default();
        self.tell(Update::Ended(cause));
        while !self.reader.backlog.is_empty() {
            tokio::select! {
                permit = self.reader.updates.reserve() => deliver(permit, &mut self.reader.backlog),
                job = self.jobs.recv() => if matches!(job, None | Some(Job::Close)) { return },
            }
        }
    }

    /// Serves the handles while there is no connection. Ends when the client is closed; cancel-safe.
    async fn idle(&mut self) {
        loop {
            tokio::select! {
                job = self.jobs.recv() => match job {
                    None | Some(Job::Close) => return,
                    Some(Job::Say(_)) => {}
                    Some(Job::Read(room, seq)) => self.cursors.read(room, seq),
                    Some(Job::Ask(command, caller)) => {
                        let lane = lane_of(&command, &self.user);
                        self.pending.add(command, Waiter::Caller(caller), lane);
                    }
                },
                permit = self.reader.updates.reserve(), if !self.reader.backlog.is_empty() => {
                    deliver(permit, &mut self.reader.backlog);
                }
            }
        }
    }
}

impl Reader {
    fn tell(&mut self, mut told: Told) {
        if self.backlog.is_empty() {
            told = match self.updates.try_send(told) {
                Err(mpsc::error::TrySendError::Full(told)) => told,
                // Sent, or nobody listens and nobody will.
                Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => return,
            };
        }
        match self.backlog.back_mut() {
            // An outage may outlast the patience of any reader; its last attempt says it all.
            Some(last) if last.is_attempt() && told.is_attempt() => *last = told,
            _ => self.backlog.push_back(told),
        }
    }
}

fn deliver(permit: Result<mpsc::Permit<'_, Told>, mpsc::error::SendError<()>>, backlog: &mut VecDeque<Told>) {
    match permit {
        Ok(permit) => {
            if let Some(update) = backlog.pop_front() {
                permit.send(update);
            }
        }
        Err(_) => backlog.clear(),
    }
}

fn random() -> u32 {
    // Without randomness the middle of the window is still better than its beginning.
    getrandom::u32().unwrap_or(1 << 31)
}

/// How long to wait with an errand that the server refused for now.
fn later(retry_after_ms: Option<u32>) -> Instant {
    Instant::now() + Duration::from_millis(retry_after_ms.unwrap_or(1_000).into())
}
