//! The requests of a client.

use std::sync::Arc;
use std::time::Duration;

use compact_str::{CompactString, format_compact};
use parlour_protocol::command::{
    Availability, Command, HistoryQuery, InRoom, Join, Private, Publish, Read, SetPresence, Typing,
};
use parlour_protocol::event::{Event, HistoryPage, Joined, MemberList, RoomSummary, Stored};
use parlour_protocol::{Position, RoomName, Seq, UserId};
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::builder::Builder;
use crate::driver::Job;
use crate::error::Error;
use crate::pending::MOST;

/// How to enter a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JoinOptions {
    /// Go on after this position; all that came later follows.
    pub since: Option<Position>,
    /// Without `since`: how many of the last messages to replay, at most 500.
    pub history: Option<u32>,
}

/// Which page of history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Page {
    /// The newest messages.
    #[default]
    Newest,
    /// The messages before this one.
    Before(Seq),
    /// The messages after this one.
    After(Seq),
}

/// A client. Clones speak over the same connection; when the last one is dropped, the connection
/// is closed.
#[derive(Debug, Clone)]
pub struct Client {
    jobs: mpsc::Sender<Job>,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
    /// One permit per unanswered request.
    open: Arc<Semaphore>,
    user: UserId,
    request_timeout: Duration,
}

impl Client {
    /// Begins to describe a connection to `url`, such as `ws://127.0.0.1:8080/ws`.
    pub fn builder(url: impl Into<String>) -> Builder {
        Builder::new(url.into())
    }

    pub(crate) fn new(
        jobs: mpsc::Sender<Job>,
        task: JoinHandle<()>,
        user: UserId,
        request_timeout: Duration,
    ) -> Self {
        let open = Arc::new(Semaphore::new(MOST));
        Self { jobs, task: Arc::new(Mutex::new(Some(task))), open, user, request_timeout }
    }

    /// Returns who the server takes this client for.
    #[must_use]
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// Enters a room. The replayed messages follow as updates, and after a lost connection the room
    /// is entered again.
    ///
    /// # Errors
    /// As every request; see [`Error`].
    pub async fn join(&self, room: &str, options: JoinOptions) -> Result<Joined, Error> {
        let JoinOptions { since, history } = options;
        match self.request(Command::Join(Join { room: parse(room)?, since, history })).await? {
            Event::Joined(joined) => Ok(*joined),
            other => unexpected(&other),
        }
    }

    /// Leaves a room.
    ///
    /// # Errors
    /// As every request; see [`Error`].
    pub async fn leave(&self, room: &str) -> Result<(), Error> {
        match self.request(Command::Leave(InRoom { room: parse(room)? })).await? {
            Event::Left(_) => Ok(()),
            other => unexpected(&other),
        }
    }

    /// Says something in a room and waits until it is stored. It is repeated after a lost
    /// connection and stored once.
    ///
    /// # Errors
    /// As every request; see [`Error`].
    pub async fn publish(&self, room: &str, text: impl Into<Arc<str>>) -> Result<Stored, Error> {
        let (room, text) = (parse(room)?, text.into());
        stored(self.request(Command::Publish(Publish { room, text, cid: None })).await?)
    }

    /// Says something under a `cid` of 1 to 64 bytes: repeating it after [`Error::TimedOut`] or a
    /// restart of the program stores it once.
    ///
    /// # Errors
    /// As every request; see [`Error`].
    pub async fn publish_as(
        &self,
        cid: impl Into<CompactString>,
        room: &str,
        text: impl Into<Arc<str>>,
    ) -> Result<Stored, Error> {
        let (room, text, cid) = (parse(room)?, text.into(), Some(cid.into()));
        stored(self.request(Command::Publish(Publish { room, text, cid })).await?)
    }

    /// Says something to one user and waits until it is stored.
    ///
    /// # Errors
    /// As every request; see [`Error`].
    pub async fn private(&self, to: &str, text: impl Into<Arc<str>>) -> Result<Stored, Error> {
        let (to, text) = (UserId::parse(to)?, text.into());
        stored(self.request(Command::Private(Private { to, text, cid: None })).await?)
    }

    /// Starts or stops a typing notice. Nothing tells whether it arrived.
    ///
    /// # Errors
    /// [`Error::Name`] and [`Error::Closed`].
    pub async fn typing(&self, room: &str, active: bool) -> Result<(), Error> {
        let command = Command::Typing(Typing { room: parse(room)?, active });
        self.jobs.send(Job::Say(command)).await.map_err(|_| Error::Closed)
    }

