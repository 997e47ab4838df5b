//! The requests of a client.

mod moderate;
mod receipts;
mod say;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use compact_str::CompactString;
use parlour_protocol::command::{
    Availability, Command, HistoryQuery, InRoom, Join, Search, SetPresence, Typing,
};
use parlour_protocol::event::{Event, Found, HistoryPage, Joined, MemberList, RoomInfo, RoomSummary};
use parlour_protocol::{Position, RoomName, Seq, UserId};
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::builder::Builder;
use crate::driver::Job;
use crate::error::Error;
use crate::pending::MOST;
use crate::update::Reached;

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
    /// The newest entries.
    #[default]
    Newest,
    /// The entries before this one.
    Before(Seq),
    /// The entries after this one.
    After(Seq),
    /// The messages of the thread that begins with `root`, after the one of this number.
    Thread {
        /// The first message.
        root: Seq,
        /// The last one that is known; 0 for none.
        after: Seq,
    },
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
    reached: Reached,
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
        reached: Reached,
    ) -> Self {
        let open = Arc::new(Semaphore::new(MOST));
        Self { jobs, task: Arc::new(Mutex::new(Some(task))), open, user, request_timeout, reached }
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

    /// Asks for a page of at most `limit` entries, 1 to 500; 50 unless told. Messages are told as
    /// they are now.
    ///
    /// # Errors
    /// As every request; see [`Error`].
    pub async fn history(&self, room: &str, page: Page, limit: Option<u32>) -> Result<HistoryPage, Error> {
        let (before, after, thread) = match page {
            Page::Newest => (None, None, None),
            Page::Before(seq) => (Some(seq), None, None),
            Page::After(seq) => (None, Some(seq), None),
            Page::Thread { root, after } => (None, Some(after), Some(root)),
        };
        let query = HistoryQuery { room: parse(room)?, before, after, thread, limit };
        match self.request(Command::History(query)).await? {
            Event::History(page) => Ok(*page),
            other => unexpected(&other),
        }
    }

    /// Asks for a room's title, topic, roles and pins.
    ///
    /// # Errors
    /// As every request; see [`Error`].
    pub async fn info(&self, room: &str) -> Result<RoomInfo, Error> {
        match self.request(Command::Info(InRoom { room: parse(room)? })).await? {
            Event::Info(info) => Ok(*info),
            other => unexpected(&other),
        }
    }

    /// Looks for messages that hold all words of `query`, newest first: in one room, or in all that
    /// the user may read. `before` is [`Found::next`] of the page before.
    ///
    /// # Errors
    /// As every request; see [`Error`].
    pub async fn search(
        &self,
        query: impl Into<CompactString>,
        room: Option<&str>,
        before: Option<CompactString>,
    ) -> Result<Found, Error> {
        let room = room.map(parse).transpose()?;
        let search = Search { query: query.into(), room, before, limit: None };
        match self.request(Command::Search(search)).await? {
            Event::Found(found) => Ok(*found),
            other => unexpected(&other),
        }
    }

    /// Returns how far the reader of the updates has got in each room, for
    /// [`Builder::resume_from`] in another run of the program. An update counts once the reader
    /// asks for the next one.
    #[must_use]
    pub fn cursors(&self) -> HashMap<RoomName, Position> {
        self.reached.list()
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

    /// Sends any command that has an answer, and returns the answer. What is said without a `cid`
    /// gets one.
    ///
    /// # Errors
    /// See [`Error`]; a refusal is [`Error::Refused`], never an event.
    pub async fn request(&self, mut command: Command) -> Result<Event, Error> {
        say::name(&mut command)?;
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

fn done(event: Event) -> Result<(), Error> {
    match event {
        Event::Ack(_) => Ok(()),
        other => unexpected(&other),
    }
}

fn unexpected<T>(event: &Event) -> Result<T, Error> {
    Err(Error::Unexpected(event.name()))
}
