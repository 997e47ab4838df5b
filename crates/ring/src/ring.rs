//! What a caller sees: a ring, and a way to send by it. Nothing here is unsafe.

use std::io::{self, Read as _};
use std::iter;
use std::marker::PhantomData;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;

use crate::Unavailable;
use crate::kernel::Kernel;
use crate::sockets::Sockets;

/// Bytes for a socket.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// A connected stream socket. Whether it is in non-blocking mode makes no difference.
    pub socket: BorrowedFd<'a>,
    /// What it is to take.
    pub bytes: &'a [u8],
}

/// An io_uring of one thread, for sends that do not wait.
///
/// Belongs to the thread that made it, since the kernel works less for a ring that only one thread
/// enters. Holds one file descriptor, and in memory about 128 bytes per entry and 4 bytes per
/// number up to the highest descriptor that was sent to.
#[derive(Debug)]
pub struct Ring {
    kernel: Kernel,
    sockets: Sockets,
    not_send: PhantomData<*const ()>,
}

impl Ring {
    /// Sets up a ring that carries up to `entries` sends per system call, and tries it once.
    ///
    /// `entries` is from 1 to 32,768, and rounded up to a power of two. 64 is a good number: with fewer
    /// the system calls count, with more the memory that the kernel touches per send.
    ///
    /// # Errors
    /// Why this system, or its operator, does not let us. A caller then sends one by one.
    pub fn new(entries: u32) -> Result<Self, Unavailable> {
        let kernel = Kernel::new(entries)?;
        let mut ring = Self { kernel, sockets: Sockets::default(), not_send: PhantomData };
        ring.try_out().map_err(Unavailable::Broken)?;
        Ok(ring)
    }

    /// Sends everything, without waiting for any socket, and tells `done` of each send by its index,
    /// in the order of `sends`.
    ///
    /// The outcome is that of `send(2)` with `MSG_DONTWAIT | MSG_NOSIGNAL`: how many bytes the kernel
    /// took, which may be fewer than there are; [`WouldBlock`](io::ErrorKind::WouldBlock) if none;
    /// or what is wrong with this one socket.
    ///
    /// A socket may come several times: its bytes keep their order, and after a send that was not
    /// taken entirely the later ones of this call are not tried and answered with `WouldBlock`.
    /// Otherwise a socket that drains meanwhile would take what comes behind the missing part.
    /// Each repetition costs a system call.
    ///
    /// Neither `sends` nor `done` is called while the kernel holds what was lent to it, so both may
    /// panic; sends that were not submitted until then are forgotten. Does not allocate, except to
    /// note a descriptor that is higher than all before.
    ///
    /// Ends the process if the kernel keeps sends without completing them, or has had no memory for
    /// any for 10 seconds: to return would free what it may still read.
    pub fn send_all<'a>(
        &mut self,
        sends: impl IntoIterator<Item = Outgoing<'a>>,
        mut done: impl FnMut(usize, io::Result<usize>),
    ) {
        let mut sends = sends.into_iter();
        let mut next = sends.next();
        let mut indices = 0..;
        self.sockets.begin_call();
        while next.is_some() {
            self.sockets.begin_chunk();
            let chunk = iter::from_fn(|| {
                let send = next.take_if(|send| self.sockets.admit(send.socket.as_raw_fd()))?;
                next = sends.next();
                Some(send)
            });
            for (sent, index) in self.kernel.carry(chunk).iter().zip(&mut indices) {
                if !sent.is_complete() {
                    self.sockets.fell_short(sent.socket());
                }
                done(index, sent.outcome());
            }
            while next.take_if(|send| self.sockets.is_short(send.socket.as_raw_fd())).is_some() {
                done(indices.start, Err(io::ErrorKind::WouldBlock.into()));
                indices.start += 1;
                next = sends.next();
            }
        }
    }

    /// Sends one byte to ourselves: what calls itself a kernel may know the call and not do the work.
    fn try_out(&mut self) -> io::Result<()> {
        let (sender, mut receiver) = UnixStream::pair()?;
        let mut outcome = Err(io::ErrorKind::WriteZero.into());
        let send = Outgoing { socket: sender.as_fd(), bytes: b"!" };
        self.send_all([send], |_, taken| outcome = taken);
        if outcome? != 1 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        receiver.set_nonblocking(true)?;
        receiver.read_exact(&mut [0])
    }
}
