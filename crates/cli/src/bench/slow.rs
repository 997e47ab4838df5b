//! Clients that never read, among others: whether the others notice (R19).

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use clap::Args;
use hdrhistogram::Histogram;
use parlour_websocket::client::{ClientStream, Message};
use tokio::task::LocalSet;
use tokio::time::{Instant, interval, sleep};

use super::process::{Measured, pin_generator};
use super::{Rounds, clients, program};

const ROOM: &str = "live:bench";

/// How much load.
#[derive(Debug, Clone, Args)]
pub(super) struct SlowArgs {
    /// Members who read
    #[arg(long, default_value_t = 200)]
    readers: usize,
    /// Members who never read
    #[arg(long, default_value_t = 20)]
    stuck: usize,
    /// Messages per second
    #[arg(long, default_value_t = 50)]
    rate: u32,
    /// Bytes of text in a message
    #[arg(long, default_value_t = 1_024)]
    text_bytes: usize,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Measurements without and with those who never read, alternating
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The program to measure instead of this one
    #[arg(long)]
    program: Option<PathBuf>,
}

pub(super) async fn run(args: SlowArgs) -> anyhow::Result<String> {
    let program = program(args.program.clone())?;
    pin_generator()?;
    let (mut alone, mut beside, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        let without = LocalSet::new().run_until(measure(&program, &args, 0)).await?;
        let with = LocalSet::new().run_until(measure(&program, &args, args.stuck)).await?;
        alone.push(without);
        beside.push(with);
        ratios.push(with / without);
    }
    let SlowArgs { readers, stuck, rate, text_bytes, seconds, .. } = args;
    Ok(format!(
        "never-readers: {readers} readers, {rate} messages/s of {text_bytes} bytes, {seconds} s each\n\
         delivery p99 without never-readers: {} ms\n\
         delivery p99 beside {stuck} of them:    {} ms\n\
         beside / without:                   {}",
        Rounds::new(alone),
        Rounds::new(beside),
        Rounds::new(ratios)
    ))
}

/// Returns the p99 of delivery to those who read, in milliseconds.
async fn measure(program: &Path, args: &SlowArgs, stuck: usize) -> anyhow::Result<f64> {
    let directory = std::env::temp_dir().join(format!("parlour-bench-{}", std::process::id()));
    let (server, address) = Measured::start_server(program, &directory)?;
    let origin = Instant::now();
    let latencies = Rc::new(RefCell::new(Histogram::new(3)?));
    let mut never_read = Vec::new();
    for member in 0..args.readers + stuck {
        let mut stream = clients::connect(&address, &format!("user=m{member}&room={ROOM}")).await?;
        clients::until(&mut stream, "\"joined\"").await?;
        match member < args.readers {
            true => drop(tokio::task::spawn_local(record(stream, origin, Rc::clone(&latencies)))),
            false => never_read.push(stream),
        }
    }
    let mut publisher = clients::connect(&address, &format!("user=publisher&room={ROOM}")).await?;
    clients::until(&mut publisher, "\"joined\"").await?;
    let (mut reader, writer) = publisher.split();
    let acks = tokio::task::spawn_local(async move { while let Ok(Some(_)) = reader.next().await {} });
    // Join notices are still being delivered.
    sleep(Duration::from_secs(1)).await;
    let mut ticks = interval(Duration::from_secs(1) / args.rate);
    for id in 1..=u64::from(args.rate) * args.seconds {
        ticks.tick().await;
        let text = format!("{:0>1$}", origin.elapsed().as_micros(), args.text_bytes);
        let payload = format!(r#"{{"room":"{ROOM}","text":"{text}"}}"#);
        writer.send_text(&format!(r#"{{"type":"publish","id":{id},"payload":{payload}}}"#)).await?;
    }
    sleep(Duration::from_secs(1)).await;
    acks.abort();
    drop((server, never_read));
    // The directory holds nothing but an empty database.
    let _ = std::fs::remove_dir_all(&directory);
    let p99_us = latencies.borrow().value_at_quantile(0.99);
    Ok(p99_us as f64 / 1_000.0)
}

/// Compares the time in each message with the time of its arrival.
async fn record(mut stream: ClientStream, origin: Instant, latencies: Rc<RefCell<Histogram<u64>>>) {
    while let Ok(Some(message)) = stream.next().await {
        let Message::Text(text) = message else { continue };
        let digits = text.split_once(r#""text":""#).and_then(|(_, rest)| rest.split('"').next());
        let sent = digits.and_then(|digits| digits.parse::<u64>().ok());
        let now = u64::try_from(origin.elapsed().as_micros()).unwrap_or(u64::MAX);
        if let Some(sent) = sent {
            // Beyond what the histogram covers there is nothing: it grows by itself.
            let _ = latencies.borrow_mut().record(now.saturating_sub(sent));
        }
    }
}
