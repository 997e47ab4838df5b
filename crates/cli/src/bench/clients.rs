//! Clients that cost the generator little: a raw socket after a real handshake.

use std::time::Duration;

use anyhow::Context;
use parlour_websocket::client::{self, ClientStream, Message};
use parlour_websocket::handshake::client::ClientRequest;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest wait for an answer of the server.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connects with the JSON dialect. `query` follows `/ws?`.
pub(super) async fn connect(address: &str, query: &str) -> anyhow::Result<ClientStream> {
    let request = ClientRequest {
        host: address.to_owned(),
        path_and_query: format!("/ws?format=json&{query}"),
        ..ClientRequest::default()
    };
    let tcp = TcpStream::connect(address).await?;
    let (stream, _) =
        timeout(PATIENCE, client::connect(tcp, &request)).await.context("no answer to the handshake")??;
    Ok(stream)
}

/// Reads on to a message that holds `marker`.
pub(super) async fn until(stream: &mut ClientStream, marker: &str) -> anyhow::Result<String> {
    let found = async {
        loop {
            match stream.next().await? {
                Some(Message::Text(text)) if text.contains(marker) => return Ok(text),
                Some(Message::Close(frame)) => anyhow::bail!("closed while waiting for {marker}: {frame:?}"),
                Some(_) => {}
                None => anyhow::bail!("the connection ended while waiting for {marker}"),
            }
        }
    };
    timeout(PATIENCE, found).await.with_context(|| format!("{marker} did not come"))?
}
