//! What can go wrong, for a request and for a connection.

use std::io;
use std::time::Duration;

use parlour_protocol::dialect::EventError;
use parlour_protocol::name::NameError;
use parlour_protocol::{ErrorCode, Refusal};
use parlour_websocket::client::{ConnectError, StreamError};
use parlour_websocket::handshake::client::HandshakeError;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server said no; [`ErrorCode::is_retryable`] says whether it may say yes later.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A room name or user id breaks its rule; nothing was sent.
    #[error("{0}")]
    Name(#[from] NameError),
    /// The connection was lost before the answer came.
    #[error("the connection was lost before the answer came")]
    Disconnected,
    /// No answer came in time. A message may be stored: repeat it under the same `cid`.
    #[error("no answer came in time")]
    TimedOut,
    /// The client was closed, or has given up; see [`Update::Ended`](crate::Update::Ended).
    #[error("the client is closed")]
    Closed,
    /// The answer is not one to this request.
    #[error("the server gave an answer of another kind: {0}")]
    Unexpected(&'static str),
    /// The URL is not one of a Parlour server.
    #[error("the URL must look like ws://host:port/ws or wss://host/ws")]
    Url,
    /// There is no authority whose certificates could be believed.
    #[error("cannot read the certificates of authorities: {0}")]
    Authorities(#[source] io::Error),
    /// Neither a user nor a token was given.
    #[error("give a user or a token")]
    NoIdentity,
    /// The operating system gives no random numbers.
    #[error("the operating system gives no random numbers")]
    NoRandomness,
    /// The first connection did not come about.
    #[error("cannot connect: {0}")]
    Connect(#[source] Lost),
}

/// Why there is no connection (any more).
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// The transport failed or ended.
    #[error("{0}")]
    Transport(#[from] io::Error),
    /// The server closed the connection.
    #[error("closed with code {code}: {reason}")]
    Closed {
        /// The close code; 1005 if there was none.
        code: u16,
        /// A word of the error table.
        reason: String,
    },
    /// The server answered the handshake with a status other than 101.
    #[error("refused with status {status}: {body}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// When to come back, if the server said so.
        retry_after: Option<Duration>,
        /// The beginning of the answer.
        body: String,
    },
    /// The server did not let this client in.
    #[error("{0}")]
    Unwelcome(Refusal),
    /// What answered is no WebSocket server.
    #[error("{0}")]
    Handshake(#[from] HandshakeError),
    /// The server broke RFC 6455, or sent an event that cannot be read.
    #[error("the server broke the protocol: {0}")]
    Protocol(Box<dyn std::error::Error + Send + Sync>),
    /// No sign of life in time.
    #[error("the server gave no sign of life in time")]
    Silent,
    /// There is no token: what [`Builder::token_from`](crate::Builder::token_from) was given failed.
    #[error("there is no token: {0}")]
    NoToken(Box<dyn std::error::Error + Send + Sync>),
}

impl Lost {
    /// Whether another attempt may succeed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Transport(_) | Self::Silent | Self::NoToken(_) => true,
            Self::Closed { code, .. } => matches!(code, 1001 | 1006 | 1011..=1013),
            Self::Refused { status, .. } => *status == 429 || *status >= 500,
            Self::Unwelcome(refusal) => refusal.code.is_retryable(),
            Self::Handshake(_) | Self::Protocol(_) => false,
        }
    }

    /// Whether a new token is all that is missing.
    pub(crate) fn wants_token(&self) -> bool {
        let word = ErrorCode::TokenExpired.word();
        matches!(self, Self::Closed { code: 1008, reason } if reason.split(' ').next() == Some(word))
    }

    /// Returns the least time to wait, where the server named one.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            Self::Unwelcome(refusal) => refusal.retry_after_ms.map(|ms| Duration::from_millis(ms.into())),
            _ => None,
        }
    }
}

impl From<ConnectError> for Lost {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Io(error) => Self::Transport(error),
            ConnectError::Handshake(error) => Self::Handshake(error),
            ConnectError::Refused { status, headers, body } => {
                let header = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("retry-after"));
                let seconds = header.and_then(|(_, value)| value.trim().parse().ok());
                // A server that asks for days is misconfigured; the window grows by itself anyway.
                let retry_after = seconds.map(|seconds: u64| Duration::from_secs(seconds.min(300)));
                let body = String::from_utf8_lossy(&body[..body.len().min(500)]).into_owned();
                Self::Refused { status, retry_after, body }
            }
        }
    }
}

impl From<StreamError> for Lost {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Io(error) => Self::Transport(error),
            StreamError::Protocol(error) => Self::Protocol(error.into()),
            StreamError::Closed => Self::Transport(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl From<EventError> for Lost {
    fn from(error: EventError) -> Self {
        Self::Protocol(error.into())
    }
}

impl Error {
    /// Returns the row of the error table, where the server refused.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(refusal) => Some(refusal.code),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for (code, expected) in [
            (1000, false),
            (1001, true),
            (1002, false),
            (1003, false),
            (1005, false),
            (1006, true),
            (1007, false),
            (1008, false),
            (1009, false),
            (1011, true),
            (1012, true),
            (1013, true),
        ] {
            let lost = Lost::Closed { code, reason: String::new() };
            assert_eq!(lost.is_retryable(), expected, "{code}");
        }
        for (status, expected) in [(401, false), (403, false), (404, false), (429, true), (503, true)] {
            let lost = Lost::Refused { status, retry_after: None, body: String::new() };
            assert_eq!(lost.is_retryable(), expected, "{status}");
        }
    }
}
