//! A server with TLS, and clients that trust it.

use std::path::PathBuf;
use std::sync::Arc;

use parlour_server::config::{Config, PemFile};
use parlour_websocket::client::{self, ClientStream, Message};
use parlour_websocket::handshake::client::ClientRequest;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::{AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::TcpSocket;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio_rustls::{TlsConnector, rustls};

use super::{PATIENCE, TestServer};

/// An encrypted connection without a word of HTTP.
pub(crate) type Encrypted = TlsStream<tokio::net::TcpStream>;

/// A certificate for loopback that is its own authority, in a directory of its own.
pub(crate) struct Certificate {
    directory: tempfile::TempDir,
}

impl Certificate {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).expect("a certificate");
        let certificate = Self { directory };
        std::fs::write(certificate.cert(), cert.pem()).expect("written");
        std::fs::write(certificate.key(), signing_key.serialize_pem()).expect("written");
        certificate.allow_key(0o600);
        certificate
    }

    pub(crate) fn cert(&self) -> PathBuf {
        self.directory.path().join("cert.pem")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.directory.path().join("key.pem")
    }

    /// Sets who may read the key.
    pub(crate) fn allow_key(&self, mode: u32) {
        use std::os::unix::fs::PermissionsExt as _;
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(self.key(), permissions).expect("a file of ours");
    }

    /// Has a server use it.
    pub(crate) fn configure(&self, config: &mut Config) {
        config.tls.cert = Some(PemFile::from(self.cert()));
        config.tls.key = Some(PemFile::from(self.key()));
    }

    /// Returns a client's configuration that believes it.
    pub(crate) fn trusted(&self, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        let cert = CertificateDer::from_pem_file(self.cert()).expect("a certificate");
        roots.add(cert).expect("an authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_protocol_versions(versions).expect("versions");
        Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
    }
}

/// A server with TLS.
pub(crate) struct SecureServer {
    pub(crate) plain: TestServer,
    pub(crate) certificate: Certificate,
    trust: Arc<ClientConfig>,
}

impl SecureServer {
    pub(crate) async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let certificate = Certificate::new();
        let plain = TestServer::start_with(|config| {
            certificate.configure(config);
            config.limits.rate_per_s = 0;
            change(config);
        })
        .await;
        let trust = certificate.trusted(rustls::ALL_VERSIONS);
        Self { plain, certificate, trust }
    }

    /// Returns the address for the SDK.
    pub(crate) fn url(&self) -> String {
        format!("wss://{}/ws", self.plain.address())
    }

    /// Performs a TLS handshake.
    pub(crate) async fn encrypted(&self) -> Encrypted {
        self.encrypted_as(&self.trust, 0).await.expect("a TLS handshake")
    }

    /// The same with a configuration of one's own, and with a receive buffer of so many bytes unless
    /// that is 0.
    pub(crate) async fn encrypted_as(
        &self,
        trust: &Arc<ClientConfig>,
        receive_buffer: u32,
    ) -> std::io::Result<Encrypted> {
        let socket = TcpSocket::new_v4().expect("a socket");
        if receive_buffer > 0 {
            socket.set_recv_buffer_size(receive_buffer).expect("a size");
        }
        let tcp = socket.connect(self.plain.address()).await.expect("connected");
        handshake(trust, tcp).await
    }

    /// Performs a TLS handshake behind a header.
    pub(crate) async fn introduced(&self, header: &str) -> Encrypted {
        let mut tcp = tokio::net::TcpStream::connect(self.plain.address()).await.expect("connected");
        tcp.write_all(header.as_bytes()).await.expect("sent");
        handshake(&self.trust, tcp).await.expect("a TLS handshake")
    }

    /// Upgrades an encrypted connection.
    pub(crate) async fn upgrade(&self, tls: Encrypted, path: &str, subprotocol: &str) -> SecureSocket {
        let request = ClientRequest {
            path_and_query: path.to_owned(),
            subprotocols: vec![subprotocol.to_owned()],
            ..self.plain.request()
        };
        let (input, output) = tokio::io::split(tls);
        let upgrading = client::connect_over(input, output, &request);
        let (stream, _) = timeout(PATIENCE, upgrading).await.expect("an answer").expect("upgraded");
        SecureSocket { stream }
    }

    /// Connects with plain text and waits until the room has let it in.
    pub(crate) async fn text(&self, room: &str, user: &str) -> SecureSocket {
        let path = format!("/ws?room={room}&user={user}");
        let mut socket = self.upgrade(self.encrypted().await, &path, "parlour.text.v1").await;
        // The room answers after it has let somebody in.
        socket.send("/who").await;
        socket.until(&format!(" in {room}")).await;
        socket
    }

    /// Returns how many TLS handshakes have failed for a reason.
    pub(crate) fn failures(&self, reason: &str) -> u64 {
        self.plain.server().node().metrics.node().tls_failures.get(reason)
    }
}

async fn handshake(trust: &Arc<ClientConfig>, tcp: tokio::net::TcpStream) -> std::io::Result<Encrypted> {
    let name = ServerName::try_from("localhost").expect("a name");
    let shaking = TlsConnector::from(Arc::clone(trust)).connect(name, tcp);
    timeout(PATIENCE, shaking).await.expect("a handshake in time")
}

/// A WebSocket over TLS.
pub(crate) struct SecureSocket {
    pub(crate) stream: ClientStream<ReadHalf<Encrypted>, WriteHalf<Encrypted>>,
}

impl SecureSocket {
    pub(crate) async fn send(&mut self, text: &str) {
        timeout(PATIENCE, self.stream.send_text(text)).await.expect("taken in time").expect("sent");
    }

    /// Reads on to a text that has `part` in it.
    pub(crate) async fn until(&mut self, part: &str) -> String {
        loop {
            let next = timeout(PATIENCE, self.stream.next()).await.expect("a message comes in time");
            if let Some(Message::Text(text)) = next.expect("no error")
                && text.contains(part)
            {
                return text;
            }
        }
    }
}
