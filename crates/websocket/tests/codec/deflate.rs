//! Compressed messages: what is accepted, what is refused, and that hostile data ends.

use crate::support::{Owned, Receiver, raw};
use flate2::{Compress, Compression, FlushCompress, Status};
use parlour_websocket::{DecodeError, Deflater, InflateError, Inflater, Opcode, Role, encode};

fn hello() -> Vec<Owned> {
    vec![Owned::Text("Hello".to_owned())]
}

/// A message as any sender could make it, of a level and flush of the test's choice.
fn compressed(payload: &[u8], flush: FlushCompress) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() * 2 + 64);
    let mut stream = Compress::new(Compression::new(6), false);
    let status = stream.compress_vec(payload, &mut out, flush).expect("compressible");
    assert!(status == Status::Ok || status == Status::StreamEnd);
    if flush == FlushCompress::Sync {
        out.truncate(out.len() - 4);
    }
    out
}

/// The examples of RFC 7692 section 7.2.3, without those with context takeover.
#[test]
fn the_examples_of_the_rfc() {
    let one_block = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    let stored = b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00";
    let final_block = b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00";
    let two_blocks = b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00";
    for message in [&one_block[..], stored, final_block, two_blocks] {
        assert_eq!(Receiver::deflated().receive(&raw(0xc1, message)), Ok(hello()), "{message:x?}");
    }
    let fragments = [raw(0x41, b"\xf2\x48\xcd"), raw(0x80, b"\xc9\xc9\x07\x00")].concat();
    assert_eq!(Receiver::deflated().receive(&fragments), Ok(hello()));
    let empty = Ok(vec![Owned::Text(String::new())]);
    assert_eq!(Receiver::deflated().receive(&raw(0xc1, b"\x00")), empty);
}

#[test]
fn plain_messages_stay_plain() {
    assert_eq!(Receiver::deflated().receive(&raw(0x81, b"Hello")), Ok(hello()));
}

/// A final block may end a message with or without the byte that RFC 7692 section 7.2.3.4 wants
/// behind it, and a message may consist of several streams.
#[test]
fn final_blocks() {
    let mut receiver = Receiver::of(Role::Client, true);
    // The frame that made another library spin for ever.
    assert_eq!(receiver.receive(b"\xc2\x02\x03\x80"), Ok(vec![Owned::Binary(vec![])]));
    let finished = compressed(b"Hello", FlushCompress::Finish);
    assert_eq!(Receiver::deflated().receive(&raw(0xc1, &finished)), Ok(hello()));
    let streams =
        [compressed(b"Hel", FlushCompress::Finish), compressed(b"lo", FlushCompress::Sync)].concat();
    assert_eq!(Receiver::deflated().receive(&raw(0xc1, &streams)), Ok(hello()));
    let many = [3u8, 0].repeat(30_000);
    assert_eq!(Inflater::new().inflate(&many, 100), Ok(&[][..]));
}

#[test]
fn f21_a_bomb_is_refused_while_it_inflates() {
    let bomb = compressed(&vec![0; 5_000_000], FlushCompress::Sync);
    assert!(bomb.len() < 6_000);
    let mut inflater = Inflater::new();
    assert_eq!(inflater.inflate(&bomb, 64 * 1024), Err(InflateError::TooLarge));
    let error = Receiver::deflated().receive(&raw(0xc2, &bomb)).expect_err("a bomb");
    assert_eq!((error, error.close_code()), (DecodeError::MessageTooLarge, 1009));
    // The next message of another connection is not affected.
    assert_eq!(inflater.inflate(b"\xf2\x48\xcd\xc9\xc9\x07\x00", 100), Ok(&b"Hello"[..]));
}

#[test]
fn the_limit_of_a_message_is_exact_after_inflating() {
    let mut receiver = Receiver::deflated();
    let most = compressed(&[b'a'; 65_536], FlushCompress::Sync);
    assert_eq!(receiver.receive(&raw(0xc1, &most)), Ok(vec![Owned::Text("a".repeat(65_536))]));
    let more = compressed(&[b'a'; 65_537], FlushCompress::Sync);
    assert_eq!(receiver.receive(&raw(0xc1, &more)), Err(DecodeError::MessageTooLarge));
}

#[test]
fn f22_broken_deflate() {
    for broken in [&b"\x07"[..], b"\xff\xff\xff", b"\x05\x00", b"garbage", b"\x00\x05\x00\x00\x00Hello"] {
        let error = Receiver::deflated().receive(&raw(0xc2, broken)).expect_err("broken");
        assert_eq!((error, error.close_code()), (DecodeError::InvalidDeflate, 1007), "{broken:x?}");
    }
    // Without the check for a finished block these would show the tail as data.
    let stored = b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00";
    for end in 2..stored.len() - 1 {
        let received = Receiver::deflated().receive(&raw(0xc2, &stored[..end]));
        assert_eq!(received, Err(DecodeError::InvalidDeflate), "cut to {end}");
    }
    let text = compressed(b"\xff\xfe", FlushCompress::Sync);
    assert_eq!(Receiver::deflated().receive(&raw(0xc1, &text)), Err(DecodeError::InvalidUtf8));
}

#[test]
fn a_deflater_says_nothing_where_nothing_is_saved() {
    let mut deflater = Deflater::new(6, 12);
    assert_eq!(deflater.deflate(b""), None);
    assert_eq!(deflater.deflate(b"no"), None);
    let noise: Vec<u8> = (0..10_000u32).flat_map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    assert!(deflater.deflate(&noise).is_none_or(|bytes| bytes.len() < noise.len()));
    let mut frame = Vec::new();
    encode::compressed_frame(&mut frame, &mut deflater, Opcode::Text, b"no");
    assert_eq!(frame, b"\x81\x02no");
}

/// Each message is compressed on its own: the same payload gives the same bytes, in any order.
#[test]
fn compressed_messages_do_not_depend_on_each_other() {
    let mut deflater = Deflater::new(6, 9);
    let payload = b"the same the same the same the same";
    let first = deflater.deflate(payload).map(<[u8]>::to_vec);
    deflater.deflate(&[b'x'; 100_000]);
    assert!(first.is_some());
    assert_eq!(deflater.deflate(payload).map(<[u8]>::to_vec), first);
}

/// The window of a deflater is kept: a stream of 2^9 never reaches back further, which a decoder
/// with that window would notice.
#[test]
fn a_small_window_is_kept() {
    let block: Vec<u8> = (0..600u32).map(|at| (at.wrapping_mul(at + 7) >> 3) as u8).collect();
    let payload = [&block[..], &block].concat();
    let narrow = Deflater::new(9, 9).deflate(&payload).map_or(payload.len(), <[u8]>::len);
    let wide = Deflater::new(9, 12).deflate(&payload).map_or(payload.len(), <[u8]>::len);
    assert!(wide < narrow, "{wide} < {narrow}");
    let mut deflater = Deflater::new(9, 9);
    if let Some(compressed) = deflater.deflate(&[&payload[..], &[b'a'; 4000]].concat()) {
        let mut out = Vec::with_capacity(10_000);
        let mut decoder = flate2::Decompress::new_with_window_bits(false, 9);
        decoder
            .decompress_vec(compressed, &mut out, flate2::FlushDecompress::Sync)
            .expect("distances within the window");
        assert_eq!(out.len(), payload.len() + 4000);
    }
}
