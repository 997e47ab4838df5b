//! The end of a turn: one write per socket.

use std::io;
use std::rc::Rc;

use super::Shard;
use super::connection::{Connection, Phase};
use super::ending::Reason;
use super::fanout::{Batch, finish};
use super::outbox::{Slice, Tally};
use parlour_protocol::ErrorCode;

/// What a write left behind.
enum Written {
    Everything,
    /// The kernel has taken bytes up to here; the rest waits.
    UpTo(usize),
    Failed,
}

/// A write of a batch to a socket that waits for nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Write {
    slot: u32,
    /// Which of the batches.
    batch: u32,
}

impl Shard {
    /// Writes what this turn has gathered.
    pub(super) fn flush(&mut self) {
        while self.fanout.is_dirty() || !self.output.dirty.is_empty() {
            let mut batches = std::mem::take(&mut self.scratch.batches);
            self.fanout.take_turn(&mut batches);
            self.write_batches(&mut batches);
            self.scratch.batches = batches;
            self.flush_dirty();
            self.keep_budget();
        }
    }

    /// Writes what this turn holds for one room, before its list of members changes.
    pub(super) fn settle(&mut self, room: u32) {
        let mut batches = std::mem::take(&mut self.scratch.batches);
        self.fanout.settle(room, &mut batches);
        self.write_batches(&mut batches);
        self.scratch.batches = batches;
    }

    /// Gives batches to their recipients.
    pub(super) fn write_batches(&mut self, batches: &mut Vec<Batch>) {
        if batches.len() > 1 {
            self.count_shares(batches);
        }
        let mut writes = std::mem::take(&mut self.scratch.writes);
        for (index, batch) in (0..).zip(&*batches) {
            self.plan(index, batch, &mut writes);
        }
        self.write_planned(batches, &mut writes);
        self.scratch.writes = writes;
        batches.drain(..).for_each(|batch| self.fanout.recycle(batch));
        self.unlist_slow();
    }

    /// Notes how many of several batches each connection gets: with one it is written at once, with
    /// more they are gathered into one vectored write.
    fn count_shares(&mut self, batches: &[Batch]) {
        for batch in batches {
            for slot in self.fanout.recipients(batch) {
                self.connections[*slot as usize].shares += 1;
            }
        }
    }

    /// Sorts the recipients of a batch: those who get nothing else are written to at once, the others
    /// get it behind what they have, unless that is too much already.
    fn plan(&mut self, index: u32, batch: &Batch, writes: &mut Vec<Write>) {
        let lag_bytes = if batch.is_urgent { usize::MAX } else { self.node.config.limits.lag_bytes };
        for &slot in self.fanout.recipients(batch) {
            let connection = &mut self.connections[slot as usize];
            let is_only = connection.shares <= 1;
            connection.shares = connection.shares.saturating_sub(1);
            if !connection.is_live() {
                continue;
            }
            #[cfg(feature = "failpoints")]
            if super::failpoint::skips() {
                continue;
            }
            if is_only && connection.is_ready_for_more() {
                writes.push(Write { slot, batch: index });
            } else if connection.outbox.bytes() > lag_bytes {
                self.laggards.find(slot, batch.room, batch.since);
            } else {
                enqueue(connection, batch, batch.start, self.now.mono_ms, &self.output.tally);
                mark(connection, slot, &mut self.output.dirty);
            }
        }
    }

    /// Writes to the sockets that wait for nothing; what the kernel does not take begins to wait.
    fn write_planned(&mut self, batches: &[Batch], writes: &mut Vec<Write>) {
        let connections = &self.connections;
        let planned = writes.iter().map(|write| {
            let batch = &batches[write.batch as usize];
            (&connections[write.slot as usize].socket, &batch.frames[batch.start..])
        });
        let (mut bytes, mut short) = (0, std::mem::take(&mut self.scratch.short));
        self.output.writer.write_all(planned, |index, taken| {
            let batch = &batches[writes[index].batch as usize];
            match outcome(taken, batch.frames.len() - batch.start) {
                Written::Everything => bytes += (batch.frames.len() - batch.start) as u64,
                Written::UpTo(taken) => {
                    bytes += taken as u64;
                    short.push((writes[index], taken));
                }
                // It fails again at the end of the turn. Ending the connection here could pull it away
                // under a caller who is about to answer it.
                Written::Failed => short.push((writes[index], 0)),
            }
        });
        self.metrics.bytes_out.add(bytes);
        for (Write { slot, batch }, taken) in short.drain(..) {
            let batch = &batches[batch as usize];
            let connection = &mut self.connections[slot as usize];
            enqueue(connection, batch, batch.start + taken, self.now.mono_ms, &self.output.tally);
            mark(connection, slot, &mut self.output.dirty);
        }
        self.scratch.short = short;
        writes.clear();
    }

