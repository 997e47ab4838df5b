//! `parlour dev`: a server for trying out, with nothing to set up.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use parlour_server::Server;
use parlour_server::config::{self, Mode};
use parlour_server::data_dir::{self, Claim};
use parlour_server::logging;

use crate::options::{CommonArgs, block_on, configure, run_and, shown};

/// Arguments of `parlour dev`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DevArgs {
    /// A configuration, such as rules for rooms
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    common: CommonArgs,
    /// No limits on speed and connections, for load tests
    #[arg(long)]
    no_limits: bool,
}

const EXAMPLES: &str = "\
Examples:
  parlour dev                                         then open http://127.0.0.1:8080/
  parlour dev --data-dir :memory:                     forget everything at the end
  parlour dev --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0
  parlour dev --no-limits --set limits.message_bytes=1048576 --set limits.outbox_bytes=4194304";

/// Options that `--no-limits` sets.
const NO_LIMITS: [(&str, &str); 3] = [
    ("limits.rate_per_s", "0"),
    ("limits.connections_per_address", "10000000"),
    ("limits.connections_per_user", "10000000"),
];

pub(crate) fn run(args: DevArgs) -> anyhow::Result<()> {
    config::raise_open_files();
    let mut flags = args.common.flags(Mode::Dev);
    if args.no_limits {
        // Before the others, so that --set can still name one.
        let lifted = NO_LIMITS.map(|(key, value)| (key.to_owned(), value.to_owned()));
        flags.settings.splice(0..0, lifted);
    }
    let config = configure(args.config.as_deref(), flags)?;
    if let (Some(directory), None) = (&config.data_dir, &config.database) {
        data_dir::claim(directory, Claim::Dev)?;
    }
    logging::start(&config.log);
    let directory = config.data_dir.clone();
    block_on(async {
        let server = Server::start(config).await?;
        let banner = banner(&server, directory.as_deref());
        run_and(server, || announce(&banner)).await
    })
}

/// Tells how to use the server. The lines are stable: scripts may read the addresses from them.
fn banner(server: &Server, directory: Option<&Path>) -> String {
    let (clients, admin) = (server.listen_addr(), server.admin_addr());
    let s = if server.node().config.tls.files().is_some() { "s" } else { "" };
    let data =
        directory.map_or("in memory, gone at the end".into(), |path| shown(path).display().to_string());
    format!(
        "Parlour {} in development mode: anybody on this machine may take any name.\n\n  \
         Web client  http{s}://{clients}/\n  \
         WebSocket   ws{s}://{clients}/ws?room=general&user=Alice\n  \
         API key     {}\n  \
         Metrics     http://{admin}/metrics\n  \
         Data        {data}\n  \
         Writes      {}\n\n\
         Ctrl-C stops it.\n",
        env!("CARGO_PKG_VERSION"),
        server.node().api.dev_key().unwrap_or("as configured"),
        server.node().writes,
    )
}

fn announce(banner: &str) {
    let mut out = std::io::stdout();
    // Somebody who closed the output does not want the banner.
    let _ = out.write_all(banner.as_bytes()).and_then(|()| out.flush());
}
