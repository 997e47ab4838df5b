//! What a blocked socket with encryption means for its outbox.

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use socket2::SockRef;

use super::super::outbox::{Outbox, Slice, Tally};
use super::Socket;
use crate::tls::channel::tests::handshaken;

/// Bytes of one message: one record.
const BYTES: usize = 16_000;

#[test]
fn a_record_that_waits_for_the_kernel_blocks_the_connection() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let mut peer = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
    let (stream, _) = listener.accept().expect("accepted");
    stream.set_nonblocking(true).expect("an option");
    SockRef::from(&stream).set_send_buffer_size(2_048).expect("an option");
    let (channel, mut client) = handshaken();
    let mut socket = Socket::new(stream, Some(Box::new(channel)));
    let (mut outbox, tally) = (Outbox::default(), Rc::<Tally>::default());
    let mut sent = 0;
    // The kernel's buffers fill up.
    while outbox.is_empty() {
        sent += 1;
        outbox.push(Slice { buffer: Rc::new(vec![7; BYTES]), start: 0 }, 5, &tally);
        assert_eq!(outbox.write_to(&mut socket, 5, &tally).expect("connected"), BYTES, "encrypted is taken");
    }
    assert!(socket.waiting() > 0);
    assert_eq!((outbox.bytes(), outbox.stalled_since()), (0, Some(5)));
    assert_eq!(outbox.write_to(&mut socket, 9, &tally).expect("connected"), 0);
    assert_eq!(outbox.stalled_since(), Some(5), "nothing was taken meanwhile");
    // What follows waits as plaintext.
    outbox.push(Slice { buffer: Rc::new(vec![8; BYTES]), start: 0 }, 9, &tally);
    let mut heard = Vec::new();
    // The kernel may tell the sender late that there is room again.
    peer.set_read_timeout(Some(Duration::from_millis(10))).expect("an option");
    while heard.len() < (sent + 1) * BYTES {
        match client.read_tls(&mut peer) {
            Ok(read) => assert!(read > 0, "the server goes on"),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
        client.process_new_packets().expect("records in order");
        // An end of what is there so far is no error.
        let _ = io::Read::read_to_end(&mut client.reader(), &mut heard);
        outbox.write_to(&mut socket, 20, &tally).expect("connected");
    }
    assert!(outbox.is_empty() && socket.waiting() == 0);
    let (old, new) = heard.split_at(sent * BYTES);
    assert!(old.iter().all(|byte| *byte == 7) && new.iter().all(|byte| *byte == 8));
}
