//! A client for scenarios whose connections are tasks: JSON, looked at where it lies, one frame at a
//! time, and sent with a mask of zeros, which leaves the text as it is.

use anyhow::{Context as _, ensure};
use parlour_websocket::{Inflater, Opcode, encode};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;

use super::engine::ear::{MOST_INFLATED, closing, upgrade};
use super::engine::walk;
use super::engine::wire::Dialect;
use super::target::Target;

/// Most bytes of one read.
const READ_BYTES: usize = 64 * 1024;
/// Frames that wait to be written.
const FRAMES: usize = 64;

/// What carries frames: TCP, or TLS over it.
trait Socket: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket for S {}

/// The half that listens.
pub(super) struct Listener {
    input: ReadHalf<Box<dyn Socket>>,
    /// For answers to pings.
    out: mpsc::Sender<Vec<u8>>,
    /// What has come and is no whole frame yet.
    buffer: Vec<u8>,
    /// Where compression was agreed to.
    inflater: Option<Inflater>,
}

/// The half that talks.
#[derive(Debug, Clone)]
pub(super) struct Talker {
    out: mpsc::Sender<Vec<u8>>,
}

/// Connects a user, who is in no room yet. Must be called within a `LocalSet`.
///
/// # Errors
/// Of the network, and whatever is no WebSocket.
pub(super) async fn connect(target: &Target, user: usize) -> anyhow::Result<(Listener, Talker)> {
    let tcp = TcpStream::connect(target.address).await?;
    tcp.set_nodelay(true)?;
    let mut socket: Box<dyn Socket> = match &target.trust {
        None => Box::new(tcp),
        Some(trust) => {
            Box::new(TlsConnector::from(trust.config.clone()).connect(trust.name.clone(), tcp).await?)
        }
    };
    socket.write_all(&target.request(Dialect::Json, user, None)?).await?;
    let mut buffer = Vec::new();
    let length = loop {
        ensure!(socket.read_buf(&mut buffer).await? > 0, "the connection ended in the handshake");
        if let Some(length) = upgrade(&buffer, target.is_deflated)? {
            break length;
        }
    };
    buffer.drain(..length);
    let (input, output) = tokio::io::split(socket);
    let (out, frames) = mpsc::channel(FRAMES);
    tokio::task::spawn_local(write(output, frames));
    let inflater = target.is_deflated.then(Inflater::new);
    Ok((Listener { input, out: out.clone(), buffer, inflater }, Talker { out }))
}

/// Writes whole frames, as many as there are at once, until nobody has any more: answers to pings
/// never come into the middle of what is said.
async fn write(mut output: WriteHalf<Box<dyn Socket>>, mut frames: mpsc::Receiver<Vec<u8>>) {
    let mut waiting = Vec::new();
    while frames.recv_many(&mut waiting, FRAMES).await > 0 {
        // The one who listens hears why the connection has ended.
        if output.write_all(&waiting.concat()).await.is_err() || output.flush().await.is_err() {
            return;
        }
        waiting.clear();
    }
}

impl Listener {
    /// Waits for whole frames and hands over the text of each; answers pings. Cancellation safe.
    ///
    /// # Errors
    /// The end of the connection, and what `each` answers.
    pub(super) async fn listen(
        &mut self,
        mut each: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        while walk::first(&self.buffer)?.is_none() {
            self.buffer.reserve(READ_BYTES);
            ensure!(self.input.read_buf(&mut self.buffer).await? > 0, "the connection ended");
        }
        let mut taken = 0;
        while let Some((frame, length)) = walk::first(&self.buffer[taken..])? {
            match (frame.opcode, &mut self.inflater) {
                (1, Some(inflater)) if frame.is_compressed => {
                    each(inflater.inflate(frame.payload, MOST_INFLATED)?)?;
                }
                (1, _) => each(frame.payload)?,
                (8, _) => anyhow::bail!("{}", closing(frame.payload)),
                (9, _) => {
                    // A socket without room for a few bytes has more to say than this.
                    let _ = self.out.try_send(masked(Opcode::Pong, frame.payload));
                }
                _ => {}
            }
            taken += length;
        }
        self.buffer.drain(..taken);
        Ok(())
    }
}

impl Talker {
    /// Sends a text.
    ///
    /// # Errors
    /// The end of the connection.
    pub(super) async fn say(&self, text: &str) -> anyhow::Result<()> {
        self.send(masked(Opcode::Text, text.as_bytes())).await
    }

    /// Sends a masked frame.
    ///
    /// # Errors
    /// The end of the connection.
    pub(super) async fn send(&self, frame: Vec<u8>) -> anyhow::Result<()> {
        self.out.send(frame).await.ok().context("the connection ended")
    }
}

fn masked(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len() + 14);
    encode::masked_frame(&mut frame, opcode, payload, [0; 4]);
    frame
}
