//! What is measured: a server of our own, started for it, or any deployment that is named.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, bail};
use clap::Args;
use parlour_server::config;
use parlour_websocket::handshake;
use parlour_websocket::handshake::client::ClientRequest;
use url::Url;

use super::engine::connection::{Dial, Greeting, Tuning};
use super::engine::tls::Trust;
use super::engine::wire::Dialect;
use super::limit::Place;
use super::process::{Usage, pin_generator};
use crate::admin;
use own::{Own, Start};

mod metrics;
mod own;

pub(crate) use metrics::{Counts, Metrics};

/// Connections that come from one address: fewer than it has ports.
const PER_SOURCE: usize = 10_000;
/// Addresses that they come from before the first one has its turn again.
const SOURCES: usize = 250;
/// The first port of addresses after the first, below those that the kernel gives out.
const FIRST_PORT: usize = 20_000;

/// Measurements that there were: each has rooms of its own, in which nobody has said anything yet.
static MEASUREMENTS: AtomicU64 = AtomicU64::new(0);

/// What to measure.
#[derive(Debug, Clone, Args)]
pub(crate) struct TargetArgs {
    /// A running deployment, such as wss://chat.example.com/ws; without one, a server is started
    #[arg(long, value_name = "URL", conflicts_with_all = ["program", "settings", "tls"])]
    url: Option<Url>,
    /// The authorities to believe with wss://, in PEM; without it, those of the system
    #[arg(long, value_name = "FILE", requires = "url")]
    ca: Option<PathBuf>,
    /// Administration address of the deployment, host:port, for gauges
    #[arg(long, value_name = "ADDRESS", requires = "url")]
    admin: Option<String>,
    /// Process of the deployment, if it is on this machine, for CPU and memory
    #[arg(long, value_name = "PID", requires = "url")]
    pid: Option<u32>,
    /// A file with one token per line, which connections take in turn
    #[arg(long, value_name = "FILE", requires = "url")]
    tokens: Option<PathBuf>,
    /// What names of rooms begin with [default: live:, and nothing where messages must be stored]
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// Starts a server with TLS; fanout and idle measure it beside one without
    #[arg(long)]
    tls: bool,
    /// Asks for compression; fanout and idle measure it beside none
    #[arg(long)]
    compress: bool,
    /// The program to measure instead of this one
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
    /// An option of the server that is started
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
}

/// A server that runs.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// Whom to believe, where TLS is spoken.
    pub(crate) trust: Option<Arc<Trust>>,
    /// Whether connections ask for compression, and insist on it.
    pub(crate) is_deflated: bool,
    /// As in `Host`.
    host: String,
    /// Up to the parameters, with `?` or `&` at the end.
    path: String,
    prefix: String,
    /// Counts the measurements of this process.
    measurement: u64,
    tokens: Vec<String>,
    /// Who pays, if that can be seen.
    pub(crate) usage: Option<Usage>,
    admin: Option<String>,
    /// Ends with the measurement.
    _own: Option<Own>,
}

impl TargetArgs {
    /// Prepares the machine: as many open files as possible, and this process on the core of
    /// generators if the server is ours.
    ///
    /// # Errors
    /// A machine with one core.
    pub(crate) fn prepare(&self) -> anyhow::Result<()> {
        config::raise_open_files();
        if self.url.is_none() { pin_generator() } else { Ok(()) }
    }

    /// Tells whether a server is started for the measurement.
    pub(crate) fn is_own(&self) -> bool {
        self.url.is_none()
    }

    /// Returns the program that is measured: this one, unless told otherwise.
    ///
    /// # Errors
    /// Where the operating system does not know the path of this program.
    pub(crate) fn program(&self) -> anyhow::Result<PathBuf> {
        super::program(self.program.clone())
    }

    /// Returns, with their names, what is to be compared: the server as it is, and with each of TLS
    /// and compression that is asked for.
    pub(crate) fn variants(&self) -> Vec<(&'static str, Self)> {
        let plain = Self { tls: false, compress: false, ..self.clone() };
        let with_tls = self.tls.then(|| ("server with TLS", Self { tls: true, ..plain.clone() }));
        let compressed =
            self.compress.then(|| ("server with compression", Self { compress: true, ..plain.clone() }));
        [("server", plain)].into_iter().chain(with_tls).chain(compressed).collect()
    }

    /// Starts a server without limits, or finds the deployment.
    ///
    /// # Errors
    /// A server that does not start; a URL that cannot be measured.
    pub(crate) fn open(&self) -> anyhow::Result<Target> {
        self.open_with(&["--no-limits"])
    }

    /// The same, with other options of `parlour dev`.
    ///
    /// # Errors
    /// The same.
    pub(crate) fn open_with(&self, options: &[&str]) -> anyhow::Result<Target> {
        self.find_or_start("live:", options, None)
    }

    /// Starts a server without limits that keeps messages in a place, or finds the deployment; rooms
    /// have names for which there is usually no rule, so that they are durable.
    ///
    /// # Errors
    /// The same.
    pub(crate) fn open_durable(&self, place: Place<'_>) -> anyhow::Result<Target> {
        self.find_or_start("", &["--no-limits"], Some(place))
    }

    fn find_or_start(
        &self,
        prefix: &str,
        options: &[&str],
        place: Option<Place<'_>>,
    ) -> anyhow::Result<Target> {
        let prefix = self.prefix.clone().unwrap_or_else(|| prefix.to_owned());
        match &self.url {
            Some(url) => self.find(url, prefix),
            None => self.start(prefix, options, place),
        }
    }

