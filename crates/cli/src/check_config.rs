//! `parlour check-config`: is a configuration accepted, and what can be configured at all?

use std::path::PathBuf;

use clap::Args;
use parlour_server::config::{self, Flags, Mode};
use parlour_server::writes::Writes;

use crate::options::configure;

/// Arguments of `parlour check-config`.
#[derive(Debug, Args)]
pub(crate) struct CheckConfigArgs {
    /// The configuration; without one, the environment alone is checked
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Prints a configuration with every option, its meaning, range and default
    #[arg(long, conflicts_with = "config")]
    example: bool,
}

pub(crate) fn run(args: &CheckConfigArgs) -> anyhow::Result<()> {
    if args.example {
        print!("{}", config::example());
        return Ok(());
    }
    let config = configure(args.config.as_deref(), Flags::new(Mode::Serve))?;
    println!("The configuration is accepted.");
    println!("Writes: {}.", Writes::choose(&config));
    config.notes().into_iter().for_each(|note| println!("Note: {note}."));
    Ok(())
}
