//! Sends every message back, through the listener, the upgrade, the decoder and the outbox of the
//! product: what conformance suites such as Autobahn test here is what users get.
//!
//! ```text
//! cargo run --release -p parlour-server --example echo -- --listen 127.0.0.1:9001
//! ```

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use parlour_server::Server;
use parlour_server::config::{self, Config};
use parlour_server::server::Purpose;

/// What the suites send at most: messages of 16 MiB, in 65,536 fragments and an empty last one.
const MESSAGE_BYTES: usize = 16 * 1024 * 1024;
const FRAGMENTS: u32 = 65_537;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    config::raise_open_files();
    let server = Server::start_for(Purpose::Echo, configure(listen_address()?)).await?;
    println!("echo on ws://{}/", server.listen_addr());
    Ok(server.run_until_signal().await?)
}

/// Reads `--listen ADDR`.
fn listen_address() -> Result<SocketAddr, Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Ok(([127, 0, 0, 1], 9001).into()),
        ["--listen", address] => Ok(address.parse()?),
        _ => Err("usage: echo [--listen ADDR]".into()),
    }
}

fn configure(listen: SocketAddr) -> Config {
    let mut config = Config::dev();
    config.listen = listen;
    config.admin_listen.set_port(0);
    config.data_dir = None;
    config.access.hosts.clear();
    config.compression = true;
    config.limits.message_bytes = MESSAGE_BYTES;
    config.limits.fragments = FRAGMENTS;
    // Pieces of 64 bytes take a suite some time.
    config.timeouts.message = Duration::from_secs(600);
    // One echo of the largest message, and what a suite sends before it reads again.
    config.limits.outbox_bytes = 16 * MESSAGE_BYTES;
    config
}
