//! Group H of the table of bad input, as far as it concerns the request alone.

use std::sync::Arc;

use super::*;
use crate::clock::Clock;
use crate::http::host;
use crate::identity::{Authenticator, Records};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// A good request, then changed line by line: `+Name: value` adds a header, `-Name` removes one, and
/// `GET /path HTTP/1.1` replaces the request line.
fn request(changes: &[&str]) -> Parts {
    let mut builder = axum::http::Request::builder().uri("/ws?room=general&user=Alice");
    let mut headers = vec![
        ("Host", "127.0.0.1:8080"),
        ("Upgrade", "websocket"),
        ("Connection", "keep-alive, Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", KEY),
    ];
    for change in changes {
        if let Some(name) = change.strip_prefix('-') {
            headers.retain(|(header, _)| *header != name);
        } else if let Some(header) = change.strip_prefix('+') {
            headers.push(header.split_once(": ").expect("a header"));
        } else {
            let [method, uri, version] = change.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{change} is not a request line");
            };
            let version = if version == "HTTP/1.0" { Version::HTTP_10 } else { Version::HTTP_11 };
            builder = builder.method(method).uri(uri).version(version);
        }
    }
    let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
    builder.body(()).expect("a request").into_parts().0
}

fn production() -> Config {
    let mut config = Config::default();
    config.access.origins = vec!["https://app.example.com".into()];
    config.access.hosts = vec!["chat.example.com".into()];
    config.access.behind_tls_proxy = true;
    config
}

fn ask(config: &Config, changes: &[&str]) -> Result<Agreement, Refusal> {
    let head = request(changes);
    host::check(&head, &config.access.hosts)?;
    let records = Arc::new(Records::new(&config.auth));
    negotiate(&head, config, &Authenticator::new(config, records, Clock::start()))
}

#[track_caller]
fn refused(config: &Config, changes: &[&str], code: ErrorCode) -> String {
    match ask(config, changes) {
        Err(refusal) if refusal.code == code => refusal.message.into_owned(),
        other => panic!("{changes:?}: expected {code:?}, got {other:?}"),
    }
}

#[track_caller]
fn accepted(config: &Config, changes: &[&str]) -> Agreement {
    ask(config, changes).unwrap_or_else(|refusal| panic!("{changes:?}: {refusal}"))
}

#[test]
fn malformed_handshakes_are_refused() {
    let dev = Config::dev();
    for (row, changes, code) in [
        ("H1", vec!["POST /ws HTTP/1.1"], ErrorCode::MethodNotAllowed),
        ("H2", vec!["-Upgrade"], ErrorCode::UpgradeRequired),
        ("H2", vec!["-Connection"], ErrorCode::UpgradeRequired),
        ("H3", vec!["-Sec-WebSocket-Version", "+Sec-WebSocket-Version: 8"], ErrorCode::UpgradeRequired),
        ("H4", vec!["-Sec-WebSocket-Key"], ErrorCode::BadHandshake),
        ("H5", vec!["-Sec-WebSocket-Key", "+Sec-WebSocket-Key: c2hvcnQ="], ErrorCode::BadHandshake),
        ("H5", vec!["+Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="], ErrorCode::BadHandshake),
        ("H6", vec!["GET /ws?room=a&user=b HTTP/1.0"], ErrorCode::BadHandshake),
        ("H7", vec!["-Host"], ErrorCode::BadHandshake),
        ("H8", vec!["+Host: 127.0.0.1:8080"], ErrorCode::BadHandshake),
        ("H9", vec!["-Host", "+Host: evil.example:8080"], ErrorCode::Misdirected),
        ("a body", vec!["+Content-Length: 3"], ErrorCode::BadHandshake),
        ("two hosts", vec!["GET http://localhost/ws HTTP/1.1"], ErrorCode::BadHandshake),
    ] {
        let message = refused(&dev, &changes, code);
        assert!(!message.is_empty(), "{row}");
    }
    accepted(&dev, &[]);
}

