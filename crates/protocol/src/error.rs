//! The one table of errors: every refusal, HTTP problem and close reason is a row of it.
//!
//! `docs/protocol.md` is checked against this table.

use std::borrow::Cow;

use crate::command::RequestId;

/// Declares [`ErrorCode`] and everything that is known of each row.
macro_rules! error_table {
    ($($(#[doc = $doc:literal])+ $variant:ident = $number:literal, $word:literal, $retry:ident, $http:literal, $close:expr;)+) => {
        /// A row of the error table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum ErrorCode { $($(#[doc = $doc])+ $variant = $number,)+ }

        impl ErrorCode {
            /// All rows, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Returns the word that names the error on the wire.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// Finds the row of a word.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }

            /// Finds the row of a number.
            #[must_use]
            pub fn from_number(number: u16) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)+ _ => None }
            }

            /// Whether the same request may succeed later, unchanged.
            #[must_use]
            pub fn is_retryable(self) -> bool {
                match self { $(Self::$variant => error_table!(@retry $retry),)+ }
            }

            /// Returns the HTTP status that answers a request with this error.
            #[must_use]
            pub fn http_status(self) -> u16 {
                match self { $(Self::$variant => $http,)+ }
            }

            /// Returns the WebSocket close code, where this error ends a connection.
            #[must_use]
            pub fn close_code(self) -> Option<u16> {
                match self { $(Self::$variant => $close,)+ }
            }

            /// Explains the error in a sentence.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
    (@retry later) => { true };
    (@retry never) => { false };
}

error_table! {
    // Commands (100-): the connection lives on.
    /// The message is not valid JSON.
    InvalidJson = 100, "invalid_json", never, 400, None;
    /// The request is not understood: a field is missing, unknown, doubled or of the wrong type.
    BadRequest = 101, "bad_request", never, 400, None;
    /// There is no command of this name.
    UnknownCommand = 102, "unknown_command", never, 404, None;
    /// The room name breaks the rule for room names.
    InvalidRoom = 103, "invalid_room", never, 400, None;
    /// The user id breaks the rule for user ids.
    InvalidUser = 104, "invalid_user", never, 400, None;
    /// The user id mixes scripts whose letters look alike.
    NameConfusable = 105, "name_confusable", never, 400, None;
    /// The text holds the character U+0000.
    InvalidText = 106, "invalid_text", never, 400, None;
    /// The message is empty.
    EmptyMessage = 107, "empty_message", never, 400, None;
    /// The limit is out of range.
    InvalidLimit = 108, "invalid_limit", never, 400, None;
    /// The cursor names no place in this room.
    InvalidCursor = 109, "invalid_cursor", never, 400, None;
    /// The same cid was used for another message.
    IdempotencyConflict = 110, "idempotency_conflict", never, 409, None;
    /// This is not allowed here; publishing needs a room that the connection has joined.
    Forbidden = 111, "forbidden", never, 403, None;
    /// There is nothing of this name.
    NotFound = 112, "not_found", never, 404, None;
    /// A limit of this connection is reached.
    LimitExceeded = 113, "limit_exceeded", never, 429, None;
    /// Too many commands; wait for retry_after_ms.
    RateLimited = 114, "rate_limited", later, 429, None;
    /// The room exists already.
    Exists = 115, "exists", never, 409, None;
    /// The text holds a word that is not allowed here.
    Filtered = 116, "filtered", never, 422, None;

    // The server's side (200-): the command was not carried out.
    /// The store does not answer; nothing was stored.
    Unavailable = 200, "unavailable", later, 503, None;
    /// Too much work is waiting; nothing was stored.
    Overloaded = 201, "overloaded", later, 503, None;
    /// The disk is full; nothing was stored.
    StorageFull = 202, "storage_full", later, 503, None;
    /// Whether the message was stored is not known; retry with the same cid.
    Indeterminate = 203, "indeterminate", later, 503, None;
    /// A stored row does not match its checksum and is not served.
    Corrupt = 204, "corrupt", never, 500, None;
    /// The server made a mistake; its log has the details.
    Internal = 205, "internal", later, 500, Some(1011);

    // Identity (300-).
    /// Say hello before any other command.
    Unauthenticated = 300, "unauthenticated", never, 401, Some(1008);
    /// No hello came in time.
    AuthTimeout = 301, "auth_timeout", never, 408, Some(1008);
    /// The credentials are not valid.
    InvalidToken = 302, "invalid_token", never, 401, Some(1008);
    /// A second hello names another user.
    IdentityChange = 303, "identity_change", never, 403, Some(1008);
    /// Credentials in the URL are not configured; send them in hello or in a header.
    TokenInQuery = 304, "token_in_query", never, 400, None;
    /// The token has expired; come back with a new one.
    TokenExpired = 305, "token_expired", never, 401, Some(1008);
    /// The credentials were taken back.
    Revoked = 306, "revoked", never, 401, Some(1008);

    // Ends of a connection (400-).
    /// The frame breaks RFC 6455.
    ProtocolError = 400, "protocol_error", never, 400, Some(1002);
    /// This dialect does not take frames of this type.
    UnsupportedData = 401, "unsupported_data", never, 415, Some(1003);
    /// The payload is not valid UTF-8 or not valid deflate.
    InvalidPayload = 402, "invalid_payload", never, 400, Some(1007);
    /// The message is larger than the limit.
    MessageTooBig = 403, "message_too_big", never, 413, Some(1009);
    /// The message has too many fragments.
    TooManyFragments = 404, "too_many_fragments", never, 400, Some(1008);
    /// The message was begun and not finished in time.
    MessageTimeout = 405, "message_timeout", never, 408, Some(1008);
    /// Too many pings.
    PingFlood = 406, "ping_flood", never, 429, Some(1008);
    /// Too many bad commands within a minute.
    TooManyErrors = 407, "too_many_errors", never, 429, Some(1008);
    /// The client reads too slowly; resume to get what was missed.
    SlowConsumer = 408, "slow_consumer", later, 503, Some(1013);
    /// No sign of life in time.
    HeartbeatTimeout = 409, "heartbeat_timeout", later, 408, Some(1013);
    /// The server restarts; reconnect at a random moment of the given window.
    Restart = 410, "restart", later, 503, Some(1012);
    /// A backend of the operator has ended the connection.
    Disconnected = 411, "disconnected", never, 403, Some(1008);

    // HTTP and the handshake (500-).
    /// The HTTP request is malformed.
    BadHandshake = 500, "bad_handshake", never, 400, None;
    /// There is no such resource.
    NoRoute = 501, "no_route", never, 404, None;
    /// The resource does not know this method.
    MethodNotAllowed = 502, "method_not_allowed", never, 405, None;
    /// This resource speaks WebSocket, version 13.
    UpgradeRequired = 503, "upgrade_required", never, 426, None;
    /// A parameter of the URL is missing or invalid.
    InvalidParameter = 504, "invalid_parameter", never, 400, None;
    /// None of the offered subprotocols is known.
    UnknownSubprotocol = 505, "unknown_subprotocol", never, 400, None;
    /// The origin of the page is not allowed.
    OriginForbidden = 506, "origin_forbidden", never, 403, None;
    /// This server does not serve the named host.
    Misdirected = 507, "misdirected", never, 421, None;
    /// The URL is too long.
    UriTooLong = 508, "uri_too_long", never, 414, None;
    /// The header block is too large.
    HeadersTooLarge = 509, "headers_too_large", never, 431, None;
    /// The body is larger than the limit.
    BodyTooLarge = 510, "body_too_large", never, 413, None;
    /// The body is of a type that is not taken here.
    UnsupportedMedia = 511, "unsupported_media", never, 415, None;
    /// The request was not finished in time.
    RequestTimeout = 512, "request_timeout", later, 408, None;
    /// Too many connections from this address.
    AddressLimit = 513, "address_limit", later, 429, None;
    /// Too many connections of this user.
    UserLimit = 514, "user_limit", later, 429, Some(1008);
    /// The server is full or shutting down.
    NodeFull = 515, "node_full", later, 503, None;
    /// The URL leads to an address that may not be called from here.
    UrlForbidden = 516, "url_forbidden", never, 400, None;
}

/// An error as a client gets it.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// The row of the table.
    pub code: ErrorCode,
    /// What exactly was wrong and what to do; the row's text unless something better is known.
    pub message: Cow<'static, str>,
    /// When a retry may succeed, in milliseconds.
    pub retry_after_ms: Option<u32>,
    /// The earlier request whose failure this one shares: repeat both, in their order.
    pub blocked_by: Option<RequestId>,
}

impl Refusal {
    /// Explains a refusal better than the table can.
    #[must_use]
    pub fn because(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { message: message.into(), ..code.into() }
    }

    /// Refuses until `retry_after_ms` have passed.
    #[must_use]
    pub fn retry_after(code: ErrorCode, retry_after_ms: u32) -> Self {
        Self { retry_after_ms: Some(retry_after_ms), ..code.into() }
    }
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: Cow::Borrowed(code.text()), retry_after_ms: None, blocked_by: None }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code.word(), self.message)
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_are_unique_and_reasons_fit_a_close_frame() {
        let mut words: Vec<_> = ErrorCode::ALL.iter().map(|code| code.word()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), ErrorCode::ALL.len());
        assert!(ErrorCode::ALL.windows(2).all(|pair| (pair[0] as u16) < pair[1] as u16));
        assert!(words.iter().all(|word| word.len() <= crate::limits::CLOSE_REASON_BYTES));
    }

    #[test]
    fn retryable_closes_have_retryable_codes() {
        for code in ErrorCode::ALL {
            if let Some(close) = code.close_code().filter(|_| *code != ErrorCode::UserLimit) {
                assert_eq!(code.is_retryable(), matches!(close, 1011..=1013), "{code:?}");
            }
        }
    }
}
