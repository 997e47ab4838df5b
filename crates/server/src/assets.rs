//! The web client, embedded in the binary.

use std::borrow::Cow;
use std::fmt::Write as _;

use axum::body::Body;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::http::host;

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/../../web/dist"]
struct Dist;

/// Encodings in which the build leaves files beside the originals, best first.
const ENCODINGS: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

/// A file of the web client.
#[derive(Debug)]
pub(crate) struct Asset {
    path: String,
}

/// Finds the file for the path of a URL; `/` is the page.
pub(crate) fn find(path: &str) -> Option<Asset> {
    let path = match path.strip_prefix('/')? {
        "" => "index.html",
        path => path,
    };
    let is_variant = ENCODINGS.iter().any(|(_, suffix)| path.ends_with(suffix));
    // In debug builds files come from the disk, so nothing may lead out of the folder.
    let is_plain = path.split('/').all(|part| !part.is_empty() && !part.starts_with('.'))
        && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte));
    let exists = is_plain && !is_variant && Dist::get(path).is_some();
    exists.then(|| Asset { path: path.into() })
}

impl Asset {
    /// Answers a request for the file, in the best encoding that the client takes.
    pub(crate) fn respond(&self, head: &Parts) -> Response<Body> {
        let encoded = ENCODINGS.iter().filter(|(name, _)| accepts(&head.headers, name));
        let encoded = encoded
            .filter_map(|(name, suffix)| Some((Some(*name), Dist::get(&format!("{}{suffix}", self.path))?)));
        let plain = || Dist::get(&self.path).map(|file| (None, file));
        let Some((encoding, file)) = encoded.into_iter().next().or_else(plain) else {
            return crate::http::problem::response(&parlour_protocol::ErrorCode::NoRoute.into());
        };
        let mut response = Response::new(Body::empty());
        *response.headers_mut() = self.headers(head, encoding, &file);
        if is_current(&head.headers, response.headers().get(ETAG)) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else if head.method == Method::GET {
            *response.body_mut() = match file.data {
                Cow::Borrowed(bytes) => Body::from(bytes),
                Cow::Owned(bytes) => Body::from(bytes),
            };
        }
        response
    }

    fn headers(&self, head: &Parts, encoding: Option<&'static str>, file: &EmbeddedFile) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut set = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        set(CONTENT_TYPE, content_type(&self.path));
        set(ETAG, &etag(file, encoding));
        set(VARY, "Accept-Encoding");
        set(CACHE_CONTROL, if self.is_hashed() { "public, max-age=31536000, immutable" } else { "no-cache" });
        if let Some(encoding) = encoding {
            set(CONTENT_ENCODING, encoding);
        }
        set(CONTENT_SECURITY_POLICY, &policy(host::of(head).unwrap_or("localhost")));
        set(X_CONTENT_TYPE_OPTIONS, "nosniff");
        set(X_FRAME_OPTIONS, "DENY");
        set(REFERRER_POLICY, "no-referrer");
        set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
        set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
        headers
    }

    /// Whether the name changes with the contents, as the build does it for `assets/`.
    fn is_hashed(&self) -> bool {
        self.path.starts_with("assets/")
    }
}

