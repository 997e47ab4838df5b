//! Handshakes: what they agree on fits together, and what they refuse is said in words of ours.

use std::sync::Arc;

use http::header::{CONNECTION, HOST, HeaderName, HeaderValue, UPGRADE};
use http::request::Parts;
use http::{Request, StatusCode, Uri};
use parlour_protocol::Refusal;
use parlour_protocol::dialect::DialectId;
use parlour_server::clock::Clock;
use parlour_server::config::Config;
use parlour_server::identity::{Authenticator, Records};
use parlour_server::upgrade::{Agreement, negotiate};

/// Longest explanation of a refusal, in bytes: it may quote the input, but not repeat it.
const EXPLANATION: usize = 512;

/// Servers that are asked: for trying out, and for others.
pub struct Servers([(Config, Authenticator); 2]);

impl Servers {
    /// Starts nothing: what decides about a handshake has no state.
    pub fn new() -> Self {
        let mut dev = Config::dev();
        dev.compression = true;
        let mut production = Config::default();
        production.auth = crate::identity::auth();
        production.access.token_in_query = true;
        production.access.origins = vec!["https://app.example.com".into()];
        production.access.hosts = vec!["chat.example.com".into()];
        Self([dev, production].map(|config| {
            let records = Arc::new(Records::new(&config.auth));
            let verifier = Authenticator::new(&config, records, Clock::start());
            (config, verifier)
        }))
    }

    /// Shows each server a request: the first line is its URL, the others are its headers.
    pub fn check(&self, data: &[u8]) {
        let Some(head) = read(data) else { return };
        for (config, verifier) in &self.0 {
            match negotiate(&head, config, verifier) {
                Ok(agreement) => check_agreement(agreement, config),
                Err(refusal) => check_refusal(&refusal),
            }
        }
    }
}

impl Default for Servers {
    fn default() -> Self {
        Self::new()
    }
}

/// Reads a request, with what every handshake has where nothing else is said.
fn read(data: &[u8]) -> Option<Parts> {
    let mut lines = data.split(|byte| *byte == b'\n');
    let mut head = Request::new(()).into_parts().0;
    head.uri = Uri::try_from(lines.next()?).ok()?;
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        head.headers.append(name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?);
    }
    let usual = [
        (UPGRADE, "websocket"),
        (CONNECTION, "Upgrade"),
        (HOST, "chat.example.com"),
        (HeaderName::from_static("sec-websocket-version"), "13"),
        (HeaderName::from_static("sec-websocket-key"), "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    for (name, value) in usual {
        head.headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    Some(head)
}

fn check_agreement(agreement: Agreement, config: &Config) {
    let greeting = &agreement.greeting;
    assert!(greeting.history <= config.limits.history);
    assert!(config.compression || greeting.deflate.is_none());
    if greeting.dialect == DialectId::Text {
        // Plain text has no way to say it later.
        let user = &greeting.identity.as_ref().expect("an identity").user;
        assert!(greeting.room.is_some() && !user.as_str().contains(':'));
    }
    // Nobody has a name in production who has not proven it, and nobody has signed anything here.
    assert!(config.dev || greeting.identity.is_none());
    let response = agreement.into_response();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(response.headers()["sec-websocket-accept"].len(), 28);
}

fn check_refusal(refusal: &Refusal) {
    let message = &refusal.message;
    assert!(!message.is_empty() && message.len() <= EXPLANATION, "{message}");
    assert!((400..500).contains(&refusal.code.http_status()), "{refusal:?}");
}
