//! Appending, with an answer that is true whatever happens to the connection.
//!
//! Each connection that appends has a row in the database, which a batch changes in its own
//! transaction. When the answer to a batch is lost, a fresh connection closes that row, which waits
//! for the batch if it still runs and keeps it out if it never ran, and reads what was committed.

use std::rc::Rc;
use std::time::Duration;

use parlour_hub::log::Draft;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_postgres::Config;
use uuid::Uuid;

use super::super::StoreError;
use super::batch::{APPEND, Answers, Batch, answers};
use super::fault::Fault;
use super::link::{Link, PATIENCE};
use super::session::{Purpose, Session};

/// How long the fate of a batch is asked for (P7).
const RESOLVE: Duration = Duration::from_secs(10);
/// How long to wait between two attempts to ask.
const PAUSE: Duration = Duration::from_millis(100);

const ENROL: &str = "INSERT INTO writer (id) VALUES ($1)";
const CLOSE: &str = "UPDATE writer SET closed = true WHERE id = $1 RETURNING *";
/// Others of the same day may belong to nodes that run.
const FORGET: &str = "DELETE FROM writer WHERE seen < now() - interval '1 day'";

/// The one that appends.
pub(super) struct Writer {
    config: Rc<Config>,
    link: Link,
    /// Batches are appended one after the other, in the order in which they were asked for.
    turn: Mutex<Option<Enrolled>>,
}

/// The row of a connection.
struct Enrolled {
    session: Rc<Session>,
    id: Uuid,
    last: i64,
}

/// A batch of which only the database knows what became of it.
struct Lost {
    writer: Uuid,
    number: i64,
}

impl Writer {
    /// Starts with a connection that was made already.
    pub(super) fn new(config: Rc<Config>, session: Session) -> Self {
        let link = Link::new(Rc::clone(&config), Purpose::Append);
        link.adopt(session);
        Self { config, link, turn: Mutex::default() }
    }

    /// Stores drafts; see `Store::append`. `opened` is the generation of their epochs.
    pub(super) async fn append(&self, drafts: &[Draft], opened: Uuid) -> Result<Answers, StoreError> {
        if drafts.is_empty() {
            return Ok(Vec::new());
        }
        let deadline = Instant::now() + PATIENCE;
        let lost = match self.attempt(drafts, opened, deadline).await {
            Ok(Ok(answers)) => return Ok(answers),
            Ok(Err(lost)) => lost,
            Err(fault) => {
                tracing::warn!(error = %fault, "could not append to the database");
                return Err(fault.answer());
            }
        };
        // Meanwhile others may append, if the database lets them.
        self.resolve(drafts, &lost).await
    }

    /// Appends once it is this batch's turn. An error means that nothing was stored.
    async fn attempt(
        &self,
        drafts: &[Draft],
        opened: Uuid,
        deadline: Instant,
    ) -> Result<Result<Answers, Lost>, Fault> {
        let mut turn = timeout_at(deadline, self.turn.lock()).await.map_err(|_| Fault::Silent)?;
        let batch = Batch::new(drafts, opened);
        loop {
            let Enrolled { session, id, last } = self.enrolled(&mut turn, deadline).await?;
            *last += 1;
            let (writer, number) = (*id, *last);
            let statement = timeout_at(deadline, session.prepared(APPEND)).await;
            let Ok(Ok(statement)) = statement else {
                self.give_up(&mut turn);
                statement.map_err(|_| Fault::Silent)??;
                continue;
            };
            let sent = batch.send(&session.client, &statement, writer, number);
            let fault = match timeout_at(Instant::now() + PATIENCE, sent).await {
                Ok(Ok(row)) => return Ok(Ok(answers(drafts, &row)?)),
                Ok(Err(error)) => Fault::Postgres(error),
                Err(_) => Fault::Silent,
            };
            if fault.is_definite() && !fault.is_closed_writer() {
                return Err(fault);
            }
            self.give_up(&mut turn);
            if !fault.is_closed_writer() {
                tracing::warn!(error = %fault, "lost the answer to a batch: asking for it");
                return Ok(Err(Lost { writer, number }));
            }
        }
    }

    /// Returns the connection with its row, made anew after a loss.
    async fn enrolled<'a>(
        &self,
        turn: &'a mut Option<Enrolled>,
        deadline: Instant,
    ) -> Result<&'a mut Enrolled, Fault> {
        if turn.as_ref().is_some_and(|enrolled| enrolled.session.is_closed()) {
            self.give_up(turn);
        }
        while turn.is_none() {
            let session = self.link.session(deadline).await?;
            let id = Uuid::new_v4();
            match timeout_at(deadline, session.client.execute(ENROL, &[&id])).await {
                Ok(Ok(_)) => *turn = Some(Enrolled { session, id, last: 0 }),
                Ok(Err(error)) if !session.is_closed() => return Err(error.into()),
                Ok(Err(_)) => self.link.abandon(&session),
                Err(_) => {
                    self.link.abandon(&session);
                    return Err(Fault::Silent);
                }
            }
        }
        turn.as_mut().ok_or(Fault::Silent)
    }

    fn give_up(&self, turn: &mut Option<Enrolled>) {
        if let Some(enrolled) = turn.take() {
            self.link.abandon(&enrolled.session);
        }
    }

    /// Finds out what became of a batch.
    async fn resolve(&self, drafts: &[Draft], lost: &Lost) -> Result<Answers, StoreError> {
        let deadline = Instant::now() + RESOLVE;
        let asking = async {
            loop {
                match self.ask(drafts, lost).await {
                    Ok(known) => return known,
                    Err(fault) => tracing::debug!(error = %fault, "could not ask for a batch"),
                }
                sleep(PAUSE).await;
            }
        };
        timeout_at(deadline, asking).await.unwrap_or(Err(StoreError::Indeterminate))
    }

    async fn ask(&self, drafts: &[Draft], lost: &Lost) -> Result<Result<Answers, StoreError>, Fault> {
        let session = Session::open(&self.config, Purpose::Resolve).await.map_err(Box::new)?;
        let row = session.client.query_opt(CLOSE, &[&lost.writer]).await?;
        let committed = match &row {
            Some(row) => row.try_get::<_, i64>("batch")? == lost.number,
            None => false,
        };
        Ok(match row {
            Some(row) if committed => answers(drafts, &row).map_err(|fault| fault.answer()),
            _ => Err(StoreError::Unavailable),
        })
    }

    /// Forgets the writers of nodes that are gone.
    pub(super) async fn forget_old(session: &Session) -> Result<(), Fault> {
        session.client.execute(FORGET, &[]).await?;
        Ok(())
    }
}
