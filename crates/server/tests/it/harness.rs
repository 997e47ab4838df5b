//! A real server on free ports, and raw clients that show every frame.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parlour_server::config::Config;
use parlour_server::node::Node;
use parlour_server::server::Server;
use parlour_websocket::client::{self, ClientStream, CloseFrame, ConnectError, Message};
use parlour_websocket::handshake::client::{ClientRequest, ResponseInfo};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

pub(crate) mod faulty;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod secure;
pub(crate) mod typed;
pub(crate) mod wire;

use faulty::FaultyStore;

/// Longest wait for something that must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running server that is drained at the end of its test.
pub(crate) struct TestServer {
    server: Server,
    directory: Option<tempfile::TempDir>,
    hindsight: Hindsight,
}

impl TestServer {
    /// Starts a development server that keeps everything in memory.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// The same after `change` has had its way with the configuration.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = quick_config();
        config.data_dir = None;
        change(&mut config);
        Self::around(Server::start(config).await.expect("the server starts"), None)
    }

    /// Starts a development server on a SQLite file of its own.
    pub(crate) async fn start_durable(change: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        Self::start_in(directory, change).await
    }

    /// The same in a directory that may hold an earlier server's file.
    pub(crate) async fn start_in(directory: tempfile::TempDir, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = quick_config();
        config.data_dir = Some(directory.path().to_owned());
        change(&mut config);
        Self::around(Server::start(config).await.expect("the server starts"), Some(directory))
    }

    /// Starts a development server on a store that fails when it is told to.
    pub(crate) async fn start_faulty(change: impl FnOnce(&mut Config)) -> (Self, FaultyStore) {
        let (mut config, store) = (quick_config(), FaultyStore::new());
        change(&mut config);
        let server = Server::start_on(Box::new(store.clone()), config).await.expect("the server starts");
        (Self::around(server, None), store)
    }

    fn around(server: Server, directory: Option<tempfile::TempDir>) -> Self {
        let hindsight = Hindsight { node: Arc::clone(server.node()), panics: 0 };
        Self { server, directory, hindsight }
    }

    /// Announces how many panics the test plants.
    pub(crate) fn expect_panics(&mut self, panics: u64) {
        self.hindsight.panics = panics;
    }

    /// Ends the server and starts another one on the same file.
    pub(crate) async fn restart(self, change: impl FnOnce(&mut Config)) -> Self {
        let directory = self.drain().await.expect("a durable server");
        Self::start_in(directory, change).await
    }

    /// Ends the server as SIGTERM would; returns its directory.
    pub(crate) async fn drain(self) -> Option<tempfile::TempDir> {
        self.server.drain().await;
        self.directory
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.listen_addr()
    }

    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.server.admin_addr()
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// Connects with plain text, as a browser console would.
    pub(crate) async fn text(&self, room: &str, user: &str) -> Socket {
        self.open(&format!("/ws?room={}&user={}", escape(room), escape(user)), &[]).await.expect("upgraded")
    }

    /// Connects with plain text and waits until the room has let it in; returns the lines until then.
    pub(crate) async fn enter(&self, room: &str, user: &str) -> (Socket, Vec<String>) {
        let mut socket = self.text(room, user).await;
        let lines = socket.entered().await;
        (socket, lines)
    }

    /// Connects with the JSON dialect and waits for `welcome`.
    pub(crate) async fn json(&self, user: &str) -> Json {
        let path = format!("/ws?user={}", escape(user));
        let mut json = Json::new(self.open(&path, &["parlour.json.v1"]).await.expect("upgraded"));
        json.until("welcome").await;
        json
    }

    /// Performs the handshake for a path.
    pub(crate) async fn open(&self, path: &str, subprotocols: &[&str]) -> Result<Socket, ConnectError> {
        let request = ClientRequest {
            path_and_query: path.to_owned(),
            subprotocols: subprotocols.iter().map(ToString::to_string).collect(),
            ..self.request()
        };
        self.open_with(&request).await.map(|(socket, _)| socket)
    }

    /// A request that only lacks its path.
    pub(crate) fn request(&self) -> ClientRequest {
        ClientRequest { host: self.address().to_string(), ..ClientRequest::default() }
    }

    /// Performs the handshake as asked.
    pub(crate) async fn open_with(
        &self,
        request: &ClientRequest,
    ) -> Result<(Socket, ResponseInfo), ConnectError> {
        self.open_over(TcpStream::connect(self.address()).await?, request).await
    }

    /// Performs the handshake on a socket that takes little before it is read: some packets of
    /// loopback, or else each would wait for a timer.
    pub(crate) async fn open_narrow(&self, request: &ClientRequest) -> Socket {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(256 * 1024).expect("a size");
        let tcp = socket.connect(self.address()).await.expect("connected");
        self.open_over(tcp, request).await.expect("upgraded").0
    }

    async fn open_over(
        &self,
        tcp: TcpStream,
        request: &ClientRequest,
    ) -> Result<(Socket, ResponseInfo), ConnectError> {
        let opened =
            timeout(PATIENCE, client::connect(tcp, request)).await.expect("an answer to the handshake");
        opened.map(|(stream, info)| (Socket { stream }, info))
    }

    /// Reads a page of the administration address: status and body.
    pub(crate) async fn admin(&self, path: &str) -> (u16, String) {
        http(
            self.admin_address(),
            &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
        )
        .await
    }

    /// Returns the sum of a metric over its labels; 0 if it was never written.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        sum_of(&self.admin("/metrics").await.1, name)
    }

    /// Waits until a metric has a value; metrics of shards follow within a turn or a tick.
    pub(crate) async fn await_metric(&self, name: &str, wanted: f64) {
        let reached = async {
            while self.metric(name).await != wanted {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if timeout(PATIENCE, reached).await.is_err() {
            panic!("{name} is {} instead of {wanted}", self.metric(name).await);
        }
    }
}

/// Returns the sum of a metric over its labels in a page of metrics.
pub(crate) fn sum_of(page: &str, name: &str) -> f64 {
    let values = page.lines().filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let found = series.split('{').next()?;
        (found == name).then(|| value.parse::<f64>().ok())?
    });
    values.sum()
}

