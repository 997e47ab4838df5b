//! Somebody who signs tokens, and servers that believe them.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parlour_server::config::{Auth, Config};
use parlour_server::identity::key::Key;
use parlour_server::identity::{Algorithm, signing::SigningKey};
use parlour_websocket::client::ConnectError;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Json, Socket, TestServer};

pub(crate) const ISSUER: &str = "https://login.example.com";
pub(crate) const AUDIENCE: &str = "parlour";
pub(crate) const SECRET: &str = include_str!("keys/hs.secret");

/// Key files that only we may read.
pub(crate) struct Issuer {
    directory: TempDir,
}

impl Issuer {
    pub(crate) fn new() -> Self {
        let issuer = Self { directory: tempfile::tempdir().expect("a temporary directory") };
        for (name, text) in [
            ("hs.secret", SECRET),
            ("rsa.pem", include_str!("keys/rsa.pem")),
            ("rsa.pub.pem", include_str!("keys/rsa.pub.pem")),
            ("es256.pem", include_str!("keys/es256.pem")),
            ("es256.pub.pem", include_str!("keys/es256.pub.pem")),
            ("es384.pub.pem", include_str!("keys/es384.pub.pem")),
            ("ed25519.pub.pem", include_str!("keys/ed25519.pub.pem")),
        ] {
            issuer.write(name, text);
        }
        issuer
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(self.path(name));
        std::io::Write::write_all(&mut file.expect("a file"), text.as_bytes()).expect("written");
    }

    /// A key that verifies, called after its algorithm.
    pub(crate) fn key(&self, algorithm: Algorithm, file: &str) -> Key {
        Key::from_file(&format!("{algorithm:?}"), algorithm, &self.path(file)).expect("a good key")
    }

    /// A key that signs, called after its algorithm.
    pub(crate) fn signing(&self, algorithm: Algorithm, file: &str) -> SigningKey {
        let id = format!("{algorithm:?}");
        SigningKey::from_file(Some(&id), algorithm, &self.path(file)).expect("a good key")
    }

    /// What a server must know to believe tokens of the algorithms HS256 and RS256.
    pub(crate) fn auth(&self) -> Auth {
        Auth {
            issuer: Some(ISSUER.into()),
            audience: Some(AUDIENCE.into()),
            keys: vec![self.key(Algorithm::HS256, "hs.secret"), self.key(Algorithm::RS256, "rsa.pub.pem")],
            ..Auth::default()
        }
    }

    /// Believes tokens and no names.
    pub(crate) fn configure(&self, config: &mut Config) {
        config.auth = self.auth();
        config.access.anonymous = false;
        config.access.token_in_query = false;
    }

    pub(crate) async fn server(&self) -> TestServer {
        TestServer::start_with(|config| self.configure(config)).await
    }

    /// A token that is good but for the changes; `null` takes a claim away.
    pub(crate) fn token(&self, changes: Value) -> String {
        self.signing(Algorithm::HS256, "hs.secret").sign("JWT", &claims(changes)).expect("signed")
    }
}

pub(crate) fn now_s() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(now.as_secs()).expect("before the end of time")
}

/// Good claims of Alice but for the changes.
pub(crate) fn claims(changes: Value) -> Value {
    let now_s = now_s();
    let mut claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": now_s, "exp": now_s + 3_600,
    });
    let Value::Object(changes) = changes else { panic!("an object") };
    for (name, value) in changes {
        claims[&name] = value;
    }
    claims.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
    claims
}

/// Signs any texts as header and claims by HMAC with SHA-256, as an attacker with a secret would.
pub(crate) fn forge(header: &str, claims: &str, secret: &[u8]) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
    let signature = ring::hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Connects with a token in a header.
pub(crate) async fn open(server: &TestServer, token: &str) -> Result<Socket, ConnectError> {
    let mut request = server.request();
    request.path_and_query = "/ws?format=json".into();
    request.headers = vec![("Authorization".into(), format!("Bearer {token}"))];
    server.open_with(&request).await.map(|(socket, _)| socket)
}

/// Connects with a token that must be good, and waits for `welcome`.
pub(crate) async fn enter(server: &TestServer, token: &str) -> (Json, Value) {
    let mut json = Json::new(open(server, token).await.expect("upgraded"));
    let welcome = json.until("welcome").await;
    (json, welcome["payload"].clone())
}

/// Opens a connection that has yet to say hello.
pub(crate) async fn stranger(server: &TestServer) -> Json {
    Json::new(server.open("/ws", &["parlour.json.v1"]).await.expect("upgraded"))
}
