#![no_main]

use parlour_fuzz::protocol::{check_commands, check_reply};
use parlour_protocol::dialect::{DialectId, Payload};
use parlour_protocol::event::Message;
use parlour_protocol::{Event, Reply, RoomName, Seq, UserId};

// The first line is somebody's name, the rest what they type.
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    assert_eq!(check_commands(DialectId::Text, Payload::Text(text)), 1);
    let (name, said) = text.split_once('\n').unwrap_or(("Alice", text));
    let Ok(sender) = UserId::parse(name) else { return };
    let room = RoomName::parse("general").expect("valid");
    let message = Message { room, seq: Seq(1), sender, text: said.into(), ts: 0, cid: None };
    check_reply(Ok(Reply { id: None, event: Event::Message(message) }));
});