/// Looks back at the end of every test: no panic, and nothing for the periodic clean-up (R31).
struct Hindsight {
    node: Arc<Node>,
    panics: u64,
}

impl Drop for Hindsight {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let shards = (0..self.node.config.shards).map(|shard| self.node.metrics.shard(shard));
        let (stale, panics) =
            shards.fold((0, 0), |(a, b), shard| (a + shard.stale_reaped.get(), b + shard.panics.get()));
        assert_eq!((stale, panics), (0, self.panics), "stale connections and panics");
    }
}

/// Development mode with free ports and short deadlines.
pub(crate) fn quick_config() -> Config {
    let mut config = Config::dev();
    config.listen.set_port(0);
    config.admin_listen.set_port(0);
    config.shards = 2;
    config.timeouts.drain_notice = Duration::ZERO;
    config.timeouts.drain_spread = Duration::from_millis(100);
    config
}

/// Sends a request as it is and returns status and body of the answer.
pub(crate) async fn http(address: SocketAddr, request: &str) -> (u16, String) {
    let (status, _, body) = http_full(address, request.as_bytes()).await;
    (status, body)
}

/// Sends bytes as they are; returns status, header block and body of the answer, or status 0 when the
/// connection ended without one.
pub(crate) async fn http_full(address: SocketAddr, request: &[u8]) -> (u16, String, String) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = TcpStream::connect(address).await.expect("connected");
    // A server that refuses early may close before all is written.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the connection ends");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, head.to_owned(), body.to_owned())
}

/// Escapes a value for the query of a URL.
pub(crate) fn escape(text: &str) -> String {
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes()
        .map(|b| if unreserved(b) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// A WebSocket that shows every message.
pub(crate) struct Socket {
    pub(crate) stream: ClientStream,
}

impl Socket {
    pub(crate) async fn send(&mut self, text: &str) {
        self.stream.send_text(text).await.expect("sent");
    }

    /// Returns the next message, close included; `None` when the connection has ended.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        timeout(PATIENCE, self.stream.next()).await.expect("a message comes in time").ok().flatten()
    }

    /// Returns the next text.
    pub(crate) async fn recv(&mut self) -> String {
        match self.next().await {
            Some(Message::Text(text)) => text,
            other => panic!("expected a text, got {other:?}"),
        }
    }

    /// Waits until the room of the URL has let a plain-text client in; returns the lines until then.
    pub(crate) async fn entered(&mut self) -> Vec<String> {
        // The answer comes from the room, after all that it shows of its memory. Only a history that it
        // has to read from the store comes later.
        self.send("/who").await;
        let mut lines = Vec::new();
        loop {
            match self.recv().await {
                line if line.starts_with("* ") && line.contains(" in ") => return lines,
                line => lines.push(line),
            }
        }
    }

    /// Reads on to the close frame.
    pub(crate) async fn closed(&mut self) -> CloseFrame {
        loop {
            match self.next().await {
                Some(Message::Close(frame)) => return frame.expect("a close frame with a code"),
                Some(_) => {}
                None => panic!("the connection ended without a close frame"),
            }
        }
    }

    /// Says goodbye and waits for the server's.
    pub(crate) async fn close(mut self, code: u16) {
        self.stream.close(code, "").await.expect("sent");
        while self.next().await.is_some() {}
    }
}

/// A client that speaks JSON.
pub(crate) struct Json {
    pub(crate) socket: Socket,
    next_id: u64,
}

impl Json {
    pub(crate) fn new(socket: Socket) -> Self {
        Self { socket, next_id: 1 }
    }

    /// Sends a command with a fresh id; returns the id.
    pub(crate) async fn send(&mut self, kind: &str, payload: Value) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.socket.send(&json!({"type": kind, "id": id, "payload": payload}).to_string()).await;
        id
    }

    /// Returns the next event.
    pub(crate) async fn next(&mut self) -> Value {
        serde_json::from_str(&self.socket.recv().await).expect("JSON")
    }

    /// Reads on to the next event of a type.
    pub(crate) async fn until(&mut self, kind: &str) -> Value {
        loop {
            let event = self.next().await;
            if event["type"] == kind {
                return event;
            }
        }
    }

    /// Sends a command and reads on to its answer.
    pub(crate) async fn ask(&mut self, kind: &str, payload: Value) -> Value {
        let id = self.send(kind, payload).await;
        loop {
            let event = self.next().await;
            if event["id"] == id {
                return event;
            }
        }
    }

    /// Enters a room; returns the payload of `joined`.
    pub(crate) async fn join(&mut self, room: &str) -> Value {
        let joined = self.ask("join", json!({"room": room})).await;
        assert_eq!(joined["type"], "joined", "{joined}");
        joined["payload"].clone()
    }

    /// Reads events up to the message that says `text`, which must come, and returns those before it.
    pub(crate) async fn before(&mut self, text: &str) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            match self.next().await {
                event if event["type"] == "message" && event["payload"]["text"] == text => return events,
                event => events.push(event),
            }
        }
    }

    /// Says something; returns the payload of the acknowledgement.
    pub(crate) async fn publish(&mut self, room: &str, text: &str) -> Value {
        let ack = self.ask("publish", json!({"room": room, "text": text})).await;
        assert_eq!(ack["type"], "ack", "{ack}");
        ack["payload"].clone()
    }
}
