//! What input gets, row by row of the table of bad input, and the early end of invalid text.

use crate::support::{Owned, Receiver, raw, raw_header};
use parlour_websocket::{DecodeError, Role, encode};

/// Both ways of arrival, in one piece and byte by byte, must give the same answer.
#[track_caller]
fn check_error(row: &str, bytes: &[u8], expected: DecodeError, code: u16) {
    assert_eq!(expected.close_code(), code, "{row}");
    for deflate in [false, true] {
        let receiver = || Receiver::of(Role::Server, deflate);
        assert_eq!(receiver().receive(bytes), Err(expected), "{row}");
        let split = receiver().receive_split(bytes, 1..bytes.len());
        assert_eq!(split.1, Some(expected), "{row}, byte by byte");
    }
}

fn close_payload(code: u16, reason: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes(), reason].concat()
}

#[test]
fn f1_to_f12_broken_frames() {
    let mut unmasked = Vec::new();
    encode::frame(&mut unmasked, parlour_websocket::Opcode::Text, b"hi");
    check_error("F1", &unmasked, DecodeError::Unmasked, 1002);
    for first in [0x91, 0xa1, 0xf1, 0xc9, 0xc8] {
        check_error("F2", &raw(first, b""), DecodeError::ReservedBit, 1002);
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        check_error("F3", &raw(0x80 | opcode, b""), DecodeError::UnknownOpcode, 1002);
    }
    for first in [0x88, 0x89, 0x8a] {
        check_error("F4", &raw(first, &[0; 126]), DecodeError::ControlTooLong, 1002);
        check_error("F4", &raw_header(first, 1 << 40), DecodeError::ControlTooLong, 1002);
    }
    for first in [0x08, 0x09, 0x0a] {
        check_error("F5", &raw(first, b"a"), DecodeError::FragmentedControl, 1002);
    }
    for first in [0x80, 0x00] {
        check_error("F6", &raw(first, b"a"), DecodeError::UnexpectedContinuation, 1002);
    }
    for second in [0x81, 0x01, 0x82, 0x02] {
        let bytes = [raw(0x01, b"a"), raw(second, b"b")].concat();
        check_error("F7", &bytes, DecodeError::ExpectedContinuation, 1002);
    }
    check_error("F8", &raw(0x88, b"a"), DecodeError::CloseTooShort, 1002);
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
        check_error("F9", &raw(0x88, &close_payload(code, b"")), DecodeError::CloseCode, 1002);
    }
    check_error("F10", &raw(0x88, &close_payload(1000, b"\xff")), DecodeError::InvalidUtf8, 1007);
    check_error("F11", &raw(0x81, b"ok \xff"), DecodeError::InvalidUtf8, 1007);
    check_error("F11, cut off", &raw(0x81, b"\xe2\x82"), DecodeError::InvalidUtf8, 1007);
    for text in [&b"\xed\xa0\x80"[..], b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf4\x90\x80\x80", b"\xf0\x80\x80\x80"]
    {
        check_error("F12", &raw(0x81, text), DecodeError::InvalidUtf8, 1007);
    }
}

#[test]
fn f13_to_f17_sizes() {
    let most = 64 * 1024;
    for first in [0x81, 0x82, 0x01] {
        check_error("F13", &raw_header(first, most + 1), DecodeError::MessageTooLarge, 1009);
        check_error("F14", &raw_header(first, 1 << 62), DecodeError::MessageTooLarge, 1009);
        check_error("F15", &raw_header(first, 1 << 63), DecodeError::LengthOutOfRange, 1002);
    }
    let halves = [raw(0x01, &[b'a'; 32 * 1024]), raw(0x00, &[b'a'; 32 * 1024])].concat();
    check_error("F16", &[halves.clone(), raw_header(0x80, 1)].concat(), DecodeError::MessageTooLarge, 1009);
    let whole = [halves, raw(0x80, b"")].concat();
    assert_eq!(Receiver::plain().receive(&whole), Ok(vec![Owned::Text("a".repeat(64 * 1024))]));

    let fragments = |count| {
        let mut bytes = raw(0x02, b"x");
        (2..count).for_each(|_| bytes.extend(raw(0x00, b"x")));
        bytes.extend(raw(0x80, b"x"));
        bytes
    };
    check_error("F17", &fragments(1025), DecodeError::TooManyFragments, 1008);
    assert_eq!(Receiver::plain().receive(&fragments(1024)), Ok(vec![Owned::Binary(vec![b'x'; 1024])]));
    let single = Receiver::plain().receive(&raw(0x82, &[0; 64 * 1024]));
    assert_eq!(single, Ok(vec![Owned::Binary(vec![0; 64 * 1024])]));
}

#[test]
fn f2_a_compressed_message_without_negotiation() {
    let receive = |bytes: &[u8]| Receiver::plain().receive(bytes);
    assert_eq!(receive(&raw(0xc1, b"\x03\x00")), Err(DecodeError::ReservedBit));
    let continued = [raw(0x41, b""), raw(0xc0, b"")].concat();
    assert_eq!(Receiver::deflated().receive(&continued), Err(DecodeError::ReservedBit));
}

#[test]
fn f23_data_after_close_is_ignored() {
    let mut receiver = Receiver::plain();
    let bytes = [raw(0x88, &close_payload(1000, b"bye")), raw(0x81, b"late")].concat();
    assert_eq!(receiver.receive(&bytes), Ok(vec![Owned::Close(Some((1000, "bye".to_owned())))]));
    assert_eq!(receiver.receive(&raw(0x83, b"garbage")), Ok(vec![]));
    assert!(!receiver.decoder.is_mid_message());
}

