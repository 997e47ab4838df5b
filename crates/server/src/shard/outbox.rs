//! What waits for one slow socket. An idle or fast connection owns nothing here.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::rc::Rc;

use super::socket::Socket;

/// Most slices handed to the kernel in one call.
const SLICES: usize = 64;

/// Frames that the kernel has not taken yet, in order.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Boxed: most connections never need it.
    waiting: Option<Box<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    slices: VecDeque<Slice>,
    bytes: usize,
    /// When the kernel last took something, on the shard's clock.
    progress_ms: u64,
    /// Where the bytes are counted, for as long as they are here.
    tally: Rc<Tally>,
}

/// What waits in all outboxes of a shard.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) bytes: Cell<u64>,
    pub(super) outboxes: Cell<u64>,
    /// Bytes of the largest outbox; may be out of date where it has become smaller.
    pub(super) largest: Cell<u64>,
}

/// A part of a buffer that may be shared by every member of a room.
#[derive(Debug, Clone)]
pub(super) struct Slice {
    pub(super) buffer: Rc<Vec<u8>>,
    pub(super) start: usize,
}

impl Slice {
    fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }
}

impl Outbox {
    /// Whether the socket has taken everything.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_none()
    }

    /// Returns how many bytes wait.
    pub(super) fn bytes(&self) -> usize {
        self.waiting.as_ref().map_or(0, |waiting| waiting.bytes)
    }

    /// Returns since when nothing was taken although something waits.
    pub(super) fn stalled_since(&self) -> Option<u64> {
        self.waiting.as_ref().map(|waiting| waiting.progress_ms)
    }

    /// Adds a slice behind all others.
    pub(super) fn push(&mut self, slice: Slice, now_ms: u64, tally: &Rc<Tally>) {
        let waiting = self.waiting(now_ms, tally);
        waiting.grow(slice.bytes().len());
        waiting.slices.push_back(slice);
    }

    fn waiting(&mut self, now_ms: u64, tally: &Rc<Tally>) -> &mut Waiting {
        self.waiting.get_or_insert_with(|| Box::new(Waiting::new(now_ms, tally)))
    }

    /// Forgets everything that the kernel has not begun to take.
    ///
    /// A slice that is partly written stays, because a frame must not end in its middle.
    pub(super) fn abandon(&mut self) {
        let Some(waiting) = &mut self.waiting else {
            return;
        };
        let begun = waiting.slices.front().is_some_and(|slice| slice.start > 0);
        waiting.slices.truncate(usize::from(begun));
        let left: usize = waiting.slices.iter().map(|slice| slice.bytes().len()).sum();
        waiting.shrink(waiting.bytes - left);
        if waiting.slices.is_empty() {
            self.waiting = None;
        }
    }

    /// Writes as much as the kernel takes; `Ok` also when that is not all.
    ///
    /// # Errors
    /// The socket's error; the connection is lost then.
    pub(super) fn write_to(
        &mut self,
        socket: &mut Socket,
        now_ms: u64,
        tally: &Rc<Tally>,
    ) -> io::Result<usize> {
        self.send_encrypted(socket, now_ms, tally)?;
        let mut total = 0;
        while let Some(waiting) = &mut self.waiting {
            if waiting.slices.is_empty() {
                if socket.waiting() == 0 {
                    self.waiting = None;
                }
                break;
            }
            let written = match waiting.write_once(socket) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            total += written;
            waiting.advance(written, now_ms);
        }
        Ok(total)
    }

    /// Lets go out what has been encrypted already. It blocks the connection like everything here.
    fn send_encrypted(&mut self, socket: &mut Socket, now_ms: u64, tally: &Rc<Tally>) -> io::Result<()> {
        let before = socket.waiting();
        if before == 0 {
            return Ok(());
        }
        let waiting = self.waiting(now_ms, tally);
        match socket.send() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
        if socket.waiting() < before {
            waiting.progress_ms = now_ms;
        }
        Ok(())
    }
}

impl Waiting {
    fn new(now_ms: u64, tally: &Rc<Tally>) -> Self {
        tally.outboxes.set(tally.outboxes.get() + 1);
        Self { slices: VecDeque::new(), bytes: 0, progress_ms: now_ms, tally: Rc::clone(tally) }
    }

    fn grow(&mut self, bytes: usize) {
        let Tally { bytes: all, largest, .. } = &*self.tally;
        self.bytes += bytes;
        all.set(all.get() + bytes as u64);
        largest.set(largest.get().max(self.bytes as u64));
    }

    fn shrink(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.tally.bytes.set(self.tally.bytes.get() - bytes as u64);
    }

    fn write_once(&self, socket: &mut Socket) -> io::Result<usize> {
        if let [only] = self.slices.as_slices().0
            && self.slices.len() == 1
        {
            return socket.write(only.bytes());
        }
        let mut vectors = [IoSlice::new(&[]); SLICES];
        let mut count = 0;
        for (vector, slice) in vectors.iter_mut().zip(&self.slices) {
            *vector = IoSlice::new(slice.bytes());
            count += 1;
        }
        socket.write_vectored(&vectors[..count])
    }

    fn advance(&mut self, mut written: usize, now_ms: u64) {
        self.shrink(written);
        self.progress_ms = now_ms;
        while let Some(front) = self.slices.front_mut() {
            let length = front.bytes().len();
            if written < length {
                front.start += written;
                return;
            }
            written -= length;
            self.slices.pop_front();
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.shrink(self.bytes);
        self.tally.outboxes.set(self.tally.outboxes.get() - 1);
    }
}
