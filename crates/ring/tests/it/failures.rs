//! What is wrong with one socket concerns that one.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::os::unix::net::UnixStream;

use crate::{arrived, ring, send, send_all, tcp_pair};

#[test]
fn a_closed_peer_fails_alone() {
    let Some(mut ring) = ring(8) else { return };
    let (alice, to_alice) = UnixStream::pair().expect("a pair");
    let (gone, peer) = UnixStream::pair().expect("a pair");
    let (bob, to_bob) = UnixStream::pair().expect("a pair");
    drop(peer);
    let outcomes = send_all(&mut ring, [send(&alice, b"a"), send(&gone, b"x"), send(&bob, b"b")]);
    assert_eq!(outcomes, [Ok(1), Err(ErrorKind::BrokenPipe), Ok(1)]);
    assert_eq!((arrived(&to_alice), arrived(&to_bob)), (b"a".to_vec(), b"b".to_vec()));
}

#[test]
fn a_connection_that_was_reset_says_so() {
    let Some(mut ring) = ring(8) else { return };
    let (socket, peer) = tcp_pair();
    socket2::SockRef::from(&peer).set_linger(Some(std::time::Duration::ZERO)).expect("an option of TCP");
    drop(peer); // over loopback the reset has arrived when this returns
    assert_eq!(send_all(&mut ring, [send(&socket, b"x")]), [Err(ErrorKind::ConnectionReset)]);
    assert_eq!(send_all(&mut ring, [send(&socket, b"x")]), [Err(ErrorKind::BrokenPipe)]);
}

#[test]
fn what_is_no_connected_socket_is_refused() {
    let Some(mut ring) = ring(8) else { return };
    let file = std::fs::File::open("/dev/null").expect("it is everywhere");
    let unconnected = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let (alice, to_alice) = UnixStream::pair().expect("a pair");
    let outcomes = send_all(&mut ring, [send(&file, b"x"), send(&unconnected, b"x"), send(&alice, b"a")]);
    assert!(outcomes[0].is_err() && outcomes[1].is_err(), "{outcomes:?}");
    assert_eq!((outcomes[2], arrived(&to_alice)), (Ok(1), b"a".to_vec()));
}
