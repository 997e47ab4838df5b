//! The client's side of the opening handshake as text (RFC 6455 section 4.1).

use super::deflate::{self, DeflateParams};
use super::{accept_key, extensions};

/// The largest response head that is read, in bytes.
pub const MAX_HEAD: usize = 16 * 1024;

/// What a client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientRequest {
    /// The value of `Host`: name or address, with the port unless it is the default of the scheme.
    pub host: String,
    /// The target, beginning with `/`.
    pub path_and_query: String,
    /// Subprotocols in order of preference; the server picks at most one.
    pub subprotocols: Vec<String>,
    /// Further headers, such as `Authorization` or `Origin`.
    pub headers: Vec<(String, String)>,
    /// Whether to offer permessage-deflate without context takeover.
    pub deflate: bool,
}

/// What the server agreed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseInfo {
    /// The subprotocol it picked, one of those asked for.
    pub subprotocol: Option<String>,
    /// The agreement on compression, if there is one.
    pub deflate: Option<DeflateParams>,
    /// All headers of the response in their order.
    pub headers: Vec<(String, String)>,
}

/// Why no connection came about, apart from the transport and a refusal by the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// A part of the request has characters that do not belong there.
    #[error("a part of the request cannot be sent in a header")]
    InvalidRequest,
    /// The response is not HTTP/1.1.
    #[error("the response is not HTTP/1.1")]
    InvalidResponse,
    /// The head of the response is larger than [`MAX_HEAD`].
    #[error("the head of the response is larger than 16 KiB")]
    HeadTooLarge,
    /// The response does not switch to WebSocket: `Upgrade` or `Connection` is missing.
    #[error("the response does not upgrade to websocket")]
    NotUpgraded,
    /// `Sec-WebSocket-Accept` is missing or does not belong to the key.
    #[error("the response has a wrong Sec-WebSocket-Accept")]
    WrongAccept,
    /// A subprotocol that was not asked for.
    #[error("the response has a subprotocol that was not asked for")]
    WrongSubprotocol,
    /// An extension, or a parameter of it, that was not asked for.
    #[error("the response has an extension that was not asked for")]
    WrongExtension,
}

impl ClientRequest {
    /// Returns the request as bytes. The key is 16 random bytes in base64.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::InvalidRequest`] if a part could break out of its place.
    pub fn encode(&self, key: &str) -> Result<Vec<u8>, HandshakeError> {
        let is_text = |part: &str| part.bytes().all(|byte| (0x20..0x7f).contains(&byte) || byte >= 0x80);
        let is_word = |part: &str| part.bytes().all(|byte| byte.is_ascii_graphic());
        let is_token = |part: &str| !part.is_empty() && part.bytes().all(extensions::is_token);
        let sound = is_word(&self.host)
            && is_word(&self.path_and_query)
            && self.path_and_query.starts_with('/')
            && self.subprotocols.iter().all(|name| is_token(name))
            && self.headers.iter().all(|(name, value)| is_token(name) && is_text(value));
        if !sound {
            return Err(HandshakeError::InvalidRequest);
        }

        let mut text = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n",
            self.path_and_query, self.host,
        );
        let mut add = |name: &str, value: &str| {
            for part in [name, ": ", value, "\r\n"] {
                text.push_str(part);
            }
        };
        if !self.subprotocols.is_empty() {
            add("Sec-WebSocket-Protocol", &self.subprotocols.join(", "));
        }
        if self.deflate {
            add("Sec-WebSocket-Extensions", deflate::OFFER);
        }
        for (name, value) in &self.headers {
            add(name, value);
        }
        text.push_str("\r\n");
        Ok(text.into_bytes())
    }

    /// Checks the head of a response with status 101 to the request with this key (section 4.1).
    ///
    /// # Errors
    ///
    /// The first way in which it is not the answer to this request.
    pub fn check(&self, key: &str, head: ResponseHead) -> Result<ResponseInfo, HandshakeError> {
        if !head.has_token("upgrade", "websocket") || !head.has_token("connection", "upgrade") {
            return Err(HandshakeError::NotUpgraded);
        }
        if !head.values("sec-websocket-accept").eq([accept_key(key)]) {
            return Err(HandshakeError::WrongAccept);
        }
        let subprotocol = head.values("sec-websocket-protocol").next().map(str::to_owned);
        if subprotocol.as_ref().is_some_and(|name| !self.subprotocols.contains(name)) {
            return Err(HandshakeError::WrongSubprotocol);
        }
        let deflate = deflate::accept_answer(self.deflate, head.values("sec-websocket-extensions"))
            .map_err(|_| HandshakeError::WrongExtension)?;
        Ok(ResponseInfo { subprotocol, deflate, headers: head.headers })
    }
}

/// Status and headers of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// The status code; 101 if the server agreed.
    pub status: u16,
    /// Names as they were sent, values without the blanks around them.
    pub headers: Vec<(String, String)>,
}

impl ResponseHead {
    /// Reads the head at the front of `bytes` and says how long it is, or returns `None` if its end
    /// has not arrived. Bytes behind it are frames or a body.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::InvalidResponse`], or [`HandshakeError::HeadTooLarge`].
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, HandshakeError> {
        let searched = &bytes[..bytes.len().min(MAX_HEAD)];
        let Some(end) = searched.windows(4).position(|window| window == b"\r\n\r\n") else {
            let too_large = bytes.len() >= MAX_HEAD;
            return if too_large { Err(HandshakeError::HeadTooLarge) } else { Ok(None) };
        };
        let text = String::from_utf8_lossy(&bytes[..end]);
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(parse_status).ok_or(HandshakeError::InvalidResponse)?;
        let headers = lines
            .map(|line| {
                let (name, value) = line.split_once(':')?;
                name.bytes().all(extensions::is_token).then(|| (name.to_owned(), value.trim().to_owned()))
            })
            .collect::<Option<_>>()
            .ok_or(HandshakeError::InvalidResponse)?;
        Ok(Some((Self { status, headers }, end + 4)))
    }

    /// The values of all headers of this name, in any case.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        let named = move |(found, _): &&(String, String)| found.eq_ignore_ascii_case(name);
        self.headers.iter().filter(named).map(|(_, value)| value.as_str())
    }

    fn has_token(&self, name: &str, token: &str) -> bool {
        self.values(name)
            .flat_map(|value| value.split(','))
            .any(|part| part.trim().eq_ignore_ascii_case(token))
    }
}

/// Reads `HTTP/1.1 101 Switching Protocols`.
fn parse_status(line: &str) -> Option<u16> {
    let code = line.strip_prefix("HTTP/1.1 ")?.split(' ').next()?;
    code.parse().ok().filter(|code| (100..1000).contains(code))
}
