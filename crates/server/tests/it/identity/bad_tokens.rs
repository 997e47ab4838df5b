//! Group A of the table of bad input: each bad token gets the same answer at every door.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parlour_server::identity::Algorithm;
use serde_json::{Value, json};

use super::issuer::{Issuer, SECRET, claims, enter, forge, now_s, stranger};
use crate::harness::{TestServer, http_full};

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT","kid":"HS256"}"#;

/// Shows a token in the header of a request and as a subprotocol: 401 before the upgrade.
async fn refused_by_http(server: &TestServer, row: &str, token: &str, code: &str) {
    for door in [
        format!("Authorization: Bearer {token}\r\nSec-WebSocket-Protocol: parlour.json.v1"),
        format!("Sec-WebSocket-Protocol: parlour.json.v1, parlour.bearer.{token}"),
    ] {
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{door}\r\n\r\n"
        );
        let (status, head, body) = http_full(server.address(), request.as_bytes()).await;
        assert_eq!(status, 401, "{row}: {head}\n{body}");
        assert!(head.contains("www-authenticate: Bearer"), "{row}: {head}");
        let problem: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(problem["code"], code, "{row}: {body}");
        assert!(!body.contains(token), "{row}: {body}");
    }
}

/// Shows a token in the first message: an error, then 1008.
async fn refused_by_hello(server: &TestServer, row: &str, token: &str, code: &str) {
    let mut client = stranger(server).await;
    client.send("hello", json!({"token": token})).await;
    let error = client.next().await;
    assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!(code)), "{row}: {error}");
    let close = client.socket.closed().await;
    assert_eq!((close.code, &*close.reason), (1008, code), "{row}");
}

