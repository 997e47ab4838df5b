//! From a URL to a connection with an address that may be called.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;

use super::OutboundError;
use crate::config::OutboundRules;

/// What a name leads to, when it is known.
type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;
/// Finds the addresses of a name.
pub type Resolve = Arc<dyn Fn(String) -> Resolving + Send + Sync>;

/// Returns what asks the operating system.
#[must_use]
pub fn system_resolver() -> Resolve {
    Arc::new(|name| {
        Box::pin(async move {
            let found = lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    })
}

/// A socket, encrypted or not.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

impl Connection for Box<dyn Wire> {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

/// Connects to what may be called.
#[derive(Clone)]
pub(super) struct Connector(Arc<Inner>);

struct Inner {
    rules: OutboundRules,
    resolve: Resolve,
    tls: TlsConnector,
}

impl Connector {
    /// Reads the certificates that are trusted.
    pub(super) async fn new(rules: OutboundRules, resolve: Resolve) -> Result<Self, OutboundError> {
        let ca = rules.ca.as_ref().map(|file| file.path().to_owned());
        let reading = tokio::task::spawn_blocking(move || trust(ca.as_deref()));
        let config = reading.await.ok().flatten().ok_or(OutboundError::Untrusted)?;
        Ok(Self(Arc::new(Inner { rules, resolve, tls: Arc::new(config).into() })))
    }
}

/// Decides whose certificates are believed: those of the system, and those of a file.
fn trust(file: Option<&Path>) -> Option<ClientConfig> {
    let mut roots = RootCertStore::empty();
    // Some that a system lists may be too old to be read; the others still count.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = file {
        let ours: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
        match ours {
            Ok(ours) => drop(roots.add_parsable_certificates(ours)),
            Err(_) => tracing::error!(path = %file.display(), "`outbound.ca` cannot be read"),
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().ok()?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Some(config)
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn Wire>>;
    type Error = OutboundError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, OutboundError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), OutboundError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { inner.connect(&uri).await.map(TokioIo::new) })
    }
}

impl Inner {
    async fn connect(&self, uri: &Uri) -> Result<Box<dyn Wire>, OutboundError> {
        let is_encrypted = uri.scheme_str() == Some("https");
        let host = uri.host().ok_or(OutboundError::Forbidden)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = uri.port_u16().unwrap_or(if is_encrypted { 443 } else { 80 });
        let addresses = self.addresses(host, is_encrypted).await?;
        let tcp = connect_any(&addresses, port).await?;
        if !is_encrypted {
            return Ok(Box::new(tcp));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|_| OutboundError::Forbidden)?;
        let tls = self.tls.connect(name, tcp).await.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => OutboundError::Untrusted,
            _ => OutboundError::Broken,
        })?;
        Ok(Box::new(tls))
    }

    /// Returns the addresses of a host that may be called. This is the only place that asks for them,
    /// and these very addresses are connected to: a name cannot lead elsewhere in between.
    async fn addresses(&self, host: &str, is_encrypted: bool) -> Result<Vec<IpAddr>, OutboundError> {
        let found = match host.parse() {
            Ok(address) => vec![address],
            Err(_) => (self.resolve)(host.to_owned()).await.map_err(|_| OutboundError::Unresolved)?,
        };
        if found.is_empty() {
            return Err(OutboundError::Unresolved);
        }
        let callable = found.into_iter().filter(|address| self.rules.permits(*address, is_encrypted));
        let callable: Vec<IpAddr> = callable.collect();
        if callable.is_empty() { Err(OutboundError::Forbidden) } else { Ok(callable) }
    }
}

/// Connects to the first of the addresses that answers.
async fn connect_any(addresses: &[IpAddr], port: u16) -> Result<TcpStream, OutboundError> {
    for address in addresses {
        if let Ok(stream) = TcpStream::connect(SocketAddr::new(*address, port)).await {
            // Small requests wait for nothing.
            let _ = stream.set_nodelay(true);
            return Ok(stream);
        }
    }
    Err(OutboundError::Unreachable)
}
