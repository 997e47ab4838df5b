//! The one door to io_uring, and the only unsafe code of the workspace.
//!
//! **The invariant.** `Kernel::carry` is lent sockets and bytes, and gives the kernel their numbers
//! and addresses. It returns only when every send that it has submitted is complete, so the kernel
//! never reads memory that Rust believes free. From the first submission to the last completion no
//! code of others runs; nothing returns early, and what would unwind, or cannot be brought to an
//! end, aborts the process. Between calls nothing is queued and nothing is in flight.
#![expect(unsafe_code, reason = "io_uring is given addresses, whose validity only we can promise")]

use std::os::fd::{AsRawFd as _, RawFd};
use std::time::Duration;
use std::{fmt, fs, io, mem, process, thread};

use io_uring::{IoUring, Probe, opcode, squeue, types};

use crate::{Outgoing, Unavailable};

/// How often, and how long, we wait for a kernel that has no memory for a request; then it is hopeless.
const REFUSALS_MAX: u32 = 10_000;
const REFUSAL_PAUSE: Duration = Duration::from_millis(1);

/// An io_uring with nothing in it.
pub(crate) struct Kernel {
    ring: IoUring,
    /// The last chunk. The addresses in it are stale as soon as `carry` returns, and never followed.
    sent: Vec<Sent>,
}

/// A send and what has become of it.
pub(crate) struct Sent {
    bytes: *const u8,
    length: u32,
    socket: RawFd,
    /// Bytes taken, or an error number below zero.
    result: i32,
}

impl Kernel {
    pub(crate) fn new(entries: u32) -> Result<Self, Unavailable> {
        // A filter of system calls may let us set up a ring and then forbid to enter it. An enter with
        // nothing queued can still fail, one with something must not.
        let entered = set_up(entries).and_then(|ring| ring.submit().map(|_| ring));
        let ring = entered.map_err(|error| {
            let sysctl = fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok();
            Unavailable::from_set_up(error, sysctl.as_deref())
        })?;
        let mut probe = Probe::new();
        let is_known = ring.submitter().register_probe(&mut probe).is_ok();
        if !is_known || !probe.is_supported(opcode::Send::CODE) {
            return Err(Unavailable::TooOld);
        }
        let sent = Vec::with_capacity(ring.params().sq_entries() as usize);
        Ok(Self { ring, sent })
    }

    /// Takes as many sends as the ring has entries, and returns when all of these are complete, with
    /// their outcomes in the same order.
    pub(crate) fn carry<'a>(&mut self, sends: impl Iterator<Item = Outgoing<'a>>) -> &[Sent] {
        self.sent.clear();
        // Queued only when all are gathered: `sends` may panic, and what is queued cannot be taken back.
        self.sent.extend(sends.take(self.ring.params().sq_entries() as usize).map(Sent::new));

        let abort_on_unwind = AbortOnUnwind;
        let mut queue = self.ring.submission();
        for (index, send) in (0..).zip(&self.sent) {
            // SAFETY: the entry holds an address and a descriptor that are lent for `'a`, which lasts
            // as long as this call, and `complete` returns only when the kernel is done with them.
            let pushed = unsafe { queue.push(&send.entry(index)) };
            pushed.expect("as many as there are entries, and the queue was empty");
        }
        drop(queue);
        self.complete();
        mem::forget(abort_on_unwind);
        &self.sent
    }

    /// Submits what is queued and waits until all of it is complete. Must not panic or return before.
    fn complete(&mut self) {
        let mut refusals = 0;
        let mut incomplete = self.sent.len();
        while incomplete > 0 {
            // Sends that do not wait are complete when the call returns that submits them, so one
            // round is usual. To ask for completions as well costs a little more.
            let is_submitted = self.ring.submission().is_empty();
            let want = if is_submitted { incomplete } else { 0 };
            match self.ring.submit_and_wait(want) {
                Ok(_) => refusals = 0,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    refusals += 1;
                    let may_pass = matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EBUSY));
                    if !may_pass || refusals > REFUSALS_MAX {
                        abort(&error);
                    }
                    thread::sleep(REFUSAL_PAUSE);
                }
            }
            for completion in self.ring.completion() {
                self.sent[completion.user_data() as usize].result = completion.result();
                incomplete -= 1;
            }
        }
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kernel").field("entries", &self.ring.params().sq_entries()).finish_non_exhaustive()
    }
}

impl Sent {
    fn new(send: Outgoing<'_>) -> Self {
        // More than this is taken in part, as a full socket would do.
        let length = send.bytes.len().min(i32::MAX as usize) as u32;
        Self { bytes: send.bytes.as_ptr(), length, socket: send.socket.as_raw_fd(), result: 0 }
    }

    fn entry(&self, index: u64) -> squeue::Entry {
        opcode::Send::new(types::Fd(self.socket), self.bytes, self.length)
            // Without DONTWAIT the kernel would keep a send that a socket does not take, and its
            // bytes with it, until the socket does.
            .flags(libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
            .build()
            .user_data(index)
    }

    pub(crate) fn socket(&self) -> RawFd {
        self.socket
    }

    pub(crate) fn is_complete(&self) -> bool {
        u32::try_from(self.result) == Ok(self.length)
    }

    pub(crate) fn outcome(&self) -> io::Result<usize> {
        usize::try_from(self.result).map_err(|_| io::Error::from_raw_os_error(-self.result))
    }
}

/// Sets up a ring with what the kernel knows to save work: Linux 6.6 needs no array of indices, 6.1
/// runs deferred work only when it is asked to, 5.18 goes on behind an entry that fails.
fn set_up(entries: u32) -> io::Result<IoUring> {
    let mut newest = IoUring::builder();
    newest.setup_submit_all().setup_single_issuer().setup_defer_taskrun().setup_no_sqarray();
    let mut newer = IoUring::builder();
    newer.setup_submit_all().setup_single_issuer().setup_defer_taskrun();
    let mut older = IoUring::builder();
    older.setup_submit_all();
    for builder in [newest, newer, older] {
        match builder.build(entries) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
            result => return result,
        }
    }
    IoUring::new(entries)
}

/// Ends the process when it is dropped.
struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        abort(&"a panic");
    }
}

fn abort(reason: &dyn fmt::Display) -> ! {
    eprintln!("io_uring cannot complete its sends: {reason}. The kernel may still read what they lent.");
    process::abort();
}