/// Nothing but our own files, and WebSockets to the host that served the page.
fn policy(host: &str) -> String {
    format!(
        "default-src 'self'; connect-src 'self' ws://{host} wss://{host}; object-src 'none'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

/// Strong, so each encoding has its own (RFC 9110, section 8.8.3).
fn etag(file: &EmbeddedFile, encoding: Option<&str>) -> String {
    let mut tag = String::from("\"");
    for byte in &file.metadata.sha256_hash()[..12] {
        // Writing to a String does not fail.
        let _ = write!(tag, "{byte:02x}");
    }
    tag + encoding.map_or("", |encoding| if encoding == "br" { "-br" } else { "-gz" }) + "\""
}

fn is_current(headers: &HeaderMap, etag: Option<&HeaderValue>) -> bool {
    let etag = etag.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    // The comparison for If-None-Match ignores weakness.
    known
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == "*" || tag == etag)
}

/// Whether the client takes an encoding by name and not with a weight of zero.
fn accepts(headers: &HeaderMap, encoding: &str) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| {
        let (name, weight) = item.split_once(';').unwrap_or((item, "q=1"));
        let weight = weight.trim().trim_start_matches("q=").parse().unwrap_or(0.0_f32);
        name.trim().eq_ignore_ascii_case(encoding) && weight > 0.0
    })
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("wasm") => "application/wasm",
        Some("woff2") => "font/woff2",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn respond(headers: &[(&str, &str)]) -> Response<Body> {
        let builder = axum::http::Request::builder().uri("/").header("host", "localhost:8080");
        let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
        let head = builder.body(()).expect("a request").into_parts().0;
        find("/").expect("the page").respond(&head)
    }

    #[test]
    fn only_files_of_the_client_are_found() {
        assert!(find("/").is_some() && find("/index.html").is_some());
        for path in [
            "/..%2f..%2fetc/passwd",
            "/../Cargo.toml",
            "//index.html",
            "/.",
            "/index.html.br",
            "/nothing",
            "index.html",
        ] {
            assert!(find(path).is_none(), "{path}"); // H23
        }
    }

    #[test]
    fn the_page_is_strict_about_what_it_loads() {
        let response = respond(&[]);
        let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().expect("text");
        assert!(
            policy.starts_with(
                "default-src 'self'; connect-src 'self' ws://localhost:8080 wss://localhost:8080;"
            )
        );
        assert!(!policy.contains("unsafe"));
        assert_eq!(response.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(response.headers()[CACHE_CONTROL], "no-cache");
    }

    #[test]
    fn files_come_compressed_where_that_is_understood() {
        let (plain, brotli) = (respond(&[]), respond(&[("accept-encoding", "gzip, br")]));
        let (gzip, none) = (respond(&[("accept-encoding", "gzip")]), respond(&[("accept-encoding", "zstd")]));
        let encoding = |response: &Response<Body>| response.headers().get(CONTENT_ENCODING).cloned();
        assert_eq!(encoding(&brotli).expect("encoded"), "br");
        assert_eq!(encoding(&gzip).expect("encoded"), "gzip");
        assert_eq!((encoding(&plain), encoding(&none)), (None, None));
        let tags = [&plain, &brotli, &gzip].map(|response| response.headers()[ETAG].clone());
        assert!(tags[0] != tags[1] && tags[1] != tags[2] && tags[0] != tags[2], "{tags:?}");
        assert_eq!(brotli.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
    }

    #[test]
    fn files_with_a_hash_in_their_name_are_kept_for_ever() {
        let script = Dist::iter().find(|path| path.starts_with("assets/") && path.ends_with(".js"));
        let head =
            axum::http::Request::builder().header("host", "a").body(()).expect("a request").into_parts().0;
        let response = find(&format!("/{}", script.expect("a script"))).expect("found").respond(&head);
        assert_eq!(response.headers()[CACHE_CONTROL], "public, max-age=31536000, immutable");
        assert_eq!(response.headers()[CONTENT_TYPE], "text/javascript; charset=utf-8");
    }

    #[test]
    fn a_known_page_is_not_sent_again() {
        let etag = respond(&[]).headers()[ETAG].to_str().expect("text").to_owned();
        assert!(etag.starts_with('"'), "strong");
        assert_eq!(respond(&[("if-none-match", &etag)]).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(respond(&[("if-none-match", "\"other\"")]).status(), StatusCode::OK);
    }

    #[test]
    fn encodings_with_weight_zero_are_not_accepted() {
        let accepts = |value: &str, encoding: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, value.parse().expect("valid"));
            accepts(&headers, encoding)
        };
        assert!(accepts("gzip, deflate, br", "br") && accepts("GZIP;q=0.5", "gzip"));
        assert!(!accepts("gzip", "br") && !accepts("br;q=0", "br") && !accepts("", "gzip"));
    }
}
