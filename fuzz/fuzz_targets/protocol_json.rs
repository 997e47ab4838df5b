#![no_main]

use parlour_fuzz::protocol::{check_commands, check_reply};
use parlour_protocol::dialect::{DialectId, Payload, json};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    assert_eq!(check_commands(DialectId::Json, Payload::Text(text)), 1);
    let lines = text.split('\n').filter(|line| !line.trim_ascii().is_empty()).count();
    assert_eq!(check_commands(DialectId::JsonLines, Payload::Text(text)), lines);
    json::decode_events(Payload::Text(text), &mut check_reply);
});
