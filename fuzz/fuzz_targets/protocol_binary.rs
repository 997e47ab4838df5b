#![no_main]

use parlour_fuzz::protocol::{check_commands, check_reply};
use parlour_protocol::dialect::{DialectId, Payload, binary};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    assert!(check_commands(DialectId::Binary, Payload::Binary(data)) > 0);
    binary::decode_events(Payload::Binary(data), &mut check_reply);
});
