//! A connection that speaks JSON by hand.

use std::time::Duration;

use parlour_websocket::client::{self, ClientStream, Message};
use parlour_websocket::handshake::client::ClientRequest;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

/// How long a connection may take to come about, and a close to be answered.
const PATIENCE: Duration = Duration::from_secs(5);

/// The connection ended, or there is none. What is the matter does not matter: workers come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

/// An open connection, before `hello`.
#[derive(Debug)]
pub struct Raw(ClientStream);

impl Raw {
    /// Connects.
    ///
    /// # Errors
    /// [`Gone`] if there is no server, or it refuses.
    pub async fn connect(url: &Url) -> Result<Self, Gone> {
        timeout(PATIENCE, Self::open(url)).await.map_err(|_| Gone)?
    }

    async fn open(url: &Url) -> Result<Self, Gone> {
        let (host, port) = (url.host_str().ok_or(Gone)?, url.port_or_known_default().ok_or(Gone)?);
        let tcp = TcpStream::connect((host.trim_matches(['[', ']']), port)).await.map_err(|_| Gone)?;
        let request = ClientRequest {
            host: format!("{host}:{port}"),
            path_and_query: url.path().to_owned(),
            subprotocols: vec!["parlour.json.v1".to_owned()],
            headers: Vec::new(),
            deflate: false,
        };
        let (stream, _) = client::connect(tcp, &request).await.map_err(|_| Gone)?;
        Ok(Self(stream))
    }

    /// Sends a request.
    ///
    /// # Errors
    /// [`Gone`] also if the server takes nothing for 5 s.
    pub async fn send(&mut self, kind: &str, id: u64, payload: Value) -> Result<(), Gone> {
        self.say(&json!({"type": kind, "id": id, "payload": payload}).to_string()).await
    }

    /// Sends a text as it is.
    ///
    /// # Errors
    /// [`Gone`] also if the server takes nothing for 5 s.
    pub async fn say(&mut self, text: &str) -> Result<(), Gone> {
        timeout(PATIENCE, self.0.send_text(text)).await.map_err(|_| Gone)?.map_err(|_| Gone)
    }

    /// Waits for the next event. Cancel-safe.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn next(&mut self) -> Result<Value, Gone> {
        loop {
            match self.0.next().await {
                Ok(Some(Message::Text(text))) => return serde_json::from_str(&text).map_err(|_| Gone),
                Ok(Some(Message::Pong(_))) => {}
                _ => return Err(Gone),
            }
        }
    }

    /// Asks and waits for the answer; events in between are dropped.
    ///
    /// # Errors
    /// [`Gone`] also if there is no answer within 5 s.
    pub async fn ask(&mut self, kind: &str, id: u64, payload: Value) -> Result<Value, Gone> {
        self.send(kind, id, payload).await?;
        let answer = async {
            loop {
                let event = self.next().await?;
                if event["id"] == id {
                    return Ok(event);
                }
            }
        };
        timeout(PATIENCE, answer).await.map_err(|_| Gone)?
    }

    /// Says goodbye.
    pub async fn close(mut self) {
        let goodbye = async {
            // Whatever goes wrong now, the connection ends.
            let _ = self.0.close(1000, "").await;
            while let Ok(Some(_)) = self.0.next().await {}
        };
        let _ = timeout(PATIENCE, goodbye).await;
    }
}
