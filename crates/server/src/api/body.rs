//! The body of a request: bounded in bytes and time, then strict JSON.

use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::BodyExt as _;
use parlour_protocol::{ErrorCode, Refusal};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;
use tokio::time::timeout;

/// Most bytes of a body.
pub(super) const MOST_BYTES: usize = 64 * 1024;
/// From the end of the head to the end of the body.
const DEADLINE: Duration = Duration::from_secs(10);
/// Longest explanation of what is wrong with a body, in characters: it repeats parts of the body.
const EXPLANATION: usize = 200;

/// Reads a body.
///
/// # Errors
/// `unsupported_media` unless it is plain JSON, `body_too_large`, `request_timeout`, and
/// `bad_handshake` if it ends too early.
pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Refusal> {
    let declared = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > MOST_BYTES as u64) {
        return Err(too_large());
    }
    if headers.contains_key(CONTENT_ENCODING) {
        return Err(Refusal::because(ErrorCode::UnsupportedMedia, "send the body without Content-Encoding"));
    }
    let is_json = is_json(headers);
    let bytes = timeout(DEADLINE, collect(body)).await.unwrap_or(Err(ErrorCode::RequestTimeout.into()))?;
    match is_json || bytes.is_empty() {
        true => Ok(bytes),
        false => Err(Refusal::because(
            ErrorCode::UnsupportedMedia,
            "the body must be JSON: Content-Type: application/json",
        )),
    }
}

async fn collect(mut body: Body) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let cut = |_| Refusal::because(ErrorCode::BadHandshake, "the body does not come to its end");
        if let Ok(data) = frame.map_err(cut)?.into_data() {
            if bytes.len() + data.len() > MOST_BYTES {
                return Err(too_large());
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes)
}

fn too_large() -> Refusal {
    Refusal::because(ErrorCode::BodyTooLarge, format!("a body has at most {MOST_BYTES} bytes"))
}

/// Whether the type is `application/json`, with whatever parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// Understands a body; an empty one is `{}`.
///
/// # Errors
/// `invalid_json`, or `bad_request` for what is JSON and not what is wanted.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    let explain = |error: serde_json::Error| {
        let code = match error.classify() {
            Category::Data => ErrorCode::BadRequest,
            Category::Syntax | Category::Eof | Category::Io => ErrorCode::InvalidJson,
        };
        Refusal::because(code, error.to_string().chars().take(EXPLANATION).collect::<String>())
    };
    // First whether it is JSON at all: a shape is given up at the first thing that does not fit.
    serde_json::from_slice::<IgnoredAny>(bytes).map_err(explain)?;
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        // serde would take a list for the fields in their order.
        return Err(Refusal::because(ErrorCode::BadRequest, "the body must be an object"));
    }
    serde_json::from_slice(bytes).map_err(explain)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        #[expect(dead_code, reason = "only its type matters")]
        #[serde(default)]
        number: u8,
    }

    #[test]
    fn only_what_is_wanted_is_understood() {
        let code = |text: &str| parse::<Wanted>(text.as_bytes()).map(drop).map_err(|refusal| refusal.code);
        assert_eq!((code(""), code(r#"{"number":1}"#)), (Ok(()), Ok(())));
        for bad in ["hello", "{", r#"{"number":1}x"#, &"[".repeat(10_000)] {
            assert_eq!(code(bad), Err(ErrorCode::InvalidJson), "{bad}");
        }
        for bad in
            ["1", "null", "[]", "[1]", r#"{"numbr":1}"#, r#"{"number":1,"number":1}"#, r#"{"number":256}"#]
        {
            assert_eq!(code(bad), Err(ErrorCode::BadRequest), "{bad}");
        }
        let refusal = parse::<Wanted>(format!("{{\"{}\":1}}", "a".repeat(60_000)).as_bytes());
        assert!(refusal.expect_err("unknown").message.len() <= EXPLANATION, "no echo of what was sent");
    }
}