/// Tokens whose header is not accepted.
fn bad_headers(issuer: &Issuer) -> Vec<(&'static str, String)> {
    let good = claims(json!({})).to_string();
    let with = |header: &str| forge(header, &good, SECRET.trim().as_bytes());
    let public_key = std::fs::read(issuer.path("rsa.pub.pem")).expect("a key");
    let none = |word: &str| {
        let header = format!(r#"{{"alg":"{word}","typ":"JWT"}}"#);
        format!("{}.{}.", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(&good))
    };
    let forbidden = |more: &str| with(&format!(r#"{{"alg":"HS256","typ":"JWT","kid":"HS256",{more}}}"#));
    vec![
        ("A3", none("none")),
        ("A3, capital", none("NONE")),
        ("A4", forge(r#"{"alg":"HS256","typ":"JWT","kid":"RS256"}"#, &good, &public_key)),
        ("A4, without kid", forge(r#"{"alg":"HS256","typ":"JWT"}"#, &good, &public_key)),
        ("A4, another algorithm of the same kind", with(r#"{"alg":"HS512","typ":"JWT","kid":"HS256"}"#)),
        ("A4, with the signature of another algorithm", with(r#"{"alg":"RS256","typ":"JWT","kid":"RS256"}"#)),
        ("A11", with(r#"{"alg":"HS256","typ":"at+jwt","kid":"HS256"}"#)),
        ("A11, none", with(r#"{"alg":"HS256","kid":"HS256"}"#)),
        ("A12", with(r#"{"alg":"HS256","typ":"JWT","kid":"unknown"}"#)),
        ("A13, path", with(r#"{"alg":"HS256","typ":"JWT","kid":"../../dev/null"}"#)),
        ("A13, SQL", with(r#"{"alg":"HS256","typ":"JWT","kid":"x' UNION SELECT 'key"}"#)),
        ("A13, a number", with(r#"{"alg":"HS256","typ":"JWT","kid":7}"#)),
        ("A14, jku", forbidden(r#""jku":"http://127.0.0.1:1/keys""#)),
        ("A14, x5u", forbidden(r#""x5u":"http://127.0.0.1:1/chain""#)),
        ("A14, x5c", forbidden(r#""x5c":["MIIB"]"#)),
        ("A14, jwk", forbidden(r#""jwk":{"kty":"oct","k":"c2VjcmV0"}"#)),
        ("A15", forbidden(r#""crit":["exp"],"exp":1"#)),
        ("A15, b64", forbidden(r#""crit":["b64"],"b64":false"#)),
        ("A18, in the header", with(r#"{"alg":"none","typ":"JWT","alg":"HS256","kid":"HS256"}"#)),
    ]
}

/// Tokens with a good signature and something wrong under it.
fn bad_claims(issuer: &Issuer) -> Vec<(&'static str, String)> {
    let now_s = now_s();
    let doubled = |more: &str| {
        let claims = claims(json!({})).to_string();
        forge(HEADER, &claims.replacen('{', &format!("{{{more},"), 1), SECRET.trim().as_bytes())
    };
    vec![
        ("A6", issuer.token(json!({"exp": (now_s + 60).to_string()}))),
        ("A7", issuer.token(json!({"exp": null}))),
        ("A8", issuer.token(json!({"nbf": now_s + 60}))),
        ("A8, issued in the future", issuer.token(json!({"iat": now_s + 60, "exp": now_s + 90}))),
        ("A9", issuer.token(json!({"iss": "https://evil.example"}))),
        ("A9, none", issuer.token(json!({"iss": null}))),
        ("A10", issuer.token(json!({"aud": "others"}))),
        ("A10, none", issuer.token(json!({"aud": null}))),
        ("A16", issuer.token(json!({"padding": "x".repeat(4_000)}))),
        ("A18", doubled(r#""sub":"bob""#)),
        ("A18, spelt otherwise", doubled(r#""\u0073ub":"bob""#)),
        ("A19, control characters", issuer.token(json!({"sub": "a\u{7}b"}))),
        ("A19, line break", issuer.token(json!({"sub": "alice\nbob"}))),
        ("A19, long", issuer.token(json!({"sub": "a".repeat(2_000)}))),
        ("no sub", issuer.token(json!({"sub": null}))),
        ("a life of more than a day", issuer.token(json!({"exp": now_s + 24 * 3_600 + 5}))),
        ("unknown action", issuer.token(json!({"rooms": {"general": ["fly"]}}))),
        ("claims that are no object", forge(HEADER, "[]", SECRET.trim().as_bytes())),
    ]
}

/// Texts that are no tokens.
fn no_tokens(issuer: &Issuer) -> Vec<(&'static str, String)> {
    let good = issuer.token(json!({}));
    let (signed, signature) = good.rsplit_once('.').expect("parts");
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    bytes[0] ^= 1;
    vec![
        ("A17", "a.b.c.d.e".into()),
        ("A17, a JWE", format!("{good}.{signature}.{signature}")),
        ("two parts", signed.into()),
        ("no parts", "x".into()),
        ("no signature", format!("{signed}.")),
        ("a changed signature", format!("{signed}.{}", URL_SAFE_NO_PAD.encode(bytes))),
        ("a signature cut short", format!("{signed}.{}", &signature[..20])),
        ("another secret", forge(HEADER, &claims(json!({})).to_string(), b"not the secret of this server")),
        ("no base64url", format!("{signed}.!{signature}")),
    ]
}

#[tokio::test]
async fn every_bad_token_is_refused_at_every_door() {
    let issuer = Issuer::new();
    let server = issuer.server().await;
    let expired = ("A5", issuer.token(json!({"iat": now_s() - 120, "exp": now_s() - 60})), "token_expired");
    let invalid = [bad_headers(&issuer), bad_claims(&issuer), no_tokens(&issuer)].concat();
    let invalid = invalid.into_iter().map(|(row, token)| (row, token, "invalid_token"));
    for (row, token, code) in invalid.chain([expired]) {
        refused_by_http(&server, row, &token, code).await;
        refused_by_hello(&server, row, &token, code).await;
    }
    // After all of them a good client gets in.
    let (_, welcome) = enter(&server, &issuer.token(json!({}))).await;
    assert_eq!(welcome["user"], "alice");
}

#[tokio::test]
async fn who_shows_nothing_is_told_what_is_missing() {
    let issuer = Issuer::new();
    let server = issuer.server().await;
    let text = "GET /ws?room=general HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n\
                Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let (status, head, _) = http_full(server.address(), text.as_bytes()).await;
    assert!(status == 401 && head.lines().any(|line| line == "www-authenticate: Bearer"), "A1: {head}");

    let mut client = stranger(&server).await;
    client.send("join", json!({"room": "general"})).await;
    assert_eq!(client.next().await["code"], "unauthenticated", "A24");
    assert_eq!(client.socket.closed().await.reason, "unauthenticated", "A24");

    // A name without proof is no proof, and a token in the URL is not even looked at.
    refused_hello(&server, json!({"user": "alice"}), "unauthenticated").await;
    let token = issuer.token(json!({}));
    let in_query = text.replace("room=general", &format!("room=general&token={token}"));
    let (status, _, body) = http_full(server.address(), in_query.as_bytes()).await;
    assert!(status == 400 && body.contains("token_in_query") && !body.contains(&token), "A20: {body}");
}

async fn refused_hello(server: &TestServer, payload: Value, code: &str) {
    let mut client = stranger(server).await;
    client.send("hello", payload).await;
    assert_eq!(client.next().await["code"], code);
}

#[tokio::test]
async fn tokens_of_every_algorithm_are_believed() {
    let issuer = Issuer::new();
    let keys = [
        (Algorithm::HS384, "hs.secret", "hs.secret"),
        (Algorithm::HS512, "hs.secret", "hs.secret"),
        (Algorithm::PS256, "rsa.pub.pem", "rsa.pem"),
        (Algorithm::ES256, "es256.pub.pem", "es256.pem"),
    ];
    let server = TestServer::start_with(|config| {
        issuer.configure(config);
        config.auth.keys.extend(keys.map(|(algorithm, public, _)| issuer.key(algorithm, public)));
    })
    .await;
    let more = [(Algorithm::HS256, "hs.secret", "hs.secret"), (Algorithm::RS256, "rsa.pub.pem", "rsa.pem")];
    for (algorithm, _, private) in keys.into_iter().chain(more) {
        let token = issuer.signing(algorithm, private).sign("jwt", &claims(json!({}))).expect("signed");
        let (_, welcome) = enter(&server, &token).await;
        assert_eq!(welcome["user"], "alice", "{algorithm:?}");
    }
    // One of each algorithm: `kid` may be left out.
    let nameless =
        forge(r#"{"alg":"HS256","typ":"JWT"}"#, &claims(json!({})).to_string(), SECRET.trim().as_bytes());
    enter(&server, &nameless).await;
}
