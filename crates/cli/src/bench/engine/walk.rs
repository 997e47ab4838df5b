//! Frames where they lie: finds the borders of what a server sent, and copies nothing.
//!
//! Only what a receiver of Parlour needs of RFC 6455: servers send whole, unmasked frames, at most
//! compressed (RFC 7692). Anything else is a mistake of the server, and is told.

use anyhow::bail;

/// One whole frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    /// The kind: 1 text, 2 binary, 8 close, 9 ping, 10 pong.
    pub(crate) opcode: u8,
    /// Whether the payload is compressed; whoever has not asked for that must refuse it.
    pub(crate) is_compressed: bool,
    /// What is in it.
    pub(crate) payload: &'a [u8],
}

/// Returns the first frame and how many bytes it takes, or `None` if it is incomplete.
///
/// # Errors
/// Parts of messages, reserved bits other than that of compression, masks, and lengths of 4 GiB and
/// more.
#[inline]
pub(crate) fn first(bytes: &[u8]) -> anyhow::Result<Option<(Frame<'_>, usize)>> {
    let &[kind, length, ..] = bytes else {
        return Ok(None);
    };
    if !matches!(kind, 0x81 | 0x82 | 0xc1 | 0xc2 | 0x88 | 0x89 | 0x8a) {
        bail!("the server sent a frame that begins with {kind:#04x}");
    }
    let (at, length): (usize, _) = match length {
        0..=125 => (2, u64::from(length)),
        126 => match bytes.get(2..4) {
            Some(&[high, low]) => (4, u64::from(u16::from_be_bytes([high, low]))),
            _ => return Ok(None),
        },
        127 => match bytes[2..].first_chunk() {
            Some(length) => (10, u64::from_be_bytes(*length)),
            None => return Ok(None),
        },
        _ => bail!("the server sent a masked frame"),
    };
    let Some(end) = u32::try_from(length).ok().and_then(|length| at.checked_add(length as usize)) else {
        bail!("the server sent a frame of {length} bytes");
    };
    let (opcode, is_compressed) = (kind & 0x0f, kind & 0x40 != 0);
    Ok(bytes.get(at..end).map(|payload| (Frame { opcode, is_compressed, payload }, end)))
}

#[cfg(test)]
mod tests {
    use parlour_protocol::dialect::DialectId;
    use parlour_protocol::event::{Event, Message};
    use parlour_protocol::{RoomName, Seq, UserId};
    use parlour_websocket::{Opcode, encode};

    use super::*;

    /// Walks all frames of a stream that comes in two parts.
    fn walk(parts: [&[u8]; 2]) -> Vec<(u8, Vec<u8>)> {
        let (mut kept, mut found) = (Vec::new(), Vec::new());
        for part in parts {
            kept.extend_from_slice(part);
            let mut taken = 0;
            while let Some((frame, bytes)) = first(&kept[taken..]).expect("frames of a server") {
                found.push((frame.opcode, frame.payload.to_vec()));
                taken += bytes;
            }
            kept.drain(..taken);
        }
        assert!(kept.is_empty(), "every byte belongs to a frame");
        found
    }

    fn message() -> Event {
        Event::Message(Message {
            room: RoomName::parse("live:bench").expect("a room"),
            seq: Seq(7),
            sender: UserId::parse("bench").expect("a user"),
            text: "hello".into(),
            ts: 0,
            cid: None,
            details: None,
        })
    }

    #[test]
    fn streams_of_every_dialect_are_walked_wherever_they_are_cut() {
        for id in [DialectId::Json, DialectId::Binary, DialectId::Text] {
            let opcode = if id.dialect().is_binary() { Opcode::Binary } else { Opcode::Text };
            let mut payload = Vec::new();
            id.dialect().encode(&message(), None, &mut payload);
            // The three ways to write a length.
            let (medium, long) = (payload.repeat(20), payload.repeat(70_000 / payload.len()));
            let sent: [(Opcode, &[u8]); 5] = [
                (opcode, &payload),
                (Opcode::Ping, b""),
                (opcode, &medium),
                (Opcode::Close, b"\x03\xe8bye"),
                (opcode, &long),
            ];
            let mut stream = Vec::new();
            sent.iter().for_each(|(opcode, payload)| encode::frame(&mut stream, *opcode, payload));
            let expected: Vec<_> =
                sent.iter().map(|(opcode, payload)| (*opcode as u8, payload.to_vec())).collect();
            // Inside the last payload one place is like the other.
            let borders = stream.len() - long.len() + 2;
            for cut in (0..borders).chain([stream.len() - 1, stream.len()]) {
                assert_eq!(walk([&stream[..cut], &stream[cut..]]), expected, "{id:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn what_no_server_sends_is_refused() {
        let long = [0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0];
        for wrong in [&[0x01, 0][..], &[0xa1, 0], &[0xc9, 0], &[0x81, 0x80], &long] {
            assert!(first(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(first(&[0x82, 127, 0, 0, 0, 1, 0, 0, 0]).expect("not yet wrong"), None);
        let compressed = Frame { opcode: 1, is_compressed: true, payload: b"x" };
        assert_eq!(first(b"\xc1\x01x").expect("a frame"), Some((compressed, 3)));
    }
}
