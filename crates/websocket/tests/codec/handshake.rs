//! The opening handshake: keys, the negotiation of compression, the client's side.

use parlour_websocket::handshake::client::{ClientRequest, HandshakeError, ResponseHead};
use parlour_websocket::handshake::deflate::{accept_answer, negotiate};
use parlour_websocket::handshake::{accept_key, key, validate_key};

#[test]
fn h5_keys_are_16_bytes_in_base64() {
    assert!(validate_key("dGhlIHNhbXBsZSBub25jZQ=="));
    assert!(validate_key(&key([0xff; 16])));
    for wrong in [
        "",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ==\n",
        " dGhlIHNhbXBsZSBub25jZQ==",
        "dGhlIHNhbXBsZSBub25jZTE=",
        "dGhlIHNhbXBsZSBub25jZTEy",
        "dGhlIHNhbXBsZSBub25jZR==",
        "dGhlIHNhbXBsZSBub25j****",
        "ééééééééééé==",
    ] {
        assert!(!validate_key(wrong), "{wrong:?}");
    }
}

#[test]
fn negotiation_accepts_declines_and_falls_back() {
    let agreed = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    let with_window = |bits| Some(format!("{agreed}; server_max_window_bits={bits}"));
    let plain = || Some(agreed.to_owned());
    let cases = [
        ("permessage-deflate", plain()),
        ("permessage-deflate; client_max_window_bits", plain()),
        ("permessage-deflate; client_max_window_bits=8", plain()),
        ("permessage-deflate; server_no_context_takeover; client_no_context_takeover", plain()),
        ("permessage-deflate; server_max_window_bits=15", with_window(15)),
        ("permessage-deflate;server_max_window_bits=\"9\"", with_window(9)),
        ("permessage-deflate; server_max_window_bits=8", with_window(8)),
        ("x-webkit-deflate-frame, permessage-deflate", plain()),
        // The first acceptable offer wins, also after declined ones.
        ("permessage-deflate; server_max_window_bits=10, permessage-deflate", with_window(10)),
        ("permessage-deflate; server_max_window_bits=7, permessage-deflate", plain()),
        ("permessage-deflate; mode=fast, permessage-deflate; server_max_window_bits=12", with_window(12)),
        ("permessage-deflate; server_max_window_bits", None),
        ("permessage-deflate; server_max_window_bits=16", None),
        ("permessage-deflate; server_max_window_bits=010", None),
        ("permessage-deflate; server_max_window_bits=+9", None),
        ("permessage-deflate; server_max_window_bits=9; server_max_window_bits=9", None),
        ("permessage-deflate; client_max_window_bits=7", None),
        ("permessage-deflate; client_max_window_bits; client_max_window_bits", None),
        ("permessage-deflate; server_no_context_takeover=1", None),
        ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", None),
        ("permessage-deflate; client_no_context_takeover; client_no_context_takeover", None),
        ("permessage-deflate; unknown", None),
        ("permessage-bzip2", None),
        ("permessage-deflate, ;", None),
        ("", None),
    ];
    for (offers, expected) in cases {
        let params = negotiate([offers].into_iter());
        assert_eq!(params.map(|params| params.to_string()), expected, "{offers}");
    }
    let headers = ["permessage-bzip2", "permessage-deflate"];
    assert!(negotiate(headers.into_iter()).is_some(), "offers in several headers");
}

#[test]
fn a_client_checks_the_answer_to_its_offer() {
    let accepted =
        |offered, answer: &str| accept_answer(offered, [answer].into_iter()).map(|found| found.is_some());
    let minimal = "permessage-deflate; server_no_context_takeover";
    assert_eq!(accepted(true, minimal), Ok(true));
    assert_eq!(accepted(true, &format!("{minimal}; server_max_window_bits=9")), Ok(true));
    assert_eq!(accepted(true, ""), Ok(false));
    assert_eq!(accept_answer(true, std::iter::empty()), Ok(None));
    assert!(accepted(false, minimal).is_err(), "not asked for");
    for wrong in [
        "permessage-deflate",
        "permessage-deflate; server_no_context_takeover; client_max_window_bits=9",
        "permessage-deflate; server_no_context_takeover; x=y",
        "permessage-deflate; server_no_context_takeover, permessage-deflate; server_no_context_takeover",
        "foo",
        ";",
    ] {
        assert!(accepted(true, wrong).is_err(), "{wrong}");
    }
}

