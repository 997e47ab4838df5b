//! `parlour health`: whether a server is ready, for containers that have no other program.

use anyhow::Context as _;
use clap::Args;
use url::Url;

use crate::admin;

/// Arguments of `parlour health`.
#[derive(Debug, Args)]
#[command(after_help = "The exit code is 0 if the server is ready, and 1 if it is not or does not answer.")]
pub(crate) struct HealthArgs {
    /// The administration address of the server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8081")]
    admin: Url,
    /// Only ask whether the process lives
    #[arg(long)]
    live: bool,
}

pub(crate) fn run(args: &HealthArgs) -> anyhow::Result<()> {
    let path = if args.live { "/healthz" } else { "/readyz" };
    let answer = admin::ask("GET", &admin::authority(&args.admin)?, path);
    println!("{}", answer.context("not well")?);
    Ok(())
}
