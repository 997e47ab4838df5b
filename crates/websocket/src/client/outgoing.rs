//! The way out of a connection, shared by everything that sends.
//!
//! Frames are encoded into a queue under a lock that is never held across an await, and whoever
//! queued one then drains the queue into the socket. So frames never interleave, and the reader can
//! answer a ping while a writer waits for a slow socket.

use super::StreamError;
use crate::{Deflater, Opcode, encode};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

/// Compressing less is not worth it, in bytes.
const MIN_COMPRESSED: usize = 64;

/// Pings are not answered while so many bytes wait for the socket, else a peer that pings and never
/// reads would make us hold ever more.
const MAX_QUEUED_FOR_PONG: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Outgoing<W> {
    queue: Mutex<Queue>,
    socket: tokio::sync::Mutex<Socket<W>>,
}

/// Encoded frames that nobody has begun to write.
#[derive(Debug)]
struct Queue {
    frames: Vec<u8>,
    keys: Keys,
    deflate: bool,
    deflater: Option<Box<Deflater>>,
    closed: bool,
}

/// The socket and what is being written; survives a cancelled write.
#[derive(Debug)]
struct Socket<W> {
    output: W,
    batch: Vec<u8>,
    written: usize,
}

impl<W> Outgoing<W> {
    pub(super) fn new(output: W, deflate: bool) -> Self {
        let keys = Keys::default();
        let queue = Queue { frames: Vec::new(), keys, deflate, deflater: None, closed: false };
        let socket = Socket { output, batch: Vec::new(), written: 0 };
        Self { queue: Mutex::new(queue), socket: tokio::sync::Mutex::new(socket) }
    }

    pub(super) fn queue_message(&self, opcode: Opcode, payload: &[u8]) -> Result<(), StreamError> {
        let mut queue = self.open_queue()?;
        let key = queue.keys.next()?;
        let Queue { frames, deflate, deflater, .. } = &mut *queue;
        if *deflate && payload.len() >= MIN_COMPRESSED {
            let deflater = deflater.get_or_insert_with(|| Box::new(Deflater::new(6, 12)));
            encode::masked_compressed_frame(frames, deflater, opcode, payload, key);
        } else {
            encode::masked_frame(frames, opcode, payload, key);
        }
        Ok(())
    }

    /// Queues a control frame; after a close nothing more can be queued.
    pub(super) fn queue_control(&self, opcode: Opcode, payload: &[u8]) -> Result<(), StreamError> {
        let mut queue = self.open_queue()?;
        let key = queue.keys.next()?;
        encode::masked_frame(&mut queue.frames, opcode, payload, key);
        queue.closed = opcode == Opcode::Close;
        Ok(())
    }

    /// Queues the answer to a ping, unless too much waits already.
    pub(super) fn queue_pong(&self, payload: &[u8]) -> Result<(), StreamError> {
        if self.lock_queue().frames.len() > MAX_QUEUED_FOR_PONG {
            return Ok(());
        }
        self.queue_control(Opcode::Pong, payload)
    }

    fn open_queue(&self) -> Result<MutexGuard<'_, Queue>, StreamError> {
        let queue = self.lock_queue();
        if queue.closed { Err(StreamError::Closed) } else { Ok(queue) }
    }

    fn lock_queue(&self) -> MutexGuard<'_, Queue> {
        // Every change of the queue leaves whole frames, so a panic elsewhere does not spoil it.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: AsyncWrite + Unpin> Outgoing<W> {
    /// Writes until the queue is empty. Cancel-safe: the rest waits for the next flush.
    pub(super) async fn flush(&self) -> Result<(), StreamError> {
        let mut socket = self.socket.lock().await;
        let Socket { output, batch, written } = &mut *socket;
        loop {
            if *written == batch.len() {
                batch.clear();
                *written = 0;
                std::mem::swap(batch, &mut self.lock_queue().frames);
                if batch.is_empty() {
                    break;
                }
            }
            match output.write(&batch[*written..]).await? {
                0 => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                taken => *written += taken,
            }
        }
        Ok(output.flush().await?)
    }
}

/// Masking keys, drawn from the operating system 64 at a time: a call for every frame would cost
/// more than the rest of sending a small one.
#[derive(Debug, Default)]
struct Keys {
    unused: Vec<[u8; 4]>,
}

impl Keys {
    fn next(&mut self) -> io::Result<[u8; 4]> {
        if let Some(key) = self.unused.pop() {
            return Ok(key);
        }
        let mut keys = [[0; 4]; 64];
        fill_random(keys.as_flattened_mut())?;
        let [key, unused @ ..] = keys;
        self.unused.extend(unused);
        Ok(key)
    }
}

pub(super) fn fill_random(bytes: &mut [u8]) -> io::Result<()> {
    getrandom::fill(bytes).map_err(|error| io::Error::other(error.to_string()))
}
