//! A connection that is made again when it was lost.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_postgres::Config;

use super::fault::Fault;
use super::session::{Purpose, Session};

/// How long the database may be silent.
pub(super) const PATIENCE: Duration = Duration::from_millis(2_300);
/// How long to wait between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(100);

/// One connection at most, made when it is needed.
pub(super) struct Link {
    config: Rc<Config>,
    purpose: Purpose,
    session: RefCell<Option<Rc<Session>>>,
    /// Held by whoever connects.
    connecting: Mutex<()>,
    /// Whether the last failure was logged.
    is_down: Cell<bool>,
}

impl Link {
    pub(super) fn new(config: Rc<Config>, purpose: Purpose) -> Self {
        let (session, connecting) = (RefCell::default(), Mutex::default());
        Self { config, purpose, session, connecting, is_down: Cell::new(false) }
    }

    /// Returns the connection, and makes it if need be, again and again until the deadline. A snapshot
    /// that is lost stays lost.
    pub(super) async fn session(&self, deadline: Instant) -> Result<Rc<Session>, Fault> {
        if self.purpose == Purpose::Snapshot {
            // Another one would show another moment.
            return self.current().ok_or(Fault::Silent);
        }
        timeout_at(deadline, self.connect()).await.map_err(|_| Fault::Silent)
    }

    async fn connect(&self) -> Rc<Session> {
        let _connecting = self.connecting.lock().await;
        loop {
            if let Some(session) = self.current() {
                return session;
            }
            match Session::open(&self.config, self.purpose).await {
                Ok(session) => {
                    if self.is_down.replace(false) {
                        tracing::info!("the database answers again");
                    }
                    self.adopt(session);
                }
                Err(error) => {
                    if !self.is_down.replace(true) {
                        tracing::error!(%error, "cannot connect to the database");
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Takes over a connection that was made for it.
    pub(super) fn adopt(&self, session: Session) {
        *self.session.borrow_mut() = Some(Rc::new(session));
    }

    fn current(&self) -> Option<Rc<Session>> {
        self.session.borrow().clone().filter(|session| !session.is_closed())
    }

    /// Gives up a connection that does not answer; the next request makes another.
    pub(super) fn abandon(&self, session: &Rc<Session>) {
        let mut current = self.session.borrow_mut();
        if current.as_ref().is_some_and(|current| Rc::ptr_eq(current, session)) {
            *current = None;
        }
    }

    /// Does something that may be done twice, within a patience; where the connection turns out to be
    /// lost, once more on a new one.
    pub(super) async fn run<T>(
        &self,
        patience: Duration,
        work: impl AsyncFn(&Session) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let deadline = Instant::now() + patience;
        let mut session = self.session(deadline).await?;
        let mut is_first = true;
        loop {
            let outcome = timeout_at(deadline, work(&session)).await.unwrap_or(Err(Fault::Silent));
            let is_lost = session.is_closed() || matches!(outcome, Err(Fault::Silent));
            if is_lost {
                self.abandon(&session);
            }
            match outcome {
                Err(Fault::Postgres(error)) if is_lost && is_first => {
                    tracing::debug!(%error, "lost the connection to the database");
                    session = self.session(deadline).await?;
                    is_first = false;
                }
                outcome => return outcome,
            }
        }
    }
}
