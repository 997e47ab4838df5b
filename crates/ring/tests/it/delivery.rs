//! What the sockets take arrives.

use std::io::{ErrorKind, Read as _};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{arrived, narrow_pair, ring, send, send_all, tcp_pair};

#[test]
fn everybody_gets_everything_in_order() {
    let Some(mut ring) = ring(8) else { return };
    let mut pairs: Vec<_> = (0..20).map(|_| tcp_pair()).collect();
    let frames: Vec<Vec<u8>> = (1..=50).map(|number| vec![number; usize::from(number) * 7]).collect();
    for frame in &frames {
        let outcomes = send_all(&mut ring, pairs.iter().map(|(socket, _)| send(socket, frame)));
        assert_eq!(outcomes, vec![Ok(frame.len()); 20]);
    }
    let all = frames.concat();
    for (_, peer) in &mut pairs {
        let mut bytes = vec![0; all.len()];
        peer.read_exact(&mut bytes).expect("it arrives");
        assert_eq!(bytes, all);
    }
}

#[test]
fn more_sends_than_entries_are_carried_in_chunks() {
    let Some(mut ring) = ring(4) else { return };
    let pairs: Vec<_> = (0..4 * 25 + 3).map(|_| UnixStream::pair().expect("a pair")).collect();
    let texts: Vec<String> = (0..pairs.len()).map(|index| format!("to {index}")).collect();
    let sends = pairs.iter().zip(&texts).map(|((socket, _), text)| send(socket, text.as_bytes()));
    let outcomes = send_all(&mut ring, sends);
    assert_eq!(outcomes, texts.iter().map(|text| Ok(text.len())).collect::<Vec<_>>());
    for ((_, peer), text) in pairs.iter().zip(&texts) {
        assert_eq!(arrived(peer), text.as_bytes());
    }
}

#[test]
fn a_socket_that_comes_several_times_keeps_its_order() {
    let Some(mut ring) = ring(16) else { return };
    let ((alice, to_alice), (bob, to_bob)) = (UnixStream::pair().expect("a pair"), tcp_pair());
    let sends = [
        send(&alice, b"one "),
        send(&bob, b"eins "),
        send(&alice, b"two "),
        send(&alice, b"three"),
        send(&bob, b"zwei"),
    ];
    assert_eq!(send_all(&mut ring, sends), [Ok(4), Ok(5), Ok(4), Ok(5), Ok(4)]);
    assert_eq!(arrived(&to_alice), b"one two three");
    let mut bytes = [0; 9];
    (&to_bob).read_exact(&mut bytes).expect("it arrives");
    assert_eq!(&bytes, b"eins zwei");
}

#[test]
fn nothing_to_send_is_fine() {
    let Some(mut ring) = ring(4) else { return };
    let (socket, peer) = UnixStream::pair().expect("a pair");
    assert_eq!(send_all(&mut ring, []), []);
    assert_eq!(send_all(&mut ring, [send(&socket, b""), send(&socket, b"x")]), [Ok(0), Ok(1)]);
    assert_eq!(arrived(&peer), b"x");
}

#[test]
fn a_socket_without_a_reader_takes_a_part_and_then_nothing() {
    let Some(mut ring) = ring(4) else { return };
    let (socket, peer) = narrow_pair();
    let (other, to_other) = UnixStream::pair().expect("a pair");
    let bytes: Vec<u8> = (0..100_000_u32).map(|index| (index % 251) as u8).collect();
    let mut taken = send_all(&mut ring, [send(&socket, &bytes)])[0].expect("a part");
    assert!(0 < taken && taken < bytes.len());
    let outcomes = send_all(&mut ring, [send(&socket, &bytes[taken..]), send(&other, b"x")]);
    assert_eq!(outcomes, [Err(ErrorKind::WouldBlock), Ok(1)]);
    assert_eq!(arrived(&to_other), b"x");
    let mut got = arrived(&peer);
    while taken < bytes.len() {
        taken += send_all(&mut ring, [send(&socket, &bytes[taken..])])[0].expect("the peer has read");
        got.extend(arrived(&peer));
    }
    assert_eq!(got, bytes);
}

/// The peer reads between the two sends; nevertheless the second must not follow a part of the first.
#[test]
fn behind_a_part_nothing_is_sent() {
    let Some(mut ring) = ring(4) else { return };
    let (socket, peer) = narrow_pair();
    let (other, to_other) = UnixStream::pair().expect("a pair");
    let large = vec![b'l'; 100_000];
    let sends = [send(&socket, &large), send(&socket, b"x"), send(&other, b"y"), send(&socket, b"z")];
    let (mut outcomes, mut got) = (Vec::new(), Vec::new());
    ring.send_all(sends, |_, outcome| {
        got.extend(arrived(&peer));
        outcomes.push(outcome.map_err(|error| error.kind()));
    });
    let taken = outcomes[0].expect("a part");
    let would_block = Err(ErrorKind::WouldBlock);
    assert_eq!(outcomes, [Ok(taken), would_block, Ok(1), would_block]);
    assert_eq!(got, vec![b'l'; taken]);
    assert_eq!(arrived(&to_other), b"y");
    assert_eq!(send_all(&mut ring, [send(&socket, b"x")]), [Ok(1)], "it is another call");
    assert_eq!(arrived(&peer), b"x");
}

#[test]
fn a_caller_that_panics_leaves_nothing_behind() {
    let Some(mut ring) = ring(2) else { return };
    let pairs: Vec<_> = (0..5).map(|_| UnixStream::pair().expect("a pair")).collect();
    let sends = pairs.iter().enumerate().map(|(index, (socket, _))| {
        assert_ne!(index, 4, "planted");
        send(socket, b"first")
    });
    let mut outcomes = Vec::new();
    let told = |index, _| outcomes.push(index);
    assert!(catch_unwind(AssertUnwindSafe(|| ring.send_all(sends, told))).is_err());
    assert_eq!(outcomes, [0, 1], "the panic came while the second chunk was gathered");
    let everybody = pairs.iter().map(|(socket, _)| send(socket, b"second"));
    let panics = |_, _| panic!("planted");
    assert!(catch_unwind(AssertUnwindSafe(|| ring.send_all(everybody.clone(), panics))).is_err());
    assert_eq!(send_all(&mut ring, everybody), [Ok(6); 5]);
    let got: Vec<Vec<u8>> = pairs.iter().map(|(_, peer)| arrived(peer)).collect();
    let (both, twice) = (b"firstsecondsecond".to_vec(), b"second".to_vec());
    assert_eq!(got, [both.clone(), both, twice.clone(), twice.clone(), twice]);
}
