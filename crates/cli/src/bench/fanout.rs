//! One room, many members, a fixed rate: what a delivery costs the server.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use parlour_websocket::client::{ClientStream, Message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::process::{Measured, pin_generator};
use super::{Rounds, clients, program};

/// The room: ephemeral, so that no disk is measured.
const ROOM: &str = "live:bench";

/// How much load.
#[derive(Debug, Clone, Args)]
pub(super) struct FanoutArgs {
    /// Members of the room
    #[arg(long, default_value_t = 1_000)]
    members: usize,
    /// Messages per second
    #[arg(long, default_value_t = 20)]
    rate: u32,
    /// Bytes of text in a message
    #[arg(long, default_value_t = 128)]
    text_bytes: usize,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Measurements of server and baseline, alternating
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The program to measure instead of this one
    #[arg(long)]
    program: Option<PathBuf>,
}

/// What one measurement gave.
struct Measurement {
    cpu_ns: u64,
    deliveries: u64,
    frame_bytes: usize,
}

impl Measurement {
    fn cpu_us_per_delivery(&self) -> f64 {
        self.cpu_ns as f64 / 1_000.0 / self.deliveries as f64
    }
}

pub(super) async fn run(args: FanoutArgs) -> anyhow::Result<String> {
    let program = program(args.program.clone())?;
    pin_generator()?;
    let (mut ours, mut bare, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let mut frame_bytes = 0;
    for _ in 0..args.rounds {
        let server = LocalSet::new().run_until(measure_server(&program, &args)).await?;
        let baseline = LocalSet::new().run_until(measure_bare(&program, &args, server.frame_bytes)).await?;
        frame_bytes = server.frame_bytes;
        ours.push(server.cpu_us_per_delivery());
        bare.push(baseline.cpu_us_per_delivery());
        ratios.push(server.cpu_us_per_delivery() / baseline.cpu_us_per_delivery());
    }
    let FanoutArgs { members, rate, seconds, .. } = args;
    Ok(format!(
        "fan-out: 1 room, {members} members, {rate} messages/s, frames of {frame_bytes} bytes, {seconds} s each\n\
         server CPU per delivery: {} us\n\
         bare program:            {} us\n\
         server / bare:           {}",
        Rounds::new(ours),
        Rounds::new(bare),
        Rounds::new(ratios)
    ))
}

async fn measure_server(program: &Path, args: &FanoutArgs) -> anyhow::Result<Measurement> {
    let directory = std::env::temp_dir().join(format!("parlour-bench-{}", std::process::id()));
    let (server, address) = Measured::start_server(program, &directory)?;
    let received = Rc::new(Cell::new(0));
    let frame_bytes = Rc::new(Cell::new(0));
    for member in 0..args.members {
        let mut stream = clients::connect(&address, &format!("user=m{member}&room={ROOM}")).await?;
        clients::until(&mut stream, "\"joined\"").await?;
        tokio::task::spawn_local(count_messages(stream, Rc::clone(&received), Rc::clone(&frame_bytes)));
    }
    let mut publisher = clients::connect(&address, &format!("user=publisher&room={ROOM}")).await?;
    clients::until(&mut publisher, "\"joined\"").await?;
    let (mut reader, writer) = publisher.split();
    let acks = tokio::task::spawn_local(async move { while let Ok(Some(_)) = reader.next().await {} });
    // Join notices are still being delivered.
    sleep(Duration::from_secs(1)).await;
    received.set(0);
    let before = server.cpu_ns()?;
    let text = "x".repeat(args.text_bytes);
    let mut ticks = interval(Duration::from_secs(1) / args.rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let sent = u64::from(args.rate) * args.seconds;
    for id in 1..=sent {
        ticks.tick().await;
        let payload = format!(r#"{{"room":"{ROOM}","text":"{text}"}}"#);
        writer.send_text(&format!(r#"{{"type":"publish","id":{id},"payload":{payload}}}"#)).await?;
    }
    let wanted = sent * args.members as u64;
    await_count(&received, wanted).await?;
    let cpu_ns = server.cpu_ns()? - before;
    acks.abort();
    drop(server);
    // The directory holds nothing but an empty database.
    let _ = std::fs::remove_dir_all(&directory);
    Ok(Measurement { cpu_ns, deliveries: wanted, frame_bytes: frame_bytes.get() })
}

/// Counts the messages of the room; anything but one of each is noticed by the count.
async fn count_messages(mut stream: ClientStream, received: Rc<Cell<u64>>, frame_bytes: Rc<Cell<usize>>) {
    while let Ok(Some(message)) = stream.next().await {
        if let Message::Text(text) = message
            && text.starts_with(r#"{"type":"message""#)
        {
            received.set(received.get() + 1);
            // A header of 4 bytes stands before a payload of 126 bytes and more (RFC 6455, 5.2).
            frame_bytes.set(text.len() + if text.len() < 126 { 2 } else { 4 });
        }
    }
}

async fn await_count(received: &Cell<u64>, wanted: u64) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while received.get() < wanted {
        if Instant::now() > deadline {
            bail!("{} of {wanted} deliveries came", received.get());
        }
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

async fn measure_bare(program: &Path, args: &FanoutArgs, frame_bytes: usize) -> anyhow::Result<Measurement> {
    let [members, bytes, rate] =
        [args.members, frame_bytes, args.rate as usize].map(|number| number.to_string());
    let mut bare = Measured::start(
        program,
        &["bench", "bare", "--members", &members, "--frame-bytes", &bytes, "--rate", &rate],
    )?;
    let address = bare.line_with("listening on ")?;
    let received = Rc::new(Cell::new(0));
    // Kept: a half that is dropped would end its connection.
    let mut writers = Vec::with_capacity(args.members);
    for _ in 0..args.members {
        let (reader, writer) = TcpStream::connect(&address).await?.into_split();
        writers.push(writer);
        tokio::task::spawn_local(count_bytes(reader, Rc::clone(&received)));
    }
    let before = bare.cpu_ns()?;
    writers.first_mut().context("at least one member")?.write_all(b"!").await?;
    let wanted = u64::from(args.rate) * args.seconds * args.members as u64;
    let bytes_wanted = wanted * frame_bytes as u64;
    let deadline = Instant::now() + Duration::from_secs(args.seconds * 3);
    while received.get() < bytes_wanted {
        if Instant::now() > deadline {
            bail!("the bare program is too slow");
        }
        sleep(Duration::from_millis(5)).await;
    }
    let cpu_ns = bare.cpu_ns()? - before;
    let deliveries = received.get() / frame_bytes as u64;
    Ok(Measurement { cpu_ns, deliveries, frame_bytes })
}

async fn count_bytes(mut reader: tokio::net::tcp::OwnedReadHalf, received: Rc<Cell<u64>>) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = reader.read(&mut buffer).await {
        received.set(received.get() + length as u64);
    }
}
