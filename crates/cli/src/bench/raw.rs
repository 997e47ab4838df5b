//! A client that costs the generator almost nothing: it looks at frames where they lie, one at a
//! time, and sends with a mask of zeros, which leaves the text as it is.

use std::io::ErrorKind;
use std::rc::Rc;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Most bytes of one read.
const READ_BYTES: usize = 64 * 1024;

/// The half that listens.
#[derive(Debug)]
pub(super) struct Listener {
    socket: Rc<TcpStream>,
    /// What has come and is no whole frame yet.
    buffer: Vec<u8>,
}

/// The half that talks.
#[derive(Debug)]
pub(super) struct Talker {
    socket: Rc<TcpStream>,
    frame: Vec<u8>,
}

/// Connects with the JSON dialect. `query` follows `/ws?`.
pub(super) async fn connect(address: &str, query: &str) -> anyhow::Result<(Listener, Talker)> {
    let mut socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let request = format!(
        "GET /ws?format=json&{query} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: cGFybG91ci1iZW5jaC0wMQ==\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await?;
    let mut buffer = Vec::new();
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if socket.read_buf(&mut buffer).await? == 0 {
            bail!("the connection ended in the handshake");
        }
    };
    if !buffer.starts_with(b"HTTP/1.1 101 ") {
        bail!("no upgrade: {}", String::from_utf8_lossy(&buffer[..end]).trim());
    }
    buffer.drain(..end);
    let socket = Rc::new(socket);
    Ok((Listener { socket: Rc::clone(&socket), buffer }, Talker { socket, frame: Vec::new() }))
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
        while frame(&self.buffer).is_none() {
            self.buffer.reserve(READ_BYTES);
            self.socket.readable().await?;
            match self.socket.try_read_buf(&mut self.buffer) {
                Ok(0) => bail!("the connection ended"),
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error.into()),
                _ => {}
            }
        }
        let mut taken = 0;
        while let Some((begin, end)) = frame(&self.buffer[taken..]) {
            let (kind, text) = (self.buffer[taken] & 0x0f, &self.buffer[taken + begin..taken + end]);
            match kind {
                1 => each(text)?,
                8 => bail!("closed: {}", String::from_utf8_lossy(text.get(2..).unwrap_or_default())),
                9 => self.answer(text)?,
                _ => {}
            }
            taken += end;
        }
        self.buffer.drain(..taken);
        Ok(())
    }

    fn answer(&self, ping: &[u8]) -> anyhow::Result<()> {
        let length = u8::try_from(ping.len())?;
        let pong = [&[0x8a, 0x80 | length, 0, 0, 0, 0], ping].concat();
        // A socket without room for a few bytes has more to say than this.
        let _ = self.socket.try_write(&pong);
        Ok(())
    }
}

impl Talker {
    /// Sends a text of less than 64 KiB.
    pub(super) async fn say(&mut self, text: &str) -> anyhow::Result<()> {
        self.frame.clear();
        self.frame.push(0x81);
        match u8::try_from(text.len()).ok().filter(|short| *short < 126) {
            Some(short) => self.frame.push(0x80 | short),
            None => {
                let length = u16::try_from(text.len()).context("a text of 64 KiB or more")?;
                self.frame.push(0x80 | 126);
                self.frame.extend_from_slice(&length.to_be_bytes());
            }
        }
        self.frame.extend_from_slice(&[0; 4]);
        self.frame.extend_from_slice(text.as_bytes());
        let mut rest = &self.frame[..];
        while !rest.is_empty() {
            self.socket.writable().await?;
            match self.socket.try_write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Finds the first whole frame of a server: where its text begins and ends.
fn frame(bytes: &[u8]) -> Option<(usize, usize)> {
    let (begin, length) = match *bytes.get(1)? {
        126 => (4, u64::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?))),
        127 => (10, u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)),
        short => (2, u64::from(short)),
    };
    let end = begin + usize::try_from(length).ok()?;
    (bytes.len() >= end).then_some((begin, end))
}

/// Reads the number that a text begins with.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&text[..digits]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_whole_or_not_at_all() {
        assert_eq!(frame(b"\x81\x02hi\x81"), Some((2, 4)));
        assert_eq!(frame(b"\x81\x03hi"), None);
        let long = [&[0x81, 126, 1, 0][..], &[b'x'; 256]].concat();
        assert_eq!((frame(&long), frame(&long[..259])), (Some((4, 260)), None));
        let longer = [&[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0][..], &[b'x'; 65_536]].concat();
        assert_eq!(frame(&longer), Some((10, 65_546)));
    }

    #[test]
    fn numbers_end_where_their_digits_end() {
        assert_eq!((number(b"42,\"x\""), number(b",1")), (Some(42), None));
    }
}
