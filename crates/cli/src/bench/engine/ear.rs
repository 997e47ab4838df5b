//! What is done with the bytes of a connection: handshake, frames, messages.

use anyhow::{bail, ensure};
use parlour_websocket::Inflater;
use parlour_websocket::handshake::client::ResponseHead;
use parlour_websocket::handshake::deflate;

use super::connection::{Connection, Phase};
use super::room::Room;
use super::stamp::Stamp;
use super::tally::Tally;
use super::track::Finding;
use super::walk;
use super::wire::{Dialect, Heard};

/// Most bytes that a message may become. The server itself takes no larger ones than 16 MiB; some
/// dialects join several in a frame.
pub(crate) const MOST_INFLATED: usize = 64 * 1024 * 1024;

/// Listens for one read of one connection.
#[derive(Debug)]
pub(crate) struct Ear<'a> {
    pub(crate) dialect: Dialect,
    pub(crate) rooms: &'a mut [Room],
    pub(crate) tally: &'a mut Tally,
    pub(crate) inflater: &'a mut Inflater,
    /// When the read returned.
    pub(crate) now_us: u64,
}

impl Ear<'_> {
    /// Deals with everything that is whole, and returns how many bytes that was.
    ///
    /// # Errors
    /// Why the connection is at its end.
    #[inline]
    pub(crate) fn listen(&mut self, connection: &mut Connection, bytes: &[u8]) -> anyhow::Result<usize> {
        let mut taken = 0;
        if connection.phase == Phase::Shaking {
            let Some(length) = upgrade(bytes, connection.is_deflated)? else {
                return Ok(0);
            };
            connection.upgraded();
            taken = length;
        }
        while let Some((frame, length)) = walk::first(&bytes[taken..])? {
            taken += length;
            match frame.opcode {
                1 | 2 if frame.is_compressed => self.compressed(connection, frame.payload, length)?,
                1 | 2 => self.message(connection, frame.payload, length)?,
                8 => bail!("{}", closing(frame.payload)),
                9 => pong(connection, frame.payload),
                _ => {}
            }
        }
        Ok(taken)
    }

    fn compressed(
        &mut self,
        connection: &mut Connection,
        payload: &[u8],
        frame_bytes: usize,
    ) -> anyhow::Result<()> {
        ensure!(connection.is_deflated, "the server compresses without having been asked");
        self.tally.compressed += 1;
        // It lends what it has inflated, so it is elsewhere meanwhile.
        let mut inflater = std::mem::take(self.inflater);
        let inflated = inflater.inflate(payload, MOST_INFLATED)?;
        self.message(connection, inflated, frame_bytes)?;
        *self.inflater = inflater;
        Ok(())
    }

    #[inline]
    fn message(
        &mut self,
        connection: &mut Connection,
        payload: &[u8],
        frame_bytes: usize,
    ) -> anyhow::Result<()> {
        let mut outcome = Ok(());
        self.tally.messages += 1;
        self.dialect.hear(payload, &mut |heard| match heard {
            Heard::Said { seq, stamp } => {
                self.tally.frame_bytes = frame_bytes;
                self.said(connection, seq, stamp);
            }
            Heard::Other => {}
            Heard::Answered => self.tally.answered += 1,
            Heard::Entered => connection.phase = Phase::Live,
            Heard::LeftOut => connection.track.be_told(),
            Heard::Refused if connection.phase == Phase::Live => {
                self.tally.refused += 1;
                self.rooms[connection.room].refused += 1;
            }
            Heard::Refused => outcome = Err(anyhow::anyhow!("{}", String::from_utf8_lossy(payload))),
        });
        outcome
    }

    #[inline]
    fn said(&mut self, connection: &mut Connection, seq: u64, stamp: Stamp) {
        let room = &self.rooms[connection.room];
        self.tally.groups[room.group].record(stamp.due_us, self.now_us);
        if stamp.room != connection.room as u64 {
            let (name, other) = (&room.name, stamp.room);
            let example = || format!("a message of the room with index {other} came to a member of {name}");
            return self.tally.faults.note("misdelivered", 1, example);
        }
        match connection.track.hear(stamp.counter, seq) {
            Finding::InOrder => self.tally.delivered += 1,
            finding => self.judge(connection.room, &stamp, &finding),
        }
    }

    #[cold]
    fn judge(&mut self, room: usize, stamp: &Stamp, finding: &Finding) {
        let name = &self.rooms[room].name;
        let counter = stamp.counter;
        let faults = &mut self.tally.faults;
        self.tally.delivered += u64::from(*finding != Finding::Doubled);
        match finding {
            Finding::InOrder => {}
            Finding::LeftOut(left_out) => self.tally.left_out += left_out.end - left_out.start,
            // Plain text has no numbers that would tell a refused message from a lost one.
            Finding::Missing(_) if self.dialect == Dialect::Text && self.tally.refused > 0 => {}
            Finding::Missing(missing) => {
                let (first, last) = (missing.start, missing.end - 1);
                let example = || format!("room {name}: {first} to {last} before {counter}");
                faults.note("missing", missing.end - missing.start, example);
            }
            Finding::Doubled => faults.note("doubled", 1, || format!("room {name}: {counter}")),
            Finding::Disordered => {
                faults.note("disordered", 1, || format!("room {name}: {counter} came behind a later one"));
            }
            Finding::Misnumbered(due, came) => {
                faults.note("misnumbered", 1, || format!("room {name}: seq {came} instead of {due}"));
            }
        }
    }
}

/// Reads the answer to a handshake; returns its length, or `None` if it is incomplete.
///
/// # Errors
/// Anything but a WebSocket, compressed if that was asked for.
pub(crate) fn upgrade(bytes: &[u8], asks_deflate: bool) -> anyhow::Result<Option<usize>> {
    let Some((head, length)) = ResponseHead::parse(bytes)? else {
        return Ok(None);
    };
    ensure!(head.status == 101, "the handshake was answered with {} {}", head.status, code(bytes));
    let answer = deflate::accept_answer(asks_deflate, head.values("sec-websocket-extensions"))?;
    ensure!(answer.is_some() == asks_deflate, "the server does not agree to compression");
    Ok(Some(length))
}

/// Says why the server closes a connection: the code, and the word at the beginning of the reason.
pub(crate) fn closing(payload: &[u8]) -> String {
    let (code, reason) = payload.split_at(payload.len().min(2));
    let code = <[u8; 2]>::try_from(code).map_or(1005, u16::from_be_bytes);
    let reason = String::from_utf8_lossy(reason);
    format!("closed with {code} {}", reason.split([':', ' ']).next().unwrap_or_default())
        .trim_end()
        .to_owned()
}

/// Finds the word of the error in the body of a refusal.
fn code(answer: &[u8]) -> String {
    let answer = String::from_utf8_lossy(answer);
    let word = answer.split_once(r#""code":""#).and_then(|(_, rest)| rest.split('"').next());
    word.unwrap_or_default().to_owned()
}

fn pong(connection: &mut Connection, ping: &[u8]) {
    // At most 125 bytes (RFC 6455 section 5.5); a longer ping is not answered.
    if let Some(length) = u8::try_from(ping.len()).ok().filter(|length| *length <= 125) {
        connection.say(&[0x8a, 0x80 | length, 0, 0, 0, 0]);
        connection.say(ping);
    }
}
