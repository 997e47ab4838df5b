//! Why input was refused, and what the peer is told.

use crate::close;

/// A violation by the peer. The connection cannot be read any further: send a close frame with
/// [`close_code`](Self::close_code) and [`reason`](Self::reason), then end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.reason())]
pub enum DecodeError {
    /// A client sent a frame without a mask (RFC 6455 section 5.1).
    Unmasked,
    /// A server sent a masked frame (section 5.1).
    Masked,
    /// A reserved bit is set that no negotiated extension gives a meaning to (section 5.2).
    ReservedBit,
    /// An opcode without a meaning (section 5.2).
    UnknownOpcode,
    /// A 64-bit payload length with its top bit set (section 5.2).
    LengthOutOfRange,
    /// A control frame of more than 125 bytes (section 5.5).
    ControlTooLong,
    /// A control frame without FIN (section 5.5).
    FragmentedControl,
    /// A continuation frame although no message is in progress (section 5.4).
    UnexpectedContinuation,
    /// A new message although the previous one is not finished (section 5.4).
    ExpectedContinuation,
    /// A close payload of one byte, too short for a code (section 5.5.1).
    CloseTooShort,
    /// A close code that must not be on the wire (section 7.4).
    CloseCode,
    /// Text or a close reason that is not UTF-8 (section 8.1).
    InvalidUtf8,
    /// A compressed message that is not DEFLATE data, or ends within it (RFC 7692 section 7.2.2).
    InvalidDeflate,
    /// A message, as declared, assembled or inflated, is larger than
    /// [`Limits::max_message_bytes`](crate::Limits::max_message_bytes).
    MessageTooLarge,
    /// A message of more frames than [`Limits::max_fragments`](crate::Limits::max_fragments).
    TooManyFragments,
}

impl DecodeError {
    /// The code to close with: 1002, 1007, 1008 or 1009 (RFC 6455 section 7.4.1).
    pub fn close_code(self) -> u16 {
        match self {
            Self::InvalidUtf8 | Self::InvalidDeflate => close::INVALID_PAYLOAD,
            Self::MessageTooLarge => close::TOO_LARGE,
            Self::TooManyFragments => close::POLICY,
            _ => close::PROTOCOL,
        }
    }

    /// A stable word for the close reason, logs and metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Unmasked => "unmasked_frame",
            Self::Masked => "masked_frame",
            Self::ReservedBit => "reserved_bit",
            Self::UnknownOpcode => "unknown_opcode",
            Self::LengthOutOfRange => "length_out_of_range",
            Self::ControlTooLong => "control_too_long",
            Self::FragmentedControl => "fragmented_control",
            Self::UnexpectedContinuation => "unexpected_continuation",
            Self::ExpectedContinuation => "expected_continuation",
            Self::CloseTooShort => "close_too_short",
            Self::CloseCode => "close_code",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::InvalidDeflate => "invalid_deflate",
            Self::MessageTooLarge => "message_too_big",
            Self::TooManyFragments => "too_many_fragments",
        }
    }
}
