//! What one encode or decode costs: `cargo bench -p parlour-protocol`.
//!
//! Each figure is the median of 201 runs, in nanoseconds per call. The runs are short, so that on a
//! busy machine most of them are not interrupted.

use std::hint::black_box;
use std::time::Instant;

use parlour_protocol::command::Publish;
use parlour_protocol::dialect::{Context, DialectId, Payload, binary, json};
use parlour_protocol::event::Message;
use parlour_protocol::{Command, Event, Request, RequestId, RoomName, Seq, UserId};

const RUNS: usize = 201;
const CALLS: u32 = 1_000;

fn main() {
    for bytes in [16, 128, 1024] {
        let room = RoomName::parse("general").expect("valid");
        let text = "Hello, world! ".repeat(bytes / 14 + 1)[..bytes].to_owned();
        println!("text of {bytes} bytes");
        for dialect in [DialectId::Text, DialectId::Json, DialectId::Binary] {
            let (encode_ns, decode_ns) = measure(dialect, &room, &text);
            println!("  {dialect:?}: message event {encode_ns:.0} ns, publish command {decode_ns:.0} ns");
        }
    }
}

fn measure(dialect: DialectId, room: &RoomName, text: &str) -> (f64, f64) {
    let sender = UserId::parse("Alice").expect("valid");
    let (room_of, cid) = (room.clone(), Some("c-0123456789".into()));
    let message = Message {
        room: room_of,
        seq: Seq(123_456),
        sender,
        text: text.into(),
        ts: 1_767_225_600_000,
        cid,
        details: None,
    };
    let event = Event::Message(message);
    let mut out = Vec::new();
    let encode_ns = median_ns(|| {
        out.clear();
        dialect.dialect().encode(black_box(&event), None, &mut out);
        black_box(&out);
    });

    let cid = Some("c-0123456789".into());
    let command = Command::Publish(Publish {
        room: room.clone(),
        text: text.into(),
        cid,
        reply_to: None,
        mentions: Vec::new(),
    });
    let request = Request { id: Some(RequestId::Number(7)), command };
    let mut frame = Vec::new();
    match dialect {
        DialectId::Text => frame.extend_from_slice(text.as_bytes()),
        DialectId::Json | DialectId::JsonLines => json::encode_request(&request, &mut frame),
        DialectId::Binary => binary::encode_request(&request, &mut frame),
    }
    let payload = match dialect.dialect().is_binary() {
        true => Payload::Binary(&frame),
        false => Payload::Text(std::str::from_utf8(&frame).expect("UTF-8")),
    };
    let context = Context { room: Some(room) };
    let decode_ns = median_ns(|| {
        dialect.dialect().decode(black_box(payload), context, &mut |decoded| {
            black_box(decoded.is_ok());
        });
    });
    (encode_ns, decode_ns)
}

fn median_ns(mut call: impl FnMut()) -> f64 {
    let mut runs: Vec<f64> = (0..RUNS)
        .map(|_| {
            let begin = Instant::now();
            (0..CALLS).for_each(|_| call());
            begin.elapsed().as_nanos() as f64 / f64::from(CALLS)
        })
        .collect();
    runs.sort_by(f64::total_cmp);
    runs[RUNS / 2]
}
