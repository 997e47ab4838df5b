//! Close codes (RFC 6455 section 7.4 and the IANA registry) and the payload of a close frame.

use crate::DecodeError;

/// The purpose of the connection is fulfilled.
pub const NORMAL: u16 = 1000;
/// The endpoint goes away; reconnecting is fine.
pub const GOING_AWAY: u16 = 1001;
/// The peer broke the framing rules.
pub const PROTOCOL: u16 = 1002;
/// A message of a type that is not accepted here.
pub const UNSUPPORTED: u16 = 1003;
/// Text that is not UTF-8, or broken compression.
pub const INVALID_PAYLOAD: u16 = 1007;
/// A rule was violated; do not retry unchanged.
pub const POLICY: u16 = 1008;
/// A message was too large.
pub const TOO_LARGE: u16 = 1009;
/// The server had a fault of its own.
pub const INTERNAL: u16 = 1011;
/// The server restarts or drains; reconnect after a moment.
pub const RESTART: u16 = 1012;
/// The server is overloaded or the peer too slow; retry later.
pub const TRY_LATER: u16 = 1013;

/// The longest reason that fits into a close frame, in bytes.
pub const MAX_REASON: usize = 123;

/// Tells whether `code` may appear in a close frame (RFC 6455 section 7.4): a registered code that
/// is not reserved for local use, or one of the library and application ranges.
pub fn is_sendable(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Cuts `reason` to [`MAX_REASON`] bytes at a character boundary.
pub(crate) fn fit_reason(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(MAX_REASON)]
}

/// Splits a close payload into code and reason; an empty payload has neither.
pub(crate) fn parse(payload: &[u8]) -> Result<Option<(u16, &str)>, DecodeError> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() { Ok(None) } else { Err(DecodeError::CloseTooShort) };
    };
    let code = u16::from_be_bytes(*code);
    if !is_sendable(code) {
        return Err(DecodeError::CloseCode);
    }
    let reason = std::str::from_utf8(reason).map_err(|_| DecodeError::InvalidUtf8)?;
    Ok(Some((code, reason)))
}
