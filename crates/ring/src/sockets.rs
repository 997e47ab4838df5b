//! Remembers which sockets a call has sent to, and which of them fell short.
//!
//! Two sends to one socket must not be with the kernel at once: if it takes the first in part and
//! then, since the peer has just read, the second in full, the stream has a hole. A table by
//! descriptor number costs one look-up per send, where a hash map would cost a hash.

use std::os::fd::RawFd;

/// Marks per socket, valid for the present call.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    /// By descriptor number: the last chunk that the socket was in, times two; plus one if a send of
    /// that chunk fell short.
    marks: Vec<u32>,
    chunk: u32,
    /// The first chunk of the present call.
    first: u32,
}

impl Sockets {
    /// Forgets who fell short in earlier calls.
    pub(crate) fn begin_call(&mut self) {
        self.first = self.chunk + 1;
    }

    /// Begins with sends that will be with the kernel together.
    pub(crate) fn begin_chunk(&mut self) {
        if self.chunk >= u32::MAX / 2 {
            // After two thousand million chunks the numbers begin anew, in the midst of a call: then
            // all chunks of this call before are taken for one.
            for mark in &mut self.marks {
                *mark = if *mark / 2 >= self.first { 2 + (*mark & 1) } else { 0 };
            }
            (self.first, self.chunk) = (1, 1);
        }
        self.chunk += 1;
    }

    /// Takes a socket into the chunk; or refuses, if it is in it or fell short in this call.
    pub(crate) fn admit(&mut self, socket: RawFd) -> bool {
        let slot = slot(socket);
        if slot >= self.marks.len() {
            self.marks.resize(slot + 1, 0);
        }
        let is_in_chunk = self.marks[slot] / 2 == self.chunk;
        let admits = !is_in_chunk && !self.is_short(socket);
        if admits {
            self.marks[slot] = self.chunk * 2;
        }
        admits
    }

    /// Notes that a socket of this chunk did not take everything.
    pub(crate) fn fell_short(&mut self, socket: RawFd) {
        self.marks[slot(socket)] |= 1;
    }

    /// Whether a socket fell short in this call.
    pub(crate) fn is_short(&self, socket: RawFd) -> bool {
        let mark = self.marks.get(slot(socket)).copied().unwrap_or(0);
        mark & 1 == 1 && mark / 2 >= self.first
    }
}

fn slot(socket: RawFd) -> usize {
    usize::try_from(socket).expect("a borrowed descriptor is not negative")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_in_a_chunk_once() {
        let mut sockets = Sockets::default();
        sockets.begin_call();
        sockets.begin_chunk();
        assert!(sockets.admit(7) && sockets.admit(3));
        assert!(!sockets.admit(7));
        sockets.begin_chunk();
        assert!(sockets.admit(7));
    }

    #[test]
    fn who_fell_short_waits_for_the_next_call() {
        let mut sockets = Sockets::default();
        sockets.begin_call();
        sockets.begin_chunk();
        assert!(sockets.admit(7));
        sockets.fell_short(7);
        sockets.begin_chunk();
        assert!(sockets.is_short(7) && !sockets.admit(7));
        sockets.begin_call();
        sockets.begin_chunk();
        assert!(!sockets.is_short(7) && sockets.admit(7));
    }

    #[test]
    fn numbers_of_chunks_begin_anew_without_a_trace() {
        let mut sockets = Sockets { chunk: u32::MAX / 2 - 2, ..Sockets::default() };
        sockets.begin_call();
        sockets.begin_chunk();
        assert!(sockets.admit(1));
        sockets.fell_short(1);
        sockets.begin_call();
        sockets.begin_chunk();
        assert!(sockets.admit(2) && sockets.admit(3));
        sockets.fell_short(2);
        sockets.begin_chunk();
        assert_eq!(sockets.chunk, 2);
        assert!(sockets.admit(1), "it fell short in an earlier call");
        assert!(!sockets.admit(2), "it fell short in this one");
        assert!(sockets.admit(3) && !sockets.admit(3));
    }
}
