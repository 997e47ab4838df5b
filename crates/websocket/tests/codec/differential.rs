//! The same bytes to other libraries: tungstenite for plain frames, yawc for compressed ones.

use crate::support::{Owned, Receiver, raw};
use futures_util::SinkExt as _;
use parlour_websocket::handshake::deflate::negotiate;
use parlour_websocket::{Deflater, Opcode, Role, encode};
use proptest::collection::vec;
use proptest::prelude::*;
use std::io::{self, Read, Write};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message, WebSocket};

/// A socket with fixed input, whose output goes nowhere.
struct Recorded<'b>(&'b [u8]);

impl Read for Recorded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match Read::read(&mut self.0, buffer)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            taken => Ok(taken),
        }
    }
}

impl Write for Recorded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What tungstenite makes of the input, and whether it refused some of it.
fn tungstenite(bytes: &[u8]) -> (Vec<Owned>, bool) {
    let config = WebSocketConfig::default().max_message_size(Some(65_536)).max_frame_size(Some(65_536));
    let mut socket =
        WebSocket::from_raw_socket(Recorded(bytes), tungstenite::protocol::Role::Server, Some(config));
    let mut frames = Vec::new();
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => frames.push(Owned::Text(text.as_str().to_owned())),
            Ok(Message::Binary(bytes)) => frames.push(Owned::Binary(bytes.to_vec())),
            Ok(Message::Ping(bytes)) => frames.push(Owned::Ping(bytes.to_vec())),
            Ok(Message::Pong(bytes)) => frames.push(Owned::Pong(bytes.to_vec())),
            Ok(Message::Close(close)) => {
                let close = close.map(|close| (close.code.into(), close.reason.as_str().to_owned()));
                frames.push(Owned::Close(close));
            }
            Ok(Message::Frame(_)) => unreachable!("only sent, never received"),
            Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return (frames, false);
            }
            Err(tungstenite::Error::ConnectionClosed) => return (frames, false),
            Err(_) => return (frames, true),
        }
    }
}

fn sequence() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        30 => prop::sample::select(vec![0x81u8, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8a]),
        1 => prop::sample::select(vec![0xc1u8, 0x83, 0x8b, 0x09, 0x91]),
    ];
    let payload = prop_oneof![
        4 => "\\PC{0,30}".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..4),
        1 => (100..300usize).prop_map(|length| vec![b'a'; length]),
        1 => (65_500..65_600usize).prop_map(|length| vec![b'a'; length]),
    ];
    let close = prop::sample::select(vec![1000u16, 1001, 1008, 3000, 4999]).prop_map(u16::to_be_bytes);
    (vec((first, payload), 1..10), prop::option::of(close)).prop_map(|(frames, close)| {
        let mut bytes: Vec<u8> = frames.iter().flat_map(|(first, payload)| raw(*first, payload)).collect();
        bytes.extend(close.map(|code| raw(0x88, &code)).unwrap_or_default());
        bytes
    })
}

proptest! {
    #[test]
    fn plain_frames_as_tungstenite_reads_them(bytes in sequence()) {
        let (frames, error) = Receiver::plain().receive_split(&bytes, []);
        prop_assert_eq!((frames, error.is_some()), tungstenite(&bytes));
    }
}

proptest! {
    // A compression state on both sides for every case makes this one slow.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn deflated_messages_to_and_from_yawc(
        messages in vec(prop_oneof![
            vec(any::<u8>(), 0..300),
            "[ab]{0,500}".prop_map(String::into_bytes),
            vec(any::<u8>(), 1..4).prop_map(|bytes| bytes.repeat(9000)),
        ], 1..4),
        offer in prop::sample::select(vec![
            "permessage-deflate",
            "permessage-deflate; server_max_window_bits=9",
        ]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(exchange_with_yawc(&messages, offer));
    }
}

/// A yawc client sends all messages to us, and gets all of them from us.
async fn exchange_with_yawc(messages: &[Vec<u8>], offer: &str) {
    let (ours, theirs) = tokio::io::duplex(4 * 1024 * 1024);
    let (mut ours_read, mut ours_write) = tokio::io::split(ours);
    let params = negotiate([offer].into_iter()).expect("an acceptable offer");
    let options = yawc::Options::default().with_balanced_compression().with_compression_threshold(0);
    let mut yawc = yawc::WebSocket::from_stream_with_extensions(
        theirs,
        yawc::Role::Client,
        Some(&params.to_string()),
        options,
    )
    .expect("a stream");

    let mut deflater = Deflater::new(6, params.server_max_window_bits());
    let mut bytes = Vec::new();
    for message in messages {
        yawc.send(yawc::Frame::binary(message.clone())).await.expect("sent");
        encode::compressed_frame(&mut bytes, &mut deflater, Opcode::Binary, message);
    }
    ours_write.write_all(&bytes).await.expect("room in the pipe");

    let mut receiver = Receiver::of(Role::Server, true);
    receiver.limits.max_message_bytes = 1 << 20;
    let mut received = Vec::new();
    while received.len() < messages.len() {
        let mut chunk = [0; 4096];
        let read = ours_read.read(&mut chunk).await.expect("bytes");
        received.extend(receiver.receive(&chunk[..read]).expect("valid frames"));
    }
    let expected: Vec<_> = messages.iter().cloned().map(Owned::Binary).collect();
    assert_eq!(received, expected, "from yawc");
    for message in messages {
        let frame = yawc.next_frame().await.expect("a frame");
        assert_eq!(frame.payload(), message, "to yawc");
    }
}
