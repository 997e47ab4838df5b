//! `parlour serve`: a server for others.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use parlour_server::Server;
use parlour_server::config::{self, Mode};
use parlour_server::data_dir::{self, Claim};
use parlour_server::logging;

use crate::options::{CommonArgs, block_on, configure, run_and};

/// Arguments of `parlour serve`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ServeArgs {
    /// The configuration; without one, the defaults
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    common: CommonArgs,
    /// Takes over a data directory of `parlour dev`
    #[arg(long)]
    adopt: bool,
}

const EXAMPLES: &str = "\
The environment overrides the file, and flags override the environment:
  PARLOUR_LIMITS__RATE_PER_S=50 parlour serve --config parlour.toml --log debug

Exit codes: 0 after SIGINT or SIGTERM, 78 if the configuration is refused, 1 for other errors.";

pub(crate) fn run(args: ServeArgs) -> anyhow::Result<()> {
    config::raise_open_files();
    let config = configure(args.config.as_deref(), args.common.flags(Mode::Serve))?;
    if let (Some(directory), None) = (&config.data_dir, &config.database) {
        data_dir::claim(directory, if args.adopt { Claim::Adopt } else { Claim::Serve })?;
    }
    logging::start(&config.log);
    config.notes().into_iter().for_each(logging::note);
    block_on(async {
        let server = Server::start(config).await?;
        let node = Arc::clone(server.node());
        let (clients, admin) = (server.listen_addr(), server.admin_addr());
        run_and(server, || logging::listening(clients, admin, &node.writes)).await
    })
}
