//! What must never be told (Q16): secrets of the operator and of users are planted in every place that
//! takes one, and then looked for in everything that the server writes, at its most talkative.

use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use parlour_server::config::{Config, Flags, Mode};
use parlour_server::identity::Algorithm;
use parlour_server::identity::signing::SigningKey;
use parlour_websocket::client;
use parlour_websocket::handshake::client::ClientRequest;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::harness::secure::Certificate;
use crate::harness::{Json, Socket, http, http_full};
use crate::identity::issuer::{AUDIENCE, ISSUER, claims};

mod child;
mod search;

use child::Serving;
use search::Search;

/// Secrets with the texts that stand for them, where nothing more is needed.
const PLAIN: [(&str, &str); 24] = [
    ("HS256 secret", "planted-hs256-secret-f2b1c8d0a9e7"),
    ("password of the database", "planted-database-password-81b3"),
    ("secret of the API key", "planted-api-secret-4c7e0b2d9f6a15384c7e"),
    ("secret of the webhook", "planted-webhook-secret-9d3a7f1e5b2c"),
    ("bad token in Authorization", "planted-bad-token-header-3e"),
    ("bad token in a subprotocol", "planted-bad-token-protocol-7a"),
    ("bad token in the query", "planted-bad-token-query-5d"),
    ("bad token in hello", "planted-bad-token-hello-8f"),
    ("ticket", "planted-ticket-6b19"),
    ("cookie", "planted-cookie-2ac4"),
    ("other headers", "planted-header-77f0"),
    ("message", "planted-message-0d5e"),
    ("private message", "planted-private-b3c1"),
    ("edited message", "planted-edit-49a8"),
    ("cid", "planted-cid-e610"),
    ("words of a search", "plantedsearchwords9c2f"),
    ("presence", "planted-presence-1b7d"),
    ("reason of a report", "planted-report-d04c"),
    ("reason of a sanction", "planted-sanction-5f93"),
    ("topic of a room", "planted-topic-a82e"),
    ("broken JSON", "planted-json-c5b6"),
    ("message over HTTP", "planted-http-message-e94d"),
    ("key of idempotency", "planted-idempotency-38d7"),
    ("bad API key", "planted-bad-api-key-f60b"),
];

/// Where tokens that are good are shown.
const DOORS: [&str; 4] = ["header", "subprotocol", "query", "hello"];
/// The text of the fault that is planted: what a panic says may come from a user.
const PANIC: &str = "a planted fault";
/// This test.
const TEST: &str = "secrets::what_is_secret_is_never_told";

fn planted(name: &str) -> &'static str {
    PLAIN.iter().find(|(known, _)| *known == name).expect("a planted secret").1
}

/// A directory with the files that a configuration names, and the configuration.
struct Plot {
    directory: tempfile::TempDir,
    certificate: Certificate,
}

impl Plot {
    fn new() -> Self {
        let plot =
            Self { directory: tempfile::tempdir().expect("a directory"), certificate: Certificate::new() };
        for name in ["HS256 secret", "secret of the webhook"] {
            plot.write(name, planted(name));
        }
        plot.write("secret of the API key", &api_key());
        plot
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name.replace(' ', "-"))
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(self.path(name));
        std::io::Write::write_all(&mut file.expect("a file"), text.as_bytes()).expect("written");
        self.path(name)
    }

    /// Writes a configuration with all secrets; `more` stands before the first table.
    fn configuration(&self, name: &str, format: &str, token_in_query: bool, more: &str) -> PathBuf {
        let text = format!(
            r#"
            listen = "127.0.0.1:0"
            admin_listen = "127.0.0.1:0"
            {more}
            [log]
            level = "trace"
            format = {format:?}
            [access]
            token_in_query = {token_in_query}
            [timeouts]
            drain_notice_ms = 0
            drain_spread_ms = 100
            [outbound]
            allow = ["127.0.0.0/8"]
            [auth]
            issuer = {ISSUER:?}
            audience = {AUDIENCE:?}
            [[auth.key]]
            id = "HS256"
            algorithm = "HS256"
            secret_file = {:?}
            [[api_key]]
            id = "shop"
            secret_file = {:?}
            scopes = ["all"]
            [[webhook]]
            url = "http://127.0.0.1:9/events"
            secret_file = {:?}
            "#,
            self.path("HS256 secret"),
            self.path("secret of the API key"),
            self.path("secret of the webhook"),
        );
        self.write(name, &text)
    }

    /// Returns a line of the private key of TLS.
    fn tls_key(&self) -> String {
        let pem = std::fs::read_to_string(self.certificate.key()).expect("a key");
        pem.lines().nth(1).expect("a line of the key").to_owned()
    }
}

