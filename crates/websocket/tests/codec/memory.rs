//! What a connection costs: nothing while idle, and never more than what arrived.

use crate::support::{Receiver, raw, raw_header};
use parlour_websocket::Decoder;

/// The heap beside the payload: the record of an incomplete message.
const RECORD: usize = 200;

#[test]
fn an_idle_decoder_is_small() {
    assert!(size_of::<Decoder>() <= 64, "{} bytes", size_of::<Decoder>());
}

#[test]
fn nothing_is_kept_between_messages() {
    let mut receiver = Receiver::deflated();
    let bytes = [raw(0x01, &[b'a'; 1000]), raw(0x80, &[b'b'; 50_000]), raw(0x89, b"ping")].concat();
    let (frames, error) = receiver.receive_split(&bytes, (700..bytes.len()).step_by(700));
    assert_eq!((frames.len(), error), (2, None));
    assert_eq!(receiver.decoder.kept_bytes(), 0);
}

#[test]
fn a_declared_length_allocates_nothing() {
    for declared in [126, 65_536, 1 << 30] {
        let mut receiver = Receiver::plain();
        receiver.limits.max_message_bytes = 1 << 30;
        let bytes = [raw_header(0x82, declared), b"abc".to_vec()].concat();
        assert_eq!(receiver.receive(&bytes), Ok(vec![]));
        assert!(receiver.decoder.kept_bytes() <= RECORD, "{}", receiver.decoder.kept_bytes());
    }
}

#[test]
fn kept_memory_follows_what_arrived() {
    let mut receiver = Receiver::plain();
    receiver.limits.max_message_bytes = 1 << 30;
    let bytes = [raw(0x02, &[0; 3000]), raw_header(0x00, 1 << 29), vec![0; 100_000]].concat();
    for (at, piece) in bytes.chunks(777).enumerate() {
        assert_eq!(receiver.receive(piece), Ok(vec![]));
        let kept = receiver.decoder.kept_bytes();
        assert!(kept <= 2 * 777 * (at + 1) + RECORD, "{kept} bytes after {at} pieces");
    }
}
