//! Bad commands about messages and rooms: every rule of a field, in every dialect that can break it.

use parlour_protocol::dialect::{Context, DialectId, EventError, Payload, binary, json};
use parlour_protocol::{ErrorCode, RequestId, RoomName};

use crate::bad_input::{binary as binary_message, command, refused};
use crate::decode;

#[test]
fn payloads_that_break_a_rule_name_the_field_and_the_rule() {
    use ErrorCode::{BadRequest, EmptyMessage, InvalidLimit, InvalidRoom, InvalidText, InvalidUser};
    let many = |count: usize, item: &str| vec![item; count].join(",");
    let mentions = format!(r#"{{"room":"a","text":"x","mentions":[{}]}}"#, many(51, "\"b\""));
    let edit = format!(r#"{{"room":"a","target":1,"text":"x","mentions":[{}]}}"#, many(51, "\"b\""));
    let batch = format!(r#"{{"room":"a","messages":[{}]}}"#, many(65, r#"{"text":"x"}"#));
    let emoji = format!(r#"{{"room":"a","target":1,"emoji":"{}","active":true}}"#, "x".repeat(33));
    let title = format!(r#"{{"room":"a","title":"{}"}}"#, "x".repeat(129));
    let topic = format!(r#"{{"room":"a","topic":"{}"}}"#, "x".repeat(1025));
    let reason = format!(r#"{{"room":"a","user":"b","kind":"ban","reason":"{}"}}"#, "x".repeat(257));
    let query = format!(r#"{{"query":"{}"}}"#, "x".repeat(257));
    for (row, name, payload, code, hint) in [
        ("C15", "batch", &*batch, BadRequest, "messages: at most 64 messages"),
        ("C15", "batch", r#"{"room":"a","messages":[]}"#, BadRequest, "messages: 1 to 64"),
        ("C12", "batch", r#"{"room":"a","messages":[{"text":"x"},{"text":""}]}"#, EmptyMessage, "text: "),
        (
            "C7",
            "batch",
            r#"{"room":"a","messages":[{"text":"x","room":"b"}]}"#,
            BadRequest,
            "room: there is no",
        ),
        (
            "C13",
            "batch",
            r#"{"room":"a","messages":[{"text":"x","cid":"1"},{"text":"y","cid":"1"}]}"#,
            BadRequest,
            "cid: two messages",
        ),
        ("", "publish", &mentions, BadRequest, "mentions: at most 50 users"),
        ("", "publish", r#"{"room":"a","text":"x","mentions":["\n"]}"#, InvalidUser, "mentions: "),
        ("", "publish", r#"{"room":"a","text":"x","mentions":"b"}"#, BadRequest, "mentions: must be a list"),
        ("C8", "publish", r#"{"room":"a","text":"x","reply_to":0}"#, BadRequest, "reply_to: messages are"),
        ("C8", "private", r#"{"to":"a","text":"x","reply_to":0}"#, BadRequest, "reply_to: messages are"),
        ("C8", "edit", r#"{"room":"a","target":0,"text":"x"}"#, BadRequest, "target: messages are numbered"),
        ("C8", "edit", r#"{"room":"a","text":"x"}"#, BadRequest, "target: is missing"),
        ("C12", "edit", r#"{"room":"a","target":1,"text":""}"#, EmptyMessage, "text: "),
        ("C11", "edit", r#"{"room":"a","target":1,"text":"\u0000"}"#, InvalidText, "text: "),
        ("", "edit", &edit, BadRequest, "mentions: at most 50 users"),
        ("C8", "delete", r#"{"room":"a","target":0}"#, BadRequest, "target: messages are numbered"),
        ("C14", "delete", r#"{"room":"a","target":1,"cid":""}"#, BadRequest, "cid: 1 to 64 bytes"),
        ("C8", "react", r#"{"room":"a","target":0,"emoji":"+","active":true}"#, BadRequest, "target: "),
        ("", "react", &emoji, BadRequest, "emoji: 1 to 32 bytes"),
        ("", "react", r#"{"room":"a","target":1,"emoji":"","active":true}"#, BadRequest, "emoji: 1 to 32"),
        ("", "react", r#"{"room":"a","target":1,"emoji":"a b","active":true}"#, BadRequest, "emoji: 1 to 32"),
        ("", "react", r#"{"room":"a","target":1,"emoji":"\u001b","active":true}"#, BadRequest, "emoji: "),
        ("", "react", r#"{"room":"a","target":1,"emoji":"+"}"#, BadRequest, "active: is missing"),
        (
            "C14",
            "react",
            r#"{"room":"a","target":1,"emoji":"+","active":true,"cid":""}"#,
            BadRequest,
            "cid: ",
        ),
        ("C8", "pin", r#"{"room":"a","target":0,"active":true}"#, BadRequest, "target: messages are"),
        ("C14", "pin", r#"{"room":"a","target":1,"active":true,"cid":""}"#, BadRequest, "cid: 1 to 64"),
        ("C14", "status", r#"{"room":"a","cid":""}"#, BadRequest, "cid: 1 to 64 bytes"),
        ("C14", "status", r#"{"room":"a"}"#, BadRequest, "cid: is missing"),
        ("", "configure", r#"{"room":"a"}"#, BadRequest, "at least one of title, topic, private and slow_ms"),
        ("", "configure", &title, BadRequest, "title: at most 128 bytes"),
        ("", "create", &title, BadRequest, "title: at most 128 bytes"),
        ("", "configure", r#"{"room":"a","title":"\n"}"#, BadRequest, "title: at most 128 bytes"),
        ("", "configure", &topic, BadRequest, "topic: at most 1024 bytes"),
        ("C11", "configure", r#"{"room":"a","topic":"\u0000"}"#, InvalidText, "topic: "),
        ("", "create", r#"{"room":"a","private":1}"#, BadRequest, "private: must be true or false"),
        ("C9", "create", r#"{"room":"*"}"#, InvalidRoom, "room: "),
        ("C14", "create", r#"{"room":"a","cid":""}"#, BadRequest, "cid: 1 to 64 bytes"),
        ("", "role", r#"{"room":"a","user":"b","role":"king"}"#, BadRequest, "role: must be \"member\""),
        ("C14", "role", r#"{"room":"a","user":"b","cid":""}"#, BadRequest, "cid: 1 to 64 bytes"),
        ("", "configure", r#"{"room":"a","slow_ms":21600001}"#, BadRequest, "slow_ms: at most 21600000"),
        ("", "configure", r#"{"room":"a","slow_ms":-1}"#, BadRequest, "slow_ms: must be a whole number"),
        ("", "sanction", r#"{"room":"a","user":"b"}"#, BadRequest, "kind: is missing"),
        ("", "sanction", r#"{"room":"a","user":"b","kind":"flog"}"#, BadRequest, "kind: must be \"none\""),
        ("", "sanction", r#"{"room":"a","user":"b","kind":"ban","for_ms":0}"#, BadRequest, "for_ms: 1 to"),
        (
            "",
            "sanction",
            r#"{"room":"a","user":"b","kind":"ban","for_ms":1e3}"#,
            BadRequest,
            "for_ms: must be",
        ),
        ("", "sanction", r#"{"room":"a","user":"b","kind":"kick","for_ms":1}"#, BadRequest, "for_ms: only a"),
        ("", "sanction", &reason, BadRequest, "reason: at most 256 bytes"),
        ("", "sanction", r#"{"room":"a","user":"b","kind":"ban","reason":"\n"}"#, BadRequest, "reason: "),
        ("C14", "sanction", r#"{"room":"a","user":"b","kind":"ban","cid":""}"#, BadRequest, "cid: 1 to 64"),
        ("C8", "report", r#"{"room":"a","target":0}"#, BadRequest, "target: messages are numbered"),
        ("", "report", r#"{"room":"a","target":1,"reason":"\u0000"}"#, BadRequest, "reason: at most"),
        ("C8", "resolve", r#"{"room":"a","target":0}"#, BadRequest, "target: messages are numbered"),
        ("C8", "read", r#"{"room":"a","seq":0}"#, BadRequest, "seq: messages are numbered"),
        ("C8", "delivered", r#"{"room":"a","seq":0}"#, BadRequest, "seq: messages are numbered"),
        ("C8", "receipts", r#"{"room":"a","seq":0}"#, BadRequest, "seq: messages are numbered"),
        ("C8", "history", r#"{"room":"a","thread":0}"#, BadRequest, "thread: messages are numbered"),
        ("", "search", r#"{"query":" "}"#, BadRequest, "query: words of 1 to 256 bytes"),
        ("", "search", &query, BadRequest, "query: words of 1 to 256 bytes"),
        ("C11", "search", r#"{"query":"a\u0000"}"#, InvalidText, "query: "),
        ("C16", "search", r#"{"query":"a","limit":-1}"#, InvalidLimit, "limit: "),
    ] {
        let text = command(name, payload);
        let (got, id, message) = refused(&text);
        assert_eq!(got, code, "{row} {text:.90}: {message}");
        assert_eq!(id, Some(RequestId::Number(7)), "{row} {text:.90}: the id is told back");
        assert!(message.contains(hint), "{row} {text:.90}: {message:?} lacks {hint:?}");
    }
}

#[test]
fn what_is_just_within_the_limits_is_taken() {
    for (name, payload) in [
        ("batch", format!(r#"{{"room":"a","messages":[{}]}}"#, vec![r#"{"text":"x"}"#; 64].join(","))),
        ("publish", format!(r#"{{"room":"a","text":"x","mentions":[{}]}}"#, vec!["\"b\""; 50].join(","))),
        ("react", format!(r#"{{"room":"a","target":1,"emoji":"{}","active":true}}"#, "x".repeat(32))),
        ("create", r#"{"room":"a"}"#.to_owned()),
        ("configure", format!(r#"{{"room":"a","title":"","topic":"{}"}}"#, "\\n".repeat(1024))),
        ("role", r#"{"room":"a","user":"b","role":null}"#.to_owned()),
        ("search", format!(r#"{{"query":"{}"}}"#, "x".repeat(256))),
    ] {
        let text = command(name, &payload);
        let decoded = decode(DialectId::Json, Payload::Text(&text), Context::default());
        assert!(matches!(&decoded[..], [Ok(_)]), "{text:.90}: {decoded:?}");
    }
}

#[test]
fn binary_messages_obey_the_same_rules() {
    use ErrorCode::BadRequest;
    let one = b"\0\0\0\0\0\0\0\x01";
    let batch = |count: u8| {
        let message = b"\0\0\0\x01x\0\0\0\0\0\0";
        [b"\0\x01a\0\0\0", &[count][..], &message.repeat(usize::from(count))].concat()
    };
    for (row, frame, hint) in [
        ("C15", binary_message(0x0d, &batch(65)), "messages: 1 to 64 messages"),
        ("C15", binary_message(0x0d, &batch(0)), "messages: 1 to 64 messages"),
        ("C15", binary_message(0x0d, b"\0\x01a\xff\xff\xff\xff"), "messages: "),
        ("C8", binary_message(0x0f, b"\0\x01a\0\0\0\0\0\0\0\0\0"), "target: messages are numbered"),
        ("", binary_message(0x10, &[b"\0\x01a", &one[..], b"\0\0\0\0\x01\0"].concat()), "emoji: 1 to 32"),
        ("", binary_message(0x15, b"\0\x01a\0\0\0\0\0"), "at least one of"),
        ("", binary_message(0x16, b"\0\x01a\0\x01b\x01\x03\0"), "role: must be 0 to 2"),
        ("", binary_message(0x1a, b"\0\0\0\0\0\0\0"), "query: words of 1 to 256"),
    ] {
        let decoded = decode(DialectId::Binary, Payload::Binary(&frame), Context::default());
        let [Err(wrong)] = &decoded[..] else { panic!("{row} {frame:x?}: {decoded:?}") };
        assert_eq!(wrong.refusal.code, BadRequest, "{row} {frame:x?}: {}", wrong.refusal);
        assert_eq!(wrong.id, Some(RequestId::Number(7)), "{row} {frame:x?}");
        assert!(wrong.refusal.message.contains(hint), "{row} {frame:x?}: {}", wrong.refusal);
    }
}

#[test]
fn typed_lines_obey_the_same_rules() {
    use ErrorCode::{BadRequest, EmptyMessage, Forbidden, InvalidRoom, InvalidUser};
    let room = RoomName::parse("general").expect("valid");
    let here = Context { room: Some(&room) };
    for (line, context, code, hint) in [
        ("/edit", here, BadRequest, "such as /edit 7"),
        ("/edit hello", here, BadRequest, "such as /edit 7"),
        ("/edit 0 hello", here, BadRequest, "target: "),
        ("/edit 7", here, EmptyMessage, "text: "),
        ("/reply 7", here, EmptyMessage, "text: "),
        ("/delete #", here, BadRequest, "such as /delete 7"),
        ("/react 7", here, BadRequest, "emoji: "),
        ("/react 7 thumbs up", here, BadRequest, "emoji: "),
        ("/pin 7", Context::default(), Forbidden, "/join"),
        ("/search", here, BadRequest, "query: "),
        ("/create", here, InvalidRoom, "room: "),
        ("/topic x", Context::default(), Forbidden, "/join"),
        ("/role", here, InvalidUser, "user: "),
        ("/role Bob", here, BadRequest, "role: must be"),
        ("/kick", here, InvalidUser, "user: "),
        ("/mute Bob 0m", here, BadRequest, "for_ms: 1 to"),
        ("/slow", here, BadRequest, "such as /slow 30"),
        ("/report", here, BadRequest, "such as /report 7"),
        ("/ban Bob", Context::default(), Forbidden, "/join"),
    ] {
        let decoded = decode(DialectId::Text, Payload::Text(line), context);
        let [Err(wrong)] = &decoded[..] else { panic!("{line}: {decoded:?}") };
        assert_eq!(wrong.refusal.code, code, "{line}: {}", wrong.refusal);
        assert!(wrong.refusal.message.contains(hint), "{line}: {}", wrong.refusal);
    }
}

/// A page that holds a page that holds a page: refused at the first, not followed to the last.
#[test]
fn a_page_of_pages_costs_no_stack() {
    // Type, length, id; room, epoch, head and floor; one event, which is the next page.
    const LEVEL_BYTES: u32 = 9 + 3 + 32 + 4;
    let levels = 50_000;
    let mut frame = Vec::new();
    for level in 0..levels {
        let length = (levels - level) * LEVEL_BYTES - 5;
        frame.push(0x4d);
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(b"\0\0\0\0\0\x01a");
        frame.extend_from_slice(&[0; 32]);
        frame.extend_from_slice(b"\0\0\0\x01");
    }
    let mut refusals = Vec::new();
    binary::decode_events(Payload::Binary(&frame), &mut |event| refusals.extend(event.err()));
    let [EventError::Fields(refusal)] = &refusals[..] else { panic!("{refusals:?}") };
    assert!(refusal.message.contains("entries of a room's log"), "{refusal}");
}

#[test]
fn a_page_in_json_holds_only_entries() {
    let page = |event: &str| {
        format!(
            r#"{{"type":"history","payload":{{"room":"a","epoch":"{:032x}","head":1,"floor":0,"events":[{event}],"more":false}}}}"#,
            7
        )
    };
    let read = |text: &str| {
        let mut events = Vec::new();
        json::decode_events(Payload::Text(text), &mut |event| events.push(event));
        events.pop().expect("one event")
    };
    let entry = r#"{"type":"deleted","payload":{"room":"a","seq":1,"sender":"b","ts":0,"target":1}}"#;
    assert!(read(&page(entry)).is_ok());
    for other in [r#"{"type":"left","payload":{"room":"a"}}"#, &page(entry)] {
        let error = read(&page(other)).expect_err("no entry of a log");
        assert!(matches!(error, EventError::Unknown), "{other}: {error}");
    }
}
