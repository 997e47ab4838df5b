//! The first look at a request head (RFC 9112), stricter than a parser has to be.
//!
//! What passes here has one meaning for every parser behind or before us.

use axum::http::Uri;
use parlour_protocol::{ErrorCode, Refusal};

/// Most bytes of a head.
pub(super) const MOST_BYTES: usize = 16 * 1024;
/// Most headers of a request.
pub(super) const MOST_HEADERS: usize = 100;
/// Most bytes of the first line.
const MOST_LINE_BYTES: usize = 8 * 1024;

/// Checks a head line by line while it arrives.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    /// Every byte before this one has been checked.
    line_start: usize,
    /// There is no line feed before this one.
    seen: usize,
    lines: usize,
    content_lengths: usize,
    transfer_encodings: usize,
    /// Bytes of the body, as far as the head says it.
    length: u64,
}

/// Where the message that a head begins comes to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// After so many bytes, those of the head included.
    After(u64),
    /// Where the body itself says it.
    Chunked,
}

impl Scanner {
    /// Checks what has arrived so far. Returns whether the head is complete.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Result<bool, Refusal> {
        while let Some(length) = bytes[self.seen..].iter().position(|byte| *byte == b'\n') {
            let line = &bytes[self.line_start..self.seen + length];
            self.seen += length + 1;
            self.line_start = self.seen;
            if self.seen > MOST_BYTES {
                break;
            }
            let line =
                line.strip_suffix(b"\r").ok_or_else(|| bad("a line ends without a carriage return"))?;
            if line.is_empty() && self.lines > 0 {
                return self.framing().map(|()| true);
            }
            self.line(line)?;
        }
        self.seen = bytes.len();
        if self.lines == 0 && bytes.len() > MOST_LINE_BYTES {
            return Err(ErrorCode::UriTooLong.into());
        }
        if self.seen > MOST_BYTES { Err(ErrorCode::HeadersTooLarge.into()) } else { Ok(false) }
    }

    /// Returns where the message ends whose head is complete.
    pub(super) fn end(&self) -> End {
        match self.transfer_encodings {
            0 => End::After((self.seen as u64).saturating_add(self.length)),
            _ => End::Chunked,
        }
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Refusal> {
        self.lines += 1;
        match self.lines {
            1 if line.len() > MOST_LINE_BYTES => Err(ErrorCode::UriTooLong.into()),
            1 => request_line(line),
            lines if lines > MOST_HEADERS + 1 => Err(ErrorCode::HeadersTooLarge.into()),
            _ => self.header(line),
        }
    }

    fn header(&mut self, line: &[u8]) -> Result<(), Refusal> {
        let colon = line.iter().position(|byte| *byte == b':').ok_or_else(|| bad("a header has no colon"))?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
            return Err(bad("the name of a header is malformed"));
        }
        if value.iter().any(|byte| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f) {
            return Err(bad("a header holds a control character"));
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            self.content_lengths += 1;
            self.length =
                number(value.trim_ascii()).ok_or_else(|| bad("`Content-Length` is not a number"))?;
        }
        self.transfer_encodings += usize::from(name.eq_ignore_ascii_case(b"transfer-encoding"));
        Ok(())
    }

    /// Two opinions about where the body ends are how requests are smuggled past proxies.
    fn framing(&self) -> Result<(), Refusal> {
        if self.content_lengths + self.transfer_encodings > 1 {
            return Err(bad("the length of the body is given twice"));
        }
        Ok(())
    }
}

fn request_line(line: &[u8]) -> Result<(), Refusal> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(bad("the request line is not `METHOD target HTTP/1.1`"));
    };
    if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) {
        return Err(bad("the method is malformed"));
    }
    if !matches!(version, b"HTTP/1.1" | b"HTTP/1.0") {
        return Err(bad("only HTTP/1.1 is spoken here"));
    }
    Uri::try_from(target).map_err(|_| bad("the URL is malformed"))?;
    Ok(())
}

/// Reads a number of digits alone: `parse` would take a sign.
fn number(text: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(text).ok()?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

fn bad(message: &'static str) -> Refusal {
    Refusal::because(ErrorCode::BadHandshake, message)
}

/// The characters of a token (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows a head byte by byte and at once; both must end alike.
    #[track_caller]
    fn check(head: &str, expected: Result<bool, ErrorCode>) {
        let at_once = Scanner::default().scan(head.as_bytes()).map_err(|refusal| refusal.code);
        assert_eq!(at_once, expected, "{:?}", head.get(..80).unwrap_or(head));
        let mut scanner = Scanner::default();
        let outcomes = (1..=head.len()).map(|end| scanner.scan(&head.as_bytes()[..end]));
        let slowly = outcomes.map(|o| o.map_err(|refusal| refusal.code)).find(|o| *o != Ok(false));
        assert_eq!(slowly.unwrap_or(Ok(false)), expected, "byte by byte");
    }

    fn headers(count: usize) -> String {
        (0..count).map(|number| format!("x{number}: y\r\n")).collect()
    }

    #[test]
    fn a_good_head_is_complete_at_its_empty_line() {
        check("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Ok(true));
        check("GET /ws?room=a%20b HTTP/1.1\r\nHost:a\r\nx: \t\u{e9}\r\n\r\n", Ok(true));
        check("GET / HTTP/1.1\r\nHost: a\r\n", Ok(false));
        check("GE", Ok(false));
        check(&format!("GET / HTTP/1.1\r\n{}\r\n", headers(100)), Ok(true));
    }

    #[test]
    fn a_head_says_where_its_message_ends() {
        let end = |head: &str| {
            let mut scanner = Scanner::default();
            assert_eq!(scanner.scan(head.as_bytes()), Ok(true));
            scanner.end()
        };
        let plain = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(end(plain), End::After(plain.len() as u64));
        assert_eq!(end(&format!("{plain}GET /next")), End::After(plain.len() as u64));
        let post = "POST / HTTP/1.1\r\nContent-Length: 7 \r\n\r\n";
        assert_eq!(end(post), End::After(post.len() as u64 + 7));
        assert_eq!(end("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"), End::Chunked);
    }

    #[test]
    fn sizes_are_bounded() {
        check(&format!("GET / HTTP/1.1\r\nx: {}", "y".repeat(MOST_BYTES)), Err(ErrorCode::HeadersTooLarge)); // H17
        check(&format!("GET / HTTP/1.1\r\n{}\r\n", headers(101)), Err(ErrorCode::HeadersTooLarge)); // H18
        check(&format!("GET /{}", "a".repeat(16 * 1024)), Err(ErrorCode::UriTooLong)); // H19
        check(&format!("GET /{} HTTP/1.1\r\n", "a".repeat(9_000)), Err(ErrorCode::UriTooLong));
    }

    #[test]
    fn ambiguous_heads_are_refused() {
        for head in [
            "GET / HTTP/1.1\r\ncontent-length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", // H21
            "GET / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: +1\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 1, 1\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length:\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\n\n", // H22
            "GET / HTTP/1.1\r\nHost: a\nx: y\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
            "GET / HTTP/1.1\r\nHost\r\n\r\n",
            "GET / HTTP/1.1\r\n: a\r\n\r\n",
            "\r\n",
            "GET  / HTTP/1.1\r\n",
            "GET /\r\n",
            "GET / HTTP/1.1 \r\n",
            "GET / HTTP/2.0\r\n",
            "PRI * HTTP/2.0\r\n\r\n",
            "GET /\u{7f} HTTP/1.1\r\n",
            "G@T / HTTP/1.1\r\n",
        ] {
            check(head, Err(ErrorCode::BadHandshake));
        }
    }
}
