//! Frames: the same however the bytes are cut, and never more memory than what arrived.

use parlour_websocket::{DecodeError, Decoder, Frame, Inflater, Limits, Role, close};

const LIMITS: Limits = Limits { max_message_bytes: 4096, max_fragments: 16 };

/// Decodes `data` in one piece and in pieces, whose sizes its first byte chooses; both must give
/// the same frames and the same error, and keep no more than what arrived.
pub fn check_decoder(data: &[u8], deflate: bool) {
    let Some((&choice, bytes)) = data.split_first() else { return };
    let role = if choice & 0x80 == 0 { Role::Server } else { Role::Client };
    let whole = decode(role, deflate, bytes, bytes.len().max(1));
    let pieces = decode(role, deflate, bytes, usize::from(choice & 0x7f) + 1);
    assert_eq!(whole, pieces);
}

fn decode(role: Role, deflate: bool, bytes: &[u8], piece: usize) -> (Vec<String>, Option<DecodeError>) {
    let (mut decoder, mut inflater) = (Decoder::new(role, deflate), Inflater::new());
    let mut frames = Vec::new();
    let mut arrived = 0;
    for chunk in bytes.chunks(piece) {
        let mut chunk = chunk.to_vec();
        arrived += chunk.len();
        let mut input = &mut chunk[..];
        loop {
            match decoder.decode(&mut input, &LIMITS, &mut inflater) {
                Ok(None) => break,
                Ok(Some(frame)) => {
                    check_frame(&frame);
                    frames.push(format!("{frame:?}"));
                }
                Err(error) => return (frames, Some(error)),
            }
        }
        assert!(input.is_empty());
        assert!(decoder.kept_bytes() <= 2 * arrived + 200);
        assert_eq!(decoder.is_mid_message(), decoder.kept_bytes() > 0);
    }
    (frames, None)
}

fn check_frame(frame: &Frame<'_>) {
    match *frame {
        Frame::Text(text) => assert!(text.len() <= LIMITS.max_message_bytes),
        Frame::Binary(bytes) => assert!(bytes.len() <= LIMITS.max_message_bytes),
        Frame::Ping(payload) | Frame::Pong(payload) => assert!(payload.len() <= 125),
        Frame::Close(None) => {}
        Frame::Close(Some((code, reason))) => {
            assert!(close::is_sendable(code) && reason.len() <= close::MAX_REASON);
        }
    }
}
