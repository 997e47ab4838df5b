//! Requests to the administration address of a server.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::{Context as _, bail};
use url::Url;

/// Longest wait for an answer; to erase a user takes a while in a large database.
const PATIENCE: Duration = Duration::from_secs(600);

/// Returns host and port of an address.
///
/// # Errors
/// An address without a host.
pub(crate) fn authority(address: &Url) -> anyhow::Result<String> {
    let host = address.host_str().context("the URL has no host")?;
    let port = address.port_or_known_default().context("the URL has no port")?;
    Ok(format!("{host}:{port}"))
}

/// Sends a request and returns the body of the answer. Blocks.
///
/// # Errors
/// Also an answer that is no success, with what the server says.
pub(crate) fn ask(method: &str, authority: &str, path: &str) -> anyhow::Result<String> {
    let unreachable = || format!("cannot reach the administration address {authority}");
    let address = authority.to_socket_addrs().with_context(unreachable)?.next().with_context(unreachable)?;
    let mut stream = TcpStream::connect(address).with_context(unreachable)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("no answer from the administration address")?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
    match head.split(' ').nth(1) {
        Some(status) if status.starts_with('2') => Ok(body.to_owned()),
        Some(status) => bail!("the server answers {status}: {}", body.trim()),
        None => bail!("no HTTP answer"),
    }
}
