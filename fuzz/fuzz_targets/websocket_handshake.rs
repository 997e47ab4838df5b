#![no_main]

use parlour_websocket::handshake::client::{MAX_HEAD, ResponseHead};
use parlour_websocket::handshake::deflate::{accept_answer, negotiate};
use parlour_websocket::handshake::validate_key;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(Some((_, length))) = ResponseHead::parse(data) {
        assert!(length <= data.len() && length <= MAX_HEAD);
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if validate_key(text) {
        assert_eq!(text.len(), 24);
    }
    // What we answer to an offer is an answer that our own client accepts.
    if let Some(params) = negotiate(text.lines()) {
        assert!((8..=15).contains(&params.server_max_window_bits()));
        assert_eq!(accept_answer(true, [params.to_string().as_str()].into_iter()), Ok(Some(params)));
    }
    if let Ok(Some(params)) = accept_answer(true, text.lines()) {
        assert!(negotiate(text.lines()).is_some(), "{params}");
    }
});
