//! Commands and events: what one dialect understands, every dialect can say, and nobody can put
//! words into the mouth of somebody else.

use parlour_protocol::dialect::{Context, Decoded, DialectId, EventError, Payload, binary, json};
use parlour_protocol::{Event, Reply, Request, RequestId, RoomName};

/// Longest explanation of a refusal, in bytes: it may quote the input, but not repeat it.
const EXPLANATION: usize = 512;

/// Decodes the commands of a message, checks each, and returns how many there were.
pub fn check_commands(dialect: DialectId, payload: Payload<'_>) -> usize {
    let room = RoomName::parse("general").expect("valid");
    let mut count = 0;
    dialect.dialect().decode(payload, Context { room: Some(&room) }, &mut |decoded| {
        count += 1;
        match decoded {
            Ok(request) => check_request(request),
            Err(wrong) => {
                let message = &wrong.refusal.message;
                assert!(!message.is_empty() && message.len() <= EXPLANATION, "{message}");
            }
        }
    });
    count
}

/// A command means the same in the two dialects that programs speak.
fn check_request(request: Request) {
    let mut bytes = Vec::new();
    json::encode_request(&request, &mut bytes);
    assert_eq!(decode(DialectId::Json, text(&bytes)), [Ok(request.clone())]);

    let number = request.command.has_answer().then_some(RequestId::Number(7));
    let request = Request { id: number, ..request };
    bytes.clear();
    binary::encode_request(&request, &mut bytes);
    assert_eq!(decode(DialectId::Binary, Payload::Binary(&bytes)), [Ok(request)]);
}

fn decode(dialect: DialectId, payload: Payload<'_>) -> Vec<Decoded> {
    let mut all = Vec::new();
    dialect.dialect().decode(payload, Context::default(), &mut |decoded| all.push(decoded));
    all
}

/// Checks an event that a client has read, or why it could not.
pub fn check_reply(reply: Result<Reply, EventError>) {
    let Ok(reply) = reply else { return };
    let mut bytes = Vec::new();
    DialectId::Json.encode(&reply, &mut bytes);
    let mut again = Vec::new();
    json::decode_events(text(&bytes), &mut |event| again.extend(event));
    assert_eq!(again, [reply.clone()]);

    // In binary, request ids are numbers.
    let mut reply = Reply { id: None, ..reply };
    if let Event::Error(refusal) = &mut reply.event {
        refusal.blocked_by = None;
    }
    bytes.clear();
    DialectId::Binary.encode(&reply, &mut bytes);
    again.clear();
    binary::decode_events(Payload::Binary(&bytes), &mut |event| again.extend(event));
    assert_eq!(again, [reply.clone()]);

    check_lines(&reply.event);
}

/// In plain text an event is one line, or one more per item of a list, that steers no terminal.
fn check_lines(event: &Event) {
    let mut bytes = Vec::new();
    DialectId::Text.dialect().encode(event, None, &mut bytes);
    let shown = std::str::from_utf8(&bytes).expect("text is UTF-8");
    let lines = match event {
        Event::History(page) => 1 + page.events.len(),
        Event::Found(found) => 1 + found.hits.len(),
        _ => 1,
    };
    assert_eq!(shown.split('\n').count(), lines, "{shown:?}");
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
}

fn text(bytes: &[u8]) -> Payload<'_> {
    Payload::Text(std::str::from_utf8(bytes).expect("JSON is UTF-8"))
}