#[test]
fn only_listed_pages_may_connect() {
    let config = production();
    let from =
        |origin: &'static str| ["-Host", "+Host: chat.example.com", origin, "+Authorization: Bearer x"];
    // The verifier comes after the origin, so its refusal shows that the origin passed.
    for (row, origin, code) in [
        ("listed", "+Origin: https://app.example.com", ErrorCode::InvalidToken),
        ("own page", "+Origin: https://chat.example.com", ErrorCode::InvalidToken),
        ("H10", "+Origin: https://other.example.com", ErrorCode::OriginForbidden),
        ("H11", "+Origin: null", ErrorCode::OriginForbidden),
        ("H12", "+Origin: https://app.example.com.evil.io", ErrorCode::OriginForbidden),
        ("H13", "+Origin: http://app.example.com", ErrorCode::OriginForbidden),
        ("own page, unencrypted", "+Origin: http://chat.example.com", ErrorCode::OriginForbidden),
        ("port", "+Origin: https://app.example.com:8443", ErrorCode::OriginForbidden),
        ("dev origin", "+Origin: http://localhost:3000", ErrorCode::OriginForbidden),
        ("H15 with bearer", "+Cookie: session=1", ErrorCode::InvalidToken),
    ] {
        let message = refused(&config, &from(origin), code);
        assert!(!message.is_empty(), "{row}");
    }
    let host = ["-Host", "+Host: chat.example.com"];
    let two = ["+Origin: https://app.example.com", "+Origin: https://app.example.com"];
    refused(&config, &[&host[..], &two].concat(), ErrorCode::BadHandshake); // H14
    refused(&config, &[&host[..], &["+Cookie: session=1"]].concat(), ErrorCode::OriginForbidden); // H15
}

#[test]
fn in_development_pages_of_this_machine_may_connect() {
    let dev = Config::dev();
    for origin in
        ["http://localhost:3000", "http://127.0.0.1:5173", "http://localhost", "http://127.0.0.1:8080"]
    {
        accepted(&dev, &[&format!("+Origin: {origin}")]);
    }
    for origin in [
        "http://localhost.evil.io",
        "http://localhost:x",
        "https://evil.io",
        "http://127.0.0.1@evil.io",
        "file://",
    ] {
        refused(&dev, &[&format!("+Origin: {origin}")], ErrorCode::OriginForbidden);
    }
}

