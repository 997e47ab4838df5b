//! The baseline: a program that does nothing but write frames to sockets, one `send` each.
//!
//! Its messages have the form of plain text, with the stamp of the load generator, so that it is
//! received and timed like a server. Each line from its first connection asks for messages.

use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::{Args, ValueEnum};
use parlour_ring::{Outgoing, Ring};
use parlour_websocket::{Opcode, encode};

use super::engine::stamp::{STAMP_BYTES, Stamp};
use super::pace::Pace;

/// As many as the server's.
const SENDS_PER_CALL: u32 = 64;
/// What stands before the text of a message.
const SENDER: &str = "b: ";
/// The shortest frame.
pub(crate) const LEAST_BYTES: usize = SENDER.len() + STAMP_BYTES + 2;

/// What to write.
#[derive(Debug, Args)]
pub(super) struct BareArgs {
    #[arg(long)]
    rooms: usize,
    #[arg(long)]
    members: usize,
    #[arg(long)]
    frame_bytes: usize,
    #[arg(long, value_enum, default_value_t = Way::Send)]
    way: Way,
}

/// How a frame is given to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    /// One system call for each member.
    Send,
    /// One system call for many members.
    Ring,
}

impl Way {
    /// Returns the word of the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Ring => "ring",
        }
    }
}

/// A [`Way`] that is ready to be gone.
#[derive(Debug)]
enum Writer {
    Send,
    Ring(Box<Ring>),
}

impl Writer {
    fn new(way: Way) -> anyhow::Result<Self> {
        match way {
            Way::Send => Ok(Self::Send),
            Way::Ring => Ok(Self::Ring(Box::new(Ring::new(SENDS_PER_CALL)?))),
        }
    }

    /// Gives one frame to all members of a room.
    fn write_all(&mut self, members: &mut [TcpStream], frame: &[u8]) -> io::Result<()> {
        let Self::Ring(ring) = self else {
            return members.iter_mut().try_for_each(|member| member.write_all(frame));
        };
        let mut short = Vec::new();
        let sends = members.iter().map(|member| Outgoing { socket: member.as_fd(), bytes: frame });
        ring.send_all(sends, |index, taken| match taken {
            Ok(bytes) if bytes == frame.len() => {}
            taken => short.push((index, taken.unwrap_or(0))),
        });
        // These wait for their sockets, as all do without a ring.
        short.into_iter().try_for_each(|(index, taken)| members[index].write_all(&frame[taken..]))
    }
}

/// Accepts the members, each of which names its room, then does what the first one asks for until
/// they leave.
pub(super) fn run(args: &BareArgs) -> anyhow::Result<()> {
    let error = match serve(args) {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    // Members leave in the middle of what they do not need any more.
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    let has_left = matches!(kind, Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe));
    if has_left { Ok(()) } else { Err(error) }
}

fn serve(args: &BareArgs) -> anyhow::Result<()> {
    ensure!(args.frame_bytes >= LEAST_BYTES, "frames have at least {LEAST_BYTES} bytes");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut writer = Writer::new(args.way)?;
    println!("listening on {}", listener.local_addr()?);
    let mut rooms: Vec<Vec<TcpStream>> = (0..args.rooms).map(|_| Vec::with_capacity(args.members)).collect();
    let mut first = None;
    for _ in 0..args.rooms * args.members {
        let (mut member, _) = listener.accept()?;
        member.set_nodelay(true)?;
        let mut room = [0; 4];
        member.read_exact(&mut room)?;
        let room = rooms.get_mut(u32::from_be_bytes(room) as usize).context("no such room")?;
        if first.is_none() {
            first = Some(member.try_clone()?);
        }
        room.push(member);
    }
    let mut frame = Vec::new();
    let header = if args.frame_bytes - 2 < 126 { 2 } else { 4 };
    let text = [SENDER, &"x".repeat(args.frame_bytes - header - SENDER.len())].concat();
    encode::frame(&mut frame, Opcode::Text, text.as_bytes());
    let stamp_at = header + SENDER.len();
    let mut said = vec![0; args.rooms];
    for line in BufReader::new(first.context("no members")?).lines() {
        let line = line?;
        let mut words = line.split(' ');
        let mut word = || words.next().context("a line has a rate, seconds and a time");
        let (per_second, seconds, now_us) = (word()?.parse()?, word()?.parse()?, word()?.parse()?);
        let began = Instant::now();
        let mut pace = Pace::new(now_us, per_second, args.rooms, Duration::from_secs_f64(seconds));
        while let Some(due_us) = pace.due_us() {
            let due = began + Duration::from_micros(due_us - now_us);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let room = pace.take();
            said[room] += 1;
            let stamp = Stamp { counter: said[room], room: room as u64, due_us };
            stamp.write(&mut frame[stamp_at..])?;
            writer.write_all(&mut rooms[room], &frame)?;
        }
    }
    Ok(())
}