    fn flush_dirty(&mut self) {
        for slot in std::mem::take(&mut self.output.dirty) {
            let Some(connection) = self.connections.get_mut(slot as usize) else {
                continue;
            };
            if std::mem::take(&mut connection.is_dirty) {
                self.write_own(slot);
            }
        }
    }

    fn write_own(&mut self, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        if connection.outbox.is_empty() && !connection.own.is_empty() {
            let start = finish(connection.variant.dialect, &mut connection.own);
            let frames = &connection.own[start..];
            match outcome(connection.socket.write(frames), frames.len()) {
                Written::Everything => {
                    self.metrics.bytes_out.add(frames.len() as u64);
                    connection.own = Vec::new();
                }
                Written::UpTo(written) => {
                    let buffer = Rc::new(std::mem::take(&mut connection.own));
                    connection.outbox.push(
                        Slice { buffer, start: start + written },
                        self.now.mono_ms,
                        &self.output.tally,
                    );
                }
                Written::Failed => return self.end(slot, Reason::Lost),
            }
        }
        self.push_own(slot);
        self.write_outbox(slot);
    }

    /// Writes what waits for a socket, and judges a client that takes too little.
    pub(super) fn write_outbox(&mut self, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        match connection.outbox.write_to(&mut connection.socket, self.now.mono_ms, &self.output.tally) {
            Ok(bytes) => self.metrics.bytes_out.add(bytes as u64),
            Err(_) => return self.end(slot, Reason::Lost),
        }
        if connection.outbox.is_empty() {
            return self.written(slot);
        }
        if connection.outbox.bytes() > self.node.config.limits.outbox_bytes && connection.is_live() {
            return self.end(slot, Reason::Error(ErrorCode::SlowConsumer));
        }
        // The poll tells when the socket takes more.
        let stall_ms = self.node.timeout_ms(|timeouts| timeouts.stall);
        self.check_by(slot, self.now.mono_ms + stall_ms);
    }

    /// The socket has taken everything.
    fn written(&mut self, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        if let Phase::Closed { .. } = connection.phase {
            // Half-close and wait for the peer's end: dropping the socket with unread input would
            // reset the connection and take the close frame with it.
            if connection.socket.shutdown_write().is_err() {
                self.end(slot, Reason::Lost);
            }
        } else {
            self.ask_for_left_out(slot);
            self.ask_for_stream(slot);
        }
    }
}

/// Puts a batch, from `start` on, behind what waits for a connection.
fn enqueue(connection: &mut Connection, batch: &Batch, start: usize, now_ms: u64, tally: &Rc<Tally>) {
    if !connection.own.is_empty() {
        let mut own = std::mem::take(&mut connection.own);
        let start = finish(connection.variant.dialect, &mut own);
        connection.outbox.push(Slice { buffer: Rc::new(own), start }, now_ms, tally);
    }
    connection.outbox.push(Slice { buffer: Rc::clone(&batch.frames), start }, now_ms, tally);
}

/// Notes that a connection has something to write at the end of the turn.
fn mark(connection: &mut Connection, slot: u32, dirty: &mut Vec<u32>) {
    if !std::mem::replace(&mut connection.is_dirty, true) {
        dirty.push(slot);
    }
}

impl Connection {
    /// Whether a write goes straight to the socket.
    fn is_ready_for_more(&self) -> bool {
        self.own.is_empty() && self.outbox.is_empty() && self.socket.is_plain()
    }
}

fn outcome(written: io::Result<usize>, wanted: usize) -> Written {
    match written {
        Ok(written) if written == wanted => Written::Everything,
        Ok(written) => Written::UpTo(written),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Written::UpTo(0),
        Err(_) => Written::Failed,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use parlour_hub::Effect;
    use parlour_hub::input::Caller;
    use parlour_protocol::UserId;

    use crate::shard::measure::FanOut;
    use crate::shard::writer::Writer;

    /// R18: one thread carries out the answers of rooms, so a panic there would end the process.
    #[tokio::test]
    async fn an_answer_to_a_connection_whose_socket_has_just_failed_is_harmless() {
        let FanOut { mut shard, room, event, _peers: mut peers } =
            FanOut::new(1, "text", None).expect("sockets");
        let peer = peers.pop().expect("one member");
        socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).expect("an option of TCP");
        drop(peer);
        let (conn, user) = (shard.id_of(0), UserId::parse("Alice").expect("valid"));
        let request = Caller { conn, user, request: None, grants: None };
        shard.output.writer = Writer::Each;
        // The member is on the list while this is said, and the answer to its `leave` settles the list.
        shard.broadcast_here(&room, &event);
        shard.apply(Effect::Detach { from: conn, room, request, refusal: None });
        shard.flush();
        assert!(shard.connections.is_empty(), "the end of the turn ends it");
    }
}
