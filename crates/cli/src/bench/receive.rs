//! How many messages the engine itself can take: nothing here is about a server.
//!
//! `feed` encodes a stream of messages once and writes it to every connection; `receive` reads it as
//! it would read a server, with every check.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use parlour_protocol::event::{Event, Message};
use parlour_protocol::{RoomName, Seq, UserId};
use parlour_websocket::{Opcode, encode};

use super::crowd::open_all;
use super::engine::Engine;
use super::engine::connection::{Dial, Greeting, Tuning};
use super::engine::room::Room;
use super::engine::stamp::{STAMP_BYTES, Stamp};
use super::engine::wire::Dialect;
use super::process::{Measured, Usage, pin_generator};
use super::progress::Progress;
use super::report::{Figures, Report};

const ROOM: &str = "live:bench";
/// Bytes of one write: what a busy server writes at once.
const WRITE_BYTES: usize = 64 * 1024;

/// How much.
#[derive(Debug, Clone, Args)]
pub(super) struct ReceiveArgs {
    /// Connections
    #[arg(long, default_value_t = 100)]
    connections: usize,
    /// Messages to each
    #[arg(long, default_value_t = 200_000)]
    messages: u64,
    /// Bytes of text, at least 32
    #[arg(long, default_value_t = 32)]
    text_bytes: usize,
    /// How messages are spelled
    #[arg(long, value_enum, default_value_t = Dialect::Json)]
    dialect: Dialect,
    /// Measurements
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// Receives what `feed` sends.
pub(super) fn run(args: &ReceiveArgs) -> anyhow::Result<Report> {
    pin_generator()?;
    let mut progress = Progress::new();
    let (mut figures, mut report) = (Figures::default(), Report::default());
    for round in 1..=args.rounds {
        progress.stage(format!("round {round} of {}", args.rounds));
        report.faults.extend(measure(args, &mut progress, &mut figures)?);
    }
    let ReceiveArgs { connections, text_bytes, dialect, .. } = args;
    report.title = format!("receiving: {connections} connections, {dialect:?}, {text_bytes} bytes of text");
    report.sections.push(figures.section("one thread"));
    Ok(report)
}

fn measure(
    args: &ReceiveArgs,
    progress: &mut Progress,
    figures: &mut Figures,
) -> anyhow::Result<Vec<String>> {
    let [connections, messages, text_bytes] =
        [args.connections, usize::try_from(args.messages)?, args.text_bytes].map(|number| number.to_string());
    let dialect = format!("{:?}", args.dialect).to_lowercase();
    let words = ["bench", "feed", "--connections", &connections, "--messages", &messages];
    let more = ["--text-bytes", &text_bytes, "--dialect", &dialect];
    let mut feed = Measured::start(&super::program(None)?, &[&words[..], &more].concat())?;
    let address = feed.line_with("listening on ")?.parse()?;
    let mut engine = Engine::new(args.dialect, vec![Room::new(args.dialect, ROOM, 0, args.text_bytes)?])?;
    let greeting = || Greeting::Room(vec![0; 4]);
    let tuning = Tuning::default();
    let dial = |_| Ok(Dial { address, source: None, room: 0, trust: None, greeting: greeting(), tuning });
    let opened = open_all(&mut engine, (0..args.connections).map(dial), progress)?;
    engine.expect_all();
    engine.rooms[0].said = args.messages;
    engine.tally.groups[0].begin(0);
    let (own, began) = (Usage::own().cpu_ns()?, Instant::now());
    engine.say(*opened.ids.first().context("at least one connection")?, b"!");
    while engine.tally.delivered < engine.wanted() && engine.live() > 0 {
        engine.turn(Duration::from_millis(100))?;
        let received = engine.tally.delivered;
        progress.show(|| format!("{received} received"));
    }
    let (seconds, busy_s) = (began.elapsed().as_secs_f64(), (Usage::own().cpu_ns()? - own) as f64 / 1e9);
    engine.note_losses();
    figures.add("received", "messages/s", engine.tally.delivered as f64 / seconds);
    figures.add("bytes of a frame", "", engine.tally.frame_bytes as f64);
    figures.add("received bytes", "MB/s", engine.tally.bytes as f64 / seconds / 1e6);
    figures.add("core of the engine", "% busy", busy_s / seconds * 100.0);
    figures.add("CPU of a message", "ns", busy_s * 1e9 / engine.tally.delivered.max(1) as f64);
    Ok(engine.tally.faults.lines())
}

/// Sends the same stream to every connection, after one of them said a byte.
pub(super) fn feed(args: &ReceiveArgs) -> anyhow::Result<()> {
    ensure!(args.text_bytes >= STAMP_BYTES, "a text has at least {STAMP_BYTES} bytes");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("listening on {}", listener.local_addr()?);
    let mut connections = Vec::new();
    for _ in 0..args.connections {
        let (mut connection, _) = listener.accept()?;
        connection.read_exact(&mut [0; 4])?;
        connections.push(connection);
    }
    let stream = stream(args)?;
    connections.first_mut().context("at least one connection")?.read_exact(&mut [0])?;
    for part in stream.chunks(WRITE_BYTES) {
        connections.iter_mut().try_for_each(|connection| connection.write_all(part))?;
    }
    // Until the other side has read everything and leaves.
    while connections[0].read(&mut [0])? > 0 {}
    Ok(())
}

fn stream(args: &ReceiveArgs) -> anyhow::Result<Vec<u8>> {
    let (room, sender) = (RoomName::parse(ROOM)?, UserId::parse("bench")?);
    let dialect = args.dialect.id().dialect();
    let opcode = if dialect.is_binary() { Opcode::Binary } else { Opcode::Text };
    let (mut text, mut payload, mut stream) = (vec![b'x'; args.text_bytes], Vec::new(), Vec::new());
    for counter in 1..=args.messages {
        Stamp { counter, room: 0, due_us: 0 }.write(&mut text)?;
        payload.clear();
        let said = std::str::from_utf8(&text)?.into();
        let (room, sender, seq) = (room.clone(), sender.clone(), Seq(counter));
        let message =
            Message { room, seq, sender, text: said, ts: 1_767_225_600_000, cid: None, details: None };
        dialect.encode(&Event::Message(message), None, &mut payload);
        encode::frame(&mut stream, opcode, &payload);
    }
    Ok(stream)
}