    fn start(&self, prefix: String, options: &[&str], place: Option<Place<'_>>) -> anyhow::Result<Target> {
        let (program, has_tls) = (self.program()?, self.tls);
        let own = Own::start(&Start {
            program: &program,
            options,
            settings: &self.settings,
            place,
            has_tls,
            compresses: self.compress,
        })?;
        let address: SocketAddr = own.host.parse()?;
        let trust = || Trust::new(Some(&own.certificate()), &address.ip().to_string());
        Ok(Target {
            address,
            trust: has_tls.then(trust).transpose()?,
            is_deflated: self.compress,
            host: own.host.clone(),
            path: "/ws?".into(),
            prefix,
            measurement: MEASUREMENTS.fetch_add(1, Ordering::Relaxed),
            tokens: Vec::new(),
            usage: own.usage(),
            admin: Some(own.admin.clone()),
            _own: Some(own),
        })
    }

    fn find(&self, url: &Url, prefix: String) -> anyhow::Result<Target> {
        let (port, has_tls) = match url.scheme() {
            "ws" => (80, false),
            "wss" => (443, true),
            _ => bail!("a deployment has a URL such as ws://127.0.0.1:8080/ws or wss://chat.example.com/ws"),
        };
        let host = url.host_str().context("the URL names no host")?;
        let port = url.port().unwrap_or(port);
        // An address of IPv6 has brackets only in URLs.
        let name = host.trim_matches(['[', ']']);
        let address = (name, port).to_socket_addrs()?.next().context("the host has no address")?;
        let path = match url.query() {
            Some(query) => format!("{}?{query}&", url.path()),
            None => format!("{}?", url.path()),
        };
        let tokens = self.tokens.as_ref().map(std::fs::read_to_string).transpose();
        let tokens = tokens.context("cannot read the tokens")?.unwrap_or_default();
        Ok(Target {
            address,
            trust: has_tls.then(|| Trust::new(self.ca.as_deref(), name)).transpose()?,
            is_deflated: self.compress,
            host: format!("{host}:{port}"),
            path,
            prefix,
            measurement: MEASUREMENTS.fetch_add(1, Ordering::Relaxed),
            tokens: tokens.split_whitespace().map(str::to_owned).collect(),
            usage: self.pid.map(|pid| Usage { pid }),
            admin: self.admin.clone(),
            _own: None,
        })
    }
}

impl Target {
    /// Names a room; rooms of other measurements have other names.
    pub(crate) fn room(&self, number: usize) -> String {
        format!("{}bench-{}-{}-{number}", self.prefix, std::process::id(), self.measurement)
    }

    /// Encodes the request of a user, which enters a room if one is named.
    ///
    /// # Errors
    /// A token that is no header.
    pub(crate) fn request(
        &self,
        dialect: Dialect,
        user: usize,
        room: Option<&str>,
    ) -> anyhow::Result<Vec<u8>> {
        let token = self.tokens.get(user % self.tokens.len().max(1));
        let user_name = format!("bench-{}-{user}", std::process::id());
        let query = dialect.query(Some(&user_name).filter(|_| token.is_none()).map(String::as_str), room);
        let headers = token.map(|token| ("Authorization".to_owned(), format!("Bearer {token}")));
        self.request_with(&query, headers.into_iter().collect(), self.is_deflated)
    }

    /// Encodes a request with these parameters and headers.
    ///
    /// # Errors
    /// What is no header.
    pub(crate) fn request_with(
        &self,
        query: &str,
        headers: Vec<(String, String)>,
        deflate: bool,
    ) -> anyhow::Result<Vec<u8>> {
        let request = ClientRequest {
            host: self.host.clone(),
            path_and_query: format!("{}{query}", self.path),
            headers,
            deflate,
            ..ClientRequest::default()
        };
        Ok(request.encode(&handshake::key(*b"parlour-bench-01"))?)
    }

    /// Prepares the connection of a user to a room.
    ///
    /// # Errors
    /// The same.
    pub(crate) fn dial(
        &self,
        dialect: Dialect,
        user: usize,
        room: usize,
        name: &str,
    ) -> anyhow::Result<Dial> {
        let request = self.request(dialect, user, Some(name))?;
        let enter = dialect.enter(name);
        let greeting = Greeting::Upgrade { request, enter, is_deflated: self.is_deflated };
        let (address, trust) = (self.address, self.trust.clone());
        Ok(Dial { address, source: self.source(user), room, trust, greeting, tuning: Tuning::default() })
    }

    /// Spreads many connections over addresses of this machine, which all reach a local server.
    ///
    /// For the first address the kernel chooses ports best. For the others it would choose them
    /// before it knows where the connection goes, and soon find none that is free.
    fn source(&self, user: usize) -> Option<SocketAddr> {
        let number = u32::try_from(user / PER_SOURCE % SOURCES).unwrap_or_default();
        if number == 0 || self.address.ip() != IpAddr::V4(Ipv4Addr::LOCALHOST) {
            return None;
        }
        let address = Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + number);
        let port = u16::try_from(FIRST_PORT + user % PER_SOURCE).unwrap_or_default();
        Some(SocketAddr::new(address.into(), port))
    }

    /// Reads the metrics, where they can be asked for.
    ///
    /// # Errors
    /// An administration address that does not answer.
    pub(crate) fn metrics(&self) -> anyhow::Result<Option<Metrics>> {
        let page = self.admin.as_ref().map(|admin| admin::ask("GET", admin, "/metrics"));
        Ok(page.transpose()?.map(Metrics))
    }

    /// Returns the memory of the server that is not shared with files, in bytes.
    pub(crate) fn memory(&self) -> Option<u64> {
        self.usage.and_then(|usage| usage.anonymous_bytes().ok())
    }
}
