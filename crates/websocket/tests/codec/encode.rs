//! Bytes of frames.

use crate::support::{Owned, Receiver};
use parlour_websocket::{Opcode, Role, close, encode};

#[test]
fn headers_have_the_shortest_form() {
    let cases: [(usize, &[u8]); 6] = [
        (0, b"\x82\x00"),
        (125, b"\x82\x7d"),
        (126, b"\x82\x7e\x00\x7e"),
        (65_535, b"\x82\x7e\xff\xff"),
        (65_536, b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
        (1 << 40, b"\x82\x7f\x00\x00\x01\x00\x00\x00\x00\x00"),
    ];
    for (length, expected) in cases {
        let mut out = Vec::new();
        encode::header(&mut out, Opcode::Binary, length, false);
        assert_eq!(out, expected, "{length}");
    }
    let (bytes, length) = encode::header_bytes(Opcode::Text, 3, true);
    assert_eq!(bytes[..length], *b"\xc1\x03");
}

#[test]
fn a_header_goes_right_before_its_payload() {
    for length in [0, 5, 126, 70_000] {
        let mut buffer = vec![0; encode::MAX_HEADER];
        buffer.resize(encode::MAX_HEADER + length, b'x');
        let start = encode::header_before(&mut buffer, encode::MAX_HEADER, Opcode::Binary);
        let mut expected = Vec::new();
        encode::frame(&mut expected, Opcode::Binary, &vec![b'x'; length]);
        assert_eq!(buffer[start..], expected);
    }
}

#[test]
fn masked_frames_are_those_of_the_rfc() {
    let mut out = Vec::new();
    encode::masked_frame(&mut out, Opcode::Text, b"Hello", [0x37, 0xfa, 0x21, 0x3d]);
    assert_eq!(out, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
}

#[test]
fn control_frames_never_exceed_their_limit() {
    let mut out = Vec::new();
    encode::ping(&mut out, &[1; 200]);
    encode::pong(&mut out, &[2; 126]);
    // 61 characters of two bytes are 122; one more would not fit into 123.
    encode::close(&mut out, close::TRY_LATER, &"é".repeat(100));
    let expected = vec![
        Owned::Ping(vec![1; 125]),
        Owned::Pong(vec![2; 125]),
        Owned::Close(Some((1013, "é".repeat(61)))),
    ];
    assert_eq!(Receiver::of(Role::Client, false).receive(&out), Ok(expected));
}
