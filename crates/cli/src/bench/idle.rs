//! Many connections that do nothing: what each costs in user space.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::time::sleep;

use super::process::{Measured, pin_generator};
use super::{Rounds, clients, program};

/// How many.
#[derive(Debug, Args)]
pub(super) struct IdleArgs {
    /// Connections
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// Measurements, each with a new server
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// The program to measure instead of this one
    #[arg(long)]
    program: Option<PathBuf>,
}

pub(super) async fn run(args: IdleArgs) -> anyhow::Result<String> {
    let program = program(args.program)?;
    pin_generator()?;
    let mut bytes = Vec::new();
    for _ in 0..args.rounds {
        let directory = std::env::temp_dir().join(format!("parlour-bench-{}", std::process::id()));
        let (server, address) = Measured::start_server(&program, &directory)?;
        // The first ones pay for what all share.
        let mut streams = open(&address, 0, 100).await?;
        let before = server.anonymous_bytes()?;
        streams.extend(open(&address, 100, args.connections).await?);
        sleep(Duration::from_secs(1)).await;
        let used = server.anonymous_bytes()?.saturating_sub(before);
        bytes.push(used as f64 / args.connections as f64);
        drop((streams, server));
        // The directory holds nothing but an empty database.
        let _ = std::fs::remove_dir_all(&directory);
    }
    let rooms = "each with its own user, in one of 100 rooms";
    Ok(format!(
        "idle: {} connections, {rooms}\nuser-space memory per connection: {} bytes",
        args.connections,
        Rounds::new(bytes)
    ))
}

async fn open(
    address: &str,
    from: usize,
    count: usize,
) -> anyhow::Result<Vec<parlour_websocket::client::ClientStream>> {
    let mut streams = Vec::with_capacity(count);
    for number in from..from + count {
        let room = number % 100;
        let mut stream = clients::connect(address, &format!("user=u{number}&room=live:{room}")).await?;
        clients::until(&mut stream, "\"joined\"").await?;
        streams.push(stream);
    }
    Ok(streams)
}