fn api_key() -> String {
    format!("parlour_shop_{}", planted("secret of the API key"))
}

/// A good token of somebody who is called after the door, always the same.
fn token(door: &str) -> String {
    static EXPIRY: std::sync::OnceLock<i64> = std::sync::OnceLock::new();
    let expiry = *EXPIRY.get_or_init(|| crate::identity::issuer::now_s() + 3_600);
    let key = SigningKey::from_secret(Some("HS256"), Algorithm::HS256, planted("HS256 secret").as_bytes());
    let claims = claims(json!({"sub": door, "exp": expiry, "iat": expiry - 3_600}));
    key.sign("JWT", &claims).expect("signed")
}

async fn open(address: SocketAddr, request: ClientRequest) -> Json {
    let tcp = TcpStream::connect(address).await.expect("connected");
    let request = ClientRequest { host: address.to_string(), ..request };
    let (stream, _) = client::connect(tcp, &request).await.expect("upgraded");
    Json::new(Socket { stream })
}

/// Comes in by each door with a good token; returns who has come by the first.
async fn come_in(address: SocketAddr, token_in_query: bool) -> Json {
    let by = |path: &str| ClientRequest { path_and_query: path.into(), ..ClientRequest::default() };
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut alice = by("/ws?format=json");
    alice.headers = vec![
        header("Authorization", &format!("Bearer {}", token("header"))),
        header("Cookie", &format!("session={}", planted("cookie"))),
        header("User-Agent", planted("other headers")),
        header("X-Request-Id", planted("other headers")),
    ];
    let mut alice = open(address, alice).await;
    alice.until("welcome").await;
    let mut protocol = by("/ws");
    protocol.subprotocols =
        vec!["parlour.json.v1".into(), format!("parlour.bearer.{}", token("subprotocol"))];
    open(address, protocol).await.until("welcome").await;
    if token_in_query {
        let query = by(&format!("/ws?format=json&token={}", token("query")));
        open(address, query).await.until("welcome").await;
    }
    let mut hello = open(address, by("/ws?format=json")).await;
    hello.ask("hello", json!({"token": token("hello")})).await;
    let mut liar = open(address, by("/ws?format=json")).await;
    liar.send("hello", json!({"token": planted("bad token in hello")})).await;
    assert_eq!(liar.socket.closed().await.code, 1008);
    alice
}

