//! The desk: where somebody without a WebSocket asks a room, and waits for its answer.
//!
//! A question goes to the room's home as any other input. Its caller is a ticket of the desk in the
//! shape of a connection ([`ConnId::DESK`]), so that the hub needs to know nothing of HTTP; what the
//! room wants this "connection" to be told is the answer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use parlour_hub::input::Caller;
use parlour_hub::rights::Grants;
use parlour_hub::{ConnId, Input};
use parlour_protocol::event::Event;
use parlour_protocol::{ErrorCode, Refusal, RoomName, Seq, UserId};
use slab::Slab;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::inbox::Mail;
use crate::node::Node;

/// Questions that may wait for their answers; one more is refused.
const MOST: usize = 10_000;
/// How long an answer is waited for. A room answers at once or when the store does.
const PATIENCE: Duration = Duration::from_secs(10);
/// What somebody is told to wait when too much is asked, in milliseconds.
const CROWDED_RETRY_MS: u32 = 1_000;

/// Who asks.
#[derive(Debug, Clone)]
pub struct Asker {
    /// In whose name.
    pub user: UserId,
    /// What it may do.
    pub grants: Arc<Grants>,
}

/// The questions that wait for their answers.
#[derive(Debug, Default)]
pub struct Desk {
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    questions: Slab<Question>,
    last_generation: u32,
}

#[derive(Debug)]
struct Question {
    generation: u32,
    answer: oneshot::Sender<Event>,
}

/// A place at the desk. Whoever drops it no longer wants an answer.
#[derive(Debug)]
struct Ticket<'a> {
    desk: &'a Desk,
    conn: ConnId,
    answer: oneshot::Receiver<Event>,
}

/// A question that a room has been asked.
#[derive(Debug)]
pub struct Asked<'a> {
    ticket: Ticket<'a>,
    until: Instant,
    /// What it means if no answer comes.
    late: ErrorCode,
}

impl Desk {
    fn open(&self) -> Result<Ticket<'_>, Refusal> {
        let mut waiting = self.waiting();
        if waiting.questions.len() >= MOST {
            return Err(Refusal::retry_after(ErrorCode::Overloaded, CROWDED_RETRY_MS));
        }
        waiting.last_generation = waiting.last_generation.wrapping_add(1);
        let generation = waiting.last_generation;
        let (sender, answer) = oneshot::channel();
        let slot = waiting.questions.insert(Question { generation, answer: sender });
        let conn = ConnId { shard: ConnId::DESK, slot: slot as u32, generation };
        Ok(Ticket { desk: self, conn, answer })
    }

    /// Answers a question, if somebody still waits for it.
    pub fn answer(&self, to: ConnId, event: Event) {
        if let Some(question) = self.take(to) {
            // Nobody waits any more if this fails.
            drop(question.answer.send(event));
        }
    }

    /// Returns how many questions wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting().questions.len()
    }

    /// Whether no question waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn take(&self, conn: ConnId) -> Option<Question> {
        let mut waiting = self.waiting();
        let slot = conn.slot as usize;
        let is_current = waiting.questions.get(slot).is_some_and(|q| q.generation == conn.generation);
        is_current.then(|| waiting.questions.remove(slot))
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket<'_> {
    async fn answered(mut self, until: Instant) -> Option<Event> {
        timeout_at(until, &mut self.answer).await.ok()?.ok()
    }
}

impl Asked<'_> {
    /// Waits for the answer, up to 10 s after the question.
    ///
    /// # Errors
    /// The room's refusal; if no answer comes, `indeterminate` where something was to be stored and
    /// `unavailable` elsewhere.
    pub async fn answer(self) -> Result<Event, Refusal> {
        match self.ticket.answered(self.until).await {
            Some(Event::Error(refusal)) => Err(refusal),
            Some(event) => Ok(event),
            None => Err(Refusal::retry_after(self.late, CROWDED_RETRY_MS)),
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.desk.take(self.conn);
    }
}

