//! What holds for any input, however it is cut.

use crate::support::{Owned, Receiver, raw};
use parlour_websocket::{Deflater, Opcode, Role, encode};
use proptest::collection::vec;
use proptest::prelude::*;

/// Frames that are right more often than not, so that sequences get somewhere.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        20 => prop::sample::select(vec![0x81u8, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8a, 0xc1, 0xc2, 0x41]),
        1 => any::<u8>(),
    ];
    let payload = prop_oneof![
        vec(any::<u8>(), 0..40),
        "\\PC{0,30}".prop_map(String::into_bytes),
        (0..3000usize).prop_map(|length| vec![b'a'; length]),
        vec(any::<u8>(), 0..200).prop_map(|bytes| {
            Deflater::new(6, 12).deflate(&bytes.repeat(3)).map_or(vec![0], <[u8]>::to_vec)
        }),
    ];
    vec((first, payload), 1..8)
        .prop_map(|frames| frames.iter().flat_map(|(first, payload)| raw(*first, payload)).collect())
}

fn borders(length: usize) -> impl Strategy<Value = Vec<usize>> {
    vec(0..=length, 0..12).prop_map(|mut borders| {
        borders.sort_unstable();
        borders
    })
}

proptest! {
    #[test]
    fn any_split_gives_the_same_frames(
        (bytes, borders) in frames().prop_flat_map(|bytes| {
            let length = bytes.len();
            (Just(bytes), borders(length))
        }),
        deflate: bool,
    ) {
        let whole = Receiver::of(Role::Server, deflate).receive_split(&bytes, []);
        let split = Receiver::of(Role::Server, deflate).receive_split(&bytes, borders);
        prop_assert_eq!(whole, split);
    }

    #[test]
    fn random_bytes_never_cost_more_than_they_are(
        bytes in vec(any::<u8>(), 0..400),
        piece in 1usize..50,
        deflate: bool,
    ) {
        for role in [Role::Server, Role::Client] {
            let mut receiver = Receiver::of(role, deflate);
            for (at, chunk) in bytes.chunks(piece).enumerate() {
                let ended = receiver.receive(chunk).is_err();
                let kept = receiver.decoder.kept_bytes();
                prop_assert!(kept <= 2 * (at + 1) * piece + 200, "{} bytes", kept);
                if ended {
                    prop_assert_eq!(receiver.receive(&[0x89]), Ok(vec![]));
                    prop_assert_eq!(receiver.decoder.kept_bytes(), 0);
                }
            }
        }
    }

    #[test]
    fn masking_is_the_plain_loop(mut payload in vec(any::<u8>(), 0..300), key: [u8; 4]) {
        let expected: Vec<u8> = payload.iter().zip(key.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        parlour_websocket::mask::apply(&mut payload, key);
        prop_assert_eq!(payload, expected);
    }

    #[test]
    fn text_is_accepted_exactly_if_it_is_utf8(
        bytes in prop_oneof![vec(any::<u8>(), 0..8), "\\PC{0,20}".prop_map(String::into_bytes)],
        cut in 0usize..60,
    ) {
        let cut = cut.min(bytes.len());
        let message = [raw(0x01, &bytes[..cut]), raw(0x80, &bytes[cut..])].concat();
        let accepted = Receiver::plain().receive(&message);
        prop_assert_eq!(accepted.is_ok(), std::str::from_utf8(&bytes).is_ok());
    }
}

proptest! {
    // A new compression state for every case makes this one slow.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_encoded_is_decoded(
        payload in prop_oneof![
            vec(any::<u8>(), 0..300),
            vec(any::<u8>(), 1..4).prop_map(|bytes| bytes.repeat(10_000)),
        ],
        key: [u8; 4],
        level in 1u32..=9,
        window_bits in 9u8..=15,
    ) {
        let mut deflater = Deflater::new(level, window_bits);
        let (mut to_client, mut to_server) = (Vec::new(), Vec::new());
        encode::frame(&mut to_client, Opcode::Binary, &payload);
        encode::compressed_frame(&mut to_client, &mut deflater, Opcode::Binary, &payload);
        encode::masked_frame(&mut to_server, Opcode::Binary, &payload, key);
        encode::masked_compressed_frame(&mut to_server, &mut deflater, Opcode::Binary, &payload, key);

        let expected = Ok(vec![Owned::Binary(payload); 2]);
        prop_assert_eq!(&Receiver::of(Role::Client, true).receive(&to_client), &expected);
        prop_assert_eq!(&Receiver::of(Role::Server, true).receive(&to_server), &expected);
    }
}
