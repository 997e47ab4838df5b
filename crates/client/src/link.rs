//! One connection, from the dial to its end: requests out, events in.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use parlour_protocol::command::Hello;
use parlour_protocol::dialect::{EventError, Payload, binary, json};
use parlour_protocol::event::{Event, Reply, Welcome};
use parlour_protocol::{Command, Request, RequestId, UserId};
use parlour_websocket::client::{self, ClientStream, CloseFrame, Message};
use parlour_websocket::close;
use parlour_websocket::handshake::client::ClientRequest;
use tokio::io::{ReadHalf, WriteHalf};
use tokio::time::{Instant, timeout};

use crate::builder::Encoding;
use crate::error::Lost;
use crate::token::TokenSource;
use crate::transport::{Transport, Trust};

/// How long one request may take to leave, a pong to come, or a close to be answered.
const PATIENCE: Duration = Duration::from_secs(10);
/// Close code for an end without a close frame (RFC 6455, section 7.1.5).
const ABNORMAL: u16 = 1006;
/// Close code for a close frame without a code (section 7.1.5).
const NO_CODE: u16 = 1005;
/// Id of `hello`; the driver's requests begin with 1.
const HELLO: RequestId = RequestId::Number(u32::MAX as u64);

/// Where to connect, and as whom.
#[derive(Debug, Clone)]
pub(crate) struct Dial {
    pub(crate) address: String,
    pub(crate) port: u16,
    /// Whose certificates are believed; without it there is no encryption.
    pub(crate) trust: Option<Trust>,
    pub(crate) host: String,
    pub(crate) path_and_query: String,
    pub(crate) identity: Identity,
    pub(crate) encoding: Encoding,
    pub(crate) timeout: Duration,
}

/// Who the client is.
#[derive(Debug, Clone)]
pub(crate) enum Identity {
    User(UserId),
    Token(TokenSource),
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Link {
    stream: ClientStream<ReadHalf<Transport>, WriteHalf<Transport>>,
    encoding: Encoding,
    received: VecDeque<Result<Reply, EventError>>,
    heartbeat: Duration,
    heard: Instant,
    pinged: Option<Instant>,
}

impl Link {
    /// Connects and waits for `welcome`.
    pub(crate) async fn connect(dial: Dial) -> Result<(Self, Box<Welcome>), Lost> {
        let limit = dial.timeout;
        let late = |_| Lost::Transport(io::ErrorKind::TimedOut.into());
        timeout(limit, Self::open(dial)).await.map_err(late)?
    }

    async fn open(dial: Dial) -> Result<(Self, Box<Welcome>), Lost> {
        let headers = match &dial.identity {
            Identity::Token(source) => {
                let token = source.get().await.map_err(Lost::NoToken)?;
                vec![("Authorization".to_owned(), format!("Bearer {token}"))]
            }
            Identity::User(_) => Vec::new(),
        };
        let transport = Transport::connect(&dial.address, dial.port, dial.trust.as_ref()).await?;
        let request = ClientRequest {
            host: dial.host,
            path_and_query: dial.path_and_query,
            subprotocols: vec![dial.encoding.dialect().subprotocol().to_owned()],
            headers,
            deflate: false,
        };
        let (input, output) = tokio::io::split(transport);
        let (stream, _) = client::connect_over(input, output, &request).await?;
        let mut link = Self {
            stream,
            encoding: dial.encoding,
            received: VecDeque::new(),
            heartbeat: PATIENCE,
            heard: Instant::now(),
            pinged: None,
        };
        if let Identity::User(user) = dial.identity {
            let command = Command::Hello(Hello { user: Some(user), ..Hello::default() });
            link.send(&Request { id: Some(HELLO), command }).await?;
        }
        let welcome = link.welcome().await?;
        link.heartbeat = Duration::from_millis(welcome.heartbeat_ms.max(1_000));
        Ok((link, welcome))
    }

    async fn welcome(&mut self) -> Result<Box<Welcome>, Lost> {
        loop {
            match self.next().await?.event {
                Event::Welcome(welcome) => return Ok(welcome),
                Event::Error(refusal) => return Err(Lost::Unwelcome(refusal)),
                // Nothing else is said to a stranger; a newer server may think otherwise.
                _ => {}
            }
        }
    }

    /// Sends one request.
    pub(crate) async fn send(&mut self, request: &Request) -> Result<(), Lost> {
        let mut bytes = Vec::new();
        let sent = async {
            match self.encoding {
                Encoding::Json => {
                    json::encode_request(request, &mut bytes);
                    let text = str::from_utf8(&bytes).expect("JSON is UTF-8");
                    self.stream.send_text(text).await
                }
                Encoding::Binary => {
                    binary::encode_request(request, &mut bytes);
                    self.stream.send_binary(&bytes).await
                }
            }
        };
        Ok(timeout(PATIENCE, sent).await.map_err(|_| Lost::Silent)??)
    }

    /// Waits for the next event. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Reply, Lost> {
        loop {
            match self.received.pop_front() {
                Some(Ok(reply)) => return Ok(reply),
                Some(Err(EventError::Unknown)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => self.receive().await?,
            }
        }
    }

    async fn receive(&mut self) -> Result<(), Lost> {
        let message = self.stream.next().await?;
        (self.heard, self.pinged) = (Instant::now(), None);
        let payload = match &message {
            Some(Message::Text(text)) => Payload::Text(text),
            Some(Message::Binary(bytes)) => Payload::Binary(bytes),
            Some(Message::Pong(_)) => return Ok(()),
            Some(Message::Close(Some(CloseFrame { code, reason }))) => {
                return Err(Lost::Closed { code: *code, reason: reason.clone() });
            }
            Some(Message::Close(None)) => return Err(Lost::Closed { code: NO_CODE, reason: String::new() }),
            None => {
                return Err(Lost::Closed { code: ABNORMAL, reason: "the connection was lost".to_owned() });
            }
        };
        let received = &mut self.received;
        match self.encoding {
            Encoding::Json => json::decode_events(payload, &mut |reply| received.push_back(reply)),
            Encoding::Binary => binary::decode_events(payload, &mut |reply| received.push_back(reply)),
        }
        Ok(())
    }

    /// When [`Link::check`] is due.
    pub(crate) fn check_at(&self) -> Instant {
        self.pinged.map_or(self.heard + self.heartbeat, |pinged| pinged + PATIENCE)
    }

    /// Pings a silent server, and gives up one that does not answer.
    pub(crate) async fn check(&mut self) -> Result<(), Lost> {
        if self.pinged.is_some() {
            return Err(Lost::Silent);
        }
        self.pinged = Some(Instant::now());
        Ok(timeout(PATIENCE, self.stream.ping(b"")).await.map_err(|_| Lost::Silent)??)
    }

    /// Starts anew to wait for a sign of life, after a time in which nobody listened.
    pub(crate) fn forgive(&mut self) {
        (self.heard, self.pinged) = (Instant::now(), None);
    }

    /// Says goodbye and waits for the answer, within limits.
    pub(crate) async fn close(mut self) {
        let goodbye = async {
            self.stream.close(close::NORMAL, "").await?;
            while self.stream.next().await?.is_some() {}
            Ok::<(), client::StreamError>(())
        };
        // Whatever goes wrong now, the connection ends.
        let _ = timeout(PATIENCE, goodbye).await;
    }
}
