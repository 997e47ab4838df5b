//! The thread of a shard and its turns.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use mio::{Events, Poll, Token, Waker};

use super::Shard;
use super::pin::pin;
use super::wheel::TICK_MS;
use crate::inbox::Mail;
use crate::node::Node;

/// A running shard. Stop it with [`Mail::Stop`], then join it.
pub type ShardThread = JoinHandle<()>;

/// News of sockets that one poll brings.
const NEWS: usize = 1_024;
/// What the poll calls the arrival of mail: no connection has all bits set.
const MAIL: Token = Token(usize::MAX);

/// Starts the thread of a shard.
///
/// # Errors
/// The operating system's, if it gives no thread or no event queue.
pub fn spawn(node: Arc<Node>, id: u16) -> io::Result<ShardThread> {
    let poll = Poll::new()?;
    node.inboxes[usize::from(id)].listen(Waker::new(poll.registry(), MAIL)?);
    let registry = poll.registry().try_clone()?;
    std::thread::Builder::new().name(format!("shard-{id}")).spawn(move || {
        if node.config.pin_shards {
            pin(id);
        }
        let turns = catch_unwind(AssertUnwindSafe(|| Shard::new(id, node, registry).run(poll)));
        if turns.is_err() {
            // Rooms of this shard are lost; half alive is worse than restarted (R18).
            tracing::error!(shard = id, "a shard panicked; the process ends");
            std::process::abort();
        }
    })
}

impl Shard {
    /// Takes turns until the shard is stopped.
    fn run(mut self, mut poll: Poll) {
        let mut news = Events::with_capacity(NEWS);
        let mut is_last = false;
        while !is_last {
            match poll.poll(&mut news, Some(self.patience())) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => news.clear(),
                // Without news of its sockets a shard cannot serve, and only a bug leads here.
                Err(error) => panic_on(&error),
            }
            is_last = self.turn(&news);
        }
    }

    /// Takes one turn; returns whether it was the last.
    fn turn(&mut self, news: &Events) -> bool {
        let began_ns = self.node.clock.mono_ns();
        self.now = self.node.clock.now();
        news.iter().filter(|event| event.token() != MAIL).for_each(|event| self.on_ready(event));
        self.read_sockets();
        let is_last = self.open_mails();
        if self.now.mono_ms >= self.schedule.next_tick_ms {
            self.schedule.next_tick_ms = self.now.mono_ms + TICK_MS;
            self.tick();
        }
        // Before anybody is written to: whoever hears an answer may rely on what it tells, on all shards.
        self.hand_over();
        let broadcasts = self.metrics.broadcasts.get();
        if self.has_to_write() && (is_last || self.pace.is_time(self.node.clock.mono_ns(), broadcasts)) {
            self.flush();
            self.hand_over();
        }
        let ended_ns = self.node.clock.mono_ns();
        self.pace.end_turn(began_ns, ended_ns);
        self.metrics.turns.inc();
        self.metrics.turn_duration.observe_ns(ended_ns - began_ns);
        self.report();
        is_last
    }

    /// Returns how long the shard may sleep if nothing happens.
    fn patience(&self) -> Duration {
        if !self.intake.readable.is_empty() || !self.mails.come.is_empty() {
            return Duration::ZERO;
        }
        let now_ns = self.node.clock.mono_ns();
        let tick =
            Duration::from_millis(self.schedule.next_tick_ms).saturating_sub(Duration::from_nanos(now_ns));
        self.pace.patience(now_ns).map_or(tick, |patience| patience.min(tick))
    }

    /// Has something done on the server's runtime; what comes of it is mail.
    pub(super) fn run_errand(&self, errand: impl Future<Output = Mail> + Send + 'static) {
        let (node, id) = (Arc::clone(&self.node), self.id);
        self.node.errands.run(async move { node.route(id, errand.await) });
    }

    /// Opens a mail.
    pub(super) fn open(&mut self, mail: Mail) {
        match mail {
            Mail::Input { room, input } => self.handle(&room, input),
            Mail::Effect(effect) => self.apply(effect),
            Mail::Broadcast { room, event } => self.broadcast_here(&room, &event),
            Mail::Adopt(upgraded) => self.adopt(*upgraded),
            Mail::ListRooms(list) => self.list_rooms(&list),
            // Nobody waits for it while the node stops.
            Mail::NameRooms(answer) => drop(answer.send(self.hub.durable_rooms().cloned().collect())),
            Mail::Inquiry(inquiry) => self.inquire(inquiry),
            Mail::Conversations { conn, cursors } => self.conversations(conn, cursors),
            Mail::Verdict { conn, verdict } => self.decide(conn, verdict),
            Mail::KeepBudget => self.keep_budget(),
            Mail::Reopen(pipe) => self.node.commits.reopen(pipe),
            Mail::Revoke(revocation) => self.revoke(&revocation),
            Mail::Drain { spread_ms } => self.drain(spread_ms),
            Mail::Stop => self.note_present(),
        }
    }

    /// Has the rooms remember who was in them until the end.
    fn note_present(&mut self) {
        let mut effects = std::mem::take(&mut self.scratch.effects);
        self.hub.note_present(&mut effects);
        self.carry_out(&mut effects);
    }

    /// Shows how much this shard holds.
    fn report(&self) {
        self.metrics.rooms.set(self.hub.room_count() as u64);
        self.metrics.members.set(self.fanout.place_count() + self.laggards.place_count());
        self.metrics.lagging.set(self.laggards.count());
        self.show_outboxes();
        self.metrics.timers.set(self.schedule.wheel.len() as u64);
        self.metrics
            .inbox
            .set((self.node.inboxes[usize::from(self.id)].len() + self.mails.come.len()) as u64);
    }

    /// Whether anything is to be written at the end of the turn.
    fn has_to_write(&self) -> bool {
        self.fanout.is_dirty() || !self.output.dirty.is_empty()
    }
}

#[expect(clippy::panic, reason = "the thread ends, and with it the process: see `spawn`")]
fn panic_on(error: &io::Error) -> ! {
    panic!("the event queue failed: {error}")
}
