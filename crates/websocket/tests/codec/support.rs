//! Frames by hand, and decoding with owned results.

use parlour_websocket::{DecodeError, Decoder, Frame, Inflater, Limits, Role, mask};

/// A frame that owns its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owned {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

impl From<Frame<'_>> for Owned {
    fn from(frame: Frame<'_>) -> Self {
        match frame {
            Frame::Text(text) => Self::Text(text.to_owned()),
            Frame::Binary(bytes) => Self::Binary(bytes.to_vec()),
            Frame::Ping(bytes) => Self::Ping(bytes.to_vec()),
            Frame::Pong(bytes) => Self::Pong(bytes.to_vec()),
            Frame::Close(close) => Self::Close(close.map(|(code, reason)| (code, reason.to_owned()))),
        }
    }
}

/// A masked frame with any first byte, right or wrong.
pub(crate) fn raw(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = raw_header(first, payload.len() as u64);
    let payload_at = bytes.len();
    bytes.extend_from_slice(payload);
    mask::apply(&mut bytes[payload_at..], [1, 2, 3, 4]);
    bytes
}

/// The header of a masked frame that declares any length.
pub(crate) fn raw_header(first: u8, declared: u64) -> Vec<u8> {
    let mut bytes = vec![first];
    match declared {
        0..=125 => bytes.push(0x80 | declared as u8),
        126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(declared as u16).to_be_bytes());
        }
        _ => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&declared.to_be_bytes());
        }
    }
    bytes.extend_from_slice(&[1, 2, 3, 4]);
    bytes
}

/// A server's decoder together with what it needs.
pub(crate) struct Receiver {
    pub(crate) decoder: Decoder,
    pub(crate) limits: Limits,
    inflater: Inflater,
}

impl Receiver {
    pub(crate) fn plain() -> Self {
        Self::of(Role::Server, false)
    }

    pub(crate) fn deflated() -> Self {
        Self::of(Role::Server, true)
    }

    pub(crate) fn of(role: Role, deflate: bool) -> Self {
        let limits = Limits { max_message_bytes: 64 * 1024, max_fragments: 1024 };
        Self { decoder: Decoder::new(role, deflate), limits, inflater: Inflater::new() }
    }

    /// Shows `bytes` in one piece; also checks that all input is consumed.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Result<Vec<Owned>, DecodeError> {
        let mut bytes = bytes.to_vec();
        let mut input = &mut bytes[..];
        let mut frames = Vec::new();
        while let Some(frame) = self.decoder.decode(&mut input, &self.limits, &mut self.inflater)? {
            frames.push(frame.into());
        }
        assert!(input.is_empty(), "input left over");
        Ok(frames)
    }

    /// Shows `bytes` in pieces that end at `borders`. Returns what came before an error, too.
    pub(crate) fn receive_split(
        &mut self,
        bytes: &[u8],
        borders: impl IntoIterator<Item = usize>,
    ) -> (Vec<Owned>, Option<DecodeError>) {
        let mut frames = Vec::new();
        let mut start = 0;
        for end in borders.into_iter().chain([bytes.len()]) {
            let mut piece = bytes[start..end].to_vec();
            let mut input = &mut piece[..];
            loop {
                match self.decoder.decode(&mut input, &self.limits, &mut self.inflater) {
                    Ok(Some(frame)) => frames.push(frame.into()),
                    Ok(None) => break,
                    Err(error) => return (frames, Some(error)),
                }
            }
            start = end;
        }
        (frames, None)
    }
}
