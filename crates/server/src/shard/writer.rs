//! How writes to many sockets reach the kernel: one system call each, or one for many.

use std::io;

use parlour_ring::{Outgoing, Ring};

use super::socket::Socket;

/// Writes that one system call carries.
const ENTRIES: u32 = 64;

/// The way of one shard.
#[derive(Debug)]
pub(super) enum Writer {
    /// A `write(2)` for each socket.
    Each,
    /// By io_uring. Boxed: it is the larger part.
    Ring(Box<Ring>),
    /// Not at all, although it seems so: for measuring what everything else costs.
    Nowhere,
}

impl Writer {
    /// Prepares the way that the node has chosen. A ring belongs to the calling thread.
    pub(super) fn new(uses_ring: bool) -> Self {
        if !uses_ring {
            return Self::Each;
        }
        match Ring::new(ENTRIES) {
            Ok(ring) => Self::Ring(Box::new(ring)),
            Err(error) => {
                // The node could have one when it tried; memory or descriptors have run out since.
                tracing::warn!(%error, "a shard writes to each socket by itself");
                Self::Each
            }
        }
    }

    /// Writes to sockets that are [plain](Socket::is_plain), each once, and tells `done` of each write
    /// by its index what the kernel has taken.
    pub(super) fn write_all<'a>(
        &mut self,
        writes: impl Iterator<Item = (&'a Socket, &'a [u8])>,
        mut done: impl FnMut(usize, io::Result<usize>),
    ) {
        match self {
            Self::Each => {
                writes
                    .enumerate()
                    .for_each(|(index, (socket, bytes))| done(index, socket.write_plain(bytes)));
            }
            Self::Ring(ring) => {
                let sends = writes.map(|(socket, bytes)| Outgoing { socket: socket.plain(), bytes });
                ring.send_all(sends, done);
            }
            Self::Nowhere => writes.enumerate().for_each(|(index, (_, bytes))| done(index, Ok(bytes.len()))),
        }
    }
}
