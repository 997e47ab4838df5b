//! The thread of a shard and its turns.

use std::cell::RefCell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::time::MissedTickBehavior;

use super::adopt::adopt;
use super::wheel::TICK_MS;
use super::{Shard, ShardRef};
use crate::inbox::Mail;
use crate::listener;
use crate::node::Node;

/// A running shard. Stop it with [`Mail::Stop`], then join it.
pub type ShardThread = JoinHandle<()>;

/// Starts the thread of a shard.
///
/// # Errors
/// The operating system's, if it gives no thread.
pub fn spawn(node: Arc<Node>, id: u16) -> io::Result<ShardThread> {
    std::thread::Builder::new().name(format!("shard-{id}")).spawn(move || run(&node, id))
}

fn run(node: &Arc<Node>, id: u16) {
    let turns = catch_unwind(AssertUnwindSafe(|| {
        let runtime =
            Builder::new_current_thread().enable_io().enable_time().build_local(LocalOptions::default());
        // Without an event queue a node cannot serve, and this happens only at its start.
        let runtime = runtime.expect("the operating system gives an event queue");
        runtime.block_on(turns(Rc::new(RefCell::new(Shard::new(id, Arc::clone(node))))));
    }));
    if turns.is_err() {
        // Rooms of this shard are lost; half alive is worse than restarted (R18).
        tracing::error!(shard = id, "a shard panicked; the process ends");
        std::process::abort();
    }
}

/// Takes turns until the shard is stopped.
async fn turns(shard: ShardRef) {
    let (node, id) = {
        let state = shard.borrow();
        (Arc::clone(&state.node), state.id)
    };
    let inbox = Arc::clone(&node.inboxes[usize::from(id)]);
    let mut ticks = tokio::time::interval(Duration::from_millis(TICK_MS));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut mails = Vec::new();
    loop {
        // Both are cancellation safe: a notification that is not taken stays.
        let is_tick = tokio::select! {
            () = inbox.arrival() => false,
            _ = ticks.tick() => true,
        };
        inbox.take(&mut mails);
        let is_last = mails.iter().any(|mail| matches!(mail, Mail::Stop));
        let mut state = shard.borrow_mut();
        state.now = node.clock.now();
        let began_ns = node.clock.mono_ns();
        for mail in mails.drain(..) {
            match mail {
                Mail::Accepted { stream, peer, permit } => greet(&shard, &node, stream, peer, permit),
                mail => state.open(mail),
            }
        }
        if is_tick {
            state.tick();
        }
        state.flush();
        state.metrics.turns.inc();
        state.metrics.turn_duration.observe_ns(node.clock.mono_ns() - began_ns);
        state.report();
        run_errands(&mut state, &node);
        if is_last {
            return;
        }
    }
}

fn greet(
    shard: &ShardRef,
    node: &Arc<Node>,
    stream: std::net::TcpStream,
    peer: std::net::SocketAddr,
    permit: crate::admission::Permit,
) {
    let Ok(stream) = tokio::net::TcpStream::from_std(stream) else {
        return;
    };
    let shard = Rc::clone(shard);
    let shell = Arc::clone(&node.shell);
    tokio::task::spawn_local(listener::greet(stream, peer, permit, shell, move |upgraded| {
        adopt(&shard, upgraded)
    }));
}

fn run_errands(state: &mut Shard, node: &Arc<Node>) {
    for errand in state.errands.drain(..) {
        let (node, id) = (Arc::clone(node), state.id);
        tokio::task::spawn_local(async move { node.route(id, errand.await) });
    }
}

impl Shard {
    /// Opens a mail.
    fn open(&mut self, mail: Mail) {
        match mail {
            Mail::Input { room, input } => self.handle(&room, input),
            Mail::Effect(effect) => self.apply(effect),
            Mail::Broadcast { room, event } => self.broadcast_here(&room, &event),
            Mail::ListRooms(list) => self.list_rooms(&list),
            // Nobody waits for it while the node stops.
            Mail::NameRooms(answer) => drop(answer.send(self.hub.durable_rooms().cloned().collect())),
            Mail::Conversations { conn, cursors } => self.conversations(conn, cursors),
            Mail::Reopen(pipe) => self.node.commits.reopen(pipe),
            Mail::Drain { spread_ms } => self.drain(spread_ms),
            Mail::Stop => self.note_present(),
            Mail::Accepted { .. } => {}
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
        self.metrics.members.set(self.fanout.place_count());
        self.metrics.timers.set(self.wheel.len() as u64);
        self.metrics.inbox.set(self.node.inboxes[usize::from(self.id)].len() as u64);
    }

    /// Whether the turn has something to do for this shard's own sake.
    pub(super) fn has_work(&self) -> bool {
        self.fanout.is_dirty() || !self.dirty.is_empty() || !self.errands.is_empty()
    }
}