    /// Sets the own presence, also for later connections of this client.
    ///
    /// # Errors
    /// As every request; see [`Error`].
    pub async fn presence(&self, status: Availability, text: Option<&str>) -> Result<(), Error> {
        let text = text.map(CompactString::from);
        done(self.request(Command::Presence(SetPresence { status, text })).await?)
    }

    /// Asks who is in a room.
    ///
    /// # Errors
    /// As every request; see [`Error`].
    pub async fn members(&self, room: &str) -> Result<MemberList, Error> {
        match self.request(Command::Members(InRoom { room: parse(room)? })).await? {
            Event::Members(members) => Ok(*members),
            other => unexpected(&other),
        }
    }

    /// Asks for a page of at most `limit` messages, 1 to 500; 50 unless told.
    ///
    /// # Errors
    /// As every request; see [`Error`].
    pub async fn history(&self, room: &str, page: Page, limit: Option<u32>) -> Result<HistoryPage, Error> {
        let (before, after) = match page {
            Page::Newest => (None, None),
            Page::Before(seq) => (Some(seq), None),
            Page::After(seq) => (None, Some(seq)),
        };
        let query = HistoryQuery { room: parse(room)?, before, after, limit };
        match self.request(Command::History(query)).await? {
            Event::History(page) => Ok(*page),
            other => unexpected(&other),
        }
    }

    /// Asks for one's rooms and the open ones.
    ///
    /// # Errors
    /// As every request; see [`Error`].
    pub async fn rooms(&self) -> Result<Vec<RoomSummary>, Error> {
        match self.request(Command::Rooms).await? {
            Event::Rooms(rooms) => Ok(rooms),
            other => unexpected(&other),
        }
    }

    /// Moves the read cursor of a room or private conversation to a message.
    ///
    /// # Errors
    /// As every request; see [`Error`].
    pub async fn read(&self, room: &str, seq: Seq) -> Result<(), Error> {
        done(self.request(Command::Read(Read { room: parse(room)?, seq })).await?)
    }

    /// Asks for a sign of life; returns the server's clock in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// As every request; see [`Error`].
    pub async fn ping(&self) -> Result<i64, Error> {
        match self.request(Command::Ping).await? {
            Event::Pong(pong) => Ok(pong.server_time_ms),
            other => unexpected(&other),
        }
    }

    /// Says goodbye, so that others see this user leave at once, and waits until nothing of the
    /// client is left: at most 10 s.
    pub async fn close(&self) {
        // An error means that the client has ended already.
        let _ = self.jobs.send(Job::Close).await;
        let mut task = self.task.lock().await;
        if let Some(running) = task.as_mut() {
            // A panic of the task was reported by the panic hook; here it is an end like another.
            let _ = running.await;
            *task = None;
        }
    }

    /// Sends any command that has an answer, and returns the answer. A message without a `cid` gets
    /// one.
    ///
    /// # Errors
    /// See [`Error`]; a refusal is [`Error::Refused`], never an event.
    pub async fn request(&self, mut command: Command) -> Result<Event, Error> {
        if let Command::Publish(Publish { cid, .. }) | Command::Private(Private { cid, .. }) = &mut command
            && cid.is_none()
        {
            *cid = Some(new_cid()?);
        }
        let (caller, answer) = oneshot::channel();
        let answered = async {
            let _open = self.open.acquire().await.map_err(|_| Error::Closed)?;
            self.jobs.send(Job::Ask(command, caller)).await.map_err(|_| Error::Closed)?;
            answer.await.map_err(|_| Error::Closed)?
        };
        tokio::time::timeout(self.request_timeout, answered).await.map_err(|_| Error::TimedOut)?
    }
}

fn parse(room: &str) -> Result<RoomName, Error> {
    Ok(RoomName::parse_any(room)?)
}

fn stored(event: Event) -> Result<Stored, Error> {
    match event {
        Event::Ack(parlour_protocol::event::Ack { stored: Some(stored) }) => Ok(stored),
        other => unexpected(&other),
    }
}

fn done(event: Event) -> Result<(), Error> {
    match event {
        Event::Ack(_) => Ok(()),
        other => unexpected(&other),
    }
}

fn unexpected<T>(event: &Event) -> Result<T, Error> {
    Err(Error::Unexpected(event.name()))
}

/// Names a message: 128 random bits.
fn new_cid() -> Result<CompactString, Error> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits).map_err(|_| Error::NoRandomness)?;
    Ok(format_compact!("{:032x}", u128::from_ne_bytes(bits)))
}
