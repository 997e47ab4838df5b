//! Bad commands and what they get: the rows C1 to C16 that a dialect decides.

use parlour_protocol::dialect::{Context, DialectId, Payload};
use parlour_protocol::{Command, ErrorCode, RequestId, RoomName};

use crate::decode;

/// Reads one JSON command that must be refused: its code, id and message.
pub(crate) fn refused(text: &str) -> (ErrorCode, Option<RequestId>, String) {
    let decoded = decode(DialectId::Json, Payload::Text(text), Context::default());
    match <[_; 1]>::try_from(decoded) {
        Ok([Err(wrong)]) => (wrong.refusal.code, wrong.id, wrong.refusal.message.into_owned()),
        other => unreachable!("{text} gave {other:?}"),
    }
}

/// A command with id 7 and a payload.
pub(crate) fn command(name: &str, payload: &str) -> String {
    format!(r#"{{"type":"{name}","id":7,"payload":{payload}}}"#)
}

#[test]
fn frames_that_are_no_commands() {
    use ErrorCode::{BadRequest, InvalidJson, UnknownCommand};
    let seven = Some(RequestId::Number(7));
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let deep_payload = command("ping", &deep);
    let long_id = format!(r#"{{"type":"ping","id":"{}"}}"#, "x".repeat(65));
    for (row, text, code, id, hint) in [
        ("C1", "hello", InvalidJson, None, "not JSON"),
        ("C1", "", InvalidJson, None, "not JSON"),
        ("C1", r#"{"type":"ping","id":7} x"#, InvalidJson, None, "not JSON"),
        ("C1", r#"{"type":"ping","id":7,"payload":{"a":tru}}"#, InvalidJson, None, "not JSON"),
        ("C1", "{\"type\":\"pi\nng\",\"id\":7}", InvalidJson, None, "not JSON"),
        ("C2", "[]", BadRequest, None, "object"),
        ("C2", "1", BadRequest, None, "object"),
        ("C2", "null", BadRequest, None, "object"),
        ("C2", r#""ping""#, BadRequest, None, "object"),
        ("C3", &deep, InvalidJson, None, "nested"),
        ("C3", &deep_payload, InvalidJson, seven.clone(), "nested"),
        ("C4", r#"{"type":"ping","type":"ping","id":7}"#, BadRequest, seven.clone(), "type: is given twice"),
        ("C4", r#"{"type":"ping","id":7,"\u0069d":8}"#, BadRequest, seven.clone(), "id: is given twice"),
        ("C5", r#"{"type":"pblish","id":7}"#, UnknownCommand, seven.clone(), "did you mean \"publish\"?"),
        (
            "C5",
            r#"{"type":"subscribe","id":7}"#,
            UnknownCommand,
            seven.clone(),
            "the commands are hello, join",
        ),
        ("C5", r#"{"type":7,"id":7}"#, BadRequest, seven.clone(), "type: must be a string"),
        ("C5", r#"{"id":7}"#, BadRequest, seven.clone(), "type: is missing"),
        ("C6", r#"{"type":"ping"}"#, BadRequest, None, "id: "),
        ("C6", r#"{"type":"ping","id":null}"#, BadRequest, None, "id: "),
        ("C6", r#"{"type":"ping","id":-1}"#, BadRequest, None, "id: must be a whole number"),
        ("C6", r#"{"type":"ping","id":1.5}"#, BadRequest, None, "id: must be a whole number"),
        ("C6", r#"{"type":"ping","id":[1]}"#, BadRequest, None, "id: must be a whole number"),
        ("C6", r#"{"type":"ping","id":""}"#, BadRequest, None, "1 to 64 bytes"),
        ("C6", &long_id, BadRequest, None, "1 to 64 bytes"),
        (
            "C7",
            r#"{"type":"ping","id":7,"sender":"x"}"#,
            BadRequest,
            seven.clone(),
            "sender: there is no such field",
        ),
        (
            "C7",
            r#"{"type":"ping","id":7,"payloat":{}}"#,
            BadRequest,
            seven.clone(),
            "did you mean \"payload\"?",
        ),
        ("C10", r#"{"type":"ping","id":7,"\ud800":1}"#, BadRequest, None, "surrogates"),
    ] {
        let (got, got_id, message) = refused(text);
        assert_eq!((got, &got_id), (code, &id), "{row} {:.80}: {message}", text);
        assert!(message.contains(hint), "{row} {:.80}: {message:?} lacks {hint:?}", text);
    }
}

#[test]
fn payloads_that_break_a_rule_name_the_field_and_the_rule() {
    use ErrorCode::{
        BadRequest, EmptyMessage, InvalidLimit, InvalidRoom, InvalidText, InvalidUser, NameConfusable,
    };
    let cid = format!(r#"{{"room":"a","text":"x","cid":"{}"}}"#, "x".repeat(65));
    let away = format!(r#"{{"status":"away","text":"{}"}}"#, "x".repeat(141));
    let long_room = format!(r#"{{"room":"{}"}}"#, "x".repeat(129));
    let resume = format!(r#"{{"resume":[{}]}}"#, vec!["1"; 513].join(","));
    for (row, name, payload, code, hint) in [
        ("C2", "join", "[]", BadRequest, "payload: must be an object"),
        ("C2", "join", "null", BadRequest, "payload: must be an object"),
        ("C4", "join", r#"{"room":"a","room":"a"}"#, BadRequest, "room: is given twice"),
        ("C7", "publish", r#"{"room":"a","text":"x","sender":"admin"}"#, BadRequest, "sender: there is no"),
        ("C7", "publish", r#"{"room":"a","text":"x","ts":1}"#, BadRequest, "ts: there is no"),
        ("C7", "publish", r#"{"room":"a","text":"x","seq":1}"#, BadRequest, "seq: there is no"),
        ("C7", "ping", r#"{"x":1}"#, BadRequest, "x: there is no"),
        ("C8", "read", r#"{"room":"a","seq":-1}"#, BadRequest, "seq: must be a whole number"),
        ("C8", "read", r#"{"room":"a","seq":1e400}"#, BadRequest, "seq: must be a whole number"),
        (
            "C8",
            "read",
            r#"{"room":"a","seq":18446744073709551616}"#,
            BadRequest,
            "seq: must be a whole number",
        ),
        ("C8", "read", r#"{"room":"a","seq":1.5}"#, BadRequest, "seq: must be a whole number"),
        ("C8", "history", r#"{"room":"a","before":true}"#, BadRequest, "before: must be a whole number"),
        ("C9", "join", r#"{"room":""}"#, InvalidRoom, "room: a room name is 1 to 128 bytes"),
        ("C9", "join", &long_room, InvalidRoom, "room: a room name is 1 to 128 bytes"),
        ("C9", "join", r#"{"room":"a\u0000"}"#, InvalidRoom, "room: "),
        ("C9", "join", r#"{"room":"a\nb"}"#, InvalidRoom, "room: "),
        ("C9", "join", r#"{"room":"*"}"#, InvalidRoom, "room: "),
        ("C9", "join", r#"{"room":"\u202ex"}"#, InvalidRoom, "room: "),
        ("C9", "join", r#"{"room":"e\u0301"}"#, InvalidRoom, "normal form C"),
        ("C9", "join", r#"{"room":"@b,a"}"#, InvalidRoom, "room: "),
        ("C9", "join", r#"{"room":7}"#, BadRequest, "room: must be a string"),
        ("C9", "join", "{}", BadRequest, "room: is missing"),
        ("C9", "private", r#"{"to":"","text":"x"}"#, InvalidUser, "to: a user id is 1 to 64 bytes"),
        ("C27", "hello", r#"{"user":"аdmin"}"#, NameConfusable, "user: "),
        ("C10", "publish", r#"{"room":"a","text":"\ud800"}"#, BadRequest, "text: must be Unicode"),
        ("C10", "join", r#"{"room":"\udc00"}"#, BadRequest, "room: must be Unicode"),
        ("C11", "publish", r#"{"room":"a","text":"a\u0000"}"#, InvalidText, "text: "),
        ("C11", "private", r#"{"to":"a","text":"a\u0000"}"#, InvalidText, "text: "),
        ("C11", "presence", r#"{"status":"away","text":"\u0000"}"#, InvalidText, "text: "),
        ("C12", "publish", r#"{"room":"a","text":""}"#, EmptyMessage, "text: "),
        ("C12", "private", r#"{"to":"a","text":""}"#, EmptyMessage, "text: "),
        ("C14", "publish", r#"{"room":"a","text":"x","cid":""}"#, BadRequest, "cid: 1 to 64 bytes"),
        ("C14", "publish", &cid, BadRequest, "cid: 1 to 64 bytes"),
        ("C14", "publish", r#"{"room":"a","text":"x","cid":7}"#, BadRequest, "cid: must be a string"),
        ("C16", "history", r#"{"room":"a","limit":-1}"#, InvalidLimit, "limit: "),
        ("C16", "history", r#"{"room":"a","limit":1e9}"#, InvalidLimit, "limit: "),
        ("C16", "join", r#"{"room":"a","history":4294967296}"#, InvalidLimit, "history: "),
        ("C16", "history", r#"{"room":"a","limit":"5"}"#, BadRequest, "limit: must be a whole number"),
        ("C17", "join", r#"{"room":"a","since":{"epoch":"x","seq":1}}"#, BadRequest, "epoch: must be 32"),
        ("C17", "join", r#"{"room":"a","since":7}"#, BadRequest, "since: must be an object"),
        ("", "hello", &resume, BadRequest, "resume: at most 512 rooms"),
        ("", "hello", r#"{"resume":{}}"#, BadRequest, "resume: must be a list"),
        ("", "typing", r#"{"room":"a","active":1}"#, BadRequest, "active: must be true or false"),
        ("", "presence", r#"{"status":"offline"}"#, BadRequest, "status: must be \"online\" or \"away\""),
        ("", "presence", &away, BadRequest, "text: at most 140 bytes"),
    ] {
        let text = command(name, payload);
        let (got, id, message) = refused(&text);
        assert_eq!(got, code, "{row} {text:.90}: {message}");
        assert_eq!(id, Some(RequestId::Number(7)), "{row} {text:.90}: the id is told back");
        assert!(message.contains(hint), "{row} {text:.90}: {message:?} lacks {hint:?}");
    }
}

#[test]
fn what_looks_like_an_attack_is_only_text() {
    for text in [r#"'; DROP TABLE"#, r#""},"user":"admin"#, "<img onerror>", "\n2026 ERROR forged\u{1b}[2J"] {
        let payload = serde_json::json!({ "room": "a", "text": text }).to_string();
        let decoded =
            decode(DialectId::Json, Payload::Text(&command("publish", &payload)), Context::default());
        let Some(Ok(request)) = decoded.first() else { panic!("{decoded:?}") };
        assert!(matches!(&request.command, Command::Publish(said) if &*said.text == text));
    }
}

#[test]
fn typing_needs_no_id_and_numbers_stay_exact() {
    let typing = r#"{"payload":{"active":true,"room":"a"},"type":"typing"}"#;
    let decoded = decode(DialectId::Json, Payload::Text(typing), Context::default());
    assert!(matches!(&decoded[..], [Ok(request)] if request.id.is_none()), "{decoded:?}");
    for seq in ["9007199254740993", "\"9007199254740993\""] {
        let text = command("read", &format!(r#"{{"room":"a","seq":{seq}}}"#));
        let decoded = decode(DialectId::Json, Payload::Text(&text), Context::default());
        let [Ok(request)] = &decoded[..] else { panic!("{decoded:?}") };
        assert!(matches!(&request.command, Command::Read(read) if read.seq.0 == (1 << 53) + 1));
    }
}

#[test]
fn a_frame_of_the_wrong_type_ends_the_connection() {
    for (dialect, payload) in [
        (DialectId::Text, Payload::Binary(b"hi")),
        (DialectId::Json, Payload::Binary(b"{}")),
        (DialectId::JsonLines, Payload::Binary(b"{}")),
        (DialectId::Binary, Payload::Text("hi")),
    ] {
        let decoded = decode(dialect, payload, Context::default());
        let [Err(wrong)] = &decoded[..] else { panic!("{dialect:?}: {decoded:?}") };
        assert_eq!(wrong.refusal.code.close_code(), Some(1003), "{dialect:?}");
    }
}

#[test]
fn lines_of_a_frame_stand_for_themselves() {
    let frame = "{\"type\":\"ping\",\"id\":1}\n\n  \nhello\n{\"type\":\"rooms\",\"id\":2}\n";
    let decoded = decode(DialectId::JsonLines, Payload::Text(frame), Context::default());
    assert_eq!(decoded.len(), 3, "{decoded:?}");
    assert!(decoded[0].is_ok() && decoded[2].is_ok());
    assert!(matches!(&decoded[1], Err(wrong) if wrong.refusal.code == ErrorCode::InvalidJson));
    let [Err(wrong)] = &decode(DialectId::Json, Payload::Text(frame), Context::default())[..] else {
        panic!("one message per frame unless batch=ndjson")
    };
    assert_eq!(wrong.refusal.code, ErrorCode::InvalidJson);
}

/// A binary message with id 7.
pub(crate) fn binary(number: u8, fields: &[u8]) -> Vec<u8> {
    let length = u32::try_from(fields.len() + 4).expect("short");
    [&[number][..], &length.to_be_bytes(), &[0, 0, 0, 7], fields].concat()
}

#[test]
fn binary_messages_obey_the_same_rules() {
    use ErrorCode::{BadRequest, EmptyMessage, InvalidRoom, InvalidText, NameConfusable, UnknownCommand};
    let seven = Some(RequestId::Number(7));
    let said = |text: &[u8]| [b"\0\x01a\0\0\0", &[text.len() as u8][..], text, &[0; 6]].concat();
    let confusable = "аdmin".as_bytes();
    let hello = [&[0, 1, 0, confusable.len() as u8][..], confusable, &[0; 4]].concat();
    for (row, frame, code, id, hint) in [
        ("R48", vec![], BadRequest, None, "a type (1 byte), a length"),
        ("R48", vec![0x0c, 0, 0], BadRequest, None, "a type (1 byte), a length"),
        ("R48", vec![0x0c, 0, 0, 0, 5, 0, 0, 0, 1], BadRequest, None, "declared length"),
        ("R48", vec![0x0c, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1], BadRequest, None, "declared length"),
        ("R48", binary(0x0c, b"x"), BadRequest, seven.clone(), "longer than its fields"),
        ("R48", binary(0x02, b"\0\x09a"), BadRequest, seven.clone(), "room: the message ends early"),
        ("R48", vec![0x0c, 0, 0, 0, 2, 0, 0], BadRequest, None, "id: "),
        ("C5", binary(0x3f, b""), UnknownCommand, seven.clone(), "0x3f"),
        ("C6", vec![0x0c, 0, 0, 0, 4, 0, 0, 0, 0], BadRequest, None, "id: "),
        ("C9", binary(0x03, b"\0\x01*"), InvalidRoom, seven.clone(), "room: "),
        ("C10", binary(0x04, &said(b"\xed\xa0\x80")), BadRequest, seven.clone(), "text: must be UTF-8"),
        ("C11", binary(0x04, &said(b"\0")), InvalidText, seven.clone(), "text: "),
        ("C12", binary(0x04, &said(b"")), EmptyMessage, seven.clone(), "text: "),
        ("C27", binary(0x01, &hello), NameConfusable, seven.clone(), "user: "),
        ("", binary(0x07, &[2, 0]), BadRequest, seven.clone(), "status: must be 0 or 1"),
        ("", binary(0x01, &[0, 0, 0xff, 0xff, 0xff, 0xff]), BadRequest, seven.clone(), "resume: "),
    ] {
        let decoded = decode(DialectId::Binary, Payload::Binary(&frame), Context::default());
        let [Err(wrong)] = &decoded[..] else { panic!("{row} {frame:x?}: {decoded:?}") };
        assert_eq!((wrong.refusal.code, &wrong.id), (code, &id), "{row} {frame:x?}: {}", wrong.refusal);
        assert!(wrong.refusal.message.contains(hint), "{row} {frame:x?}: {}", wrong.refusal);
    }
}

#[test]
fn a_wrong_length_costs_only_the_rest_of_the_frame() {
    let frame = [binary(0x0c, b""), binary(0x3f, b"zz"), binary(0x0a, b""), vec![0x0c, 0, 0, 0, 9]].concat();
    let decoded = decode(DialectId::Binary, Payload::Binary(&frame), Context::default());
    let codes: Vec<_> =
        decoded.iter().map(|one| one.as_ref().err().map(|wrong| wrong.refusal.code)).collect();
    assert_eq!(
        codes,
        [None, Some(ErrorCode::UnknownCommand), None, Some(ErrorCode::BadRequest)],
        "the messages around a bad one are carried out"
    );
}

#[test]
fn typed_lines_obey_the_same_rules() {
    use ErrorCode::{
        BadRequest, EmptyMessage, Forbidden, InvalidLimit, InvalidRoom, InvalidText, InvalidUser,
        NameConfusable, UnknownCommand,
    };
    let room = RoomName::parse("general").expect("valid");
    let here = Context { room: Some(&room) };
    for (row, line, context, code) in [
        ("C5", "/jion general", here, UnknownCommand),
        ("C9", "/join", here, InvalidRoom),
        ("C9", "/join *", here, InvalidRoom),
        ("C11", "a\0b", here, InvalidText),
        ("C12", "", here, EmptyMessage),
        ("C12", "\n", here, EmptyMessage),
        ("C12", "/msg Bob", here, EmptyMessage),
        ("C16", "/history -1", here, InvalidLimit),
        ("C16", "/history many", here, InvalidLimit),
        ("C19", "hello", Context::default(), Forbidden),
        ("C27", "/msg аdmin hi", here, NameConfusable),
        ("", "/msg", here, InvalidUser),
        ("", "/msg \"Bob hi", here, BadRequest),
        ("", "/who", Context::default(), BadRequest),
    ] {
        let decoded = decode(DialectId::Text, Payload::Text(line), context);
        let [Err(wrong)] = &decoded[..] else { panic!("{row} {line}: {decoded:?}") };
        assert_eq!(wrong.refusal.code, code, "{row} {line}: {}", wrong.refusal);
    }
}
