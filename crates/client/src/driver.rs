//! The one task of a client: it owns the connection, the rooms and the unanswered requests.

mod inbound;
mod rooms;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use parlour_protocol::command::SetPresence;
use parlour_protocol::event::{Event, Reply, Welcome};
use parlour_protocol::{Command, Request, RoomName, Seq};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::backoff::Backoff;
use crate::error::{Error, Lost};
use crate::link::{Dial, Link};
use crate::pending::{Pending, Waiter};
use crate::track::Track;
use crate::update::Update;

/// What a handle asks of the task.
#[derive(Debug)]
pub(crate) enum Job {
    /// A command with an answer.
    Ask(Command, oneshot::Sender<Result<Event, Error>>),
    /// A command without one; forgotten while there is no connection.
    Say(Command),
    /// Say goodbye and end.
    Close,
}

/// State of the task.
#[derive(Debug)]
pub(crate) struct Driver {
    dial: Dial,
    jobs: mpsc::Receiver<Job>,
    updates: mpsc::Sender<Update>,
    /// Updates that wait for the reader; the socket is not read while there are too many.
    backlog: VecDeque<Update>,
    pending: Pending,
    /// Requests to send before anything else is awaited.
    outbox: VecDeque<Request>,
    /// The rooms to be in, and what was seen of them.
    rooms: HashMap<RoomName, Track>,
    /// Errands for later: repairs and rejoins that the server had no time for.
    errands: Vec<(Instant, Errand)>,
    /// The newest message of each private conversation: its number and time.
    conversations: HashMap<RoomName, (Seq, i64)>,
    presence: Option<SetPresence>,
    backoff: Backoff,
}

#[derive(Debug)]
enum Errand {
    Rejoin(RoomName),
    Repair(RoomName),
}

/// What ends the wait of the loop.
enum Turn {
    Heard(Result<Reply, Lost>),
    Asked(Option<Job>),
    Delivered,
    Check,
    Errand,
}

/// Why a connection is no longer served.
enum End {
    Lost(Lost),
    Closed,
}

impl Driver {
    pub(crate) fn new(dial: Dial, jobs: mpsc::Receiver<Job>, updates: mpsc::Sender<Update>) -> Self {
        Self {
            dial,
            jobs,
            updates,
            backlog: VecDeque::new(),
            pending: Pending::default(),
            outbox: VecDeque::new(),
            rooms: HashMap::new(),
            errands: Vec::new(),
            conversations: HashMap::new(),
            presence: None,
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
        self.backoff.succeed();
        self.backoff.follow(welcome.reconnect);
        self.outbox.clear();
        self.errands.clear();
        self.rejoin_all();
        if let Some(presence) = self.presence.clone() {
            let request = self.pending.add(Command::Presence(presence), Waiter::Nobody);
            self.outbox.push_back(request);
        }
        let repeated: Vec<_> = self.pending.repeated().collect();
        let is_new = |request: &Request| !self.outbox.iter().any(|queued| queued.id == request.id);
        let repeated: Vec<_> = repeated.into_iter().filter(is_new).collect();
        self.outbox.extend(repeated);
    }

    /// One turn: sends what is due, waits for one thing, and handles it.
    async fn serve(&mut self, link: &mut Link) -> Result<(), End> {
        while let Some(request) = self.outbox.pop_front() {
            link.send(&request).await.map_err(End::Lost)?;
        }
        let listens = self.backlog.len() < self.updates.max_capacity();
        if !listens {
            link.forgive();
        }
        let (check_at, errand_at) = (link.check_at(), self.errand_at());
        let turn = tokio::select! {
            reply = link.next(), if listens => Turn::Heard(reply),
            job = self.jobs.recv() => Turn::Asked(job),
            permit = self.updates.reserve(), if !self.backlog.is_empty() => {
                deliver(permit, &mut self.backlog);
                Turn::Delivered
            }
            () = sleep_until(check_at), if listens => Turn::Check,
            () = sleep_until(errand_at), if !self.errands.is_empty() => Turn::Errand,
        };
        match turn {
            Turn::Heard(reply) => self.hear(reply.map_err(End::Lost)?),
            Turn::Asked(None | Some(Job::Close)) => return Err(End::Closed),
            Turn::Asked(Some(Job::Say(command))) => self.outbox.push_back(Request { id: None, command }),
            Turn::Asked(Some(Job::Ask(command, caller))) => self.ask(command, Waiter::Caller(caller)),
            Turn::Check => link.check().await.map_err(End::Lost)?,
            Turn::Errand => self.run_errands(),
            Turn::Delivered => {}
        }
        Ok(())
    }

    fn ask(&mut self, command: Command, waiter: Waiter) {
        let request = self.pending.add(command, waiter);
        self.outbox.push_back(request);
    }

    /// Hands an update to the reader, now or as soon as there is room.
    pub(crate) fn tell(&mut self, mut update: Update) {
        if self.backlog.is_empty() {
            update = match self.updates.try_send(update) {
                Err(mpsc::error::TrySendError::Full(update)) => update,
                // Sent, or nobody listens and nobody will.
                Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => return,
            };
        }
        match (self.backlog.back_mut(), &update) {
            // An outage may outlast the patience of any reader; its last attempt says it all.
            (Some(last @ Update::Reconnecting { .. }), Update::Reconnecting { .. }) => *last = update,
            _ => self.backlog.push_back(update),
        }
    }

    fn errand_at(&self) -> Instant {
        self.errands.iter().map(|(at, _)| *at).min().unwrap_or_else(Instant::now)
    }

    /// Tries until there is a connection. Returns `None` when the client is closed or gives up.
    async fn reconnect(&mut self, mut cause: Lost) -> Option<Link> {
        loop {
            if !cause.is_retryable() {
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
                dialled = Link::connect(self.dial.clone()) => dialled,
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
        while !self.backlog.is_empty() {
            tokio::select! {
                permit = self.updates.reserve() => deliver(permit, &mut self.backlog),
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
                    Some(Job::Ask(command, caller)) => {
                        self.pending.add(command, Waiter::Caller(caller));
                    }
                },
                permit = self.updates.reserve(), if !self.backlog.is_empty() => {
                    deliver(permit, &mut self.backlog);
                }
            }
        }
    }
}

fn deliver(
    permit: Result<mpsc::Permit<'_, Update>, mpsc::error::SendError<()>>,
    backlog: &mut VecDeque<Update>,
) {
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