#[test]
fn nothing_is_read_after_an_error() {
    let mut receiver = Receiver::plain();
    assert!(receiver.receive(&[raw(0x01, b"kept"), raw(0x83, b"")].concat()).is_err());
    assert_eq!(receiver.receive(&raw(0x81, b"late")), Ok(vec![]));
    assert!(!receiver.decoder.is_mid_message());
}

#[test]
fn a_client_refuses_masked_frames() {
    let received = Receiver::of(Role::Client, false).receive(&raw(0x81, b"hi"));
    assert_eq!(received, Err(DecodeError::Masked));
}

#[test]
fn close_frames_that_are_fine() {
    for code in [1000, 1001, 1002, 1003, 1007, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999] {
        let expected = Owned::Close(Some((code, "é".to_owned())));
        let received = Receiver::plain().receive(&raw(0x88, &close_payload(code, "é".as_bytes())));
        assert_eq!(received, Ok(vec![expected]));
    }
    assert_eq!(Receiver::plain().receive(&raw(0x88, b"")), Ok(vec![Owned::Close(None)]));
}

#[test]
fn control_frames_between_fragments_in_pieces() {
    let bytes = [
        raw(0x01, "a\u{20ac}".as_bytes().split_at(2).0),
        raw(0x89, b"ping"),
        raw(0x00, "a\u{20ac}".as_bytes().split_at(2).1),
        raw(0x8a, b"pong"),
        raw(0x80, b"!"),
    ]
    .concat();
    let expected = vec![
        Owned::Ping(b"ping".to_vec()),
        Owned::Pong(b"pong".to_vec()),
        Owned::Text("a\u{20ac}!".to_owned()),
    ];
    assert_eq!(Receiver::plain().receive(&bytes).as_ref(), Ok(&expected));
    for step in 1..bytes.len() {
        let split = Receiver::plain().receive_split(&bytes, (step..bytes.len()).step_by(step));
        assert_eq!(split, (expected.clone(), None), "pieces of {step}");
    }
}

#[test]
fn a_header_split_at_every_byte() {
    for length in [0, 125, 126, 65_535, 65_536] {
        let payload = vec![b'p'; length];
        let mut unmasked = Vec::new();
        encode::frame(&mut unmasked, parlour_websocket::Opcode::Binary, &payload);
        for (role, bytes) in [(Role::Server, raw(0x82, &payload)), (Role::Client, unmasked)] {
            for at in 0..bytes.len().min(15) {
                // One byte arrives alone.
                let split = Receiver::of(role, false).receive_split(&bytes, [at, at + 1]);
                let expected = (vec![Owned::Binary(payload.clone())], None);
                assert_eq!(split, expected, "{length} bytes for {role:?} at {at}");
            }
        }
    }
}

#[test]
fn a_length_in_a_longer_form_than_necessary_is_accepted() {
    let long = [&[0x82, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0][..], b"x"].concat();
    assert_eq!(Receiver::plain().receive(&long), Ok(vec![Owned::Binary(b"x".to_vec())]));
}

/// Invalid text is refused with the first byte after which no continuation can be valid, also in
/// an incomplete frame, and not before.
#[test]
fn invalid_text_is_refused_as_soon_as_it_is_certain() {
    // Bytes, and how many of them are still possible.
    let cases: [(&[u8], usize); 9] = [
        (b"abc\xff", 3),
        (b"\xe2\x82A", 2),
        (b"\xf4\x8f\xbf\xc0", 3),
        (b"\xf4\x90", 1),
        (b"\xed\xa0", 1),
        (b"\xe0\x9f", 1),
        (b"\xc1", 0),
        (b"\xf8", 0),
        (b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80", 12),
    ];
    for (text, possible) in cases {
        for fragment in 0..=possible {
            let mut receiver = Receiver::plain();
            let first = raw(0x01, &text[..fragment]);
            assert_eq!(receiver.receive(&first), Ok(vec![]), "{text:x?} after {fragment}");
            // The rest arrives byte by byte in a frame that declares more than will ever come.
            let mut rest = raw(0x00, &[&text[fragment..], &[b'z'; 100]].concat());
            let header = rest.len() - (text.len() - fragment) - 100;
            rest.truncate(header + possible - fragment);
            assert_eq!(receiver.receive(&rest), Ok(vec![]), "{text:x?} after {fragment}");
            let wrong = text[possible] ^ [1, 2, 3, 4][(possible - fragment) % 4];
            assert_eq!(receiver.receive(&[wrong]), Err(DecodeError::InvalidUtf8), "{text:x?}");
        }
    }
}

#[test]
fn a_long_message_in_one_frame_is_judged_while_it_arrives() {
    let mut receiver = Receiver::plain();
    let mut text = vec![b'a'; 5000];
    text[4000] = 0xff;
    let bytes = raw(0x81, &text);
    assert_eq!(receiver.receive(&bytes[..4000]), Ok(vec![]));
    assert!(receiver.decoder.is_mid_message());
    assert_eq!(receiver.receive(&bytes[4000..4100]), Err(DecodeError::InvalidUtf8));
}

#[test]
fn mid_message_tells_whether_something_is_incomplete() {
    let bytes = [raw(0x01, b"a"), raw(0x89, b"p"), raw(0x80, &[b'b'; 300])].concat();
    let mut receiver = Receiver::plain();
    assert!(!receiver.decoder.is_mid_message());
    for end in 1..bytes.len() {
        assert!(receiver.receive(&bytes[end - 1..end]).is_ok());
        assert!(receiver.decoder.is_mid_message(), "after {end} bytes");
    }
    assert_eq!(receiver.receive(&bytes[bytes.len() - 1..]).map(|frames| frames.len()), Ok(1));
    assert!(!receiver.decoder.is_mid_message());
}
