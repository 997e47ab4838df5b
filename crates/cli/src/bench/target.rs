//! What is measured: a server of our own, started for it, or any deployment that is named.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use parlour_server::config;
use parlour_websocket::handshake;
use parlour_websocket::handshake::client::ClientRequest;
use url::Url;

use super::engine::connection::{Dial, Greeting};
use super::engine::wire::Dialect;
use super::process::{Measured, Usage, pin_generator};
use crate::admin;

/// Connections that come from one address: fewer than it has ports.
const PER_SOURCE: usize = 10_000;
/// Addresses that they come from before the first one has its turn again.
const SOURCES: usize = 250;
/// The first port of addresses after the first, below those that the kernel gives out.
const FIRST_PORT: usize = 20_000;

/// What to measure.
#[derive(Debug, Clone, Args)]
pub(crate) struct TargetArgs {
    /// A running deployment, such as ws://127.0.0.1:8080/ws; without one, a server is started
    #[arg(long, value_name = "URL", conflicts_with_all = ["program", "settings"])]
    url: Option<Url>,
    /// Administration address of the deployment, host:port, for gauges
    #[arg(long, value_name = "ADDRESS", requires = "url")]
    admin: Option<String>,
    /// Process of the deployment, if it is on this machine, for CPU and memory
    #[arg(long, value_name = "PID", requires = "url")]
    pid: Option<u32>,
    /// A file with one token per line, which connections take in turn
    #[arg(long, value_name = "FILE", requires = "url")]
    tokens: Option<PathBuf>,
    /// What names of rooms begin with
    #[arg(long, value_name = "TEXT", default_value = "live:")]
    prefix: String,
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
    /// As in `Host`.
    host: String,
    /// Up to the parameters, with `?` or `&` at the end.
    path: String,
    prefix: String,
    tokens: Vec<String>,
    /// Who pays, if that can be seen.
    pub(crate) usage: Option<Usage>,
    admin: Option<String>,
    /// Ends with the measurement.
    _own: Option<Own>,
}

/// A server that ends with the measurement.
#[derive(Debug)]
struct Own {
    process: Option<Measured>,
    directory: PathBuf,
}

impl Drop for Own {
    fn drop(&mut self) {
        drop(self.process.take());
        // It holds nothing that anybody wants.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
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
        match &self.url {
            Some(url) => self.find(url),
            None => self.start(options),
        }
    }

    fn start(&self, options: &[&str]) -> anyhow::Result<Target> {
        let directory = std::env::temp_dir().join(format!("parlour-bench-{}", std::process::id()));
        let data_dir = directory.to_string_lossy();
        let free = "127.0.0.1:0";
        let mut args = vec!["dev", "--listen", free, "--admin-listen", free, "--data-dir", &*data_dir];
        args.extend(options);
        self.settings.iter().for_each(|setting| args.extend(["--set", setting]));
        let mut process = Measured::start(&self.program()?, &args)?;
        let host = process.line_with("Web client  http://")?;
        let admin = process.line_with("Metrics     http://")?;
        Ok(Target {
            address: host.parse()?,
            host,
            path: "/ws?".into(),
            prefix: self.prefix.clone(),
            tokens: Vec::new(),
            usage: Some(process.usage()),
            admin: Some(admin.trim_end_matches("/metrics").to_owned()),
            _own: Some(Own { process: Some(process), directory: directory.clone() }),
        })
    }

    fn find(&self, url: &Url) -> anyhow::Result<Target> {
        ensure!(url.scheme() == "ws", "the generator speaks ws://, without TLS: measure behind the proxy");
        let host = url.host_str().context("the URL names no host")?;
        let port = url.port().unwrap_or(80);
        let address = (host, port).to_socket_addrs()?.next().context("the host has no address")?;
        let path = match url.query() {
            Some(query) => format!("{}?{query}&", url.path()),
            None => format!("{}?", url.path()),
        };
        let tokens = self.tokens.as_ref().map(std::fs::read_to_string).transpose();
        let tokens = tokens.context("cannot read the tokens")?.unwrap_or_default();
        Ok(Target {
            address,
            host: format!("{host}:{port}"),
            path,
            prefix: self.prefix.clone(),
            tokens: tokens.split_whitespace().map(str::to_owned).collect(),
            usage: self.pid.map(|pid| Usage { pid }),
            admin: self.admin.clone(),
            _own: None,
        })
    }
}

impl Target {
    /// Names a room; rooms of other runs have other names.
    pub(crate) fn room(&self, number: usize) -> String {
        format!("{}bench-{}-{number}", self.prefix, std::process::id())
    }

    /// Prepares the connection of a user to a room.
    ///
    /// # Errors
    /// A token that is no header.
    pub(crate) fn dial(
        &self,
        dialect: Dialect,
        user: usize,
        room: usize,
        name: &str,
    ) -> anyhow::Result<Dial> {
        let token = self.tokens.get(user % self.tokens.len().max(1));
        let user_name = format!("bench-{}-{user}", std::process::id());
        let query = dialect.query(Some(&user_name).filter(|_| token.is_none()).map(String::as_str), name);
        let headers = token.map(|token| ("Authorization".to_owned(), format!("Bearer {token}")));
        let request = ClientRequest {
            host: self.host.clone(),
            path_and_query: format!("{}{query}", self.path),
            headers: headers.into_iter().collect(),
            ..ClientRequest::default()
        };
        let request = request.encode(&handshake::key(*b"parlour-bench-01"))?;
        let enter = dialect.enter(name);
        let source = self.source(user);
        Ok(Dial { address: self.address, source, room, greeting: Greeting::Upgrade { request, enter } })
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

/// The metrics of a server at a moment.
#[derive(Debug)]
pub(crate) struct Metrics(String);

impl Metrics {
    /// Returns the value of a metric without labels.
    ///
    /// # Errors
    /// A metric that the server does not have.
    pub(crate) fn get(&self, name: &str) -> anyhow::Result<f64> {
        let line = self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let Some(value) = line.and_then(|value| value.split(' ').next()?.parse().ok()) else {
            bail!("the server does not count {name}");
        };
        Ok(value)
    }
}