impl Node {
    /// Asks a room something that it answers once. Nothing takes the question back.
    ///
    /// # Errors
    /// `overloaded` if too much is asked.
    pub fn pose(
        &self,
        room: &RoomName,
        asker: &Asker,
        input: impl FnOnce(Caller) -> Input,
    ) -> Result<Asked<'_>, Refusal> {
        let home = &self.inboxes[self.home(room)];
        if home.is_crowded() {
            return Err(Refusal::retry_after(ErrorCode::Overloaded, CROWDED_RETRY_MS));
        }
        let ticket = self.api.desk.open()?;
        let (user, grants) = (asker.user.clone(), Some(Arc::clone(&asker.grants)));
        let input = input(Caller { conn: ticket.conn, user, request: None, grants });
        let late = match input {
            Input::Publish { .. } | Input::Create { .. } => ErrorCode::Indeterminate,
            _ => ErrorCode::Unavailable,
        };
        home.post(Mail::Input { room: room.clone(), input });
        Ok(Asked { ticket, until: Instant::now() + PATIENCE, late })
    }

    /// Asks a room something, and waits for the answer.
    ///
    /// # Errors
    /// Those of [`Node::pose`] and [`Asked::answer`].
    pub async fn ask(
        &self,
        room: &RoomName,
        asker: &Asker,
        input: impl FnOnce(Caller) -> Input,
    ) -> Result<Event, Refusal> {
        self.pose(room, asker, input)?.answer().await
    }
}

impl Node {
    /// Waits until a room has an entry after `after`, at most for `longest`. Whoever waited reads the log.
    ///
    /// # Errors
    /// Those of [`Node::pose`] and [`Asked::answer`].
    pub async fn wait_for_entry(
        &self,
        room: &RoomName,
        asker: &Asker,
        after: Seq,
        longest: Duration,
    ) -> Result<(), Refusal> {
        let longest_ms = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
        let until_ms = self.clock.now().mono_ms.saturating_add(longest_ms);
        let asked = self.pose(room, asker, |caller| Input::Watch { caller, after, until_ms })?;
        Asked { until: asked.until + longest, ..asked }.answer().await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Long enough for an answer that is there already.
    fn soon() -> Instant {
        Instant::now() + PATIENCE
    }

    fn pong() -> Event {
        Event::Pong(parlour_protocol::event::Pong { server_time_ms: 1 })
    }

    #[tokio::test]
    async fn an_answer_reaches_the_one_who_asked() {
        let desk = Desk::default();
        let (one, two) = (desk.open().expect("free"), desk.open().expect("free"));
        desk.answer(two.conn, pong());
        assert_eq!(two.answered(soon()).await, Some(pong()));
        assert_eq!(desk.len(), 1);
        drop(one);
        assert!(desk.is_empty());
    }

    #[tokio::test]
    async fn an_answer_for_somebody_who_has_gone_reaches_nobody_else() {
        let desk = Desk::default();
        let gone = desk.open().expect("free").conn;
        let next = desk.open().expect("free");
        assert_eq!((gone.slot, gone.generation != next.conn.generation), (next.conn.slot, true));
        desk.answer(gone, pong());
        desk.answer(next.conn, Event::Rooms(Vec::new()));
        assert_eq!(next.answered(soon()).await, Some(Event::Rooms(Vec::new())));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever() {
        let desk = Desk::default();
        let ticket = desk.open().expect("free");
        assert_eq!(ticket.answered(soon()).await, None);
        assert!(desk.is_empty());
    }

    #[test]
    fn the_desk_is_bounded() {
        let desk = Desk::default();
        let tickets: Vec<_> = (0..MOST).map(|_| desk.open().expect("free")).collect();
        assert_eq!(desk.open().expect_err("full").code, ErrorCode::Overloaded);
        drop(tickets);
        assert!(desk.open().is_ok());
    }
}
