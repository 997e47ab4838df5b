//! Keys come and go while tokens live.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parlour_server::identity::{self, Algorithm};
use serde_json::json;

use super::issuer::{Issuer, claims, enter, open};
use crate::harness::{PATIENCE, TestServer};
use crate::hooks_backend::{Backend, allow_loopback};

/// The raw key in the last bytes of a public key in PEM.
fn raw_key(pem: &str, bytes: usize) -> Vec<u8> {
    let text: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(text).expect("base64");
    der[der.len() - bytes..].to_vec()
}

/// A key set with keys of P-256, each by the same key under an id.
fn key_set(ids: &[&str]) -> String {
    let point = raw_key(include_str!("keys/es256.pub.pem"), 64);
    let (x, y) = (URL_SAFE_NO_PAD.encode(&point[..32]), URL_SAFE_NO_PAD.encode(&point[32..]));
    let key = |id: &&str| json!({"kty": "EC", "crv": "P-256", "kid": id, "use": "sig", "x": x, "y": y});
    json!({"keys": ids.iter().map(key).collect::<Vec<_>>()}).to_string()
}

fn signed(issuer: &Issuer, id: &str) -> String {
    let path = issuer.path("es256.pem");
    let key = identity::signing::SigningKey::from_file(Some(id), Algorithm::ES256, &path).expect("a key");
    key.sign("JWT", &claims(json!({}))).expect("signed")
}

#[tokio::test]
async fn a_key_set_is_rotated_without_a_restart() {
    let issuer = Issuer::new();
    issuer.write("jwks.json", &key_set(&["old"]));
    let server = TestServer::start_with(|config| {
        issuer.configure(config);
        config.auth.jwks_file = Some(issuer.path("jwks.json").display().to_string());
    })
    .await;
    let node = server.server().node();
    let (old, new) = (signed(&issuer, "old"), signed(&issuer, "new"));
    let (mut client, _) = enter(&server, &old).await;
    assert!(open(&server, &new).await.is_err(), "A12");

    issuer.write("jwks.json", &key_set(&["old", "new"]));
    identity::reload(node);
    enter(&server, &old).await;
    enter(&server, &new).await;

    // A broken file changes nothing.
    issuer.write("jwks.json", "{\"keys\": [");
    identity::reload(node);
    enter(&server, &new).await;

    issuer.write("jwks.json", &key_set(&["new"]));
    identity::reload(node);
    assert!(open(&server, &old).await.is_err());
    enter(&server, &new).await;
    // The keys of the configuration stay, and so do those who are there.
    enter(&server, &issuer.token(json!({}))).await;
    assert_eq!(client.ask("ping", json!({})).await["type"], "pong");
}

#[tokio::test]
async fn a_key_set_is_fetched_once_however_many_unknown_keys_are_shown() {
    let issuer = Issuer::new();
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let backend = Backend::start(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        async { key_set(&["fetched"]) }
    })
    .await;
    let server = TestServer::start_with(|config| {
        issuer.configure(config);
        allow_loopback(config);
        config.auth.jwks_url = Some(backend.url("/keys").parse().expect("a URL"));
    })
    .await;
    let fetched = signed(&issuer, "fetched");
    let believed = async {
        while open(&server, &fetched).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, believed).await.expect("the key comes");
    for n in 0..50 {
        assert!(open(&server, &signed(&issuer, &format!("unknown-{n}"))).await.is_err(), "A12");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1, "once a minute at most");
}

#[tokio::test]
async fn two_keys_of_one_algorithm_live_side_by_side() {
    let issuer = Issuer::new();
    issuer.write("next.secret", "Zk8vQ2wL5nXb9RtY1mH4sJ7dF0gC3aPe-and-a-bit-more");
    let path = issuer.path("next.secret");
    let next = identity::key::Key::from_file("next", Algorithm::HS256, &path).expect("a key");
    let server = TestServer::start_with(|config| {
        issuer.configure(config);
        config.auth.keys.push(next);
    })
    .await;
    let by = |id: Option<&str>| {
        let key = identity::signing::SigningKey::from_file(id, Algorithm::HS256, &path).expect("a key");
        key.sign("JWT", &claims(json!({}))).expect("signed")
    };
    enter(&server, &issuer.token(json!({}))).await;
    enter(&server, &by(Some("next"))).await;
    assert!(open(&server, &by(None)).await.is_err(), "which of both?");
    assert!(open(&server, &by(Some("HS256"))).await.is_err(), "the other's name");
}