#[test]
fn the_dialect_follows_the_subprotocol_or_the_format() {
    let dev = Config::dev();
    for (changes, dialect, answered) in [
        (vec![], DialectId::Text, None),
        (vec!["GET /ws?format=json HTTP/1.1"], DialectId::Json, None),
        (vec!["GET /ws?format=bin HTTP/1.1"], DialectId::Binary, None),
        (vec!["GET /ws?format=binary HTTP/1.1"], DialectId::Binary, None),
        (vec!["GET /ws?format=plain&room=a&user=b HTTP/1.1"], DialectId::Text, None),
        (vec!["GET /ws?format=json&batch=ndjson HTTP/1.1"], DialectId::JsonLines, None),
        (
            vec!["+Sec-WebSocket-Protocol: chat, parlour.json.v1", "+Sec-WebSocket-Protocol: parlour.bin.v1"],
            DialectId::Json,
            Some("parlour.json.v1"),
        ),
    ] {
        let agreement = accepted(&dev, &changes);
        assert_eq!(agreement.greeting.dialect, dialect, "{changes:?}");
        let response = agreement.into_response();
        let protocol =
            response.headers().get(SEC_WEBSOCKET_PROTOCOL).map(|value| value.to_str().expect("text"));
        assert_eq!(protocol, answered, "{changes:?}");
        assert_eq!(response.headers()[SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
    for (changes, code) in [
        (vec!["+Sec-WebSocket-Protocol: chat, superchat"], ErrorCode::UnknownSubprotocol), // H16
        (vec!["GET /ws?format=xml HTTP/1.1"], ErrorCode::InvalidParameter),
        (
            vec!["GET /ws?format=bin HTTP/1.1", "+Sec-WebSocket-Protocol: parlour.json.v1"],
            ErrorCode::InvalidParameter,
        ),
        (vec!["GET /ws?batch=ndjson&room=a&user=b HTTP/1.1"], ErrorCode::InvalidParameter),
        (vec!["GET /ws?format=json&batch=x HTTP/1.1"], ErrorCode::InvalidParameter),
    ] {
        refused(&dev, &changes, code);
    }
}

#[test]
fn parameters_are_checked_and_named() {
    let dev = Config::dev();
    for (query, code, named) in [
        ("", ErrorCode::InvalidParameter, "`user`"),
        ("user=Alice", ErrorCode::InvalidParameter, "`room`"),
        ("room=general", ErrorCode::InvalidParameter, "`user`"),
        ("room=general&user=", ErrorCode::InvalidParameter, "`user`"),
        ("room=a*&user=Alice", ErrorCode::InvalidRoom, "`room`"),
        ("room=@a,b&user=Alice", ErrorCode::InvalidRoom, "`room`"),
        ("room=general&user=Alice%3A", ErrorCode::InvalidUser, "`:`"), // R46
        ("room=general&user=a%0Ab", ErrorCode::InvalidUser, "`user`"),
        ("room=general&user=%D0%B0dmin", ErrorCode::NameConfusable, "`user`"),
        ("room=general&user=%ff", ErrorCode::InvalidUser, "`user`"),
        ("room=a&room=b&user=Alice", ErrorCode::InvalidParameter, "`room`"),
        ("room=a&user=b&history=-1", ErrorCode::InvalidParameter, "`history`"),
        ("room=a&user=b&history=1001", ErrorCode::InvalidParameter, "0 to 1000"),
    ] {
        let message = refused(&dev, &[&format!("GET /ws?{query} HTTP/1.1")], code);
        assert!(message.contains(named), "{query}: {message}");
    }
}

#[test]
fn the_greeting_says_what_the_request_said() {
    let dev = Config::dev();
    let greeting = |line: &str| accepted(&dev, &[line]).greeting;
    let text = greeting("GET /ws?room=live%3AEURUSD&user=Alice+B&other=1 HTTP/1.1");
    assert_eq!(text.room.expect("a room").as_str(), "live:EURUSD");
    assert_eq!(text.identity.expect("a user").user.as_str(), "Alice B");
    assert_eq!(text.history, 50);
    let json = greeting("GET /ws?format=json&history=7 HTTP/1.1");
    assert_eq!((json.room, json.identity, json.history), (None, None, 7));
    assert_eq!(greeting("GET /ws?format=json HTTP/1.1").history, 0);
    assert!(greeting("GET /ws?format=json&user=a:b HTTP/1.1").identity.is_some());
}

#[test]
fn outside_development_a_name_proves_nothing() {
    let config = Config::default();
    let text = "GET /ws?room=a&user=b HTTP/1.1";
    refused(&config, &[text], ErrorCode::Unauthenticated); // A1
    refused(&config, &[text, "+Authorization: Bearer x"], ErrorCode::InvalidToken);
    let json = "GET /ws?format=json&user=b HTTP/1.1";
    assert_eq!(accepted(&config, &[json]).greeting.identity, None, "hello will tell");
    refused(&config, &[json, "+Authorization: bearer x"], ErrorCode::InvalidToken);
    let subprotocol = "+Sec-WebSocket-Protocol: parlour.json.v1, parlour.bearer.x";
    refused(&config, &[json, subprotocol], ErrorCode::InvalidToken);
    refused(&config, &["GET /ws?format=json&token=s3cret HTTP/1.1"], ErrorCode::TokenInQuery); // A20
}

#[test]
fn compression_is_agreed_on_where_configured_and_possible() {
    let mut config = Config::dev();
    let offer = "+Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits";
    assert!(accepted(&config, &[offer]).greeting.deflate.is_none(), "off by default");
    config.compression = true;
    let agreement = accepted(&config, &[offer]);
    assert!(agreement.greeting.deflate.is_some());
    let response = agreement.into_response();
    let extensions = response.headers()[SEC_WEBSOCKET_EXTENSIONS].to_str().expect("text");
    assert!(extensions.starts_with("permessage-deflate; server_no_context_takeover"));
}
