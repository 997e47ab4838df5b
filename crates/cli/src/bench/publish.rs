//! Durable messages: how many are acknowledged per second, and how long that takes.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use hdrhistogram::Histogram;

use super::process::{Measured, pin_generator};
use super::{Rounds, clients, program};

/// How much load.
#[derive(Debug, Args)]
pub(super) struct PublishArgs {
    /// Publishers, each in a room of its own, each waiting for its acknowledgement
    #[arg(long, default_value_t = 64)]
    publishers: usize,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Measurements, each with a new server and database
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Where the databases lie; the disk is part of the measurement
    #[arg(long, default_value = "target/bench-data")]
    data_dir: PathBuf,
    /// The program to measure instead of this one
    #[arg(long)]
    program: Option<PathBuf>,
}

pub(super) async fn run(args: PublishArgs) -> anyhow::Result<String> {
    let program = program(args.program.clone())?;
    pin_generator()?;
    let (mut rates, mut p50, mut p99, mut heard, mut fsyncs) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..args.rounds {
        let directory = args.data_dir.join(format!("{}-{round}", std::process::id()));
        std::fs::create_dir_all(&directory)?;
        fsyncs.push(fsyncs_per_second(&directory)?);
        let Latencies { acked: latencies, heard: deliveries } = measure(&program, &directory, &args).await?;
        heard.push(deliveries.value_at_quantile(0.99) as f64 / 1_000.0);
        rates.push(latencies.len() as f64 / args.seconds as f64);
        p50.push(latencies.value_at_quantile(0.5) as f64 / 1_000.0);
        p99.push(latencies.value_at_quantile(0.99) as f64 / 1_000.0);
        std::fs::remove_dir_all(&directory)?;
    }
    Ok(format!(
        "durable publish: {} publishers, one message in flight each, {} s, SQLite with synchronous=FULL\n\
         acknowledged per second: {}\n\
         acknowledgement p50:     {} ms\n\
         acknowledgement p99:     {} ms\n\
         publish to receive p99:  {} ms\n\
         fsync per second on this disk, one after another: {}",
        args.publishers,
        args.seconds,
        Rounds::new(rates),
        Rounds::new(p50),
        Rounds::new(p99),
        Rounds::new(heard),
        Rounds::new(fsyncs)
    ))
}

/// From sending a message to its acknowledgement, and to hearing it, in microseconds.
struct Latencies {
    acked: Histogram<u64>,
    heard: Histogram<u64>,
}

async fn measure(program: &Path, directory: &Path, args: &PublishArgs) -> anyhow::Result<Latencies> {
    let (server, address) = Measured::start_server(program, directory)?;
    let until = Instant::now() + Duration::from_secs(args.seconds);
    let publishers = (0..args.publishers).map(|number| tokio::spawn(publish(address.clone(), number, until)));
    let mut all = Latencies { acked: Histogram::new(3)?, heard: Histogram::new(3)? };
    for publisher in publishers.collect::<Vec<_>>() {
        let Latencies { acked, heard } = publisher.await??;
        all.acked.add(acked)?;
        all.heard.add(heard)?;
    }
    drop(server);
    Ok(all)
}

/// Publishes one message after another.
async fn publish(address: String, number: usize, until: Instant) -> anyhow::Result<Latencies> {
    let room = format!("bench-{number}");
    let mut stream = clients::connect(&address, &format!("user=u{number}&room={room}")).await?;
    clients::until(&mut stream, "\"joined\"").await?;
    let mut latencies = Latencies { acked: Histogram::new(3)?, heard: Histogram::new(3)? };
    let text = "x".repeat(128);
    let mut id = 0;
    while Instant::now() < until {
        id += 1;
        let began = Instant::now();
        let payload = format!(r#"{{"room":"{room}","text":"{text}"}}"#);
        stream.send_text(&format!(r#"{{"type":"publish","id":{id},"payload":{payload}}}"#)).await?;
        // One's own message comes in the same turn as its acknowledgement, in either order.
        for _ in 0..2 {
            let came = clients::until(&mut stream, r#"{"type":""#).await?;
            let latency = if came.starts_with(r#"{"type":"ack""#) {
                &mut latencies.acked
            } else {
                &mut latencies.heard
            };
            latency.record(u64::try_from(began.elapsed().as_micros())?)?;
        }
    }
    Ok(latencies)
}

/// The baseline: one small write and one fsync, over and over, for half a second.
fn fsyncs_per_second(directory: &Path) -> anyhow::Result<f64> {
    use std::io::Write;
    let path = directory.join("fsync");
    let mut file = std::fs::File::create(&path)?;
    let began = Instant::now();
    let mut count = 0;
    while began.elapsed() < Duration::from_millis(500) {
        file.write_all(&[0; 256])?;
        file.sync_data()?;
        count += 1;
    }
    std::fs::remove_file(path)?;
    Ok(f64::from(count) / began.elapsed().as_secs_f64())
}
