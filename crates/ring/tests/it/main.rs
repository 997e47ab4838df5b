//! Rings with real sockets. Where the kernel forbids io_uring, as in many containers, each test says
//! so and ends.

use std::io::{self, Read as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use parlour_ring::{Outgoing, Ring};

mod delivery;
mod failures;
mod model;

/// Sets up a ring, or says why this machine has none.
fn ring(entries: u32) -> Option<Ring> {
    let reason = match Ring::new(entries) {
        Ok(ring) => return Some(ring),
        Err(reason) => reason,
    };
    let may_be = ["unsupported", "missing", "too_old", "disabled", "forbidden"];
    assert!(may_be.contains(&reason.word()), "this machine should have a ring: {reason}");
    eprintln!("nothing to test: {reason}");
    None
}

fn send<'a>(socket: &'a impl AsFd, bytes: &'a [u8]) -> Outgoing<'a> {
    Outgoing { socket: socket.as_fd(), bytes }
}

/// Sends and returns the outcomes, having checked that their indices are 0, 1, 2 and so on.
fn send_all<'a>(
    ring: &mut Ring,
    sends: impl IntoIterator<Item = Outgoing<'a>>,
) -> Vec<Result<usize, io::ErrorKind>> {
    let mut outcomes = Vec::new();
    ring.send_all(sends, |index, outcome| {
        assert_eq!(index, outcomes.len());
        outcomes.push(outcome.map_err(|error| error.kind()));
    });
    outcomes
}

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let socket = TcpStream::connect(address).expect("a connection");
    (socket, listener.accept().expect("its other end").0)
}

/// A pair whose first end takes only a few kilobytes. Both ends are in blocking mode.
fn narrow_pair() -> (UnixStream, UnixStream) {
    let (socket, peer) = UnixStream::pair().expect("a pair");
    socket2::SockRef::from(&socket).set_send_buffer_size(4096).expect("an option of sockets");
    (socket, peer)
}

/// Reads what has arrived, and no more.
fn arrived(peer: &UnixStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    peer.set_nonblocking(true).expect("an option of sockets");
    let end = (&*peer).read_to_end(&mut bytes).map_err(|error| error.kind());
    assert!(matches!(end, Ok(_) | Err(io::ErrorKind::WouldBlock)), "{end:?}");
    bytes
}
