//! Whatever is written is read back the same, and no bytes whatsoever cause a panic.

use parlour_protocol::dialect::{Context, DialectId, Payload, binary, json};
use parlour_protocol::event::{Message, Reply};
use parlour_protocol::{Event, Request, RequestId, RoomName, Seq, UserId};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use crate::samples::{any_id, command, event, number};
use crate::{decode, encode};

fn events_of(
    payload: Payload<'_>,
    read: impl Fn(Payload<'_>, &mut dyn FnMut(Event, Option<RequestId>)),
) -> Vec<Reply> {
    let mut replies = Vec::new();
    read(payload, &mut |event, id| replies.push(Reply { id, event }));
    replies
}

fn text(bytes: &[u8]) -> Payload<'_> {
    Payload::Text(std::str::from_utf8(bytes).expect("the dialect writes UTF-8"))
}

proptest! {
    #[test]
    fn requests_in_json(command in command(), id in any_id()) {
        let request = Request { id: Some(id), command };
        let mut bytes = Vec::new();
        json::encode_request(&request, &mut bytes);
        for dialect in [DialectId::Json, DialectId::JsonLines] {
            prop_assert_eq!(decode(dialect, text(&bytes), Context::default()), vec![Ok(request.clone())]);
        }
    }

    #[test]
    fn requests_in_binary(commands in vec((command(), number()), 1..4)) {
        let requests: Vec<_> =
            commands.into_iter().map(|(command, id)| Request { id: Some(id), command }).collect();
        let mut bytes = Vec::new();
        requests.iter().for_each(|request| binary::encode_request(request, &mut bytes));
        let decoded = decode(DialectId::Binary, Payload::Binary(&bytes), Context::default());
        prop_assert_eq!(decoded, requests.into_iter().map(Ok).collect::<Vec<_>>());
    }

    #[test]
    fn events_in_json(events in vec((event(), of(any_id())), 1..4)) {
        let mut frame = Vec::new();
        for (event, id) in &events {
            if !frame.is_empty() {
                frame.extend_from_slice(DialectId::JsonLines.dialect().separator().expect("lines"));
            }
            frame.extend(encode(DialectId::JsonLines, event, id.as_ref()));
        }
        let replies = events_of(text(&frame), |payload, each| {
            json::decode_events(payload, &mut |one| { let Reply { id, event } = one.expect("valid"); each(event, id) })
        });
        prop_assert_eq!(replies, events.into_iter().map(|(event, id)| Reply { id, event }).collect::<Vec<_>>());
    }

    #[test]
    fn events_in_binary(events in vec((event(), of(number())), 1..4)) {
        let mut frame = Vec::new();
        events.iter().for_each(|(event, id)| frame.extend(encode(DialectId::Binary, event, id.as_ref())));
        let replies = events_of(Payload::Binary(&frame), |payload, each| {
            binary::decode_events(payload, &mut |one| { let Reply { id, event } = one.expect("valid"); each(event, id) })
        });
        prop_assert_eq!(replies, events.into_iter().map(|(event, id)| Reply { id, event }).collect::<Vec<_>>());
    }

    /// Whoever says or is called what: an event is one line that nobody else could have caused.
    #[test]
    fn lines_of_text_cannot_be_forged(event in event()) {
        let bytes = encode(DialectId::Text, &event, None);
        let shown = std::str::from_utf8(&bytes).expect("UTF-8");
        let lines = match &event {
            Event::History(page) => 1 + page.events.len(),
            Event::Found(found) => 1 + found.hits.len(),
            Event::Reports(list) => 1 + list.reports.len(),
            _ => 1,
        };
        prop_assert_eq!(shown.split('\n').count(), lines);
        prop_assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{:?}", shown);
        if let Event::Message(message) = &event {
            let (name, rest) = speaker(shown);
            prop_assert_eq!(name, message.sender.as_str());
            let has_notes = message.details.is_some() && rest.starts_with(" (");
            prop_assert!(has_notes || rest.starts_with(": "), "{:?}", shown);
            prop_assert!(!shown.starts_with(['*', '!', '[']));
        }
    }

    #[test]
    fn random_bytes_are_refused_in_peace(bytes in vec(any::<u8>(), 0..200)) {
        let lossy = String::from_utf8_lossy(&bytes);
        for dialect in DialectId::ALL {
            decode(dialect, Payload::Binary(&bytes), Context::default());
            decode(dialect, Payload::Text(&lossy), Context::default());
        }
        binary::decode_events(Payload::Binary(&bytes), &mut |_| ());
        json::decode_events(Payload::Text(&lossy), &mut |_| ());
    }

    #[test]
    fn cut_and_bent_messages_are_refused_in_peace(command in command(), at in any::<prop::sample::Index>(), byte: u8) {
        let request = Request { id: Some(RequestId::Number(1)), command };
        let mut bytes = Vec::new();
        binary::encode_request(&request, &mut bytes);
        let at = at.index(bytes.len());
        let cut = decode(DialectId::Binary, Payload::Binary(&bytes[..at]), Context::default());
        prop_assert!(cut.iter().all(Result::is_err), "a cut message is never carried out");
        bytes[at] = byte;
        decode(DialectId::Binary, Payload::Binary(&bytes), Context::default());
        let mut json = Vec::new();
        json::encode_request(&request, &mut json);
        let cut = String::from_utf8_lossy(&json[..at.min(json.len() - 1)]);
        prop_assert!(decode(DialectId::Json, Payload::Text(&cut), Context::default()).iter().all(Result::is_err));
    }
}

/// Messages are written by hand; the shape that the derived code writes is the reference.
#[test]
fn messages_are_written_as_they_are_declared() {
    for text in ["plain", "\"quoted\" \\ \u{8}\n\u{1f}\u{7f}", "größe 日本 \u{2028}"] {
        for (cid, seq) in [(None, Seq(1)), (Some("c\"1".into()), Seq(u64::MAX))] {
            let room = RoomName::parse("a\"b").expect("valid");
            let sender = UserId::parse("c\\d").expect("valid");
            let message = Message { room, seq, sender, text: text.into(), ts: -1, cid, details: None };
            let expected = serde_json::to_string(&message).expect("JSON");
            let written = encode(DialectId::Json, &Event::Message(message), None);
            let written = String::from_utf8(written).expect("UTF-8");
            assert_eq!(written, format!(r#"{{"type":"message","payload":{expected}}}"#));
        }
    }
}

/// Reads the name at the beginning of a line, as a person would.
fn speaker(line: &str) -> (String, &str) {
    if line.starts_with('"') {
        let mut strings = serde_json::Deserializer::from_str(line).into_iter::<String>();
        let name = strings.next().expect("a name").expect("a JSON string");
        return (name, &line[strings.byte_offset()..]);
    }
    let end = line.find([':', '(']).expect("a colon or notes");
    let end = if line[end..].starts_with('(') { end - 1 } else { end };
    (line[..end].to_owned(), &line[end..])
}
