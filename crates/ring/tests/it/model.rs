//! Any sequence of sends has the outcomes, and brings the bytes, that a loop of plain sends has.

use std::collections::HashSet;
use std::io;
use std::os::unix::net::UnixStream;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::{arrived, narrow_pair, ring, send, send_all};

const SOCKETS: usize = 5;

/// One call: for each send the socket and the length; then who reads.
#[derive(Debug, Clone)]
struct Call {
    sends: Vec<(usize, usize)>,
    readers: Vec<usize>,
}

fn call() -> impl Strategy<Value = Call> {
    let length = prop_oneof![4 => 0..300_usize, 1 => 300..6_000_usize];
    (vec((0..SOCKETS, length), 0..20), vec(0..SOCKETS, 0..3))
        .prop_map(|(sends, readers)| Call { sends, readers })
}

/// What a careful caller does without a ring.
fn one_by_one(
    pairs: &[(UnixStream, UnixStream)],
    sends: &[(usize, Vec<u8>)],
) -> Vec<Result<usize, io::ErrorKind>> {
    let mut short = HashSet::new();
    let mut try_send = |socket: usize, bytes: &[u8]| {
        if short.contains(&socket) {
            return Err(io::ErrorKind::WouldBlock);
        }
        let flags = rustix::net::SendFlags::DONTWAIT | rustix::net::SendFlags::NOSIGNAL;
        let taken = rustix::net::send(&pairs[socket].0, bytes, flags);
        if taken != Ok(bytes.len()) {
            short.insert(socket);
        }
        taken.map_err(|error| io::Error::from(error).kind())
    };
    sends.iter().map(|(socket, bytes)| try_send(*socket, bytes)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_ring_does_what_plain_sends_do(entries in 1..20_u32, calls in vec(call(), 1..10)) {
        let Some(mut ring) = ring(entries) else { return Ok(()) };
        let [by_ring, plainly] = [(); 2].map(|()| (0..SOCKETS).map(|_| narrow_pair()).collect::<Vec<_>>());
        let mut bytes = (0..=250_u8).cycle();
        for call in calls {
            let mut take = |length| bytes.by_ref().take(length).collect::<Vec<u8>>();
            let sends: Vec<_> = call.sends.iter().map(|(socket, length)| (*socket, take(*length))).collect();
            let outgoing = sends.iter().map(|(socket, bytes)| send(&by_ring[*socket].0, bytes));
            prop_assert_eq!(send_all(&mut ring, outgoing), one_by_one(&plainly, &sends));
            for reader in call.readers {
                prop_assert_eq!(arrived(&by_ring[reader].1), arrived(&plainly[reader].1));
            }
        }
        for (one, other) in by_ring.iter().zip(&plainly) {
            prop_assert_eq!(arrived(&one.1), arrived(&other.1));
        }
    }
}