fn request() -> ClientRequest {
    ClientRequest {
        host: "example.com:8080".to_owned(),
        path_and_query: "/ws?a=b".to_owned(),
        subprotocols: vec!["parlour.v1".to_owned(), "json".to_owned()],
        headers: vec![("Authorization".to_owned(), "Bearer x".to_owned())],
        deflate: true,
    }
}

#[test]
fn a_request_is_what_the_rfc_wants() {
    let bytes = request().encode("dGhlIHNhbXBsZSBub25jZQ==").expect("a sound request");
    let expected = "GET /ws?a=b HTTP/1.1\r\nHost: example.com:8080\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Protocol: parlour.v1, json\r\nSec-WebSocket-Extensions: permessage-deflate; \
        server_no_context_takeover; client_no_context_takeover\r\nAuthorization: Bearer x\r\n\r\n";
    assert_eq!(String::from_utf8(bytes).as_deref(), Ok(expected));
}

#[test]
fn a_request_cannot_smuggle_headers() {
    let spoiled: [fn(&mut ClientRequest); 6] = [
        |request| request.host.push_str("\r\nX: y"),
        |request| request.path_and_query.push_str(" HTTP/1.1\r\n"),
        |request| request.path_and_query = "ws".to_owned(),
        |request| request.subprotocols.push("a b".to_owned()),
        |request| request.headers.push(("X\r".to_owned(), String::new())),
        |request| request.headers.push(("X".to_owned(), "a\nb".to_owned())),
    ];
    for spoil in spoiled {
        let mut request = request();
        spoil(&mut request);
        assert_eq!(request.encode("key"), Err(HandshakeError::InvalidRequest), "{request:?}");
    }
}

#[test]
fn a_response_is_parsed_when_its_head_is_complete() {
    let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade:websocket\r\nX: \t y \r\n\r\n";
    for end in 0..head.len() {
        assert_eq!(ResponseHead::parse(&head.as_bytes()[..end]), Ok(None));
    }
    let (parsed, length) =
        ResponseHead::parse(format!("{head}frames").as_bytes()).expect("well-formed").expect("complete");
    assert_eq!((parsed.status, length), (101, head.len()));
    assert_eq!(parsed.values("x").collect::<Vec<_>>(), ["y"]);
    for wrong in
        ["HTTP/1.0 101 x\r\n\r\n", "HTTP/1.1 1 x\r\n\r\n", "SSH-2.0\r\n\r\n", "HTTP/1.1 101\r\nx\r\n\r\n"]
    {
        assert_eq!(ResponseHead::parse(wrong.as_bytes()), Err(HandshakeError::InvalidResponse));
    }
    assert_eq!(ResponseHead::parse(&[b'a'; 16 * 1024]), Err(HandshakeError::HeadTooLarge));
}

#[test]
fn a_client_checks_the_response() {
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    let check = |headers: &[(&str, &str)]| {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        let head = ResponseHead { status: 101, headers: headers.iter().map(owned).collect() };
        request().check(key, head)
    };
    let accept = accept_key(key);
    let sound =
        [("Upgrade", "WebSocket"), ("Connection", "keep-alive, Upgrade"), ("Sec-WebSocket-Accept", &accept)];
    assert!(check(&sound).is_ok_and(|info| info.subprotocol.is_none() && info.deflate.is_none()));
    let with = |name, value| check(&[&sound[..], &[(name, value)]].concat());
    let info = with("Sec-WebSocket-Protocol", "json").expect("asked for");
    assert_eq!(info.subprotocol.as_deref(), Some("json"));
    assert_eq!(with("Sec-WebSocket-Protocol", "other"), Err(HandshakeError::WrongSubprotocol));
    assert_eq!(with("Sec-WebSocket-Extensions", "foo"), Err(HandshakeError::WrongExtension));
    assert_eq!(check(&sound[1..]), Err(HandshakeError::NotUpgraded));
    assert_eq!(check(&[sound[0], sound[2]]), Err(HandshakeError::NotUpgraded));
    assert_eq!(check(&sound[..2]), Err(HandshakeError::WrongAccept));
    assert_eq!(check(&[sound[0], sound[1], ("Sec-WebSocket-Accept", "x")]), Err(HandshakeError::WrongAccept));
}
