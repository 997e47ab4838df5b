//! Refusals as HTTP answers (RFC 9457).

use axum::body::Body;
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use parlour_protocol::{ErrorCode, Refusal};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// The body: the shape of every error over HTTP.
#[derive(Debug, Serialize)]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: &'a str,
    retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u32>,
}

impl<'a> Problem<'a> {
    fn of(refusal: &'a Refusal) -> Self {
        let code = refusal.code;
        Self {
            kind: "about:blank",
            title: code.text(),
            status: code.http_status(),
            code: code.word(),
            detail: &refusal.message,
            retryable: code.is_retryable(),
            retry_after_ms: refusal.retry_after_ms,
        }
    }
}

/// Builds the answer to a request that is refused. Its extensions hold the [`ErrorCode`].
#[must_use]
pub fn response(refusal: &Refusal) -> Response<Body> {
    let (status, headers, body) = parts(refusal);
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response.extensions_mut().insert(refusal.code);
    response
}

/// Writes a refusal as a part of an answer that is none.
#[must_use]
pub fn json(refusal: &Refusal) -> Box<RawValue> {
    // A struct of texts and numbers has no way to fail.
    to_raw_value(&Problem::of(refusal)).unwrap_or_default()
}

/// Refuses a method; `allowed` lists those that the resource knows.
#[must_use]
pub fn method_not_allowed(allowed: &'static str) -> Response<Body> {
    let mut response = response(&ErrorCode::MethodNotAllowed.into());
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// Writes the answer to a connection whose request is not even read to its end.
#[must_use]
pub fn bytes(refusal: &Refusal) -> Vec<u8> {
    let (status, headers, body) = parts(refusal);
    let reason = status.canonical_reason().unwrap_or("Error");
    let mut out = format!("HTTP/1.1 {} {reason}\r\nconnection: close\r\n", status.as_u16()).into_bytes();
    for (name, value) in &headers {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(&body);
    out
}

fn parts(refusal: &Refusal) -> (StatusCode, HeaderMap, Vec<u8>) {
    let Refusal { code, retry_after_ms, .. } = refusal;
    let status = StatusCode::from_u16(code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    // A struct of texts and numbers has no way to fail.
    let body = serde_json::to_vec(&Problem::of(refusal)).unwrap_or_default();
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CONTENT_LENGTH, body.len().into());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(ms) = retry_after_ms {
        headers.insert(RETRY_AFTER, ms.div_ceil(1_000).into());
    }
    match code {
        ErrorCode::UpgradeRequired => {
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        ErrorCode::Unauthenticated => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        // RFC 6750, section 3.1.
        ErrorCode::InvalidToken | ErrorCode::TokenExpired | ErrorCode::Revoked => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"invalid_token\""));
        }
        _ => {}
    }
    (status, headers, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_a_problem_document() {
        let text = String::from_utf8(bytes(&Refusal::retry_after(ErrorCode::AddressLimit, 4_500)));
        let text = text.expect("UTF-8");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 429 Too Many Requests\r\n"));
        for header in ["content-type: application/problem+json", "retry-after: 5", "connection: close"] {
            assert!(head.lines().any(|line| line == header), "{header} is missing in {head}");
        }
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(body["code"], "address_limit");
        assert_eq!(body["retryable"], true);
        assert_eq!(body["retry_after_ms"], 4_500);
    }
}