/// Says all that users say, good and bad, and ends with a fault of the server.
async fn talk(alice: &mut Json) {
    let ask = async |alice: &mut Json, command: &str, payload: Value| {
        let answer = alice.ask(command, payload).await;
        assert_ne!(answer["type"], "error", "{command}: {answer}");
        answer
    };
    ask(alice, "create", json!({"room": "team", "topic": planted("topic of a room")})).await;
    alice.join("team").await;
    let said = json!({"room": "team", "text": planted("message"), "cid": planted("cid")});
    let seq = ask(alice, "publish", said).await["payload"]["seq"].clone();
    ask(alice, "edit", json!({"room": "team", "target": seq, "text": planted("edited message")})).await;
    ask(alice, "private", json!({"to": "hello", "text": planted("private message")})).await;
    ask(alice, "search", json!({"query": planted("words of a search")})).await;
    ask(alice, "presence", json!({"status": "away", "text": planted("presence")})).await;
    let reason = planted("reason of a report");
    ask(alice, "report", json!({"room": "team", "target": seq, "reason": reason})).await;
    let reason = planted("reason of a sanction");
    ask(alice, "sanction", json!({"room": "team", "user": "hello", "kind": "mute", "reason": reason})).await;
    let conflict = json!({"room": "team", "text": "something else", "cid": planted("cid")});
    assert_eq!(alice.ask("publish", conflict).await["code"], "idempotency_conflict");
    for broken in
        [format!(r#"{{"type":"{0}","id":1,"#, planted("broken JSON")), planted("broken JSON").into()]
    {
        alice.socket.send(&broken).await;
        alice.until("error").await;
    }
    alice.ask(planted("broken JSON"), json!({planted("broken JSON"): planted("broken JSON")})).await;
    alice.socket.send("!panic").await;
    assert_eq!(alice.socket.closed().await.code, 1011);
}

/// Asks over HTTP for what must be refused, and for some of what must not; returns what was refused.
async fn knock(address: SocketAddr) -> String {
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let protocol =
        format!("Sec-WebSocket-Protocol: parlour.bearer.{}\r\n", planted("bad token in a subprotocol"));
    let idempotency = format!("Idempotency-Key: {}\r\n", planted("key of idempotency"));
    let [text, key] = [planted("message over HTTP"), planted("bad API key")];
    let agent = format!("User-Agent: {}\r\n", planted("other headers"));
    let cookie = format!("Cookie: session={}\r\n{agent}", planted("cookie"));
    let mut requests = [
        ("", bearer(planted("bad token in Authorization"))),
        ("", protocol),
        (&format!("&token={}", planted("bad token in the query")), String::new()),
        (&format!("&ticket={}", planted("ticket")), String::new()),
    ]
    .map(|(parameter, more)| {
        format!("GET /ws?format=json{parameter} HTTP/1.1\r\nHost: localhost\r\n{upgrade}{more}{agent}\r\n")
    })
    .to_vec();
    let last = "Host: localhost\r\nConnection: close\r\n";
    requests.push(format!("GET /ws?room={} HTTP/1.1\r\n{last}{cookie}\r\n", planted("message")));
    let publish =
        format!("POST /api/v1/rooms/team/messages HTTP/1.1\r\n{last}Content-Type: application/json\r\n");
    let bodies = [
        (key, json!({"text": text}).to_string()),
        (&api_key(), format!(r#"{{"text":"{text}","#)),
        (&api_key(), json!({"text": text, "extra": text}).to_string()),
        (&api_key(), json!({"text": text}).to_string()),
        // The same key of idempotency for something else.
        (&api_key(), json!({"text": format!("{text}!")}).to_string()),
    ];
    requests.extend(bodies.map(|(key, body)| {
        let (length, key) = (body.len(), bearer(key));
        format!("{publish}{idempotency}{key}Content-Length: {length}\r\n\r\n{body}")
    }));
    let (mut refused, mut accepted) = (String::new(), 0);
    for request in requests {
        let (status, head, body) = http_full(address, request.as_bytes()).await;
        match status {
            200..=299 => accepted += 1,
            _ => refused += &format!("{status} {head}\n{body}\n"),
        }
    }
    assert_eq!(accepted, 1, "{refused}");
    refused
}

/// Configurations that are refused, with what the refusal names.
fn refusals(plot: &Plot) -> Vec<(String, &'static str)> {
    let [password, secret] = [planted("password of the database"), planted("HS256 secret")];
    let key = plot.certificate.key();
    vec![
        (format!("database = \"mysql://parlour:{password}@localhost/db\""), "database"),
        (format!("database = \"postgres://parlour:{password}@localhost/db"), "TOML"),
        (format!("database = [\"postgres://parlour:{password}@localhost/db\"]"), "database"),
        (format!("[auth]\nsecret = {secret:?}"), "auth.secret"),
        (format!("[[auth.key]]\nid = \"a\"\nalgorithm = \"HS256\"\nsecret = {secret:?}"), "TOML"),
        (
            format!("[[api_key]]\nid = \"shop\"\nscopes = []\nkey = {:?}", planted("secret of the API key")),
            "TOML",
        ),
        (
            format!(
                "[[webhook]]\nurl = \"https://a.example\"\nsecret = {:?}",
                planted("secret of the webhook")
            ),
            "TOML",
        ),
        (format!("[tls]\ncert = {key:?}\nkey = {key:?}"), "tls"),
    ]
}

fn refuse(plot: &Plot, search: &mut Search) {
    for (text, named) in refusals(plot) {
        let refused = Config::from_sources(Some(&text), std::iter::empty(), Flags::new(Mode::Serve));
        let errors = refused.expect_err(&text);
        assert!(errors.to_string().contains(named), "{named}: {errors}");
        search.wrote("refused configuration", format!("{errors}\n{errors:?}"));
    }
}

async fn serve(plot: &Plot, format: &str, token_in_query: bool, search: &mut Search) {
    let file = plot.configuration(format, format, token_in_query, r#"data_dir = ":memory:""#);
    let text = std::fs::read_to_string(&file).expect("a configuration");
    let config = Config::from_sources(Some(&text), std::iter::empty(), Flags::new(Mode::Dev)).expect("good");
    search.wrote("accepted configuration", format!("{config:?}"));
    let server = child::in_time(move || Serving::start(TEST, &file)).await;
    let mut alice = come_in(server.address, token_in_query).await;
    talk(&mut alice).await;
    search.wrote("refused requests", knock(server.address).await);
    let metrics = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    search.wrote("metrics", http(server.admin, metrics).await.1);
    let [stdout, stderr] = child::in_time(move || server.end()).await;
    search.wrote("standard output", stdout);
    search.wrote("log", stderr);
}

/// A database that cannot be reached, and a certificate that nobody is shown.
async fn fail(plot: &Plot, search: &mut Search) {
    let (password, key) = (planted("password of the database"), plot.certificate.key());
    let more = format!("database = \"postgres://parlour:{password}@127.0.0.1:1/db\"");
    let file = plot.configuration("database", "text", false, &more);
    let [stdout, stderr] = child::in_time(move || child::fail(TEST, &file)).await;
    assert!(stderr.contains("Error: "), "{stderr}");
    search.wrote("standard output", stdout);
    search.wrote("log without a database", stderr);
    let tls =
        format!("data_dir = \":memory:\"\ntls = {{ cert = {:?}, key = {key:?} }}", plot.certificate.cert());
    let file = plot.configuration("tls", "text", false, &tls);
    let server = child::in_time(move || Serving::start(TEST, &file)).await;
    let tcp = TcpStream::connect(server.address).await.expect("connected");
    let trust = plot.certificate.trusted(tokio_rustls::rustls::ALL_VERSIONS);
    let name = "localhost".try_into().expect("a name");
    drop(tokio_rustls::TlsConnector::from(trust).connect(name, tcp).await.expect("a handshake"));
    let (_, _, refused) = http_full(server.address, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    search.wrote("refused requests", refused);
    let [_, stderr] = child::in_time(move || server.end()).await;
    search.wrote("log with TLS", stderr);
}

#[tokio::test]
async fn what_is_secret_is_never_told() {
    if child::served().await {
        return;
    }
    let (plot, mut search) = (Plot::new(), Search::new());
    search.secrets.push(("private key of TLS".into(), plot.tls_key()));
    assert!(search.secrets.len() >= 20);
    refuse(&plot, &mut search);
    serve(&plot, "text", true, &mut search).await;
    serve(&plot, "json", false, &mut search).await;
    fail(&plot, &mut search).await;

    // The search finds what is meant to be written, everywhere.
    for (text, place) in [
        ("invalid_token", "log"),
        ("TRACE", "log"),
        ("panic", "log"),
        ("invalid_token", "metrics"),
        ("invalid_token", "refused requests"),
        ("token_in_query", "refused requests"),
        ("auth.secret", "refused configuration"),
        (ISSUER, "accepted configuration"),
        ("addresses ", "standard output"),
    ] {
        assert!(search.places(text).contains(&place), "{text} is not found in the {place}");
    }
    let found: Vec<_> = search
        .secrets
        .iter()
        .map(|(name, secret)| (name, search.places(secret)))
        .filter(|(_, places)| !places.is_empty())
        .collect();
    assert!(found.is_empty(), "told: {found:?}");
}

/// Keeps the search honest: a secret that is written somewhere is found there, in each spelling.
#[test]
fn a_secret_that_is_told_is_found() {
    let mut search = Search::new();
    let (_, secret) = PLAIN[0];
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    for told in [
        format!("the key is {secret}."),
        hex,
        STANDARD_NO_PAD.encode(secret),
        format!("{:?}", secret.as_bytes()),
    ] {
        search.written = vec![("metrics", "nothing".into()), ("log", told)];
        assert_eq!(search.places(secret), ["log"]);
    }
    assert!(search.places("planted elsewhere").is_empty());
}
