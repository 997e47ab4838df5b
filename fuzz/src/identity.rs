//! Tokens: whatever stands in them, what is believed is what was signed.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parlour_hub::Now;
use parlour_server::clock::Clock;
use parlour_server::config::{Auth, Config};
use parlour_server::identity::key::Key;
use parlour_server::identity::{Algorithm, Authenticator, Records};
use serde_json::Value;

const SECRET: &[u8] = b"the secret of nobody but this fuzzer";
/// 2026-01-01, when the seeds were made.
const NOW: Now = Now { mono_ms: 0, wall_ms: 1_767_225_600_000 };

/// A server that believes tokens of one key.
pub fn authenticator() -> Authenticator {
    let mut config = Config::default();
    config.auth = auth();
    let records = Arc::new(Records::new(&config.auth));
    Authenticator::new(&config, records, Clock::start())
}

/// The settings of such a server.
pub fn auth() -> Auth {
    Auth {
        issuer: Some("us".into()),
        audience: Some("parlour".into()),
        keys: vec![Key::from_secret("k", Algorithm::HS256, SECRET)],
        ..Auth::default()
    }
}

/// Shows any text as a token; nobody has signed it.
pub fn check_unsigned(authenticator: &Authenticator, text: &str) {
    assert!(authenticator.check(text, NOW).is_err(), "{text}");
}

/// Signs any header and claims, the parts before and behind the first line break.
pub fn check_signed(authenticator: &Authenticator, data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (header, claims) = (&data[..end], data.get(end + 1..).unwrap_or_default());
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET);
    let tag = ring::hmac::sign(&key, signed.as_bytes());
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag));
    let Ok(believed) = authenticator.check(&token, NOW) else { return };

    // Another reader sees the same, and nothing that must not be there.
    let header: Value = serde_json::from_slice(header).expect("JSON");
    let claims: Value = serde_json::from_slice(claims).expect("JSON");
    assert_eq!(header["alg"], "HS256");
    for name in ["jku", "x5u", "jwk", "x5c", "crit"] {
        assert!(header.get(name).is_none(), "{header}");
    }
    assert_eq!(claims["iss"], "us");
    assert_eq!(claims["sub"], believed.user.as_str());
    let expires_s = claims["exp"].as_f64().expect("a number");
    assert_eq!(believed.expires_s as f64, expires_s.floor());
    assert!(expires_s > (NOW.wall_ms / 1_000 - 31) as f64, "{claims}");
}
